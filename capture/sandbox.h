/* sandbox.h - after the drop this process reads what it has open, computes, writes to what it has open, and no more
 *
 *     sandbox_drop(&s, &options);     all is open, no thread runs yet: user, capabilities, paths (Landlock)
 *     ...                             the decoders' threads begin
 *     sandbox_close(&s);              system calls (seccomp) of all threads; from here on strangers' bytes may be read
 *     s.lacks[0] == '\0'              all of it holds; else what does not, as a sentence
 *
 * Landlock binds a thread and those it makes, so it comes before them. seccomp binds all there are, and making a thread is
 * one of the calls it leaves out, so it comes after. What is refused: to open, look up or connect anything answers EACCES,
 * since libraries try that of themselves; all else kills the process (SIGSYS).
 */
#ifndef WHY502_SANDBOX_H
#define WHY502_SANDBOX_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum sandbox_mode { SANDBOX_AUTO, SANDBOX_STRICT, SANDBOX_OFF };

/* Sanitizers and the coverage count open files and ask for what nobody else needs. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(WHY502_INSTRUMENTED)
#define SANDBOX_BY_DEFAULT SANDBOX_OFF
#else
#define SANDBOX_BY_DEFAULT SANDBOX_AUTO
#endif

struct sandbox_options {
	const char *user;               /* whom root becomes; NULL: nobody */
	bool reopens;                   /* interfaces that go away are opened again: packet sockets stay possible */
	int  keeper_fd;                 /* to speak to the keeper (keeper.h); -1: there is none */
};

struct sandbox {
	struct sandbox_options options;
	char lacks[256];                /* what does not hold, "; " between; "": nothing is lacking */
};

/* Before sandbox_drop(): is there such a user, and may we become it? */
enum err_code sandbox_check_user(const char *user, struct err *e);
void sandbox_drop(struct sandbox *s, const struct sandbox_options *o);
void sandbox_close(struct sandbox *s);

/* "Landlock 4, seccomp", "no Landlock, seccomp", ...: what is here. */
void sandbox_describe(char *text, size_t size);

/* Does what the sandbox forbids: open, socket, exec, fork, ptrace, setuid, mprotect. 0: it was possible; else errno. What is
 * killed does not return. */
int sandbox_try(const char *act);
bool sandbox_knows_act(const char *act);

#endif
