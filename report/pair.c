/* pair.c - which exchanges lie around which, and which failed connections: counted on edges, for join.c */
#include "roles.h"

#include <stdlib.h>

enum {
	LOOK_BACK = 48, /* requests with one target that began before: candidates for the one around
			   it */
	PAIR_GAP_S = 5, /* a gateway passes a request on within this */
	SOON_MS = 100,  /* a gateway connects within this, or its request is as likely another's */
	SLACK_MS = 2    /* two interfaces may be told out of order by this */
};

/* Sorting all that is kept costs more than all the rest: with much traffic it is done for thousands of new exchanges at
 * once, since roles are plain from the first few. */
enum { PAIR_ALWAYS = 2048, PAIR_FRESH = 8192 };

/* ---- like pairs --------------------------------------------------------------------------- */

struct sight { /* an exchange, healthy or not, as pairing sees it */
	int64_t begin_ns, end_ns;
	uint64_t tail;
	struct mark request;
	const struct endpoint *end; /* [2] */
	uint32_t conn;
	uint16_t status;
	uint8_t method;
	bool fresh;        /* not paired before */
	struct kept *kept; /* NULL: a brief */
	const struct sight *inner; /* what it lies around and was answered with */
};

static int compare_sights(const void *a, const void *b)
{
	const struct sight *x = a, *y = b;

	if (x->tail != y->tail)
		return x->tail < y->tail ? -1 : 1;
	if (x->begin_ns != y->begin_ns)
		return x->begin_ns < y->begin_ns ? -1 : 1;
	return (x->conn > y->conn) - (x->conn < y->conn);
}

/* It has its answer from elsewhere: another host's try within it is of another request, or was made before. */
static bool may_hold(const struct sight *c, const struct sight *u, int64_t slack_ns)
{
	return c->inner == NULL || address_equal(c->inner->end[CLIENT].address, u->end[CLIENT].address) ||
	       u->end_ns <= c->inner->begin_ns + slack_ns;
}

/* Does this one lie around that one, and are they one request? */
static bool around(const struct sight *c, const struct sight *u, int64_t slack_ns)
{
	return c->conn != u->conn && c->end_ns >= u->end_ns - slack_ns &&
	       c->end_ns - c->begin_ns >= u->end_ns - u->begin_ns &&
	       u->begin_ns - c->begin_ns < PAIR_GAP_S * NS_PER_S &&
	       !endpoint_equal(&c->end[SERVER], &u->end[SERVER]) &&
	       (c->status == u->status || u->status == 0 || c->status >= 500) &&
	       (c->method == u->method || (c->method == METHOD_HEAD && u->method == METHOD_GET)) &&
	       may_hold(c, u, slack_ns);
}

void roles_remember_pair(struct roles *r, const struct edge *e)
{
	struct gateway *g = e->parent != NO_GATEWAY ? &r->gateways[e->parent] : NULL;

	if (g != NULL && g->pair[CLIENT].packet == 0)
		memcpy(g->pair, e->pair, sizeof g->pair);
}

static void add_pair(struct roles *r, struct edge *e, const struct endpoint *front, struct mark asked, struct mark tried)
{
	r->news++;
	if (e->pair[CLIENT].packet == 0) {
		e->pair[CLIENT] = asked;
		e->pair[SERVER] = tried;
	}
	roles_remember_pair(r, e);
	for (unsigned i = 0; i < 4; i++) {
		if (e->fronts[i].pairs == 0)
			e->fronts[i].front = *front;
		else if (!endpoint_equal(&e->fronts[i].front, front))
			continue;
		e->fronts[i].pairs++;
		return;
	}
}

static struct sight *around_before(struct sight *sights, size_t i, int64_t slack_ns)
{
	const struct sight *u = &sights[i];

	for (size_t back = 1; back <= LOOK_BACK && back <= i && sights[i - back].tail == u->tail;
	     back++)
		if (around(&sights[i - back], u, slack_ns))
			return &sights[i - back];
	return NULL;
}

static struct sight *around_after(struct sight *sights, size_t n, size_t i,
					int64_t slack_ns)
{
	const struct sight *u = &sights[i];

	for (size_t on = i + 1; on < n && on - i <= LOOK_BACK && sights[on].tail == u->tail &&
				sights[on].begin_ns - u->begin_ns <= slack_ns;
	     on++)
		if (around(&sights[on], u, slack_ns))
			return &sights[on];
	return NULL;
}

/* The tap on the clients' side may be a little late or early: then the longer of the two is around. */
static struct sight *find_around(struct sight *sights, size_t n, size_t i)
{
	const int64_t slack_ns = SLACK_MS * NS_PER_MS;
	struct sight *c = around_before(sights, i, 0);

	c = c != NULL ? c : around_before(sights, i, slack_ns);
	return c != NULL ? c : around_after(sights, n, i, slack_ns);
}

static void pair_sight(struct roles *r, const struct sight *u, const struct sight *c)
{
	struct edge *e = roles_edge(r, &u->end[CLIENT], &u->end[SERVER]);

	if (e == NULL)
		return;
	add_pair(r, e, &c->end[SERVER], c->request, u->request);
	if (u->kept != NULL)
		u->kept->paired = true;
}

/* Those with an answer first: what is left then is nobody's, or was tried before. */
static void pair_sights(struct roles *r, struct sight *sights, size_t n)
{
	bool few = n <= PAIR_ALWAYS;

	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < n; i++) {
			const struct sight *u = &sights[i];
			struct sight *c = (u->status == 0) == (pass == 1) && (few || u->fresh) ? find_around(sights, n, i) : NULL;

			if (c == NULL)
				continue;
			if (u->fresh)
				pair_sight(r, u, c);
			if (c->inner == NULL && u->status != 0 && u->status == c->status)
				c->inner = u;
		}
}

