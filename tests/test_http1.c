/* test_http1.c - HTTP/1 messages, whole and cut anywhere; pairing; holes; ends; each violation */
#include "check.h"
#include "http1_stub.h"

#include "../capture/hash.h"
#include "../capture/limits.h"

/* ---- stories: what each side says, in turn ------------------------------------------------- */

enum { STORY_MAX = 12 };

struct said { enum side from; const char *text; };      /* text NULL: the end */
struct story { struct said said[STORY_MAX]; };

#define C(text) { CLIENT, text }
#define S(text) { SERVER, text }

static struct span said_bytes(const struct said *s)
{
	return span_text(s->text);
}

static struct wire *play(const struct story *s, size_t split, size_t cut)
{
	struct wire *w = wire_new(false);

	w->split = split;
	w->cut = cut;
	w->c.free_at_once = cut == 1;
	for (unsigned i = 0; i < STORY_MAX && s->said[i].text != NULL; i++)
		wire_send(w, s->said[i].from, said_bytes(&s->said[i]));
	return w;
}

/* All that is told of an exchange but packets, times and excerpts, which the cutting changes. */
static void digest_message(FILE *f, const struct message *m)
{
	fprintf(f, " head %d/%lu fields %u longest %u version %d framing %d body %lu declared %lx complete %d early %d signs %x violations %lx missing %lu hash %lx",
	        m->head_complete, (unsigned long)m->head_bytes, m->fields, m->longest_line, m->version, m->framing,
	        (unsigned long)m->body_bytes, (unsigned long)m->declared, m->complete, m->early, m->signs,
	        (unsigned long)m->violations, (unsigned long)m->missing, (unsigned long)m->body_hash);
	for (unsigned i = 0; i < m->n_broken; i++)
		fprintf(f, " [%d at %lu]", m->broken[i].rule, (unsigned long)m->broken[i].offset);
}

static void digest_text(FILE *f, const char *name, struct span s)
{
	fprintf(f, " %s '%.*s'", name, (int)s.len, (const char *)s.at);
}

static void digest_exchange(FILE *f, const struct exchange *x)
{
	fprintf(f, "#%u method %d status %d outcome %d interim %d hashes %lx %lx %lx %lx %lx ids %d via %d xff %d close %d\n", x->f.ordinal,
	        x->f.method, x->f.status, x->f.outcome, x->f.n_interim, (unsigned long)x->f.target_hash, (unsigned long)x->f.path_hash,
	        (unsigned long)x->f.authority_hash, (unsigned long)x->f.agent_hash, (unsigned long)x->f.pass_hash, x->f.n_ids,
	        x->f.via_count, x->f.xff_count, x->f.said_close);
	digest_message(f, &x->f.request);
	digest_message(f, &x->f.response);
	digest_text(f, "method", exchange_span(x, x->f.method_text));
	digest_text(f, "target", exchange_span(x, x->f.target));
	digest_text(f, "authority", exchange_span(x, x->f.authority));
	digest_text(f, "reason", exchange_span(x, x->f.reason));
	digest_text(f, "server", exchange_span(x, x->f.server));
	digest_text(f, "head", exchange_span(x, x->f.request_head));
	if (x->f.status >= 400)
		digest_text(f, "head", exchange_span(x, x->f.response_head));
	digest_text(f, "body", exchange_span(x, x->f.body));
	fputc('\n', f);
}

static char *digest(struct wire *w)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	wire_end(w, SERVER, END_FIN);
	wire_end(w, CLIENT, END_FIN);
	for (unsigned i = 0; i < w->c.n_told; i++)
		digest_exchange(f, w->c.told[i]);
	fprintf(f, "close %d switched %d\n", w->c.said_close, w->c.switched);
	fclose(f);
	return text;
}

/* The same bytes cut at any place, and one by one, give the same. */
static void check_cuts(const struct story *s)
{
	struct wire *w = play(s, 0, 0);
	char *whole = digest(w), *cut;
	size_t longest = 0;

	wire_free(w);
	for (unsigned i = 0; i < STORY_MAX && s->said[i].text != NULL; i++)
		if (strlen(s->said[i].text) > longest)
			longest = strlen(s->said[i].text);
	for (size_t at = 0; at < longest; at++) {
		w = play(s, at, at == 0 ? 1 : 0);       /* 0: one by one */
		cut = digest(w);
		if (!CHECK_STR(cut, whole))
			printf("#   cut at %zu\n", at);
		CHECK(w->self != NULL);
		wire_free(w);
		free(cut);
	}
	free(whole);
}

/* Plays a story whole and cut, and gives the whole one to look at, before its end. */
static struct wire *tell_story(const struct story *s)
{
	check_cuts(s);
	return play(s, 0, 0);
}

#define TELL(...) tell_story(&(struct story){ { __VA_ARGS__, { CLIENT, NULL } } })

#define GET "GET /a/b?c=1 HTTP/1.1\r\nHost: Shop.Example\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static bool has(const struct message *m, enum violation v)
{
	return (m->violations & violation_bit(v)) != 0;
}

/* ---- framing: RFC 9112 6.3 ----------------------------------------------------------------- */

TEST(a_get_and_its_answer)
{
	struct wire *w = TELL(C(GET), S(OK));
	const struct exchange *x = wire_told(w, 0);

	CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	CHECK(x->done);
	CHECK_INT(x->f.status, 200);
	CHECK_INT(x->f.method, METHOD_GET);
	CHECK_SPAN(wire_text(w, 0, x->f.target), "/a/b?c=1");
	CHECK_SPAN(wire_text(w, 0, x->f.authority), "Shop.Example");
	CHECK_INT((int64_t)x->f.authority_hash, (int64_t)fingerprint(span_text("shop.example")));
	CHECK_SPAN(wire_text(w, 0, x->f.request_head), GET);
	CHECK_INT(x->f.response_head.len, 0);
	CHECK_INT(x->f.request.head_bytes, sizeof GET - 1);
	CHECK_INT(x->f.request.fields, 1);
	CHECK_INT(x->f.request.first.packet, 1);
	CHECK_INT(x->f.request.last.packet, 1);
	CHECK_INT(x->f.response.first.packet, 2);
	CHECK_INT(x->f.response.body_bytes, 2);
	CHECK_INT(x->f.response.framing, FRAMING_LENGTH);
	CHECK_INT(x->request_end, sizeof GET - 1);
	CHECK_INT(x->f.request.violations | x->f.response.violations, 0);
	CHECK(x->f.request.complete && x->f.response.complete && !x->f.response.early && !x->f.said_close);
	CHECK_INT(w->c.allocations, 1);                 /* the decoder's own state, and nothing for the exchange */
	wire_free(w);
}

