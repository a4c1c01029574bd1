/* roles.c - which endpoints are gateways: told, or inferred from who serves and who asks */
#include "roles.h"

#include "gateways.h"

#include <stdlib.h>

enum {
	SERVED_MAX  = 2048,
	EDGES_MAX   = 4096,
	INFER_FIRST = 64,               /* briefs; then eight times as many, up to ... */
	INFER_EVERY = 65536,
	PAIRS_SURE  = 3,
	SMALL_EDGE  = 8,                /* requests and connections: a small capture */
	LOOK_BACK   = 48,               /* requests with one target that began before: candidates for the one around it */
	PAIR_GAP_S  = 5,                /* a gateway passes a request on within this */
	SLACK_MS    = 2                 /* two interfaces may be told out of order by this */
};

static void forget_entry(void *ctx, struct lru_entry *e)
{
	struct roles *r = ctx;

	for (unsigned i = 0; i < CONN_CACHE_SLOTS; i++)
		if ((void *)r->cache[i].served == (void *)e || (void *)r->cache[i].edge == (void *)e) {
			r->cache[i].served = NULL;
			r->cache[i].edge = NULL;
		}
}

static void tell_gateways(struct roles *r)
{
	const struct report_options *o = r->options;

	for (unsigned i = 0; i < o->n_gateways && r->n_gateways < GATEWAYS_MAX; i++) {
		const struct gateway_option *told = &o->gateways[i];
		struct gateway *g = &r->gateways[r->n_gateways++];

		g->fronts[g->n_fronts++] = told->front;
		for (unsigned b = 0; b < told->n_backs && b < BACKS_MAX; b++)
			memcpy(g->backs[g->n_backs++], told->backs[b].address, 16);
		if (told->n_backs == 0)
			memcpy(g->backs[g->n_backs++], told->front.address, 16);
		g->model = told->product != NULL ? gateway_model_named(told->product) : NULL;
		g->model_told = g->model != NULL;
		g->plain = true;
	}
}

struct roles *roles_new(const struct report_options *o)
{
	struct roles *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->options = o;
	r->infer_next = INFER_FIRST;
	r->served = lru_new(sizeof(struct served), SERVED_MAX, forget_entry, r);
	r->edges = lru_new(sizeof(struct edge), EDGES_MAX, forget_entry, r);
	if (r->served == NULL || r->edges == NULL) {
		roles_free(r);
		return NULL;
	}
	tell_gateways(r);
	return r;
}

void roles_free(struct roles *r)
{
	if (r == NULL)
		return;
	lru_free(r->served);
	lru_free(r->edges);
	free(r);
}

/* ---- who serves, who asks ----------------------------------------------------------------- */

struct served *roles_served(struct roles *r, const struct endpoint *e)
{
	struct lru_key k = lru_key(e);

	return lru_find(r->served, &k);
}

struct edge *roles_edge(struct roles *r, const struct endpoint *client, const struct endpoint *server)
{
	struct lru_key k = lru_key_from(client->address, server);

	return lru_find(r->edges, &k);
}

static bool told_upstream(const struct report_options *o, const struct endpoint *e)
{
	for (unsigned i = 0; i < o->n_upstreams; i++)
		if (address_equal(o->upstreams[i].address, e->address) &&
		    (o->upstreams[i].port == 0 || o->upstreams[i].port == e->port))
			return true;
	return false;
}

static int told_front(const struct roles *r, const struct endpoint *e)
{
	for (unsigned i = 0; i < r->n_gateways && i < r->options->n_gateways; i++) {
		const struct endpoint *front = &r->gateways[i].fronts[0];

		if (address_equal(front->address, e->address) && (front->port == 0 || front->port == e->port))
			return (int)i;
	}
	return NO_GATEWAY;
}

static struct served *served_get(struct roles *r, const struct endpoint *e)
{
	struct served *s = roles_served(r, e);
	struct lru_key k = lru_key(e);

	if (s != NULL || (s = lru_add(r->served, &k, LRU_COLD)) == NULL)
		return s;
	s->told_upstream = told_upstream(r->options, e);
	s->front_of = (int16_t)told_front(r, e);
	return s;
}

