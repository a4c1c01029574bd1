/* correlate.c - which tries at an upstream were made for which failed request */
#include "correlate.h"

#include "gateways.h"
#include "round.h"

#include <stdlib.h>

enum {
	SETTLE_MS = 200,      /* an answer settles (DESIGN.md, When) */
	SYN_GIVES_UP_S = 140, /* a SYN without an answer is told by then */
	LONG_WAIT_MS = 900,
	LIVE_HOLDS_S = 3
};

/* ---- cases -------------------------------------------------------------------------------- */

struct trial trial_of(const struct kept *k)
{
	struct trial t = { .gateway = k->end[CLIENT],
			   .upstream = k->end[SERVER],
			   .exchange_id = k->id,
			   .began = k->begin,
			   .ended = k->last };
	const void *f = k->fact;

	switch (k->fact->kind) {
	case FACT_EXCHANGE:
		t.x = f;
		break;
	case FACT_BRIEF:
		t.brief = f;
		break;
	case FACT_CONN:
		t.conn = f;
		break;
	case FACT_SYN:
		t.syn = f;
		break;
	case FACT_ICMP:
		t.icmp = f;
		break;
	case FACT_ARP:
		t.arp = f;
		t.n_arp = 1;
		break;
	case FACT_DNS:
		t.dns = f;
		t.upstream = (struct endpoint){ .port = 0 };
		break;
	default:
		break;
	}
	return t;
}

static const struct gateway_model *model_or_unknown(const struct gateway_model *m)
{
	return m != NULL ? m : gateway_model_unknown();
}

const struct gateway_model *model_of_back(struct correlation *c, const struct kept *u)
{
	const struct edge *e = roles_edge(c->roles, &u->end[CLIENT], &u->end[SERVER]);
	const struct gateway_model *m =
		u->back != NO_GATEWAY ? c->roles->gateways[u->back].model : NULL;

	return model_or_unknown(m != NULL ? m : e != NULL ? e->model : NULL);
}

/* What this try would be found guilty of by itself. */
int16_t correlate_guilt(struct correlation *c, const struct kept *u)
{
	struct trial t = trial_of(u);
	struct case_file alone = { .trials = &t,
				   .n_trials = 1,
				   .reaches_upstreams = true,
				   .model = model_of_back(c, u),
				   .learned = c->learned,
				   .quality = c->quality,
				   .limits = c->options->limits,
				   .n_limits = c->options->n_limits,
				   .capture_first_ns = c->first_ns,
				   .capture_last_ns = c->last_ns,
				   .steps = &c->steps };

	return (int16_t)judge_trial(&alone, &t);
}

/* ---- the client's side -------------------------------------------------------------------- */

struct mark client_ended(const struct kept *k)
{
	const struct exchange_fact *f = (const void *)k->fact;

	if (k->fact->kind != FACT_EXCHANGE)
		return k->last;
	if (f->x.status >= 400 && f->x.response.first.packet != 0)
		return f->x.response.first;
	if (f->h2.rst_stream[SERVER].packet != 0)
		return f->h2.rst_stream[SERVER];
	if (f->h2.rst_stream[CLIENT].packet != 0)
		return f->h2.rst_stream[CLIENT];
	if (f->x.outcome != OUTCOME_COMPLETE && f->conn.closed.packet != 0)
		return f->conn.closed;
	return f->x.response.last.packet != 0 ? f->x.response.last : k->fact->at;
}

bool client_aborted(const struct exchange_fact *f)
{
	if (f->x.outcome == OUTCOME_COMPLETE || f->x.outcome == OUTCOME_UPGRADED ||
	    f->x.outcome == OUTCOME_TUNNEL || f->x.outcome == OUTCOME_GARBLED)
		return false;
	if (f->x.status >= 400 && f->x.response.first.packet != 0)
		return false; /* the error had reached it */
	if (f->x.stream != 0 &&
	    (f->h2.rst_stream[CLIENT].packet != 0 || f->h2.rst_stream[SERVER].packet != 0))
		return f->h2.rst_stream[CLIENT].packet != 0 &&
		       (f->h2.rst_stream[SERVER].packet == 0 ||
			f->h2.rst_stream[CLIENT].packet < f->h2.rst_stream[SERVER].packet);
	return f->conn.closing != CLOSING_NONE && f->conn.closer == CLIENT;
}

