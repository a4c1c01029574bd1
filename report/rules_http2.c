/* rules_http2.c - HTTP/2 between gateway and upstream: resets, GOAWAY, broken frames, windows, gRPC */
#include "rules.h"

#include <inttypes.h>
#include <stdio.h>

/* RFC 9113 7 */
static const char *error_name(uint32_t code)
{
	static const char *const names[] = {
		"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
		"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
		"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
	};

	return code < sizeof names / sizeof names[0] ? names[code] : "unknown";
}

enum { NO_ERROR = 0, REFUSED_STREAM = 7, LAST_STREAM_GRACEFUL = 0x7fffffff };

/* ---- broken HTTP/2 ------------------------------------------------------------------------ */

static const struct broken *broken_frame(const struct look *l)
{
	const struct message *r = &l->x->response;

	for (unsigned i = 0; i < r->n_broken; i++)
		if (r->broken[i].rule >= VIOLATION_H2_FRAME && r->broken[i].rule <= VIOLATION_H2_PREFACE)
			return &r->broken[i];
	return NULL;
}

/* The gateway ended stream or connection, or its client was told. */
static bool gateway_ended_it(const struct look *l)
{
	if (happened(l->h2->rst_stream[CLIENT]) || (happened(l->h2->goaway[CLIENT]) && l->h2->goaway_code[CLIENT] != NO_ERROR))
		return true;
	/* A connection that was closed in the end proves nothing about a stream that was whole. */
	if (gw_closed(l) && l->x->outcome != OUTCOME_COMPLETE)
		return true;
	return l->client != NULL && l->failed;
}

bool rule_http2_protocol_error(const struct look *l, struct finding *f)
{
	const struct broken *b;
	enum violation rule;
	struct mark at;
	char bytes[QUOTE_TEXT];

	if (l->h2 == NULL || l->passed_on)
		return false;
	b = broken_frame(l);
	if (b == NULL && !happened(l->h2->error_at))
		return false;
	at = b != NULL ? b->at : l->h2->error_at;
	rule = (enum violation)(b != NULL ? b->rule : l->h2->error_rule);
	/* An error on the connection after this stream was answered or reset did not end it. */
	if (!gateway_ended_it(l) || before(at, l->x->request.first) ||
	    (happened(l->h2->rst_stream[SERVER]) && before(l->h2->rst_stream[SERVER], at)))
		return false;
	note_request(l, f);
	if (b != NULL && b->excerpt.len != 0)
		note(f, at, "%s sent %s (%s): %s", l->upstream, violation_text(rule), violation_source(rule),
		     quote_text(span_of(b->excerpt.bytes, b->excerpt.len), bytes));
	else
		note(f, at, "%s sent %s (%s)", l->upstream, violation_text(rule), violation_source(rule));
	note(f, l->h2->rst_stream[CLIENT], "%s reset the stream: %s", l->gateway, error_name(l->h2->rst_code[CLIENT]));
	note(f, l->h2->goaway[CLIENT], "%s sent GOAWAY: %s", l->gateway, error_name(l->h2->goaway_code[CLIENT]));
	if (gw_closed(l))
		note(f, l->conn->closed, "%s closed the connection", l->gateway);
	note_answer(l, f);
	detail_word(f, "rule", violation_name(rule));
	if (happened(l->h2->rst_stream[CLIENT]) || happened(l->h2->goaway[CLIENT]))
		detail_word(f, "http2_error", error_name(happened(l->h2->rst_stream[CLIENT]) ? l->h2->rst_code[CLIENT] : l->h2->goaway_code[CLIENT]));
	if (l->h2->joined_late && l->h2->fields_unknown)
		at_most(f, CONFIDENCE_MEDIUM);
	say(f, "%s broke HTTP/2 and the gateway gave up: %s.", l->upstream, violation_text(rule));
	return true;
}

/* ---- GOAWAY, RST_STREAM ------------------------------------------------------------------- */

