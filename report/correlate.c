/* correlate.c - which tries at an upstream were made for which failed request */
#include "correlate.h"

#include "assign.h"
#include "gateways.h"
#include "tie.h"

#include <stdlib.h>

enum {
	SETTLE_MS      = 200,           /* an answer settles (DESIGN.md, When) */
	TIGHT_MS       = 250,           /* an answer follows the failure, or the try the request, within this */
	HEAD_MS        = 20,            /* a first try follows its request within this, where later ones are missing */
	SYN_GIVES_UP_S = 140,           /* a SYN without an answer is told by then */
	RETRY_NS       = 1100 * 1000 * 1000,    /* a gateway's retry window, where its model says nothing */
	UNTOLD_S       = 2              /* a try that no failed request has claimed by then is nobody's */
};

static const double alone_cost = 5e6;           /* of a request without a try: dearer than any fitting pair */
static const double unlike_cost = 1e5;          /* a gateway that rewrites targets wholly */
static const double innocent_cost = 400;        /* nothing is wrong with the try: 20 ms squared */
static const double same_cost = 25;             /* two fits within 5 ms squared: time does not decide */

/* ---- cases -------------------------------------------------------------------------------- */

struct trial trial_of(const struct kept *k)
{
	struct trial t = { .gateway = k->end[CLIENT], .upstream = k->end[SERVER], .exchange_id = k->id, .began = k->begin, .ended = k->last };
	const void *f = k->fact;

	switch (k->fact->kind) {
	case FACT_EXCHANGE: t.x = f; break;
	case FACT_BRIEF:    t.brief = f; break;
	case FACT_CONN:     t.conn = f; break;
	case FACT_SYN:      t.syn = f; break;
	case FACT_ICMP:     t.icmp = f; break;
	case FACT_ARP:
		t.arp = f;
		t.n_arp = 1;
		break;
	case FACT_DNS:
		t.dns = f;
		t.upstream = (struct endpoint){ .port = 0 };
		break;
	default: break;
	}
	return t;
}

static const struct gateway_model *model_or_unknown(const struct gateway_model *m)
{
	return m != NULL ? m : gateway_model_unknown();
}

static const struct gateway_model *model_of_back(struct correlation *c, const struct kept *u)
{
	const struct edge *e = roles_edge(c->roles, &u->end[CLIENT], &u->end[SERVER]);
	const struct gateway_model *m = u->back != NO_GATEWAY ? c->roles->gateways[u->back].model : NULL;

	return model_or_unknown(m != NULL ? m : e != NULL ? e->model : NULL);
}

/* What this try would be found guilty of by itself. */
int16_t correlate_guilt(struct correlation *c, const struct kept *u)
{
	struct trial t = trial_of(u);
	struct case_file alone = {
		.trials = &t, .n_trials = 1, .reaches_upstreams = true, .model = model_of_back(c, u), .learned = c->learned,
		.quality = c->quality, .limits = c->options->limits, .n_limits = c->options->n_limits,
		.capture_first_ns = c->first_ns, .capture_last_ns = c->last_ns
	};

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
	if (f->x.outcome != OUTCOME_COMPLETE && f->conn.closed.packet != 0)
		return f->conn.closed;
	return f->x.response.last.packet != 0 ? f->x.response.last : k->fact->at;
}

bool client_aborted(const struct exchange_fact *f)
{
	if (f->x.outcome == OUTCOME_COMPLETE || f->x.outcome == OUTCOME_UPGRADED || f->x.outcome == OUTCOME_TUNNEL ||
	    f->x.outcome == OUTCOME_GARBLED)
		return false;
	if (f->x.status >= 400 && f->x.response.first.packet != 0)
		return false;           /* the error had reached it */
	if (f->x.stream != 0 && (f->h2.rst_stream[CLIENT].packet != 0 || f->h2.rst_stream[SERVER].packet != 0))
		return f->h2.rst_stream[CLIENT].packet != 0 &&
		       (f->h2.rst_stream[SERVER].packet == 0 || f->h2.rst_stream[CLIENT].packet < f->h2.rst_stream[SERVER].packet);
	return f->conn.closing != CLOSING_NONE && f->conn.closer == CLIENT;
}

static bool failed_client(const struct exchange_fact *f)
{
	switch (f->x.outcome) {
	case OUTCOME_IN_PROGRESS: return f->x.status >= 400;    /* its body may have been cut from the capture */
	case OUTCOME_COMPLETE:    return f->x.status >= 400 || f->x.status == 0;        /* 0: no status line */
	case OUTCOME_UPGRADED: case OUTCOME_TUNNEL: return false;
	default: return true;
	}
}

static const uint32_t gateway_signs = SIGN_XFF | SIGN_VIA | SIGN_FORWARDED | SIGN_X_REAL_IP | SIGN_X_VARNISH | SIGN_CDN_LOOP | SIGN_X_FORWARDED_OTHER;