bool client_failed(const struct exchange_fact *f)
{
	switch (f->x.outcome) {
	case OUTCOME_IN_PROGRESS:
		return f->x.status >= 400; /* its body may have been cut from the capture */
	case OUTCOME_COMPLETE:
		return f->x.status >= 400 || f->x.status == 0 || f->x.response.violations != 0;
	case OUTCOME_UPGRADED:
	case OUTCOME_TUNNEL:
		return false;
	default:
		return true;
	}
}

static const uint32_t gateway_signs = SIGN_XFF | SIGN_VIA | SIGN_FORWARDED | SIGN_X_REAL_IP |
				      SIGN_X_VARNISH | SIGN_CDN_LOOP | SIGN_X_FORWARDED_OTHER;

/* Was the next hop, or a name, asked for in vain from this address while the request waited? */
static bool question_open(const struct correlation *c, const struct kept *k)
{
	int64_t end = client_ended(k).time_ns;

	for (const struct kept *q = c->store->lists[LIST_CONTROL].oldest; q != NULL; q = q->newer)
		if (address_equal(q->end[CLIENT].address, k->end[SERVER].address) &&
		    q->begin.time_ns >= k->begin.time_ns && q->begin.time_ns <= end)
			return true;
	return false;
}

/* A tier that was captured alone: whose side is it? (DESIGN.md, Roles) */
static bool lone_is_client(struct correlation *c, const struct kept *k)
{
	const struct exchange_fact *f = (const void *)k->fact;
	const struct served *s = roles_served(c->roles, &k->end[SERVER]);
	const struct edge *e = roles_edge(c->roles, &k->end[CLIENT], &k->end[SERVER]);
	struct recognised author;
	struct arena a;
	bool gateways_page;

	if (s != NULL && s->told_upstream)
		return false;
	if (f->x.status < 400 || f->x.response.first.packet == 0)
		return false;
	if (f->x.status == 401 || f->x.status == 403 || f->x.status == 404)
		return false;           /* the commonest answers of applications: not worth the look */
	if (question_open(c, k))
		return true;
	if ((f->x.request.signs & gateway_signs) != 0 || (e != NULL && e->gateway_signs))
		return false;
	arena_init(&a, 4096);
	author = gateway_of_answer(f, &a);
	gateways_page = author.model != NULL && author.model->is_gateway;
	arena_clear(&a);
	return gateways_page;
}

/* ---- tries and matters -------------------------------------------------------------------- */

bool try_is(const struct kept *k)
{
	const struct conn_fact *f = (const void *)k->fact;

	return k->fact->kind == FACT_EXCHANGE || k->fact->kind == FACT_BRIEF ||
	       k->fact->kind == FACT_SYN || (k->fact->kind == FACT_CONN && f->conn.exchanges == 0);
}

int64_t last_struck(const struct kept *u)
{
	int64_t last = u->begin.time_ns;

	for (unsigned i = 0; i < u->n_struck; i++)
		last = u->struck_ns[i] > last ? u->struck_ns[i] : last;
	return last;
}

int64_t first_struck(const struct kept *u)
{
	int64_t first = INT64_MAX;

	for (unsigned i = 0; i < u->n_struck; i++)
		first = u->struck_ns[i] < first ? u->struck_ns[i] : first;
	return first == INT64_MAX ? u->begin.time_ns : first;
}

