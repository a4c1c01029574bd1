/* rules_closed.c - the upstream closed: idle, before, amid the request or the response */
#include "rules.h"

#include <inttypes.h>

static const char *closing_text(const struct look *l)
{
	return up_reset(l) ? "RST" : "FIN";
}

static const char *closing_word(const struct look *l)
{
	switch (l->how) {
	case CLOSING_RST:     return "rst";
	case CLOSING_RST_ACK: return "rst-ack";
	default:              return "fin";
	}
}

/* ---- keepalive race ----------------------------------------------------------------------- */

/* What was learnt of the upstream's own limit, and whether this idle time is it. */
struct quantum { struct idle_limit learned; int64_t limit_ns; bool known, fits; };

/* A limit of whole seconds is checked by a timer that may run once a second (Node's connectionsCheckingInterval runs
 * every 30 s but closes by the socket's own timer; Apache's and nginx's fire within some ms): a tenth, at least 50 ms. */
static bool near(int64_t idle_ns, int64_t limit_ns)
{
	int64_t slack = limit_ns / 10 > 50 * NS_PER_MS ? limit_ns / 10 : 50 * NS_PER_MS;

	if (slack > NS_PER_S)
		slack = NS_PER_S;
	return idle_ns >= limit_ns - slack && idle_ns <= limit_ns + slack;
}

static struct quantum quantum_of(const struct look *l, int64_t idle_ns)
{
	struct quantum q = { .learned = { 0 } };
	uint16_t said;

	learned_idle(l->c->learned, &l->t->upstream, &q.learned);
	said = l->conn->keep_alive_s != 0 ? l->conn->keep_alive_s : (uint16_t)q.learned.said_s;
	if (q.learned.n != 0) {
		q.known = true;
		q.limit_ns = q.learned.median_ns;
		q.fits = near(idle_ns, q.learned.median_ns) ||
		         (q.learned.n >= 3 && idle_ns >= q.learned.min_ns && idle_ns <= q.learned.max_ns);
	}
	if (!q.fits && said != 0) {
		q.known = true;
		q.limit_ns = said * NS_PER_S;
		q.fits = near(idle_ns, q.limit_ns);
	}
	return q;
}

static bool was_idle(const struct look *l)
{
	return l->x->reused || l->conn->joined_late;    /* a connection that was there before the capture had a use */
}

/* The closing packet had not seen the request: it does not acknowledge its last byte, nor of one that is not whole any. */
static bool close_not_knowing(const struct look *l, struct mark close)
{
	struct mark acked = l->x->request.complete ? l->x->request_acked : l->gw->acked;

	return !happened(acked) || before(acked, l->x->request.first) || before(close, acked) ||
	       (l->up->fin_behind && close.packet == l->up->fin.packet);
}

static struct mark first_close_of_up(const struct look *l)
{
	struct mark fin = l->up->fin, rst = l->up->rst.at;

	if (!happened(fin))
		return rst;
	return happened(rst) && before(rst, fin) ? rst : fin;
}

enum race { RACE_NONE, RACE_STALE_FIN, RACE_CROSSED, RACE_FORGOTTEN, RACE_AT_LIMIT, RACE_EARLY_STATUS };

/* 408 (RFC 9110 15.5.9) said while idle, before the upstream saw the request. */
static bool said_408(const struct look *l)
{
	return l->x->status == 408 && happened(l->x->response.first) && close_not_knowing(l, l->x->response.first);
}

static enum race race_of(const struct look *l, int64_t *idle_ns)
{
	const struct exchange_facts *x = l->x;
	struct mark close = first_close_of_up(l), request = x->request.first;
	int64_t gap;

	*idle_ns = x->idle_ns;
	if (x->status == 408 && said_408(l))
		return RACE_EARLY_STATUS;
	if (l->answered || !happened(close) || x->n_interim != 0)
		return RACE_NONE;
	gap = close.time_ns - request.time_ns;
	if (happened(x->before))
		*idle_ns = close.time_ns - x->before.time_ns;
	/* A close that acknowledges the request came after it, whatever the clocks of two taps say. */
	if (before(close, request) && !close_not_knowing(l, close))
		return RACE_NONE;
	if (before(close, request))
		return -gap > crossing_ns(l) ? RACE_STALE_FIN : RACE_CROSSED;
	if (gap <= crossing_ns(l) && close_not_knowing(l, close)) {
		/* RST alone answers what comes to a socket that is gone; a FIN, or RST,ACK of a live one, crossed with it. */
		if (!happened(l->up->fin) && l->up->rst.kind == RST_ALONE) {
			*idle_ns = x->idle_ns;
			return l->up->rst.window == 0 && x->idle_ns >= NS_PER_S && same_flow_ttl(l) ? RACE_FORGOTTEN : RACE_NONE;
		}
		return RACE_CROSSED;
	}
	/* Already in the buffer when the timer fired: only the time tells, so it must be the server's own. */
	if (gap <= crossing_ns(l) && quantum_of(l, *idle_ns).fits)
		return RACE_AT_LIMIT;
	return RACE_NONE;
}

