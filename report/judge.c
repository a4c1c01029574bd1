/* judge.c - one case, one verdict
 *
 * The deciding trial is looked at with the rules of causes.def in their order; the first signature found is
 * the cause. Afterwards confidence is held to what the capture allows (CAUSES.md, Confidence).
 */
#include "advice.h"
#include "roles.h"

static const struct { rule_fn *rule; uint8_t fault; } rules[CAUSE_COUNT] = {
#define CAUSE(id, name, family, who, function, shows) [CAUSE_##id] = { function, FAULT_##who },
#include "causes.def"
};

/* ---- looking at a trial ------------------------------------------------------------------- */

static struct mark earlier_of(struct mark a, struct mark b)
{
	if (!happened(a))
		return b;
	return happened(b) && before(b, a) ? b : a;
}

/* When the gateway closed this exchange of its client without (or amid) an answer. */
static struct mark client_dropped(const struct exchange_fact *client)
{
	struct mark reset = client->x.stream != 0 ? client->h2.rst_stream[SERVER] : (struct mark){ 0, 0 };
	bool closed = client->conn.closing != CLOSING_NONE && client->conn.closer == SERVER;

	return earlier_of(reset, closed ? client->conn.closed : (struct mark){ 0, 0 });
}

static bool broken_off(const struct exchange_facts *x)
{
	return x->outcome == OUTCOME_PARTIAL_HEADERS || x->outcome == OUTCOME_PARTIAL_BODY || x->outcome == OUTCOME_RESET;
}

/* When the client was told: its answer's first byte, unless this is the upstream's own answer on its way, which was
 * begun before anything went wrong. */
static struct mark client_told(const struct look *l)
{
	const struct exchange_fact *client = l->c->client;
	uint16_t status = l->x != NULL ? l->x->status : l->brief != NULL ? l->brief->status : 0;

	if (client == NULL)
		return (struct mark){ 0, 0 };
	if (!happened(client->x.response.first))
		return client_dropped(client);
	if (status == 0 || status != client->x.status)
		return client->x.response.first;
	return broken_off(&client->x) ? client_dropped(client) : client->x.response.last;
}

/* In TLS a side is done when it says so (close_notify, or any other alert): the other's FIN may come before its own.
 * RFC 8446 6.1 */
static void look_at_alerts(struct look *l, struct mark *up_end)
{
	const struct tls_facts *t = l->tls;

	if (t == NULL)
		return;
	l->gave_up = earlier_of(l->gave_up, t->alert[CLIENT].at);
	if (t->handshake_done && t->close_notify[SERVER] && happened(t->alert[SERVER].at) &&
	    (!happened(*up_end) || before(t->alert[SERVER].at, *up_end)) && l->how != CLOSING_RST_ACK) {
		*up_end = t->alert[SERVER].at;
		l->how = CLOSING_FIN;
	}
}

static void look_who_ended(struct look *l)
{
	struct mark began = request_at(l), told = client_told(l), up_end = { 0, 0 };
	bool last = l->index + 1 >= l->c->n_trials;

	if (happened(told) && !before(told, began))
		l->gave_up = told;
	if (!last && !l->c->ambiguous)
		l->gave_up = earlier_of(l->gave_up, l->c->trials[l->index + 1].began);
	if (l->h2 != NULL)
		l->gave_up = earlier_of(l->gave_up, l->h2->rst_stream[CLIENT]);
	if (l->conn != NULL && l->conn->closing != CLOSING_NONE) {
		if (l->conn->closer == SERVER)
			up_end = l->conn->closed;
		else
			l->gave_up = earlier_of(l->gave_up, l->conn->closed);
		l->how = l->conn->closing;
	}
	look_at_alerts(l, &up_end);
	if (happened(up_end) && (!happened(l->gave_up) || before(up_end, l->gave_up))) {
		l->ended = ENDED_BY_UPSTREAM;
		l->end = up_end;
	} else if (happened(l->gave_up)) {
		l->ended = ENDED_BY_GATEWAY;
		l->end = l->gave_up;
	}
}

/* The gateway reset a stream whose answer broke HTTP/2, be it at its very end (RFC 9113 8.1.1): what it told its client
 * under that status was not all. */
