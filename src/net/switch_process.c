/*
 * switch_process.c - how the process of a shared switch begins, is found, and ends
 *
 * In the meeting place (places.h) each switch has NAME.lock, which its process
 * holds as long as it lives, and NAME.sock.  Who wants to plug in connects; if
 * nobody answers he starts "genvisor switch run NAME", which takes the lock
 * or, when another was faster, leaves at once; then he connects again.  A
 * socket without a process behind it refuses, and the next process makes a
 * new one.
 *
 * Lock     none
 */
#include "net/places.h"
#include "net/switchd.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REACH_NS (5 * NS_PER_SEC)
#define RETRY_NS (NS_PER_SEC / 50)

extern char **environ;

int switch_connect(const char *name, struct err *err)
{
	struct place p;
	int rc = place_runtime(&p, err);

	if (rc < 0)
		return rc;
	rc = place_connect(&p, name, err);
	place_close(&p);
	return rc;
}

/* ---- starting --------------------------------------------------------------- */

/* "genvisor switch run NAME" with its complaints into OUT; its process. */
static int spawn(const char *name, int out, pid_t *ret_pid)
{
	char *argv[] = { (char[]){ "genvisor" }, (char[]){ "switch" }, (char[]){ "run" }, strdup(name), NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	if (argv[3] == NULL)
		return -ENOMEM;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&files, STDIN_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	rc = -posix_spawn(ret_pid, "/proc/self/exe", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	free(argv[3]);
	return rc;
}

/* What it says until it closes that end, as one line without "genvisor: ". */
static void read_line(int fd, char *line, size_t room)
{
	static const char ours[] = "genvisor: ";
	size_t n = 0;
	ssize_t got;

	while (n + 1 < room && ((got = read(fd, line + n, room - 1 - n)) > 0 || (got < 0 && errno == EINTR)))
		n += got > 0 ? (size_t)got : 0;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, ours, strlen(ours)) == 0)
		memmove(line, line + strlen(ours), strlen(line) + 1 - strlen(ours));
}

static int start(const char *name, struct err *err)
{
	char line[480];
	int p[2], rc, status;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(err, -errno, "switch %s: %s", name, strerror(errno));
	rc = spawn(name, p[1], &pid);
	close(p[1]);
	if (rc < 0) {
		close(p[0]);
		return err_set(err, rc, "switch %s: cannot be started: %s", name, strerror(-rc));
	}
	read_line(p[0], line, sizeof(line));
	close(p[0]);
	while ((rc = (int)waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	if (rc < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return 0;
	return err_set(err, -EIO, "%s", line[0] != '\0' ? line : "the switch's process died before it began");
}

int switch_reach(const char *name, struct err *err)
{
	uint64_t until = base_monotonic_ns() + REACH_NS;
	const struct timespec pause = { .tv_nsec = (long)RETRY_NS };

	for (;;) {
		int rc = switch_connect(name, err);

		if (rc != -ENOENT)
			return rc;
		if (base_monotonic_ns() > until)
			return err_set(err, -ETIMEDOUT, "switch %s: its process does not listen", name);
		rc = start(name, err);
		if (rc < 0)
			return rc;
		rc = switch_connect(name, err);
		if (rc != -ENOENT)
			return rc;
		nanosleep(&pause, NULL);	/* an old process is on its way out */
	}
}

/* ---- being ------------------------------------------------------------------ */

/* 0: it is ours as long as *RET_FD is open; 1: another has it. */
static int take_lock(const struct place *p, const char *name, int *ret_fd, struct err *err)
{
	char file[SWITCH_NAME_MAX + 8];
	int fd, rc;

	snprintf(file, sizeof(file), "%s.lock", name);
	fd = openat(p->fd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, -errno, "%s/%s: %s", p->path, file, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*ret_fd = fd;
		return 0;
	}
	rc = errno == EWOULDBLOCK ? 1 : err_set(err, -errno, "%s/%s: %s", p->path, file, strerror(errno));
	close(fd);
	return rc;
}

/* SIGTERM and its kin as something to poll. */
static int quit_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* From here on nobody listens to what we say, nor waits for us. */
static void leave_terminal(const struct place *p, const char *name)
{
	char file[SWITCH_NAME_MAX + 8];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), log;

	snprintf(file, sizeof(file), "%s.log", name);
	log = openat(p->fd, file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	if (log >= 0)
		close(log);
	close(null);
}

/* The switch by its definition, on LISTEN (taken). */
static int make(const char *name, int listen, struct switchd **ret_d, struct err *err)
{
	struct switch_def def;
	int rc = switch_def_load(name, &def, err);

	if (rc == 0)
		return switchd_new(&def, listen, ret_d, err);
	close(listen);
	return rc;
}

/*
 * Who changes the definition and then finds somebody who listens tells him; so what is
 * read from then on is the last, or one that we shall be told to read again.
 */
static int live(const struct place *p, const char *name, bool detached, struct err *err)
{
	struct switchd *d;
	int quit = quit_signals(), s = place_listen(p, name, err), rc;

	rc = s >= 0 ? make(name, s, &d, err) : s;
	if (rc == 0) {
		if (detached)
			leave_terminal(p, name);
		switchd_run(d, detached ? SWITCHD_IDLE_NS : 0, quit);
	}
	/* First the name, so that who comes now finds that there is none; then the rest. */
	if (s >= 0)
		place_unlisten(p, name);
	if (rc == 0)
		switchd_free(d);
	if (quit >= 0)
		close(quit);
	return rc;
}

/* The child's: its last words go where the parent's would have. */
NORETURN static void live_and_exit(const struct place *p, const char *name)
{
	struct err err = { "" };
	int rc = live(p, name, true, &err);

	if (rc < 0)
		fprintf(stderr, "genvisor: %s\n", err.msg);
	fflush(stderr);
	_exit(rc < 0);
}

/*
 * The parent waits until the child has left the terminal: its end of the pipe is the
 * child's last descriptor of that.
 */
static int fork_and_wait(const struct place *p, const char *name, struct err *err)
{
	char line[480];
	int pipe[2], status;
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_set(err, -errno, "switch %s: %s", name, strerror(errno));
	pid = fork();
	if (pid == 0) {
		setsid();
		dup2(pipe[1], STDERR_FILENO);
		close(pipe[0]);
		close(pipe[1]);
		live_and_exit(p, name);
	}
	close(pipe[1]);
	if (pid < 0) {
		close(pipe[0]);
		return err_set(err, -errno, "switch %s: %s", name, strerror(errno));
	}
	read_line(pipe[0], line, sizeof(line));
	close(pipe[0]);
	if (line[0] == '\0' && waitpid(pid, &status, WNOHANG) == 0)
		return 0;
	return err_set(err, -EIO, "%s", line[0] != '\0' ? line : "the switch's process died before it began");
}

int switch_become(const char *name, bool detach, struct err *err)
{
	struct switch_def def;
	struct place p;
	int rc = switch_def_load(name, &def, err), lock = -1;

	/* A switch that is not there, or not as it should be, leaves no trace. */
	if (rc < 0)
		return rc;
	switch_def_fini(&def);
	rc = place_runtime(&p, err);
	if (rc < 0)
		return rc;
	rc = take_lock(&p, name, &lock, err);
	if (rc != 0)
		goto out_place;
	if (detach)
		rc = fork_and_wait(&p, name, err);
	else
		rc = live(&p, name, false, err);
	close(lock);
out_place:
	place_close(&p);
	return rc;
}
