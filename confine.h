/* confine.h - joins the sandbox, the keeper and what is open by then
 *
 *     confine_drop(&c, options, outputs, n, secrets, &err);    all is open, no thread runs
 *     decode_new(...);
 *     confine_close(&c, &err);                                 from here on packets may be read
 *     ...
 *     confine_end(&c);                                         after the outputs are closed
 */
#ifndef WHY502_CONFINE_H
#define WHY502_CONFINE_H

#include "capture/keeper.h"
#include "capture/secrets.h"
#include "extract.h"
#include "options.h"
#include "report/out.h"

#include <pthread.h>
#include <semaphore.h>

struct confine;
struct confined_output { struct confine *c; unsigned job; };
struct trial { const char *act; int why; bool threaded; pthread_t thread; sem_t go; };

/* Stays where it is between confine_drop() and confine_end(). */
struct confine {
	const struct options *options;
	struct sandbox sandbox;
	struct keeper *keeper;          /* NULL: nothing is left to open or rename */
	struct keeper_job jobs[KEEPER_JOBS_MAX];
	unsigned n_jobs;
	struct confined_output outputs[KEEPER_JOBS_MAX];
	struct keylog_place keylogs[KEEPER_JOBS_MAX];
	unsigned first_keylog_job, folder_open_job, folder_settle_job;
	bool begun;
	struct trial trial;             /* --selftest-sandbox */
};

/* Whether interfaces that go away can be opened again. */
bool confine_reopens(const struct options *o);
/* `follows`: key logs are read on, so one that is rotated must be opened. */
enum err_code confine_drop(struct confine *c, const struct options *o, struct out *const *outputs, unsigned n_outputs,
                           struct secrets *secrets, bool follows, struct extract *extract, struct err *e);
enum err_code confine_close(struct confine *c, struct err *e);
const char *confine_state(const struct confine *c);     /* "full", "partial", "off" */
const char *confine_lacks(const struct confine *c);     /* NULL: nothing that was not asked for */
int confine_try(struct confine *c);                     /* sandbox_try() of what was told, in a decoder's stead */
void confine_end(struct confine *c);

#endif
