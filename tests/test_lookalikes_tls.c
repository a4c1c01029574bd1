/* test_lookalikes_tls.c - TLS, HTTP/2 and other protocols: causes that look alike, one packet apart
 *
 * Each pair is a story told by one function; its flag bends the packet that decides. The pairs are those of
 * MECHANISMS.md, sections 6 and 7. Nothing is decrypted: records tell by their kind, length and order.
 */
#include "story_talk.h"

/* A request waits for a new connection to upstream 2, of which nothing is known. */
static struct story waiting_for(const char *request)
{
	struct story s = story_answered("GET /ok", 200);

	story_wait_ms(&s, 500);
	story_to_upstream(&s, 2);
	story_asks(&s, request);
	story_connect_back(&s);
	return s;
}

static struct story waiting(void)
{
	return waiting_for("GET /cart");
}

static void gateway_gives_up(struct story *s)
{
	story_wait_ms(s, 5000);
	story_fin(s, GATEWAY);
	story_error(s, 504);
}

/* ---- the upstream's part of the handshake ---------------------------------------------------------- */

enum handshake { ALERT, FIN, SILENCE, UNHEARD };

static struct story hello_answered_by(enum handshake how, const char *server_name)
{
	struct story s = waiting();
	unsigned oldest;

	story_client_hello(&s, server_name, how == UNHEARD ? 2000 : 0);
	oldest = story_packets(&s);
	if (how != UNHEARD)
		story_ack(&s, UPSTREAM);
	switch (how) {
	case ALERT:
		story_alert(&s, UPSTREAM, 40);
		story_fin(&s, UPSTREAM);
		story_error(&s, 502);
		break;
	case FIN:
		story_fin(&s, UPSTREAM);
		story_error(&s, 502);
		break;
	case SILENCE:
		gateway_gives_up(&s);
		break;
	case UNHEARD:                                   /* the hello's second segment is never acknowledged */
		s.next.ack_off = -(int32_t)(story_packet(&s, oldest).len - 54);
		story_ack(&s, UPSTREAM);
		for (unsigned i = 0; i < 4; i++) {
			story_wait_ms(&s, 250 << i);
			s.next.lost = true;
			story_again(&s, GATEWAY, oldest);
		}
		gateway_gives_up(&s);
		break;
	}
	return s;
}

TEST(an_alert_is_a_refusal_a_fin_an_abort_and_silence_a_timeout)
{
	struct story alert = hello_answered_by(ALERT, "app.example"), fin = hello_answered_by(FIN, "app.example"),
	             silence = hello_answered_by(SILENCE, "app.example");

	CHECK_CAUSE(&alert, "tls-handshake-rejected");
	CHECK_STR(story_word(&alert, "alert"), "handshake_failure");
	CHECK_CAUSE(&fin, "tls-handshake-aborted");
	CHECK_CAUSE(&silence, "tls-handshake-timeout");
}

TEST(a_refusal_of_a_hello_without_a_server_name_says_so)
{
	struct story without = hello_answered_by(ALERT, NULL), with = hello_answered_by(ALERT, "app.example");

	CHECK_SAID(&without, "no server name");
	CHECK_SAID(&without, "the gateway had sent no server name");
	CHECK_UNSAID(&with, "no server name");
}

TEST(a_large_hello_that_is_lost_is_no_slow_handshake)
{
	struct story lost = hello_answered_by(UNHEARD, "app.example"), slow = hello_answered_by(SILENCE, "app.example");

	CHECK_CAUSE(&lost, "packet-loss");
	CHECK_CAUSE(&slow, "tls-handshake-timeout");
}

/* ---- the gateway's part ------------------------------------------------------------------------------- */

enum verdict_on { REFUSED_BY_ALERT, REFUSED_AFTER_FINISHED, STALLED, REQUESTED };

static struct story certificate(enum verdict_on how)
{
	struct story s = waiting();

