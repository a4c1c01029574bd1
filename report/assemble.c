/* assemble.c - from a matter to a case, and from the verdict on it to an incident */
#include "assemble.h"

#include "gateways.h"

#include <stdlib.h>

enum { INCIDENT_BYTES = 256 << 10 };

/* ---- is it one? --------------------------------------------------------------------------- */

static struct mark left_at(const struct exchange_fact *f)
{
	if (f->x.stream != 0 && f->h2.rst_stream[CLIENT].packet != 0)
		return f->h2.rst_stream[CLIENT];
	return f->conn.closed;
}

/* Had the upstream failed before the client went away? Then the client did not spoil it: it waited
 * in vain. */
static bool failed_before(const struct kept *u, int64_t left_ns)
{
	const struct exchange_fact *f = (const void *)u->fact;

	if (u->fact->kind != FACT_EXCHANGE)
		return false;
	if (f->x.response.violations != 0 && f->x.response.first.time_ns < left_ns)
		return true;
	if (f->h2.rst_stream[SERVER].packet != 0 && f->h2.rst_stream[SERVER].time_ns < left_ns)
		return true;
	return f->conn.closing != CLOSING_NONE && f->conn.closer == SERVER &&
	       f->conn.closed.time_ns < left_ns;
}

static bool left_first(const struct matter *m)
{
	const struct exchange_fact *f = (const void *)m->client->fact;

	if (m->client->fact->kind != FACT_EXCHANGE || !client_aborted(f))
		return false;
	for (unsigned i = 0; i < m->n_trials; i++)
		if (failed_before(m->trials[i], left_at(f).time_ns))
			return false;
	return true;
}

static uint8_t symptom_of(const struct matter *m)
{
	const struct exchange_fact *f = (const void *)m->client->fact;

	if (m->client->fact->kind == FACT_BRIEF)
		return SYMPTOM_TRUNCATED;
	if (left_first(m))
		return SYMPTOM_CLIENT_ABORT;
	if (f->x.outcome == OUTCOME_GARBLED ||
	    (f->x.status == 0 && f->x.response.first.packet != 0 && f->x.stream == 0))
		return SYMPTOM_GARBLED;
	if (f->x.status >= 400)
		return SYMPTOM_ERROR_STATUS;
	if (f->x.outcome == OUTCOME_COMPLETE)   /* whole to the client, though the upstream's was not */
		return f->x.response.violations != 0 ? SYMPTOM_GARBLED : SYMPTOM_TRUNCATED;
	return f->x.status != 0 && f->x.response.first.packet != 0 ? SYMPTOM_TRUNCATED
								   : SYMPTOM_NO_RESPONSE;
}

static uint16_t status_of(const struct matter *m)
{
	const struct exchange_fact *f = (const void *)m->client->fact;
	const struct brief_fact *b = (const void *)m->client->fact;

	if (m->client->fact->kind == FACT_BRIEF)
		return b->status;
	return f->x.outcome == OUTCOME_GARBLED ? 0 : f->x.status;
}

static bool wanted(const struct report_options *o, uint16_t status)
{
	return status < sizeof o->status_wanted && o->status_wanted[status] != 0;
}

static bool symptom_wanted(const struct report_options *o, uint8_t symptom)
{
	return o->symptoms == 0 ? symptom != SYMPTOM_CLIENT_ABORT
				: (o->symptoms >> symptom & 1) != 0;
}

bool matter_matters(const struct matter *m, const struct report_options *o)
{
	if (m->client == NULL || wanted(o, status_of(m)))
		return true;
	for (unsigned i = 0; i < m->n_trials; i++) {
		const struct exchange_fact *f = (const void *)m->trials[i]->fact;

		if (m->trials[i]->guilty >= 0 ||
		    (m->trials[i]->fact->kind == FACT_EXCHANGE && f->x.response.violations != 0))
			return true;
	}
	return symptom_of(m) != SYMPTOM_ERROR_STATUS && m->n_trials != 0;
}

