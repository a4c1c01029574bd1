/* rules_http.c - responses that a gateway does not take: framing, headers, size, coding, upgrades, loops */
#include "report.h"
#include "rules.h"

#include <inttypes.h>
#include <stdlib.h>

#define BIT(v) (UINT64_C(1) << VIOLATION_##v)

#define STATUS_LINE_BITS (BIT(STATUS_LINE) | BIT(STATUS_CODE) | BIT(HTTP_VERSION))
#define HEADER_BITS (BIT(NO_COLON) | BIT(NAME_BYTES) | BIT(NAME_EMPTY) | BIT(SPACE_COLON) | BIT(SPACE_NAME) | BIT(CONTROL_BYTE) | \
                     BIT(NUL_BYTE) | BIT(BARE_CR) | BIT(BARE_LF) | BIT(OBS_FOLD) | BIT(TRAILER_BAD))
#define FRAMING_BITS (BIT(LENGTH_CONFLICT) | BIT(LENGTH_TWICE) | BIT(LENGTH_GARBAGE) | BIT(LENGTH_NEGATIVE) | BIT(LENGTH_AND_CHUNKED) | \
                      BIT(CODING_UNKNOWN) | BIT(CODING_TWICE))
#define CHUNK_BITS (BIT(CHUNK_SIZE) | BIT(CHUNK_END))
#define CODING_BITS (BIT(CONTENT_CODING) | BIT(CONTENT_CODING_CUT))
#define UPGRADE_BITS (BIT(UPGRADE_UNASKED) | BIT(UPGRADE_OTHER))
#define UNSOLICITED_BITS (BIT(UNSOLICITED) | BIT(BODY_FORBIDDEN) | BIT(RESPONSE_EARLY))
#define H2_BITS (BIT(H2_FRAME) | BIT(H2_FRAME_SIZE) | BIT(H2_HPACK) | BIT(H2_PSEUDO) | BIT(H2_FIELD) | BIT(H2_LENGTH) | \
                 BIT(H2_WINDOW) | BIT(H2_PREFACE))

/* ---- which violation mattered ------------------------------------------------------------- */

/* A connection that neither side meant to close is closed by the gateway at once after a response: it threw it away. */
#define THROWN_AWAY_NS (5 * NS_PER_MS)

static bool thrown_away(const struct look *l)
{
	const struct conn_facts *c = l->conn;

	return l->x->outcome == OUTCOME_COMPLETE && !l->x->said_close && c->closing != CLOSING_NONE && c->closer == CLIENT &&
	       c->closed.time_ns >= l->x->response.last.time_ns && c->closed.time_ns - l->x->response.last.time_ns < THROWN_AWAY_NS;
}

/* Where a message ends cannot be told after these: every recipient must give it up (RFC 9112 6.3, 7.1), whoever closed. */
#define UNRECOVERABLE_BITS (CHUNK_BITS | BIT(LENGTH_CONFLICT) | BIT(LENGTH_GARBAGE) | BIT(LENGTH_NEGATIVE))

/* Seen from the upstream side alone, and the connection ended with it. */
static bool breaks_framing(const struct look *l)
{
	return (l->x->response.violations & UNRECOVERABLE_BITS) != 0 && l->conn->closing != CLOSING_NONE;
}

/* Did the gateway act on the response: error to its client, or end of the upstream exchange at once, its response
 * unfinished or thrown away? Any later close after a whole response proves nothing where the client is not seen. */
static bool gateway_acted(const struct look *l, struct mark on)
{
	if (l->client != NULL)
		return l->failed;
	if (thrown_away(l) || breaks_framing(l))
		return true;
	if (l->ended != ENDED_BY_GATEWAY || l->end.time_ns - on.time_ns >= ABSENCE_NS)
		return false;
	return l->x->outcome != OUTCOME_COMPLETE || (l->conn->closing == CLOSING_RST_ACK && l->conn->closer == CLIENT) ||
	       (l->h2 != NULL && happened(l->h2->rst_stream[CLIENT]));
}

/* Versions differ in what they take: one that the model allows still counts where the gateway acted and the model
 * refuses none of the others. */
