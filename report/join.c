/* join.c - which edges are a gateway's: what roles_infer() does with all that was counted */
#include "roles.h"

#include <stdlib.h>

enum {
	INFER_FIRST = 64, /* briefs; then eight times as many, up to ... */
	INFER_EVERY = 65536,
	PAIRS_SURE = 3,
	SMALL_EDGE = 8 /* requests and connections: a small capture */
};

static bool has_front(const struct gateway *g, const struct endpoint *e)
{
	for (unsigned i = 0; i < g->n_fronts; i++)
		if (endpoint_equal(&g->fronts[i], e))
			return true;
	return false;
}

static struct gateway *gateway_add(struct roles *r)
{
	struct gateway *g;

	if (r->n_gateways == GATEWAYS_MAX)
		return NULL;
	g = &r->gateways[r->n_gateways++];
	*g = (struct gateway){ 0 };
	return g;
}

static void give_front(struct roles *r, struct gateway *g, struct served *s)
{
	if (s->front_of == NO_GATEWAY && g->n_fronts < FRONTS_MAX) {
		s->front_of = (int16_t)(g - r->gateways);
		if (!has_front(g, &s->entry.key.to))
			g->fronts[g->n_fronts++] = s->entry.key.to;
	}
	g->plain |= s->front_of == (int16_t)(g - r->gateways) && s->requests != 0;
	g->encrypted |=
		s->front_of == (int16_t)(g - r->gateways) && s->requests == 0 && s->encrypted != 0;
}

static bool serves(const struct served *s)
{
	return s->entry.key.to.port != 0 && (s->requests != 0 || s->encrypted != 0);
}

/* Addresses that serve, sorted: a host that asks and is among them is a gateway. */
struct addresses {
	uint8_t (*at)[16];
	size_t n;
};

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static struct addresses serving_addresses(struct roles *r)
{
	struct addresses a = { malloc(2 * 16 * (size_t)lru_count(r->served) + 16), 0 };

	if (a.at == NULL)
		return a;
	for (const struct served *s = lru_next(r->served, NULL); s != NULL;
	     s = lru_next(r->served, s)) {
		if (!serves(s))
			continue;
		memcpy(a.at[a.n++], s->entry.key.to.address, 16);
		if (s->translated)
			memcpy(a.at[a.n++], s->also, 16);
	}
	qsort(a.at, a.n, 16, compare_addresses);
	return a;
}

static void claim(struct roles *r, struct gateway *g, struct edge *e)
{
	struct served *s = roles_serve(r, &e->entry.key.to);

	e->parent = (int16_t)(g - r->gateways);
	g->reaches = true;
	roles_remember_pair(r, e);
	if (s != NULL)
		s->is_upstream = true;
}

/* There is no room for the gateway that asks here, and answers at `front`, or at any port of the address that it asks from. */
static void leave_out(struct roles *r, struct edge *e, const struct endpoint *front)
{
	struct lru_key k = lru_key_address(e->entry.key.from);
	struct served *s = front != NULL ? roles_served(r, front) : lru_find(r->served, &k);

	r->n_unplaced += !e->unplaced;
	e->unplaced = true;
	if (s != NULL)
		s->unplaced = true;
}

/* An address that serves, asking another host. */
static void join_host(struct roles *r, struct edge *e)
{
	struct gateway *g = roles_with_back(r, e->entry.key.from);

	if (g == NULL) {
		g = gateway_add(r);
		if (g == NULL) {
			leave_out(r, e, NULL);
			return;
		}
		memcpy(g->backs[g->n_backs++], e->entry.key.from, 16);
	}
	claim(r, g, e);
}

static bool enough_pairs(const struct edge *e, uint32_t pairs, bool same_address)
{
	if (pairs >= PAIRS_SURE || (same_address && pairs != 0))
		return true;
	return pairs != 0 && e->requests + e->connections + e->failed_connects <= SMALL_EDGE &&
	       pairs * 2 >= e->requests;
}

static struct gateway *gateway_of_front(struct roles *r, const struct endpoint *front, bool by_port)
{
	struct served *s = roles_served(r, front);
	struct gateway *g;

	if (s == NULL)
		return NULL;
	if (s->front_of != NO_GATEWAY)
		return &r->gateways[s->front_of];
	g = gateway_add(r);
	if (g == NULL)
		return NULL;
	g->by_port = by_port;
	give_front(r, g, s);
	return g;
}

static uint32_t pairs_with(const struct edge *e, const struct endpoint *front)
{
	for (unsigned i = 0; e != NULL && i < 4; i++)
		if (e->fronts[i].pairs != 0 && endpoint_equal(&e->fronts[i].front, front))
			return e->fronts[i].pairs;
	return 0;
}