static struct edge *edge_get(struct roles *r, const struct endpoint *client, const struct endpoint *server)
{
	struct edge *e = roles_edge(r, client, server);
	struct lru_key k = lru_key_from(client->address, server);

	if (e == NULL && (e = lru_add(r->edges, &k, LRU_COLD)) != NULL)
		e->parent = NO_GATEWAY;
	return e;
}

/* The entries of a connection; a brief on a connection seen lately costs no hash. */
static void find_both(struct roles *r, uint32_t conn, const struct endpoint end[2], bool spoke, struct served **s, struct edge **e)
{
	unsigned i = conn & (CONN_CACHE_SLOTS - 1);

	if (r->cache[i].conn != conn || r->cache[i].served == NULL || r->cache[i].edge == NULL ||
	    memcmp(&r->cache[i].served->entry.key.to, &end[SERVER], sizeof end[SERVER]) != 0) {
		r->cache[i].conn = conn;
		r->cache[i].served = served_get(r, &end[SERVER]);
		r->cache[i].edge = edge_get(r, &end[CLIENT], &end[SERVER]);     /* may forget, but never that one */
	}
	*s = r->cache[i].served;
	*e = r->cache[i].edge;
	if (*s == NULL || *e == NULL || !spoke)         /* anybody can make a SYN-ACK come: only HTTP makes an entry worth keeping */
		return;
	(*s)->entry.used = (*e)->entry.used = true;
	lru_warm(r->served, *s);
	lru_warm(r->edges, *e);
}

bool roles_knows(struct roles *r, const uint8_t address[static 16])
{
	struct lru_key k = lru_key_address(address);

	return lru_find(r->served, &k) != NULL;         /* an address alone is noted when it opens a connection */
}

static void note_address(struct roles *r, const uint8_t address[static 16])
{
	struct lru_key k = lru_key_address(address);
	struct served *s = lru_find(r->served, &k);

	if (s == NULL && (s = lru_add(r->served, &k, LRU_COLD)) != NULL)
		s->front_of = NO_GATEWAY;
}

/* ---- what is counted ---------------------------------------------------------------------- */

static void count_status(struct served *s, uint16_t status)
{
	for (unsigned i = 0; i < s->n_status; i++)
		if (s->status[i].status == status) {
			s->status[i].count++;
			return;
		}
	if (s->n_status < sizeof s->status / sizeof *s->status) {
		s->status[s->n_status].status = status;
		s->status[s->n_status++].count = 1;
	}
}

static unsigned latency_step(int64_t ns)
{
	uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;
	unsigned log2, step;

	if (us < 1)
		return 0;
	log2 = 63 - (unsigned)__builtin_clzll(us);
	step = log2 * 4 + (log2 >= 2 ? (unsigned)(us >> (log2 - 2)) & 3 : (unsigned)(us << (2 - log2)) & 3) + 1;
	return step < LATENCY_STEPS ? step : LATENCY_STEPS - 1;
}

static void count_latency(struct served *s, int64_t ns)
{
	s->latency[latency_step(ns)]++;
	s->latencies++;
}

int64_t served_latency(const struct served *s, unsigned percent)
{
	uint64_t rank = (s->latencies * percent + 99) / 100, seen = 0;

	if (s->latencies == 0)
		return -1;
	for (unsigned i = 0; i < LATENCY_STEPS; i++) {
		seen += s->latency[i];
		if (seen >= rank)
			return i == 0 ? 500 : (int64_t)(((uint64_t)(4 + (i - 1) % 4) * 1000 << ((i - 1) / 4)) / 4);
	}
	return -1;
}