const struct broken *refused_violation(const struct look *l, uint64_t mask)
{
	const struct gateway_model *m = l->c->model;
	const struct message *r;
	uint64_t refused = m->refused | m->refused_body | m->passed_raw;
	const struct broken *b = NULL;

	if (l->x == NULL || l->passed_on)
		return NULL;
	r = &l->x->response;
	for (unsigned i = 0; i < r->n_broken && b == NULL; i++)
		if ((violation_bit((enum violation)r->broken[i].rule) & refused) != 0)
			b = &r->broken[i];
	if (b == NULL && (l->client != NULL || m->name[0] == '\0' || (refused | m->refused_newer) == 0))
		b = r->n_broken != 0 ? &r->broken[0] : NULL;
	if (b == NULL || (violation_bit((enum violation)b->rule) & mask) == 0 || !gateway_acted(l, b->at))
		return NULL;
	return b;
}

static bool model_refuses(const struct look *l, const struct broken *b)
{
	const struct gateway_model *m = l->c->model;

	return m->name[0] == '\0' || (violation_bit((enum violation)b->rule) & (m->refused | m->refused_body | m->passed_raw | m->refused_newer)) != 0;
}

/* One violation of the upstream's, and what became of it: the proof of all the rules that rest on one. */
static bool violated(const struct look *l, struct finding *f, uint64_t mask, const char *what)
{
	const struct broken *b = refused_violation(l, mask);
	char bytes[QUOTE_TEXT];
	bool shown;

	if (b == NULL)
		return false;
	if (f->arena == NULL)
		return true;
	shown = b->excerpt.len != 0;            /* not where it is what is missing */
	quote_text(span_of(b->excerpt.bytes, b->excerpt.len), bytes);
	note_request(l, f);
	note(f, b->at, "%s sent %s (%s), at byte %" PRIu64 " of the response%s%s", l->upstream,
	     violation_text((enum violation)b->rule), violation_source((enum violation)b->rule), b->offset, shown ? ": " : "",
	     shown ? bytes : "");
	if (l->ended == ENDED_BY_GATEWAY && gw_closed(l))
		note(f, l->conn->closed, "%s closed the upstream connection", l->gateway);
	note_answer(l, f);
	if (!model_refuses(l, b) || (l->client == NULL && l->ended != ENDED_BY_GATEWAY))
		at_most(f, CONFIDENCE_MEDIUM);
	detail_word(f, "rule", violation_name((enum violation)b->rule));
	detail_count(f, "offset", (int64_t)b->offset);
	if (l->x->status != 0)
		detail_count(f, "upstream_status", l->x->status);
	say(f, "%s sent a response with %s, which the gateway does not take: %s%s%s%s.", l->upstream, what,
	    violation_text((enum violation)b->rule), shown ? " (" : "", shown ? bytes : "", shown ? ")" : "");
	return true;
}

bool rule_invalid_status_line(const struct look *l, struct finding *f)
{
	char bytes[QUOTE_TEXT];

	if (violated(l, f, STATUS_LINE_BITS, "an invalid status line"))
		return true;
	if (l->x == NULL || l->x->outcome != OUTCOME_GARBLED || !happened(l->x->response.first) || l->x->stream != 0)
		return false;
	note_request(l, f);
	note(f, l->x->response.first, "%s answered with bytes that are no status line: %s", l->upstream,
	     quote_text(span_of(l->conn->head[SERVER].bytes, l->conn->head[SERVER].len), bytes));
	note_answer(l, f);
	detail_word(f, "rule", violation_name(VIOLATION_STATUS_LINE));
	say(f, "%s answered with bytes that are no HTTP response.", l->upstream);
	return true;
}

bool rule_invalid_header(const struct look *l, struct finding *f)
{
	return violated(l, f, HEADER_BITS, "an invalid header line");
}

bool rule_conflicting_framing(const struct look *l, struct finding *f)
{
	return violated(l, f, FRAMING_BITS, "conflicting lengths");
}

bool rule_invalid_chunk(const struct look *l, struct finding *f)
{
	return violated(l, f, CHUNK_BITS, "a malformed chunk");
}

bool rule_invalid_content_coding(const struct look *l, struct finding *f)
{
	return violated(l, f, CODING_BITS, "a body that is not coded as its Content-Encoding says");
}

/* ---- bytes that nobody asked for ---------------------------------------------------------- */

