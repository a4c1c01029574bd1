/* keeper.c - one socket pair: a job's number there, an errno and perhaps a descriptor back */
#include "keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

struct keeper { int fd; };

/* What is asked for. */
struct errand { uint32_t job, which; };

/* Room for one descriptor beside the bytes, aligned as cmsg(3) wants it. */
union ancillary { struct cmsghdr align; char room[CMSG_SPACE(sizeof(int))]; };

/* ---- the keeper ----------------------------------------------------------------------------- */

static bool answer(int to, int why, int fd)
{
	union ancillary a = { .room = { 0 } };
	struct iovec bytes = { &why, sizeof why };
	struct msghdr m = { .msg_iov = &bytes, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = &a;
		m.msg_controllen = sizeof a;
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	do
		sent = sendmsg(to, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)sizeof why;
}

static bool next_errand(int from, struct errand *e)
{
	union { struct errand e; char bytes[sizeof(struct errand)]; } u;

	for (size_t at = 0; at < sizeof u; ) {
		ssize_t n = read(from, u.bytes + at, sizeof u - at);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	*e = u.e;
	return true;
}

static void serve(int to, const struct keeper_job *jobs, unsigned n)
{
	struct errand e;
	bool more = true;

	while (more && next_errand(to, &e)) {
		int fd = -1, why = e.job < n ? jobs[e.job].run(jobs[e.job].ctx, e.which, &fd) : EINVAL;

		more = answer(to, why, fd);
		if (fd >= 0)
			(void)close(fd);
	}
	for (unsigned i = 0; i < n; i++)
		if (jobs[i].end != NULL)
			jobs[i].end(jobs[i].ctx);
}

/* Who waits for the end of our standard output, or of a pipe that we read, waits for that process and not for this one. */
static void close_others(int kept)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)kept + 1, ~0U, 0U) == 0 && kept > 0)
		(void)syscall(SYS_close_range, 0U, (unsigned)kept - 1, 0U);
#endif
	for (int fd = 0; fd <= STDERR_FILENO; fd++)     /* kernels before 5.9: at least these */
		if (fd != kept)
			(void)close(fd);
}

/* ^C and kill go to whoever reads the capture; it tells us when it is done. */
static void keep(int to, const struct keeper_job *jobs, unsigned n)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE, SIGTSTP };
	struct rlimit none = { 0, 0 };

	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)setrlimit(RLIMIT_CORE, &none);
#ifdef __linux__
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
	(void)prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
	(void)prctl(PR_SET_NAME, "why502-keeper");
#endif
	close_others(to);
	serve(to, jobs, n);
	_exit(0);
}

/* ---- who asks it ---------------------------------------------------------------------------- */

struct keeper *keeper_start(const struct keeper_job *jobs, unsigned n, struct err *e)
{
	struct keeper *k = malloc(sizeof *k);
	int pair[2];
	pid_t child;

	if (k == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		(void)err_set(e, ERR_MEMORY, "a process that keeps the outputs: %s", strerror(errno));
		free(k);
		return NULL;
	}
	child = fork();
	if (child == 0) {
		(void)close(pair[0]);
		keep(pair[1], jobs, n);
	}
	(void)close(pair[1]);
	k->fd = pair[0];
	if (child > 0)
		return k;
	(void)err_set(e, ERR_MEMORY, "a process that keeps the outputs: %s", strerror(errno));
	(void)close(k->fd);
	free(k);
	return NULL;
}

int keeper_fd(const struct keeper *k)
{
	return k != NULL ? k->fd : -1;
}

static int take_descriptor(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static bool send_errand(int to, struct errand e)
{
	union { struct errand e; char bytes[sizeof(struct errand)]; } u = { e };

	for (size_t at = 0; at < sizeof u; ) {
		ssize_t n = write(to, u.bytes + at, sizeof u - at);

		if (n < 0 && errno != EINTR)
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

int keeper_run(struct keeper *k, unsigned job, uint32_t which, int *fd)
{
	struct errand errand = { job, which };
	union ancillary a = { .room = { 0 } };
	int why = EPIPE, got = -1;
	struct iovec bytes = { &why, sizeof why };
	struct msghdr m = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &a, .msg_controllen = sizeof a };
	ssize_t n;

	if (!send_errand(k->fd, errand))
		return EPIPE;
	do
		n = recvmsg(k->fd, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof why)
		return EPIPE;
	got = take_descriptor(&m);
	if (fd != NULL)
		*fd = got;
	else if (got >= 0)
		(void)close(got);
	return why;
}

/* Its end of the pair closes when it has ended. */
void keeper_end(struct keeper *k)
{
	char none;

	if (k == NULL)
		return;
	(void)shutdown(k->fd, SHUT_WR);
	while (read(k->fd, &none, 1) < 0 && errno == EINTR)
		;
	(void)close(k->fd);
	free(k);
}
