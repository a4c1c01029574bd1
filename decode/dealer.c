#include "dealer.h"

#include <pthread.h>
#include <stdlib.h>

enum { ITEMS = 512, CHUNKS = 16, QUEUE = 8, DECODERS_MAX = 16 };

struct item {
	enum work_kind kind;
	union { struct segment segment; struct work_icmp *icmp; struct fact *control; struct mark now; } of;
};

/* Work for one decoder: items in order, and what their bytes lie in. */
struct work {
	struct work *next;
	unsigned n, n_chunks, n_copies;
	uint64_t upto;                  /* every packet up to this one has been dealt */
	struct item items[ITEMS];
	struct chunk *chunks[CHUNKS];
	uint8_t *copies[ITEMS];
};

/* Facts of one decoder, and how far they go. */
struct answer { struct answer *next; struct fact_batch facts; uint64_t upto; };

struct lane {                           /* one decoder and its thread */
	struct dealer *dealer;
	struct decoder *decoder;
	pthread_t thread;
	bool     started;
	pthread_mutex_t lock;
	pthread_cond_t  changed;
	struct work *work_first, *work_last;    /* under lock */
	unsigned n_work;
	struct work *spare;
	struct answer *answers, *answers_last;
	/* the dealer's thread alone: */
	struct work *filling;
	struct answer *reading, *reading_last;
	const struct fact *head;
	uint64_t upto;
	uint32_t *numbers; size_t n_numbers;
	/* the lane's thread alone: */
	struct answer *writing;
};

struct dealer {
	struct fact_sink sink;
	unsigned n;
	struct lane lanes[DECODERS_MAX];
	uint64_t newest;                /* packet dealt last */
	uint32_t next_number;
	struct fact_batch out;
	bool ending, ended;
};

enum { MERGED_BYTES = 256 * 1024 };

/* ---- a lane's thread ---------------------------------------------------------------------- */

static void lane_facts(void *ctx, const struct fact_batch *b)
{
	struct lane *l = ctx;
	struct answer *a = malloc(sizeof *a);

	if (a == NULL)
		return;
	*a = (struct answer){ NULL, { b->used, b->used, malloc(b->used) }, 0 };
	if (a->facts.bytes == NULL) {
		free(a);
		return;
	}
	memcpy(a->facts.bytes, b->bytes, b->used);
	pthread_mutex_lock(&l->lock);
	if (l->answers_last != NULL)
		l->answers_last->next = a;
	else
		l->answers = a;
	l->answers_last = a;
	pthread_mutex_unlock(&l->lock);
}

static void lane_upto(struct lane *l, uint64_t upto)
{
	struct answer *a = calloc(1, sizeof *a);

	decoder_flush(l->decoder);
	if (a == NULL)
		return;
	a->upto = upto;
	pthread_mutex_lock(&l->lock);
	if (l->answers_last != NULL)
		l->answers_last->next = a;
	else
		l->answers = a;
	l->answers_last = a;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

static void lane_item(struct lane *l, struct item *i)
{
	switch (i->kind) {
	case WORK_SEGMENT:
		decoder_segment(l->decoder, &i->of.segment);
		break;
	case WORK_ICMP:
		decoder_icmp(l->decoder, &i->of.icmp->fact, &i->of.icmp->tuple, i->of.icmp->hash, i->of.icmp->from, i->of.icmp->seq);
		free(i->of.icmp);
		break;
	case WORK_CONTROL:
		decoder_control(l->decoder, i->of.control);
		free(i->of.control);
		break;
	case WORK_TICK:
		decoder_tick(l->decoder, i->of.now);
		break;
	case WORK_END:
		decoder_end(l->decoder, i->of.now);
		break;
	}
}

static void work_clear(struct work *w)
{
	for (unsigned i = 0; i < w->n_chunks; i++)
		chunk_unref(w->chunks[i]);
	for (unsigned i = 0; i < w->n_copies; i++)
		free(w->copies[i]);
	w->n = w->n_chunks = w->n_copies = 0;
	w->next = NULL;
}

static void lane_work(struct lane *l, struct work *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->items[i].kind == WORK_SEGMENT)
			decoder_prefetch(l->decoder, &w->items[i].of.segment);
	for (unsigned i = 0; i < w->n; i++) {
		if (i + 8 < w->n && w->items[i + 8].kind == WORK_SEGMENT)
			decoder_conn_prefetch(l->decoder, &w->items[i + 8].of.segment);
		lane_item(l, &w->items[i]);
	}
}

