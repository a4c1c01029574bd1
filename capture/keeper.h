/* keeper.h - a process that still may open and rename, and never sees a packet
 *
 * Forked before the drop (sandbox.h) with a list of jobs. Whoever dropped can ask for one of them by its number and for
 * nothing else; the answer is an errno, and a descriptor where the job opens something.
 *
 *     struct keeper *k = keeper_start(jobs, n, &err);
 *     why = keeper_run(k, 2, 0, &fd);
 *     keeper_end(k);                          waits until it has cleared up
 *
 * It outlives our death, and then clears up too (`end` of each job).
 */
#ifndef WHY502_KEEPER_H
#define WHY502_KEEPER_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

/* Both run in the keeper. `run` returns 0 or errno; *fd is -1, or becomes a descriptor to hand over. `which` is one of a job's
 * many (the files of a directory); most have one. `end` may be NULL. */
struct keeper_job { int (*run)(void *ctx, uint32_t which, int *fd); void (*end)(void *ctx); void *ctx; };

enum { KEEPER_JOBS_MAX = 64 };

struct keeper;

/* NULL: e says why. The jobs' contexts are the keeper's own copies from here on. */
struct keeper *keeper_start(const struct keeper_job *jobs, unsigned n, struct err *e);
int keeper_fd(const struct keeper *k);          /* -1 for NULL */
int keeper_run(struct keeper *k, unsigned job, uint32_t which, int *fd);        /* EPIPE: it is gone. fd may be NULL where a job opens nothing */
void keeper_end(struct keeper *k);              /* NULL is allowed */

#endif
