/* roles.c - which endpoints are gateways: told, or inferred from who serves and who asks */
#include "roles.h"

#include "gateways.h"

#include <stdlib.h>

enum {
	SERVED_MAX = 2048,
	EDGES_MAX = 4096,
	INFER_FIRST = 64, /* briefs, before roles are inferred for the first time */
	MODEL_LOOKS = 16  /* requests of an edge that are looked at for their sender's product */
};

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
	r->served = lru_new(sizeof(struct served), SERVED_MAX, NULL, NULL);
	r->edges = lru_new(sizeof(struct edge), EDGES_MAX, NULL, NULL);
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

struct edge *roles_edge(struct roles *r, const struct endpoint *client,
			const struct endpoint *server)
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

		if (address_equal(front->address, e->address) &&
		    (front->port == 0 || front->port == e->port))
			return (int)i;
	}
	return NO_GATEWAY;
}

struct served *roles_serve(struct roles *r, const struct endpoint *e)
{
	struct served *s = roles_served(r, e);
	struct lru_key k = lru_key(e);

	if (s != NULL || (s = lru_add(r->served, &k, LRU_COLD)) == NULL)
		return s;
	s->told_upstream = told_upstream(r->options, e);
	s->front_of = (int16_t)told_front(r, e);
	return s;
}

static bool is_server(const struct roles *r, const uint8_t address[static 16])
{
	struct lru_key k = lru_key_address(address);
	const struct served *s = lru_find(r->served, &k);

	return s != NULL && s->answers;
}

bool gateway_has_back(const struct gateway *g, const uint8_t address[static 16])
{
	for (unsigned i = 0; i < g->n_backs; i++)
		if (address_equal(g->backs[i], address))
			return true;
	return false;
}

struct gateway *roles_with_back(struct roles *r, const uint8_t address[static 16])
{
	for (unsigned i = 0; i < r->n_gateways; i++)
		if (!r->gateways[i].by_port && gateway_has_back(&r->gateways[i], address))
			return &r->gateways[i];
	return NULL;
}

struct edge *roles_ask(struct roles *r, const struct endpoint *client,
		       const struct endpoint *server)
{
	struct edge *e = roles_edge(r, client, server);
	struct lru_key k = lru_key_from(client->address, server);

	if (e == NULL && (e = lru_add(r->edges, &k, LRU_COLD)) != NULL) {
		e->parent = NO_GATEWAY;
		r->news += is_server(r, client->address) || roles_with_back(r, client->address) != NULL;
	}
	return e;
}

/* The entries of a connection; a brief on a connection seen lately costs no hash. */
static void find_both(struct roles *r, uint32_t conn, const struct endpoint end[2], bool spoke,
		      struct served **s, struct edge **e)
{
	unsigned i = conn & (CONN_CACHE_SLOTS - 1);
	struct lru_key server = lru_key(&end[SERVER]), both = lru_key_from(end[CLIENT].address, &end[SERVER]);

	if (r->cache[i].conn != conn || r->cache[i].served == NULL || r->cache[i].edge == NULL ||
	    !lru_is(&r->cache[i].served->entry, &server) || !lru_is(&r->cache[i].edge->entry, &both)) {
		r->cache[i].conn = conn;
		r->cache[i].served = roles_serve(r, &end[SERVER]);
		r->cache[i].edge = roles_ask(r, &end[CLIENT],
					     &end[SERVER]); /* may forget, but never that one */
	}
	*s = r->cache[i].served;
	*e = r->cache[i].edge;
	if (*s == NULL || *e == NULL ||
	    !spoke) /* anybody can make a SYN-ACK come: only HTTP makes an entry worth keeping */
		return;
	(*s)->entry.used = (*e)->entry.used = true;
	lru_warm(r->served, *s);
	lru_warm(r->edges, *e);
}

bool roles_knows(struct roles *r, const uint8_t address[static 16])
{
	struct lru_key k = lru_key_address(address);

	return lru_find(r->served, &k) !=
	       NULL; /* an address alone is noted when it opens a connection */
}

bool roles_may_pass_on(struct roles *r, const struct endpoint *client, const struct endpoint *server)
{
	const struct edge *e = roles_edge(r, client, server);

	return is_server(r, client->address) || (e != NULL && (e->requests != 0 || e->parent != NO_GATEWAY));
}

