/* match.c - on one gateway: all failed requests and all unclaimed tries, tied at the least cost */
#include "round.h"

#include <stdlib.h>

enum {
	TIGHT_MS = 250, /* an answer follows the failure, or the try the request, within this */
	HEAD_MS = 20 /* a first try follows its request within this, where later ones are missing */
};

static const double alone_cost = 5e6; /* of a request without a try: dearer than any fitting pair */
static const double unlike_cost = 1e5;   /* a gateway that rewrites targets wholly */
static const double unread_cost = 2e6;   /* a connection without a request, late: dearer than a like try whose answer came late */
static const double innocent_cost = 400; /* nothing is wrong with the try: 20 ms squared */
static const double same_cost = 25;      /* two fits within 5 ms squared: time does not decide */

/* ---- how well they fit -------------------------------------------------------------------- */

/* Opened and closed again by the gateway, with nothing wrong: a check, or one in reserve. */
static bool idle_try(const struct kept *k)
{
	const struct conn_fact *f = (const void *)k->fact;

	return k->fact->kind == FACT_CONN && k->guilty < 0 && f->conn.side[CLIENT].bytes == 0;
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

	if (u == c || idle_try(u) || !tie_fit(c, row->end_ns, u, &f))
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
	cost += !u->key.known && f.begin_ms > HEAD_MS ? unread_cost : 0;
	if (u->fact->kind == FACT_EXCHANGE && c->fact->kind == FACT_EXCHANGE) {
		const struct exchange_fact *x = (const void *)u->fact, *y = (const void *)c->fact;

		if (x->x.outcome == OUTCOME_COMPLETE && x->x.status != y->x.status &&
		    x->x.response.violations == 0)
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
	for (int pass = 0; pass < 2; pass++) /* the guilty first: there may be too many */
		for (int list = LIST_MAIN; list <= LIST_STRANGERS; list++)
			for (struct kept *u = r->c->store->lists[list].oldest; u != NULL;
			     u = u->newer) {
				if (u->back != gateway || u->upstream_state != STATE_FREE ||
				    !try_is(u) || (u->guilty >= 0) != (pass == 0) ||
				    u->begin.time_ns < from - TIE_SLACK_NS ||
				    u->begin.time_ns > to + TIE_SLACK_NS)
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
			r->rows[i].by_id = r->columns[j] != c && r->columns[j]->key.known &&
					   tie_same_id(&c->key, &r->columns[j]->key) &&
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
	return a->guilty == b->guilty && a->guilty >= 0 &&
	       endpoint_equal(&a->end[SERVER], &b->end[SERVER]);
}

/* A connection that never carried a request says nothing of whose it is: a request that waited at the same time and has no try
 * of its own may have waited for this one. */
static bool has_rival(struct round *r, unsigned row, unsigned column)
{
	double own = r->a->cost[row][column];
	bool rival = false;

	if (r->columns[column]->key.known)
		return false;
	for (unsigned i = 0; i < r->n_rows; i++) {
		if (i == row || r->rows[i].m->n_trials != 0 || r->a->cost[i][column] >= ASSIGN_NEVER ||
		    r->a->cost[i][column] > own * 3 + same_cost)
			continue;
		r->rows[i].rival = rival = true;
	}
	return rival;
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
			continue; /* another request's earlier try */
		more = other_way(r, row, j);
		if (more >= ASSIGN_NEVER || more > own * 3 + same_cost)
			continue;
		others = true;
		all_alike = all_alike && same_verdict(u, r->columns[j]);
		tied = tied || (more <= own * 0.1 + 0.01 && !same_verdict(u, r->columns[j]));
	}
	if (!others)
		return has_rival(r, row, mine) ? MATCHED_ORDER : MATCHED_UNIQUE;
	if (all_alike)
		return MATCHED_SET;
	r->rows[row].m->ambiguous = tied;
	return MATCHED_ORDER;
}

/* ---- other tries of it -------------------------------------------------------------------- */

/* How far, in ms, an unclaimed failed try lies from being another of this request's: from the
 * request, or from a try of it that began when this one had failed, or failed when this one began.
 */
static double another_gap(const struct row *row, const struct kept *u)
{
	const struct matter *m = row->m;
	struct fit f;
	double gap;

	if (u == row->k || !tie_fit(row->k, row->end_ns, u, &f) ||
	    (u->key.known && tie_alike(&row->k->key, &u->key) == 0))
		return -1;
	if (row->by_id && u->key.known && !tie_same_id(&row->k->key, &u->key))
		return -1;
	gap = f.begin_ms;
	for (unsigned i = 0; i < m->n_trials; i++) {
		const struct kept *t = m->trials[i];
		bool later = u->begin.time_ns >= t->begin.time_ns;
		double after = (double)(later ? u->begin.time_ns - first_struck(t)
					      : t->begin.time_ns - first_struck(u)) /
			       1e6;

		if (after >= -2 && after < RETRY_NS / 1e6 && after < gap)
			gap = after > 0 ? after : 0;
	}
	if (m->n_trials == 0 && gap > HEAD_MS)
		return -1; /* alone it must follow its request closely */
	return gap;
}

/* A request that still waits, and began when this try did: it is not here yet to ask for it. */
static bool awaited(const struct round *r, const struct kept *u)
{
	for (const struct kept *k = r->c->store->lists[LIST_MAIN].oldest; k != NULL; k = k->newer) {
		int64_t after = u->begin.time_ns - k->begin.time_ns;

		if (!k->final && k->front != NO_GATEWAY && k->front == u->back &&
		    after >= -TIE_SLACK_NS && after <= HEAD_MS * NS_PER_MS &&
		    (!u->key.known || tie_alike(&k->key, &u->key) != 0))
			return true;
	}
	return false;
}

/* One more try for the request that it lies closest to. False: none is left. */
static bool add_another(struct round *r, const bool *not_ours)
{
	struct row *best_row = NULL;
	struct kept *best = NULL;
	double best_gap = 1e12;

	for (unsigned j = 0; j < r->n_columns; j++) {
		struct kept *u = r->columns[j];

		if (u->upstream_state != STATE_FREE || u->guilty < 0 || not_ours[j])
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
	matter_add(best_row->m, best,
		   best_row->by_id && best->key.known ? MATCHED_ID
		   : best_gap <= HEAD_MS              ? MATCHED_UNIQUE
						      : MATCHED_ORDER);
	return true;
}

/* What the gateway asked there was not captured: it may have been the try that counts. */
static bool lost_its_request(const struct kept *u)
{
	const struct conn_fact *f = (const void *)u->fact;

	return u->fact->kind == FACT_CONN && u->upstream_state == STATE_FREE && u->guilty < 0 &&
	       f->conn.exchanges == 0 && f->conn.side[CLIENT].gap_bytes != 0;
}

static void find_unread(const struct round *r, const struct row *row)
{
	struct matter *m = row->m;
	int64_t from = m->n_trials != 0 ? m->trials[m->n_trials - 1]->begin.time_ns : INT64_MAX;

	for (unsigned j = 0; j < r->n_columns && !m->unread; j++)
		m->unread = lost_its_request(r->columns[j]) && r->columns[j]->begin.time_ns >= from &&
			    r->columns[j]->last.time_ns <= row->end_ns + TIE_SLACK_NS;
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
			if (u->back == gateway && u->guilty >= 0 &&
			    u->last.time_ns <= row->k->begin.time_ns && try_is(u) &&
			    (last == NULL || u->begin.time_ns > last->begin.time_ns))
				last = u;
	if (last != NULL)
		store_hold(r->c->store, last);
	if (row->m->earlier != NULL)
		store_let_go(r->c->store, row->m->earlier);
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
	bool not_ours[ASSIGN_COLUMNS_MAX] = { false };

	for (unsigned j = 0; j < r->n_columns; j++) {
		struct kept *u = r->columns[j];
		double after, best = 1e12, alone = 1e12;

		if (u->upstream_state != STATE_FREE || u->guilty < 0)
			continue;
		after = heard_healed(r, u);
		for (unsigned i = 0; i < r->n_rows; i++) {
			double gap = another_gap(&r->rows[i], u);

			if (gap >= 0 && gap < best)
				best = gap;
			if (gap >= 0 && gap < alone && r->rows[i].m->n_trials == 0)
				alone = gap;
		}
		not_ours[j] = (after >= 0 && after <= best) || (alone > HEAD_MS && awaited(r, u));
	}
	while (add_another(r, not_ours))
		;
}

/* Its client got more than an error of the gateway's own: an upstream was there. */
static bool reached(const struct kept *k)
{
	const struct exchange_fact *f = (const void *)k->fact;

	return k->fact->kind == FACT_EXCHANGE &&
	       (f->x.outcome == OUTCOME_GARBLED || (f->x.status != 0 && f->x.status < 400));
}

void match_gateway(struct round *r, int gateway)
{
	gather_columns(r, gateway);
	r->rewrites = gateway != NO_GATEWAY && r->c->roles->gateways[gateway].pairs == 0;
	find_ids(r);
	fill_costs(r);
	assign(r->a);
	for (unsigned i = 0; i < r->n_rows; i++)
		if (r->a->column[i] >= 0)
			matter_add(r->rows[i].m, r->columns[r->a->column[i]], MATCHED_UNIQUE);
	match_others(r);
	for (unsigned i = 0; i < r->n_rows; i++) {
		struct matter *m = r->rows[i].m;

		if (r->a->column[i] >= 0) {
			uint8_t how = surety(r, i);

			for (unsigned t = 0; t < m->n_trials; t++)
				if (m->trials[t] == r->columns[r->a->column[i]])
					m->matched[t] = how;
		}
	}
	for (unsigned i = 0; i < r->n_rows; i++) {
		struct matter *m = r->rows[i].m;

		if (m->n_trials == 0 && gateway != NO_GATEWAY)
			heard_refused(r, &r->rows[i], gateway);
		if (m->n_trials == 0 && !reached(r->rows[i].k))
			asked_in_vain(r, &r->rows[i]);
		if (m->n_trials == 0)
			find_before(r, &r->rows[i], gateway);
		find_unread(r, &r->rows[i]);
	}
	for (unsigned j = 0; j < r->n_columns; j++)
		note_failure(r->c, r->columns[j]);
}