static bool thrown_away(const struct look *l)
{
	return l->h2 != NULL && happened(l->h2->rst_stream[CLIENT]) && l->x->response.violations != 0;
}

static void look_at_answer(struct look *l)
{
	const struct exchange_facts *x = l->x, *client = l->client;
	uint16_t status = x != NULL ? x->status : l->brief != NULL ? l->brief->status : 0;
	bool whole;

	l->answered = l->brief != NULL || (x != NULL && happened(x->response.first));
	l->failed = true;
	if (client == NULL)
		return;
	whole = client->outcome == OUTCOME_COMPLETE || client->outcome == OUTCOME_UPGRADED || client->outcome == OUTCOME_TUNNEL;
	l->passed_on = whole && status != 0 && status == client->status && !thrown_away(l) &&
	               (x == NULL || x->response.body_hash == 0 || client->response.body_hash == 0 ||
	                x->response.body_hash == client->response.body_hash);
	l->failed = !whole || client->status == 0 || (client->status >= 400 && !l->passed_on) || thrown_away(l);
}

static const char *address_text(struct arena *a, const struct endpoint *e, const char *unknown)
{
	static const struct endpoint nothing;
	char text[ENDPOINT_TEXT];

	if (a == NULL || memcmp(e, &nothing, sizeof nothing) == 0)
		return unknown;
	return arena_text(a, "%s", endpoint_text(e, text));
}

/* The upstream began to answer when the gateway had closed this connection and told its client: what it said met nobody. */
static bool answered_nobody(const struct look *l)
{
	return l->x != NULL && l->x->stream == 0 && l->client != NULL && !l->passed_on && happened(l->x->response.first) &&
	       l->ended == ENDED_BY_GATEWAY && l->conn->closing != CLOSING_NONE && l->conn->closer == CLIENT &&
	       before(l->conn->closed, l->x->response.first) && before(client_told(l), l->x->response.first);
}

/* The exchange as it stood when the gateway gave it up. */
static void forget_late_answer(struct look *l)
{
	l->unanswered = *l->x;
	l->unanswered.response = (struct message){ .declared = UINT64_MAX };
	l->unanswered.outcome = OUTCOME_NO_RESPONSE;
	l->unanswered.status = 0;
	l->unanswered.response_head = l->unanswered.body = l->unanswered.reason = (struct text){ 0, 0 };
	l->x = &l->unanswered;
	look_at_answer(l);
	look_who_ended(l);
}

static void look_at_trial(struct look *into, const struct case_file *c, const struct trial *t, struct arena *a)
{
	struct look l = { .c = c, .t = t, .gateway = "the gateway", .upstream = "the upstream" };

	l.client = c->client != NULL ? &c->client->x : NULL;
	if (t == NULL) {
		look_at_answer(&l);
		look_who_ended(&l);
		*into = l;
		return;
	}
	l.index = t >= c->trials && t < c->trials + c->n_trials ? (unsigned)(t - c->trials) : c->n_trials;
	l.fact = t->x;
	l.brief = t->brief;
	if (t->x != NULL) {
		l.x = &t->x->x;
		l.conn = &t->x->conn;
		l.tls = fact_tls(t->x, l.conn);
		l.h2 = l.x->stream != 0 ? &t->x->h2 : NULL;
	} else if (t->conn != NULL) {
		l.conn = &t->conn->conn;
		l.tls = fact_tls(t->conn, l.conn);
	}
	if (l.conn != NULL) {
		l.gw = &l.conn->side[CLIENT];
		l.up = &l.conn->side[SERVER];
	}
	l.gateway = address_text(a, &t->gateway, l.gateway);
	l.upstream = address_text(a, &t->upstream, l.upstream);
	look_at_answer(&l);
	look_who_ended(&l);
	*into = l;
	if (answered_nobody(into))
		forget_late_answer(into);
}

/* ---- rules in order ----------------------------------------------------------------------- */

static void forget(struct finding *f, unsigned cause)
{
	f->v->n_evidence = f->v->n_details = 0;
	f->v->summary = "";
	f->v->confidence = CONFIDENCE_HIGH;
	f->v->fault = rules[cause].fault;
}