/* How many of this upstream's connections closed within 100 ms make a restart rather than a limit. */
enum { TOGETHER = 3 };

static const char *trigger_of(const struct look *l, enum race race, int64_t idle_ns)
{
	struct mark close = first_close_of_up(l);
	uint32_t most = learned_max_requests(l->c->learned, &l->t->upstream);

	if (race == RACE_STALE_FIN || race == RACE_FORGOTTEN)
		return "stale";
	if (race == RACE_EARLY_STATUS)
		return "idle";
	if (most != 0 && l->x->ordinal == most + 1)
		return "max-requests";
	if (!quantum_of(l, idle_ns).fits &&
	    learned_closed_together(l->c->learned, &l->t->upstream, close.time_ns - 50 * NS_PER_MS, close.time_ns + 50 * NS_PER_MS) >= TOGETHER)
		return "draining";
	return "idle";
}

static const char *idle_text(int64_t idle_ns, char text[static TIME_TEXT])
{
	if (idle_ns >= 0)
		return time_text(idle_ns, text);
	memcpy(text, "some time", sizeof "some time");  /* the capture began meanwhile */
	return text;
}

static void prove_race(const struct look *l, struct finding *f, enum race race, int64_t idle_ns)
{
	struct mark close = race == RACE_EARLY_STATUS ? l->x->response.first : first_close_of_up(l);
	const char *how = happened(l->up->fin) && l->up->fin.packet == close.packet ? "FIN" : "RST";
	char idle[TIME_TEXT], gap[TIME_TEXT], rtt[TIME_TEXT];
	int64_t between = close.time_ns - l->x->request.first.time_ns;
	struct quantum q = quantum_of(l, idle_ns);

	if (f->arena == NULL)
		return;
	idle_text(idle_ns, idle);
	time_text(between < 0 ? -between : between, gap);
	note(f, l->x->before, "the connection's last byte before it fell idle");
	if (race == RACE_STALE_FIN)
		note(f, close, "%s sent %s after %s idle, %s before the request", l->upstream, how, idle, gap);
	note_request(l, f);
	switch (race) {
	case RACE_CROSSED:
		note(f, close, "%s sent %s after %s idle, %s %s the request's first byte%s%s and without acknowledging it: they crossed",
		     l->upstream, how, idle, gap, between < 0 ? "before" : "after", l->conn->rtt_ns != 0 ? ", round trip " : "",
		     l->conn->rtt_ns != 0 ? time_text(l->conn->rtt_ns, rtt) : "");
		break;
	case RACE_FORGOTTEN:
		note(f, close, "%s answered with a bare RST: after %s idle it no longer knew the connection (hop limit %u as its other packets; no FIN seen)",
		     l->upstream, idle, l->up->rst.ttl);
		break;
	case RACE_AT_LIMIT:
		note(f, close, "%s closed with %s %s after the request, when the connection had been idle for %s, its own limit",
		     l->upstream, how, gap, idle);
		break;
	case RACE_EARLY_STATUS:
		note(f, close, "%s said 408 for an idle connection before it had seen the request (not acknowledged)", l->upstream);
		break;
	default:
		break;
	}
	if (happened(l->up->rst.at) && l->up->rst.at.packet != close.packet)
		note(f, l->up->rst.at, "%s answered what came after its close with RST", l->upstream);
	if (q.learned.n != 0) {
		char low[TIME_TEXT], high[TIME_TEXT];

		note(f, close, "%s closed %u other idle connections, each after %s to %s", l->upstream, q.learned.n,
		     time_text(q.learned.min_ns, low), time_text(q.learned.max_ns, high));
	}
	note_answer(l, f);
}

