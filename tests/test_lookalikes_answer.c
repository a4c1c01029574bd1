/* test_lookalikes_answer.c - an answer came: causes that look alike, one packet apart
 *
 * Each pair is a story told by one function; its argument is the packet that decides. The pairs are those of
 * MECHANISMS.md, section 5, and of CAUSES.md, "Rules where two causes lie close".
 */
#include "story.h"

/* A POST where `request` says so; the upstream answers `text`, keeps the connection, and the gateway says 502. */
static struct story refused_answer(const char *request, const char *text)
{
	struct story s = story_answered("GET /ok", 200);

	story_wait_ms(&s, 500);
	story_connect_back(&s);
	story_request(&s, request);
	story_ack(&s, UPSTREAM);
	story_text(&s, UPSTREAM, text);
	story_ack(&s, GATEWAY);
	story_fin(&s, GATEWAY);
	story_error(&s, 502);
	return s;
}

struct answer { const char *text, *cause; };

static void check_answers(const char *request, const struct answer *answers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct story s = refused_answer(request, answers[i].text);

		if (!CHECK_CAUSE(&s, answers[i].cause))
			printf("# of %s\n", answers[i].text);
	}
}

#define CHECK_ANSWERS(request, answers) check_answers((request), (answers), sizeof (answers) / sizeof (answers)[0])