TEST(bodies_are_skipped)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
	uint8_t body[10000] = { 0 };
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_of(head, sizeof head - 1));
	for (int i = 0; i < 10; i++)
		wire_send(w, SERVER, span_of(body, sizeof body));
	CHECK_INT(w->given[SERVER], sizeof head - 1);
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, 100000);
	CHECK_INT(wire_told(w, 0)->f.response.last.packet, 12);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

TEST(a_request_body_ends_where_its_length_says)
{
	struct wire *w = TELL(C("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello "), C("world" GET), S(OK OK));

	CHECK_INT(wire_told(w, 0)->f.request.body_bytes, 11);
	CHECK_INT(wire_told(w, 0)->f.method, METHOD_POST);
	CHECK_INT(wire_told(w, 1)->f.method, METHOD_GET);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

TEST(head_204_and_304_have_no_body)
{
	struct wire *w = TELL(C("HEAD / HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
	                      C(GET), S("HTTP/1.1 204 No Content\r\n\r\n"),
	                      C(GET), S("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"), C(GET), S(OK));

	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(wire_told(w, i)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 0)->f.response.declared, 500);
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, 0);
	CHECK_INT(wire_told(w, 3)->f.response.body_bytes, 2);
	wire_free(w);
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

TEST(chunks_extensions_and_trailers)
{
	struct wire *w = TELL(C(GET), S(CHUNKED "5\r\nhello\r\n6;a=b\r\n world\r\n000\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n"), C(GET), S(OK));
	const struct exchange *x = wire_told(w, 0);

	CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(x->f.response.framing, FRAMING_CHUNKED);
	CHECK_INT(x->f.response.body_bytes, 11);
	CHECK_INT((int64_t)x->f.response.violations, (int64_t)violation_bit(VIOLATION_CHUNK_EXTENSION));
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

TEST(a_chunked_request)
{
	struct wire *w = TELL(C("PUT /x HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"), S(OK), C(GET), S(OK));

	CHECK_INT(wire_told(w, 0)->f.request.body_bytes, 10);
	CHECK_INT(wire_told(w, 0)->f.request.violations, 0);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

TEST(without_length_the_close_ends_the_body)
{
	struct wire *w = TELL(C(GET), S("HTTP/1.0 200 OK\r\n\r\nsome"), S(" bytes"));

	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_IN_PROGRESS);
	wire_end(w, SERVER, END_FIN);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK(wire_told(w, 0)->f.response.complete);
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, 10);
	CHECK(wire_told(w, 0)->f.said_close);
	wire_free(w);
}

TEST(pipelined_requests_are_answered_in_order)
{
	struct wire *w = TELL(C("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
	                      S("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\n2"),
	                      S("HTTP/1.1 202 OK\r\nContent-Length: 1\r\n\r\n3"));

	for (unsigned i = 0; i < 3; i++) {
		CHECK_INT(wire_told(w, i)->f.status, 200 + i);
		CHECK_INT(wire_told(w, i)->f.ordinal, i + 1);
	}
	CHECK_SPAN(wire_text(w, 2, wire_told(w, 2)->f.target), "/3");
	wire_free(w);
}

TEST(interim_responses_do_not_answer)
{
	struct wire *w = TELL(C("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
	                      S("HTTP/1.1 100 Continue\r\n\r\n"), C("hi"),
	                      S("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"), S(OK));
	const struct exchange *x = wire_told(w, 0);

	CHECK_INT(x->f.n_interim, 3);
	CHECK_INT(x->f.interim[0], 100);
	CHECK_INT(x->f.interim[1], 103);
	CHECK_INT(x->f.interim[2], 102);
	CHECK_INT(x->f.interim_at.packet, 2);
	CHECK_INT(x->f.status, 200);
	CHECK_INT(x->f.response.first.packet, 5);
	CHECK_INT(x->f.response.fields, 1);
	CHECK(!x->f.response.early);
	CHECK((x->f.request.signs & SIGN_EXPECT_100) != 0);
	wire_free(w);
}

TEST(silence_after_an_interim_response_is_no_response)
{
	struct wire *w = TELL(C(GET), S("HTTP/1.1 100 Continue\r\n\r\n"));

	wire_end(w, SERVER, END_FIN);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_NO_RESPONSE);
	CHECK_INT(wire_told(w, 0)->f.status, 0);
	wire_free(w);
}

TEST(an_early_answer_is_told)
{
	struct wire *w = TELL(C("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"), S("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), C("more"));
	const struct exchange *x = wire_told(w, 0);

	CHECK(x->f.response.early && x->f.response.complete && !x->f.request.complete && !x->done);
	wire_end(w, SERVER, END_RST);
	x = wire_told(w, 0);
	CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(x->f.status, 413);
	CHECK_INT(x->f.request.body_bytes, 4);
	CHECK(!x->f.request.complete && x->f.said_close && w->c.said_close);
	wire_free(w);
}

TEST(an_early_answer_whose_request_goes_on)
{
	struct wire *w = TELL(C("POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\n1234"), S(OK), C("5678" GET), S(OK));

	CHECK(wire_told(w, 0)->f.response.early && wire_told(w, 0)->f.request.complete);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK(!wire_told(w, 1)->f.response.early);
	wire_free(w);
}

TEST(empty_lines_before_a_request_are_passed_over)
{
	struct wire *w = TELL(C("\r\n\r\n" GET "\r\n" GET), S(OK OK));

	CHECK_INT(wire_told(w, 0)->f.request.violations, 0);
	CHECK_INT(wire_told(w, 0)->f.request.head_bytes, sizeof GET - 1);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

/* ---- other protocols ----------------------------------------------------------------------- */

TEST(websocket_and_unasked_upgrades)
{
	static const char asks[] = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
	struct wire *w = TELL(C(asks), S("HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\n\r\n\x81\x01x"), C("\x81\x81...."));

	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_UPGRADED);
	CHECK_INT(wire_told(w, 0)->f.response.violations, 0);
	CHECK(!w->c.switched);
	CHECK_INT(w->c.n_told, 0);
	wire_free(w);
	w = TELL(C(GET), S("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n"));
	CHECK(has(&wire_told(w, 0)->f.response, VIOLATION_UPGRADE_UNASKED));
	wire_free(w);
	w = TELL(C(asks), S("HTTP/1.1 101 Switching\r\nUpgrade: other\r\n\r\n"));
	CHECK(has(&wire_told(w, 0)->f.response, VIOLATION_UPGRADE_OTHER));
	wire_free(w);
}

TEST(h2c_goes_on_in_http2)
{
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text("GET / HTTP/1.1\r\nUpgrade: h2c, foo\r\nHTTP2-Settings: AAMA\r\nConnection: upgrade\r\n\r\n"));
	wire_send(w, SERVER, span_text("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\0\0\0\4"));
	CHECK(w->c.switched && w->c.switched_from_server);
	CHECK_INT(w->c.switch_used, sizeof answer - 1);
	CHECK(w->c.switched_to == &http2_protocol);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_UPGRADED);
	CHECK_INT(wire_told(w, 0)->f.request.complete, true);
	CHECK(!wire_told(w, 0)->done);                          /* its answer comes on stream 1 */
	wire_free(w);
	w = wire_new(false);                                    /* 101 amid a request: it is over */
	wire_send(w, CLIENT, span_text("POST / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 9\r\n\r\n1"));
	wire_send(w, SERVER, span_text(answer));
	CHECK(wire_told(w, 0)->done);
	wire_free(w);
}

TEST(connect_opens_a_tunnel)
{
	struct wire *w = TELL(C("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), S("HTTP/1.1 200 Established\r\nContent-Length: 5\r\n\r\n\x16\x03\x01"), C("\x16\x03"));

	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_TUNNEL);
	CHECK_INT(wire_told(w, 0)->f.response.violations, 0);
	CHECK_SPAN(wire_text(w, 0, wire_told(w, 0)->f.authority), "a:443");
	CHECK(w->c.switched_to == &connect_protocol);
	CHECK_INT(w->c.switch_used, sizeof "HTTP/1.1 200 Established\r\nContent-Length: 5\r\n\r\n" - 1);
	wire_free(w);
}

TEST(a_refused_connect_is_an_exchange)
{
	struct wire *w = TELL(C("CONNECT a:443 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"), C(GET), S(OK));

	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 0)->f.status, 403);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

TEST(an_answer_that_is_no_http_is_garbled)
{
	struct wire *w = wire_new(false);
	const struct exchange *x;

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("SSH-2.0-OpenSSH_9.2\r\n"));
	wire_send(w, SERVER, span_text("more"));
	wire_end(w, CLIENT, END_RST);
	x = wire_told(w, 0);
	CHECK_INT(x->f.outcome, OUTCOME_GARBLED);
	CHECK(has(&x->f.response, VIOLATION_STATUS_LINE));
	CHECK_SPAN(wire_text(w, 0, x->f.body), "SSH-2.0-OpenSSH_9.2\r\nmore");
	CHECK_INT(x->f.response.body_bytes, 25);
	CHECK_INT(x->f.response.first.packet, 2);
	wire_free(w);
}

TEST(garbage_that_begins_like_a_status_line)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HT"));
	wire_send(w, SERVER, span_text("ML? no"));
	wire_end(w, SERVER, END_FIN);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_GARBLED);
	CHECK_SPAN(wire_text(w, 0, wire_told(w, 0)->f.body), "HTML? no");
	wire_free(w);
}