static void tell_race(const struct look *l, struct finding *f, enum race race, int64_t idle_ns, const char *trigger)
{
	char idle[TIME_TEXT];

	idle_text(idle_ns, idle);
	switch (race) {
	case RACE_STALE_FIN:
		say(f, "The gateway sent its request on a connection that %s had closed before, after %s idle: it had not noticed.", l->upstream, idle);
		break;
	case RACE_FORGOTTEN:
		say(f, "The gateway sent its request on a connection that was idle for %s and that %s no longer knew.", idle, l->upstream);
		break;
	case RACE_EARLY_STATUS:
		say(f, "%s said 408 to a connection idle for %s just as the gateway sent a request on it.", l->upstream, idle);
		break;
	default:
		if (trigger[0] == 'm')
			say(f, "%s closed the connection after its %u requests just as the gateway sent the next one.", l->upstream, l->x->ordinal - 1);
		else if (trigger[0] == 'd')
			say(f, "%s closed many connections at once (restart or reload) just as the gateway sent a request on this one.", l->upstream);
		else
			say(f, "The gateway reused a connection just as %s closed it, idle for %s.", l->upstream, idle);
	}
}

bool rule_keepalive_race(const struct look *l, struct finding *f)
{
	enum race race;
	int64_t idle_ns = -1;
	const char *trigger;
	struct quantum q;

	if (l->x == NULL || l->conn == NULL || !was_idle(l))
		return false;
	race = race_of(l, &idle_ns);
	if (race == RACE_NONE)
		return false;
	trigger = trigger_of(l, race, idle_ns);
	q = quantum_of(l, idle_ns);
	prove_race(l, f, race, idle_ns);
	tell_race(l, f, race, idle_ns, trigger);
	detail_word(f, "trigger", trigger);
	detail_seconds(f, "idle_s", idle_ns);
	if (q.known)
		detail_seconds(f, "upstream_idle_limit_s", q.limit_ns);
	if (q.learned.n != 0)
		detail_count(f, "idle_closes_seen", q.learned.n);
	if (race == RACE_CROSSED || race == RACE_STALE_FIN)
		detail_seconds(f, "crossing_s", first_close_of_up(l).time_ns > l->x->request.first.time_ns
		               ? first_close_of_up(l).time_ns - l->x->request.first.time_ns
		               : l->x->request.first.time_ns - first_close_of_up(l).time_ns);
	if (race == RACE_EARLY_STATUS)
		detail_count(f, "early_status", l->x->status);
	if (l->x->ordinal != 0)
		detail_count(f, "request_number", l->x->ordinal);
	if (race == RACE_STALE_FIN)
		blame(f, FAULT_GATEWAY);
	if ((race == RACE_AT_LIMIT && q.learned.n < 3) || (race == RACE_FORGOTTEN && l->up->ttl_min == 0) ||
	    (l->conn->joined_late && l->conn->rtt_ns == 0))
		at_most(f, CONFIDENCE_MEDIUM);
	return true;
}

/* ---- closed while the request was on its way ---------------------------------------------- */

bool rule_closed_during_request(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;

	if (x == NULL || !up_ended(l) || (x->request.complete && !x->response.early) || (l->passed_on && x->status >= 500))
		return false;
	/* Answered early, and the rest of the request was sent and read: nothing was destroyed. */
	if (x->response.early && x->request.complete && x->response.complete && !up_reset(l) && !l->failed)
		return false;
	note_request(l, f);
	if (happened(x->response.first))
		note(f, x->response.first, "%s answered %u while the request was still being sent", l->upstream, x->status);
	note(f, l->end, "%s closed with %s when %" PRIu64 " bytes of the request's body had been sent%s", l->upstream, closing_text(l),
	     x->request.body_bytes, x->request.complete ? "" : ": it was not whole");
	note_answer(l, f);
	detail_count(f, "request_bytes", (int64_t)x->request.body_bytes);
	if (x->request.declared != UINT64_MAX)
		detail_count(f, "request_length", (int64_t)x->request.declared);
	detail_word(f, "close", closing_word(l));
	if (x->status != 0)
		detail_count(f, "early_status", x->status);
	if (x->status != 0)
		say(f, "%s answered %u before it had read the whole request, then closed with %s, which can destroy that answer on its way.",
		    l->upstream, x->status, closing_text(l));
	else
		say(f, "%s closed the connection with %s while the gateway was still sending the request (%" PRIu64 " bytes of its body sent).",
		    l->upstream, closing_text(l), x->request.body_bytes);
	return true;
}

