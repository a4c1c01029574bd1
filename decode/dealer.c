/* dealer.c - several decoders: work dealt to them, their facts merged in the order of packets
 *
 * Each lane has a queue of work and a queue of answers, both bounded: the dealer waits for room in the one, a lane in the
 * other, and whoever waits keeps taking what would free the rest.
 */
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

/* Facts of one decoder. */
struct answer { struct answer *next; struct fact_batch facts; };
struct answers { struct answer *first, *last; size_t bytes; };

struct lane {                           /* one decoder and its thread */
	struct dealer *dealer;
	struct decoder *decoder;
	pthread_t thread;
	bool     started, made;
	pthread_cond_t  changed;        /* work came, or answers were taken */
	/* under the dealer's lock: */
	struct work *work_first, *work_last;
	unsigned n_work;
	struct work *spare;
	struct work *last;              /* kept for WORK_END, so that memory that is gone cannot keep the thread waiting */
	struct answers answers;
	uint64_t answered_upto;         /* they are all that it has to say up to this packet */
	/* the dealer's thread alone: */
	struct work *filling;
	struct answers reading;
	const struct fact *head;
	uint64_t upto;                  /* of what was taken */
	uint32_t *numbers; size_t n_numbers;
};

struct dealer {
	struct fact_sink sink;
	unsigned n;
	struct lane lanes[DECODERS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t  answered;       /* some lane has answers, or finished a piece of work */
	uint64_t newest;                /* packet dealt last */
	uint32_t next_number;
	struct fact_batch out;
	bool ending, ended;
	uint64_t out_of_memory;         /* of the dealer's own thread: what could not be dealt or merged */
};

/* A lane with more answers than this waits until they are taken; the dealer takes no more while it has that many itself. */
enum { MERGED_BYTES = 256 * 1024, ANSWERED_BYTES = 1 << 20 };

/* ---- answers ------------------------------------------------------------------------------ */

static void answers_add(struct answers *to, struct answer *a)
{
	a->next = NULL;
	if (to->last != NULL)
		to->last->next = a;
	else
		to->first = a;
	to->last = a;
	to->bytes += a->facts.used;
}

static void answers_pop(struct answers *from)
{
	struct answer *a = from->first;

	from->first = a->next;
	if (from->first == NULL)
		from->last = NULL;
	from->bytes -= a->facts.used;
	free(a->facts.bytes);
	free(a);
}

/* ---- a lane's thread ---------------------------------------------------------------------- */

static void lane_facts(void *ctx, const struct fact_batch *b)
{
	struct lane *l = ctx;
	struct dealer *g = l->dealer;
	struct answer *a = malloc(sizeof *a);

	if (a == NULL) {
		decoder_limit(l->decoder, LIMIT_NAME_MEMORY);
		return;
	}
	*a = (struct answer){ NULL, { b->used, b->used, malloc(b->used) } };
	if (a->facts.bytes == NULL) {
		decoder_limit(l->decoder, LIMIT_NAME_MEMORY);
		free(a);
		return;
	}
	memcpy(a->facts.bytes, b->bytes, b->used);
	pthread_mutex_lock(&g->lock);
	while (l->answers.bytes > ANSWERED_BYTES)
		pthread_cond_wait(&l->changed, &g->lock);
	answers_add(&l->answers, a);
	pthread_cond_signal(&g->answered);
	pthread_mutex_unlock(&g->lock);
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

static struct work *lane_next_work(struct lane *l)
{
	struct dealer *g = l->dealer;
	struct work *w;

	pthread_mutex_lock(&g->lock);
	while (l->work_first == NULL)
		pthread_cond_wait(&l->changed, &g->lock);
	w = l->work_first;
	l->work_first = w->next;
	if (l->work_first == NULL)
		l->work_last = NULL;
	pthread_mutex_unlock(&g->lock);
	return w;
}

static void lane_work_done(struct lane *l, struct work *w, uint64_t upto)
{
	struct dealer *g = l->dealer;

	decoder_flush(l->decoder);
	work_clear(w);
	pthread_mutex_lock(&g->lock);
	l->answered_upto = upto;
	l->n_work--;
	w->next = l->spare;
	l->spare = w;
	pthread_cond_signal(&g->answered);
	pthread_mutex_unlock(&g->lock);
}

static void *lane_main(void *ctx)
{
	struct lane *l = ctx;
	bool end = false;

	while (!end) {
		struct work *w = lane_next_work(l);

		end = w->n != 0 && w->items[w->n - 1].kind == WORK_END;
		lane_work(l, w);
		lane_work_done(l, w, end ? UINT64_MAX : w->upto);
	}
	return NULL;
}

/* ---- dealing ------------------------------------------------------------------------------ */

static void relieve(struct dealer *g);

static struct work *work_new(struct lane *l)
{
	struct dealer *g = l->dealer;
	struct work *w;

	pthread_mutex_lock(&g->lock);
	while (l->n_work >= QUEUE) {
		pthread_mutex_unlock(&g->lock);
		relieve(g);             /* it may be waiting for us */
		pthread_mutex_lock(&g->lock);
	}
	w = l->spare;
	if (w != NULL)
		l->spare = w->next;
	pthread_mutex_unlock(&g->lock);
	if (w == NULL)
		w = malloc(sizeof *w);
	if (w == NULL)
		g->out_of_memory++;
	else
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
	pthread_mutex_lock(&g->lock);
	if (l->work_last != NULL)
		l->work_last->next = w;
	else
		l->work_first = w;
	l->work_last = w;
	l->n_work++;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&g->lock);
}

static struct item *item_new(struct dealer *g, struct lane *l, enum work_kind kind)
{
	struct item *i;