/* ---- nobody asked -------------------------------------------------------------------------- */

TEST(a_second_response_is_unsolicited)
{
	struct wire *w = wire_new(false);
	const struct message *m;

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK OK));
	m = &wire_told(w, 0)->f.response;
	CHECK(has(m, VIOLATION_UNSOLICITED));
	CHECK_INT(m->broken[0].at.packet, 2);
	CHECK_SPAN(span_first(span_of(m->broken[0].excerpt.bytes, m->broken[0].excerpt.len), 15), "HTTP/1.1 200 OK");
	wire_send(w, CLIENT, span_text(GET));           /* and the connection goes on */
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 1)->f.response.violations, 0);
	wire_free(w);
}

TEST(a_body_after_head_is_forbidden)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text("HEAD / HTTP/1.1\r\n\r\n"));
	wire_send(w, SERVER, span_text(OK));
	CHECK(has(&wire_told(w, 0)->f.response, VIOLATION_BODY_FORBIDDEN));
	wire_send(w, CLIENT, span_text("HEAD / HTTP/1.1\r\n\r\n"));
	wire_send(w, SERVER, span_text("HTTP/1.1 304 Not Modified\r\n\r\n"));
	wire_send(w, SERVER, span_text("late body"));
	CHECK(has(&wire_told(w, 1)->f.response, VIOLATION_BODY_FORBIDDEN));
	CHECK(!has(&wire_told(w, 1)->f.response, VIOLATION_UNSOLICITED));
	wire_free(w);
}

