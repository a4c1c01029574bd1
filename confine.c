#include "confine.h"

#include <errno.h>
#include <string.h>

bool confine_reopens(const struct options *o)
{
	if (o->sandbox == SANDBOX_OFF)
		return true;
	for (unsigned i = 0; i < o->interfaces.n; i++)
		if (strcmp(o->interfaces.at[i], "any") != 0)    /* that one never goes away */
			return o->sandbox != SANDBOX_STRICT;
	return false;
}

/* ---- the keeper's jobs ----------------------------------------------------------------------- */

static int job_rename(void *ctx, uint32_t which, int *fd)
{
	(void)which;
	*fd = -1;
	return out_settle(ctx, true);
}

static void job_remove(void *ctx)
{
	(void)out_settle(ctx, false);           /* nothing where it has its name */
}

static int job_keylog(void *ctx, uint32_t which, int *fd)
{
	(void)which;
	return keylog_open(ctx, fd);
}

static int ask_rename(void *ctx)
{
	const struct confined_output *o = ctx;

	return keeper_run(o->c->keeper, o->job, 0, NULL);
}

static int ask_keylog(void *ctx, unsigned file, int *fd)
{
	struct confine *c = ctx;

	return keeper_run(c->keeper, c->first_keylog_job + file, 0, fd);
}

static void add_outputs(struct confine *c, struct out *const *outputs, unsigned n)
{
	for (unsigned i = 0; i < n && c->n_jobs < KEEPER_JOBS_MAX; i++) {
		struct confined_output *o = &c->outputs[c->n_jobs];

		if (!out_is_temporary(outputs[i]))
			continue;
		*o = (struct confined_output){ c, c->n_jobs };
		c->jobs[c->n_jobs++] = (struct keeper_job){ job_rename, job_remove, outputs[i] };
		out_settled_by(outputs[i], ask_rename, o);
	}
}

static void add_keylogs(struct confine *c, struct secrets *secrets)
{
	unsigned n = secrets_files(secrets);

	c->first_keylog_job = c->n_jobs;
	for (unsigned i = 0; i < n && c->n_jobs < KEEPER_JOBS_MAX; i++) {
		c->keylogs[i] = secrets_place(secrets, i);
		c->jobs[c->n_jobs++] = (struct keeper_job){ job_keylog, NULL, &c->keylogs[i] };
	}
	if (n > 0)
		secrets_opened_by(secrets, ask_keylog, c);
}

static int ask_folder_open(void *ctx, uint32_t which, int *fd)
{
	struct confine *c = ctx;

	return keeper_run(c->keeper, c->folder_open_job, which, fd);
}

static int ask_folder_settle(void *ctx, uint32_t which, int *fd)
{
	struct confine *c = ctx;

	return keeper_run(c->keeper, c->folder_settle_job, which, fd);
}

/* Outputs and key logs are fewer than there is room for jobs. */
static void add_folder(struct confine *c, struct extract *x)
{
	if (c->n_jobs + 2 > KEEPER_JOBS_MAX)
		return;
	c->folder_open_job = c->n_jobs++;
	c->folder_settle_job = c->n_jobs++;
	c->jobs[c->folder_open_job] = (struct keeper_job){ folder_open, folder_end, &x->folder };
	c->jobs[c->folder_settle_job] = (struct keeper_job){ folder_settle, NULL, &x->folder };
	x->open = ask_folder_open;
	x->settle = ask_folder_settle;
	x->ctx = c;
}

/* ---- --selftest-sandbox ----------------------------------------------------------------------- */

static void *trial_main(void *ctx)
{
	struct trial *t = ctx;

	while (sem_wait(&t->go) != 0)
		;
	t->why = sandbox_try(t->act);
	return NULL;
}

/* As the decoders' threads: begun before the system calls are closed, and bound by it all the same. */
static void trial_begin(struct confine *c)
{
	struct trial *t = &c->trial;

	t->act = c->options->selftest;
	t->threaded = t->act != NULL && c->options->threads != 1 && sem_init(&t->go, 0, 0) == 0 &&
	              pthread_create(&t->thread, NULL, trial_main, t) == 0;
}

int confine_try(struct confine *c)
{
	struct trial *t = &c->trial;

	if (!t->threaded)
		return sandbox_try(t->act);
	(void)sem_post(&t->go);
	(void)pthread_join(t->thread, NULL);
	return t->why;
}

/* ---- in order --------------------------------------------------------------------------------- */

enum err_code confine_drop(struct confine *c, const struct options *o, struct out *const *outputs, unsigned n_outputs,
                           struct secrets *secrets, bool follows, struct extract *extract, struct err *e)
{
	struct sandbox_options options = { .user = o->user, .reopens = confine_reopens(o), .keeper_fd = -1 };

	*c = (struct confine){ .options = o };
	if (o->sandbox == SANDBOX_OFF) {
		trial_begin(c);
		return ERR_OK;
	}
	add_outputs(c, outputs, n_outputs);
	if (follows)
		add_keylogs(c, secrets);
	if (o->write_each != NULL)
		add_folder(c, extract);
	if (c->n_jobs > 0 && (c->keeper = keeper_start(c->jobs, c->n_jobs, e)) == NULL)
		return e->code;
	options.keeper_fd = keeper_fd(c->keeper);
	c->begun = true;
	sandbox_drop(&c->sandbox, &options);
	trial_begin(c);
	return ERR_OK;
}

enum err_code confine_close(struct confine *c, struct err *e)
{
	if (!c->begun)
		return ERR_OK;
	sandbox_close(&c->sandbox);
	if (c->options->sandbox == SANDBOX_STRICT && c->sandbox.lacks[0] != '\0')
		return err_set(e, ERR_OPTION, "--sandbox strict: %s", c->sandbox.lacks);
	return ERR_OK;
}

const char *confine_state(const struct confine *c)
{
	return !c->begun ? "off" : c->sandbox.lacks[0] != '\0' ? "partial" : "full";
}

const char *confine_lacks(const struct confine *c)
{
	return c->begun && c->sandbox.lacks[0] != '\0' ? c->sandbox.lacks : NULL;
}

void confine_end(struct confine *c)
{
	keeper_end(c->keeper);
	c->keeper = NULL;
}