bool rule_unsolicited_response(const struct look *l, struct finding *f)
{
	const struct message *r;

	if (l->x == NULL || (l->x->response.violations & UNSOLICITED_BITS) == 0)
		return false;
	r = &l->x->response;
	if (violated(l, f, UNSOLICITED_BITS, "bytes that no request asked for"))
		return true;
	/* Passed on as if it answered this request: the client has another request's answer. */
	if ((r->violations & BIT(RESPONSE_EARLY)) == 0 || l->x->status < 400)
		return false;
	note_request(l, f);
	note(f, r->first, "%s sent %u before it had seen the request", l->upstream, l->x->status);
	note_answer(l, f);
	detail_word(f, "rule", violation_name(VIOLATION_RESPONSE_EARLY));
	detail_count(f, "upstream_status", l->x->status);
	say(f, "%s sent a response (%u) that answers no request, and the gateway took it for the answer to this one.", l->upstream, l->x->status);
	return true;
}

/* ---- upgrades ----------------------------------------------------------------------------- */

bool rule_upgrade_failed(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	const struct broken *b;
	bool unasked;

	if (x == NULL || l->passed_on)
		return false;
	unasked = (x->response.violations & UPGRADE_BITS) != 0;
	if (unasked) {
		b = &x->response.broken[0];
		if (l->client != NULL ? !l->failed && l->client->status != 101
		                      : l->ended != ENDED_BY_GATEWAY && x->outcome == OUTCOME_UPGRADED)
			return false;
		note_request(l, f);
		note(f, x->response.n_broken != 0 ? b->at : x->response.first, "%s answered 101: %s (RFC 9110 15.2.2)", l->upstream,
		     (x->response.violations & BIT(UPGRADE_UNASKED)) != 0 ? "nobody had asked for an upgrade" : "to another protocol than was asked for");
		note_answer(l, f);
		detail_word(f, "reason", (x->response.violations & BIT(UPGRADE_UNASKED)) != 0 ? "unasked" : "other-protocol");
		say(f, "%s answered 101 Switching Protocols %s.", l->upstream, (x->response.violations & BIT(UPGRADE_UNASKED)) != 0
		    ? "to a request that asked for no upgrade" : "for another protocol than the request had asked for");
		return true;
	}
	if (l->client == NULL || !l->failed || (x->request.signs & SIGN_UPGRADE) == 0 || x->status < 200 || x->status >= 500)
		return false;
	note_request(l, f);
	note(f, x->response.first, "%s answered the upgrade with %u instead of 101", l->upstream, x->status);
	note_answer(l, f);
	detail_word(f, "reason", "refused");
	detail_count(f, "upstream_status", x->status);
	say(f, "The gateway needed an upgrade and %s refused it with %u.", l->upstream, x->status);
	return true;
}

/* ---- size --------------------------------------------------------------------------------- */

/* "16k", "32768", "1m" of --limit. */
static uint64_t size_of_option(const char *value)
{
	char *end;
	unsigned long long n = strtoull(value, &end, 10);

	if (*end == 'k' || *end == 'K')
		n <<= 10;
	else if (*end == 'm' || *end == 'M')
		n <<= 20;
	return n;
}

static uint64_t limit_option(const struct case_file *c, const char *name, uint64_t otherwise)
{
	for (unsigned i = 0; i < c->n_limits; i++)
		if (strcmp(c->limits[i].name, name) == 0)
			return size_of_option(c->limits[i].value);
	return otherwise;
}

struct too_large { const char *what, *unit; uint64_t is, limit; };

static bool exceeds(const struct look *l, struct too_large *t)
{
	const struct gateway_model *m = l->c->model;
	uint64_t head = l->x != NULL ? l->x->response.head_bytes : l->brief->response_head_bytes;
	uint64_t limit = limit_option(l->c, "header-size", m->header_limit);

	if (limit != 0 && head > limit) {
		*t = (struct too_large){ "header-section", " bytes", head, limit };
		return true;
	}
	if (l->x == NULL)
		return false;
	limit = limit_option(l->c, "header-line", m->line_limit);
	if (limit != 0 && l->x->response.longest_line > limit) {
		*t = (struct too_large){ "header-line", " bytes", l->x->response.longest_line, limit };
		return true;
	}
	limit = limit_option(l->c, "header-count", m->field_limit);
	if (limit != 0 && l->x->response.fields > limit) {
		*t = (struct too_large){ "header-count", " lines", l->x->response.fields, limit };
		return true;
	}
	return false;
}

/* The smallest buffer that any known gateway has for a response's header section: one page (nginx, proxy_buffer_size). */
enum { SMALLEST_HEADER_LIMIT = 4096 };

