/* faults.c - why502 on a system that serves it badly: the linker's --wrap puts these before the C library's
 *
 * WHY502_FAULTS is a list of NAME=N with commas between:
 *
 *     one=1           read() and write() move a byte at a time
 *     interrupt=N     N - 1 of N calls fail with EINTR, by chance (of seed=S)
 *     full=N          after N bytes in files that we opened ourselves: ENOSPC
 *     bad=N           read() fails with EIO from the N-th call on
 *     sync=1          fsync() fails with EIO
 *     signal=N        SIGTERM at the N-th call
 *     count=1         at the end standard error is told how many calls there were
 */
#include "../capture/span.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct faults { unsigned long one, interrupt, seed, full, bad, sync, signal, count; };

/* A linker's trick knows no context. */
static struct faults faults;
static atomic_ulong calls, reads, written, chance;

/* The names are the linker's. */
ssize_t __real_read(int fd, void *to, size_t n);
ssize_t __real_pread(int fd, void *to, size_t n, off_t at);
ssize_t __real_write(int fd, const void *bytes, size_t n);
int __real_poll(struct pollfd *fds, nfds_t n, int ms);
int __real_fsync(int fd);
ssize_t __real_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_read(int fd, void *to, size_t n);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __wrap_poll(struct pollfd *fds, nfds_t n, int ms);
int __wrap_fsync(int fd);
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);

static void tell_count(void)
{
	(void)fprintf(stderr, "calls: %lu\n", atomic_load(&calls));
}

/* Before main(): the environment is the test's. */
__attribute__((constructor)) static void faults_read(void)
{
	static const struct { const char *name; unsigned long *value; } names[] = {
		{ "one=", &faults.one }, { "interrupt=", &faults.interrupt }, { "seed=", &faults.seed }, { "full=", &faults.full },
		{ "bad=", &faults.bad }, { "sync=", &faults.sync }, { "signal=", &faults.signal }, { "count=", &faults.count },
	};
	const char *text = getenv("WHY502_FAULTS");

	for (; text != NULL && *text != '\0'; text += strcspn(text, ","), text += *text == ',')
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (strncmp(text, names[i].name, strlen(names[i].name)) == 0)
				*names[i].value = strtoul(text + strlen(names[i].name), NULL, 10);
	atomic_store(&chance, faults.seed * 2 + 1);
	if (faults.count != 0)
		(void)atexit(tell_count);
}

/* splitmix64, by Sebastiano Vigna: what comes next does not hang on what came before. */
static unsigned long draw(void)
{
	unsigned long x = atomic_fetch_add(&chance, 0x9e3779b97f4a7c15u);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Of one call: is it to fail with EINTR? */
static bool interrupted(void)
{
	unsigned long n = atomic_fetch_add(&calls, 1) + 1;

	if (n == faults.signal)
		(void)raise(SIGTERM);
	if (faults.interrupt < 2 || draw() % faults.interrupt == 0)
		return false;
	errno = EINTR;
	return true;
}

ssize_t __wrap_read(int fd, void *to, size_t n)
{
	if (interrupted())
		return -1;
	if (faults.bad != 0 && atomic_fetch_add(&reads, 1) + 1 >= faults.bad) {
		errno = EIO;
		return -1;
	}
	return __real_read(fd, to, faults.one != 0 && n > 1 ? 1 : n);
}

ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at)
{
	return interrupted() ? -1 : __real_pread(fd, to, n, at);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	ssize_t done;

	if (interrupted())
		return -1;
	if (faults.one != 0 && n > 1)
		n = 1;
	if (faults.full != 0 && fd > STDERR_FILENO) {
		unsigned long used = atomic_load(&written);

		if (used >= faults.full) {
			errno = ENOSPC;
			return -1;
		}
		n = n < faults.full - used ? n : faults.full - used;
	}
	done = __real_write(fd, bytes, n);
	if (done > 0 && fd > STDERR_FILENO)
		atomic_fetch_add(&written, (unsigned long)done);
	return done;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int ms)
{
	return interrupted() ? -1 : __real_poll(fds, n, ms);
}

int __wrap_fsync(int fd)
{
	if (interrupted())
		return -1;
	if (faults.sync == 0)
		return __real_fsync(fd);
	errno = EIO;
	return -1;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
	return interrupted() ? -1 : __real_recvmsg(fd, m, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return interrupted() ? -1 : __real_sendmsg(fd, m, flags);
}