void matter_add(struct matter *m, struct kept *u, uint8_t matched)
{
	unsigned at = m->n_trials;

	if (m->n_trials == TRIALS_MAX)
		return;
	while (at > 0 && m->trials[at - 1]->begin.time_ns > u->begin.time_ns) {
		m->trials[at] = m->trials[at - 1];
		m->matched[at] = m->matched[at - 1];
		at--;
	}
	m->trials[at] = u;
	m->matched[at] = matched;
	m->n_trials++;
	u->upstream_state = STATE_TAKEN;
}

void matter_begin(const struct round *r, struct matter *m, struct kept *k)
{
	const struct gateway *g = k->front != NO_GATEWAY ? &r->c->roles->gateways[k->front] : NULL;

	m->tier = k;
	m->n_trials = 0;
	m->front = k->end[SERVER];
	m->gateway = k->front;
	m->reaches = g != NULL && g->reaches;
}

void matter_path(struct matter *m, const struct endpoint *front)
{
	if (m->n_path == TIERS_MAX)
		return;
	memmove(&m->path[1], &m->path[0], m->n_path * sizeof m->path[0]);
	m->path[0] = *front;
	m->n_path++;
}

/* ---- tiers -------------------------------------------------------------------------------- */

/* Is this endpoint's gateway proven to pass requests on, or did it try to while this one waited? */
static bool passes_on(const struct round *r, const struct kept *request)
{
	int64_t end = client_ended(request).time_ns;

	if (r->c->roles->gateways[request->front].pairs != 0)
		return true;
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (const struct kept *u = r->c->store->lists[list].oldest; u != NULL;
		     u = u->newer)
			if (u->back == request->front && u->guilty >= 0 &&
			    u->begin.time_ns >= request->begin.time_ns - TIE_SLACK_NS &&
			    u->begin.time_ns <= end + TIE_SLACK_NS)
				return true;
	return false;
}

/* Was this try a request to another gateway? Then what went wrong may have begun there. */
static struct kept *inner_request(const struct round *r, const struct matter *m)
{
	for (unsigned i = m->n_trials; i-- > 0;) {
		struct kept *u = m->trials[i];

		if (u->guilty < 0)
			continue;
		if (u->fact->kind == FACT_EXCHANGE && u->front != NO_GATEWAY &&
		    u->front != u->back && u->final && client_failed((const void *)u->fact) &&
		    u->client_state == STATE_FREE && passes_on(r, u))
			return u;
		return NULL;
	}
	return NULL;
}

/* All matters, gateway by gateway, in time: then once more for those whose failed try was itself a
 * request. */
static void match_tier(struct round *r, struct matter *matters, unsigned n, const bool *open)
{
	for (int gateway = NO_GATEWAY; gateway < (int)r->c->roles->n_gateways; gateway++)
		for (unsigned at = 0; at < n;) {
			r->n_rows = 0;
			for (; at < n && r->n_rows < ASSIGN_ROWS_MAX; at++)
				if (open[at] && matters[at].gateway == gateway)
					r->rows[r->n_rows++] = (struct row){
						matters[at].tier,
						client_ended(matters[at].tier).time_ns,
						&matters[at], false, false
					};
			if (r->n_rows != 0)
				match_gateway(r, gateway);
		}
}

static void match_tiers(struct round *r, struct matter *matters, unsigned n)
{
	bool *open = calloc(n + 1, sizeof *open);

	if (open == NULL) {
		r->c->store->out_of_memory++;
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		open[i] = true;
		matter_path(&matters[i], &matters[i].front);
	}
	for (unsigned tier = 0; tier < TIERS_MAX; tier++) {
		bool any = false;

		match_tier(r, matters, n, open);
		for (unsigned i = 0; i < n; i++) {
			struct kept *inner = open[i] ? inner_request(r, &matters[i]) : NULL;

			open[i] = inner != NULL;
			if (inner == NULL)
				continue;
			any = true;
			inner->client_state = STATE_TAKEN;
			matter_begin(r, &matters[i], inner);
			matter_path(&matters[i], &matters[i].front);
		}
		if (!any)
			break;
	}
	free(open);
}