TEST(a_timeout_response_on_an_idle_connection)
{
	struct wire *w = wire_new(false);
	const struct exchange *x;

	w->c.free_at_once = true;                       /* the exchange before has long been told */
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	wire_send(w, SERVER, span_text("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
	wire_end(w, SERVER, END_FIN);
	wire_end(w, CLIENT, END_FIN);
	x = wire_told(w, 1);
	CHECK_INT(x->f.status, 408);
	CHECK_INT(x->f.method_text.len, 0);
	CHECK(has(&x->f.response, VIOLATION_UNSOLICITED));
	CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

TEST(a_request_after_its_response_is_told_as_early)
{
	struct wire *w = wire_new(false);
	const struct exchange *x;

	wire_send(w, SERVER, span_text("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"));
	CHECK(!wire_told(w, 0)->done);
	wire_send(w, CLIENT, span_text(GET));
	x = wire_told(w, 0);
	CHECK(x->done && x->f.response.early);
	CHECK(has(&x->f.response, VIOLATION_RESPONSE_EARLY));
	CHECK(!has(&x->f.response, VIOLATION_UNSOLICITED));
	CHECK_SPAN(wire_text(w, 0, x->f.target), "/a/b?c=1");
	wire_free(w);
}

/* ---- what messages break ------------------------------------------------------------------- */

struct broken_row { const char *text; enum violation rule; uint64_t offset; uint16_t status; uint8_t outcome; };

#define HEAD(line) "HTTP/1.1 200 OK\r\n" line "\r\nContent-Length: 2\r\n\r\nok"

TEST(each_departure_of_a_response_is_told_and_read_over)
{
	static const struct broken_row rows[] = {
		{ HEAD("This line has no colon"), VIOLATION_NO_COLON, 17, 200, OUTCOME_COMPLETE },
		{ HEAD(": nothing"), VIOLATION_NAME_EMPTY, 17, 200, OUTCOME_COMPLETE },
		{ HEAD("X-Note : hello"), VIOLATION_SPACE_COLON, 23, 200, OUTCOME_COMPLETE },
		{ HEAD("X Note: hello"), VIOLATION_SPACE_NAME, 18, 200, OUTCOME_COMPLETE },
		{ HEAD("X(Note: hello"), VIOLATION_NAME_BYTES, 18, 200, OUTCOME_COMPLETE },
		{ HEAD("X-\xc3\xa9: hello"), VIOLATION_NAME_BYTES, 19, 200, OUTCOME_COMPLETE },
		{ HEAD("X-A: a\x01" "b"), VIOLATION_CONTROL_BYTE, 23, 200, OUTCOME_COMPLETE },
		{ HEAD("X-A: a\x7f" "b"), VIOLATION_CONTROL_BYTE, 23, 200, OUTCOME_COMPLETE },
		{ HEAD("X-A: a\rX-B: b"), VIOLATION_BARE_CR, 23, 200, OUTCOME_COMPLETE },
		{ HEAD("X-A: hello\r\n folded"), VIOLATION_OBS_FOLD, 29, 200, OUTCOME_COMPLETE },
		{ HEAD("X-A: hello\r\n\tfolded"), VIOLATION_OBS_FOLD, 29, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", VIOLATION_BARE_LF, 15, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", VIOLATION_BARE_LF, 15, 200, OUTCOME_COMPLETE },
		{ HEAD("Content-Length: 5"), VIOLATION_LENGTH_CONFLICT, 52, 200, OUTCOME_PARTIAL_BODY },
		{ HEAD("Content-Length: 2"), VIOLATION_LENGTH_TWICE, 52, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", VIOLATION_LENGTH_TWICE, 33, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok", VIOLATION_LENGTH_CONFLICT, 33, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nok", VIOLATION_LENGTH_GARBAGE, 33, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", VIOLATION_LENGTH_GARBAGE, 33, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok", VIOLATION_LENGTH_GARBAGE, 33, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok", VIOLATION_LENGTH_GARBAGE, 17, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", VIOLATION_LENGTH_NEGATIVE, 33, 200, OUTCOME_COMPLETE },
		{ HEAD("Transfer-Encoding: chunked\r\nX: "), VIOLATION_LENGTH_AND_CHUNKED, 0, 200, OUTCOME_PARTIAL_BODY },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", VIOLATION_CODING_UNKNOWN, 36, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", VIOLATION_CODING_TWICE, 36, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 2OO OK\r\nContent-Length: 2\r\n\r\nok", VIOLATION_STATUS_CODE, 9, 0, OUTCOME_COMPLETE },
		{ "HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok", VIOLATION_STATUS_CODE, 9, 0, OUTCOME_COMPLETE },
		{ "HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok", VIOLATION_STATUS_CODE, 9, 999, OUTCOME_COMPLETE },
		{ "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", VIOLATION_STATUS_CODE, 9, 0, OUTCOME_COMPLETE },
		{ "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok", VIOLATION_STATUS_CODE, 9, 99, OUTCOME_COMPLETE },
		{ "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", VIOLATION_HTTP_VERSION, 5, 200, OUTCOME_COMPLETE },
		{ "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", VIOLATION_HTTP_VERSION, 5, 200, OUTCOME_COMPLETE },
		{ "HTTP/11 200 OK\r\nContent-Length: 2\r\n\r\nok", VIOLATION_HTTP_VERSION, 5, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok", VIOLATION_STATUS_LINE, 8, 200, OUTCOME_COMPLETE },
		{ CHUNKED "ZZ\r\nok\r\n0\r\n\r\n", VIOLATION_CHUNK_SIZE, 47, 200, OUTCOME_PARTIAL_BODY },
		{ CHUNKED "\r\nok\r\n0\r\n\r\n", VIOLATION_CHUNK_SIZE, 47, 200, OUTCOME_PARTIAL_BODY },
		{ CHUNKED "-1\r\nok\r\n0\r\n\r\n", VIOLATION_CHUNK_SIZE, 47, 200, OUTCOME_PARTIAL_BODY },
		{ CHUNKED "fffffffffffffffff\r\nok\r\n0\r\n\r\n", VIOLATION_CHUNK_SIZE, 47, 200, OUTCOME_PARTIAL_BODY },
		{ CHUNKED "2\r\nokay\r\n0\r\n\r\n", VIOLATION_CHUNK_END, 52, 200, OUTCOME_PARTIAL_BODY },
		{ CHUNKED "2\r\nok\n0\r\n\r\n", VIOLATION_CHUNK_END, 52, 200, OUTCOME_COMPLETE },
		{ CHUNKED "2 ; x\r\nok\r\n0\r\n\r\n", VIOLATION_CHUNK_EXTENSION, 47, 200, OUTCOME_COMPLETE },
		{ CHUNKED "2\r\nok\r\n0\r\nbad trailer\r\n\r\n", VIOLATION_TRAILER_BAD, 57, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain", VIOLATION_CONTENT_CODING, 62, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 5\r\n\r\n\x28\xb5\x2fxx", VIOLATION_CONTENT_CODING, 62, 200, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 5\r\n\r\n\xffxxxx", VIOLATION_CONTENT_CODING, 65, 200, OUTCOME_COMPLETE },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wire *w = TELL(C(GET), S(rows[i].text));
		const struct exchange *x;
		bool ok;

		wire_end(w, SERVER, END_FIN);
		wire_end(w, CLIENT, END_FIN);
		x = wire_told(w, 0);
		ok = CHECK_INT((int64_t)(x->f.response.violations & violation_bit(rows[i].rule)), (int64_t)violation_bit(rows[i].rule));
		ok &= CHECK_INT(x->f.response.broken[0].rule, rows[i].rule);
		ok &= CHECK_INT(x->f.response.broken[0].offset, rows[i].offset);
		ok &= CHECK_INT(x->f.response.broken[0].at.packet, 2);
		ok &= CHECK_INT(x->f.status, rows[i].status);
		ok &= CHECK_INT(x->f.outcome, rows[i].outcome);
		if (!ok)
			printf("#   row %zu\n", i);
		wire_free(w);
	}
}

TEST(nul_in_a_value)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nX-Note: a\0b\r\nContent-Length: 2\r\n\r\nok";
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_of(text, sizeof text - 1));
	CHECK(has(&wire_told(w, 0)->f.response, VIOLATION_NUL_BYTE));
	CHECK_INT(wire_told(w, 0)->f.response.broken[0].offset, 26);
	CHECK_INT(wire_told(w, 0)->f.response.broken[0].excerpt.len, 11);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK(wire_told(w, 0)->f.response_head.len != 0);       /* an odd head is kept */
	wire_free(w);
}

TEST(tabs_and_high_bytes_in_values_break_nothing)
{
	struct wire *w = TELL(C("GET / HTTP/1.1\r\nHost: a\r\nX: a\tb \xc3\xa9\r\n\r\n"), S("HTTP/1.1 200 Tr\xe8s bien\r\nX:\ta\t\r\nContent-Length:2\r\n\r\nok"));

	CHECK_INT(wire_told(w, 0)->f.request.violations | wire_told(w, 0)->f.response.violations, 0);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

TEST(valid_codings_break_nothing)
{
	static const char *const bodies[] = {
		"gzip\r\n\r\n\x1f\x8b\x08.", "x-gzip\r\n\r\n\x1f\x8b\x08.", "deflate\r\n\r\n\x78\x9c..", "deflate\r\n\r\n\x4b.", "br\r\n\r\nplain",
		"zstd\r\n\r\n\x28\xb5\x2f\xfd.", "identity\r\n\r\nplain", "gzip, br\r\n\r\nplain", "gzip\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		char text[128];
		struct wire *w;

		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Encoding: %s", bodies[i]);
		w = TELL(C(GET), S(text));
		CHECK_INT(wire_told(w, 0)->f.response.violations, 0);
		wire_free(w);
	}
}

TEST(length_and_chunked_is_chunked)
{
	struct wire *w = TELL(C(GET), S("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), C(GET), S(OK));

	CHECK(has(&wire_told(w, 0)->f.response, VIOLATION_LENGTH_AND_CHUNKED));
	CHECK_INT(wire_told(w, 0)->f.response.framing, FRAMING_CHUNKED);
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, 2);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
}

TEST(each_departure_of_a_request_is_told)
{
	static const struct broken_row rows[] = {
		{ "GET /a b HTTP/1.1\r\n\r\n", VIOLATION_REQUEST_LINE, 4, 0, 0 },
		{ "GET  HTTP/1.1\r\n\r\n", VIOLATION_REQUEST_LINE, 4, 0, 0 },
		{ "GET /a\r\n", VIOLATION_REQUEST_LINE, 3, 0, 0 },
		{ "POST /a\r\n\r\n", VIOLATION_REQUEST_LINE, 4, 0, 0 },
		{ "GET / HTTP/3.0\r\n\r\n", VIOLATION_HTTP_VERSION, 6, 0, 0 },
		{ "GET / HTTP/1.1\r\nHost : a\r\n\r\n", VIOLATION_SPACE_COLON, 20, 0, 0 },
		{ "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", VIOLATION_LENGTH_GARBAGE, 32, 0, 0 },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", VIOLATION_CODING_UNKNOWN, 36, 0, 0 },
		{ "\x16\x03\x01\x02\r\n", VIOLATION_CONTROL_BYTE, 0, 0, 0 },
		{ "nonsense\r\n\r\n", VIOLATION_REQUEST_LINE, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wire *w = TELL(C(rows[i].text), S("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad"));
		const struct exchange *x = wire_told(w, 0);

		if (!CHECK(has(&x->f.request, rows[i].rule)) || !CHECK_INT(x->f.request.broken[0].offset, rows[i].offset) ||
		    !CHECK_INT(x->f.status, 400) || !CHECK(x->done))
			printf("#   row %zu\n", i);
		CHECK(x->f.request_head.len != 0 || i == 2);
		wire_free(w);
	}
}

TEST(a_request_behind_one_of_unknown_length)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"));
	wire_send(w, SERVER, span_text(OK OK));
	CHECK(has(&wire_told(w, 0)->f.request, VIOLATION_LENGTH_NEGATIVE));
	CHECK_SPAN(wire_text(w, 1, wire_told(w, 1)->f.target), "/smuggled");
	CHECK_INT(wire_told(w, 1)->f.status, 200);
	wire_free(w);
}

/* ---- texts and hashes ---------------------------------------------------------------------- */

TEST(an_error_page_is_kept_and_hashed_however_it_is_framed)
{
	struct wire *w = TELL(C(GET), S("HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Length: 11\r\n\r\n<h1>502</h1"),
	                      C(GET), S("HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<h1>5\r\n6\r\n02</h1\r\n0\r\n\r\n"));

	for (unsigned i = 0; i < 2; i++) {
		CHECK_SPAN(wire_text(w, i, wire_told(w, i)->f.body), "<h1>502</h1");
		CHECK_INT((int64_t)wire_told(w, i)->f.response.body_hash, (int64_t)fingerprint(span_text("<h1>502</h1")));
		CHECK_SPAN(wire_text(w, i, wire_told(w, i)->f.reason), "Bad Gateway");
	}
	CHECK_SPAN(wire_text(w, 0, wire_told(w, 0)->f.server), "nginx");
	CHECK_SPAN(wire_text(w, 0, wire_told(w, 0)->f.response_head), "HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Length: 11\r\n\r\n");
	wire_free(w);
}

TEST(a_large_error_page_is_hashed_to_its_limit_and_then_skipped)
{
	enum { BODY = 200000, PIECE = 1448 };
	uint8_t *body = malloc(BODY);
	struct wire *w = wire_new(false);

	for (size_t i = 0; i < BODY; i++)
		body[i] = (uint8_t)(i * 7 >> 3);
	w->cut = PIECE;
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HTTP/1.1 500 Oops\r\nContent-Length: 200000\r\n\r\n"));
	wire_send(w, SERVER, span_of(body, BODY));
	CHECK_INT((int64_t)wire_told(w, 0)->f.response.body_hash, (int64_t)fingerprint(span_of(body, LIMIT_BODY_HASH)));
	CHECK_INT(wire_told(w, 0)->f.body.len, LIMIT_BODY_TEXT);
	CHECK(!wire_told(w, 0)->f.limited);             /* only its beginning was wanted */
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, BODY);
	CHECK(w->given[SERVER] < LIMIT_BODY_HASH + 2 * PIECE);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	wire_free(w);
	free(body);
}

TEST(listing_keeps_all_heads)
{
	struct wire *w = wire_new(false);

	w->c.listing = true;
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	CHECK_SPAN(wire_text(w, 0, wire_told(w, 0)->f.response_head), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
	wire_free(w);
}

TEST(a_long_head_is_counted_to_its_end)
{
	char line[201];
	struct wire *w = wire_new(false);
	const struct message *m;

	snprintf(line, sizeof line, "X-Fill: %0190d\r\n", 7);
	w->cut = 1448;
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HTTP/1.1 200 OK\r\n"));
	for (int i = 0; i < 1000; i++)
		wire_send(w, SERVER, span_of(line, 200));
	wire_send(w, SERVER, span_text("Content-Length: 2\r\n\r\nok"));
	m = &wire_told(w, 0)->f.response;
	CHECK_INT(m->head_bytes, 17 + 200 * 1000 + 21);
	CHECK_INT(m->fields, 1001);
	CHECK_INT(m->longest_line, 198);
	CHECK(!wire_told(w, 0)->f.limited);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(w->c.n_limits, 0);
	wire_free(w);
}

TEST(a_line_without_end_is_bounded_and_counted)
{
	char fill[1000];
	struct wire *w = wire_new(false);

	memset(fill, 'a', sizeof fill);
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HTTP/1.1 200 OK\r\nX: "));
	for (int i = 0; i < 200; i++)
		wire_send(w, SERVER, span_of(fill, sizeof fill));
	CHECK(w->c.allocated <= 2 * LIMIT_HEAD_BYTES + 2 * LIMIT_HEAD_TEXT + 2048);
	wire_send(w, SERVER, span_text("\r\nContent-Length: 2\r\n\r\nok"));
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK(wire_told(w, 0)->f.limited);
	CHECK_INT(w->c.n_limits, 1);
	CHECK(wire_told(w, 0)->f.response.longest_line >= 200003);
	wire_free(w);
}

/* ---- ends ---------------------------------------------------------------------------------- */

struct end_row { const char *answer; enum ending how; uint8_t outcome; };

TEST(what_an_exchange_came_to_when_the_server_ended)
{
	static const struct end_row rows[] = {
		{ "", END_FIN, OUTCOME_NO_RESPONSE },
		{ "", END_RST, OUTCOME_NO_RESPONSE },
		{ "", END_CAPTURE, OUTCOME_IN_PROGRESS },
		{ "", END_EVICTED, OUTCOME_IN_PROGRESS },
		{ "HT", END_FIN, OUTCOME_PARTIAL_HEADERS },
		{ "HTTP/1.1 200 OK\r\nServ", END_FIN, OUTCOME_PARTIAL_HEADERS },
		{ "HTTP/1.1 200 OK\r\nServ", END_RST, OUTCOME_PARTIAL_HEADERS },
		{ "HTTP/1.1 200 OK\r\nServ", END_CAPTURE, OUTCOME_IN_PROGRESS },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", END_FIN, OUTCOME_PARTIAL_BODY },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345678", END_RST, OUTCOME_PARTIAL_BODY },
		{ CHUNKED "5\r\nhello", END_FIN, OUTCOME_PARTIAL_BODY },
		{ CHUNKED "5\r\nhello\r\n0\r\n", END_FIN, OUTCOME_PARTIAL_BODY },
		{ "HTTP/1.1 200 OK\r\n\r\nbody", END_FIN, OUTCOME_COMPLETE },
		{ "HTTP/1.1 200 OK\r\n\r\nbody", END_RST, OUTCOME_PARTIAL_BODY },
		{ "HTTP/1.1 200 OK\r\n\r\nbody", END_CAPTURE, OUTCOME_IN_PROGRESS },
		{ OK, END_RST, OUTCOME_COMPLETE },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wire *w = wire_new(false);

		wire_send(w, CLIENT, span_text(GET));
		wire_send(w, SERVER, span_text(rows[i].answer));
		wire_end(w, SERVER, rows[i].how);
		if (!CHECK_INT(wire_told(w, 0)->f.outcome, rows[i].outcome) || !CHECK(w->c.n_told == 1 || wire_told(w, 0)->done))
			printf("#   row %zu\n", i);
		wire_free(w);
	}
}

TEST(the_head_that_came_is_kept)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HTTP/1.1 200 OK\r\nServer: a"));
	wire_send(w, SERVER, span_text("pp\r\nX-No"));
	wire_end(w, SERVER, END_RST);
	CHECK_SPAN(wire_text(w, 0, wire_told(w, 0)->f.response_head), "HTTP/1.1 200 OK\r\nServer: app\r\nX-No");
	CHECK_INT(wire_told(w, 0)->f.status, 200);
	CHECK(!wire_told(w, 0)->f.response.head_complete);
	wire_free(w);
}

TEST(after_the_clients_fin_responses_may_still_come)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET GET));
	wire_end(w, CLIENT, END_FIN);
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(w->c.n_told, 0);
	wire_end(w, SERVER, END_FIN);
	wire_end(w, CLIENT, END_CAPTURE);
	CHECK_INT(w->c.n_told, 2);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_NO_RESPONSE);
	wire_free(w);
}

