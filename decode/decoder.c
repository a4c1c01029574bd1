#include "decoder.h"

#include "../capture/limits.h"

#include <stdlib.h>
#include <unistd.h>

enum { OUT_BYTES = 256 * 1024, TABLE_FIRST = 1024 };

/* ---- memory ------------------------------------------------------------------------------- */

void *decoder_alloc(struct decoder *d, size_t size)
{
	void *p;

	if (d->memory + size > d->max_memory) {
		decoder_limit(d, "memory_evictions");
		return NULL;
	}
	p = malloc(size);
	if (p == NULL) {
		decoder_limit(d, LIMIT_NAME_MEMORY);
		return NULL;
	}
	d->memory += size;
	if (d->memory > d->memory_peak)
		d->memory_peak = d->memory;
	return p;
}

void decoder_release(struct decoder *d, void *p, size_t size)
{
	if (p == NULL)
		return;
	d->memory -= size;
	free(p);
}

void counters_limit(struct decode_counters *c, const char *name, uint64_t count)
{
	unsigned i = 0;

	while (i < c->n_limits && strcmp(c->limits[i].name, name) != 0)
		i++;
	if (count == 0 || i == sizeof c->limits / sizeof c->limits[0])
		return;
	if (i == c->n_limits) {
		c->limits[i].name = name;
		c->limits[i].count = 0;
		c->n_limits++;
	}
	c->limits[i].count += count;
}

uint64_t counters_limit_of(const struct decode_counters *c, const char *name)
{
	for (unsigned i = 0; i < c->n_limits; i++)
		if (strcmp(c->limits[i].name, name) == 0)
			return c->limits[i].count;
	return 0;
}

void decoder_limit(struct decoder *d, const char *name)
{
	counters_limit(&d->counters, name, 1);
}

/* ---- facts -------------------------------------------------------------------------------- */

void decoder_flush(struct decoder *d)
{
	if (d->out.used != 0)
		d->sink.facts(d->sink.ctx, &d->out);
	d->out.used = 0;
}

struct fact *decoder_fact(struct decoder *d, enum fact_kind kind, size_t size, const struct conn *c)
{
	struct fact *f;

	size = (size + 7) & ~(size_t)7;
	if (d->out.used + size > d->out.size)
		decoder_flush(d);
	if (size > d->out.size) {
		uint8_t *bigger = realloc(d->out.bytes, size);

		if (bigger == NULL) {
			decoder_limit(d, LIMIT_NAME_MEMORY);
			return NULL;
		}
		d->out.bytes = bigger;
		d->out.size = size;
	}
	f = (struct fact *)(void *)(d->out.bytes + d->out.used);
	memset(f, 0, size);
	d->out.used += size;
	f->size = (uint32_t)size;
	f->kind = (uint16_t)kind;
	f->at = d->now;
	f->order = d->timer_running ? d->timer_order : UINT64_C(1) << 63 | d->order++;
	if (c != NULL) {
		f->tap = c->tap;
		f->id = f->conn = c->id;
	}
	return f;
}

/* ---- time-outs ---------------------------------------------------------------------------- */

static bool timer_resize(struct timer_queue *q, size_t size)
{
	struct timer_entry *entries = malloc(size * sizeof *entries);

	if (entries == NULL)
		return false;
	for (size_t i = 0; i < q->n; i++)
		entries[i] = q->entries[(q->first + i) & (q->size - 1)];
	free(q->entries);
	*q = (struct timer_queue){ entries, 0, q->n, size };
	return true;
}

static bool timer_room(struct timer_queue *q)
{
	return q->n < q->size || timer_resize(q, q->size != 0 ? q->size * 2 : 1024);
}

static const int64_t timer_ns[TIMER_COUNT] = {
	[TIMER_SETTLE] = SETTLE_NS, [TIMER_WAITING] = WAITING_NS, [TIMER_CONN_WAITING] = WAITING_NS,
	[TIMER_CLOSE] = SETTLE_NS, [TIMER_REST] = SETTLE_NS, [TIMER_SYN] = WAITING_NS,
};

/* Without memory the time-out is lost: the end of the connection or of the capture still comes. */
void decoder_arm(struct decoder *d, enum timer timer, void *what, uint32_t generation)
{
	struct timer_queue *q = &d->timers[timer];

	if (!timer_room(q)) {
		decoder_limit(d, LIMIT_NAME_MEMORY);
		return;
	}
	q->entries[(q->first + q->n++) & (q->size - 1)] = (struct timer_entry){
		d->now.time_ns + timer_ns[timer], d->timer_running ? d->timer_packet : d->now.packet, what, generation, 0 };
}

