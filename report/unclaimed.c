/* unclaimed.c - tries that no failed request has claimed: seen from the upstream side alone,
 * masked, or healed */
#include "gateways.h"
#include "round.h"

enum {
	UNTOLD_S = 2,      /* a try that nobody has claimed by then is nobody's; */
	CLAIMED_BY_S = 140 /* or by then, as long as a request without a try waits for one */
};

/* ---- seen from the upstream side alone ---------------------------------------------------- */

static bool may_retry(const struct gateway_model *m, const struct kept *u)
{
	const struct exchange_fact *f = (const void *)u->fact;

	if (u->fact->kind != FACT_EXCHANGE)
		return m->retries_connect;
	return m->retries_reused && f->x.reused && f->x.response.first.packet == 0;
}

/* The next try of the same request by a gateway of this kind. */
static struct kept *next_try(struct round *r, const struct kept *u, int64_t window_ns)
{
	for (struct kept *v = u->newer; v != NULL; v = v->newer) {
		int64_t after = v->begin.time_ns - first_struck(u);

		if (v->upstream_state == STATE_FREE && v->guilty >= 0 && try_is(v) && after >= 0 &&
		    after <= window_ns &&
		    address_equal(v->end[CLIENT].address, u->end[CLIENT].address) &&
		    (!v->key.known || !u->key.known || tie_alike(&u->key, &v->key) == 2))
			return v;
	}
	(void)r;
	return NULL;
}

static unsigned edges_from(struct roles *r, const uint8_t address[static 16])
{
	unsigned n = 0;

	for (const struct edge *e = lru_next(r->edges, NULL); e != NULL; e = lru_next(r->edges, e))
		n += address_equal(e->entry.key.from, address);
	return n;
}

/* Reached nobody, or spoke TLS: a bare connection that carried nothing may be anything. */
static bool wanted_something(const struct kept *u)
{
	const struct conn_fact *f = (const void *)u->fact;

	return u->fact->kind == FACT_SYN ||
	       (u->fact->kind == FACT_CONN && (f->conn.side[SERVER].syn.packet == 0 || fact_tls(f, &f->conn) != NULL));
}

/* A connection without a request counts only between addresses that exchanged HTTP, or that were
 * named, or where it is all that was captured: one address, and one place that it wanted something of.
 */
static bool counts(struct round *r, const struct kept *u)
{
	struct roles *roles = r->c->roles;
	const struct edge *e = roles_edge(roles, &u->end[CLIENT], &u->end[SERVER]);
	const struct served *s = roles_served(roles, &u->end[SERVER]);

	if (u->key.known || (e != NULL && e->requests != 0) || (s != NULL && s->told_upstream))
		return true;
	if (u->back != NO_GATEWAY && u->back < (int)roles->options->n_gateways)
		return true;
	if (u->back != NO_GATEWAY && roles->gateways[u->back].encrypted)
		return edges_from(roles, u->end[CLIENT].address) == 1 ||
		       (s != NULL && s->requests != 0);
	return !roles->http_seen && wanted_something(u) && edges_from(roles, u->end[CLIENT].address) == 1;
}

static bool is_check(struct round *r, const struct kept *u)
{
	const struct edge *e = roles_edge(r->c->roles, &u->end[CLIENT], &u->end[SERVER]);

	return u->key.known && e != NULL && edge_checks(e, u->key.target);
}

static void tell_one_sided(struct round *r, struct kept *u)
{
	const struct gateway_model *model = model_of_back(r->c, u);
	int64_t window = model->retry_ns != 0 ? model->retry_ns : RETRY_NS;
	struct matter m = { .gateway = u->back, .reaches = true };
	const struct gateway *g = u->back != NO_GATEWAY ? &r->c->roles->gateways[u->back] : NULL;

	if (is_check(r, u) || !counts(r, u)) {
		u->upstream_state = STATE_ASIDE;
		return;
	}
	memcpy(m.front.address, u->end[CLIENT].address, 16);
	if (g != NULL && g->n_fronts != 0)
		m.front = g->fronts[0];
	m.encrypted = g != NULL && g->encrypted;
	matter_path(&m, &m.front);
	for (struct kept *next = u; next != NULL;
	     u = next, next = may_retry(model, u) ? next_try(r, u, window) : NULL) {
		if (may_retry(model, next) && heard_healed(r, next) >= 0) {
			next->upstream_state = STATE_HEALED;
			r->c->healed++;
			for (unsigned i = 0; i < m.n_trials; i++)
				m.trials[i]->upstream_state = STATE_HEALED;
			return;
		}
		if (m.n_trials == TRIALS_MAX)
			break;
		matter_add(&m, next, MATCHED_UNIQUE);
	}
	r->c->found(r->c->ctx, &m);
}