static void count_check(struct edge *e, uint64_t target, int64_t at_ns)
{
	struct check *slot = &e->checks[0];
	int64_t gap;

	for (unsigned i = 0; i < 4; i++) {
		if (e->checks[i].n != 0 && e->checks[i].target == target) {
			slot = &e->checks[i];
			break;
		}
		if (e->checks[i].n < slot->n)
			slot = &e->checks[i];
	}
	if (slot->n == 0 || slot->target != target) {
		if (slot->n <= 1)
			*slot = (struct check){ target, 1, at_ns, INT64_MAX, 0 };
		else
			slot->n--;
		return;
	}
	gap = at_ns - slot->last_ns;
	slot->min_gap_ns = gap < slot->min_gap_ns ? gap : slot->min_gap_ns;
	slot->max_gap_ns = gap > slot->max_gap_ns ? gap : slot->max_gap_ns;
	slot->last_ns = at_ns;
	slot->n++;
}

bool edge_checks(const struct edge *e, uint64_t target)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct check *c = &e->checks[i];

		if (c->n >= 3 && c->target == target)
			return c->min_gap_ns >= 50 * NS_PER_MS && c->max_gap_ns <= c->min_gap_ns + c->min_gap_ns / 4 + 50 * NS_PER_MS;
	}
	return false;
}

static const uint32_t gateway_signs = SIGN_XFF | SIGN_VIA | SIGN_FORWARDED | SIGN_X_REAL_IP | SIGN_X_VARNISH | SIGN_CDN_LOOP | SIGN_X_FORWARDED_OTHER;

static void fact_brief(struct roles *r, const struct brief_fact *f)
{
	struct served *s;
	struct edge *e;

	r->http_seen = true;
	find_both(r, f->head.conn, f->end, true, &s, &e);
	if (s == NULL || e == NULL)
		return;
	s->requests++;
	count_status(s, f->status);
	count_latency(s, f->response_first.time_ns - f->request.time_ns);
	e->requests++;
	e->gateway_signs |= (f->signs & gateway_signs) != 0;
	if (f->ordinal <= 1)
		count_check(e, f->target_hash, f->request.time_ns);
	if (e->requests <= 4 && e->model == NULL)
		e->model = gateway_of_brief(f);
}

static void fact_exchange(struct roles *r, const struct exchange_fact *f)
{
	struct served *s;
	struct edge *e;

	if (!f->final)
		return;
	r->http_seen = true;
	find_both(r, f->head.conn, f->conn.end, true, &s, &e);
	if (s == NULL || e == NULL)
		return;
	s->requests++;
	s->errors += f->x.outcome != OUTCOME_COMPLETE || f->x.status >= 500;
	s->resets += f->conn.closing >= CLOSING_RST && f->conn.closer == SERVER;
	count_status(s, f->x.status);
	if (f->x.response.first.packet != 0)
		count_latency(s, f->x.response.first.time_ns - f->x.request.first.time_ns);
	e->requests++;
	e->gateway_signs |= (f->x.request.signs & gateway_signs) != 0;
	if (f->x.ordinal <= 1)
		count_check(e, f->x.target_hash, f->x.request.first.time_ns);
	if (e->model == NULL)
		e->model = gateway_of_request(f).model;
}

static void fact_open(struct roles *r, const struct open_fact *f)
{
	struct served *s;
	struct edge *e;

	find_both(r, f->head.conn, f->end, false, &s, &e);
	note_address(r, f->end[CLIENT].address);
	note_address(r, f->end[SERVER].address);
	if (s == NULL || e == NULL)
		return;
	s->opened++;
	e->connections++;
}

static void fact_conn(struct roles *r, const struct conn_fact *f)
{
	const struct conn_facts *c = &f->conn;
	const struct tls_facts *tls = fact_tls(f, c);
	struct served *s = roles_served(r, &c->end[SERVER]);
	struct edge *e = edge_get(r, &c->end[CLIENT], &c->end[SERVER]);

	if (!f->final)
		return;
	if (e != NULL && c->exchanges == 0 && c->closer == SERVER)
		e->failed_connects++;
	if (s != NULL && c->exchanges == 0 && tls != NULL && tls->server_hello.packet != 0 && tls->first_application[CLIENT].packet != 0)
		s->encrypted++;         /* its requests, if any, could not be read */
	if (s != NULL && c->exchanges == 0 && tls == NULL && c->side[CLIENT].bytes == 0 && c->closing != CLOSING_NONE && c->closer == CLIENT)
		s->health_checks++;
}