/* Was the next hop, or a name, asked for in vain from this address while the request waited? */
static bool asked_in_vain(const struct correlation *c, const struct kept *k)
{
	int64_t end = client_ended(k).time_ns;

	for (const struct kept *q = c->store->lists[LIST_CONTROL].oldest; q != NULL; q = q->newer)
		if (address_equal(q->end[CLIENT].address, k->end[SERVER].address) && q->begin.time_ns >= k->begin.time_ns && q->begin.time_ns <= end)
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
	if (asked_in_vain(c, k))
		return true;
	if ((f->x.request.signs & gateway_signs) != 0 || (e != NULL && e->gateway_signs))
		return false;
	arena_init(&a, 4096);
	author = gateway_of_answer(f, &a);
	gateways_page = author.model != NULL && author.model->is_gateway;
	arena_clear(&a);
	return gateways_page;
}

/* ---- a round ------------------------------------------------------------------------------ */

struct row {                            /* a failed request on one gateway */
	struct kept *k;
	int64_t end_ns;
	struct matter *m;
	bool by_id;                     /* a try has its identifier: the others have not */
};

struct round {
	struct correlation *c;
	int64_t until_ns;
	bool final;
	struct assignment *a;
	struct row rows[ASSIGN_ROWS_MAX];
	unsigned n_rows;
	struct kept *columns[ASSIGN_COLUMNS_MAX];
	unsigned n_columns;
	bool rewrites;                  /* no like pair was seen on this gateway */
	struct heard *heard;            /* of briefs, sorted; see below */
	size_t n_heard;
	bool heard_made;
};

static bool is_try(const struct kept *k)
{
	const struct conn_fact *f = (const void *)k->fact;

	return k->fact->kind == FACT_EXCHANGE || k->fact->kind == FACT_BRIEF || k->fact->kind == FACT_SYN || (k->fact->kind == FACT_CONN && f->conn.exchanges == 0);
}

/* Opened and closed again by the gateway, with nothing wrong: a check, or one in reserve. */
static bool is_idle_try(const struct kept *k)
{
	const struct conn_fact *f = (const void *)k->fact;

	return k->fact->kind == FACT_CONN && k->guilty < 0 && f->conn.side[CLIENT].bytes == 0;
}

static void look_up(struct round *r)
{
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (struct kept *k = r->c->store->lists[list].oldest; k != NULL; k = k->newer) {
			k->back = (int16_t)roles_back(r->c->roles, &k->end[CLIENT], &k->end[SERVER]);
			k->front = (int16_t)roles_front(r->c->roles, &k->end[SERVER]);
			k->guilty = is_try(k) ? correlate_guilt(r->c, k) : -1;
		}
}

static double square(double x)
{
	return x * x;
}

static double pair_cost(const struct round *r, const struct row *row, const struct kept *u)
{
	const struct kept *c = row->k;
	int alike = tie_alike(&c->key, &u->key);
	double cost = 0;
	struct fit f;

	if (u == c || is_idle_try(u) || !tie_fit(c, row->end_ns, u, &f))
		return ASSIGN_NEVER;
	if (u->key.known && alike == 0) {
		if (!r->rewrites || f.begin_ms > HEAD_MS || f.end_ms > HEAD_MS)
			return ASSIGN_NEVER;
		cost += unlike_cost;
	}
	if (row->by_id && u->key.known && !tie_same_id(&c->key, &u->key))
		return ASSIGN_NEVER;
	if (f.end_ms > TIGHT_MS && alike == 0)
		return ASSIGN_NEVER;
	cost += f.end_ms > 1000 ? 1e6 : f.end_ms > 0 ? square(f.end_ms) : 0;
	cost += square(f.begin_ms < 5000 ? f.begin_ms : 5000) / 1024;
	cost += u->guilty < 0 ? innocent_cost : 0;
	cost += alike == 1 ? 1 : 0;
	if (u->fact->kind == FACT_EXCHANGE && c->fact->kind == FACT_EXCHANGE) {
		const struct exchange_fact *x = (const void *)u->fact, *y = (const void *)c->fact;

		if (x->x.outcome == OUTCOME_COMPLETE && x->x.status != y->x.status && x->x.response.violations == 0)
			cost += innocent_cost;
	}
	return cost;
}

/* Requests of one gateway, and all tries of it that overlap them. */
static void gather_columns(struct round *r, int gateway)
{
	int64_t from = INT64_MAX, to = INT64_MIN;

	for (unsigned i = 0; i < r->n_rows; i++) {
		from = r->rows[i].k->begin.time_ns < from ? r->rows[i].k->begin.time_ns : from;
		to = r->rows[i].end_ns > to ? r->rows[i].end_ns : to;
	}
	r->n_columns = 0;
	for (int pass = 0; pass < 2; pass++)            /* the guilty first: there may be too many */
		for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
			for (struct kept *u = r->c->store->lists[list].oldest; u != NULL; u = u->newer) {
				if (u->back != gateway || u->upstream_state != STATE_FREE || !is_try(u) || (u->guilty >= 0) != (pass == 0) ||
				    u->begin.time_ns < from - TIE_SLACK_NS || u->begin.time_ns > to + TIE_SLACK_NS)
					continue;
				if (r->n_columns == ASSIGN_COLUMNS_MAX)
					return;
				r->columns[r->n_columns++] = u;
			}
}