/* ---- closed amid the response ------------------------------------------------------------- */

bool rule_closed_mid_headers(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	char time[TIME_TEXT];

	if (x == NULL || x->outcome != OUTCOME_PARTIAL_HEADERS || !up_ended(l) || x->response.head_complete)
		return false;
	note_request(l, f);
	note(f, x->response.first, "the response began");
	note(f, x->response.last, "its last byte: %" PRIu64 " bytes of a header section that has no end", x->response.head_bytes);
	note(f, l->end, "%s closed with %s %s later", l->upstream, closing_text(l), time_text(l->end.time_ns - x->response.last.time_ns, time));
	note_answer(l, f);
	detail_count(f, "header_bytes", (int64_t)x->response.head_bytes);
	detail_word(f, "close", closing_word(l));
	detail_seconds(f, "waited_s", l->end.time_ns - x->response.last.time_ns);
	say(f, "%s closed the connection with %s after %" PRIu64 " bytes, amid the response's header section.", l->upstream,
	    closing_text(l), x->response.head_bytes);
	return true;
}

bool rule_closed_mid_body(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	char time[TIME_TEXT];

	if (x == NULL || x->outcome != OUTCOME_PARTIAL_BODY || !up_ended(l))
		return false;
	note_request(l, f);
	note(f, x->response.first, "the response began: status %u", x->status);
	if (x->response.declared != UINT64_MAX)
		note(f, l->end, "%s closed with %s after %" PRIu64 " of %" PRIu64 " bytes of the body", l->upstream, closing_text(l),
		     x->response.body_bytes, x->response.declared);
	else
		note(f, l->end, "%s closed with %s after %" PRIu64 " bytes of the body, before its %s", l->upstream, closing_text(l),
		     x->response.body_bytes, x->stream != 0 ? "END_STREAM" : "last chunk");
	if (happened(l->gw->window_zero)) {
		note(f, l->gw->window_zero, "%s had announced window 0 and took no more: the upstream gave up sending", l->gateway);
		detail_bool(f, "gateway_window_zero", true);
		blame(f, FAULT_GATEWAY);
	}
	note_answer(l, f);
	detail_count(f, "body_bytes", (int64_t)x->response.body_bytes);
	if (x->response.declared != UINT64_MAX)
		detail_count(f, "content_length", (int64_t)x->response.declared);
	detail_word(f, "close", closing_word(l));
	detail_seconds(f, "waited_s", l->end.time_ns - x->response.last.time_ns);
	if (x->response.declared != UINT64_MAX)
		say(f, "%s closed the connection with %s after %" PRIu64 " of the %" PRIu64 " bytes of the response's body.", l->upstream,
		    closing_text(l), x->response.body_bytes, x->response.declared);
	else
		say(f, "%s closed the connection with %s after %" PRIu64 " bytes, amid the response's body (%s after its last byte).", l->upstream,
		    closing_text(l), x->response.body_bytes, time_text(l->end.time_ns - x->response.last.time_ns, time));
	return true;
}

/* ---- closed before a response ------------------------------------------------------------- */

/* TCP connected, then the upstream closed before the request could be sent. */
static bool accepted_only(const struct look *l)
{
	return no_request(l) && l->tls == NULL && l->gw->bytes == 0 && l->up->bytes == 0 && happened(l->up->syn) && happened(l->conn->handshake);
}

/* The request's last byte, as well as it is known. */
static struct mark asked_at(const struct look *l)
{
	if (l->x != NULL)
		return l->x->request.last;
	return encrypted_and_unanswered(l) ? l->tls->turn_last[CLIENT] : l->conn->handshake;
}

static bool before_response(const struct look *l)
{
	if (l->conn == NULL || l->brief != NULL || !up_ended(l) || l->answered)
		return false;
	if (l->x != NULL)
		return l->x->request.complete && l->x->outcome != OUTCOME_PARTIAL_HEADERS && l->x->outcome != OUTCOME_GARBLED;
	return accepted_only(l) || encrypted_and_unanswered(l);
}