/* The upstream answered, and the capture lacks the very bytes that would say what: silence is not to be told from it. Of a stream
 * only those count that may have held frames since it opened. */
static bool answer_not_captured(const struct look *l)
{
	const struct exchange_facts *x = l->x;

	if (x == NULL || happened(x->response.first) || x->n_interim != 0 || !happened(x->request.first))
		return false;
	return (x->response.missing != 0 && l->up->acked.packet > x->request.first.packet) ||
	       (!x->tls && x->stream == 0 && l->up->cut_bytes != 0 && l->up->last_data.packet > x->request.first.packet);
}

/* The capture begins amid the request: what was asked, when, and what was tried for it is not known. */
static bool request_not_captured(const struct look *l)
{
	if (l->t == NULL)
		return l->client != NULL && !happened(l->client->request.first);
	return l->x != NULL && !happened(l->x->request.first);
}

static bool cannot_be(const struct look *l, unsigned cause)
{
	return answer_not_captured(l) || (request_not_captured(l) && cause != CAUSE_UPSTREAM_ERROR);
}

static unsigned run_rules(const struct look *l, struct finding *f)
{
	for (unsigned i = 0; i < CAUSE_UNEXPLAINED; i++) {
		if (cannot_be(l, i))
			continue;
		forget(f, i);
		if (rules[i].rule(l, f))
			return i;
	}
	forget(f, CAUSE_UNEXPLAINED);
	(void)rule_unexplained(l, f);
	return CAUSE_UNEXPLAINED;
}

/* By itself this trial went well, whatever the gateway made of it. */
static bool went_well(const struct trial *t)
{
	if (t->brief != NULL)
		return true;
	return t->x != NULL && t->x->x.status != 0 && t->x->x.status < 400 &&
	       (t->x->x.outcome == OUTCOME_COMPLETE || t->x->x.outcome == OUTCOME_UPGRADED || t->x->x.outcome == OUTCOME_TUNNEL);
}

int judge_trial(const struct case_file *c, const struct trial *t)
{
	struct verdict v = { .trial = -1 };
	struct finding f = { .v = &v };
	struct look l;
	unsigned cause;

	look_at_trial(&l, c, t, NULL);
	cause = run_rules(&l, &f);
	if (went_well(t) && (cause == CAUSE_UNEXPLAINED || cause == CAUSE_GATEWAY_REFUSED || cause == CAUSE_GATEWAY_CLOSED ||
	                     cause == CAUSE_CLIENT_ABORTED || c->client == NULL))
		/* A whole answer is guilty of what it breaks alone, and only where the gateway threw it away. */
		return cause_row(cause)->family == FAMILY_INVALID || cause == CAUSE_HTTP2_PROTOCOL_ERROR ? (int)cause : -1;
	/* Where no client was seen to fail, what cannot be told is nobody's failure; nor is a connection without a request. */
	return cause == CAUSE_UNEXPLAINED && (t->x == NULL || c->client == NULL) ? -1 : (int)cause;
}

/* The last failed one; a good answer after it means that the gateway itself refused that. */
static const struct trial *deciding_trial(const struct case_file *c)
{
	if (c->n_trials == 0)
		return NULL;
	for (unsigned i = c->n_trials; i-- > 0; ) {
		const struct trial *t = &c->trials[i];
		int cause = judge_trial(c, t);

		if (went_well(t) || (cause >= 0 && cause != CAUSE_UNEXPLAINED))
			return t;
	}
	return &c->trials[c->n_trials - 1];
}

/* ---- several candidates ------------------------------------------------------------------- */

/* Candidates that agree are as good as one (DESIGN 4); those that differ name no cause. */
static bool candidates_differ(const struct case_file *c)
{
	int first;

	if (!c->ambiguous || c->n_trials < 2)
		return false;
	first = judge_trial(c, &c->trials[0]);
	for (unsigned i = 1; i < c->n_trials; i++)
		if (judge_trial(c, &c->trials[i]) != first)
			return true;
	return false;
}