/* Does a failed try explain what the client saw, where the status alone is no matter? */
static bool explains(uint8_t cause, uint8_t symptom)
{
	switch (cause) {
	case CAUSE_UNEXPLAINED:
	case CAUSE_NO_UPSTREAM_ATTEMPT:
	case CAUSE_CLIENT_ABORTED:
	case CAUSE_UPSTREAM_ERROR:
		return false;
	case CAUSE_GATEWAY_REFUSED:
		return symptom != SYMPTOM_ERROR_STATUS;
	default:
		return true;
	}
}

/* It asked an upstream and then closed without a byte to the client, and no packet of the client's side is missing: whatever
 * became of the try, this is no end of an idle connection. */
static bool left_unanswered(const struct matter *m)
{
	const struct exchange_fact *f = (const void *)m->client->fact;

	return m->n_trials != 0 && m->client->fact->kind == FACT_EXCHANGE && f->x.request.complete &&
	       f->x.response.first.packet == 0 && f->conn.closing != CLOSING_NONE &&
	       f->conn.closer == SERVER && f->conn.side[SERVER].gap_bytes == 0;
}

static bool is_incident(const struct matter *m, const struct report_options *o,
			const struct verdict *v)
{
	uint8_t symptom;

	if (m->client == NULL) {
		if (v->cause == CAUSE_CLIENT_ABORTED)
			return (o->symptoms >> SYMPTOM_CLIENT_ABORT & 1) != 0;
		if (v->cause == CAUSE_UPSTREAM_ERROR && !wanted(o, v->predicted_status))
			return false;
		return symptom_wanted(o, v->predicted_symptom);
	}
	symptom = symptom_of(m);
	if (!symptom_wanted(o, symptom))
		return false;
	if (symptom == SYMPTOM_CLIENT_ABORT)
		return true;
	if (symptom == SYMPTOM_ERROR_STATUS && wanted(o, status_of(m)))
		return true;
	return explains(v->cause, symptom) ||
	       (symptom == SYMPTOM_NO_RESPONSE && v->cause == CAUSE_UNEXPLAINED && left_unanswered(m));
}

/* ---- the case ----------------------------------------------------------------------------- */

/* A healthy exchange as the rules expect a client's: what its brief holds. */
static const struct exchange_fact *client_of_brief(struct arena *a, const struct brief_fact *b)
{
	struct exchange_fact *f = arena_alloc(a, sizeof *f);

	if (f == NULL)
		return NULL;
	f->head = b->head;
	f->head.size = sizeof *f;
	f->head.kind = FACT_EXCHANGE;
	f->final = true;
	f->x = (struct exchange_facts){ .ordinal = b->ordinal,
					.stream = b->stream,
					.reused = b->ordinal > 1,
					.tls = b->tls,
					.method = b->method,
					.outcome = b->outcome,
					.status = b->status,
					.idle_ns = b->idle_ns,
					.target_hash = b->target_hash,
					.path_hash = b->path_hash,
					.tail_hash = b->tail_hash,
					.authority_hash = b->authority_hash,
					.agent_hash = b->agent_hash,
					.pass_hash = b->pass_hash,
					.grpc_status = -1 };
	f->x.request = (struct message){ .first = b->request,
					 .last = b->request,
					 .head_end = b->request,
					 .head_bytes = b->request_head_bytes,
					 .body_bytes = b->request_body,
					 .declared = UINT64_MAX,
					 .version = b->version,
					 .head_complete = true,
					 .complete = true,
					 .signs = b->signs };
	f->x.response = (struct message){ .first = b->response_first,
					  .last = b->response,
					  .head_end = b->response_first,
					  .head_bytes = b->response_head_bytes,
					  .body_bytes = b->response_body,
					  .declared = UINT64_MAX,
					  .version = b->response_version,
					  .head_complete = true,
					  .complete = true,
					  .signs = b->response_signs };
	memcpy(f->conn.end, b->end, sizeof f->conn.end);
	f->conn.first = b->request;
	f->conn.last = b->response;
	return f;
}