static void timer_settle(struct decoder *d, const struct timer_entry *e)
{
	struct exchange_slot *s = e->what;

	if (s->used && s->generation == e->generation)
		exchange_push(d, &s->x, d->now, true);
}

static void timer_waiting(struct decoder *d, const struct timer_entry *e)
{
	struct exchange_slot *s = e->what;

	if (!s->used || s->generation != e->generation || s->x.done || s->x.waiting_told || s->x.f.response.first.packet != 0)
		return;
	if (exchange_asked_ns(&s->x) + WAITING_NS > d->now.time_ns) {   /* still asking, or has just asked */
		decoder_arm(d, TIMER_WAITING, s, s->generation);
		return;
	}
	s->x.waiting_told = true;
	exchange_push(d, &s->x, d->now, false);
}

void decoder_conn_fact(struct decoder *d, struct conn *c, enum conn_why why, bool final)
{
	size_t tls = c->detail != NULL && c->detail->tls != NULL ? sizeof(struct tls_facts) : 0;
	struct fact *head = decoder_fact(d, FACT_CONN, sizeof(struct conn_fact) + tls, c);
	struct conn_fact *f = (struct conn_fact *)(void *)head;

	if (head == NULL)
		return;
	f->final = final;
	f->why = (uint8_t)why;
	tcp_facts(d, c, &f->conn);
	if (tls != 0) {
		f->conn.tls_at = sizeof *f;
		memcpy((uint8_t *)f + sizeof *f, c->detail->tls, tls);
	}
}

static void timer_conn_waiting(struct decoder *d, const struct timer_entry *e)
{
	struct conn *c = e->what;
	struct detail *t = c->used && c->generation == e->generation ? c->detail : NULL;

	if (t == NULL || c->state != CONN_OPEN)
		return;
	t->waiting_armed = false;
	if (t->waiting_told || !conn_unanswered(t))
		return;
	t->waiting_told = true;
	decoder_conn_fact(d, c, CONN_WAITING, false);
}

static void close_fact_push(struct decoder *d, struct conn *c)
{
	struct close_fact *f = (struct close_fact *)(void *)decoder_fact(d, FACT_CLOSE, sizeof *f, c);
	const struct conn_facts *n = &c->detail->note;

	if (f == NULL)
		return;
	memcpy(f->end, c->tuple.end, sizeof f->end);
	f->closer = n->closer;
	f->closing = n->closing;
	f->opened = c->first;
	f->closed = n->closed;
	f->idle_ns = n->idle_ns;
	f->exchanges = c->exchanges;
	f->keep_alive_s = c->keep_alive_s;
	f->said_close = c->said_close;
	f->joined_late = c->joined_late;
}

/* The connection is over: what it says is a line where all went well, else its whole history. */
static void conn_tell_end(struct decoder *d, struct conn *c, enum conn_why why)
{
	struct detail *t = c->detail;

	exchange_settle_done(d, c, d->now);
	/* One side's FIN tells as much where the capture, or memory, ends before the other's. */
	if (t != NULL && !t->odd && c->exchanges != 0 && (why == CONN_CLOSED || t->note.closing != CLOSING_NONE))
		close_fact_push(d, c);
	else if (t != NULL && (why == CONN_CLOSED || why == CONN_REFUSED || t->odd || c->exchanges == 0))
		decoder_conn_fact(d, c, why, true);
	c->state = CONN_TOLD;
}

/* Refused: the SYN was answered by RST alone. */
static enum conn_why conn_closed_why(const struct conn *c)
{
	bool refused = !c->joined_late && c->syn_ack.packet == 0 && c->exchanges == 0 && c->detail != NULL &&
	               c->detail->flow[SERVER].facts->rst.at.packet != 0 && c->flow[SERVER].offset == 0;

	return refused ? CONN_REFUSED : CONN_CLOSED;
}

static void timer_close(struct decoder *d, const struct timer_entry *e)
{
	struct conn *c = e->what;

	if (!c->used || c->generation != e->generation || c->state != CONN_ENDED)
		return;
	if (tcp_detail(d, c))
		tcp_end(d, c, END_FIN, d->now);         /* what holes have held back, too */
	conn_tell_end(d, c, conn_closed_why(c));
	tcp_forget_detail(d, c);
	decoder_closed(d, c);
}

void decoder_arm_rest(struct decoder *d, struct conn *c)
{
	if (c->detail->rest_armed || c->state != CONN_OPEN)
		return;
	c->detail->rest_armed = true;
	decoder_arm(d, TIMER_REST, c, c->generation);
}