bool roles_unplaced_asks(struct roles *r, const struct endpoint *client, const struct endpoint *server)
{
	const struct edge *e = r->n_unplaced != 0 ? roles_edge(r, client, server) : NULL;

	return e != NULL && e->unplaced;
}

bool roles_unplaced_answers(struct roles *r, const struct endpoint *server)
{
	struct lru_key k = lru_key_address(server->address);
	const struct served *s;

	if (r->n_unplaced == 0)
		return false;
	s = roles_served(r, server);
	if (s == NULL || !s->unplaced)
		s = lru_find(r->served, &k);
	return s != NULL && s->unplaced;
}

bool roles_serves_in_clear(struct roles *r, const uint8_t address[static 16])
{
	struct lru_key k = lru_key_address(address);
	const struct served *s = lru_find(r->served, &k);

	return s != NULL && s->answers && s->encrypted == 0;
}

static void note_encrypted(struct roles *r, struct served *s, const uint8_t address[static 16])
{
	struct lru_key k = lru_key_address(address);
	struct served *all = lru_find(r->served, &k);

	r->news += s->encrypted++ == 0;
	if (all != NULL)
		all->encrypted++;
}

static void note_address(struct roles *r, const uint8_t address[static 16], bool answers)
{
	struct lru_key k = lru_key_address(address);
	struct served *s = lru_find(r->served, &k);

	if (s == NULL && (s = lru_add(r->served, &k, LRU_COLD)) != NULL)
		s->front_of = NO_GATEWAY;
	if (s != NULL && answers && !s->answers) {
		s->answers = true;
		r->news++;
	}
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
	step = log2 * 4 +
	       (log2 >= 2 ? (unsigned)(us >> (log2 - 2)) & 3 : (unsigned)(us << (2 - log2)) & 3) +
	       1;
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
			return i == 0 ? 500
				      : (int64_t)(((uint64_t)(4 + (i - 1) % 4) * 1000
						   << ((i - 1) / 4)) /
						  4);
	}
	return -1;
}

/* A gap of the period, or of two or three: between them a check was not captured. */
static bool gap_fits(int64_t gap_ns, int64_t period_ns)
{
	int64_t slack = period_ns / 8 + 25 * NS_PER_MS;

	for (int64_t times = 1; times <= 3; times++)
		if (gap_ns >= times * period_ns - slack && gap_ns <= times * period_ns + slack)
			return true;
	return false;
}

/* The first gap may be the odd one: what more gaps have takes its place. */
static void count_gap(struct check *c, int64_t gap_ns)
{
	if (c->fit != 0 && gap_fits(gap_ns, c->period_ns)) {
		c->fit++;
		return;
	}
	c->stray++;
	if (c->stray > c->fit) {
		c->period_ns = gap_ns;
		c->fit = 1;
		c->stray = 0;
	}
}

/* `ended_ns`: when the server ended it. Who asks again at once has its pace from the server: a client that tries again. */
static void count_check(struct edge *e, uint64_t target, int64_t at_ns, int64_t ended_ns)
{
	struct check *slot = &e->checks[0];

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
			*slot = (struct check){ .target = target, .n = 1, .last_ns = at_ns, .ended_ns = ended_ns };
		else
			slot->n--;
		return;
	}
	if (at_ns - slot->ended_ns < (at_ns - slot->last_ns) / 16)
		slot->stray++;
	else
		count_gap(slot, at_ns - slot->last_ns);
	slot->last_ns = at_ns;
	slot->ended_ns = ended_ns;
	slot->n++;
}

bool edge_checks(const struct edge *e, uint64_t target)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct check *c = &e->checks[i];

		if (c->n >= 3 && c->target == target)
			return c->period_ns >= 50 * NS_PER_MS && c->stray * 4 <= c->fit;
	}
	return false;
}

static const uint32_t gateway_signs = SIGN_XFF | SIGN_VIA | SIGN_FORWARDED | SIGN_X_REAL_IP |
				      SIGN_X_VARNISH | SIGN_CDN_LOOP | SIGN_X_FORWARDED_OTHER;