TEST(a_request_that_its_client_left_unfinished_is_an_exchange)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text("POST / HTTP/1.1\r\nContent-Le"));
	wire_end(w, CLIENT, END_FIN);
	wire_end(w, SERVER, END_FIN);
	CHECK_INT(w->c.n_told, 1);
	CHECK(!wire_told(w, 0)->f.request.complete && !wire_told(w, 0)->f.request.head_complete);
	CHECK_SPAN(wire_text(w, 0, wire_told(w, 0)->f.request_head), "POST / HTTP/1.1\r\nContent-Le");
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_NO_RESPONSE);
	wire_free(w);
}

TEST(a_request_that_crosses_the_servers_fin)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	wire_end(w, SERVER, END_FIN);
	wire_send(w, CLIENT, span_text(GET));
	CHECK_INT(w->c.n_told, 1);
	wire_end(w, SERVER, END_RST);
	CHECK_INT(w->c.n_told, 2);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_NO_RESPONSE);
	CHECK(wire_told(w, 1)->f.request.complete);
	wire_free(w);
}

TEST(a_body_still_being_skipped_at_the_end)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
	wire_send(w, SERVER, span_text("0123456789"));
	wire_end(w, SERVER, END_FIN);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_PARTIAL_BODY);
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, 10);
	wire_free(w);
}