static void judge_ambiguous(const struct case_file *c, struct finding *f)
{
	struct look l;

	look_at_trial(&l, c, NULL, f->arena);
	forget(f, CAUSE_UNEXPLAINED);
	f->v->cause = CAUSE_UNEXPLAINED;
	f->v->confidence = CONFIDENCE_LOW;
	for (unsigned i = 0; i < c->n_trials; i++) {
		int cause = judge_trial(c, &c->trials[i]);
		char upstream[ENDPOINT_TEXT];

		note(f, c->trials[i].began, "candidate: a request to %s, %s", endpoint_text(&c->trials[i].upstream, upstream),
		     cause < 0 ? "which went well" : cause_row((unsigned)cause)->name);
	}
	note_answer(&l, f);
	detail_word(f, "reason", "ambiguous-match");
	detail_count(f, "candidates", c->n_trials);
	say(f, "%u upstream requests fit this one, and they ended differently: the packets do not say which was its own.",
	    c->n_trials);
}

/* ---- what the capture allows -------------------------------------------------------------- */

/* From the connection's first packet (what came before bears on idle times) to the last that counts. */
static bool clock_stepped(const struct look *l)
{
	const struct clock_steps *s = l->c->steps;
	const struct exchange_fact *client = l->c->client;
	uint64_t from = UINT64_MAX, to = l->end.packet;

	if (s == NULL || s->n == 0)
		return false;
	if (client != NULL) {
		from = client->x.request.first.packet;
		to = client->x.response.last.packet > to ? client->x.response.last.packet : to;
		to = client->head.at.packet > to ? client->head.at.packet : to;
	}
	if (l->t != NULL) {
		from = l->t->began.packet < from ? l->t->began.packet : from;
		to = l->t->ended.packet > to ? l->t->ended.packet : to;
	}
	if (l->conn != NULL && l->conn->first.packet < from)
		from = l->conn->first.packet;
	for (uint64_t i = 0; i < s->n && i < CLOCK_STEPS_KEPT; i++)
		if (s->packets[i] > from && s->packets[i] <= to)
			return true;
	return false;
}

/* What a gateway of this kind makes of the cause; 0: unknown, or no answer. */
static uint16_t status_made(const struct look *l, unsigned cause)
{
	const struct gateway_model *m = l->c->model;
	bool h2 = l->x != NULL && l->x->request.version == VERSION_2 && m->status_h2[cause] != 0;

	return h2 ? m->status_h2[cause] : m->status[cause];
}

/* The gateway kept its connection open and answered with a status that it has for something else. */
static bool another_status(const struct look *l, unsigned cause)
{
	uint16_t made = status_made(l, cause);

	return l->conn != NULL && l->conn->closing == CLOSING_NONE && l->client != NULL && l->client->outcome == OUTCOME_COMPLETE &&
	       made != 0 && l->client->status != made;
}

static void hold_confidence(const struct look *l, struct finding *f)
{
	const struct conn_facts *conn = l->conn;

	if (f->v->cause == CAUSE_UNEXPLAINED) {
		f->v->confidence = CONFIDENCE_LOW;
		return;
	}
	if (counters_limit_of(l->c->quality, LIMIT_NAME_MEMORY) != 0)
		at_most(f, CONFIDENCE_MEDIUM);
	/* Which of the gateways without a place this is was not told apart. */
	if (l->c->n_backs == 0 && counters_limit_of(l->c->quality, LIMIT_NAME_GATEWAYS) != 0)
		at_most(f, CONFIDENCE_MEDIUM);
	if (l->t != NULL && l->t->matched == MATCHED_ORDER && l->client != NULL)
		at_most(f, CONFIDENCE_MEDIUM);
	/* A RST or a bare ACK for an answer opens no sequence of the upstream's own, but it is an answer. */
	if (conn != NULL && (conn->limited || (conn->one_way && !happened(l->up->rst.at) && !happened(l->up->strange_ack))))
		at_most(f, CONFIDENCE_MEDIUM);
	if (l->x != NULL && l->x->limited)
		at_most(f, CONFIDENCE_MEDIUM);
	if (l->c->unread || another_status(l, f->v->cause))
		at_most(f, CONFIDENCE_MEDIUM);
	/* Two versions of the same bytes: the receiver may have taken the other (SAFETY.md). */
	if (conn != NULL && (l->gw->conflicting != 0 || l->up->conflicting != 0))
		at_most(f, CONFIDENCE_MEDIUM);
	/* A request without the client's, at a gateway whose clients are in the capture: packets are missing, and what became of it. */
	if (l->c->client == NULL && l->c->front_read && !l->c->client_encrypted)
		at_most(f, CONFIDENCE_LOW);
	if (clock_stepped(l))
		at_most(f, CONFIDENCE_LOW);
	/* A hole that the rule itself rests on (full-size segments that never came) is no flaw of the capture. */
	if (conn != NULL && f->v->cause != CAUSE_MTU_BLACKHOLE && f->v->cause != CAUSE_PACKET_LOSS &&
	    (l->gw->gap_bytes != 0 || l->up->gap_bytes != 0))
		at_most(f, CONFIDENCE_MEDIUM);
}