static void fill_client(struct case_file *c, const struct matter *m, struct arena *a)
{
	const struct exchange_fact *f;

	if (m->client == NULL)
		return;
	f = m->client->fact->kind == FACT_BRIEF ? client_of_brief(a, (const void *)m->client->fact)
						: (const void *)m->client->fact;
	c->client = f;
	c->client_id = m->client->id;
	if (f != NULL && left_first(m)) {
		c->client_left_first = true;
		c->client_left = left_at(f);
	}
	if (f != NULL && f->x.status >= 400) {
		struct recognised author = gateway_of_answer(f, a);

		c->author_is_server = author.model == NULL || !author.model->is_gateway;
	}
}

static bool is_inner_gateway(struct roles *r, const struct endpoint *upstream)
{
	int front = roles_front(r, upstream);

	return front != NO_GATEWAY && r->gateways[front].reaches;
}

static bool fill_case(struct correlation *c, const struct matter *m, struct arena *a, bool final,
		      struct case_file *out)
{
	struct trial *earlier;

	*out = (struct case_file){ .n_trials = m->n_trials,
				   .front = m->front,
				   .reaches_upstreams = m->reaches,
				   .ambiguous = m->ambiguous,
				   .unread = m->unread,
				   .client_encrypted = m->encrypted,
				   .model = matter_model(c, m, a),
				   .learned = c->learned,
				   .quality = c->quality,
				   .limits = c->options->limits,
				   .n_limits = c->options->n_limits,
				   .capture_first_ns = c->first_ns,
				   .capture_last_ns = c->last_ns,
				   .final = final,
				   .steps = &c->steps };
	if (m->gateway != NO_GATEWAY) {
		out->backs = c->roles->gateways[m->gateway].backs[0];
		out->n_backs = c->roles->gateways[m->gateway].n_backs;
	}
	fill_client(out, m, a);
	out->trials = arena_alloc(a, (m->n_trials + 1) * sizeof *out->trials);
	earlier = m->earlier != NULL ? arena_alloc(a, sizeof *earlier) : NULL;
	if (out->trials == NULL)
		return false;
	for (unsigned i = 0; i < m->n_trials; i++) {
		struct trial *t = &out->trials[i];

		*t = trial_of(m->trials[i]);
		t->matched = m->matched[i];
		t->inner_gateway = is_inner_gateway(c->roles, &t->upstream);
		if (t->arp != NULL && m->n_arp != 0) {
			t->n_arp = m->n_arp;
			t->ended = m->arp_last;
		}
	}
	out->front_read = m->n_trials != 0 && roles_serves_in_clear(c->roles, out->trials[0].gateway.address);
	if (earlier != NULL) {
		*earlier = trial_of(m->earlier);
		out->earlier = earlier;
	}
	return true;
}

/* ---- what writers are given --------------------------------------------------------------- */

/* False: it is no exchange. */
static bool view_fill(struct correlation *c, const struct kept *k, struct exchange_view *v)
{
	int back = roles_back(c->roles, &k->end[CLIENT], &k->end[SERVER]),
	    front = roles_front(c->roles, &k->end[SERVER]);

	*v = (struct exchange_view){ .id = k->id };
	if (k->fact->kind != FACT_EXCHANGE && k->fact->kind != FACT_BRIEF)
		return false;
	if (k->fact->kind == FACT_EXCHANGE)
		v->full = (const void *)k->fact;
	else
		v->brief = (const void *)k->fact;
	if (front != NO_GATEWAY) {
		v->roles[v->n_roles].gateway = k->end[SERVER];
		v->roles[v->n_roles++].client_side = true;
	}
	if (back != NO_GATEWAY && c->roles->gateways[back].n_fronts != 0) {
		v->roles[v->n_roles].gateway = c->roles->gateways[back].fronts[0];
		v->roles[v->n_roles++].client_side = false;
	}
	return true;
}

