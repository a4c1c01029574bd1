/* sandbox.c - privileges dropped, paths and system calls closed off
 *
 * Where a part is not to be had (an old kernel, a container that forbids it), the rest still holds, and
 * what is lacking is said.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#if defined(__linux__) && __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#define HAVE_LANDLOCK 1
#endif
#ifdef HAVE_LIBSECCOMP
#include <seccomp.h>
#endif

enum { NOBODY = 65534 };                /* where no user has that name, it is this number */

static void lacks(struct sandbox *s, const char *what)
{
	size_t used = strlen(s->lacks);

	(void)snprintf(s->lacks + used, sizeof s->lacks - used, "%s%s", used > 0 ? "; " : "", what);
}

/* ---- user and capabilities ------------------------------------------------------------------ */

enum err_code sandbox_check_user(const char *user, struct err *e)
{
	if (user == NULL)
		return ERR_OK;
	if (geteuid() != 0)
		return err_set(e, ERR_OPTION, "--user %s: only root can become another user", user);
	if (getpwnam(user) == NULL)
		return err_set(e, ERR_OPTION, "--user %s: there is no such user", user);
	return ERR_OK;
}

static bool become(uid_t uid, gid_t gid)
{
	return setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0;
}

static void drop_user(struct sandbox *s)
{
	const char *name = s->options.user != NULL ? s->options.user : "nobody";
	const struct passwd *p;
	uid_t uid = NOBODY;
	gid_t gid = NOBODY;

	if (geteuid() != 0)
		return;
	p = getpwnam(name);
	if (p != NULL) {
		uid = p->pw_uid;
		gid = p->pw_gid;
	}
	if (uid == 0)
		lacks(s, "still root, as told");
	else if (!become(uid, gid) || setuid(0) == 0)
		lacks(s, "still root, which could not be left");
}

#ifdef __linux__
/* Of all capabilities at most `kept` stays; CAP_LAST_CAP is the headers', the kernel may know more. */
static void drop_capabilities(struct sandbox *s, uint32_t kept)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = kept, .permitted = kept } };

	if (syscall(SYS_capset, &head, data) != 0) {
		memset(data, 0, sizeof data);   /* what we do not have we cannot keep */
		if (syscall(SYS_capset, &head, data) != 0)
			lacks(s, "capabilities could not be cleared");
	}
}

/* Needs CAP_SETPCAP, so it comes first; without it there is nothing in the bounding set that no_new_privs lets us reach. */
static void drop_bounding_set(void)
{
	for (unsigned long capability = 0; capability < 64; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
			break;
}

static void drop_privileges(struct sandbox *s)
{
	uint32_t kept = s->options.reopens ? (uint32_t)1 << CAP_NET_RAW : 0;

	drop_bounding_set();
	(void)prctl(PR_SET_KEEPCAPS, kept != 0 ? 1UL : 0UL, 0, 0, 0);
	drop_user(s);
	drop_capabilities(s, kept);
	(void)prctl(PR_SET_KEEPCAPS, 0UL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
		lacks(s, "no no_new_privs in this kernel");
	(void)prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
}
#else
static void drop_privileges(struct sandbox *s)
{
	drop_user(s);
}
#endif

/* ---- paths: Landlock ------------------------------------------------------------------------ */

#ifdef HAVE_LANDLOCK
/* The kernel's own words (include/uapi/linux/landlock.h), since headers may be older than the kernel we meet. */
#define PATHS_OF_1   ((UINT64_C(1) << 13) - 1)  /* execute … make_sym */
#define PATH_REFER   (UINT64_C(1) << 13)        /* 2 */
#define PATH_TRUNC   (UINT64_C(1) << 14)        /* 3 */
#define PATH_IOCTL   (UINT64_C(1) << 15)        /* 5 */
#define NET_TCP      UINT64_C(3)                /* 4: bind, connect */
#define SCOPES       UINT64_C(3)                /* 6: abstract sockets, signals */

/* What landlock_create_ruleset(2) takes; an old kernel is told only of the fields it has. */
struct ruleset { uint64_t paths, net, scopes; };

static int landlock_version(void)
{
	long n = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, 1U /* LANDLOCK_CREATE_RULESET_VERSION */);

	return n > 0 ? (int)n : 0;
}

/* A ruleset without a rule: nothing below any path, no TCP, nobody outside. */
static bool close_paths(int version)
{
	struct ruleset r = {
		.paths = PATHS_OF_1 | (version >= 2 ? PATH_REFER : 0) | (version >= 3 ? PATH_TRUNC : 0) | (version >= 5 ? PATH_IOCTL : 0),
		.net = version >= 4 ? NET_TCP : 0, .scopes = version >= 6 ? SCOPES : 0,
	};
	size_t size = version >= 6 ? sizeof r : version >= 4 ? 16 : 8;
	long fd = syscall(SYS_landlock_create_ruleset, &r, size, 0U);
	bool good = fd >= 0 && syscall(SYS_landlock_restrict_self, (int)fd, 0U) == 0;

	if (fd >= 0)
		(void)close((int)fd);
	return good;
}
#else
static int landlock_version(void) { return 0; }
static bool close_paths(int version) { (void)version; return false; }
#endif

void sandbox_drop(struct sandbox *s, const struct sandbox_options *o)
{
	struct rlimit none = { 0, 0 };
	int version = landlock_version();

	*s = (struct sandbox){ .options = *o };
	drop_privileges(s);
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		lacks(s, "core dumps could not be turned off");
	if (version == 0)
		lacks(s, "no Landlock in this kernel");
	else if (!close_paths(version))
		lacks(s, "Landlock could not be used");
}

/* ---- system calls: seccomp ------------------------------------------------------------------ */

#ifdef HAVE_LIBSECCOMP
/* What the report needs once all is open. By name: which number a call has, and whether there is such a call, is the
 * machine's. */
static const char *const allowed[] = {
	"read", "readv", "pread64", "write", "writev", "lseek", "_llseek", "close", "fsync", "fdatasync", "fstat", "fstat64", "fadvise64",
	"poll", "ppoll", "ppoll_time64", "select", "pselect6", "getsockopt", "getsockname", "recvfrom",
	"brk", "munmap", "mremap", "madvise", "futex", "futex_time64", "set_robust_list", "membarrier",
	"clock_gettime", "clock_gettime64", "clock_getres", "gettimeofday", "time", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep",
	"rt_sigreturn", "sigreturn", "rt_sigprocmask", "rt_sigaction", "restart_syscall", "exit", "exit_group",
	/* A thread that was made before and has not begun: glibc 2.36 aborts where it worked for the first one and fails here. */
	"rseq",
	"getrandom", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "sched_yield", "sched_getaffinity", "getcpu", "sysinfo", "uname",
};

/* Asked by libraries of themselves, and harmless once refused. */
static const char *const refused[] = {
	"open", "openat", "creat", "access", "faccessat", "stat", "stat64", "lstat", "lstat64", "readlink", "readlinkat", "getcwd", "connect",
};

/* Tried first by newer C libraries, which do without them. */
static const char *const unknown[] = { "openat2", "faccessat2", "clone3", "statx", "futex_waitv" };

/* From pidfd_send_signal on a call has the same number on all machines; up to here those are answered that we do not know. */
enum { NEWER_FIRST = 424, NEWER_LAST = 511 };

static bool add_names(scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);

		/* Not for this machine: libseccomp gives it a negative number, and leaves it out. */
		if (call != __NR_SCMP_ERROR)
			good = good && seccomp_rule_add(f, action, call, 0) == 0;
	}
	return good;
}