static void fact_brief(struct roles *r, const struct brief_fact *f)
{
	struct served *s;
	struct edge *e;

	r->http_seen = true;
	find_both(r, f->head.conn, f->end, true, &s, &e);
	if (s == NULL || e == NULL)
		return;
	r->news += s->requests++ == 0;
	count_status(s, f->status);
	count_latency(s, f->response_first.time_ns - f->request.time_ns);
	e->requests++;
	e->gateway_signs |= (f->signs & gateway_signs) != 0;
	if (f->ordinal <= 1)
		count_check(e, f->target_hash, f->request.time_ns, f->response_first.time_ns);
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
	r->news += s->requests++ == 0;
	s->errors += f->x.outcome != OUTCOME_COMPLETE || f->x.status >= 500;
	s->resets += f->conn.closing >= CLOSING_RST && f->conn.closer == SERVER;
	count_status(s, f->x.status);
	if (f->x.response.first.packet != 0)
		count_latency(s, f->x.response.first.time_ns - f->x.request.first.time_ns);
	e->requests++;
	e->gateway_signs |= (f->x.request.signs & gateway_signs) != 0;
	if (f->x.ordinal <= 1)
		count_check(e, f->x.target_hash, f->x.request.first.time_ns,
			    f->conn.closer == SERVER ? f->conn.closed.time_ns : 0);
	if (e->model == NULL && e->requests <= MODEL_LOOKS)
		e->model = gateway_of_request(f).model;
}

static void fact_open(struct roles *r, const struct open_fact *f)
{
	struct served *s;
	struct edge *e;

	find_both(r, f->head.conn, f->end, false, &s, &e);
	note_address(r, f->end[CLIENT].address, false);
	note_address(r, f->end[SERVER].address, true);
	if (s == NULL || e == NULL)
		return;
	s->opened++;
	e->connections++;
}

/* Whom a server asks in vain is worth keeping: anybody can send SYNs, but not serve. */
static void note_failed(struct roles *r, struct edge *e)
{
	e->failed_connects++;
	if (!is_server(r, e->entry.key.from))
		return;
	e->entry.used = true;
	lru_warm(r->edges, e);
}

static void fact_conn(struct roles *r, const struct conn_fact *f)
{
	const struct conn_facts *c = &f->conn;
	const struct tls_facts *tls = fact_tls(f, c);
	struct served *s = roles_served(r, &c->end[SERVER]);
	struct edge *e = roles_ask(r, &c->end[CLIENT], &c->end[SERVER]);

	if (!f->final)
		return;
	if (e != NULL && c->exchanges == 0 && c->closer == SERVER)
		note_failed(r, e);
	if (s != NULL && c->exchanges == 0 && tls != NULL && tls->server_hello.packet != 0 &&
	    tls->first_application[CLIENT].packet != 0)
		note_encrypted(r, s, c->end[SERVER].address); /* its requests, if any, could not be read */
	if (s != NULL && c->exchanges == 0 && tls == NULL && c->side[CLIENT].bytes == 0 &&
	    c->closing != CLOSING_NONE && c->closer == CLIENT)
		s->health_checks++;
}

static void fact_syn(struct roles *r, const struct syn_fact *f)
{
	struct edge *e;

	if (!roles_knows(r, f->end[CLIENT].address))
		return;
	e = roles_ask(r, &f->end[CLIENT], &f->end[SERVER]);
	if (e != NULL && f->final)
		note_failed(r, e);
}

void roles_fact(struct roles *r, const struct fact *f)
{
	const void *p = f;

	switch (f->kind) {
	case FACT_BRIEF:
		fact_brief(r, p);
		break;
	case FACT_EXCHANGE:
		fact_exchange(r, p);
		break;
	case FACT_OPEN:
		fact_open(r, p);
		break;
	case FACT_CONN:
		fact_conn(r, p);
		break;
	case FACT_SYN:
		fact_syn(r, p);
		break;
	default:
		break;
	}
}

void roles_also(struct roles *r, const struct endpoint *server, const struct endpoint *also)
{
	struct served *s = roles_serve(r, server);

	if (s == NULL)
		return;
	r->news += !s->translated || !address_equal(s->also, also->address);
	s->translated = true;
	memcpy(s->also, also->address, sizeof s->also);
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