/* Requests in flight lie within one another by chance, too. What the server's own host asks lies
 * within its requests, and not around them; on one host the more frequent order is the true one. */
static bool other_way_round(struct roles *r, const struct edge *e, unsigned i)
{
	const struct endpoint *to = &e->entry.key.to, *front = &e->fronts[i].front;
	const struct edge *reverse;

	if (!address_equal(to->address, front->address))
		return roles_edge(r, to, front) != NULL || roles_front(r, to) != NO_GATEWAY;
	reverse = roles_edge(r, front, front);
	return reverse != NULL && pairs_with(reverse, to) >= e->fronts[i].pairs;
}

/* Another address than the front's, or a host that speaks to itself: like pairs decide. */
static void join_pairs(struct roles *r, struct edge *e)
{
	const uint8_t *from = e->entry.key.from;
	int best = -1;
	struct gateway *g;
	bool same, local;

	for (int i = 0; i < 4; i++)
		if (e->fronts[i].pairs != 0 &&
		    (best < 0 || e->fronts[i].pairs > e->fronts[best].pairs) &&
		    !other_way_round(r, e, (unsigned)i))
			best = i;
	if (best < 0)
		return;
	same = address_equal(e->fronts[best].front.address, from);
	local = address_equal(e->entry.key.to.address, from);
	if (!enough_pairs(e, e->fronts[best].pairs, same))
		return;
	g = gateway_of_front(r, &e->fronts[best].front, same && local);
	if (g == NULL) {
		if (r->n_gateways == GATEWAYS_MAX)
			leave_out(r, e, &e->fronts[best].front);
		return;
	}
	if (!local && !gateway_has_back(g, from) && g->n_backs < BACKS_MAX)
		memcpy(g->backs[g->n_backs++], from, 16);
	claim(r, g, e);
}

/* Hosts that serve and ask are plain to see: they come first, since others must not contradict
 * them. */
static void join_hosts(struct roles *r)
{
	struct addresses serving = serving_addresses(r);

	for (struct edge *e = lru_next(r->edges, NULL); e != NULL; e = lru_next(r->edges, e)) {
		const uint8_t *from = e->entry.key.from;
		struct gateway *g = roles_with_back(r, from);

		if (e->parent != NO_GATEWAY || address_equal(e->entry.key.to.address, from))
			continue;
		if (g != NULL)
			claim(r, g, e);
		else if (serving.n != 0 &&
			 bsearch(from, serving.at, serving.n, 16, compare_addresses) != NULL)
			join_host(r, e);
	}
	free(serving.at);
}

static void join_others(struct roles *r)
{
	for (struct edge *e = lru_next(r->edges, NULL); e != NULL; e = lru_next(r->edges, e))
		if (e->parent == NO_GATEWAY)
			join_pairs(r, e);
}

/* All that serves on a gateway's address is its front, but what it asks itself. */
static void join_fronts(struct roles *r)
{
	for (struct served *s = lru_next(r->served, NULL); s != NULL; s = lru_next(r->served, s)) {
		struct gateway *g;

		if (!serves(s))
			continue;
		if (s->front_of != NO_GATEWAY) {
			give_front(r, &r->gateways[s->front_of], s);
			continue;
		}
		g = roles_with_back(r, s->entry.key.to.address);
		if (g == NULL && s->translated)
			g = roles_with_back(r, s->also);
		if (g != NULL && !(s->is_upstream &&
				   roles_back(r, &s->entry.key.to, &s->entry.key.to) != NO_GATEWAY))
			give_front(r, g, s);
	}
}

static void count_gateway_pairs(struct roles *r)
{
	for (unsigned i = 0; i < r->n_gateways; i++)
		r->gateways[i].pairs = 0;
	for (const struct edge *e = lru_next(r->edges, NULL); e != NULL; e = lru_next(r->edges, e))
		for (unsigned i = 0; i < 4 && e->parent != NO_GATEWAY; i++)
			if (e->fronts[i].pairs != 0 &&
			    roles_front(r, &e->fronts[i].front) == e->parent)
				r->gateways[e->parent].pairs += e->fronts[i].pairs;
}

bool roles_due(const struct roles *r, const struct store *s)
{
	return s->n_briefs >= r->infer_next;
}

static void join(struct roles *r)
{
	r->news_then = r->news;
	join_hosts(r);
	join_fronts(r);
	join_others(r);
	join_hosts(r);
	join_fronts(r);
	count_gateway_pairs(r);
}

void roles_infer(struct roles *r, struct store *s, bool final)
{
	roles_pair(r, s, final);
	if (final || r->news != r->news_then)
		join(r);
	r->infer_next = s->n_briefs + (s->n_briefs * 7 < INFER_EVERY ? s->n_briefs * 7 + INFER_FIRST
								     : INFER_EVERY);
}
