/* merge.c - several saved captures as one, by time stamp */
#include "merge.h"
#include "mix.h"

#include <stdlib.h>

struct member {
	struct lane lane;               /* first: a lane of ours is its member */
	struct reader *reader;
	bool     over;                  /* read to its end, or to its fault */
	bool     probed;
	int64_t  first_ns;              /* of its first packet; 0: it has none, or a fault before it */
	uint64_t kernel_dropped, interface_dropped;     /* once read to its end */
};

struct merge {
	struct member *members;
	unsigned n;
	unsigned *order;                /* members by first_ns, then as given */
	unsigned n_begun;               /* of them, in that order */
	struct lane **active;           /* of members that have begun and not ended, as given */
	unsigned n_active;
	bool ordered;
	struct interface_table *interfaces;
	const volatile sig_atomic_t *stop;
	struct mix mix;
	struct err fault;               /* the first; told when all the rest is read */
};

/* ---- which file begins when ---- */

/* Reads the first packet of a file; a pipe keeps it, a file begins again later. */
static enum source_status probe(struct merge *m, struct member *k)
{
	struct reader *r = k->reader;
	struct interface_table scratch = { .rows = NULL };
	source_secrets_fn *on_secrets = r->on_secrets;
	struct err ignored = { .code = ERR_OK };
	enum source_status status;

	if (input_is_pipe(r->input)) {
		status = reader_next(r, &k->lane.batch, &ignored);
	} else {
		r->interfaces = &scratch;
		r->on_secrets = NULL;
		status = reader_next(r, &k->lane.batch, &ignored);
		r->interfaces = m->interfaces;
		r->on_secrets = on_secrets;
		interface_table_clear(&scratch);
	}
	if (status == SOURCE_TICK)
		return status;
	k->first_ns = status == SOURCE_PACKETS ? k->lane.batch.packets[0].time_ns : 0;
	k->probed = true;
	if (reader_rewind(r))
		lane_clear(&k->lane);
	return status;
}

static void put_in_order(struct merge *m)
{
	for (unsigned i = 0; i < m->n; i++) {
		unsigned at = i;

		/* Insertion: files are mostly given in order already. */
		for (; at > 0 && m->members[m->order[at - 1]].first_ns > m->members[i].first_ns; at--)
			m->order[at] = m->order[at - 1];
		m->order[at] = i;
	}
	m->ordered = true;
}

/* False: a pipe has not told its first packet yet. */
static bool learn_order(struct merge *m)
{
	for (unsigned i = 0; i < m->n && !m->ordered; i++)
		if (!m->members[i].probed && probe(m, &m->members[i]) == SOURCE_TICK)
			return false;
	if (!m->ordered)
		put_in_order(m);
	return true;
}

/* ---- packets ---- */

/* It stays open, holding no memory to speak of: merge_again(). */
static void member_end(struct member *k)
{
	reader_drops(k->reader, &k->kernel_dropped, &k->interface_dropped);
	(void)reader_rewind(k->reader);
	k->over = true;
}

/* First packet of the file that begins next; INT64_MAX: all have. */
static int64_t next_begins_ns(const struct merge *m)
{
	return m->n_begun < m->n ? m->members[m->order[m->n_begun]].first_ns : INT64_MAX;
}

/* Every active member gets packets to look at. TICK: a pipe has none yet. */
static enum source_status refill(struct merge *m)
{
	for (unsigned i = 0; i < m->n_active; ) {
		struct lane *l = m->active[i];
		struct member *k = (struct member *)l;
		enum source_status status = SOURCE_PACKETS;

		if (lane_is_empty(l)) {
			lane_clear(l);
			status = reader_next(k->reader, &l->batch, &m->fault);
		}
		if (status == SOURCE_TICK)
			return status;
		if (status == SOURCE_PACKETS) {
			i++;
			continue;
		}
		member_end(k);
		m->n_active--;
		memmove(&m->active[i], &m->active[i + 1], (m->n_active - i) * sizeof(struct lane *));
	}
	return SOURCE_PACKETS;
}

/* The next file begins. Of equal times the file given first goes first, so its lane has its place. */
static void begin_next(struct merge *m)
{
	struct lane *l = &m->members[m->order[m->n_begun++]].lane;
	unsigned at = m->n_active++;

	for (; at > 0 && m->active[at - 1] > l; at--)
		m->active[at] = m->active[at - 1];
	m->active[at] = l;
}

/* Lets all files begin that are due. END: none is left. */
static enum source_status advance(struct merge *m)
{
	for (;;) {
		enum source_status status = refill(m);
		const struct lane *l;

		if (status != SOURCE_PACKETS)
			return status;
		l = lanes_earliest(m->active, m->n_active);
		if (m->n_begun == m->n || (l != NULL && lane_next_ns(l) < next_begins_ns(m)))
			return l != NULL ? SOURCE_PACKETS : SOURCE_END;
		begin_next(m);
	}
}