static void fact_syn(struct roles *r, const struct syn_fact *f)
{
	struct edge *e;

	if (!roles_knows(r, f->end[CLIENT].address))
		return;
	e = edge_get(r, &f->end[CLIENT], &f->end[SERVER]);
	if (e != NULL && f->final)
		e->failed_connects++;
}

void roles_fact(struct roles *r, const struct fact *f)
{
	const void *p = f;

	switch (f->kind) {
	case FACT_BRIEF:    fact_brief(r, p); break;
	case FACT_EXCHANGE: fact_exchange(r, p); break;
	case FACT_OPEN:     fact_open(r, p); break;
	case FACT_CONN:     fact_conn(r, p); break;
	case FACT_SYN:      fact_syn(r, p); break;
	default: break;
	}
}

/* ---- like pairs --------------------------------------------------------------------------- */

struct sight {                          /* an exchange, healthy or not, as pairing sees it */
	int64_t begin_ns, end_ns;
	uint64_t tail;
	const struct endpoint *end;     /* [2] */
	uint32_t conn;
	uint16_t status;
	uint8_t method;
	bool fresh;                     /* not paired before */
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

/* Does this one lie around that one, and are they one request? */
static bool around(const struct sight *c, const struct sight *u)
{
	return c->conn != u->conn && c->end_ns >= u->end_ns && u->begin_ns - c->begin_ns < PAIR_GAP_S * NS_PER_S &&
	       !endpoint_equal(&c->end[SERVER], &u->end[SERVER]) &&
	       (c->status == u->status || u->status == 0 || c->status >= 500) &&
	       (c->method == u->method || (c->method == METHOD_HEAD && u->method == METHOD_GET));
}

static void add_pair(struct edge *e, const struct endpoint *front)
{
	for (unsigned i = 0; i < 4; i++) {
		if (e->fronts[i].pairs == 0)
			e->fronts[i].front = *front;
		else if (!endpoint_equal(&e->fronts[i].front, front))
			continue;
		e->fronts[i].pairs++;
		return;
	}
}

static void pair_sights(struct roles *r, const struct sight *sights, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct sight *u = &sights[i];
		struct edge *e;

		if (!u->fresh)
			continue;
		for (size_t back = 1; back <= LOOK_BACK && back <= i && sights[i - back].tail == u->tail; back++) {
			const struct sight *c = &sights[i - back];

			if (!around(c, u))
				continue;
			e = roles_edge(r, &u->end[CLIENT], &u->end[SERVER]);
			if (e != NULL)
				add_pair(e, &c->end[SERVER]);
			break;
		}
	}
}

static struct sight sight_of_brief(const struct brief_fact *f, bool fresh)
{
	return (struct sight){ f->request.time_ns, f->response.time_ns, f->tail_hash, f->end, f->head.conn, f->status, f->method, fresh };
}

static struct sight sight_of_kept(const struct kept *k)
{
	bool fresh = !k->paired;
	const struct exchange_fact *f = (const void *)k->fact;
	struct mark end = f->x.response.last.packet != 0 ? f->x.response.last : f->conn.closed;

	return (struct sight){ f->x.request.first.time_ns, end.packet != 0 ? end.time_ns : k->begin.time_ns, f->x.tail_hash, f->conn.end,
	                       k->fact->conn, f->x.status, f->x.method, fresh };
}

/* ---- a failed connection within a failed request ------------------------------------------ */

static bool is_failed_connect(const struct kept *k)
{
	const struct conn_fact *f = (const void *)k->fact;

	return k->fact->kind == FACT_SYN || (k->fact->kind == FACT_CONN && f->conn.exchanges == 0 && f->conn.side[SERVER].syn.packet == 0);
}

