/* test_lookalikes_closed.c - the upstream closed: causes that look alike, one packet apart
 *
 * Each pair is a story told by one function; its flag bends the packet that decides. The pairs are those of
 * MECHANISMS.md, sections 1 and 3, the closes of 4 and 5, and of CAUSES.md, "Rules where two causes lie close".
 */
#include "story.h"

/* An answered request, then the connection behind is idle for so long. */
static struct story idle_for(int64_t ms)
{
	struct story s = story_answered("GET /ok", 200);

	story_wait_ms(&s, ms);
	return s;
}

/* A request on a new connection, acknowledged by the upstream. */
static struct story acknowledged(const char *request)
{
	struct story s = idle_for(500);

	story_connect_back(&s);
	story_request(&s, request);
	story_ack(&s, UPSTREAM);
	return s;
}

/* ---- 1: who sent the RST? ------------------------------------------------------------------------ */

static struct story reset_with(uint8_t ttl)
{
	struct story s = acknowledged("GET /cart");

	story_wait_ms(&s, 40);
	s.next.ttl = ttl;
	story_rst_ack(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(rst_with_a_foreign_hop_limit_is_a_middlebox_and_with_the_peers_its_own)
{
	struct story box = reset_with(33), peer = reset_with(63), near = reset_with(62);

	CHECK_CAUSE(&box, "reset-by-middlebox");
	CHECK_CONFIDENCE(&box, "high");
	CHECK_STR(story_word(&box, "sign"), "hop-limit");
	CHECK_CAUSE(&peer, "reset-before-response");
	CHECK_CONFIDENCE(&peer, "high");
	CHECK_SAID(&peer, "not by a device in between: hop limit 63");
	CHECK_CAUSE(&near, "reset-before-response");    /* one hop more is another path */
}

static struct story data_after_rst(bool data)
{
	struct story s = acknowledged("GET /cart");

	story_wait_ms(&s, 40);
	story_rst_ack(&s, UPSTREAM);
	story_error(&s, 502);
	if (data) {
		story_wait_ms(&s, 20);
		story_text(&s, UPSTREAM, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		story_rst(&s, GATEWAY);
	}
	return s;
}

TEST(a_peer_that_goes_on_after_its_rst_did_not_send_it)
{
	struct story forged = data_after_rst(true), genuine = data_after_rst(false);

	CHECK_CAUSE(&forged, "reset-by-middlebox");
	CHECK_STR(story_word(&forged, "sign"), "data-after-rst");
	CHECK_CAUSE(&genuine, "reset-before-response");
}

/* A box that makes its RST of the packet it saw copies the prober's IP ID; Linux sends 0. */
static struct story ip_id(bool copied)
{
	struct story s = idle_for(500);

	story_connect_back(&s);
	story_asks(&s, "GET /cart");
	s.next.ip_id = 0x1234;
	story_passes_on(&s, "GET /cart");
	s.next.ip_id = copied ? 0x1234 : 0;
	s.next.ip_id_zero = !copied;
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_copied_ip_id_is_a_boxs_and_zero_is_linux)
{
	struct story copied = ip_id(true), zero = ip_id(false);

	CHECK_CAUSE(&copied, "reset-by-middlebox");
	CHECK_CONFIDENCE(&copied, "medium");
	CHECK_CAUSE(&zero, "reset-before-response");
}

/* RFC 5961 3.2: a RST that is not exactly the next byte gets a challenge ACK, and the connection lives. */
static struct story rst_off_by(int32_t bytes)
{
	struct story s = acknowledged("GET /cart");

	s.next.seq_off = bytes;
	story_rst_ack(&s, UPSTREAM);
	if (bytes == 0) {
		story_error(&s, 502);
		return s;
	}
	story_ack(&s, GATEWAY);
	story_wait_ms(&s, 30);
	story_answer(&s, 200);
	return s;
}

TEST(a_rst_that_does_not_fit_ends_nothing)
{
	struct story fits = rst_off_by(0), does_not = rst_off_by(400);

	CHECK_CAUSE(&fits, "reset-before-response");
	CHECK_CAUSE(&does_not, "none");
}

/* ---- 3: the idle connection ------------------------------------------------------------------------ */

static struct story crossed(bool acknowledged_first)
{
	struct story s = idle_for(5000);

	story_request(&s, "POST /cart");
	if (acknowledged_first)
		story_ack(&s, UPSTREAM);
	s.next.ack_off = acknowledged_first ? 0 : -200;        /* it had not seen the request */
	story_fin(&s, UPSTREAM);
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_close_that_crossed_the_request_is_a_race_and_one_that_knew_it_a_crash)
{
	struct story race = crossed(false), crash = crossed(true);

	CHECK_CAUSE(&race, "keepalive-race");
	CHECK_STR(story_word(&race, "trigger"), "idle");
	CHECK_CAUSE(&crash, "closed-before-response");
	CHECK_SAID(&crash, "no keepalive race");
}

/* Three connections that the upstream closed after five seconds each; then, so long after an answer, request, ACK, RST,ACK. */
static struct story in_the_buffer(int64_t idle_ms)
{
	struct story s = story_new();

	for (unsigned i = 0; i < 3; i++) {
		story_connect_back(&s);
		story_request(&s, "GET /ok");
		story_answer(&s, 200);
		story_wait_ms(&s, 5000);
		story_fin(&s, UPSTREAM);
		story_fin(&s, GATEWAY);
		story_ack(&s, UPSTREAM);
	}
	story_connect_back(&s);
	story_request(&s, "GET /ok");
	story_answer(&s, 200);
	story_wait_ms(&s, idle_ms);
	story_request(&s, "POST /cart");
	story_ack(&s, UPSTREAM);
	story_rst_ack(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(the_same_reset_is_a_race_at_the_idle_limit_and_a_crash_before_it)
{
	struct story race = in_the_buffer(4999), crash = in_the_buffer(2500);

	CHECK_CAUSE(&race, "keepalive-race");
	CHECK_CONFIDENCE(&race, "high");
	CHECK_INT(story_detail_count(&race, "idle_closes_seen"), 3);
	CHECK_CAUSE(&crash, "reset-before-response");
}

/* The limit is the server's own word, or nobody knows it. */
static struct story said_limit(bool said)
{
	struct story s = story_new();

	story_request(&s, "GET /ok");
	story_text(&s, UPSTREAM, said ? "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok"
	                              : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	story_ack(&s, GATEWAY);
	story_text(&s, FRONT, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	story_ack(&s, CLIENT);
	story_wait_ms(&s, 4999);
	story_request(&s, "POST /cart");
	story_ack(&s, UPSTREAM);
	story_rst_ack(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_limit_that_the_server_named_makes_a_race_of_its_reset)
{
	struct story said = said_limit(true), unsaid = said_limit(false);

	CHECK_CAUSE(&said, "keepalive-race");
	CHECK_INT(story_detail_ns(&said, "upstream_idle_limit_s"), 5 * NS_PER_S);
	CHECK_CAUSE(&unsaid, "reset-before-response");
}

/* Node says Connection before Keep-Alive, Tomcat behind it; Apache says its Server and max=. */
static const char *advised_by(const char *fields, char *text, size_t size)
{
	struct story s = story_new();
	const struct incident *i;
	char answer[200];

	snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok", fields);
	story_connect_front(&s);
	story_request(&s, "GET /ok");
	story_text(&s, UPSTREAM, answer);
	story_ack(&s, GATEWAY);
	story_text(&s, FRONT, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	story_wait_ms(&s, 5000);
	story_fin(&s, UPSTREAM);
	story_request(&s, "POST /cart");
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	text[0] = '\0';
	CHECK_CAUSE(&s, "keepalive-race");
	i = story_incident(&s);
	for (unsigned k = 0; i != NULL && k < i->n_advice; k++)
		snprintf(text + strlen(text), size - strlen(text), "%s\n", i->advice[k]);
	return text;
}

TEST(what_the_upstream_runs_is_told_by_its_answers_and_its_setting_named)
{
	char text[2000];

	CHECK_HAS(advised_by("Date: x\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n", text, sizeof text), "node: server.keepAliveTimeout (5 s");
	CHECK_HAS(advised_by("Date: x\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\n", text, sizeof text), "tomcat: keepAliveTimeout");
	CHECK_HAS(advised_by("Server: Apache/2.4\r\nKeep-Alive: timeout=5, max=100\r\nConnection: Keep-Alive\r\n", text, sizeof text), "apache (as upstream): KeepAliveTimeout");
	CHECK_HAS(advised_by("date: x\r\nserver: uvicorn\r\n", text, sizeof text), "uvicorn: --timeout-keep-alive");
	CHECK(strstr(advised_by("Date: x\r\n", text, sizeof text), "node") == NULL);
	CHECK_HAS(text, "or let 10.0.");
}

/* The FIN came this long before the request: within a round trip, or long known. */
static struct story fin_before(int64_t ms)
{
	struct story s = idle_for(5000);

	story_fin(&s, UPSTREAM);
	story_ack(&s, GATEWAY);
	story_wait_ms(&s, ms);
	story_request(&s, "POST /cart");
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_fin_long_before_the_request_is_the_gateways_fault_and_within_a_round_trip_nobodys)
{
	struct story stale = fin_before(300), crossing = fin_before(0);

	CHECK_CAUSE(&stale, "keepalive-race");
	CHECK_STR(story_word(&stale, "trigger"), "stale");
	CHECK_INT(story_incident(&stale)->fault, FAULT_GATEWAY);
	CHECK_CAUSE(&crossing, "keepalive-race");
	CHECK_STR(story_word(&crossing, "trigger"), "idle");
	CHECK_INT(story_incident(&crossing)->fault, FAULT_CONFIGURATION);
}

/* A server that closes after three requests, seen three times; now a FIN crosses the request after the n-th answer. */
static struct story closes_after(unsigned n)
{
	struct story s = story_new();

	for (unsigned i = 0; i < 4; i++) {
		story_connect_back(&s);
		for (unsigned k = 0; k < (i < 3 ? 3 : n); k++) {
			story_request(&s, "GET /ok");
			story_answer(&s, 200);
		}
		if (i == 3)
			break;
		story_fin(&s, UPSTREAM);
		story_fin(&s, GATEWAY);
		story_ack(&s, UPSTREAM);
		story_wait_ms(&s, 100);
	}
	story_request(&s, "POST /cart");
	s.next.ack_off = -200;
	story_fin(&s, UPSTREAM);
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_race_at_the_limit_of_requests_or_before_it)
{
	struct story limit = closes_after(3), sooner = closes_after(2);

	CHECK_CAUSE(&limit, "keepalive-race");
	CHECK_STR(story_word(&limit, "trigger"), "max-requests");
	CHECK_CAUSE(&sooner, "keepalive-race");
	CHECK_STR(story_word(&sooner, "trigger"), "idle");
}

/* Four idle connections of different ages: all closed in one millisecond, or this one alone. */
static struct story restarts(bool all)
{
	struct story s = story_new();
	int back[4];

	for (unsigned i = 0; i < 4; i++) {
		story_connect_back(&s);
		back[i] = story_back(&s);
		story_request(&s, "GET /ok");
		story_answer(&s, 200);
		story_wait_ms(&s, 1300);
	}
	for (unsigned i = 0; i < 3 && all; i++) {
		story_turn_to(&s, -1, back[i]);
		story_fin(&s, UPSTREAM);
		story_fin(&s, GATEWAY);
		story_ack(&s, UPSTREAM);
	}
	story_turn_to(&s, -1, back[3]);
	story_request(&s, "POST /cart");
	s.next.ack_off = -200;
	story_fin(&s, UPSTREAM);
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(connections_of_all_ages_closed_at_once_are_a_restart_and_one_is_idle)
{
	struct story restart = restarts(true), idle = restarts(false);

	CHECK_CAUSE(&restart, "keepalive-race");
	CHECK_STR(story_word(&restart, "trigger"), "draining");
	CHECK_CAUSE(&idle, "keepalive-race");
	CHECK_STR(story_word(&idle, "trigger"), "idle");
}

/* After a pause the request is answered by RST alone, from this far away. */
static struct story forgotten(int64_t idle_ms, uint8_t ttl)
{
	struct story s = idle_for(idle_ms);

	story_request(&s, "POST /cart");
	s.next.ttl = ttl;
	s.next.ip_id_zero = true;
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_flow_forgotten_by_a_box_or_by_the_host)
{
	struct story box = forgotten(400000, 62 - 30), host = forgotten(400000, 63);

	CHECK_CAUSE(&box, "reset-by-middlebox");
	CHECK_CAUSE(&host, "keepalive-race");
	CHECK_STR(story_word(&host, "trigger"), "stale");
	CHECK_SAID(&host, "hop limit 63 as its other packets");
}

TEST(rst_alone_after_a_second_of_idleness_is_stale_and_sooner_a_reset)
{
	struct story stale = forgotten(1000, 63), reset = forgotten(500, 63);

	CHECK_CAUSE(&stale, "keepalive-race");
	CHECK_CAUSE(&reset, "reset-before-response");
}

/* 408 to a connection that is idle, as the request is on its way; or to the request, which it has acknowledged. */
static struct story timed_out(bool knew_the_request)
{
	struct story s = idle_for(5000);

	story_request(&s, "POST /cart");
	if (knew_the_request)
		story_ack(&s, UPSTREAM);
	s.next.ack_off = knew_the_request ? 0 : -200;
	story_text(&s, UPSTREAM, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	s.next.ack_off = knew_the_request ? 0 : -200;
	story_fin(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_408_said_while_idle_is_a_race_and_one_said_to_the_request_is_an_answer)
{
	struct story race = timed_out(false), answer = timed_out(true);

	CHECK_CAUSE(&race, "keepalive-race");
	CHECK_INT(story_detail_count(&race, "early_status"), 408);
	CHECK(strcmp(story_cause(&answer), "keepalive-race") != 0);
	CHECK_CAUSE(&answer, "gateway-refused");
}

/* Who reset it? A RST of the gateway's own (kube-proxy's un-NATed packets, a stop) is no act of the upstream. */
static struct story reset_by(int who)
{
	struct story s = acknowledged("GET /cart");

	story_wait_ms(&s, 40);
	story_rst_ack(&s, who);
	story_rst_ack(&s, FRONT);
	return s;
}

TEST(a_rst_of_the_gateways_own_is_not_the_upstreams)
{
	struct story own = reset_by(GATEWAY), upstreams = reset_by(UPSTREAM);

	CHECK_CAUSE(&own, "gateway-closed");
	CHECK_CAUSE(&upstreams, "reset-before-response");
}

/* ---- 4: amid the request ------------------------------------------------------------------------------ */

/* So much of a body of 20,000 bytes on both connections; what the upstream had seen of it is acknowledged, or not. */
static void upload(struct story *s, unsigned sent)
{
	static const char head[] = "POST /upload HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 20000\r\n";
	static char body[20000];
	char text[200];

	memset(body, 'x', sizeof body);
	snprintf(text, sizeof text, "%s\r\n", head);
	story_text(s, CLIENT, text);
	story_bytes(s, CLIENT, body, sent);
	story_ack(s, FRONT);
	snprintf(text, sizeof text, "%sX-Forwarded-For: 10.0.0.9\r\n\r\n", head);
	story_text(s, GATEWAY, text);
	story_bytes(s, GATEWAY, body, sent);
}

enum early { EARLY_ANSWER, NO_ANSWER, WHOLE };

static struct story reset_amid_upload(enum early how)
{
	struct story s = idle_for(500);

	story_connect_back(&s);
	upload(&s, how == WHOLE ? 20000 : 8000);
	story_ack(&s, UPSTREAM);
	if (how == EARLY_ANSWER)
		story_text(&s, UPSTREAM, "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	story_rst_ack(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(an_early_answer_destroyed_by_rst_no_answer_and_a_reset_after_all_was_sent)
{
	struct story early = reset_amid_upload(EARLY_ANSWER), none = reset_amid_upload(NO_ANSWER), whole = reset_amid_upload(WHOLE);

	CHECK_CAUSE(&early, "closed-during-request");
	CHECK_INT(story_detail_count(&early, "early_status"), 413);
	CHECK_CAUSE(&none, "closed-during-request");
	CHECK_INT(story_detail_count(&none, "early_status"), -1);
	CHECK_CAUSE(&whole, "reset-before-response");
}

/* One flight on an idle connection: the FIN knows of it, or crossed with it. */
static struct story flight(bool knew)
{
	struct story s = idle_for(5000);

	upload(&s, 8000);
	if (knew)
		story_ack(&s, UPSTREAM);
	s.next.ack_off = knew ? 0 : -8000 - 200;
	story_fin(&s, UPSTREAM);
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_close_amid_an_upload_that_it_knew_of_and_one_that_crossed_its_first_flight)
{
	struct story during = flight(true), race = flight(false);

	CHECK_CAUSE(&during, "closed-during-request");
	CHECK_CAUSE(&race, "keepalive-race");
}

/* ---- 5: who closed first, and with whom -------------------------------------------------------------------- */

static struct story thirty_seconds(int first)
{
	struct story s = acknowledged("GET /cart");

	story_wait_ms(&s, 30000);
	story_fin(&s, first);
	story_error(&s, first == GATEWAY ? 504 : 502);
	return s;
}

TEST(who_closes_first_owns_the_timeout)
{
	struct story gateway = thirty_seconds(GATEWAY), upstream = thirty_seconds(UPSTREAM);

	CHECK_CAUSE(&gateway, "response-timeout");
	CHECK_CONFIDENCE(&gateway, "high");
	CHECK_CAUSE(&upstream, "closed-before-response");
	CHECK_CONFIDENCE(&upstream, "high");
	CHECK(story_detail_ns(&upstream, "waited_s") >= 30 * NS_PER_S);
}

/* A request is unanswered; the upstream closes its connection, alone or with three others. */
static struct story killed(bool with_others)
{
	struct story s = story_new();
	int back[4];

	for (unsigned i = 0; i < 4; i++) {
		story_connect_back(&s);
		back[i] = story_back(&s);
		story_request(&s, "GET /ok");
		story_answer(&s, 200);
		story_wait_ms(&s, 100);
	}
	story_request(&s, "POST /cart");
	story_ack(&s, UPSTREAM);
	story_wait_ms(&s, 700);
	for (unsigned i = 0; i < 4; i++) {
		story_turn_to(&s, -1, back[3 - i]);
		story_fin(&s, UPSTREAM);
		if (!with_others)
			break;
	}
	story_error(&s, 502);
	return s;
}

TEST(a_killed_worker_takes_all_its_connections_and_an_exception_one)
{
	struct story worker = killed(true), one = killed(false);

	CHECK_CAUSE(&worker, "closed-before-response");
	CHECK_INT(story_detail_count(&worker, "closed_together"), 4);
	CHECK_CAUSE(&one, "closed-before-response");
	CHECK_INT(story_detail_count(&one, "closed_together"), -1);
}

/* Ten bytes of a body, then FIN: of a hundred that were announced, or as HTTP/1.0 ends every body. */
static struct story body_ends(const char *framing, bool truncated)
{
	struct story s = acknowledged("GET /cart");
	char text[200];

	snprintf(text, sizeof text, "HTTP/1.0 200 OK\r\n%s\r\n0123456789", framing);
	story_text(&s, UPSTREAM, text);
	story_ack(&s, GATEWAY);
	story_fin(&s, UPSTREAM);
	story_text(&s, FRONT, text);
	story_fin(&s, FRONT);
	story_ack(&s, CLIENT);
	CHECK_CAUSE(&s, truncated ? "closed-mid-body" : "none");
	return s;
}

TEST(a_body_short_of_its_length_is_truncated_and_one_that_ends_with_the_connection_is_not)
{
	(void)body_ends("Content-Length: 100\r\n", true);
	(void)body_ends("", false);
}

/* Interim responses are no response: what follows them is judged as if they had not been. */
static struct story after_interim(const char *text, bool upstream_closes)
{
	struct story s = acknowledged("GET /cart");

	story_text(&s, UPSTREAM, text);
	story_ack(&s, GATEWAY);
	story_wait_ms(&s, upstream_closes ? 50 : 5000);
	story_fin(&s, upstream_closes ? UPSTREAM : GATEWAY);
	story_error(&s, upstream_closes ? 502 : 504);
	return s;
}

TEST(after_an_interim_response_nothing_has_begun_and_after_a_status_line_something_has)
{
	static const char interim[] = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", begun[] = "HTTP/1.1 200 OK\r\nServer: x\r\n";
	struct story silent = after_interim(interim, false), closed = after_interim(interim, true),
	             stalled = after_interim(begun, false), cut = after_interim(begun, true);

	CHECK_CAUSE(&silent, "response-timeout");
	CHECK_SAID(&silent, "interim 103, which is no response");
	CHECK_CAUSE(&closed, "closed-before-response");
	CHECK_CAUSE(&stalled, "stalled-mid-response");
	CHECK_CAUSE(&cut, "closed-mid-headers");
}

TEST_MAIN()