static void prove_before_response(const struct look *l, struct finding *f, int64_t waited)
{
	char time[TIME_TEXT], idle[TIME_TEXT];

	if (f->arena == NULL)
		return;
	time_text(waited, time);
	if (accepted_only(l)) {
		note(f, l->conn->handshake, "TCP connection from %s to %s", l->gateway, l->upstream);
		note(f, l->end, "%s closed it with %s %s later, before the request was sent", l->upstream, closing_text(l), time);
	} else {
		if (l->x != NULL) {
			note_request(l, f);
			note(f, l->x->request_acked, "%s acknowledged the request: nothing was lost", l->upstream);
			if (l->x->n_interim != 0)
				note(f, l->x->interim_at, "%s sent an interim %u, which is no response", l->upstream, l->x->interim[0]);
		} else {
			note(f, l->tls->turn_first[CLIENT], "%s sent application data inside TLS", l->gateway);
		}
		note(f, l->end, "%s closed with %s %s after the request, before any byte of a response", l->upstream, closing_text(l), time);
		if (l->x != NULL && l->x->reused && l->x->idle_ns >= 0)
			note(f, l->x->request.first, "no keepalive race: the connection had been idle for only %s, and the %s",
			     time_text(l->x->idle_ns, idle), happened(l->x->request_acked) && !before(l->end, l->x->request_acked)
			     ? "upstream had the request when it closed" : "close does not fit an idle limit");
	}
	note_answer(l, f);
}

static void detail_before_response(const struct look *l, struct finding *f, int64_t waited)
{
	detail_seconds(f, "waited_s", waited);
	detail_word(f, "close", closing_word(l));
	if (l->x != NULL)
		detail_bool(f, "request_acked", happened(l->x->request_acked));
	if (l->x != NULL && l->x->idle_ns >= 0)
		detail_seconds(f, "idle_s", l->x->idle_ns);
	if (accepted_only(l))
		detail_bool(f, "before_request", true);
	if (encrypted_and_unanswered(l)) {
		detail_bool(f, "encrypted", true);
		at_most(f, CONFIDENCE_MEDIUM);
	}
	/* A crash or a kill takes all connections of a process with it (MECHANISMS 5). */
	if (f->arena != NULL) {
		unsigned together = learned_closed_together(l->c->learned, &l->t->upstream, l->end.time_ns - 10 * NS_PER_MS, l->end.time_ns + 10 * NS_PER_MS);

		if (together >= TOGETHER)
			detail_count(f, "closed_together", together);
	}
}

bool rule_reset_before_response(const struct look *l, struct finding *f)
{
	char time[TIME_TEXT];
	int64_t waited;

	if (!before_response(l) || !up_reset(l))
		return false;
	waited = l->end.time_ns - asked_at(l).time_ns;
	prove_before_response(l, f, waited);
	if (l->up->ttl_min == 0)
		at_most(f, CONFIDENCE_MEDIUM);  /* a device in between is not ruled out: no packet to compare with */
	if (f->arena != NULL && l->up->ttl_min != 0 && same_flow_ttl(l))
		note(f, l->end, "not by a device in between: hop limit %u, as the upstream's other packets", l->up->rst.ttl);
	/* MECHANISMS 1: a live socket's RST has ACK; a kernel that has no socket for the segment sends RST alone, with window 0. */
	if (up_closed(l, CLOSING_RST) && happened(l->up->syn) && (l->x == NULL || l->x->ordinal == 1) && l->up->rst.window == 0)
		note(f, l->end, "RST alone: its kernel holds no such connection: an accept queue that is full (tcp_abort_on_overflow), or a host that restarted");
	detail_before_response(l, f, waited);
	if (accepted_only(l))
		say(f, "%s accepted the connection and reset it %s later, before the gateway could send its request.", l->upstream, time_text(waited, time));
	else
		say(f, "%s reset the connection %s after the request, before any byte of a response.", l->upstream, time_text(waited, time));
	return true;
}

bool rule_closed_before_response(const struct look *l, struct finding *f)
{
	char time[TIME_TEXT];
	int64_t waited;

	if (!before_response(l) || up_reset(l))
		return false;
	waited = l->end.time_ns - asked_at(l).time_ns;
	prove_before_response(l, f, waited);
	detail_before_response(l, f, waited);
	if (accepted_only(l))
		say(f, "%s accepted the connection and closed it %s later, before the gateway could send its request.", l->upstream, time_text(waited, time));
	else
		say(f, "%s closed the connection %s after the request, before any byte of a response.", l->upstream, time_text(waited, time));
	return true;
}