/* Every failed request around it, if all are one front's; NULL: none, or several fronts'. */
static const struct endpoint *front_around(const struct store *s, const struct kept *u)
{
	const struct endpoint *front = NULL;

	for (const struct kept *c = s->lists[LIST_MAIN].oldest; c != NULL; c = c->newer) {
		const struct exchange_fact *f = (const void *)c->fact;

		if (c->fact->kind != FACT_EXCHANGE || f->x.request.first.time_ns > u->begin.time_ns + SLACK_MS * NS_PER_MS ||
		    f->x.response.first.packet == 0 || f->x.status < 500 ||
		    f->x.response.first.time_ns < u->begin.time_ns || address_equal(c->end[CLIENT].address, u->end[CLIENT].address))
			continue;
		if (front != NULL && !endpoint_equal(front, &c->end[SERVER]))
			return NULL;
		front = &c->end[SERVER];
	}
	return front;
}

static void pair_failed_connects(struct roles *r, struct store *s)
{
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (struct kept *u = s->lists[list].oldest; u != NULL; u = u->newer) {
			const struct endpoint *front;
			struct edge *e;

			if (!is_failed_connect(u) || u->paired)
				continue;
			e = edge_get(r, &u->end[CLIENT], &u->end[SERVER]);
			if (e == NULL || e->parent != NO_GATEWAY || e->requests != 0)
				continue;
			front = front_around(s, u);
			if (front != NULL && !endpoint_equal(front, &u->end[SERVER])) {
				add_pair(e, front);
				u->paired = true;
			}
		}
}

/* ---- joining ------------------------------------------------------------------------------ */

static bool has_back(const struct gateway *g, const uint8_t address[static 16])
{
	for (unsigned i = 0; i < g->n_backs; i++)
		if (address_equal(g->backs[i], address))
			return true;
	return false;
}

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
	g->encrypted |= s->front_of == (int16_t)(g - r->gateways) && s->requests == 0 && s->encrypted != 0;
}

static bool serves(const struct served *s)
{
	return s->entry.key.to.port != 0 && (s->requests != 0 || s->encrypted != 0);
}

/* Addresses that serve, sorted: a host that asks and is among them is a gateway. */
struct addresses { uint8_t (*at)[16]; size_t n; };

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static struct addresses serving_addresses(struct roles *r)
{
	struct addresses a = { malloc(16 * (size_t)lru_count(r->served) + 16), 0 };

	if (a.at == NULL)
		return a;
	for (const struct served *s = lru_next(r->served, NULL); s != NULL; s = lru_next(r->served, s))
		if (serves(s))
			memcpy(a.at[a.n++], s->entry.key.to.address, 16);
	qsort(a.at, a.n, 16, compare_addresses);
	return a;
}

static struct gateway *gateway_with_back(struct roles *r, const uint8_t address[static 16])
{
	for (unsigned i = 0; i < r->n_gateways; i++)
		if (!r->gateways[i].by_port && has_back(&r->gateways[i], address))
			return &r->gateways[i];
	return NULL;
}

static void claim(struct roles *r, struct gateway *g, struct edge *e)
{
	struct served *s = served_get(r, &e->entry.key.to);

	e->parent = (int16_t)(g - r->gateways);
	g->reaches = true;
	if (s != NULL)
		s->is_upstream = true;
}

/* An address that serves, asking another host. */
static void join_host(struct roles *r, struct edge *e)
{
	struct gateway *g = gateway_with_back(r, e->entry.key.from);

	if (g == NULL) {
		g = gateway_add(r);
		if (g == NULL)
			return;
		memcpy(g->backs[g->n_backs++], e->entry.key.from, 16);
	}
	claim(r, g, e);
}