	if (l->filling != NULL && (l->filling->n == ITEMS || l->filling->n_chunks == CHUNKS))
		work_send(g, l);
	if (l->filling == NULL)
		l->filling = work_new(l);
	if (l->filling == NULL && kind == WORK_END) {
		l->filling = l->last;
		l->last = NULL;
	}
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
	if (i->of.icmp == NULL) {
		g->out_of_memory++;
		lane_of(g, w->hash)->filling->n--;
	} else {
		*i->of.icmp = *w;
	}
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
	if (i->of.control == NULL) {
		g->out_of_memory++;
		g->lanes[0].filling->n--;
	} else {
		memcpy(i->of.control, f, f->size);
	}
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

/* Takes what a lane has answered, unless too much of it waits for other lanes already. False: nothing. */
static bool lane_collect(struct lane *l)
{
	if ((l->answers.first == NULL && l->upto == l->answered_upto) || l->reading.bytes > ANSWERED_BYTES)
		return false;
	l->upto = l->answered_upto;
	if (l->answers.first == NULL)
		return true;
	if (l->reading.last != NULL)
		l->reading.last->next = l->answers.first;
	else
		l->reading.first = l->answers.first;
	l->reading.last = l->answers.last;
	l->reading.bytes += l->answers.bytes;
	l->answers = (struct answers){ NULL, NULL, 0 };
	pthread_cond_signal(&l->changed);
	return true;
}

/* The lane's next fact, or NULL: then it has none up to l->upto. */
static const struct fact *lane_head(struct lane *l)
{
	while (l->head == NULL && l->reading.first != NULL) {
		l->head = fact_next(&l->reading.first->facts, NULL);
		if (l->head == NULL)
			answers_pop(&l->reading);
	}
	return l->head;
}

static void lane_pop(struct lane *l)
{
	l->head = fact_next(&l->reading.first->facts, l->head);
	if (l->head == NULL)
		answers_pop(&l->reading);
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
		if (bigger == NULL) {
			g->out_of_memory++;
			return false;
		}
		l->numbers = bigger;
		l->n_numbers = n;
	}
	l->numbers[id] = g->next_number++;
	return true;
}

static bool fact_has_conn(const struct fact *f)
{
	switch (f->kind) {
	case FACT_TICK: case FACT_ARP: case FACT_DNS: case FACT_CLOCK_STEP: return false;
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

		if (bigger == NULL) {
			g->out_of_memory++;
			return;
		}
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

static bool collect_all(struct dealer *g)
{
	bool any = false;

	for (unsigned i = 0; i < g->n; i++)
		any |= lane_collect(&g->lanes[i]);
	return any;
}

/* Takes and merges what there is; where there is nothing yet, waits for it. */
static void collect_and_merge(struct dealer *g)
{
	pthread_mutex_lock(&g->lock);
	if (!collect_all(g)) {
		pthread_cond_wait(&g->answered, &g->lock);
		(void)collect_all(g);
	}
	pthread_mutex_unlock(&g->lock);
	merge(g);
	merged_flush(g);
}

/* A lane without work says nothing of how far it is, and holds up the others' facts: it is sent some that is empty. */
static void send_all(struct dealer *g)
{
	for (unsigned i = 0; i < g->n; i++) {
		struct lane *l = &g->lanes[i];
		bool idle;

		pthread_mutex_lock(&g->lock);
		idle = l->n_work == 0;
		pthread_mutex_unlock(&g->lock);
		if (idle && l->filling == NULL && l->upto < g->newest)
			l->filling = work_new(l);
		if (idle)
			work_send(g, l);
	}
}

/* Some lane's queue is full. */
static void relieve(struct dealer *g)
{
	send_all(g);
	collect_and_merge(g);
}

void dealer_sync(struct dealer *g)
{
	for (unsigned i = 0; i < g->n; i++)
		if (g->lanes[i].filling != NULL && g->lanes[i].filling->n >= ITEMS / 2)
			work_send(g, &g->lanes[i]);
	pthread_mutex_lock(&g->lock);
	(void)collect_all(g);
	pthread_mutex_unlock(&g->lock);
	merge(g);
	merged_flush(g);
}

static bool all_at_end(struct dealer *g)
{
	for (unsigned i = 0; i < g->n; i++)
		if (g->lanes[i].upto != UINT64_MAX || g->lanes[i].head != NULL)
			return false;
	return true;
}

void dealer_end(struct dealer *g, struct mark last)
{
	g->newest = last.packet;
	g->ending = true;
	deal_all(g, WORK_END, last);
	for (unsigned i = 0; i < g->n; i++)
		work_send(g, &g->lanes[i]);
	while (!all_at_end(g))
		collect_and_merge(g);
	for (unsigned i = 0; i < g->n; i++) {
		if (g->lanes[i].started)
			pthread_join(g->lanes[i].thread, NULL);
		g->lanes[i].started = false;
	}
	g->ended = true;
}

void dealer_counters(struct dealer *g, struct decode_counters *c)
{
	*c = (struct decode_counters){ 0 };
	if (!g->ended)
		return;                         /* the decoders are still at work */
	counters_limit(c, LIMIT_NAME_MEMORY, g->out_of_memory);
	for (unsigned i = 0; i < g->n; i++) {
		const struct decode_counters *o = &g->lanes[i].decoder->counters;

		c->connections += o->connections;
		c->exchanges += o->exchanges;
		c->bytes_cut += o->bytes_cut;
		c->tcp_gaps += o->tcp_gaps;
		c->joined_late += o->joined_late;
		c->encrypted_without_keys += o->encrypted_without_keys;
		c->conflicting_segments += o->conflicting_segments;
		c->evicted += o->evicted;
		c->memory_peak += o->memory_peak;
		for (unsigned k = 0; k < o->n_limits; k++)
			counters_limit(c, o->limits[k].name, o->limits[k].count);
	}
}

/* ---- birth and end ------------------------------------------------------------------------ */

static bool lane_start(struct dealer *g, struct lane *l, const struct decode_options *o)
{
	l->dealer = g;
	l->made = pthread_cond_init(&l->changed, NULL) == 0;
	if (!l->made)
		return false;
	l->decoder = decoder_new(o, (struct fact_sink){ l, lane_facts }, false);
	if (l->decoder == NULL)
		return false;
	l->decoder->ticks_told = l == &g->lanes[0];
	l->last = calloc(1, sizeof *l->last);
	if (l->last == NULL)
		return false;
	l->started = pthread_create(&l->thread, NULL, lane_main, l) == 0;
	return l->started;
}

static void lane_free(struct lane *l)
{
	decoder_free(l->decoder);
	for (struct work *w = l->spare, *next; w != NULL; w = next) {
		next = w->next;
		free(w);
	}
	free(l->filling);
	free(l->last);
	while (l->reading.first != NULL)
		answers_pop(&l->reading);
	free(l->numbers);
	if (l->made)
		pthread_cond_destroy(&l->changed);
}

struct dealer *dealer_new(const struct decode_options *o, struct fact_sink sink)
{
	struct dealer *g = calloc(1, sizeof *g);
	unsigned wanted = o->threads < DECODERS_MAX ? o->threads : DECODERS_MAX;

	if (g == NULL)
		return NULL;
	g->sink = sink;
	(void)pthread_mutex_init(&g->lock, NULL);       /* these two cannot fail on Linux */
	(void)pthread_cond_init(&g->answered, NULL);
	g->out = (struct fact_batch){ 0, MERGED_BYTES, malloc(MERGED_BYTES) };
	while (g->out.bytes != NULL && g->n < wanted && lane_start(g, &g->lanes[g->n], o))
		g->n++;
	if (g->n == wanted)
		return g;
	if (g->out.bytes != NULL)
		lane_free(&g->lanes[g->n]);
	dealer_free(g);
	return NULL;
}

void dealer_free(struct dealer *g)
{
	if (g == NULL)
		return;
	if (!g->ended)
		dealer_end(g, (struct mark){ g->newest, 0 });
	for (unsigned i = 0; i < g->n; i++)
		lane_free(&g->lanes[i]);
	pthread_cond_destroy(&g->answered);
	pthread_mutex_destroy(&g->lock);
	free(g->out.bytes);
	free(g);
}
