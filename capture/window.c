#include "window.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Only what can be read twice has an end that is known beforehand. */
static const char *read_once(const struct source_options *o)
{
	struct stat st;

	for (unsigned i = 0; i < o->n_files; i++)
		if (strcmp(o->files[i], "-") == 0 || (stat(o->files[i], &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
			return o->files[i];
	return o->n_files == 0 ? "an interface" : NULL;
}

/* What cannot be read to its end ends there: the second reading says why. */
static bool find_end(const struct source_options *o, int64_t *last_ns, struct err *e)
{
	struct source_options all = *o;
	struct packet_batch *b = calloc(1, sizeof *b);
	struct err ignored = { .code = ERR_OK };
	struct source *s;

	all.filter = NULL;
	all.since = all.until = (struct moment){ MOMENT_NONE, 0 };
	s = b != NULL ? source_open(&all, e) : NULL;
	*last_ns = INT64_MIN;
	while (s != NULL && source_next(s, b, &ignored) == SOURCE_PACKETS)
		for (unsigned i = 0; i < b->n; i++)
			if (b->packets[i].time_ns > *last_ns)
				*last_ns = b->packets[i].time_ns;
	if (b != NULL)
		batch_clear(b);
	else
		(void)err_set(e, ERR_MEMORY, "no memory to read packets");
	free(b);
	source_close(s);
	return s != NULL;
}

bool window_begin(struct window *w, const struct source_options *o, struct err *e)
{
	const char *name = o->since.kind == MOMENT_FROM_END ? "since" : "until", *once;

	*w = (struct window){ .since = o->since, .until = o->until };
	if (o->since.kind != MOMENT_FROM_END && o->until.kind != MOMENT_FROM_END)
		return true;
	once = read_once(o);
	if (once != NULL)
		return err_set(e, ERR_OPTION, "--%s counts from the end, which is not known of %s: give a time, or +SECONDS from the start",
		               name, strcmp(once, "-") == 0 ? "standard input" : once) == ERR_OK;
	return find_end(o, &w->last_ns, e);
}

/* Times are input: what does not fit lies at the edge. */
static int64_t apart(int64_t from_ns, int64_t ns)
{
	int64_t at;

	return __builtin_add_overflow(from_ns, ns, &at) ? (ns < 0 ? INT64_MIN : INT64_MAX) : at;
}

static int64_t moment_ns(const struct window *w, const struct moment *m, int64_t first_ns, int64_t none)
{
	switch (m->kind) {
	case MOMENT_AT:
		return m->ns;
	case MOMENT_FROM_START:
		return apart(first_ns, m->ns);
	case MOMENT_FROM_END:
		return apart(w->last_ns, -m->ns);
	case MOMENT_NONE:
		break;
	}
	return none;
}

void window_mark(struct window *w, struct packet_batch *b)
{
	if (b->n == 0)
		return;
	if (!w->settled) {
		w->from_ns = moment_ns(w, &w->since, b->packets[0].time_ns, INT64_MIN);
		w->to_ns = moment_ns(w, &w->until, b->packets[0].time_ns, INT64_MAX);
		w->settled = true;
	}
	for (unsigned i = 0; i < b->n; i++)
		if (b->packets[i].time_ns < w->from_ns || b->packets[i].time_ns > w->to_ns)
			b->packets[i].filtered = true;
}