/* ---- a round, in order -------------------------------------------------------------------- */

bool front_is_plain(const struct round *r, const struct kept *u)
{
	return u->back != NO_GATEWAY && r->c->roles->gateways[u->back].plain;
}

bool is_client(struct round *r, struct kept *k)
{
	const struct exchange_fact *f = (const void *)k->fact;

	if (k->fact->kind != FACT_EXCHANGE || k->client_state != STATE_FREE || !client_failed(f))
		return false;
	/* Live, an answer that is no HTTP is told at once: its client may wait long for a line's end. */
	if (!k->final && !(r->c->options->live && f->x.outcome == OUTCOME_GARBLED))
		return false;
	if (k->back != NO_GATEWAY &&
	    front_is_plain(r, k)) /* in a chain: told with the outer one, if that failed */
		return k->front != NO_GATEWAY && k->upstream_state == STATE_ASIDE;
	if (k->back != NO_GATEWAY || roles_unplaced_asks(r->c->roles, &k->end[CLIENT], &k->end[SERVER]))
		return false;
	return k->front != NO_GATEWAY || roles_unplaced_answers(r->c->roles, &k->end[SERVER]) || lone_is_client(r->c, k);
}

static int compare_ends(const void *a, const void *b)
{
	const struct matter *x = a, *y = b;
	struct mark p = client_ended(x->tier), q = client_ended(y->tier);

	if (p.packet != q.packet)
		return p.packet < q.packet ? -1 : 1;
	return (x->tier->id > y->tier->id) - (x->tier->id < y->tier->id);
}

/* A question that nobody answered is no try: it may have been another request's. */
static bool tried(const struct matter *m)
{
	for (unsigned i = 0; i < m->n_trials; i++)
		if (try_is(m->trials[i]))
			return true;
	return false;
}

/* What no packet explains yet may be explained by a try that is still waiting: a file is told when
 * a SYN would be given up; live, a request that waited long itself is held back for a little. */
static bool may_wait(const struct round *r, const struct matter *m)
{
	int64_t end = client_ended(m->tier).time_ns;

	if (r->final || tried(m))
		return false;
	if (!r->c->options->live)
		return end + SYN_GIVES_UP_S * NS_PER_S > r->until_ns;
	if (end - m->tier->begin.time_ns > LONG_WAIT_MS * NS_PER_MS)
		return end + LIVE_HOLDS_S * NS_PER_S > r->until_ns;
	/* The connection that failed settles as late as its request did. */
	return end + 2 * SETTLE_MS * NS_PER_MS > r->until_ns;
}

static void tell_matters(struct round *r, struct matter *matters, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct matter *m = &matters[i];

		if (may_wait(r, m))
			continue;
		m->client->client_state = STATE_TAKEN;
		r->c->found(r->c->ctx, m);
		for (unsigned t = 0; t < m->n_trials; t++)
			if (!m->trials[t]->in_list && m->trials[t]->fact->kind == FACT_BRIEF)
				store_let_go(r->c->store,
					     m->trials[t]); /* heard_refused() made it */
	}
}

static void look_up(struct round *r)
{
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (struct kept *k = r->c->store->lists[list].oldest; k != NULL; k = k->newer) {
			k->back =
				(int16_t)roles_back(r->c->roles, &k->end[CLIENT], &k->end[SERVER]);
			k->front = (int16_t)roles_front(r->c->roles, &k->end[SERVER]);
			k->guilty = try_is(k) ? correlate_guilt(r->c, k) : -1;
		}
}