static const struct conn_facts *conn_of(const struct kept *k)
{
	const struct exchange_fact *x = (const void *)k->fact;
	const struct conn_fact *f = (const void *)k->fact;

	return k->fact->kind == FACT_EXCHANGE ? &x->conn
	       : k->fact->kind == FACT_CONN   ? &f->conn
					      : NULL;
}

static void fill_attempt(struct correlation *c, const struct matter *m, unsigned i,
			 const struct verdict *v, struct exchange_view *view, struct attempt *out)
{
	const struct kept *k = m->trials[i];
	const struct exchange_fact *x =
		k->fact->kind == FACT_EXCHANGE ? (const void *)k->fact : NULL;
	const struct brief_fact *b = k->fact->kind == FACT_BRIEF ? (const void *)k->fact : NULL;
	const struct conn_facts *conn = conn_of(k);
	bool own = k->fact->kind <= FACT_CONN;

	*out = (struct attempt){ .upstream = k->end[SERVER],
				 .connection = own ? (int64_t)k->fact->conn : -1,
				 .exchange = k->id,
				 .view = view_fill(c, k, view) ? view : NULL,
				 .cause = (int)i == v->trial ? v->cause : k->guilty,
				 .matched = m->matched[i],
				 .idle_ns = -1,
				 .closer = -1,
				 .began = k->begin,
				 .ended = k->last };
	if (k->fact->kind == FACT_DNS)
		out->upstream = (struct endpoint){ .port = 0 };
	if (x != NULL) {
		out->known_reuse = x->x.ordinal != 0;
		out->reused = x->x.reused;
		out->request_number = x->x.ordinal;
		out->idle_ns = x->x.idle_ns;
		out->request_acked = x->x.request_acked.packet != 0;
	}
	if (b != NULL) {
		out->known_reuse = b->ordinal != 0;
		out->reused = b->ordinal > 1;
		out->request_number = b->ordinal;
		out->idle_ns = b->idle_ns;
		out->request_acked = true;
	}
	if (conn != NULL && conn->closing != CLOSING_NONE) {
		out->closer = (int8_t)conn->closer;
		out->closing = conn->closing;
	}
}

/* ---- the incident ------------------------------------------------------------------------- */

static void take_verdict(struct incident *i, struct verdict *v)
{
	i->cause = v->cause;
	i->fault = v->fault;
	i->confidence = v->confidence;
	i->summary = v->summary;
	i->details = v->details;
	i->n_details = v->n_details;
	i->evidence = v->evidence;
	i->n_evidence = v->n_evidence;
	i->advice = v->advice;
	i->n_advice = v->n_advice;
	i->equivalents = v->equivalents;
	i->n_equivalents = v->n_equivalents;
	memcpy(i->witnesses, v->witnesses, sizeof i->witnesses);
	i->n_witnesses = v->n_witnesses;
}

static void fill_request(struct incident *i, const struct matter *m)
{
	const struct kept *k =
		m->client != NULL && m->client->fact->kind == FACT_EXCHANGE ? m->client : NULL;
	const struct exchange_fact *f;

	i->method = i->authority = i->target = span_none();
	for (unsigned t = 0; k == NULL && t < m->n_trials; t++)
		if (m->trials[t]->fact->kind == FACT_EXCHANGE)
			k = m->trials[t];
	if (k == NULL)
		return;
	f = (const void *)k->fact;
	i->method = f->x.method_text.len != 0 ? fact_text(f, f->x.method_text)
					      : span_text(method_name((enum method)f->x.method));
	i->authority = fact_text(f, f->x.authority);
	i->target = fact_text(f, f->x.target);
	i->version = f->x.request.version;
}

static void fill_gateway(struct correlation *c, struct incident *i, const struct matter *m,
			 const struct gateway_model *model)
{
	const struct gateway *g = m->gateway != NO_GATEWAY ? &c->roles->gateways[m->gateway] : NULL;

	i->has_gateway = true;
	i->gateway = m->front;
	if (model != NULL && model->name[0] != '\0') {
		i->product = model->name;
		i->product_source = g != NULL && g->model_told ? "option" : "detected";
	}
	memcpy(i->path, m->path, sizeof i->path);
	i->n_path = m->n_path;
}