static void *lane_main(void *ctx)
{
	struct lane *l = ctx;
	bool end = false;

	while (!end) {
		struct work *w;

		pthread_mutex_lock(&l->lock);
		while (l->work_first == NULL)
			pthread_cond_wait(&l->changed, &l->lock);
		w = l->work_first;
		l->work_first = w->next;
		if (l->work_first == NULL)
			l->work_last = NULL;
		pthread_mutex_unlock(&l->lock);
		end = w->n != 0 && w->items[w->n - 1].kind == WORK_END;
		lane_work(l, w);
		lane_upto(l, end ? UINT64_MAX : w->upto);
		work_clear(w);
		pthread_mutex_lock(&l->lock);
		l->n_work--;
		w->next = l->spare;
		l->spare = w;
		pthread_cond_broadcast(&l->changed);
		pthread_mutex_unlock(&l->lock);
	}
	return NULL;
}

/* ---- dealing ------------------------------------------------------------------------------ */

static struct work *work_new(struct lane *l)
{
	struct work *w;

	pthread_mutex_lock(&l->lock);
	while (l->n_work >= QUEUE)
		pthread_cond_wait(&l->changed, &l->lock);
	w = l->spare;
	if (w != NULL)
		l->spare = w->next;
	pthread_mutex_unlock(&l->lock);
	if (w == NULL)
		w = malloc(sizeof *w);
	if (w != NULL)
		w->n = w->n_chunks = w->n_copies = 0, w->next = NULL;
	return w;
}