static bool enough_pairs(const struct edge *e, uint32_t pairs, bool same_address)
{
	if (pairs >= PAIRS_SURE || (same_address && pairs != 0))
		return true;
	return pairs != 0 && e->requests + e->connections + e->failed_connects <= SMALL_EDGE && pairs * 2 >= e->requests;
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

/* Requests in flight lie within one another by chance, too. What the server's own host asks lies within its
 * requests, and not around them; on one host the more frequent order is the true one. */
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
		if (e->fronts[i].pairs != 0 && (best < 0 || e->fronts[i].pairs > e->fronts[best].pairs) && !other_way_round(r, e, (unsigned)i))
			best = i;
	if (best < 0)
		return;
	same = address_equal(e->fronts[best].front.address, from);
	local = address_equal(e->entry.key.to.address, from);
	if (!enough_pairs(e, e->fronts[best].pairs, same))
		return;
	g = gateway_of_front(r, &e->fronts[best].front, same && local);
	if (g == NULL)
		return;
	if (!local && !has_back(g, from) && g->n_backs < BACKS_MAX)
		memcpy(g->backs[g->n_backs++], from, 16);
	claim(r, g, e);
}

/* Hosts that serve and ask are plain to see: they come first, since others must not contradict them. */
static void join_hosts(struct roles *r)
{
	struct addresses serving = serving_addresses(r);

	for (struct edge *e = lru_next(r->edges, NULL); e != NULL; e = lru_next(r->edges, e)) {
		const uint8_t *from = e->entry.key.from;
		struct gateway *g = gateway_with_back(r, from);

		if (e->parent != NO_GATEWAY || address_equal(e->entry.key.to.address, from))
			continue;
		if (g != NULL)
			claim(r, g, e);
		else if (serving.n != 0 && bsearch(from, serving.at, serving.n, 16, compare_addresses) != NULL)
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
		g = gateway_with_back(r, s->entry.key.to.address);
		if (g != NULL && !(s->is_upstream && roles_back(r, &s->entry.key.to, &s->entry.key.to) != NO_GATEWAY))
			give_front(r, g, s);
	}
}

static void count_gateway_pairs(struct roles *r)
{
	for (unsigned i = 0; i < r->n_gateways; i++)
		r->gateways[i].pairs = 0;
	for (const struct edge *e = lru_next(r->edges, NULL); e != NULL; e = lru_next(r->edges, e))
		for (unsigned i = 0; i < 4 && e->parent != NO_GATEWAY; i++)
			if (e->fronts[i].pairs != 0 && roles_front(r, &e->fronts[i].front) == e->parent)
				r->gateways[e->parent].pairs += e->fronts[i].pairs;
}

bool roles_due(const struct roles *r, const struct store *s)
{
	return s->n_briefs >= r->infer_next;
}

static size_t gather(struct roles *r, const struct store *s, struct sight *sights)
{
	size_t n = 0;

	for (uint64_t i = store_oldest(s); i < s->n_briefs; i++)
		sights[n++] = sight_of_brief(&store_at(s, i)->f, i >= r->inferred_to);
	for (struct kept *k = s->lists[LIST_MAIN].oldest; k != NULL; k = k->newer)
		if (k->fact->kind == FACT_EXCHANGE && k->final && k->begin.packet != 0) {
			sights[n++] = sight_of_kept(k);
			k->paired = true;
		}
	return n;
}

void roles_infer(struct roles *r, struct store *s)
{
	struct sight *sights = malloc((BRIEFS_MAX + (size_t)s->lists[LIST_MAIN].count) * sizeof *sights);
	size_t n;

	if (sights != NULL) {
		n = gather(r, s, sights);
		qsort(sights, n, sizeof *sights, compare_sights);
		pair_sights(r, sights, n);
		free(sights);
	}
	pair_failed_connects(r, s);
	join_hosts(r);
	join_fronts(r);
	join_others(r);
	join_hosts(r);
	join_fronts(r);
	count_gateway_pairs(r);
	r->inferred_to = s->n_briefs;
	r->infer_next = s->n_briefs + (s->n_briefs * 7 < INFER_EVERY ? s->n_briefs * 7 + INFER_FIRST : INFER_EVERY);
}

int roles_front(struct roles *r, const struct endpoint *server)
{
	const struct served *s = roles_served(r, server);

	return s != NULL ? s->front_of : NO_GATEWAY;
}

int roles_back(struct roles *r, const struct endpoint *client, const struct endpoint *server)
{
	const struct edge *e = roles_edge(r, client, server);

	return e != NULL ? e->parent : NO_GATEWAY;
}