/* That nothing was tried says something of a gateway that tries elsewhere: one of its pairs shows it. */
static void fill_witnesses(struct correlation *c, struct incident *i, const struct matter *m)
{
	const struct mark *pair = m->gateway != NO_GATEWAY ? c->roles->gateways[m->gateway].pair : NULL;

	for (int side = CLIENT; pair != NULL && m->n_trials == 0 && side <= SERVER && i->n_witnesses < WITNESSES_MAX; side++)
		if (pair[side].packet != 0)
			i->witnesses[i->n_witnesses++] = pair[side];
}

static void fill_upstream(struct incident *i, const struct matter *m, const struct verdict *v)
{
	const struct kept *k =
		v->trial >= 0 && (unsigned)v->trial < m->n_trials ? m->trials[v->trial] : NULL;

	if (k == NULL && m->n_trials != 0 && v->cause != CAUSE_NO_UPSTREAM_ATTEMPT)
		k = m->trials[m->n_trials - 1];
	if (k == NULL || k->fact->kind == FACT_DNS)
		return;
	i->has_upstream = true;
	i->upstream = k->end[SERVER];
}

static void fill_outcome(struct incident *i, const struct matter *m, const struct verdict *v)
{
	if (m->client != NULL) {
		i->symptom = symptom_of(m);
		i->status = status_of(m);
		i->time_ns = client_ended(m->client).time_ns;
		i->client = m->client->end[CLIENT];
		return;
	}
	i->symptom = v->predicted_status != 0 ? SYMPTOM_ERROR_STATUS : v->predicted_symptom;
	i->status = v->predicted_status;
	i->predicted = true;
	i->time_ns = m->trials[v->trial >= 0 ? (unsigned)v->trial : m->n_trials - 1]->last.time_ns;
}

static bool is_limited(const struct matter *m)
{
	const struct conn_facts *c;

	if (m->client != NULL && (c = conn_of(m->client)) != NULL && c->limited)
		return true;
	for (unsigned t = 0; t < m->n_trials; t++)
		if ((c = conn_of(m->trials[t])) != NULL && c->limited)
			return true;
	return false;
}

static void fill_exchanges(struct correlation *c, struct incident *i, const struct matter *m, const struct verdict *v,
			   struct exchange_view *views, struct attempt *attempts)
{
	i->client_exchange = m->client != NULL && view_fill(c, m->client, &views[0]) ? &views[0] : NULL;
	i->attempts = attempts;
	i->n_attempts = m->n_trials;
	for (unsigned t = 0; t < m->n_trials; t++)
		fill_attempt(c, m, t, v, &views[1 + t], &attempts[t]);
}

/* All that it points to of its own is the arena's. */
static struct told incident_told(struct correlation *c, const struct matter *m, const struct case_file *file, struct verdict *v,
				 struct arena *a)
{
	struct incident i = { 0 };
	struct exchange_view views[1 + TRIALS_MAX] = { 0 };
	struct attempt attempts[TRIALS_MAX];
	struct told told;

	take_verdict(&i, v);
	fill_outcome(&i, m, v);
	fill_request(&i, m);
	fill_gateway(c, &i, m, file->model);
	fill_upstream(&i, m, v);
	fill_witnesses(c, &i, m);
	i.limited = is_limited(m);
	fill_exchanges(c, &i, m, v, views, attempts);
	steps_fill(&i, m, a);
	steps_filter(&i, m, a);
	flows_fill(&i, m, a);
	told = incident_pack(&i, views, a);
	c->store->out_of_memory += told.incident == NULL;
	return told;
}

static struct told incident_new(struct correlation *c, const struct matter *m, bool final)
{
	struct arena a;
	struct case_file file;
	struct verdict v = { .trial = -1 };
	struct told told = { 0 };