static void find_ids(struct round *r)
{
	for (unsigned i = 0; i < r->n_rows; i++) {
		const struct kept *c = r->rows[i].k;

		for (unsigned j = 0; j < r->n_columns && !r->rows[i].by_id; j++)
			r->rows[i].by_id = r->columns[j] != c && r->columns[j]->key.known && tie_same_id(&c->key, &r->columns[j]->key) &&
			                   tie_alike(&c->key, &r->columns[j]->key) != 0;
	}
}

/* ---- is it the only way? ------------------------------------------------------------------ */

static bool id_is_its_own(const struct round *r, unsigned row)
{
	if (!r->rows[row].by_id)
		return false;
	for (unsigned i = 0; i < r->n_rows; i++)
		if (i != row && tie_same_id(&r->rows[row].k->key, &r->rows[i].k->key))
			return false;
	return true;
}

static bool is_trial_of(const struct matter *m, const struct kept *u)
{
	for (unsigned i = 0; i < m->n_trials; i++)
		if (m->trials[i] == u)
			return true;
	return false;
}

static int row_with(const struct round *r, unsigned column)
{
	for (unsigned i = 0; i < r->n_rows; i++)
		if (r->a->column[i] == (int)column)
			return (int)i;
	return -1;
}

/* What it would cost more if this row had that column instead; ASSIGN_NEVER: it cannot. */
static double other_way(const struct round *r, unsigned row, unsigned column)
{
	unsigned mine = (unsigned)r->a->column[row];
	int other = row_with(r, column);
	double now = r->a->cost[row][mine], then = r->a->cost[row][column];

	if (other >= 0) {
		now += r->a->cost[other][column];
		then += r->a->cost[other][mine];
	}
	return then < ASSIGN_NEVER ? then - now : ASSIGN_NEVER;
}

static bool same_verdict(const struct kept *a, const struct kept *b)
{
	return a->guilty == b->guilty && a->guilty >= 0 && endpoint_equal(&a->end[SERVER], &b->end[SERVER]);
}

/* How surely the row's try is its own; an ambiguous one gets the other candidates for trials. */
static uint8_t surety(struct round *r, unsigned row)
{
	unsigned mine = (unsigned)r->a->column[row];
	const struct kept *u = r->columns[mine];
	bool others = false, all_alike = true, tied = false;
	double own = r->a->cost[row][mine];

	if (id_is_its_own(r, row) && u->key.known)
		return MATCHED_ID;
	for (unsigned j = 0; j < r->n_columns; j++) {
		double more;

		if (j == mine || is_trial_of(r->rows[row].m, r->columns[j]))
			continue;
		if (r->columns[j]->upstream_state != STATE_FREE && row_with(r, j) < 0)
			continue;               /* another request's earlier try */
		more = other_way(r, row, j);
		if (more >= ASSIGN_NEVER || more > own * 3 + same_cost)
			continue;
		others = true;
		all_alike = all_alike && same_verdict(u, r->columns[j]);
		tied = tied || (more <= own * 0.1 + 0.01 && !same_verdict(u, r->columns[j]));
	}
	if (!others)
		return MATCHED_UNIQUE;
	if (all_alike)
		return MATCHED_SET;
	r->rows[row].m->ambiguous = tied;
	return MATCHED_ORDER;
}

/* ---- other tries of it --------------------------------------------------------------------- */

static int64_t last_struck(const struct kept *u)
{
	int64_t last = u->begin.time_ns;

	for (unsigned i = 0; i < u->n_struck; i++)
		last = u->struck_ns[i] > last ? u->struck_ns[i] : last;
	return last;
}

static int64_t first_struck(const struct kept *u)
{
	int64_t first = INT64_MAX;

	for (unsigned i = 0; i < u->n_struck; i++)
		first = u->struck_ns[i] < first ? u->struck_ns[i] : first;
	return first == INT64_MAX ? u->begin.time_ns : first;
}

/* How far, in ms, an unclaimed failed try lies from being another of this request's: from the request, or from a
 * try of it that began when this one had failed, or failed when this one began. */
static double another_gap(const struct row *row, const struct kept *u)
{
	const struct matter *m = row->m;
	struct fit f;
	double gap;

	if (u == row->k || !tie_fit(row->k, row->end_ns, u, &f) || (u->key.known && tie_alike(&row->k->key, &u->key) == 0))
		return -1;
	if (row->by_id && u->key.known && !tie_same_id(&row->k->key, &u->key))
		return -1;
	gap = f.begin_ms;
	for (unsigned i = 0; i < m->n_trials; i++) {
		const struct kept *t = m->trials[i];
		bool later = u->begin.time_ns >= t->begin.time_ns;
		double after = (double)(later ? u->begin.time_ns - first_struck(t) : t->begin.time_ns - first_struck(u)) / 1e6;

		if (after >= -2 && after < RETRY_NS / 1e6 && after < gap)
			gap = after > 0 ? after : 0;
	}
	if (m->n_trials == 0 && gap > HEAD_MS)
		return -1;              /* alone it must follow its request closely */
	return gap;
}