static bool is_listed(int call)
{
	for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
		if (seccomp_syscall_resolve_name(allowed[i]) == call)
			return true;
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
		if (seccomp_syscall_resolve_name(unknown[i]) == call)
			return true;
	return false;
}

static bool add_newer(scmp_filter_ctx f)
{
	bool good = true;

	for (int call = NEWER_FIRST; call <= NEWER_LAST; call++)
		if (!is_listed(call))
			good = good && seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0;
	return good;
}

#define ALLOW(f, call, n, ...) (seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(call), n, __VA_ARGS__) == 0)

#define REFUSE(f, call, n, ...) (seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(call), n, __VA_ARGS__) == 0)

/* Calls that are harmless with these arguments alone. */
static bool add_with_arguments(scmp_filter_ctx f)
{
	bool good = ALLOW(f, mmap, 1, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	good &= ALLOW(f, mmap2, 1, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	good &= ALLOW(f, mprotect, 1, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* fstat() of newer C libraries has no path, only the descriptor; one with a path is refused. */
	good &= ALLOW(f, newfstatat, 1, SCMP_A3_32(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	good &= ALLOW(f, fstatat64, 1, SCMP_A3_32(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	good &= REFUSE(f, newfstatat, 1, SCMP_A3_32(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0));
	good &= REFUSE(f, fstatat64, 1, SCMP_A3_32(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0));
	/* raise(), abort(); a second ^C. */
	good &= ALLOW(f, tgkill, 1, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
	/* isatty(), and how wide it is. TIOCSTI types for its user: not that one. */
	good &= ALLOW(f, ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, TCGETS));
	good &= ALLOW(f, ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, TIOCGWINSZ));
#ifdef PACKET_RX_RING
	/* libpcap asks whether an interface is down or gone, and closes it: its ring goes first. */
	good &= ALLOW(f, ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, SIOCGIFFLAGS));
	good &= ALLOW(f, setsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, SOL_PACKET), SCMP_A2_32(SCMP_CMP_EQ, PACKET_RX_RING));
#endif
	good &= ALLOW(f, fcntl, 1, SCMP_A1_32(SCMP_CMP_EQ, F_GETFL));
	good &= ALLOW(f, fcntl64, 1, SCMP_A1_32(SCMP_CMP_EQ, F_GETFL));
	return good;
}

static bool add_keeper(scmp_filter_ctx f, int fd)
{
	return fd < 0 || (ALLOW(f, recvmsg, 1, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)fd)) &&
	                  ALLOW(f, shutdown, 1, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)fd)));
}