	arena_init(&a, INCIDENT_BYTES);
	if (fill_case(c, m, &a, final, &file)) {
		judge(&file, &a, &v);
		if (is_incident(m, c->options, &v))
			told = incident_told(c, m, &file, &v, &a);
	} else {
		c->store->out_of_memory++;
	}
	arena_clear(&a);
	return told;
}

static void told_forget(struct correlation *c, struct found *x)
{
	c->found_bytes -= x->told.bytes;
	free(x->told.incident);
	x->told = (struct told){ 0 };
}

struct found *found_new(struct correlation *c, const struct matter *m)
{
	struct found *x = calloc(1, sizeof *x);

	if (x == NULL) {
		c->store->out_of_memory++;
		return NULL;
	}
	x->matter = *m;
	if (m->client != NULL)
		store_hold(c->store, m->client);
	for (unsigned t = 0; t < m->n_trials; t++)
		store_hold(c->store, m->trials[t]);
	if (m->earlier != NULL)
		store_hold(c->store, m->earlier);
	if (m->tier != NULL)
		store_hold(c->store, m->tier);
	x->closed = m->client != NULL ? client_ended(m->client) : m->trials[m->n_trials - 1]->last;
	x->began_ns = m->client != NULL ? m->client->begin.time_ns : m->trials[0]->begin.time_ns;
	c->found_bytes += sizeof *x;
	return x;
}

void found_free(struct correlation *c, struct found *x)
{
	if (x == NULL)
		return;
	told_forget(c, x);
	c->found_bytes -= sizeof *x;
	if (x->matter.client != NULL)
		store_let_go(c->store, x->matter.client);
	for (unsigned t = 0; t < x->matter.n_trials; t++)
		store_let_go(c->store, x->matter.trials[t]);
	if (x->matter.earlier != NULL)
		store_let_go(c->store, x->matter.earlier);
	if (x->matter.tier != NULL)
		store_let_go(c->store, x->matter.tier);
	free(x);
}

/* False: for want of memory; what was known of it stands. */
static bool judge_anew(struct correlation *c, struct found *x, bool final)
{
	uint64_t failed = c->store->out_of_memory;
	struct told told = incident_new(c, &x->matter, final);

	if (told.incident == NULL && c->store->out_of_memory != failed)
		return false;
	if (told.incident != NULL && x->told.incident != NULL)
		told.incident->id = x->told.incident->id;
	told_forget(c, x);
	x->told = told;
	c->found_bytes += told.bytes;
	return true;
}

/* An exchange that was open when it was judged is another fact since it ended. */
static void look_at_facts(struct correlation *c, struct found *x)
{
	struct incident *i = x->told.incident;

	if (x->matter.client != NULL)
		(void)view_fill(c, x->matter.client, &x->told.views[0]);
	for (unsigned t = 0; t < i->n_attempts; t++) {
		(void)view_fill(c, x->matter.trials[t], &x->told.views[1 + t]);
		i->attempts[t].exchange = x->matter.trials[t]->id;
	}
}

void found_judge(struct correlation *c, struct found *x, bool final)
{
	const struct kept *last =
		x->matter.n_trials != 0 ? x->matter.trials[x->matter.n_trials - 1] : NULL;

	if (x->told.incident != NULL && last != NULL &&
	    !learned_covers(c->learned, &last->end[SERVER], x->began_ns - NS_PER_S)) {
		look_at_facts(c, x);
		return;
	}
	(void)judge_anew(c, x, final);
}

void found_know_better(struct correlation *c, struct found *x, unsigned trial,
		       const struct exchange_fact *f)
{
	struct kept *old = x->matter.trials[trial], *k = store_apart(c->store, &f->head, old->id);

	if (k == NULL)
		return;
	k->fact->conn = old->fact->conn; /* its numbers count what was read again */
	k->back = old->back;
	k->front = old->front;
	k->guilty = correlate_guilt(c, k);
	x->matter.trials[trial] = k;
	if (judge_anew(c, x, true)) { /* the incident points into the old one until then */
		store_let_go(c->store, old);
		return;
	}
	x->matter.trials[trial] = old;
	store_let_go(c->store, k);
}
