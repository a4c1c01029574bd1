/* twins.c - a connection that was captured at two points is told once */
#include "twins.h"

#include "lru.h"

#include <stdlib.h>

enum {
	WAIT_MS = 50,
	WAITING_MAX = 1024,   /* first facts; a power of two */
	LATELY_MAX = 4096,    /* connections by their sequence numbers; a power of two */
	LATELY_BITS = 12,     /* its logarithm */
	BOTH_KNOWN_S = 5,     /* clocks of two hosts differ; 64 bits agree by no chance */
	CLIENT_KNOWN_S = 1,   /* at 10,000 SYNs a second 32 bits agree by chance every 40 s */
	ADDRESSES_MAX = 4096,
	KNOWN_BITS_MIN = 10,
	KNOWN_BITS_MAX = 17   /* 1 MiB: silent twins that are open at a time */
};

#define SILENT UINT32_MAX

/* What identifies a connection wherever it is seen. */
struct numbers {
	uint32_t isn[2]; /* joined late: where the first segment stood; server 0: not known */
	uint32_t stamp;  /* joined late: its TSval */
};

struct sight {
	struct endpoint end[2];
	struct numbers numbers;
	int64_t syn_ns; /* when it passed: first near the client */
	uint32_t conn;
};

struct waiting {
	struct fact *first; /* own copy; NULL: told, or never to be */
	union {
		struct open_fact open;
		struct syn_fact syn;
	} room;             /* where it lies if it is no larger */
	struct sight sight;
	int64_t since_ns;
	uint32_t next; /* of the same connection, in a circle */
};

struct lately {
	struct sight sight;
	bool used;
};

struct known { /* what to do with a connection's facts; those of others pass */
	uint32_t conn;
	uint32_t place; /* of its first fact in the ring; or SILENT */
	bool used;
};

struct address {
	struct lru_entry entry;
	bool asks, answers;
};

struct twins {
	struct twin_events events;
	void *ctx;
	struct waiting *waiting; /* ring */
	uint32_t oldest, newest; /* positions, ever growing: newest is the next to be used */
	struct lately *lately;   /* by hash of the client's number */
	struct known *known;     /* open addressing */
	unsigned known_bits;
	uint32_t n_known;
	struct lru *addresses;
};

static void waiting_forget(struct waiting *w)
{
	if (w->first != (void *)&w->room)
		free(w->first);
	w->first = NULL;
}

struct twins *twins_new(const struct twin_events *ev, void *ctx)
{
	struct twins *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->events = *ev;
	t->ctx = ctx;
	t->known_bits = KNOWN_BITS_MIN;
	t->waiting = calloc(WAITING_MAX, sizeof *t->waiting);
	t->lately = calloc(LATELY_MAX, sizeof *t->lately);
	t->known = calloc((size_t)1 << t->known_bits, sizeof *t->known);
	t->addresses = lru_new(sizeof(struct address), ADDRESSES_MAX, NULL, NULL);
	if (t->waiting == NULL || t->lately == NULL || t->known == NULL || t->addresses == NULL) {
		twins_free(t);
		return NULL;
	}
	return t;
}

void twins_free(struct twins *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; t->waiting != NULL && i < WAITING_MAX; i++)
		waiting_forget(&t->waiting[i]);
	free(t->waiting);
	free(t->lately);
	free(t->known);
	lru_free(t->addresses);
	free(t);
}

/* ---- connections whose facts do not simply pass ------------------------------------------- */

static uint32_t hash32(uint32_t n, unsigned bits)
{
	return n * UINT32_C(2654435761) >> (32 - bits); /* Knuth, TAOCP 3, 6.4 */
}

/* Its entry, or the free one where it would be. */
static uint32_t known_place(const struct twins *t, uint32_t conn)
{
	uint32_t mask = (UINT32_C(1) << t->known_bits) - 1, i = hash32(conn, t->known_bits);

	while (t->known[i].used && t->known[i].conn != conn)
		i = (i + 1) & mask;
	return i;
}

static struct known *known_find(const struct twins *t, uint32_t conn)
{
	struct known *k;

	if (t->n_known == 0)
		return NULL;
	k = &t->known[known_place(t, conn)];
	return k->used ? k : NULL;
}