static enum source_status next_of_many(struct merge *m, struct packet_batch *b, struct err *e)
{
	enum source_status status;

	if (!learn_order(m))
		return SOURCE_TICK;
	status = advance(m);
	if (status == SOURCE_END && m->fault.code != ERR_OK) {
		(void)err_set(e, m->fault.code, "%s", m->fault.text);
		return SOURCE_ERROR;
	}
	if (status != SOURCE_PACKETS)
		return status;
	/* One file alone, with a batch that no other file's begin cuts, needs no copy. */
	if (m->n_active == 1 && lane_hand_on(m->active[0], next_begins_ns(m), b))
		return SOURCE_PACKETS;
	if (mix_lanes(&m->mix, m->active, m->n_active, next_begins_ns(m), b) && b->n > 0)
		return SOURCE_PACKETS;
	(void)err_set(e, ERR_MEMORY, "no memory to merge captures");
	return SOURCE_ERROR;
}

/* ---- as an origin ---- */

static enum source_status merge_next(void *self, struct packet_batch *b, struct err *e)
{
	struct merge *m = self;

	if (m->stop != NULL && *m->stop)
		return SOURCE_END;
	if (m->n == 1)
		return reader_next(m->members[0].reader, b, e);
	return next_of_many(m, b, e);
}

static void merge_on_secrets(void *self, source_secrets_fn *fn, void *ctx)
{
	struct merge *m = self;

	for (unsigned i = 0; i < m->n; i++) {
		m->members[i].reader->on_secrets = fn;
		m->members[i].reader->secrets_ctx = ctx;
	}
}

static void merge_drops(void *self, struct source_counters *c)
{
	struct merge *m = self;

	for (unsigned i = 0; i < m->n; i++) {
		struct member *k = &m->members[i];

		if (!k->over)
			reader_drops(k->reader, &k->kernel_dropped, &k->interface_dropped);
		c->kernel_dropped += k->kernel_dropped;
		c->interface_dropped += k->interface_dropped;
	}
}

static bool merge_again(void *self)
{
	struct merge *m = self;

	for (unsigned i = 0; i < m->n; i++) {
		struct member *k = &m->members[i];

		lane_clear(&k->lane);
		if (!reader_rewind(k->reader))
			return false;
		k->over = false;
	}
	m->n_begun = m->n_active = 0;
	m->fault = (struct err){ .code = ERR_OK };
	return true;
}

/* What is read to its end is at its beginning again. */
static bool merge_progress(const void *self, uint64_t *at, uint64_t *size)
{
	const struct merge *m = self;
	uint64_t here, all;

	*at = *size = 0;
	for (unsigned i = 0; i < m->n; i++) {
		if (!input_progress(m->members[i].reader->input, &here, &all))
			return false;
		*at += m->members[i].over ? all : here;
		*size += all;
	}
	return true;
}

static bool merge_can_again(const void *self)
{
	const struct merge *m = self;

	for (unsigned i = 0; i < m->n; i++)
		if (input_is_pipe(m->members[i].reader->input))
			return false;
	return true;
}

static void merge_close(void *self)
{
	struct merge *m = self;

	for (unsigned i = 0; m->members != NULL && i < m->n; i++) {
		lane_clear(&m->members[i].lane);
		reader_close(m->members[i].reader);
	}
	mix_clear(&m->mix);
	free(m->members);
	free(m->order);
	free(m->active);
	free(m);
}

static struct merge *merge_new(unsigned n)
{
	struct merge *m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->members = calloc(n, sizeof *m->members);
	m->order = calloc(n, sizeof *m->order);
	m->active = calloc(n, sizeof(struct lane *));
	m->n = n;
	if (m->members != NULL && m->order != NULL && m->active != NULL)
		return m;
	merge_close(m);
	return NULL;
}

bool merge_open(struct origin *out, struct reader *const *readers, unsigned n, struct interface_table *interfaces,
                const volatile sig_atomic_t *stop, struct err *e)
{
	struct merge *m = merge_new(n);

	if (m == NULL) {
		for (unsigned i = 0; i < n; i++)
			reader_close(readers[i]);
		return err_set(e, ERR_MEMORY, "no memory to read %u files", n) == ERR_OK;
	}
	for (unsigned i = 0; i < n; i++)
		m->members[i].reader = readers[i];
	m->interfaces = interfaces;
	m->stop = stop;
	*out = (struct origin){
		.next = merge_next, .on_secrets = merge_on_secrets, .drops = merge_drops, .again = merge_again,
		.can_again = merge_can_again, .progress = merge_progress, .close = merge_close, .self = m,
	};
	return true;
}