	story_client_hello(&s, "app.example", 0);
	story_server_hello(&s, TLS_1_3);
	story_ack(&s, GATEWAY);
	switch (how) {
	case REFUSED_BY_ALERT:
		story_record(&s, GATEWAY, TLS_DATA, SEALED_ALERT);
		story_fin(&s, GATEWAY);
		story_error(&s, 502);
		break;
	case REFUSED_AFTER_FINISHED:
		story_record(&s, GATEWAY, TLS_DATA, SEALED_FINISHED);
		story_record(&s, GATEWAY, TLS_DATA, SEALED_ALERT);
		story_fin(&s, GATEWAY);
		story_error(&s, 502);
		break;
	case STALLED:
		gateway_gives_up(&s);
		break;
	case REQUESTED:
		story_record(&s, GATEWAY, TLS_DATA, SEALED_FINISHED);
		story_record(&s, GATEWAY, TLS_DATA, 300);
		story_ack(&s, UPSTREAM);
		story_wait_ms(&s, 5000);
		story_record(&s, GATEWAY, TLS_DATA, SEALED_ALERT);
		story_fin(&s, GATEWAY);
		story_error(&s, 504);
		break;
	}
	return s;
}

TEST(an_alert_instead_of_finished_refuses_the_certificate_and_silence_does_not)
{
	struct story refused = certificate(REFUSED_BY_ALERT), stalled = certificate(STALLED);

	CHECK_CAUSE(&refused, "tls-certificate-rejected");
	CHECK_CAUSE(&stalled, "tls-handshake-timeout");
}

TEST(finished_and_no_request_refuses_the_certificate_and_a_request_took_it)
{
	struct story refused = certificate(REFUSED_AFTER_FINISHED), slow = certificate(REQUESTED);

	CHECK_CAUSE(&refused, "tls-certificate-rejected");
	CHECK_CAUSE(&slow, "response-timeout");
	CHECK_CONFIDENCE(&slow, "medium");
}

/* The request, then the upstream's sealed alert and FIN: it wanted a certificate (the gateway's was empty), or it just closed. */
static struct story client_certificate(bool empty_one)
{
	struct story s = waiting();

