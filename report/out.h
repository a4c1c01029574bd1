/* out.h - where a report goes: standard output, a new file, or memory (tests)
 *
 *     struct out *o = out_file("report.json", false, &err);
 *     out_text(o, "{}\n");
 *     out_close(o, &err);                     the file appears under its name, whole, or not at all
 *
 * Writes are collected in 64 KiB. A failed write sticks: what follows is dropped, out_close() says so.
 * Files are new (0600, never through a link), written under a temporary name beside it, synced and renamed.
 */
#ifndef WHY502_OUT_H
#define WHY502_OUT_H

#include "../capture/err.h"
#include "../capture/span.h"

struct out;

struct out *out_fd(int fd);                     /* not closed by out_close(); NULL: no memory */
struct out *out_memory(void);
/* Refuses an existing file unless `force`. A device or a pipe is written in place. */
struct out *out_file(const char *path, bool force, struct err *e);

/* A file that is open already and gets its name from `settle` (see below). NULL: no memory, and fd is closed. */
struct out *out_given(int fd, const char *path, int (*settle)(void *ctx), void *ctx);

void out_bytes(struct out *o, struct span s);
void out_text(struct out *o, const char *text);
void out_char(struct out *o, char c);
void out_format(struct out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));    /* at most 1 KiB */
void out_flush(struct out *o);

uint64_t out_total(const struct out *o);        /* bytes so far */
bool out_broken(const struct out *o);           /* a write failed */
struct span out_written(const struct out *o);   /* memory: all of it so far */

/* Renames a file to its name, or, where `good` is false, removes what was written; once. Returns 0 or errno. out_close() does
 * it by itself, or by `settle` where this process may touch no path any more; that one gets no call for a file that failed. */
int out_settle(struct out *o, bool good);
void out_settled_by(struct out *o, int (*settle)(void *ctx), void *ctx);
bool out_is_temporary(const struct out *o);     /* a file that is not under its name yet */

/* It will not be whole: out_close() removes it, and has nothing to complain of. */
void out_discard(struct out *o);

/* Flushes, commits and frees. ERR_OK also where the reader of a pipe went away. */
enum err_code out_close(struct out *o, struct err *e);

#endif