static bool known_grow(struct twins *t)
{
	struct known *old = t->known, *more;
	uint32_t n = UINT32_C(1) << t->known_bits;

	if (t->known_bits == KNOWN_BITS_MAX)
		return false;
	more = calloc((size_t)n * 2, sizeof *more);
	if (more == NULL)
		return false;
	t->known = more;
	t->known_bits++;
	for (uint32_t i = 0; i < n; i++)
		if (old[i].used)
			t->known[known_place(t, old[i].conn)] = old[i];
	free(old);
	return true;
}

/* Beyond the bound a twin is told like any other connection. */
static void known_set(struct twins *t, uint32_t conn, uint32_t place)
{
	uint32_t size = UINT32_C(1) << t->known_bits;
	struct known *k;

	if (t->n_known >= size / 2 && !known_grow(t) && t->n_known >= size / 4 * 3)
		return;
	k = &t->known[known_place(t, conn)];
	t->n_known += !k->used;
	*k = (struct known){ conn, place, true };
}

/* Linear probing without tombstones: what follows moves up (Knuth, TAOCP 3, 6.4, algorithm R). */
static void known_remove(struct twins *t, uint32_t conn)
{
	uint32_t mask = (UINT32_C(1) << t->known_bits) - 1, hole = known_place(t, conn);

	if (!t->known[hole].used)
		return;
	for (uint32_t i = (hole + 1) & mask; t->known[i].used; i = (i + 1) & mask) {
		uint32_t home = hash32(t->known[i].conn, t->known_bits);

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		t->known[hole] = t->known[i];
		hole = i;
	}
	t->known[hole].used = false;
	t->n_known--;
}

/* ---- who asks, who answers ---------------------------------------------------------------- */

static struct address *address_of(struct twins *t, const struct endpoint *e)
{
	struct lru_key k = lru_key_address(e->address);
	struct address *a = lru_find(t->addresses, &k);

	return a != NULL ? a : lru_add(t->addresses, &k, LRU_COLD);
}

static void note_asks(struct twins *t, const struct endpoint *client)
{
	struct address *a = address_of(t, client);

	if (a != NULL)
		a->asks = true;
}

static void note_answers(struct twins *t, const struct endpoint *server)
{
	struct address *a = address_of(t, server);

	if (a == NULL)
		return;
	a->answers = true;
	lru_warm(t->addresses, a);
}

static bool is_asking(struct twins *t, const struct endpoint *e)
{
	struct lru_key k = lru_key_address(e->address);
	const struct address *a = lru_find(t->addresses, &k);

	return a != NULL && a->asks;
}

static bool is_answering(struct twins *t, const struct endpoint *e)
{
	struct lru_key k = lru_key_address(e->address);
	const struct address *a = lru_find(t->addresses, &k);

	return a != NULL && a->answers;
}

/* ---- one sight of several ----------------------------------------------------------------- */

static struct waiting *waiting_at(const struct twins *t, uint32_t place)
{
	return &t->waiting[place & (WAITING_MAX - 1)];
}

/* A gateway's own address serves and asks. Where that tells nothing, a client that serves is a gateway, and the SYN passed
 * first where it was nearest; else the server may become one, and it passed there last. */
static bool better(struct twins *t, const struct sight *a, const struct sight *b)
{
	bool a_serves = is_answering(t, &a->end[CLIENT]), b_serves = is_answering(t, &b->end[CLIENT]);
	int of_a = a_serves + is_asking(t, &a->end[SERVER]);
	int of_b = b_serves + is_asking(t, &b->end[SERVER]);

	if (of_a != of_b)
		return of_a > of_b;
	return a_serves ? a->syn_ns < b->syn_ns : a->syn_ns > b->syn_ns;
}

static uint32_t choose_one(struct twins *t, uint32_t place)
{
	uint32_t best = place;

	for (uint32_t i = waiting_at(t, place)->next; i != place; i = waiting_at(t, i)->next)
		if (better(t, &waiting_at(t, i)->sight, &waiting_at(t, best)->sight))
			best = i;
	return best;
}