/* A family at a time: a rule without arguments would stand above those with. */
static bool add_sockets(scmp_filter_ctx f, bool reopens)
{
	bool good = true;

	if (!reopens)
		return seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 0) == 0;
	for (uint32_t family = 0; family < AF_PACKET; family++)
		if (family != AF_UNIX)
			good &= REFUSE(f, socket, 1, SCMP_A0_32(SCMP_CMP_EQ, family));
	/* AF_UNIX, raw: libpcap asks its ioctls of such a one; connect() stays refused. */
	good &= ALLOW(f, socket, 1, SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX)) && ALLOW(f, socket, 1, SCMP_A0_32(SCMP_CMP_EQ, AF_PACKET));
	return good && REFUSE(f, socket, 1, SCMP_A0_32(SCMP_CMP_GT, AF_PACKET));
}

/* What libpcap does to open an interface (1.10.3, measured). Its ioctls are those of interfaces, and what of them would
 * change one needs a capability that is gone. */
static bool add_reopening(scmp_filter_ctx f)
{
	static const char *const calls[] = { "setsockopt", "bind", "eventfd2", "fcntl" };

	return add_names(f, SCMP_ACT_ALLOW, calls, sizeof calls / sizeof calls[0]) &&
	       ALLOW(f, ioctl, 1, SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xffffff00U, 0x8900U));
}

static bool add_all(const struct sandbox *s, scmp_filter_ctx f)
{
	/* No slower for it: speculation matters to those who run code of strangers, and we do not. */
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
	return seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
	       add_names(f, SCMP_ACT_ALLOW, allowed, sizeof allowed / sizeof allowed[0]) &&
	       (!s->options.reopens || add_reopening(f)) && add_sockets(f, s->options.reopens) &&
	       add_names(f, SCMP_ACT_ERRNO(EACCES), refused, sizeof refused / sizeof refused[0]) &&
	       add_names(f, SCMP_ACT_ERRNO(ENOSYS), unknown, sizeof unknown / sizeof unknown[0]) &&
	       add_newer(f) && add_with_arguments(f) && add_keeper(f, s->options.keeper_fd);
}

static void close_calls(struct sandbox *s)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (f == NULL || !add_all(s, f) || seccomp_load(f) != 0)
		lacks(s, "seccomp could not be used");
	seccomp_release(f);
}
#else
static void close_calls(struct sandbox *s)
{
	lacks(s, "built without libseccomp");
}
#endif

void sandbox_close(struct sandbox *s)
{
	struct rlimit none = { 0, 0 };

	/* Threads count too: so not before they are there. */
	if (setrlimit(RLIMIT_NPROC, &none) != 0)
		lacks(s, "new processes could not be forbidden");
	close_calls(s);
	if (s->options.reopens)
		lacks(s, "interfaces may be opened again");
}

void sandbox_describe(char *text, size_t size)
{
	int version = landlock_version();
	char landlock[32] = "no Landlock";

	if (version > 0)
		(void)snprintf(landlock, sizeof landlock, "Landlock %d", version);
#ifdef HAVE_LIBSECCOMP
	const struct scmp_version *v = seccomp_version();

	(void)snprintf(text, size, "%s, libseccomp %u.%u.%u%s", landlock, v->major, v->minor, v->micro,
	               SANDBOX_BY_DEFAULT == SANDBOX_OFF ? ", off by default in this build" : "");
#else
	(void)snprintf(text, size, "%s, no libseccomp%s", landlock,
	               SANDBOX_BY_DEFAULT == SANDBOX_OFF ? ", off by default in this build" : "");
#endif
}

/* ---- the proof ------------------------------------------------------------------------------ */

static int try_open(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)close(fd);
	return fd < 0 ? errno : 0;
}

static int try_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		(void)close(fd);
	return fd < 0 ? errno : 0;
}

static int wait_for(pid_t child)
{
	int status = 0;

	if (child < 0)
		return errno;
	(void)waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static int try_fork(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	return wait_for(child);
}

/* In a child where one can be made, since it would be us no more. */
static int try_exec(void)
{
	static char name[] = "/bin/true";
	char *const argv[] = { name, NULL };

	(void)execve(name, argv, argv + 1);
	return errno;
}

static int try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static int try_setuid(void)
{
	return setuid(0) != 0 ? errno : 0;
}

static int try_mprotect(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int why;

	if (page == MAP_FAILED)
		return errno;
	why = mprotect(page, size, PROT_READ | PROT_EXEC) != 0 ? errno : 0;
	(void)munmap(page, size);
	return why;
}

static const struct act { const char *name; int (*run)(void); } acts[] = {
	{ "open", try_open }, { "socket", try_socket }, { "exec", try_exec }, { "fork", try_fork }, { "ptrace", try_ptrace },
	{ "setuid", try_setuid }, { "mprotect", try_mprotect },
};

static const struct act *act_named(const char *name)
{
	for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
		if (strcmp(acts[i].name, name) == 0)
			return &acts[i];
	return NULL;
}

bool sandbox_knows_act(const char *act)
{
	return act_named(act) != NULL;
}

int sandbox_try(const char *act)
{
	const struct act *a = act_named(act);

	return a != NULL ? a->run() : EINVAL;
}