static void add_trial(struct matter *m, struct kept *u, uint8_t matched)
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

/* One more try for the request that it lies closest to. False: none is left. */
static bool add_another(struct round *r, const bool *healed)
{
	struct row *best_row = NULL;
	struct kept *best = NULL;
	double best_gap = 1e12;

	for (unsigned j = 0; j < r->n_columns; j++) {
		struct kept *u = r->columns[j];

		if (u->upstream_state != STATE_FREE || u->guilty < 0 || healed[j])
			continue;
		for (unsigned i = 0; i < r->n_rows; i++) {
			double gap = another_gap(&r->rows[i], u);

			if (gap < 0 || gap >= best_gap || r->rows[i].m->n_trials == TRIALS_MAX)
				continue;
			best_gap = gap;
			best = u;
			best_row = &r->rows[i];
		}
	}
	if (best == NULL)
		return false;
	add_trial(best_row->m, best, best_row->by_id && best->key.known ? MATCHED_ID : best_gap <= HEAD_MS ? MATCHED_UNIQUE : MATCHED_ORDER);
	return true;
}

/* ---- what went well ----------------------------------------------------------------------- */

struct heard {                          /* a brief, as ruling out sees it */
	uint64_t tail;
	int64_t begin_ns, first_ns, end_ns;     /* request; response's first and last packet */
	uint64_t index;                 /* in the ring */
	int16_t back, front;
	bool owned;
};