/* ---- tries that no failed request has claimed --------------------------------------------- */

/* The client's answer was whole though the upstream's was not. */
static bool tell_masked(struct round *r, struct kept *u)
{
	const struct exchange_fact *f = (const void *)u->fact;
	struct matter m = { .masked = true };
	struct kept *client = NULL;

	if (u->fact->kind != FACT_EXCHANGE ||
	    (f->x.outcome != OUTCOME_PARTIAL_BODY && f->x.outcome != OUTCOME_GARBLED))
		return false;
	heard_make(r);
	for (size_t i = heard_from(r, u->key.tail, f->x.response.first.time_ns - TIE_SLACK_NS);
	     i < r->n_heard && r->heard[i].tail == u->key.tail; i++) {
		const struct heard *h = &r->heard[i];

		if (h->front != u->back || h->owned ||
		    h->begin_ns > u->begin.time_ns + TIE_SLACK_NS ||
		    heard_brief(r, h)->status != f->x.status)
			continue;
		r->heard[i].owned = true;
		client = store_of_brief(r->c->store, store_at(r->c->store, h->index));
		break;
	}
	if (client == NULL)
		return false;
	client->front = u->back;
	matter_begin(r, &m, client);
	m.client = client;
	matter_path(&m, &m.front);
	matter_add(&m, u, MATCHED_UNIQUE);
	r->c->found(r->c->ctx, &m);
	store_let_go(r->c->store, client);
	return true;
}

/* Kept as long as memory allows: its request may end long after it. */
static bool may_be_claimed(const struct round *r, const struct kept *u)
{
	return !r->final && r->c->store->lists[LIST_MAIN].bytes < KEPT_BYTES / 2 &&
	       u->last.time_ns + CLAIMED_BY_S * NS_PER_S > r->until_ns;
}

static void settle_unclaimed(struct round *r, struct kept *u)
{
	struct served *s = roles_served(r->c->roles, &u->end[SERVER]);

	if (tell_masked(r, u))
		return;
	if (heard_healed(r, u) >= 0) {
		u->upstream_state = STATE_HEALED;
		r->c->healed++;
		if (s != NULL)
			s->healed++;
	} else if (!may_be_claimed(r, u)) {
		u->upstream_state = STATE_ASIDE;
		if (s != NULL)
			s->health_checks++;
	}
}

/* Is a request to this try's own host still waiting? Then that will tell what it was for. */
static bool request_waits(const struct round *r, const struct kept *u)
{
	for (const struct kept *k = r->c->store->lists[LIST_MAIN].oldest; k != NULL; k = k->newer)
		if (k->fact->kind == FACT_EXCHANGE && !k->final && k != u &&
		    k->begin.time_ns <= u->begin.time_ns + TIE_SLACK_NS &&
		    address_equal(k->end[SERVER].address, u->end[CLIENT].address))
			return true;
	return false;
}

void settle_tries(struct round *r)
{
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (struct kept *u = r->c->store->lists[list].oldest, *next; u != NULL; u = next) {
			int64_t wait = front_is_plain(r, u) ? UNTOLD_S * NS_PER_S
							    : RETRY_NS + NS_PER_S / 10;

			next = u->newer;
			if (u->upstream_state != STATE_FREE || !try_is(u) || u->guilty < 0 ||
			    (!u->final && !r->final) ||
			    (!r->final && u->last.time_ns + wait > r->until_ns))
				continue;
			if (u->client_state == STATE_TAKEN && u->back == NO_GATEWAY)
				continue; /* a client's request, told as such */
			if (u->front != NO_GATEWAY && u->back == NO_GATEWAY)
				continue; /* a client's connection to a gateway */
			if (u->back == NO_GATEWAY && is_client(r, u))
				continue; /* that may wait longer: for a try of its own */
			if (!r->final && request_waits(r, u))
				continue;
			if (roles_unplaced_asks(r->c->roles, &u->end[CLIENT], &u->end[SERVER]))
				u->upstream_state = STATE_ASIDE; /* its request is told */
			else if (front_is_plain(r, u))
				settle_unclaimed(r, u);
			else
				tell_one_sided(r, u);
		}
}