static void timer_rest(struct decoder *d, const struct timer_entry *e)
{
	struct conn *c = e->what;

	if (!c->used || c->generation != e->generation || c->detail == NULL)
		return;
	c->detail->rest_armed = false;
	ahead_release(d, c, false);
	if (c->detail == NULL || c->state != CONN_OPEN)
		return;
	stream_check_hole(d, c, CLIENT, d->now, false);
	stream_check_hole(d, c, SERVER, d->now, false);
	if (c->detail->first != NULL)           /* armed again when the last has settled */
		return;
	if (c->last_ns + SETTLE_NS > d->now.time_ns)
		decoder_arm_rest(d, c);
	else
		tcp_rest(d, c);
}

static void halves_expire(struct decoder *d);

static void timer_syn(struct decoder *d, const struct timer_entry *e)
{
	half_waited(d, e->what, e->generation);
}

static void (*const timer_fire[TIMER_COUNT])(struct decoder *, const struct timer_entry *) = {
	[TIMER_SETTLE] = timer_settle, [TIMER_WAITING] = timer_waiting, [TIMER_CONN_WAITING] = timer_conn_waiting,
	[TIMER_CLOSE] = timer_close, [TIMER_REST] = timer_rest, [TIMER_SYN] = timer_syn,
};

static int timer_by_packet(const void *a, const void *b)
{
	const struct timer_entry *x = a, *y = b;

	if (x->armed_by != y->armed_by)
		return x->armed_by < y->armed_by ? -1 : 1;
	return (x->nth > y->nth) - (x->nth < y->nth);
}

/* Those due, in the order of the packets that armed them: it is the same however connections are dealt to decoders. Only
 * what timers armed lies elsewhere in the queue. */
static void timer_sort(struct timer_queue *q, size_t due)
{
	bool sorted = true;

	for (size_t i = 0; i < due; i++) {
		struct timer_entry *e = &q->entries[(q->first + i) & (q->size - 1)];

		e->nth = (uint32_t)i;
		sorted &= i == 0 || q->entries[(q->first + i - 1) & (q->size - 1)].armed_by <= e->armed_by;
	}
	if (sorted)
		return;
	if (q->first + due > q->size && !timer_resize(q, q->size))
		return;                         /* without memory they fire in the order they were armed */
	qsort(&q->entries[q->first], due, sizeof *q->entries, timer_by_packet);
}

static void timer_run(struct decoder *d, unsigned i)
{
	struct timer_queue *q = &d->timers[i];
	size_t due = 0;

	while (due < q->n && q->entries[(q->first + due) & (q->size - 1)].due_ns <= d->now.time_ns)
		due++;
	timer_sort(q, due);
	for (; due != 0; due--) {
		struct timer_entry e = q->entries[q->first];

		q->first = (q->first + 1) & (q->size - 1);
		q->n--;
		d->timer_packet = e.armed_by;
		d->timer_order = (uint64_t)i << 56 | e.armed_by;
		timer_fire[i](d, &e);
	}
}