static struct sight sight_of_brief(const struct brief_fact *f, bool fresh)
{
	return (struct sight){ f->request.time_ns, f->response.time_ns, f->tail_hash, f->request, f->end,
			       f->head.conn,       f->status,           f->method,    fresh,      NULL,
			       NULL };
}

static struct sight sight_of_kept(struct kept *k)
{
	bool fresh = !k->paired;
	const struct exchange_fact *f = (const void *)k->fact;
	struct mark end = f->x.response.last.packet != 0 ? f->x.response.last : f->conn.closed;

	return (struct sight){ f->x.request.first.time_ns,
			       end.packet != 0 ? end.time_ns : k->begin.time_ns,
			       f->x.tail_hash,
			       f->x.request.first,
			       f->conn.end,
			       k->fact->conn,
			       f->x.status,
			       f->x.method,
			       fresh,
			       k,
			       NULL };
}

static bool is_sight(const struct kept *k)
{
	return k->fact->kind == FACT_EXCHANGE && k->final && k->begin.packet != 0;
}

static size_t gather_kept(const struct store *s, struct sight *sights)
{
	size_t n = 0;

	for (struct kept *k = s->lists[LIST_MAIN].oldest; k != NULL; k = k->newer)
		if (is_sight(k)) {
			sights[n++] = sight_of_kept(k);
			k->looked_at = true;
		}
	return n;
}

static size_t gather_briefs(const struct roles *r, const struct store *s, struct sight *sights)
{
	size_t n = 0;

	for (uint64_t i = store_oldest(s); i < s->n_briefs; i++)
		sights[n++] = sight_of_brief(&store_at(s, i)->f, i >= r->inferred_to);
	return n;
}

static void pair_exchanges(struct roles *r, struct store *s, bool briefs)
{
	struct sight *sights =
		malloc(((briefs ? BRIEFS_MAX : 0) + (size_t)s->lists[LIST_MAIN].count + 1) * sizeof *sights);
	size_t n;

	if (sights == NULL)
		return;
	n = gather_kept(s, sights);
	if (briefs) {
		n += gather_briefs(r, s, sights + n);
		r->inferred_to = s->n_briefs;
	}
	qsort(sights, n, sizeof *sights, compare_sights);
	pair_sights(r, sights, n);
	free(sights);
	for (struct kept *k = s->lists[LIST_MAIN].oldest; k != NULL && briefs; k = k->newer)
		k->paired |= is_sight(k);
}

/* A failure between hosts whose roles are open waits for none: it is told soon. */
static bool stranger_failed(struct roles *r, const struct store *s)
{
	for (const struct kept *k = s->lists[LIST_MAIN].newest; k != NULL && !k->looked_at; k = k->older)
		if (is_sight(k) && roles_back(r, &k->end[CLIENT], &k->end[SERVER]) == NO_GATEWAY &&
		    roles_front(r, &k->end[SERVER]) == NO_GATEWAY)
			return true;
	return false;
}

/* ---- a failed connection within a failed request ------------------------------------------ */

static bool is_failed_connect(const struct kept *k)
{
	const struct conn_fact *f = (const void *)k->fact;

	return k->fact->kind == FACT_SYN || (k->fact->kind == FACT_CONN && f->conn.exchanges == 0 &&
					     f->conn.side[SERVER].syn.packet == 0);
}

/* A failed request around it, if all that are are one front's; NULL: none, or several fronts'. */
static const struct kept *front_around(const struct store *s, const struct kept *u)
{
	const struct kept *front = NULL;

	for (const struct kept *c = s->lists[LIST_MAIN].oldest; c != NULL; c = c->newer) {
		const struct exchange_fact *f = (const void *)c->fact;

		if (c->fact->kind != FACT_EXCHANGE ||
		    f->x.request.first.time_ns > u->begin.time_ns + SLACK_MS * NS_PER_MS ||
		    f->x.request.last.time_ns < u->begin.time_ns - SOON_MS * NS_PER_MS ||
		    f->x.response.first.packet == 0 || f->x.status < 500 ||
		    f->x.response.first.time_ns < u->begin.time_ns ||
		    address_equal(c->end[CLIENT].address, u->end[CLIENT].address))
			continue;
		if (front != NULL && !endpoint_equal(&front->end[SERVER], &c->end[SERVER]))
			return NULL;
		front = c;
	}
	return front;
}

static void pair_failed_connects(struct roles *r, struct store *s)
{
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (struct kept *u = s->lists[list].oldest; u != NULL; u = u->newer) {
			const struct kept *front;
			struct edge *e;

			if (!is_failed_connect(u) || u->paired)
				continue;
			e = roles_ask(r, &u->end[CLIENT], &u->end[SERVER]);
			if (e == NULL || e->parent != NO_GATEWAY || e->requests != 0)
				continue;
			front = front_around(s, u);
			if (front != NULL && !endpoint_equal(&front->end[SERVER], &u->end[SERVER])) {
				add_pair(r, e, &front->end[SERVER], front->begin, u->begin);
				u->paired = true;
			}
		}
}

/* ---- all of it ---------------------------------------------------------------------------- */

void roles_pair(struct roles *r, struct store *s, bool final)
{
	if (final || s->n_briefs < PAIR_ALWAYS || s->n_briefs - r->inferred_to >= PAIR_FRESH)
		pair_exchanges(r, s, true);
	else if (stranger_failed(r, s))
		pair_exchanges(r, s, false);
	pair_failed_connects(r, s);
}