	story_client_hello(&s, "app.example", 0);
	story_server_hello(&s, TLS_1_3);
	if (empty_one)
		story_record(&s, GATEWAY, TLS_DATA, SEALED_NO_CERTIFICATE);
	story_record(&s, GATEWAY, TLS_DATA, SEALED_FINISHED);
	story_record(&s, GATEWAY, TLS_DATA, 300);
	story_ack(&s, UPSTREAM);
	story_record(&s, UPSTREAM, TLS_DATA, SEALED_ALERT);
	story_fin(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(an_alert_after_an_empty_certificate_is_a_refusal_and_without_one_a_close)
{
	struct story refused = client_certificate(true), closed = client_certificate(false);

	CHECK_CAUSE(&refused, "tls-handshake-rejected");
	CHECK_STR(story_word(&refused, "alert"), "certificate_required");
	CHECK_CAUSE(&closed, "closed-before-response");
}

/* A second request on the connection: the first was answered, this one is not, or is. */
static struct story second_turn(bool answered)
{
	struct story s = waiting();

	story_tls_done(&s, TLS_1_3);
	story_record(&s, GATEWAY, TLS_DATA, 300);
	story_ack(&s, UPSTREAM);
	story_record(&s, UPSTREAM, TLS_DATA, 500);
	story_ack(&s, GATEWAY);
	story_text(&s, FRONT, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	story_ack(&s, CLIENT);
	story_wait_ms(&s, 500);
	story_asks(&s, "GET /pay");
	story_record(&s, GATEWAY, TLS_DATA, 300);
	story_ack(&s, UPSTREAM);
	if (answered)
		story_record(&s, UPSTREAM, TLS_DATA, 500);
	gateway_gives_up(&s);
	return s;
}

TEST(a_later_request_inside_tls_that_gets_no_record_timed_out)
{
	struct story silent = second_turn(false), answered = second_turn(true);

	CHECK_CAUSE(&silent, "response-timeout");
	CHECK_CAUSE(&answered, "unexplained");
	CHECK_STR(story_word(&answered, "reason"), "encrypted");
}

/* An upstream that closes in order while idle: close_notify, FIN, and RST to what comes after. */
TEST(a_close_in_order_inside_tls_is_no_incident)
{
	struct story s = waiting();

	story_tls_done(&s, TLS_1_3);
	story_record(&s, GATEWAY, TLS_DATA, 300);
	story_record(&s, UPSTREAM, TLS_DATA, 500);
	story_text(&s, FRONT, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	story_ack(&s, CLIENT);
	story_wait_ms(&s, 5000);
	story_record(&s, UPSTREAM, TLS_DATA, SEALED_ALERT);
	story_fin(&s, UPSTREAM);
	story_record(&s, GATEWAY, TLS_DATA, SEALED_ALERT);
	story_rst(&s, UPSTREAM);
	CHECK_CAUSE(&s, "none");
}

/* ---- one speaks TLS, the other does not ---------------------------------------------------------------- */

/* A hello gets no answer, or one in plaintext; elsewhere the port spoke plaintext HTTP, or was never heard. */
static struct story to_plaintext(bool spoke_elsewhere, const char *answer)
{
	struct story s = story_answered("GET /ok", 200);

	story_to_upstream(&s, 2);
	if (spoke_elsewhere) {
		story_request(&s, "GET /other");
		story_answer(&s, 200);
	}
	story_wait_ms(&s, 500);
	story_asks(&s, "GET /cart");
	story_connect_back(&s);
	story_client_hello(&s, "app.example", 0);
	story_ack(&s, UPSTREAM);
	if (answer == NULL) {
		gateway_gives_up(&s);
		return s;
	}
	story_text(&s, UPSTREAM, answer);
	story_fin(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_hello_answered_in_plaintext_and_one_not_answered)
{
	struct story plain = to_plaintext(false, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), silent = to_plaintext(false, NULL),
	             silent_and_plain = to_plaintext(true, NULL);

	CHECK_CAUSE(&plain, "tls-to-plaintext-port");
	CHECK_CONFIDENCE(&plain, "high");
	CHECK_CAUSE(&silent, "tls-handshake-timeout");
	CHECK_CAUSE(&silent_and_plain, "tls-to-plaintext-port");
	CHECK_CONFIDENCE(&silent_and_plain, "medium");
}

enum spoken { TLS_SAYS_NO, H2_SETTINGS_FRAME, SSH_BANNER, GARBAGE };

static struct story plain_request_answered_by(enum spoken what)
{
	struct story s = waiting();

	story_passes_on(&s, "GET /cart");
	story_ack(&s, UPSTREAM);
	switch (what) {
	case TLS_SAYS_NO:       story_alert(&s, UPSTREAM, 10); break;
	case H2_SETTINGS_FRAME: story_frame(&s, UPSTREAM, H2_SETTINGS, 0, 0, "\0\3\0\0\0\200", 6); break;
	case SSH_BANNER:        story_text(&s, UPSTREAM, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"); break;
	case GARBAGE:           story_text(&s, UPSTREAM, "what do you want?\r\n\r\n"); break;
	}
	story_fin(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_plain_request_answered_by_tls_by_http2_by_another_protocol_and_by_none)
{
	static const struct { enum spoken what; const char *cause; } rows[] = {
		{ TLS_SAYS_NO, "plaintext-to-tls-port" }, { H2_SETTINGS_FRAME, "http1-to-http2-port" },
		{ SSH_BANNER, "not-http" }, { GARBAGE, "invalid-status-line" }
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct story s = plain_request_answered_by(rows[i].what);

		CHECK_CAUSE(&s, rows[i].cause);
		CHECK_CONFIDENCE(&s, "high");
	}
}

/* ---- a PROXY preface ---------------------------------------------------------------------------------- */

static void with_preface(struct story *s, const char *request, const char *answer)
{
	story_asks(s, request);
	story_connect_back(s);
	story_text(s, GATEWAY, "PROXY TCP4 10.0.0.9 10.0.0.1 40000 80\r\n");
	story_passes_on(s, request);
	story_ack(s, UPSTREAM);
	if (answer != NULL)
		story_text(s, UPSTREAM, answer);
	story_fin(s, UPSTREAM);
}

/* The upstream closes on a preface; an earlier one it answered so. */
static struct story preface(const char *earlier)
{
	struct story s = story_answered("GET /ok", 200);

	story_to_upstream(&s, 2);
	if (earlier != NULL) {
		with_preface(&s, "GET /first", earlier);
		story_text(&s, FRONT, earlier);
		story_ack(&s, CLIENT);
	}
	story_wait_ms(&s, 500);
	with_preface(&s, "GET /cart", NULL);
	story_error(&s, 502);
	return s;
}

TEST(a_preface_is_understood_where_one_was_answered_and_400_is_no_such_answer)
{
	static const char bad[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
	static const char good[] = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
	struct story never = preface(NULL), refused = preface(bad), understood = preface(good);

	CHECK_CAUSE(&never, "proxy-protocol-mismatch");
	CHECK_CAUSES(&refused, "proxy-protocol-mismatch, proxy-protocol-mismatch");
	CHECK_CAUSE(&understood, "closed-before-response");
}

/* ---- HTTP/2 --------------------------------------------------------------------------------------------- */

static struct story stream(unsigned flags)
{
	struct story s = waiting_for((flags & H2_END_STREAM) != 0 ? "GET /cart" : "POST /cart");

	story_h2_begin(&s);
	story_h2_asks(&s, 1, "/cart", flags);
	story_ack(&s, UPSTREAM);
	return s;
}

/* GOAWAY, then FIN: the stream is above the last one that was taken, or is it. */
static struct story goaway(uint32_t last)
{
	struct story s = stream(H2_END_STREAM);

	story_h2_goaway(&s, last, 0);
	story_fin(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(goaway_leaves_streams_above_the_last_and_drops_the_others_by_closing)
{
	struct story above = goaway(0), taken = goaway(1);

	CHECK_CAUSE(&above, "http2-goaway");
	CHECK_SAID(&above, "can be sent again safely");
	CHECK_CAUSE(&taken, "closed-before-response");
}

/* RST_STREAM: instead of an answer, or NO_ERROR after a whole one (RFC 9113 8.1). */
static struct story stream_reset(bool answered)
{
	struct story s = stream(0);

	if (answered)
		story_h2_answers(&s, 1, 204, H2_END_STREAM);
	story_h2_number(&s, UPSTREAM, H2_RST_STREAM, 1, answered ? 0 : 7);
	if (answered) {
		story_text(&s, FRONT, "HTTP/1.1 204 No Content\r\n\r\n");
		story_ack(&s, CLIENT);
	} else {
		story_error(&s, 502);
	}
	return s;
}

TEST(a_stream_reset_instead_of_an_answer_and_one_after_it)
{
	struct story reset = stream_reset(false), answered = stream_reset(true);

	CHECK_CAUSE(&reset, "http2-stream-reset");
	CHECK_STR(story_word(&reset, "http2_error"), "REFUSED_STREAM");
	CHECK_CAUSE(&answered, "none");
}

/* A body of all the window that there is (65,535 bytes, RFC 9113 6.9.2): it ends with it, or more is owed. */
static struct story window_used_up(bool more_is_owed)
{
	static const uint8_t body[16383];
	struct story s = stream(0);

	for (unsigned i = 0; i < 4; i++) {
		story_frame(&s, GATEWAY, H2_DATA, i == 3 && !more_is_owed ? H2_END_STREAM : 0, 1, body, sizeof body);
		story_ack(&s, UPSTREAM);
	}
	story_frame(&s, GATEWAY, H2_DATA, 0, 1, body, more_is_owed ? 3 : 0);
	story_ack(&s, UPSTREAM);
	gateway_gives_up(&s);
	return s;
}

TEST(no_window_with_data_owed_is_a_stall_and_with_nothing_owed_a_timeout)
{
	struct story stall = window_used_up(true), timeout = window_used_up(false);

	CHECK_CAUSE(&stall, "http2-flow-control-stall");
	CHECK_STR(story_word(&stall, "stalled"), "request");
	CHECK_CAUSE(&timeout, "response-timeout");
}

/* The preface is answered in HTTP/1, or in HTTP/2 that is broken. */
static struct story preface_answered(bool in_http1)
{
	struct story s = waiting();

	if (in_http1) {
		story_text(&s, GATEWAY, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
		story_h2_asks(&s, 1, "/cart", H2_END_STREAM);
		story_text(&s, UPSTREAM, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
	} else {
		story_h2_begin(&s);
		story_h2_asks(&s, 1, "/cart", H2_END_STREAM);
		story_frame(&s, UPSTREAM, H2_HEADERS, H2_END_HEADERS, 1, "\377\377\377\377\377\377", 6);  /* an index that is no field */
	}
	story_fin(&s, GATEWAY);
	story_error(&s, 502);
	return s;
}

TEST(http1_in_answer_to_the_preface_and_broken_http2)
{
	struct story http1 = preface_answered(true), broken = preface_answered(false);

	CHECK_CAUSE(&http1, "http2-to-http1-port");
	CHECK_CAUSE(&broken, "http2-protocol-error");
}

TEST_MAIN()
