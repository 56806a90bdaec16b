/*
 * completion.c - genvisor completion bash
 *
 * Made from the same tables as --help, so that it is never behind.
 *
 * Lock     none, one thread
 */
#include "ctl/verbs.h"

#include <string.h>

static const struct opt no_opts[] = { { 0 } };

static void verb_case(const struct verb *v)
{
	printf("\t\"%s\"*) words=\"--help", v->name);
	for (const struct opt *o = v->opts; o->name != NULL; o++)
		printf(" --%s", o->name);
	printf("\" ;;\n");
}

/* Is verb I the first with its first word? */
static bool is_first(unsigned i)
{
	size_t n = strcspn(verbs[i]->name, " ");

	for (unsigned k = 0; k < i; k++)
		if (strcspn(verbs[k]->name, " ") == n && memcmp(verbs[k]->name, verbs[i]->name, n) == 0)
			return false;
	return true;
}

/* What may come after the first word of NAME. */
static void second_words(const char *name)
{
	size_t n = strcspn(name, " ");
	const char *before = "";

	printf("\t%.*s) words=\"", (int)n, name);
	for (unsigned i = 0; verbs[i] != NULL; i++) {
		if (verbs[i]->hidden || strncmp(verbs[i]->name, name, n + 1) != 0)
			continue;
		printf("%s%s", before, verbs[i]->name + n + 1);
		before = " ";
	}
	printf("\" ;;\n");
}

static int completion_run(int argc, char **argv)
{
	const char *rest[1];
	struct err err;
	int nr, rc = opt_parse(&verb_completion, NULL, argc, argv, rest, 1, &nr, &err);

	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	if (nr != 1 || strcmp(rest[0], "bash") != 0) {
		err_fill(&err, "completion: expected the word bash");
		return opt_fail(EXIT_USAGE, &err);
	}
	printf("_genvisor() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} "
	       "line=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" words\n"
	       "\tcase \"$line\" in\n");
	for (unsigned i = 0; verbs[i] != NULL; i++)
		if (!verbs[i]->hidden)
			verb_case(verbs[i]);
	for (unsigned i = 0; verbs[i] != NULL; i++)
		if (is_first(i) && strchr(verbs[i]->name, ' ') != NULL)
			second_words(verbs[i]->name);
	printf("\t*) words=\"--help --version");
	for (unsigned i = 0; verbs[i] != NULL; i++)
		if (is_first(i))
			printf(" %.*s", (int)strcspn(verbs[i]->name, " "), verbs[i]->name);
	printf("\" ;;\n\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "\t[[ $cur == -* ]] || COMPREPLY+=($(compgen -f -- \"$cur\"))\n}\n"
	       "complete -o filenames -F _genvisor genvisor\n");
	return EXIT_OK;
}

const struct verb verb_completion = {
	.name = "completion", .args = "bash", .summary = "print a completion script for the shell",
	.text = "  source <(genvisor completion bash)\n",
	.opts = no_opts, .run = completion_run,
};