static void tell_also(struct twins *t, const struct sight *told, const struct sight *other)
{
	if (!endpoint_equal(&told->end[SERVER], &other->end[SERVER]))
		t->events.also(t->ctx, &told->end[SERVER], &other->end[SERVER]);
}

static struct lately *lately_of(const struct twins *t, const struct sight *s)
{
	return &t->lately[hash32(s->numbers.isn[CLIENT], LATELY_BITS)];
}

/* All sights of this connection have been waited for. */
static void settle_sights(struct twins *t, uint32_t place)
{
	struct waiting *best = waiting_at(t, choose_one(t, place));
	uint32_t i = place;

	known_remove(t, best->sight.conn);
	do {
		struct waiting *w = waiting_at(t, i);

		i = w->next;
		if (w == best)
			continue;
		if (lately_of(t, &w->sight)->sight.conn == w->sight.conn)
			lately_of(t, &w->sight)->sight = best->sight;
		tell_also(t, &best->sight, &w->sight);
		known_set(t, w->sight.conn, SILENT);
		waiting_forget(w);
	} while (i != place);
	t->events.pass(t->ctx, best->first);
	waiting_forget(best);
}

static void settle_oldest(struct twins *t)
{
	if (waiting_at(t, t->oldest)->first != NULL)
		settle_sights(t, t->oldest);
	t->oldest++;
}

static void settle_until(struct twins *t, int64_t now_ns)
{
	while (t->oldest != t->newest) {
		const struct waiting *w = waiting_at(t, t->oldest);

		if (w->first != NULL && w->since_ns + WAIT_MS * NS_PER_MS > now_ns)
			return;
		settle_oldest(t);
	}
}

void twins_end(struct twins *t)
{
	settle_until(t, INT64_MAX);
}

int64_t twins_told_until(const struct twins *t, int64_t now_ns)
{
	int64_t until = now_ns;

	for (uint32_t i = t->oldest; i != t->newest; i++) {
		const struct waiting *w = &t->waiting[i & (WAITING_MAX - 1)];

		if (w->first != NULL && w->first->kind != FACT_OPEN && w->sight.syn_ns < until)
			until = w->sight.syn_ns;
	}
	return until;
}

/* ---- first facts -------------------------------------------------------------------------- */

static bool sight_of_open(struct sight *s, const struct open_fact *f)
{
	memcpy(s->end, f->end, sizeof s->end);
	memcpy(s->numbers.isn, f->isn, sizeof f->isn);
	s->numbers.stamp = f->stamp;
	s->syn_ns = f->syn.packet != 0 ? f->syn.time_ns : f->head.at.time_ns;
	return true;
}

static bool sight_of_syn(struct sight *s, const struct syn_fact *f)
{
	memcpy(s->end, f->end, sizeof s->end);
	s->numbers.isn[CLIENT] = f->isn;
	s->syn_ns = f->first.time_ns;
	return true;
}

/* A connection that was refused is told at once. */
static bool sight_of_conn(struct sight *s, const struct conn_fact *f)
{
	const struct tcp_side *client = &f->conn.side[CLIENT];

	if (client->syn.packet == 0 || f->conn.side[SERVER].syn.packet != 0)
		return false;
	memcpy(s->end, f->conn.end, sizeof s->end);
	s->numbers.isn[CLIENT] = client->isn;
	s->syn_ns = client->syn.time_ns;
	return true;
}

/* Fills what identifies a connection. False: this fact says nothing of that. */
static bool sight_of(struct sight *s, const struct fact *f)
{
	const void *p = f;

	*s = (struct sight){ .conn = f->conn };
	switch (f->kind) {
	case FACT_OPEN:
		return sight_of_open(s, p);
	case FACT_SYN:
		return sight_of_syn(s, p);
	case FACT_CONN:
		return sight_of_conn(s, p);
	default:
		return false;
	}
}

static void note_addresses(struct twins *t, const struct fact *f, const struct sight *s)
{
	note_asks(t, &s->end[CLIENT]);
	if (f->kind == FACT_OPEN)
		note_answers(t, &s->end[SERVER]);
}

/* Translation changes the client's address, or leaves all of the client's end alone. A sender whose
 * initial numbers never change (a test's, a scanner's) has other ports of one address. */