static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(one_byte_of_the_head_is_wrong_or_nothing_is)
{
	static const struct answer answers[] = {
		{ "HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok", "invalid-status-line" },
		{ "HTTP/1.1 200 OK\r\nContent Length 2\r\nContent-Length: 2\r\n\r\nok", "invalid-header" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "conflicting-framing" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\nok\r\n0\r\n\r\n", "invalid-chunk" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "gateway-refused" },
		{ whole, "gateway-refused" }
	};

	CHECK_ANSWERS("GET /cart", answers);
}

/* nginx takes a header section of 4,096 bytes (proxy_buffer_size). */
static struct story header_of(size_t bytes)
{
	static char text[9000];
	int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Filler: ");

	memset(text + n, 'x', bytes - 4 - (size_t)n);
	memcpy(text + bytes - 4, "\r\n\r\nok", 7);
	return refused_answer("GET /cart", text);
}

TEST(a_header_larger_than_the_gateways_buffer_and_one_that_fits)
{
	struct story large = header_of(4200), fits = header_of(4000);

	CHECK_CAUSE(&large, "header-too-large");
	CHECK_INT(story_detail_count(&large, "limit"), 4096);
	CHECK_CAUSE(&fits, "gateway-refused");
}

TEST(an_upgrade_that_was_asked_for_and_refused_and_an_ordinary_answer)
{
	struct story s[2];

	for (unsigned i = 0; i < 2; i++) {
		static const char *const asked[] = { "Connection: Upgrade\r\nUpgrade: websocket\r\n", "" };
		char text[300];

		s[i] = story_answered("GET /ok", 200);
		story_wait_ms(&s[i], 500);
		story_connect_back(&s[i]);
		snprintf(text, sizeof text, "GET /chat HTTP/1.1\r\nHost: shop.example\r\n%s\r\n", asked[i]);
		story_text(&s[i], CLIENT, text);
		story_ack(&s[i], FRONT);
		story_text(&s[i], GATEWAY, text);
		story_ack(&s[i], UPSTREAM);
		story_text(&s[i], UPSTREAM, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
		story_ack(&s[i], GATEWAY);
		story_error(&s[i], 502);
	}
	CHECK_CAUSE(&s[0], "upgrade-failed");
	CHECK_CAUSE(&s[1], "gateway-refused");
}

TEST(a_switch_that_nobody_asked_for_and_a_plain_answer)
{
	static const struct answer answers[] = {
		{ "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "upgrade-failed" },
		{ whole, "gateway-refused" }
	};

	CHECK_ANSWERS("GET /cart", answers);
}

/* Two responses: to one request, or to two that the gateway had sent one after the other. */
static struct story two_responses(bool pipelined)
{
	struct story s = story_answered("GET /ok", 200);

	story_wait_ms(&s, 500);
	story_connect_back(&s);
	story_asks(&s, "GET /cart");
	story_passes_on(&s, "GET /cart");
	if (pipelined) {
		story_asks(&s, "GET /pay");
		story_passes_on(&s, "GET /pay");
	}
	story_ack(&s, UPSTREAM);
	story_text(&s, UPSTREAM, whole);
	story_text(&s, UPSTREAM, whole);
	story_ack(&s, GATEWAY);
	if (!pipelined) {
		story_fin(&s, GATEWAY);
		story_error(&s, 502);
		return s;
	}
	story_text(&s, FRONT, whole);
	story_text(&s, FRONT, whole);
	story_ack(&s, CLIENT);
	return s;
}

TEST(a_second_response_is_unsolicited_unless_a_request_was_outstanding)
{
	struct story unsolicited = two_responses(false), pipelined = two_responses(true);

	CHECK_CAUSE(&unsolicited, "unsolicited-response");
	CHECK_CAUSE(&pipelined, "none");
}

TEST(a_body_after_204_and_none)
{
	static const struct answer answers[] = {
		{ "HTTP/1.1 204 No Content\r\n\r\nok", "unsolicited-response" },
		{ "HTTP/1.1 204 No Content\r\n\r\n", "gateway-refused" }
	};

	CHECK_ANSWERS("GET /cart", answers);
}

/* gzip by name and plain by content, or gzip cut short by the connection. */
static struct story coded(const char *body, size_t n, bool closed)
{
	struct story s = story_answered("GET /ok", 200);
	char head[200];

	story_wait_ms(&s, 500);
	story_connect_back(&s);
	story_request(&s, "GET /cart");
	story_ack(&s, UPSTREAM);
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", closed ? 100 : n);
	story_text(&s, UPSTREAM, head);
	story_bytes(&s, UPSTREAM, body, n);
	story_ack(&s, GATEWAY);
	story_fin(&s, closed ? UPSTREAM : GATEWAY);
	story_error(&s, 502);
	return s;
}

TEST(a_body_that_is_not_coded_as_it_says_and_one_that_was_cut)
{
	static const char plain[] = "<html>hello</html>", gzip[] = "\x1f\x8b\x08\0\0\0\0\0\0\3\xcb\x48\xcd\xc9\xc9\7\0";
	struct story wrong = coded(plain, sizeof plain - 1, false), cut = coded(gzip, sizeof gzip - 1, true);

	CHECK_CAUSE(&wrong, "invalid-content-coding");
	CHECK_CAUSE(&cut, "closed-mid-body");
}

#ifdef HAVE_ZLIB
/* Whole by its length all of them: only what is in the body tells why the gateway, which unpacks, did not like it. */
TEST(a_body_that_is_coded_right_and_ones_that_go_wrong_at_their_end)
{
	static const char hello[] = "\x1f\x8b\x08\0\0\0\0\0\0\3\xcb\x48\xcd\xc9\xc9\7\0\x86\xa6\x10\x36\5\0\0\0";
	char sum[sizeof hello];
	size_t n = sizeof hello - 1;
	struct story right = coded(hello, n, false), short_of = coded(hello, n - 4, false), wrong;

	memcpy(sum, hello, sizeof sum);
	sum[n - 8] ^= 1;
	wrong = coded(sum, n, false);
	CHECK_CAUSE(&right, "gateway-refused");
	CHECK_CAUSE(&short_of, "invalid-content-coding");
	CHECK_STR(story_word(&short_of, "rule"), "content-coding-cut");
	CHECK_CAUSE(&wrong, "invalid-content-coding");
	CHECK_STR(story_word(&wrong, "rule"), "content-coding");
}

/* Most gateways unpack nothing: what they pass on as it came is nobody's failure, asked for or not. */
TEST(a_coding_that_was_cut_and_passed_on_is_no_incident)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 17\r\n\r\n"
				     "\x1f\x8b\x08\0\0\0\0\0\0\3\xcb\x48\xcd\xc9\xc9\7\0";

	for (int checks = 0; checks < 2; checks++) {
		struct story s = story_answered("GET /ok", 200);

		s.decode.check_coding = checks != 0;
		story_request(&s, "GET /cart");
		story_ack(&s, UPSTREAM);
		story_bytes(&s, UPSTREAM, answer, sizeof answer - 1);
		story_ack(&s, GATEWAY);
		story_bytes(&s, FRONT, answer, sizeof answer - 1);
		story_ack(&s, CLIENT);
		CHECK_CAUSE(&s, "none");
	}
}
#endif

/* A chunk that is malformed, or one that the FIN cut off. */
static struct story chunks(const char *rest)
{
	struct story s = story_answered("GET /ok", 200);
	char text[200];

	story_wait_ms(&s, 500);
	story_connect_back(&s);
	story_request(&s, "GET /cart");
	story_ack(&s, UPSTREAM);
	snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n%s", rest);
	story_text(&s, UPSTREAM, text);
	story_ack(&s, GATEWAY);
	story_fin(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_malformed_chunk_and_one_that_was_cut_off)
{
	struct story malformed = chunks("zz\r\n"), cut = chunks("20\r\nabc");

	CHECK_CAUSE(&malformed, "invalid-chunk");
	CHECK_CAUSE(&cut, "closed-mid-body");
}

/* The upstream's own 502, passed on byte by byte; or a good answer, and the gateway's own page. */
static struct story error_of(bool upstream)
{
	static const char page[] = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops";
	struct story s = story_answered("GET /ok", 200);

	story_wait_ms(&s, 500);
	story_connect_back(&s);
	story_request(&s, "GET /cart");
	story_ack(&s, UPSTREAM);
	story_text(&s, UPSTREAM, upstream ? page : whole);
	story_ack(&s, GATEWAY);
	if (!upstream) {
		story_error(&s, 502);
		return s;
	}
	story_text(&s, FRONT, page);
	story_ack(&s, CLIENT);
	return s;
}

TEST(an_error_of_the_upstreams_and_one_of_the_gateways)
{
	struct story upstreams = error_of(true), gateways = error_of(false);

	CHECK_CAUSE(&upstreams, "upstream-error");
	CHECK_CAUSE(&gateways, "gateway-refused");
}

enum after_interim { CLOSED_AT_ONCE, WHOLE_ANSWER, CLOSED_LATE };

/* 103, and the gateway closes at once; or takes the whole answer and fails; or waits for it in vain. */
static struct story early_hints(const char *product, enum after_interim how)
{
	struct story s = story_new();

	s.product = product;
	story_request(&s, "GET /ok");
	story_answer(&s, 200);
	story_wait_ms(&s, 500);
	story_connect_back(&s);
	story_request(&s, "GET /cart");
	story_ack(&s, UPSTREAM);
	story_text(&s, UPSTREAM, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
	story_ack(&s, GATEWAY);
	if (how == WHOLE_ANSWER)
		story_text(&s, UPSTREAM, whole);
	story_wait_ms(&s, how == CLOSED_LATE ? 5000 : 2);
	story_fin(&s, GATEWAY);
	story_error(&s, how == CLOSED_LATE ? 504 : 502);
	return s;
}

TEST(a_gateway_that_trips_on_an_interim_response_and_one_that_waits)
{
	struct story trips = early_hints("nginx", CLOSED_AT_ONCE), waits = early_hints("nginx", CLOSED_LATE);

	CHECK_CAUSE(&trips, "gateway-refused");
	CHECK_STR(story_word(&trips, "reason"), "interim-response");
	CHECK_CONFIDENCE(&trips, "high");
	CHECK_CAUSE(&waits, "response-timeout");
}

TEST(an_interim_response_is_blamed_only_on_gateways_that_trip_on_it)
{
	struct story nginx = early_hints("nginx", WHOLE_ANSWER), haproxy = early_hints("haproxy", WHOLE_ANSWER),
	             unlikely = early_hints("haproxy", CLOSED_AT_ONCE);

	CHECK_STR(story_word(&nginx, "reason"), "interim-response");
	CHECK_CAUSE(&haproxy, "gateway-refused");
	CHECK_STR(story_word(&haproxy, "reason"), "own-rule");
	CHECK_CAUSE(&unlikely, "gateway-refused");
	CHECK_CONFIDENCE(&unlikely, "medium");
}

TEST_MAIN()