static void work_send(struct dealer *g, struct lane *l)
{
	struct work *w = l->filling;

	if (w == NULL)
		return;
	l->filling = NULL;
	w->upto = g->newest;
	pthread_mutex_lock(&l->lock);
	if (l->work_last != NULL)
		l->work_last->next = w;
	else
		l->work_first = w;
	l->work_last = w;
	l->n_work++;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

static struct item *item_new(struct dealer *g, struct lane *l, enum work_kind kind)
{
	struct item *i;

	if (l->filling != NULL && (l->filling->n == ITEMS || l->filling->n_chunks == CHUNKS))
		work_send(g, l);
	if (l->filling == NULL)
		l->filling = work_new(l);
	if (l->filling == NULL)
		return NULL;
	i = &l->filling->items[l->filling->n++];
	i->kind = kind;
	return i;
}

static struct lane *lane_of(struct dealer *g, uint64_t hash)
{
	return &g->lanes[(hash >> 32) * g->n >> 32];
}

static void work_hold(struct work *w, struct chunk *chunk)
{
	if (chunk == NULL || (w->n_chunks != 0 && w->chunks[w->n_chunks - 1] == chunk))
		return;
	chunk_ref(chunk);
	w->chunks[w->n_chunks++] = chunk;
}

/* Bytes of a datagram put together are the IP decoder's for one call only. */
static void segment_copy(struct work *w, struct segment *s)
{
	size_t n = s->payload.len + s->options.len;
	uint8_t *copy = malloc(n + 1);

	if (copy == NULL) {
		s->payload = s->options = span_none();
		return;
	}
	memcpy(copy, s->options.at, s->options.len);
	memcpy(copy + s->options.len, s->payload.at, s->payload.len);
	s->payload = span_of(copy + s->options.len, s->payload.len);
	s->options = span_of(copy, s->options.len);
	w->copies[w->n_copies++] = copy;
}

void dealer_segment(struct dealer *g, const struct segment *s, struct chunk *chunk, bool copied)
{
	struct lane *l = lane_of(g, s->hash);
	struct item *i;

	g->newest = s->at.packet - 1;           /* what is sent before this one goes up to the packet before */
	i = item_new(g, l, WORK_SEGMENT);
	g->newest = s->at.packet;
	if (i == NULL)
		return;
	i->of.segment = *s;
	if (copied)
		segment_copy(l->filling, &i->of.segment);
	else
		work_hold(l->filling, chunk);
}

void dealer_icmp(struct dealer *g, const struct work_icmp *w)
{
	struct item *i;

	g->newest = w->fact.head.at.packet - 1;
	i = item_new(g, lane_of(g, w->hash), WORK_ICMP);
	g->newest = w->fact.head.at.packet;
	if (i == NULL)
		return;
	i->of.icmp = malloc(sizeof *w);
	if (i->of.icmp == NULL)
		lane_of(g, w->hash)->filling->n--;
	else
		*i->of.icmp = *w;
}

void dealer_control(struct dealer *g, const struct fact *f)
{
	struct item *i;

	g->newest = f->at.packet - 1;
	i = item_new(g, &g->lanes[0], WORK_CONTROL);
	g->newest = f->at.packet;
	if (i == NULL)
		return;
	i->of.control = malloc(f->size);
	if (i->of.control == NULL)
		g->lanes[0].filling->n--;
	else
		memcpy(i->of.control, f, f->size);
}

static void deal_all(struct dealer *g, enum work_kind kind, struct mark now)
{
	for (unsigned n = 0; n < g->n; n++) {
		struct item *i = item_new(g, &g->lanes[n], kind);

		if (i != NULL)
			i->of.now = now;
	}
}

void dealer_tick(struct dealer *g, struct mark now)
{
	if (now.packet > g->newest)
		g->newest = now.packet - 1;
	deal_all(g, WORK_TICK, now);
}

/* ---- merging ------------------------------------------------------------------------------ */

static void lane_collect(struct lane *l, bool wait)
{
	pthread_mutex_lock(&l->lock);
	while (wait && l->answers == NULL)
		pthread_cond_wait(&l->changed, &l->lock);
	if (l->answers != NULL) {
		if (l->reading_last != NULL)
			l->reading_last->next = l->answers;
		else
			l->reading = l->answers;
		l->reading_last = l->answers_last;
		l->answers = l->answers_last = NULL;
	}
	pthread_mutex_unlock(&l->lock);
}

/* The lane's next fact, or NULL: then it has none up to l->upto. */
static const struct fact *lane_head(struct lane *l)
{
	while (l->head == NULL && l->reading != NULL) {
		struct answer *a = l->reading;

		if (a->upto != 0) {
			l->upto = a->upto;
		} else {
			l->head = fact_next(&a->facts, NULL);
			if (l->head != NULL)
				return l->head;
		}
		l->reading = a->next;
		if (l->reading == NULL)
			l->reading_last = NULL;
		free(a->facts.bytes);
		free(a);
	}
	return l->head;
}

static void lane_pop(struct lane *l)
{
	struct answer *a = l->reading;

	l->head = fact_next(&a->facts, l->head);
	if (l->head != NULL)
		return;
	l->reading = a->next;
	if (l->reading == NULL)
		l->reading_last = NULL;
	free(a->facts.bytes);
	free(a);
}

static bool fact_before(const struct fact *a, const struct fact *b)
{
	return a->at.packet != b->at.packet ? a->at.packet < b->at.packet : a->order < b->order;
}

static void merged_flush(struct dealer *g)
{
	if (g->out.used != 0)
		g->sink.facts(g->sink.ctx, &g->out);
	g->out.used = 0;
}

static bool number_set(struct dealer *g, struct lane *l, uint32_t id)
{
	if (id >= l->n_numbers) {
		size_t n = l->n_numbers != 0 ? l->n_numbers : 1024;
		uint32_t *bigger;

		while (n <= id)
			n *= 2;
		bigger = realloc(l->numbers, n * sizeof *bigger);
		if (bigger == NULL)
			return false;
		l->numbers = bigger;
		l->n_numbers = n;
	}
	l->numbers[id] = g->next_number++;
	return true;
}

static bool fact_has_conn(const struct fact *f)
{
	switch (f->kind) {
	case FACT_TICK: case FACT_ARP: case FACT_DNS: return false;
	case FACT_ICMP: return ((const struct icmp_fact *)(const void *)f)->known;
	default: return true;
	}
}

static void merged_push(struct dealer *g, struct lane *l, const struct fact *f)
{
	struct fact *out;

	if (f->kind == FACT_NUMBER) {
		(void)number_set(g, l, f->id);
		return;
	}
	if (g->out.used + f->size > g->out.size)
		merged_flush(g);
	if (f->size > g->out.size) {
		uint8_t *bigger = realloc(g->out.bytes, f->size);

		if (bigger == NULL)
			return;
		g->out.bytes = bigger;
		g->out.size = f->size;
	}
	out = (struct fact *)(void *)(g->out.bytes + g->out.used);
	memcpy(out, f, f->size);
	g->out.used += f->size;
	if (fact_has_conn(f) && f->id < l->n_numbers)
		out->conn = l->numbers[f->id];
}

/* Hands on all facts that no other lane can still precede. */
static void merge(struct dealer *g)
{
	for (;;) {
		struct lane *first = NULL;
		uint64_t upto = UINT64_MAX;

		for (unsigned i = 0; i < g->n; i++) {
			struct lane *l = &g->lanes[i];
			const struct fact *f = lane_head(l);

			if (f == NULL && (g->ending ? l->upto != UINT64_MAX : l->upto < upto))
				upto = g->ending ? 0 : l->upto; /* what the end tells has the last packet's number, too */
			if (f != NULL && (first == NULL || fact_before(f, first->head)))
				first = l;
		}
		if (first == NULL || first->head->at.packet > upto)
			return;
		merged_push(g, first, first->head);
		lane_pop(first);
	}
}

void dealer_sync(struct dealer *g)
{
	for (unsigned i = 0; i < g->n; i++) {
		if (g->lanes[i].filling != NULL && g->lanes[i].filling->n >= ITEMS / 2)
			work_send(g, &g->lanes[i]);
		lane_collect(&g->lanes[i], false);
	}
	merge(g);
	merged_flush(g);
}

void dealer_end(struct dealer *g, struct mark last)
{
	g->newest = last.packet;
	g->ending = true;
	deal_all(g, WORK_END, last);
	for (unsigned i = 0; i < g->n; i++)
		work_send(g, &g->lanes[i]);
	for (unsigned i = 0; i < g->n; i++) {
		while (g->lanes[i].upto != UINT64_MAX) {
			lane_collect(&g->lanes[i], true);
			merge(g);
			if (g->lanes[i].head != NULL)   /* waits for another lane: go and see to that one */
				break;
		}
	}
	for (unsigned i = 0; i < g->n; i++) {
		if (g->lanes[i].started)
			pthread_join(g->lanes[i].thread, NULL);
		g->lanes[i].started = false;
		lane_collect(&g->lanes[i], false);
	}
	merge(g);
	merged_flush(g);
	g->ended = true;
}

static void limits_add(struct decode_counters *c, const struct decode_counters *o)
{
	for (unsigned i = 0; i < o->n_limits; i++) {
		unsigned k = 0;

		while (k < c->n_limits && strcmp(c->limits[k].name, o->limits[i].name) != 0)
			k++;
		if (k == sizeof c->limits / sizeof c->limits[0])
			return;
		if (k == c->n_limits) {
			c->limits[k].name = o->limits[i].name;
			c->limits[k].count = 0;
			c->n_limits++;
		}
		c->limits[k].count += o->limits[i].count;
	}
}

void dealer_counters(struct dealer *g, struct decode_counters *c)
{
	*c = (struct decode_counters){ 0 };
	if (!g->ended)
		return;                         /* the decoders are still at work */
	for (unsigned i = 0; i < g->n; i++) {
		const struct decode_counters *o = &g->lanes[i].decoder->counters;

		c->connections += o->connections;
		c->exchanges += o->exchanges;
		c->tcp_gaps += o->tcp_gaps;
		c->joined_late += o->joined_late;
		c->encrypted_without_keys += o->encrypted_without_keys;
		c->conflicting_segments += o->conflicting_segments;
		c->evicted += o->evicted;
		c->memory_peak += o->memory_peak;
		limits_add(c, o);
	}
}

/* ---- birth and end ------------------------------------------------------------------------ */

static bool lane_start(struct dealer *g, struct lane *l, const struct decode_options *o)
{
	l->dealer = g;
	if (pthread_mutex_init(&l->lock, NULL) != 0 || pthread_cond_init(&l->changed, NULL) != 0)
		return false;
	l->decoder = decoder_new(o, (struct fact_sink){ l, lane_facts }, false);
	if (l->decoder == NULL)
		return false;
	l->decoder->ticks_told = l == &g->lanes[0];
	l->started = pthread_create(&l->thread, NULL, lane_main, l) == 0;
	return l->started;
}

struct dealer *dealer_new(const struct decode_options *o, struct fact_sink sink)
{
	struct dealer *g = calloc(1, sizeof *g);

	if (g == NULL)
		return NULL;
	g->sink = sink;
	g->n = o->threads < DECODERS_MAX ? o->threads : DECODERS_MAX;
	g->out = (struct fact_batch){ 0, MERGED_BYTES, malloc(MERGED_BYTES) };
	for (unsigned i = 0; i < g->n; i++)
		if (g->out.bytes == NULL || !lane_start(g, &g->lanes[i], o)) {
			g->n = i + 1;
			dealer_free(g);
			return NULL;
		}
	return g;
}

static void lane_free(struct lane *l)
{
	decoder_free(l->decoder);
	for (struct work *w = l->spare, *next; w != NULL; w = next) {
		next = w->next;
		free(w);
	}
	for (struct answer *a = l->reading, *next; a != NULL; a = next) {
		next = a->next;
		free(a->facts.bytes);
		free(a);
	}
	free(l->numbers);
}

void dealer_free(struct dealer *g)
{
	if (g == NULL)
		return;
	if (!g->ended)
		dealer_end(g, (struct mark){ g->newest, 0 });
	for (unsigned i = 0; i < g->n; i++)
		lane_free(&g->lanes[i]);
	free(g->out.bytes);
	free(g);
}