bool rule_http2_goaway(const struct look *l, struct finding *f)
{
	const struct h2_facts *h = l->h2;
	char debug[QUOTE_TEXT];

	if (h == NULL || !happened(h->goaway[SERVER]) || h->goaway_last[SERVER] >= l->x->stream ||
	    h->goaway_last[SERVER] == LAST_STREAM_GRACEFUL || l->x->outcome == OUTCOME_COMPLETE)
		return false;
	/* Streams that the gateway opened after it knew are its own fault; both are left unprocessed. */
	note_request(l, f);
	note(f, h->goaway_graceful[SERVER], "%s announced GOAWAY (last stream 2^31-1)", l->upstream);
	note(f, h->goaway[SERVER], "%s sent GOAWAY: %s, last stream %u, below this stream %u%s%s", l->upstream, error_name(h->goaway_code[SERVER]),
	     h->goaway_last[SERVER], l->x->stream, h->goaway_debug[SERVER].len != 0 ? ", debug data " : "",
	     h->goaway_debug[SERVER].len != 0 ? quote_text(span_of(h->goaway_debug[SERVER].bytes, h->goaway_debug[SERVER].len), debug) : "");
	note_answer(l, f);
	detail_word(f, "http2_error", error_name(h->goaway_code[SERVER]));
	detail_count(f, "last_stream", h->goaway_last[SERVER]);
	detail_count(f, "stream", l->x->stream);
	detail_bool(f, "graceful", happened(h->goaway_graceful[SERVER]));
	say(f, "%s sent GOAWAY (%s) and left this request unprocessed (stream %u, last one taken %u): it can be sent again safely.", l->upstream,
	    error_name(h->goaway_code[SERVER]), l->x->stream, h->goaway_last[SERVER]);
	return true;
}

bool rule_http2_stream_reset(const struct look *l, struct finding *f)
{
	const struct h2_facts *h = l->h2;
	uint32_t code;

	if (h == NULL || !happened(h->rst_stream[SERVER]) || (happened(h->rst_stream[CLIENT]) && before(h->rst_stream[CLIENT], h->rst_stream[SERVER])))
		return false;
	code = h->rst_code[SERVER];
	/* NO_ERROR after a whole response asks for no more of the request: legal (RFC 9113 8.1). */
	if (l->x->response.complete && (code == NO_ERROR || l->passed_on))
		return false;
	note_request(l, f);
	note(f, l->x->response.first, "%s began its response: status %u", l->upstream, l->x->status);
	note(f, h->rst_stream[SERVER], "%s reset the stream: %s", l->upstream, error_name(code));
	note_answer(l, f);
	detail_word(f, "http2_error", error_name(code));
	detail_count(f, "stream", l->x->stream);
	detail_bool(f, "processed", code != REFUSED_STREAM);
	if (l->x->response.body_bytes != 0)
		detail_count(f, "body_bytes", (int64_t)l->x->response.body_bytes);
	say(f, "%s reset this request's stream: %s%s.", l->upstream, error_name(code),
	    code == REFUSED_STREAM ? ", not processed, so it can be sent again safely" : "");
	return true;
}

/* ---- windows ------------------------------------------------------------------------------ */

bool rule_http2_flow_control_stall(const struct look *l, struct finding *f)
{
	const struct h2_facts *h = l->h2;
	const char *owes, *window;
	char time[TIME_TEXT];
	bool gateway_owes;

	if (h == NULL || !happened(h->stalled) || up_ended(l) || !silent_enough(l, h->stalled))
		return false;
	gateway_owes = h->stalled_side == CLIENT;
	/* END_STREAM sent with the giving up itself (HAProxy) does not mean that nothing was owed before. */
	if (gateway_owes ? l->x->request.complete && before(l->x->request.last, l->gave_up) : l->x->response.complete)
		return false;
	owes = gateway_owes ? l->gateway : l->upstream;
	window = h->stalled_connection ? "connection" : "stream";
	note_request(l, f);
	note(f, h->settings[gateway_owes ? SERVER : CLIENT], "%s sent its SETTINGS", gateway_owes ? l->upstream : l->gateway);
	note(f, h->stalled, "from here on %s had no window left on the %s and still owed data", owes, window);
	note(f, l->gave_up, "no WINDOW_UPDATE for %s, and the gateway gave up", time_text(waited_ns(l, h->stalled), time));
	note_answer(l, f);
	detail_seconds(f, "waited_s", waited_ns(l, h->stalled));
	detail_word(f, "window", window);
	detail_word(f, "stalled", gateway_owes ? "request" : "response");
	if (!gateway_owes)
		blame(f, FAULT_GATEWAY);
	say(f, "%s gave no more HTTP/2 window (%s) for %s while the %s still had data to send.", gateway_owes ? l->upstream : "The gateway", window,
	    time_text(waited_ns(l, h->stalled), time), gateway_owes ? "gateway" : "upstream");
	return true;
}

/* ---- gRPC --------------------------------------------------------------------------------- */

bool rule_grpc_missing_trailers(const struct look *l, struct finding *f)
{
	if (l->h2 == NULL || l->client == NULL || !l->failed || !l->x->grpc || l->x->grpc_status >= 0 || l->h2->trailers ||
	    !l->x->response.complete || l->x->status != 200)
		return false;
	note_request(l, f);
	note(f, l->x->response.last, "%s ended its gRPC response without trailers: no grpc-status", l->upstream);
	note_answer(l, f);
	detail_count(f, "body_bytes", (int64_t)l->x->response.body_bytes);
	say(f, "%s ended a gRPC response without trailers, so without grpc-status, and the gateway made an error of it.", l->upstream);
	return true;
}