/* ---- holes and late beginnings ------------------------------------------------------------- */

TEST(a_hole_in_a_body_of_known_length_costs_nothing)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HTTP/1.1 500 OK\r\nContent-Length: 100\r\n\r\n12"));
	wire_gap(w, SERVER, 50, WHY_LOST);
	wire_send(w, SERVER, span_text("012345678901234567890123456789012345678901234567"));
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, 100);
	CHECK_INT(wire_told(w, 0)->f.response.missing, 50);
	CHECK_INT(wire_told(w, 0)->f.response.body_hash, 0);
	wire_free(w);
}

TEST(a_hole_within_a_chunk_costs_nothing)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HTTP/1.1 404 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n1234"));
	wire_gap(w, SERVER, 12, WHY_LOST);
	wire_send(w, SERVER, span_text("\r\n0\r\n\r\n"));
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 0)->f.response.missing, 12);
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, 16);
	wire_free(w);
}

TEST(after_a_hole_over_chunks_the_last_chunk_or_the_next_response_is_found)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(CHUNKED "2\r\nok\r\n5"));
	wire_gap(w, SERVER, 300, WHY_LOST);
	wire_send(w, SERVER, span_text("rest of it"));
	wire_send(w, SERVER, span_text("and more\r\n0\r\n\r\n"));
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(CHUNKED "2\r\nok\r\n5"));
	wire_gap(w, SERVER, 300, WHY_LOST);
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 1)->f.response.missing, 300);
	CHECK_INT(wire_told(w, 2)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 2)->f.response.missing, 0);
	wire_free(w);
}