static bool translated(const struct sight *a, const struct sight *b)
{
	return endpoint_equal(&a->end[CLIENT], &b->end[CLIENT])
		       ? !endpoint_equal(&a->end[SERVER], &b->end[SERVER])
		       : !address_equal(a->end[CLIENT].address, b->end[CLIENT].address);
}

static bool are_twins(const struct sight *a, const struct sight *b)
{
	const struct numbers *x = &a->numbers, *y = &b->numbers;
	bool both = x->isn[SERVER] != 0 && y->isn[SERVER] != 0;
	int64_t apart_ns = a->syn_ns > b->syn_ns ? a->syn_ns - b->syn_ns : b->syn_ns - a->syn_ns;

	return x->isn[CLIENT] == y->isn[CLIENT] && x->stamp == y->stamp &&
	       (!both || x->isn[SERVER] == y->isn[SERVER]) &&
	       apart_ns <= (both ? BOTH_KNOWN_S : CLIENT_KNOWN_S) * NS_PER_S && translated(a, b);
}

static bool wait_for_twins(struct twins *t, const struct fact *f, const struct sight *s)
{
	struct waiting *w = waiting_at(t, t->newest);
	struct fact *copy = f->size <= sizeof w->room ? (void *)&w->room : malloc(f->size);

	if (copy == NULL)
		return false;
	memcpy(copy, f, f->size);
	w->first = copy;
	w->sight = *s;
	w->since_ns = f->at.time_ns;
	w->next = t->newest;
	known_set(t, s->conn, t->newest++);
	return true;
}

static void join(struct twins *t, uint32_t a, uint32_t b)
{
	struct waiting *x = waiting_at(t, a), *y = waiting_at(t, b);
	uint32_t next = x->next;

	x->next = y->next;
	y->next = next;
}

/* A connection's first fact: it waits, or it is a twin of one that was told. */
static void first_fact(struct twins *t, const struct fact *f, const struct sight *s)
{
	struct lately *l = lately_of(t, s);
	const struct known *of_other;
	uint32_t place;

	if (t->newest - t->oldest == WAITING_MAX)
		settle_oldest(t);
	if (l->used && l->sight.conn == s->conn) { /* it has waited before */
		l->sight = *s;
		t->events.pass(t->ctx, f);
		return;
	}
	if (!l->used || !are_twins(&l->sight, s)) {
		*l = (struct lately){ *s, true };
		if (!wait_for_twins(t, f, s))
			t->events.pass(t->ctx, f);
		return;
	}
	of_other = known_find(t, l->sight.conn);
	if (of_other == NULL || of_other->place == SILENT) {
		tell_also(t, &l->sight, s);
		known_set(t, s->conn, SILENT);
		return;
	}
	place = of_other->place;
	if (wait_for_twins(t, f, s))
		join(t, place, t->newest - 1);
}

/* ---- all facts ---------------------------------------------------------------------------- */

static bool ends_connection(const struct fact *f)
{
	const struct conn_fact *conn = (const void *)f;
	const struct syn_fact *syn = (const void *)f;

	return f->kind == FACT_CLOSE || (f->kind == FACT_CONN && conn->final) ||
	       (f->kind == FACT_SYN && syn->final);
}

void twins_fact(struct twins *t, const struct fact *f)
{
	struct known *k;
	struct sight s;

	if (f->kind < FACT_SYN || f->kind > FACT_CONN) {
		if (f->kind == FACT_TICK)
			settle_until(t, f->at.time_ns);
		t->events.pass(t->ctx, f);
		return;
	}
	k = known_find(t, f->conn);
	if (k != NULL && k->place != SILENT) {
		settle_sights(t, k->place);
		k = known_find(t, f->conn);
	}
	if (k != NULL) {
		if (ends_connection(f))
			known_remove(t, f->conn);
		return;
	}
	if (!sight_of(&s, f)) {
		t->events.pass(t->ctx, f);
		return;
	}
	note_addresses(t, f, &s);
	if (s.numbers.isn[CLIENT] != 0)
		first_fact(t, f, &s);
	else
		t->events.pass(t->ctx, f);
}
