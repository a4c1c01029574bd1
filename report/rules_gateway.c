/* rules_gateway.c - the upstream's own error, the gateway's own doing, and what nobody can tell */
#include "rules.h"

#include <inttypes.h>

/* ---- the upstream said so ----------------------------------------------------------------- */

bool rule_upstream_error(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	struct recognised author, passed;
	char page[QUOTE_TEXT];

	if (x == NULL || x->status < 400)
		return false;
	if (l->client != NULL && l->client->status != 0 && !l->passed_on && l->client->status != x->status && x->status < 500)
		return false;           /* an ordinary 404 is not what made this 502 */
	if (f->arena == NULL)
		return true;
	author = author_of_answer(l->fact, f->arena);
	passed = gateway_of_answer(l->fact, f->arena);
	note_request(l, f);
	note(f, x->response.first, "%s answered %u%s%s", l->upstream, x->status, x->body.len != 0 ? ": " : "",
	     x->body.len != 0 ? quote_text(span_first(fact_text(l->fact, x->body), 100), page) : "");
	if (author.model != NULL)
		note(f, x->response.first, "that page is %s's: %s", author.model->name, author.because);
	else if (author.because != NULL)
		note(f, x->response.first, "%s", author.because);
	if (passed.model != NULL && passed.model != author.model)
		note(f, x->response.first, "it came by way of %s: %s", passed.model->name, passed.because);
	if (l->client != NULL && l->client->status != x->status) {
		note(f, l->client->response.first, "the gateway made %u of it", l->client->status);
		at_most(f, CONFIDENCE_MEDIUM);
	} else if (l->client != NULL && !l->passed_on) {
		note(f, l->client->response.first, "the gateway passed the status on with a page of its own");
	} else {
		note_answer(l, f);
	}
	if (l->t->inner_gateway) {              /* what became of its tries would be the cause: packets are missing, or it made none */
		note(f, x->response.first, "%s is a gateway itself, and no try of its for this request is in this capture", l->upstream);
		at_most(f, CONFIDENCE_MEDIUM);
	}
	detail_count(f, "upstream_status", x->status);
	if (author.model != NULL)
		detail_word(f, "author", author.model->name);
	say(f, "%s itself answered %u%s%s, and the gateway passed it on.", l->upstream, x->status,
	    author.model != NULL && author.model->is_gateway ? ": a page of " : "",
	    author.model != NULL && author.model->is_gateway ? author.model->name : "");
	return true;
}

/* ---- the gateway ended it ----------------------------------------------------------------- */

/* Unfinished, nothing wrong with it, and no client that left. A timeout would have been answered with a status: where
 * the client got none, the gateway stopped. */
bool rule_gateway_closed(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	struct mark quiet_since;
	char time[TIME_TEXT];

	if (x == NULL || l->ended != ENDED_BY_GATEWAY || !x->request.complete || x->response.complete || x->response.n_broken != 0 ||
	    !gw_closed(l))
		return false;
	if (l->c->client_left_first || (l->client != NULL && l->client->status >= 500))
		return false;
	if (l->client != NULL && happened(l->client->response.first) && l->client->outcome == OUTCOME_COMPLETE)
		return false;
	quiet_since = happened(x->response.last) ? x->response.last : x->request.last;
	note_request(l, f);
	note(f, x->request_acked, "%s acknowledged the request", l->upstream);
	note(f, l->conn->closed, "%s closed the upstream connection %s later, the exchange unfinished and nothing wrong with it", l->gateway,
	     time_text(l->conn->closed.time_ns - quiet_since.time_ns, time));
	note_answer(l, f);
	detail_seconds(f, "waited_s", l->conn->closed.time_ns - quiet_since.time_ns);
	if (l->client == NULL)
		at_most(f, CONFIDENCE_LOW);
	else
		at_most(f, silent_enough(l, quiet_since) ? CONFIDENCE_MEDIUM : CONFIDENCE_HIGH);
	say(f, "The gateway ended a healthy exchange with %s that was not finished (%s after its last byte): it was stopped, reloaded or drained.",
	    l->upstream, time_text(l->conn->closed.time_ns - quiet_since.time_ns, time));
	return true;
}

/* It took an interim response (RFC 9110 15.2) for the end of the exchange: closed at once, or is known to, whatever came
 * after. */
static bool tripped_on_interim(const struct look *l)
{
	const struct exchange_facts *x = l->x;

	if (x == NULL || x->n_interim == 0 || x->interim[0] == 101 || !l->failed || l->client == NULL)
		return false;
	if (x->response.complete && !(gw_closed(l) && before(l->conn->closed, x->response.last)))
		return l->c->model->trips_on_interim;
	return gw_closed(l) && !before(l->conn->closed, x->interim_at) && l->conn->closed.time_ns - x->interim_at.time_ns < ABSENCE_NS;
}

static bool whole_and_valid(const struct look *l)
{
	if (l->brief != NULL)
		return true;
	return l->x != NULL && l->x->status != 0 && l->x->status < 500 && l->x->response.complete && !l->passed_on;
}