TEST(a_hole_in_a_responses_head_loses_that_response_only)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text("HTTP/1.1 200 OK\r\nServ"));
	wire_gap(w, SERVER, 100, WHY_LOST);
	wire_send(w, SERVER, span_text("body"));
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(wire_told(w, 0)->f.status, 200);
	CHECK_INT(wire_told(w, 0)->f.response.missing, 100);
	CHECK(!wire_told(w, 0)->f.response.head_complete);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 1)->f.response.missing, 0);
	wire_free(w);
}

TEST(a_lost_response_is_never_told_as_missing_from_the_server)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_gap(w, SERVER, 100, WHY_LOST);
	wire_end(w, SERVER, END_FIN);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_IN_PROGRESS);
	CHECK_INT(wire_told(w, 0)->f.response.missing, 100);
	wire_free(w);
}

TEST(a_lost_request_leaves_a_response_alone)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	wire_gap(w, CLIENT, 80, WHY_LOST);
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 1)->f.ordinal, 0);
	CHECK_INT(wire_told(w, 1)->f.response.violations | wire_told(w, 0)->f.response.violations, 0);
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(wire_told(w, 2)->f.outcome, OUTCOME_COMPLETE);
	CHECK_SPAN(wire_text(w, 2, wire_told(w, 2)->f.target), "/a/b?c=1");
	wire_free(w);
}