static void settle_clients(struct round *r)
{
	size_t room = r->c->store->lists[LIST_MAIN].count;
	struct matter *matters = calloc(room + 1, sizeof *matters);
	unsigned n = 0;

	if (matters == NULL) {
		r->c->store->out_of_memory++;
		return;
	}
	for (struct kept *k = r->c->store->lists[LIST_MAIN].oldest; k != NULL; k = k->newer)
		if (is_client(r, k) &&
		    (r->final || client_ended(k).time_ns + SETTLE_MS * NS_PER_MS <= r->until_ns)) {
			matter_begin(r, &matters[n], k);
			matters[n++].client = k;
		}
	qsort(matters, n, sizeof *matters, compare_ends);
	match_tiers(r, matters, n);
	tell_matters(r, matters, n);
	for (unsigned i = 0; i < n; i++)
		if (matters[i].earlier != NULL)
			store_let_go(r->c->store, matters[i].earlier);
	free(matters);
}

/* What is settled on both of its sides is needed no more. */
static void sweep(struct round *r)
{
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (struct kept *k = r->c->store->lists[list].oldest, *next; k != NULL; k = next) {
			bool old = k->last.time_ns + 10 * NS_PER_S < r->until_ns;

			next = k->newer;
			if (!k->final)
				continue;
			if ((k->client_state != STATE_FREE && k->back == NO_GATEWAY) ||
			    (k->upstream_state != STATE_FREE && k->front == NO_GATEWAY) ||
			    (k->client_state != STATE_FREE && k->upstream_state != STATE_FREE) ||
			    (old && k->guilty < 0))
				store_release(r->c->store, k);
		}
}

void correlate(struct correlation *c, int64_t now_ns, bool final)
{
	struct round *r = calloc(1, sizeof *r);

	if (r == NULL) {
		c->store->out_of_memory++;
		return;
	}
	r->c = c;
	r->until_ns = now_ns;
	r->final = final;
	r->a = malloc(sizeof *r->a);
	if (r->a != NULL) {
		roles_infer(c->roles, c->store, final);
		look_up(r);
		settle_clients(r);
		settle_tries(r);
		if (final)
			settle_clients(r); /* inner requests whose outer one did not fail */
		sweep(r);
	} else {
		c->store->out_of_memory++;
	}
	free(r->heard);
	free(r->a);
	free(r);
}

void correlation_clear(struct correlation *c)
{
	for (unsigned i = 0; i < GATEWAYS_MAX; i++)
		if (c->last_failure[i] != NULL)
			store_let_go(c->store, c->last_failure[i]);
}

const struct gateway_model *matter_model(struct correlation *c, const struct matter *m,
					 struct arena *a)
{
	struct gateway *g = m->gateway != NO_GATEWAY ? &c->roles->gateways[m->gateway] : NULL;
	const struct kept *last = m->n_trials != 0 ? m->trials[m->n_trials - 1] : NULL;
	const struct exchange_fact *answer = m->tier != NULL && m->tier->fact->kind == FACT_EXCHANGE
						     ? (const void *)m->tier->fact
						     : NULL;
	const struct exchange_fact *x =
		last != NULL && last->fact->kind == FACT_EXCHANGE ? (const void *)last->fact : NULL;
	struct recognised who = { 0 };

	if (g != NULL && (g->model_told || g->model_answered))
		return g->model;
	/* A page that the upstream's answer already was tells nothing of the gateway. */
	if (answer != NULL && answer->x.status >= 400 &&
	    !(x != NULL && x->x.status == answer->x.status))
		who = gateway_of_answer(answer, a);
	if (who.model != NULL && who.model->is_gateway) {
		if (g != NULL) {
			g->model = who.model;
			g->model_answered = true;
			if (who.version != NULL)
				strncpy(g->version, who.version, sizeof g->version - 1);
		}
		return who.model;
	}
	if (x != NULL && (who = gateway_of_request(x)).model != NULL) {
		if (g != NULL && g->model == NULL)
			g->model = who.model;
		return who.model;
	}
	return model_or_unknown(g != NULL && g->model != NULL ? g->model
				: last != NULL                ? model_of_back(c, last)
							      : NULL);
}