static int compare_heard(const void *a, const void *b)
{
	const struct heard *x = a, *y = b;

	if (x->tail != y->tail)
		return x->tail < y->tail ? -1 : 1;
	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Briefs by tail of target and time of answer; made once a round, and only where one is asked for. */
static void make_heard(struct round *r)
{
	const struct store *s = r->c->store;

	if (r->heard_made)
		return;
	r->heard_made = true;
	r->heard = malloc(BRIEFS_MAX * sizeof *r->heard);
	if (r->heard == NULL)
		return;
	for (uint64_t i = store_oldest(s); i < s->n_briefs; i++) {
		const struct brief_fact *f = &store_at(s, i)->f;

		r->heard[r->n_heard++] = (struct heard){
			f->tail_hash, f->request.time_ns, f->response_first.time_ns, f->response.time_ns, i,
			(int16_t)roles_back(r->c->roles, &f->end[CLIENT], &f->end[SERVER]), (int16_t)roles_front(r->c->roles, &f->end[SERVER]), false
		};
	}
	qsort(r->heard, r->n_heard, sizeof *r->heard, compare_heard);
}

/* The first with this tail whose answer came no sooner than this. */
static size_t heard_from(const struct round *r, uint64_t tail, int64_t first_ns)
{
	size_t low = 0, high = r->n_heard;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->heard[mid].tail < tail || (r->heard[mid].tail == tail && r->heard[mid].first_ns < first_ns))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const struct brief_fact *brief_of(const struct round *r, const struct heard *h)
{
	return &store_at(r->c->store, h->index)->f;
}

/* Each try that went well on this gateway belongs to a request that went well around it. */
static void rule_out(struct round *r, int gateway, uint64_t tail, int64_t from_ns, int64_t to_ns)
{
	for (size_t i = heard_from(r, tail, from_ns); i < r->n_heard && r->heard[i].tail == tail && r->heard[i].first_ns <= to_ns; i++) {
		struct heard *u = &r->heard[i];

		if (u->back != gateway || u->owned)
			continue;
		for (size_t j = heard_from(r, tail, u->first_ns - TIE_SLACK_NS); j < r->n_heard && r->heard[j].tail == tail; j++) {
			struct heard *c = &r->heard[j];

			if (c->front != gateway || c == u || c->owned || c->begin_ns > u->begin_ns + TIE_SLACK_NS ||
			    brief_of(r, c)->status != brief_of(r, u)->status)
				continue;
			c->owned = u->owned = true;
			break;
		}
	}
}

/* A whole, valid answer that no healthy request accounts for: the gateway did not like it. */
static void find_refused(struct round *r, struct row *row, int gateway)
{
	struct heard *best = NULL;
	struct kept *k;
	double best_gap = 0;
	unsigned n = 0;

	make_heard(r);
	rule_out(r, gateway, row->k->key.tail, row->k->begin.time_ns - NS_PER_S, row->end_ns + NS_PER_S);
	/* The answer may come after the gateway's own: it may have disliked an interim one. */
	for (size_t i = heard_from(r, row->k->key.tail, row->k->begin.time_ns - TIE_SLACK_NS); i < r->n_heard && r->heard[i].tail == row->k->key.tail; i++) {
		struct heard *u = &r->heard[i];
		struct request_key key = key_of_brief(brief_of(r, u));
		double gap = (double)(row->end_ns - u->first_ns) / 1e6;

		if (u->back != gateway || u->owned || u->begin_ns < row->k->begin.time_ns - TIE_SLACK_NS || u->begin_ns > row->end_ns ||
		    tie_alike(&row->k->key, &key) == 0)
			continue;
		gap = gap < 0 ? -gap : gap;
		n++;
		if (best == NULL || gap < best_gap) {
			best = u;
			best_gap = gap;
		}
	}
	if (best == NULL)
		return;
	best->owned = true;
	k = store_of_brief(store_at(r->c->store, best->index));
	if (k != NULL) {
		k->back = (int16_t)gateway;
		k->guilty = -1;
		add_trial(row->m, k, n == 1 ? MATCHED_UNIQUE : MATCHED_ORDER);
	}
}

/* Did a like try succeed right after this one failed? Then a retry made it good. */
static double healed_after(struct round *r, const struct kept *u)
{
	int64_t failed = last_struck(u);

	if (!u->key.known)
		return -1;
	make_heard(r);
	for (size_t i = heard_from(r, u->key.tail, failed - TIE_SLACK_NS); i < r->n_heard && r->heard[i].tail == u->key.tail; i++) {
		const struct heard *h = &r->heard[i];
		struct request_key key = key_of_brief(brief_of(r, h));
		int64_t after = h->begin_ns - first_struck(u);

		if (h->back == u->back && after >= -TIE_SLACK_NS && after <= RETRY_NS && tie_alike(&u->key, &key) == 2)
			return after > 0 ? (double)after / 1e6 : 0;
	}
	return -1;
}

/* ---- no try on the wire: the next hop, or the name, was asked for in vain ----------------- */

static bool asker_is(const struct correlation *c, const struct matter *m, const uint8_t address[static 16])
{
	const struct gateway *g = m->gateway != NO_GATEWAY ? &c->roles->gateways[m->gateway] : NULL;

	if (address_equal(m->front.address, address))
		return true;
	for (unsigned i = 0; g != NULL && i < g->n_backs; i++)
		if (address_equal(g->backs[i], address))
			return true;
	return false;
}

static bool arp_answered(const struct correlation *c, const uint8_t target[static 16], int64_t from_ns, int64_t to_ns)
{
	for (const struct kept *q = c->store->lists[LIST_CONTROL].oldest; q != NULL; q = q->newer) {
		const struct arp_fact *f = (const void *)q->fact;

		if (q->fact->kind == FACT_ARP && f->answer && address_equal(f->target, target) && q->begin.time_ns >= from_ns && q->begin.time_ns <= to_ns)
			return true;
	}
	return false;
}

static bool dns_good(const struct dns_fact *f)
{
	return f->answer && f->rcode == 0 && f->n_addresses != 0;
}

/* The same question was answered, or the same name found, in this time. */
static bool dns_answered(const struct correlation *c, const struct kept *question, int64_t to_ns)
{
	const struct dns_fact *f = (const void *)question->fact;
	struct span name = fact_text(f, f->name);

	for (const struct kept *q = c->store->lists[LIST_CONTROL].oldest; q != NULL; q = q->newer) {
		const struct dns_fact *o = (const void *)q->fact;

		if (q == question || q->fact->kind != FACT_DNS || !o->answer || q->last.time_ns > to_ns ||
		    !address_equal(o->asker.address, f->asker.address) || !span_equal(fact_text(o, o->name), name))
			continue;
		if (dns_good(o) || (!f->answer && o->id == f->id && o->type == f->type))
			return true;
	}
	return false;
}

/* A name that could not be found: the gateway may have gone on without it, until a request came. */
static bool name_lost(const struct correlation *c, const struct row *row, const struct kept *q)
{
	return q->fact->kind == FACT_DNS && asker_is(c, row->m, q->end[CLIENT].address) && q->last.time_ns < row->k->begin.time_ns &&
	       !dns_good((const void *)q->fact) && !dns_answered(c, q, row->end_ns);
}

static bool asked(const struct correlation *c, const struct row *row, const struct kept *q)
{
	const void *fact = q->fact;
	const struct icmp_fact *icmp = fact;
	const struct arp_fact *arp = fact;
	const struct dns_fact *dns = fact;

	if (!asker_is(c, row->m, q->end[CLIENT].address) || q->last.time_ns > row->end_ns + TIE_SLACK_NS ||
	    q->last.time_ns < row->k->begin.time_ns - TIE_SLACK_NS)
		return false;
	switch (q->fact->kind) {
	case FACT_ARP:
		return !arp->answer && !arp_answered(c, arp->target, row->k->begin.time_ns - NS_PER_S, row->end_ns) &&
		       !address_equal(arp->target, row->k->end[CLIENT].address);
	case FACT_DNS:
		return !dns_good(dns) && !dns_answered(c, q, row->end_ns);
	case FACT_ICMP:
		return !icmp->known;
	default:
		return false;
	}
}

static void count_arp(const struct correlation *c, struct row *row, const struct kept *first)
{
	for (const struct kept *q = first; q != NULL; q = q->newer)
		if (q->fact->kind == FACT_ARP && address_equal(q->end[SERVER].address, first->end[SERVER].address) && asked(c, row, q)) {
			row->m->n_arp++;
			row->m->arp_last = q->begin;
		}
}

static void find_control(struct round *r, struct row *row)
{
	struct kept *first[4] = { NULL };       /* by kind: ARP questions count from the first, answers from the last */

	for (struct kept *q = r->c->store->lists[LIST_CONTROL].oldest; q != NULL; q = q->newer) {
		unsigned kind = q->fact->kind == FACT_ARP ? 0 : q->fact->kind == FACT_DNS ? 1 : 2;

		if (asked(r->c, row, q) && (first[kind] == NULL || kind == 1))
			first[kind] = q;
		if (name_lost(r->c, row, q))
			first[3] = q;
	}
	count_arp(r->c, row, first[0]);
	if (row->m->reaches)
		first[3] = NULL;
	for (unsigned kind = 0; kind < 4; kind++)
		if (first[kind] != NULL) {
			uint8_t was = first[kind]->upstream_state;

			add_trial(row->m, first[kind], MATCHED_UNIQUE);
			first[kind]->upstream_state = was;      /* another request may have waited for the same answer */
			return;
		}
}

/* ---- one gateway -------------------------------------------------------------------------- */

static void note_failure(struct correlation *c, struct kept *u)
{
	struct kept **last;

	if (u->back == NO_GATEWAY || u->guilty < 0 || u->fact->kind == FACT_BRIEF)
		return;
	last = &c->last_failure[u->back];
	if (*last != NULL && (*last)->begin.time_ns >= u->begin.time_ns)
		return;
	store_hold(c->store, u);
	if (*last != NULL)
		store_let_go(c->store, *last);
	*last = u;
}

static void find_before(struct round *r, struct row *row, int gateway)
{
	struct kept *last = gateway != NO_GATEWAY ? r->c->last_failure[gateway] : NULL;

	if (last != NULL && last->begin.time_ns > row->k->begin.time_ns)
		last = NULL;
	for (int list = LIST_MAIN; list <= LIST_STRANGERS && gateway != NO_GATEWAY; list++)
		for (struct kept *u = r->c->store->lists[list].oldest; u != NULL; u = u->newer)
			if (u->back == gateway && u->guilty >= 0 && u->last.time_ns <= row->k->begin.time_ns && is_try(u) &&
			    (last == NULL || u->begin.time_ns > last->begin.time_ns))
				last = u;
	row->m->earlier = last;
}

static void fill_costs(struct round *r)
{
	r->a->rows = r->n_rows;
	r->a->columns = r->n_columns;
	r->a->unassigned = alone_cost;
	for (unsigned i = 0; i < r->n_rows; i++)
		for (unsigned j = 0; j < r->n_columns; j++)
			r->a->cost[i][j] = pair_cost(r, &r->rows[i], r->columns[j]);
}

static void match_others(struct round *r)
{
	bool healed[ASSIGN_COLUMNS_MAX] = { false };

	for (unsigned j = 0; j < r->n_columns; j++) {
		struct kept *u = r->columns[j];
		double after, best = 1e12;

		if (u->upstream_state != STATE_FREE || u->guilty < 0 || (after = healed_after(r, u)) < 0)
			continue;
		for (unsigned i = 0; i < r->n_rows; i++) {
			double gap = another_gap(&r->rows[i], u);

			if (gap >= 0 && gap < best)
				best = gap;
		}
		healed[j] = after <= best;
	}
	while (add_another(r, healed))
		;
}

static void match_gateway(struct round *r, int gateway)
{
	gather_columns(r, gateway);
	r->rewrites = gateway != NO_GATEWAY && r->c->roles->gateways[gateway].pairs == 0;
	find_ids(r);
	fill_costs(r);
	assign(r->a);
	for (unsigned i = 0; i < r->n_rows; i++)
		if (r->a->column[i] >= 0)
			add_trial(r->rows[i].m, r->columns[r->a->column[i]], MATCHED_UNIQUE);
	match_others(r);
	for (unsigned i = 0; i < r->n_rows; i++) {
		struct matter *m = r->rows[i].m;

		if (r->a->column[i] >= 0) {
			uint8_t how = surety(r, i);

			for (unsigned t = 0; t < m->n_trials; t++)
				if (m->trials[t] == r->columns[r->a->column[i]])
					m->matched[t] = how;
		}
		if (m->n_trials == 0 && gateway != NO_GATEWAY)
			find_refused(r, &r->rows[i], gateway);
		if (m->n_trials == 0)
			find_control(r, &r->rows[i]);
		if (m->n_trials == 0)
			find_before(r, &r->rows[i], gateway);
	}
	for (unsigned j = 0; j < r->n_columns; j++)
		note_failure(r->c, r->columns[j]);
}

/* ---- tiers -------------------------------------------------------------------------------- */

static void begin_matter(struct round *r, struct matter *m, struct kept *k)
{
	const struct gateway *g = k->front != NO_GATEWAY ? &r->c->roles->gateways[k->front] : NULL;

	m->tier = k;
	m->n_trials = 0;
	m->front = k->end[SERVER];
	m->gateway = k->front;
	m->reaches = g != NULL && g->reaches;
}

static void push_path(struct matter *m, const struct endpoint *front)
{
	if (m->n_path == TIERS_MAX)
		return;
	memmove(&m->path[1], &m->path[0], m->n_path * sizeof m->path[0]);
	m->path[0] = *front;
	m->n_path++;
}

/* Is this endpoint's gateway proven to pass requests on, or did it try to while this one waited? */
static bool passes_on(const struct round *r, const struct kept *request)
{
	int64_t end = client_ended(request).time_ns;

	if (r->c->roles->gateways[request->front].pairs != 0)
		return true;
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (const struct kept *u = r->c->store->lists[list].oldest; u != NULL; u = u->newer)
			if (u->back == request->front && u->guilty >= 0 && u->begin.time_ns >= request->begin.time_ns - TIE_SLACK_NS &&
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
		if (u->fact->kind == FACT_EXCHANGE && u->front != NO_GATEWAY && u->front != u->back && u->final &&
		    failed_client((const void *)u->fact) && u->client_state == STATE_FREE && passes_on(r, u))
			return u;
		return NULL;
	}
	return NULL;
}

/* All matters, gateway by gateway, in time: then once more for those whose failed try was itself a request. */
static void match_tier(struct round *r, struct matter *matters, unsigned n, const bool *open)
{
	for (int gateway = NO_GATEWAY; gateway < (int)r->c->roles->n_gateways; gateway++)
		for (unsigned at = 0; at < n;) {
			r->n_rows = 0;
			for (; at < n && r->n_rows < ASSIGN_ROWS_MAX; at++)
				if (open[at] && matters[at].gateway == gateway)
					r->rows[r->n_rows++] = (struct row){ matters[at].tier, client_ended(matters[at].tier).time_ns, &matters[at], false };
			if (r->n_rows != 0)
				match_gateway(r, gateway);
		}
}

static void match_tiers(struct round *r, struct matter *matters, unsigned n)
{
	bool *open = calloc(n + 1, sizeof *open);

	if (open == NULL)
		return;
	for (unsigned i = 0; i < n; i++) {
		open[i] = true;
		push_path(&matters[i], &matters[i].front);
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
			begin_matter(r, &matters[i], inner);
			push_path(&matters[i], &matters[i].front);
		}
		if (!any)
			break;
	}
	free(open);
}

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

		if (v->upstream_state == STATE_FREE && v->guilty >= 0 && is_try(v) && after >= 0 && after <= window_ns &&
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

/* A connection without a request counts only between addresses that exchanged HTTP, or that were named, or
 * where it is all that was captured: one address, and one place that it wants to reach. */
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
		return edges_from(roles, u->end[CLIENT].address) == 1 || (s != NULL && s->requests != 0);
	return !roles->http_seen && edges_from(roles, u->end[CLIENT].address) == 1;
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
	push_path(&m, &m.front);
	for (struct kept *next = u; next != NULL; u = next, next = may_retry(model, u) ? next_try(r, u, window) : NULL) {
		if (may_retry(model, next) && healed_after(r, next) >= 0) {
			next->upstream_state = STATE_HEALED;
			r->c->healed++;
			for (unsigned i = 0; i < m.n_trials; i++)
				m.trials[i]->upstream_state = STATE_HEALED;
			return;
		}
		if (m.n_trials == TRIALS_MAX)
			break;
		add_trial(&m, next, MATCHED_UNIQUE);
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

	if (u->fact->kind != FACT_EXCHANGE || (f->x.outcome != OUTCOME_PARTIAL_BODY && f->x.outcome != OUTCOME_GARBLED))
		return false;
	make_heard(r);
	for (size_t i = heard_from(r, u->key.tail, f->x.response.first.time_ns - TIE_SLACK_NS); i < r->n_heard && r->heard[i].tail == u->key.tail; i++) {
		const struct heard *h = &r->heard[i];

		if (h->front != u->back || h->owned || h->begin_ns > u->begin.time_ns + TIE_SLACK_NS || brief_of(r, h)->status != f->x.status)
			continue;
		r->heard[i].owned = true;
		client = store_of_brief(store_at(r->c->store, h->index));
		break;
	}
	if (client == NULL)
		return false;
	client->front = u->back;
	begin_matter(r, &m, client);
	m.client = client;
	push_path(&m, &m.front);
	add_trial(&m, u, MATCHED_UNIQUE);
	r->c->found(r->c->ctx, &m);
	store_let_go(r->c->store, client);
	return true;
}

static void settle_unclaimed(struct round *r, struct kept *u)
{
	struct served *s = roles_served(r->c->roles, &u->end[SERVER]);

	if (tell_masked(r, u))
		return;
	u->upstream_state = STATE_ASIDE;
	if (healed_after(r, u) >= 0) {
		u->upstream_state = STATE_HEALED;
		r->c->healed++;
		if (s != NULL)
			s->healed++;
	} else if (s != NULL) {
		s->health_checks++;
	}
}

static bool front_is_plain(const struct round *r, const struct kept *u)
{
	return u->back != NO_GATEWAY && r->c->roles->gateways[u->back].plain;
}

static void settle_tries(struct round *r)
{
	for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
		for (struct kept *u = r->c->store->lists[list].oldest, *next; u != NULL; u = next) {
			int64_t wait = front_is_plain(r, u) ? UNTOLD_S * NS_PER_S : RETRY_NS + NS_PER_S / 10;

			next = u->newer;
			if (u->upstream_state != STATE_FREE || !is_try(u) || u->guilty < 0 || (!u->final && !r->final) ||
			    (!r->final && u->last.time_ns + wait > r->until_ns))
				continue;
			if (u->client_state == STATE_TAKEN && u->back == NO_GATEWAY)
				continue;               /* a client's request, told as such */
			if (u->front != NO_GATEWAY && u->back == NO_GATEWAY)
				continue;               /* a client's connection to a gateway */
			if (front_is_plain(r, u))
				settle_unclaimed(r, u);
			else
				tell_one_sided(r, u);
		}
}

/* ---- a round, in order -------------------------------------------------------------------- */

static bool is_client(struct round *r, struct kept *k)
{
	const struct exchange_fact *f = (const void *)k->fact;

	if (k->fact->kind != FACT_EXCHANGE || !k->final || k->client_state != STATE_FREE || !failed_client(f))
		return false;
	if (k->back != NO_GATEWAY && front_is_plain(r, k))      /* in a chain: told with the outer one, if that failed */
		return k->front != NO_GATEWAY && k->upstream_state == STATE_ASIDE;
	if (k->back != NO_GATEWAY)
		return false;
	return k->front != NO_GATEWAY || lone_is_client(r->c, k);
}

static int compare_ends(const void *a, const void *b)
{
	const struct matter *x = a, *y = b;
	struct mark p = client_ended(x->tier), q = client_ended(y->tier);

	if (p.packet != q.packet)
		return p.packet < q.packet ? -1 : 1;
	return (x->tier->id > y->tier->id) - (x->tier->id < y->tier->id);
}

/* What no packet explains yet may be explained by a SYN that is still waiting: it is told when that is given up. */
static bool may_wait(const struct round *r, const struct matter *m)
{
	return !r->final && !r->c->options->live && m->n_trials == 0 &&
	       client_ended(m->tier).time_ns + SYN_GIVES_UP_S * NS_PER_S > r->until_ns;
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
				store_let_go(r->c->store, m->trials[t]);        /* find_refused() made it */
	}
}