/* ---- what the client gets ----------------------------------------------------------------- */

/* The upstream's own status, where its answer was on its way when it broke off. */
static uint16_t status_begun(const struct look *l)
{
	return l->x != NULL && l->x->outcome == OUTCOME_PARTIAL_BODY && l->x->response.head_complete ? l->x->status : 0;
}

static bool safe_to_repeat(const struct exchange_facts *x)
{
	return (x->method == METHOD_GET || x->method == METHOD_HEAD || x->method == METHOD_OPTIONS || x->method == METHOD_TRACE) &&
	       x->request.body_bytes == 0;
}

static void predict(const struct look *l, struct verdict *v)
{
	const struct gateway_model *m = l->c->model;
	uint16_t begun = status_begun(l), status = status_made(l, v->cause);

	v->predicted_symptom = SYMPTOM_ERROR_STATUS;
	if (v->cause == CAUSE_CLIENT_ABORTED || v->cause == CAUSE_GATEWAY_CLOSED) {
		v->predicted_symptom = SYMPTOM_CLIENT_ABORT;
	} else if (begun != 0 && (v->cause == CAUSE_CLOSED_MID_BODY || v->cause == CAUSE_STALLED_MID_RESPONSE ||
	                          v->cause == CAUSE_HTTP2_STREAM_RESET || v->cause == CAUSE_INVALID_CHUNK ||
	                          v->cause == CAUSE_CONFLICTING_FRAMING)) {
		v->predicted_symptom = SYMPTOM_TRUNCATED;
		v->predicted_status = begun;
	} else if (v->cause == CAUSE_UPSTREAM_ERROR && l->x != NULL) {
		v->predicted_status = l->x->status;
	} else if (status == 0) {
		v->predicted_symptom = SYMPTOM_NO_RESPONSE;
	} else {
		v->predicted_status = status;
	}
	/* Sent again on a fresh connection, a try that costs nothing: nginx except POST, LOCK, PATCH; Varnish, Go, Squid. */
	v->retried = m->retries_reused && l->x != NULL && (l->x->reused || l->conn->joined_late) && !l->answered &&
	             safe_to_repeat(l->x) && up_ended(l);
}

void judge(const struct case_file *c, struct arena *a, struct verdict *v)
{
	struct finding f = { .arena = a, .v = v };
	const struct trial *t;
	struct look l;

	*v = (struct verdict){ .trial = -1, .cause = CAUSE_UNEXPLAINED, .summary = "" };
	v->evidence = arena_alloc(a, EVIDENCE_MAX * sizeof *v->evidence);
	f.evidence_size = v->evidence != NULL ? EVIDENCE_MAX : 0;
	if (candidates_differ(c)) {
		judge_ambiguous(c, &f);
		look_at_trial(&l, c, NULL, a);
	} else {
		t = deciding_trial(c);
		look_at_trial(&l, c, t, a);
		v->cause = (uint8_t)run_rules(&l, &f);
		v->trial = t != NULL ? (int)l.index : -1;
	}
	hold_confidence(&l, &f);
	predict(&l, v);
	advise(&l, &f);
	put_in_words(&l, &f);
}