void decoder_tick(struct decoder *d, struct mark now)
{
	d->now = now;
	d->timer_running = true;
	for (unsigned i = 0; i < TIMER_COUNT; i++)
		timer_run(d, i);
	halves_expire(d);
	if (d->ticks_told) {
		d->timer_order = UINT64_C(0x7f) << 56;
		(void)decoder_fact(d, FACT_TICK, sizeof(struct tick_fact), NULL);
	}
	d->timer_running = false;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static uint32_t id_take(struct decoder *d)
{
	d->counters.connections++;
	if (d->numbering)
		return (uint32_t)d->next_number++;
	return d->n_free_ids != 0 ? d->free_ids[--d->n_free_ids] : (uint32_t)d->ids_made++;
}

void decoder_id_give(struct decoder *d, uint32_t id)
{
	if (d->numbering)
		return;
	if (d->n_free_ids == d->free_ids_size) {
		size_t size = d->free_ids_size != 0 ? d->free_ids_size * 2 : 256;
		uint32_t *bigger = realloc(d->free_ids, size * sizeof *bigger);

		if (bigger == NULL)
			return;
		d->free_ids = bigger;
		d->free_ids_size = size;
	}
	d->free_ids[d->n_free_ids++] = id;
}

/* With several decoders the merge counts conversations: it is told of each, in order. */
static void id_announce(struct decoder *d, uint32_t id)
{
	struct fact *f;

	if (d->numbering)
		return;
	f = decoder_fact(d, FACT_NUMBER, sizeof *f, NULL);
	if (f != NULL)
		f->id = id;
}

/* The number of the conversation that a segment opens, or that was opened by one that is not judged. */
uint32_t decoder_id_of(struct decoder *d, const struct segment *s)
{
	uint32_t index, id;
	const struct left_out *o = d->left_outs.table.n != 0 ? left_outs_find(&d->left_outs, s, &index) : NULL;
	bool goes_on = o != NULL && !left_out_reused(o, s);

	if (o != NULL) {
		id = o->id;
		left_outs_remove(&d->left_outs, index);
		d->memory -= sizeof *o;
		if (goes_on)
			return id;
		decoder_id_give(d, id);
	}
	id = id_take(d);
	id_announce(d, id);
	return id;
}

/* ---- connections -------------------------------------------------------------------------- */

struct conn *decoder_conn_at(struct decoder *d, uint32_t index)
{
	return slab_at(&d->conn_slab, index);
}

static void lru_unlink(struct decoder *d, struct conn *c)
{
	if (c->lru_before != NO_INDEX)
		decoder_conn_at(d, c->lru_before)->lru_after = c->lru_after;
	else
		d->lru_oldest = c->lru_after;
	if (c->lru_after != NO_INDEX)
		decoder_conn_at(d, c->lru_after)->lru_before = c->lru_before;
	else
		d->lru_newest = c->lru_before;
}

static void lru_append(struct decoder *d, struct conn *c)
{
	c->lru_before = d->lru_newest;
	c->lru_after = NO_INDEX;
	if (d->lru_newest != NO_INDEX)
		decoder_conn_at(d, d->lru_newest)->lru_after = c->index;
	else
		d->lru_oldest = c->index;
	d->lru_newest = c->index;
}

void decoder_proxied(struct decoder *d, struct conn *c, const struct endpoint *client)
{
	size_t n = d->n_proxied != 0 ? d->n_proxied : 256;

	while (n <= c->index)
		n *= 2;
	if (n != d->n_proxied) {
		struct endpoint *bigger = decoder_alloc(d, n * sizeof *bigger);

		if (bigger == NULL)
			return;
		if (d->n_proxied != 0)
			memcpy(bigger, d->proxied, d->n_proxied * sizeof *bigger);
		decoder_release(d, d->proxied, d->n_proxied * sizeof *bigger);
		d->proxied = bigger;
		d->n_proxied = n;
	}
	d->proxied[c->index] = *client;
	c->proxied = true;
}

static void conn_forget(struct decoder *d, struct conn *c)
{
	tcp_forget_detail(d, c);
	lru_unlink(d, c);
	table_remove(&d->conns, c->hash_low, c->index);
	decoder_id_give(d, c->id);
	d->memory -= sizeof *c;
	c->used = false;
	c->generation++;
	slab_give(&d->conn_slab, c->index);
}

/* Over the bound: what has been idle longest goes. */
static void decoder_evict(struct decoder *d)
{
	for (unsigned i = 0; i < 64 && d->lru_oldest != NO_INDEX; i++) {
		struct conn *c = decoder_conn_at(d, d->lru_oldest);

		if (c->state == CONN_OPEN) {
			tcp_end(d, c, END_EVICTED, d->now);
			conn_tell_end(d, c, CONN_EVICTED);
		}
		d->counters.evicted++;
		decoder_limit(d, "connections_evicted");
		conn_forget(d, c);
	}
}

static struct conn *conn_new(struct decoder *d, const struct tuple *t, uint64_t hash, uint8_t client, const struct segment *s)
{
	uint32_t index;
	struct conn *c;

	if (d->memory + sizeof *c + sizeof(struct detail) > d->max_memory)
		decoder_evict(d);
	c = slab_take(&d->conn_slab, &index);
	if (c == NULL || !table_add(&d->conns, hash, index)) {
		decoder_limit(d, LIMIT_NAME_MEMORY);
		if (c != NULL)
			slab_give(&d->conn_slab, index);
		return NULL;
	}
	*c = (struct conn){ .generation = c->generation, .index = index, .hash_low = (uint32_t)hash, .used = true };
	c->tuple.end[CLIENT] = t->end[client];
	c->tuple.end[SERVER] = t->end[!client];
	c->swapped = client != 0;
	c->tap = s->tap;
	c->first = s->at;
	c->payload_ns = INT64_MIN;
	c->flow[0].window_scale = c->flow[1].window_scale = 255;
	d->memory += sizeof *c;
	if (d->memory > d->memory_peak)
		d->memory_peak = d->memory;
	lru_append(d, c);
	return c;
}

void decoder_closed(struct decoder *d, struct conn *c)
{
	size_t at = (d->closed_first + d->n_closed) % CLOSED_KEPT;

	lru_unlink(d, c);                       /* to the old end: the first to go */
	c->lru_after = d->lru_oldest;
	c->lru_before = NO_INDEX;
	if (d->lru_oldest != NO_INDEX)
		decoder_conn_at(d, d->lru_oldest)->lru_before = c->index;
	else
		d->lru_newest = c->index;
	d->lru_oldest = c->index;
	if (d->n_closed == CLOSED_KEPT) {
		struct conn *old = decoder_conn_at(d, (uint32_t)d->closed[d->closed_first]);

		if (old->used && old->state == CONN_TOLD && old->generation == d->closed_generation[d->closed_first])
			conn_forget(d, old);
		d->closed_first = (d->closed_first + 1) % CLOSED_KEPT;
		d->n_closed--;
	}
	d->closed[at] = c->index;
	d->closed_generation[at] = c->generation;
	d->n_closed++;
}

static struct conn *conn_find(struct decoder *d, const struct tuple *t, uint64_t hash)
{
	size_t at = 0;
	uint32_t index;

	while ((index = table_find(&d->conns, hash, &at)) != NO_INDEX) {
		struct conn *c = decoder_conn_at(d, index);
		unsigned client = c->swapped;

		if (endpoint_equal(&c->tuple.end[CLIENT], &t->end[client]) && endpoint_equal(&c->tuple.end[SERVER], &t->end[!client]))
			return c;
	}
	return NULL;
}

/* ---- half-open ends, or becomes a connection ---------------------------------------------- */

static void open_fact_push(struct decoder *d, struct conn *c, const struct segment *s);

/* What its SYN-ACKs said, now that it is a connection. */
static void conn_answered(struct decoder *d, struct conn *c, const struct half *h)
{
	struct segment s = half_answer_again(h);
	struct tcp_side *side;

	c->syn_ack = s.at;
	open_fact_push(d, c, &s);
	tcp_segment(d, c, &s, SERVER);
	if (c->detail == NULL)
		return;
	side = c->detail->flow[SERVER].facts;
	side->syns = h->answers;
	side->syn_last = h->answered_last;
}

/* Something else than SYN and SYN-ACK came on this pair of ends: it becomes a connection. */
static struct conn *half_promote(struct decoder *d, struct half *h, const struct segment *s)
{
	struct half was = *h;
	struct conn *c = conn_new(d, &h->tuple, s->hash, h->from, s);
	struct flow *f;
	struct tcp_side *side;

	if (c == NULL)
		return NULL;
	half_drop(d, h);                        /* its id lives on */
	c->id = was.id;
	c->first = was.first;
	c->tap = was.tap;
	c->copies = was.copies;
	f = &c->flow[CLIENT];
	*f = (struct flow){ .next = was.isn + 1, .top = was.isn + 1, .acked = was.isn, .mss = was.mss, .window = was.window,
	                    .window_scale = was.window_scale, .ttl_syn = was.ttl, .ttl_min = was.ttl, .ttl_max = was.ttl, .ip_id = was.ip_id,
	                    .seq_known = true, .acked_known = true, .syn_seen = true, .sack = was.sack, .timestamps = was.timestamps };
	c->last_ns = was.last.time_ns;
	conn_note_last(c, was.last.packet);
	if (tcp_detail(d, c)) {
		side = c->detail->flow[CLIENT].facts;
		side->syn_last = was.last;
		side->syns = was.syns;
		side->last_seen = was.last;
		c->detail->note.icmp = was.icmp;
	}
	if (was.answers != 0)
		conn_answered(d, c, &was);
	return c;
}

/* It is told for the last time. One that was answered is told as what it would have become. */
static void half_end(struct decoder *d, struct half *h, enum conn_why why)
{
	struct segment s = half_answer_again(h);
	struct conn *c = NULL;

	s.hash = h->hash_low;
	if (h->answers != 0)
		c = half_promote(d, h, &s);
	if (c == NULL) {                /* or there is no memory for a connection: whoever ends all of them must get on */
		half_tell(d, h, true);
		half_forget(d, h);
		return;
	}
	if (c->detail != NULL)
		decoder_conn_fact(d, c, why, true);
	conn_forget(d, c);
}

static void halves_expire(struct decoder *d)
{
	struct half *h;

	while ((h = half_oldest(d)) != NULL && h->first.time_ns + HALF_NS <= d->now.time_ns) {
		d->timer_order = (uint64_t)TIMER_COUNT << 56 | h->first.packet;
		half_end(d, h, CONN_EVICTED);
	}
}

/* ---- packets ------------------------------------------------------------------------------ */

void decoder_prefetch(struct decoder *d, const struct segment *s)
{
	table_prefetch(&d->conns, s->hash);
	if (d->halves.n != 0)
		table_prefetch(&d->halves, s->hash);
}

void decoder_conn_prefetch(struct decoder *d, const struct segment *s)
{
	size_t at = 0;
	uint32_t index = table_find(&d->conns, s->hash, &at);
	const unsigned char *c;

	if (index == NO_INDEX)
		return;
	c = slab_at(&d->conn_slab, index);
	for (size_t i = 0; i < sizeof(struct conn); i += 64)
		__builtin_prefetch(c + i);
}

/* The initial sequence numbers, as far as this segment and the SYN tell; of a connection joined late where it stands. */
static void open_numbers(struct open_fact *f, const struct conn *c, const struct segment *s)
{
	enum side from = segment_side(c, s);
	bool acks = (s->flags & TCP_ACK) != 0;
	uint32_t syn = (s->flags & TCP_SYN) != 0;

	if (c->joined_late && !syn) {
		f->isn[from] = s->seq;
		f->isn[side_other(from)] = acks ? s->ack : 0;
		f->stamp = segment_tsval(s);
	} else if (from == SERVER) {
		f->isn[CLIENT] = c->joined_late ? s->ack - 1 : flow_isn(&c->flow[CLIENT]);
		f->isn[SERVER] = syn ? s->seq : 0;
	} else {                                /* the SYN-ACK was not captured, or comes later */
		f->isn[CLIENT] = flow_isn(&c->flow[CLIENT]);
		f->isn[SERVER] = acks && s->seq == f->isn[CLIENT] + 1 ? s->ack - 1 : 0;
	}
}

static void open_fact_push(struct decoder *d, struct conn *c, const struct segment *s)
{
	struct open_fact *f = (struct open_fact *)(void *)decoder_fact(d, FACT_OPEN, sizeof *f, c);

	if (f == NULL)
		return;
	memcpy(f->end, c->tuple.end, sizeof f->end);
	f->syn = c->joined_late ? (struct mark){ 0, 0 } : c->first;
	f->syn_ack = c->syn_ack;
	open_numbers(f, c, s);
	f->ttl = c->syn_ack.packet == s->at.packet ? s->ttl : 0;
	f->joined_late = c->joined_late;
}

/* A connection that began before the capture, or whose SYN was lost. Who is the client? Who got a SYN-ACK; who
 * sends a request; else the higher port. */
static struct conn *conn_joined(struct decoder *d, const struct segment *s)
{
	uint8_t client = s->tuple.end[1].port > s->tuple.end[0].port;
	struct conn *c;
	unsigned speaks = foreign_probe(CLIENT, s->payload, span_none());

	if ((s->flags & TCP_SYN) != 0)
		client = !s->from;
	else if (s->payload.len != 0 && speaks == SPEAKS_HTTP1)
		client = span_starts(s->payload, "HTTP/") ? !s->from : s->from;
	c = conn_new(d, &s->tuple, s->hash, client, s);
	if (c == NULL)
		return NULL;
	c->id = decoder_id_of(d, s);
	c->joined_late = true;
	d->counters.joined_late++;
	return c;
}

/* A SYN with a new sequence number on ends already used begins a new conversation, as in Wireshark. */
static bool conn_reused(const struct conn *c, const struct segment *s, enum side from)
{
	const struct flow *f = &c->flow[from];

	return (s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && f->seq_known && flow_isn(f) != s->seq;
}

static void conn_replace(struct decoder *d, struct conn *c)
{
	if (c->state == CONN_OPEN)
		tcp_end(d, c, END_EVICTED, d->now);
	if (c->state != CONN_TOLD) {
		tcp_detail(d, c);
		conn_tell_end(d, c, conn_closed_why(c));
	}
	conn_forget(d, c);
}

static void decoder_unknown(struct decoder *d, const struct segment *s, struct half *h)
{
	struct conn *c;

	if (h != NULL && s->from == h->from && (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) {
		if (s->seq == h->isn) {
			half_again(d, h, s);
			return;
		}
		half_tell(d, h, true);
		half_forget(d, h);
		h = NULL;
	}
	if (h != NULL && (s->malformed || half_answer(h, s)))
		return;
	if (h == NULL && (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) {
		h = half_syn(d, s);
		if (h == NULL || s->wire_len == 0)
			return;
		h->syns = 0;                    /* with data (RFC 7413) it is a connection at once */
	}
	c = h != NULL ? half_promote(d, h, s) : conn_joined(d, s);
	if (c == NULL)
		return;
	if (!c->joined_late && (s->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		c->syn_ack = s->at;
	if ((s->flags & TCP_RST) == 0 && !(c->syn_ack.packet != 0 && c->syn_ack.packet != s->at.packet))
		open_fact_push(d, c, s);
	if (!s->malformed)
		tcp_segment(d, c, s, segment_side(c, s));
}

/* It is told of no more than its number. Beyond the memory bound numbers are no longer Wireshark's, and that is said. */
static void left_out_begin(struct decoder *d, const struct segment *s)
{
	uint32_t id = id_take(d);

	id_announce(d, id);
	if (d->memory + sizeof(struct left_out) > d->max_memory || left_outs_add(&d->left_outs, s, id) == NULL) {
		decoder_id_give(d, id);
		d->counters.evicted++;
		decoder_limit(d, "connections_evicted");
		return;
	}
	d->memory += sizeof(struct left_out);
}

/* A packet that is not judged: all that matters is whether it opens a conversation. */
static void segment_left_out(struct decoder *d, const struct segment *s)
{
	struct conn *c = conn_find(d, &s->tuple, s->hash);
	struct half *h = c == NULL && d->halves.n != 0 ? half_find(d, &s->tuple, s->hash) : NULL;
	struct left_out *o;
	uint32_t index;

	if (c != NULL) {
		if (!conn_reused(c, s, segment_side(c, s)))
			return;
		conn_replace(d, c);
	}
	if (h != NULL) {
		if (s->from != h->from || (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN || s->seq == h->isn)
			return;
		half_tell(d, h, true);
		half_forget(d, h);
	}
	o = d->left_outs.table.n != 0 ? left_outs_find(&d->left_outs, s, &index) : NULL;
	if (o == NULL) {
		left_out_begin(d, s);
		return;
	}
	if (left_out_reused(o, s)) {
		decoder_id_give(d, o->id);
		o->id = id_take(d);
		id_announce(d, o->id);
		o->known[0] = o->known[1] = false;
	}
	left_out_note(o, s);
}

void decoder_segment(struct decoder *d, const struct segment *s)
{
	struct conn *c;
	enum side from;

	d->now = s->at;
	d->order = 0;
	if (s->filtered) {
		segment_left_out(d, s);
		return;
	}
	c = conn_find(d, &s->tuple, s->hash);
	if (c == NULL) {
		decoder_unknown(d, s, d->halves.n != 0 ? half_find(d, &s->tuple, s->hash) : NULL);
		return;
	}
	from = segment_side(c, s);
	if (conn_reused(c, s, from)) {
		conn_replace(d, c);
		decoder_unknown(d, s, NULL);
		return;
	}
	if (s->malformed)
		return;
	if (d->lru_newest != c->index && c->state == CONN_OPEN) {
		lru_unlink(d, c);
		lru_append(d, c);
	}
	tcp_segment(d, c, s, from);
}

void decoder_icmp(struct decoder *d, struct icmp_fact *f, const struct tuple *quoted, uint64_t hash, uint8_t from, uint32_t seq)
{
	struct conn *c = f->protocol == 6 ? conn_find(d, quoted, hash) : NULL;
	struct half *h = f->protocol == 6 && c == NULL ? half_find(d, quoted, hash) : NULL;
	struct fact *out;

	d->now = f->head.at;
	d->order = 0;
	f->note.at = d->now;
	if (h != NULL) {
		if (h->icmp.at.packet == 0)
			h->icmp = f->note;
		f->known = true;
		f->head.conn = h->id;
	} else if (c != NULL) {
		if (tcp_detail(d, c)) {
			if (c->detail->note.icmp.at.packet == 0)
				c->detail->note.icmp = f->note;
			c->detail->odd = true;
		}
		f->known = true;
		f->head.conn = c->id;
	} else if (f->protocol == 6) {          /* Wireshark opens a conversation for the quoted header */
		struct segment s = { .at = d->now, .tuple = *quoted, .hash = hash, .from = from, .seq = seq, .tap = f->head.tap };

		c = conn_joined(d, &s);
		if (c != NULL) {
			c->flow[segment_side(c, &s)].next = seq + 1;
			c->last_ns = d->now.time_ns;
			conn_note_last(c, d->now.packet);
			if (tcp_detail(d, c))
				c->detail->note.icmp = f->note;
			f->known = true;
			f->head.conn = c->id;
		}
	}
	out = decoder_fact(d, FACT_ICMP, sizeof *f, NULL);
	if (out != NULL) {
		struct fact head = *out;

		memcpy(out, f, sizeof *f);
		head.conn = head.id = f->head.conn;
		head.tap = f->head.tap;
		*out = head;
	}
	if (h != NULL)
		half_tell(d, h, false);
}

void decoder_control(struct decoder *d, const struct fact *f)
{
	struct fact *out, head;

	d->now = f->at;
	d->order = 0;
	out = decoder_fact(d, (enum fact_kind)f->kind, f->size, NULL);
	if (out == NULL)
		return;
	head = *out;
	memcpy(out, f, f->size);
	head.tap = f->tap;
	*out = head;
}

/* ---- birth and end ------------------------------------------------------------------------ */

static int conn_by_first(const void *a, const void *b)
{
	uint64_t x = (*(struct conn *const *)a)->first.packet, y = (*(struct conn *const *)b)->first.packet;

	return (x > y) - (x < y);
}

static void end_conns(struct decoder *d)
{
	size_t n = 0;
	struct conn **all = malloc((d->conns.n + 1) * sizeof(struct conn *));

	for (uint32_t i = 0; all != NULL && i < d->conn_slab.made; i++) {
		struct conn *c = decoder_conn_at(d, i);

		if (c->used && c->state != CONN_TOLD && (c->detail != NULL || c->exchanges == 0) && n < d->conns.n)
			all[n++] = c;
	}
	if (n != 0)
		qsort(all, n, sizeof *all, conn_by_first);
	for (size_t i = 0; i < n; i++) {
		struct conn *c = all[i];
		bool over = c->state == CONN_ENDED;

		d->timer_order = UINT64_C(0xf0) << 56 | c->first.packet;
		if (!over || tcp_detail(d, c))
			tcp_end(d, c, over ? END_FIN : END_CAPTURE, d->now);
		if (tcp_detail(d, c))
			conn_tell_end(d, c, over ? conn_closed_why(c) : CONN_CAPTURE_ENDS);
		tcp_forget_detail(d, c);
	}
	free(all);
}

static void end_halves(struct decoder *d)
{
	for (struct half *h; (h = half_oldest(d)) != NULL;) {
		d->timer_order = UINT64_C(0xf1) << 56 | h->first.packet;
		half_end(d, h, CONN_CAPTURE_ENDS);
	}
}

void decoder_end(struct decoder *d, struct mark last)
{
	d->now = last;
	d->timer_running = true;
	end_conns(d);
	end_halves(d);
	d->timer_running = false;
	d->counters.memory_peak = d->memory_peak;
	decoder_flush(d);
}

static size_t quarter_of_ram(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages > 0 && page > 0 ? (size_t)pages / 4 * (size_t)page : (size_t)256 << 20;
}

struct decoder *decoder_new(const struct decode_options *o, struct fact_sink sink, bool numbering)
{
	struct decoder *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	d->options = o;
	d->sink = sink;
	d->numbering = d->ticks_told = numbering;
	d->lru_oldest = d->lru_newest = NO_INDEX;
	d->met.key = hash_key_random();
	for (unsigned l = 0; l < HALF_LISTS; l++)
		d->half_lists.oldest[l] = d->half_lists.newest[l] = NO_INDEX;
	d->max_memory = (o->max_memory != 0 ? o->max_memory : quarter_of_ram()) / (o->threads != 0 ? o->threads : 1);
	d->halves_max = LIMIT_SYN_ONLY / (o->threads != 0 ? o->threads : 1);
	d->waiting_bytes_max = LIMIT_REASSEMBLY_TOTAL / (o->threads != 0 ? o->threads : 1);
	slab_init(&d->conn_slab, sizeof(struct conn), 256);
	slab_init(&d->half_slab, sizeof(struct half), 256);
	slab_init(&d->detail_slab, sizeof(struct detail), 64);
	slab_init(&d->exchange_slab, sizeof(struct exchange_slot), 64);
	d->out = (struct fact_batch){ 0, OUT_BYTES, malloc(OUT_BYTES) };
	d->closed = calloc(CLOSED_KEPT, sizeof *d->closed);
	d->closed_generation = calloc(CLOSED_KEPT, sizeof *d->closed_generation);
	if (d->out.bytes == NULL || d->closed == NULL || d->closed_generation == NULL ||
	    !table_init(&d->conns, TABLE_FIRST) || !table_init(&d->halves, TABLE_FIRST)) {
		decoder_free(d);
		return NULL;
	}
	return d;
}

void decoder_free(struct decoder *d)
{
	if (d == NULL)
		return;
	for (uint32_t i = 0; i < d->conn_slab.made; i++)
		tcp_forget_detail(d, decoder_conn_at(d, i));
	for (unsigned i = 0; i < TIMER_COUNT; i++)
		free(d->timers[i].entries);
	table_clear(&d->conns);
	table_clear(&d->halves);
	left_outs_clear(&d->left_outs);
	slab_clear(&d->conn_slab);
	slab_clear(&d->half_slab);
	slab_clear(&d->detail_slab);
	for (uint32_t i = 0; i < d->exchange_slab.made; i++)
		free(((struct exchange_slot *)slab_at(&d->exchange_slab, i))->x.text);
	slab_clear(&d->exchange_slab);
	free(d->proxied);
	free(d->scratch);
	free(d->free_ids);
	free(d->closed);
	free(d->closed_generation);
	free(d->out.bytes);
	free(d);
}