/* The limit is not known, or the configuration raised it: larger than all that passed, and thrown away at once. */
static bool larger_than_any(const struct look *l, struct too_large *t)
{
	struct server_seen seen = { 0 };
	uint64_t head;

	if (l->x == NULL || l->c->model->header_limit != 0)
		return false;
	head = l->x->response.head_bytes;
	if (head <= SMALLEST_HEADER_LIMIT || !gw_closed(l) ||
	    l->conn->closed.time_ns - l->x->response.last.time_ns >= ABSENCE_NS || l->x->response.n_broken != 0)
		return false;
	(void)learned_server(l->c->learned, &l->t->upstream, &seen);
	if (seen.largest_head_passed >= head)
		return false;
	*t = (struct too_large){ "header-section", " bytes", head, 0 };
	return true;
}

/* Whole, and seen from the upstream side alone: no limit is known, but all gateways measured take less by default, but for
 * Caddy, h2o and Traffic Server (128 KiB) and what is made of Go. */
enum { USUAL_HEADER_LIMIT = 65536 };

static bool larger_than_usual(const struct look *l, struct too_large *t)
{
	if (l->x == NULL || l->client != NULL || l->c->model->header_limit != 0 || l->x->response.head_bytes <= USUAL_HEADER_LIMIT)
		return false;
	*t = (struct too_large){ "header-section", " bytes", l->x->response.head_bytes, USUAL_HEADER_LIMIT };
	return true;
}

bool rule_header_too_large(const struct look *l, struct finding *f)
{
	struct too_large t = { "", "", 0, 0 };
	struct mark at;
	bool known, acted;

	if ((l->x == NULL && l->brief == NULL) || l->passed_on || !l->answered || (l->x != NULL && l->x->stream != 0 && l->x->status == 0))
		return false;
	if (l->client == NULL && l->x == NULL)
		return false;
	at = l->x != NULL ? l->x->response.first : l->brief->response_first;
	known = exceeds(l, &t);
	acted = l->x != NULL ? gateway_acted(l, l->x->response.last) : l->failed;
	if (!(acted && (known || larger_than_any(l, &t))) && !larger_than_usual(l, &t))
		return false;
	note_request(l, f);
	note(f, at, "%s began a response whose %s is %" PRIu64 "%s", l->upstream, t.what, t.is, t.unit);
	if (gw_closed(l))
		note(f, l->conn->closed, "%s closed the upstream connection %s", l->gateway,
		     l->x->outcome == OUTCOME_COMPLETE ? "and threw the rest away" : "before the response was whole");
	note_answer(l, f);
	detail_word(f, "what", t.what);
	detail_count(f, t.unit[1] == 'l' ? "header_lines" : "header_bytes", (int64_t)t.is);
	if (t.limit != 0)
		detail_count(f, "limit", (int64_t)t.limit);
	if (!known)
		at_most(f, CONFIDENCE_LOW);
	else if (l->c->model->name[0] == '\0')
		at_most(f, CONFIDENCE_MEDIUM);
	if (t.limit != 0)
		say(f, "The response of %s has a %s of %" PRIu64 "%s, more than the %" PRIu64 " that the gateway takes.", l->upstream, t.what, t.is,
		    t.unit, t.limit);
	else
		say(f, "The gateway threw away a response of %s right after its header section of %" PRIu64 " bytes.", l->upstream, t.is);
	return true;
}

/* ---- the request came back ---------------------------------------------------------------- */

bool rule_proxy_loop(const struct look *l, struct finding *f)
{
	const struct case_file *c = l->c;
	unsigned via, xff;
	struct mark at;

	if (l->t == NULL || c->client == NULL || c->front.port == 0 || !endpoint_equal(&l->t->upstream, &c->front) ||
	    (l->x == NULL && l->brief == NULL))
		return false;
	via = l->x != NULL ? l->x->via_count : l->brief->via_count;
	xff = l->x != NULL ? l->x->xff_count : l->brief->xff_count;
	at = l->x != NULL ? l->x->request.first : l->brief->request;
	if (via <= c->client->x.via_count && xff <= c->client->x.xff_count)
		return false;
	note(f, c->client->x.request.first, "the client's request: %u in Via, %u in X-Forwarded-For", c->client->x.via_count, c->client->x.xff_count);
	note(f, at, "%s sent it on to %s, itself: %u in Via, %u in X-Forwarded-For", l->gateway, l->upstream, via, xff);
	note_answer(l, f);
	detail_count(f, "turns", c->n_trials);
	say(f, "The gateway sent the request to itself (%s): each turn adds to Via or X-Forwarded-For until something gives up.", l->upstream);
	return true;
}
