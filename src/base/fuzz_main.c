/*
 * fuzz_main.c - replays files through a fuzz target, without a fuzzer
 *
 * Each argument is a file or a folder of files; what the fuzzers once found
 * stays found.  A folder that does not exist is an empty corpus and a
 * failure: a replay of nothing proves nothing.
 *
 * Lock     none, one thread
 */
#include "base/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replay_file(const char *path)
{
	uint8_t *buf;
	long size;
	size_t n;
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		return 0;
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	buf = malloc(size > 0 ? (size_t)size : 1);
	BUG_IF(buf == NULL || size < 0);
	n = fread(buf, 1, (size_t)size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, n);
	free(buf);
	return 1;
}

static unsigned replay_dir(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	unsigned n = 0;
	char name[4096];

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		n += replay_file(name);
	}
	closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) < 0) {
			fprintf(stderr, "%s: not there\n", argv[i]);
			return 1;
		}
		n += S_ISDIR(st.st_mode) ? replay_dir(argv[i]) : replay_file(argv[i]);
	}
	printf("%u inputs replayed\n", n);
	return n == 0;
}