/* Its own refusal of TLS 1.3 session tickets, before it had sent a request (models say which gateways do that). */
static bool tripped_on_tickets(const struct look *l)
{
	return l->c->model->trips_on_tickets && l->x == NULL && l->tls != NULL && l->tls->handshake_done && l->tls->chosen >= 0x0304 &&
	       l->tls->application_bytes[CLIENT] == 0 && gw_closed(l);
}

bool rule_gateway_refused(const struct look *l, struct finding *f)
{
	bool interim;
	char time[TIME_TEXT];

	if (l->t == NULL || l->client == NULL || !l->failed || l->passed_on)
		return false;
	interim = tripped_on_interim(l);
	if (!interim && !whole_and_valid(l) && !tripped_on_tickets(l))
		return false;
	note_request(l, f);
	if (interim)
		note(f, l->x->interim_at, "%s sent an interim response, %u", l->upstream, l->x->interim[0]);
	if (l->x != NULL && happened(l->x->response.first))
		note(f, l->x->response.first, "%s answered %u, whole and valid", l->upstream, l->x->status);
	if (l->brief != NULL) {
		note(f, l->brief->response_first, "%s answered %u", l->upstream, l->brief->status);
		note(f, l->brief->response, "that answer's last byte: %" PRIu64 " bytes of body, whole and valid", l->brief->response_body);
	}
	if (interim && gw_closed(l))
		note(f, l->conn->closed, "%s closed the upstream connection %s after the interim response", l->gateway,
		     time_text(l->conn->closed.time_ns - l->x->interim_at.time_ns, time));
	note_answer(l, f);
	detail_word(f, "reason", interim ? "interim-response" : l->conn != NULL && l->x == NULL ? "session-tickets" : "own-rule");
	detail_count(f, "upstream_status", l->x != NULL ? l->x->status : l->brief != NULL ? l->brief->status : 0);
	if (interim)
		detail_count(f, "interim", l->x->interim[0]);
	if (interim && l->c->model->name[0] != '\0' && !l->c->model->trips_on_interim)
		at_most(f, CONFIDENCE_MEDIUM);
	if (!interim)
		at_most(f, l->t->matched == MATCHED_ORDER ? CONFIDENCE_LOW : CONFIDENCE_HIGH);
	if (interim)
		say(f, "%s sent an interim response (%u), which is legal, and the gateway made a failure of it.", l->upstream, l->x->interim[0]);
	else
		say(f, "%s gave a whole and valid answer (%u), and the gateway still failed the client's request: a rule, a filter or a limit of its own.",
		    l->upstream, l->x != NULL ? l->x->status : l->brief != NULL ? l->brief->status : 0);
	return true;
}

/* ---- nobody can tell ---------------------------------------------------------------------- */

struct unknown { const char *reason, *text; };

static const struct unknown unknowns[] = {
	{ "upstream-side-not-captured",
	  "the upstream side is not in this capture: capture on the gateway's other interface too (a unix socket shows on none)" },
	{ "encrypted", "the upstream connection is encrypted and its keys are not there (--keylog)" },
	{ "packets-missing", "packets are missing from the capture" },
	{ "cut-by-snaplen", "the capture kept only the beginning of each packet (snaplen)" },
	{ "begins-mid-exchange", "the capture begins amid the exchange" },
	{ "ends-mid-exchange", "the capture ends before the exchange did" },
	{ "ambiguous-match", "several upstream exchanges fit" },
};

enum { NOT_CAPTURED, ENCRYPTED, MISSING, CUT, BEGINS_LATE, ENDS_EARLY };

static unsigned why_unknown(const struct look *l)
{
	const struct exchange_facts *x = l->x;

	if (l->t == NULL)
		return l->client != NULL && !happened(l->client->request.first) ? BEGINS_LATE : NOT_CAPTURED;
	if (l->conn == NULL)
		return MISSING;
	if (x == NULL && l->tls != NULL && l->tls->handshake_done && !l->tls->decrypted)
		return ENCRYPTED;
	if (l->up->cut_bytes != 0 || l->gw->cut_bytes != 0)
		return CUT;
	if (l->up->gap_bytes != 0 || l->gw->gap_bytes != 0 || l->conn->one_way)
		return MISSING;
	if (l->conn->joined_late && (x == NULL || x->ordinal == 0) && (x == NULL || !happened(x->request.first)))
		return BEGINS_LATE;
	if (l->ended == ENDED_BY_NOBODY)
		return ENDS_EARLY;
	return MISSING;
}

bool rule_unexplained(const struct look *l, struct finding *f)
{
	const struct unknown *u = &unknowns[why_unknown(l)];

	note_request(l, f);
	if (l->conn != NULL && happened(l->end))
		note(f, l->end, "%s", l->ended == ENDED_BY_UPSTREAM ? "the upstream closed" : "the gateway gave up");
	if (l->c->client != NULL)
		note(f, l->c->client->x.request.first, "the client's request");
	note_answer(l, f);
	detail_word(f, "reason", u->reason);
	at_most(f, CONFIDENCE_LOW);
	say(f, "What happened cannot be told from these packets: %s.", u->text);
	return true;
}