static void settle_clients(struct round *r)
{
	size_t room = r->c->store->lists[LIST_MAIN].count;
	struct matter *matters = calloc(room + 1, sizeof *matters);
	unsigned n = 0;

	if (matters == NULL)
		return;
	for (struct kept *k = r->c->store->lists[LIST_MAIN].oldest; k != NULL; k = k->newer)
		if (is_client(r, k) && (r->final || client_ended(k).time_ns + SETTLE_MS * NS_PER_MS <= r->until_ns)) {
			begin_matter(r, &matters[n], k);
			matters[n++].client = k;
		}
	qsort(matters, n, sizeof *matters, compare_ends);
	match_tiers(r, matters, n);
	tell_matters(r, matters, n);
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
			if ((k->client_state != STATE_FREE && k->back == NO_GATEWAY) || (k->upstream_state != STATE_FREE && k->front == NO_GATEWAY) ||
			    (k->client_state != STATE_FREE && k->upstream_state != STATE_FREE) || (old && k->guilty < 0))
				store_release(r->c->store, k);
		}
}

void correlate(struct correlation *c, int64_t now_ns, bool final)
{
	struct round *r = calloc(1, sizeof *r);

	if (r == NULL)
		return;
	r->c = c;
	r->until_ns = now_ns;
	r->final = final;
	r->a = malloc(sizeof *r->a);
	if (r->a != NULL) {
		roles_infer(c->roles, c->store);
		look_up(r);
		settle_clients(r);
		settle_tries(r);
		if (final)
			settle_clients(r);      /* inner requests whose outer one did not fail */
		sweep(r);
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

const struct gateway_model *matter_model(struct correlation *c, const struct matter *m, struct arena *a)
{
	struct gateway *g = m->gateway != NO_GATEWAY ? &c->roles->gateways[m->gateway] : NULL;
	const struct kept *last = m->n_trials != 0 ? m->trials[m->n_trials - 1] : NULL;
	const struct exchange_fact *answer = m->tier != NULL && m->tier->fact->kind == FACT_EXCHANGE ? (const void *)m->tier->fact : NULL;
	const struct exchange_fact *x = last != NULL && last->fact->kind == FACT_EXCHANGE ? (const void *)last->fact : NULL;
	struct recognised who = { 0 };

	if (g != NULL && (g->model_told || g->model_answered))
		return g->model;
	/* A page that the upstream's answer already was tells nothing of the gateway. */
	if (answer != NULL && answer->x.status >= 400 && !(x != NULL && x->x.status == answer->x.status))
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
	return model_or_unknown(g != NULL && g->model != NULL ? g->model : last != NULL ? model_of_back(c, last) : NULL);
}