TEST(heads_cut_by_snaplen)
{
	struct wire *w = wire_new(false);

	for (int i = 0; i < 3; i++) {
		wire_send(w, CLIENT, span_text("GET /a/b HTTP/1.1\r\nHost: a\r\nX-"));
		wire_gap(w, CLIENT, 60, WHY_CUT);
		wire_send(w, SERVER, span_text("HTTP/1.1 503 No\r\nContent-Length: 5000\r\nX-"));
		wire_gap(w, SERVER, 1400, WHY_CUT);
		wire_send(w, SERVER, span_text("only body"));
		wire_gap(w, SERVER, 3800, WHY_CUT);
	}
	wire_end(w, SERVER, END_FIN);
	wire_end(w, CLIENT, END_FIN);
	for (unsigned i = 0; i < 3; i++) {
		const struct exchange *x = wire_told(w, i);

		CHECK_INT(x->f.status, 503);
		CHECK_INT(x->f.method, METHOD_GET);
		CHECK(!x->f.request.head_complete && x->f.request.complete && x->f.request.missing == 60);
		CHECK(!x->f.response.head_complete && x->f.response.missing != 0);
		CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	}
	CHECK_INT(w->c.n_told, 3);
	wire_free(w);
}

TEST(start_lines_cut_by_snaplen)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text("POST /a/long/targ"));
	wire_gap(w, CLIENT, 200, WHY_CUT);
	wire_send(w, SERVER, span_text("HTTP/1.1 504 Ga"));
	wire_gap(w, SERVER, 300, WHY_CUT);
	CHECK_INT(wire_told(w, 0)->f.method, METHOD_POST);
	CHECK_SPAN(wire_text(w, 0, wire_told(w, 0)->f.target), "/a/long/targ");
	CHECK_INT((int64_t)wire_told(w, 0)->f.target_hash, 0);
	CHECK_INT(wire_told(w, 0)->f.status, 504);
	CHECK_INT(wire_told(w, 0)->f.request.violations | wire_told(w, 0)->f.response.violations, 0);
	wire_free(w);
}

TEST(joined_amid_a_body)
{
	struct wire *w = wire_new(true);

	wire_send(w, SERVER, span_text("the end of some body, HTTP/1.1 200 OK"));
	wire_send(w, SERVER, span_text("more of it"));
	CHECK(wire_told(w, 0)->conn == NULL);
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 0)->f.response.violations, 0);
	CHECK_INT(wire_told(w, 1)->f.status, 0);
	wire_free(w);
}

TEST(joined_before_a_response)
{
	struct wire *w = wire_new(true);

	wire_send(w, SERVER, span_text("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"));      /* it may have answered HEAD */
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(wire_told(w, 0)->f.status, 200);
	CHECK_INT(wire_told(w, 0)->f.method_text.len, 0);
	CHECK_INT(wire_told(w, 0)->f.ordinal, 0);
	CHECK_INT(wire_told(w, 0)->f.response.violations, 0);
	CHECK_INT(wire_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 1)->f.response.body_bytes, 2);
	wire_free(w);
}

TEST(joined_amid_an_upload)
{
	struct wire *w = wire_new(true);

	wire_send(w, CLIENT, span_text("POST this is not, but only text\r\n"));
	wire_send(w, CLIENT, span_text("GET on with it"));
	wire_send(w, SERVER, span_text("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"));
	wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	CHECK_INT(wire_told(w, 0)->f.status, 201);
	CHECK_INT(wire_told(w, 1)->f.status, 200);
	CHECK_INT(wire_told(w, 1)->f.method, METHOD_GET);
	wire_free(w);
}

/* ---- resources ----------------------------------------------------------------------------- */

TEST(a_limit_on_exchanges_makes_the_connection_opaque)
{
	struct wire *w = wire_new(false);

	w->c.open_max = 2;
	for (int i = 0; i < 5; i++)
		wire_send(w, CLIENT, span_text(GET));
	wire_send(w, SERVER, span_text(OK));
	wire_end(w, SERVER, END_RST);
	CHECK_INT(w->c.n_told, 2);
	wire_free(w);
}

TEST(any_allocation_may_fail)
{
	for (size_t n = 1; n < 24; n++) {
		struct wire *w = wire_new(false);

		w->c.fail_at = n;
		w->cut = 3;
		wire_send(w, CLIENT, span_text(GET));
		wire_send(w, SERVER, span_text("HTTP/1.1 500 Oops\r\nServer: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n"));
		wire_send(w, CLIENT, span_text(GET));
		wire_send(w, SERVER, span_text(OK));
		wire_end(w, SERVER, END_RST);
		wire_free(w);
	}
}

TEST(an_idle_connection_may_be_forgotten)
{
	struct wire *w = wire_new(false);

	wire_send(w, CLIENT, span_text("GET / HT"));
	CHECK(!http1_protocol.idle(w->self));
	wire_send(w, CLIENT, span_text("TP/1.1\r\n\r\n"));
	CHECK(!http1_protocol.idle(w->self));
	wire_send(w, SERVER, span_text(OK));
	CHECK(http1_protocol.idle(w->self));
	wire_free(w);
}

TEST(probing_by_first_bytes)
{
	static const struct { enum side from; const char *text; int want; } rows[] = {
		{ CLIENT, "GET / HTTP/1.1\r\n", 100 },  { CLIENT, "GET ", 100 },                { CLIENT, "GE", PROBE_MORE },
		{ CLIENT, "", PROBE_MORE },             { CLIENT, "\r\nPOST /", 100 },          { CLIENT, "PROPFIND /x HTTP/1.1\r\n", 90 },
		{ CLIENT, "PROPFIND /x", PROBE_MORE },  { CLIENT, "EHLO me\r\n", 0 },           { CLIENT, "\x16\x03\x01", 0 },
		{ CLIENT, "PRI * HTTP/2.0\r\n", 0 },    { CLIENT, "SSH-2.0-x\r\n", 0 },         { SERVER, "HTTP/1.1 200 OK\r\n", 100 },
		{ SERVER, "HTT", PROBE_MORE },          { SERVER, "HTTP/9 x\r\n", 80 },         { SERVER, "220 mail\r\n", 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (!CHECK_INT(http1_protocol.probe(rows[i].from, span_text(rows[i].text)), rows[i].want))
			printf("#   row %zu\n", i);
}

TEST_MAIN()
