/* test_lookalikes_waiting.c - nothing came, or nothing got through: causes that look alike, one packet apart
 *
 * Each pair is a story told by one function; its flag bends the packet that decides. The pairs are those of
 * MECHANISMS.md, sections 3 to 5, and of CAUSES.md, "Rules where two causes lie close".
 */
#include "story.h"

static struct story begun(void)
{
	struct story s = story_answered("GET /ok", 200);

	story_wait_ms(&s, 500);
	story_connect_back(&s);
	return s;
}

static void resent(struct story *s, int who, unsigned times, int64_t first_ms)
{
	for (unsigned i = 0; i < times; i++) {
		story_wait_ms(s, first_ms << i);
		s->next.lost = true;
		story_resend(s, who);
	}
}

static void again(struct story *s, int who, unsigned packet, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		story_wait_ms(s, 250 << i);
		s->next.lost = true;
		story_again(s, who, packet);
	}
}

/* ---- 5: slow, or not received -------------------------------------------------------------------- */

static struct story silent(bool acknowledged)
{
	struct story s = begun();

	story_asks(&s, "GET /cart");
	s.next.lost = !acknowledged;
	story_passes_on(&s, "GET /cart");
	if (acknowledged)
		story_ack(&s, UPSTREAM);
	else
		resent(&s, GATEWAY, 4, 250);
	story_wait_ms(&s, 3000);
	story_fin(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

TEST(an_acknowledged_request_is_slow_and_an_unacknowledged_one_lost)
{
	struct story slow = silent(true), lost = silent(false);

	CHECK_CAUSE(&slow, "response-timeout");
	CHECK_CONFIDENCE(&slow, "high");
	CHECK_SAID(&slow, "acknowledged the request: it was not lost");
	CHECK_CAUSE(&lost, "packet-loss");
	CHECK_CONFIDENCE(&lost, "high");
}

/* The same packet captured twice is no resend. */
static struct story twice(bool a_copy)
{
	struct story s = begun();

	story_asks(&s, "GET /cart");
	s.next.lost = true;
	story_passes_on(&s, "GET /cart");
	for (unsigned i = 0; i < 3; i++) {
		story_wait_ms(&s, a_copy ? 0 : 250 << i);
		s.next.lost = true;
		s.next.ttl = a_copy ? (uint8_t)(62 - i) : 0;
		story_resend(&s, GATEWAY);
	}
	if (a_copy)
		story_ack(&s, UPSTREAM);
	story_wait_ms(&s, 3000);
	story_fin(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

TEST(a_packet_captured_twice_was_not_sent_twice)
{
	struct story copies = twice(true), resends = twice(false);

	CHECK(strcmp(story_cause(&copies), "packet-loss") != 0);
	CHECK_CAUSE(&resends, "packet-loss");
}

static struct story expecting(bool expects)
{
	struct story s = begun();
	char text[300];

	snprintf(text, sizeof text, "POST /cart HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 500\r\n%s\r\n",
	         expects ? "Expect: 100-continue\r\n" : "");
	story_text(&s, CLIENT, text);
	if (!expects) {
		memset(text, 'x', 250);
		text[250] = '\0';
		story_text(&s, CLIENT, text);
		story_text(&s, CLIENT, text);
	}
	story_ack(&s, FRONT);
	snprintf(text, sizeof text, "POST /cart HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 500\r\n%s\r\n",
	         expects ? "Expect: 100-continue\r\n" : "");
	story_text(&s, GATEWAY, text);
	if (!expects) {
		memset(text, 'x', 250);
		text[250] = '\0';
		story_text(&s, GATEWAY, text);
		story_text(&s, GATEWAY, text);
	}
	story_ack(&s, UPSTREAM);
	story_wait_ms(&s, 10000);
	story_fin(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

static bool said_expect_100(struct story *s)
{
	const struct incident *i = story_incident(s);

	for (unsigned n = 0; i != NULL && n < i->n_details; n++)
		if (strcmp(i->details[n].name, "expect_100") == 0)
			return i->details[n].yes;
	return false;
}

TEST(a_stand_off_over_100_continue_and_plain_silence)
{
	struct story stand_off = expecting(true), silence = expecting(false);

	CHECK_CAUSE(&stand_off, "response-timeout");
	CHECK(said_expect_100(&stand_off));
	CHECK_CAUSE(&silence, "response-timeout");
	CHECK(!said_expect_100(&silence));
}

/* ---- 4: the upstream takes no more --------------------------------------------------------------- */

enum window { STAYS_CLOSED, OPENS, PROBES_UNANSWERED, NEVER_CLOSED };

static void upload_begins(struct story *s)
{
	static const char head[] = "POST /upload HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 20000\r\n\r\n";
	char body[8000];

	memset(body, 'x', sizeof body);
	story_text(s, CLIENT, head);
	story_bytes(s, CLIENT, body, sizeof body);
	story_ack(s, FRONT);
	story_text(s, GATEWAY, head);
	story_bytes(s, GATEWAY, body, sizeof body);
}

static struct story stops_reading(enum window how)
{
	static const char rest[12000];
	struct story s = begun();

	upload_begins(&s);
	s.next.window_set = how != NEVER_CLOSED;
	story_ack(&s, UPSTREAM);
	if (how == NEVER_CLOSED) {
		s.next.lost = true;
		story_text(&s, GATEWAY, "xxxxxxxxxxxxxxxx");
		resent(&s, GATEWAY, 4, 250);
	}
	for (unsigned i = 0; i < 4 && how != NEVER_CLOSED; i++) {
		story_wait_ms(&s, 250 << i);
		story_probe(&s, GATEWAY);
		if (how == PROBES_UNANSWERED)
			continue;
		s.next.window_set = how == STAYS_CLOSED;
		story_ack(&s, UPSTREAM);
		if (how == OPENS)
			break;
	}
	if (how == OPENS) {
		story_bytes(&s, CLIENT, rest, sizeof rest);
		story_ack(&s, FRONT);
		story_bytes(&s, GATEWAY, rest, sizeof rest);
		story_ack(&s, UPSTREAM);
	}
	story_wait_ms(&s, 5000);
	story_rst_ack(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

TEST(a_window_that_stays_closed_is_a_stall_and_one_that_opens_a_slow_answer)
{
	struct story stall = stops_reading(STAYS_CLOSED), opens = stops_reading(OPENS);

	CHECK_CAUSE(&stall, "request-stall");
	CHECK_CONFIDENCE(&stall, "high");
	CHECK_CAUSE(&opens, "response-timeout");
}

TEST(a_closed_window_whose_probes_are_answered_is_a_stall_and_silence_is_loss)
{
	struct story stall = stops_reading(STAYS_CLOSED), silence = stops_reading(PROBES_UNANSWERED), loss = stops_reading(NEVER_CLOSED);

	CHECK_CAUSE(&stall, "request-stall");
	CHECK_CAUSE(&silence, "packet-loss");
	CHECK_CAUSE(&loss, "packet-loss");
}

/* ---- 3: a flow that was forgotten, or a path that loses ------------------------------------------- */

enum others { OTHERS_WORK, OTHERS_FAIL };

/* After so long the request gets no acknowledgement; meanwhile somebody else connects, or tries to. */
static struct story after_idle(int64_t idle_ms, enum others others)
{
	struct story s = story_answered("GET /ok", 200);
	int back = story_back(&s);

	story_wait_ms(&s, idle_ms);
	story_asks(&s, "GET /cart");
	s.next.lost = true;
	story_passes_on(&s, "GET /cart");
	resent(&s, GATEWAY, 3, 250);
	story_begin_back(&s);
	s.next.lost = others == OTHERS_FAIL;
	story_syn(&s);
	if (others == OTHERS_WORK) {
		story_syn_ack(&s);
		story_ack(&s, GATEWAY);
	}
	story_turn_to(&s, -1, back);
	story_wait_ms(&s, 3000);
	story_fin(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

TEST(a_forgotten_flow_while_others_work_and_loss_that_all_suffer)
{
	struct story forgotten = after_idle(400000, OTHERS_WORK), loss = after_idle(400000, OTHERS_FAIL);

	CHECK_CAUSE(&forgotten, "idle-connection-lost");
	CHECK_CONFIDENCE(&forgotten, "high");
	CHECK_SAID(&forgotten, "no plain loss: another connection");
	CHECK_CAUSE(&loss, "packet-loss");
}

TEST(a_flow_is_forgotten_after_a_second_at_least)
{
	struct story forgotten = after_idle(1000, OTHERS_WORK), loss = after_idle(500, OTHERS_WORK);

	CHECK_CAUSE(&forgotten, "idle-connection-lost");
	CHECK_CAUSE(&loss, "packet-loss");
}

/* Two segments after the pause: the first is acknowledged and only the second is lost, or both are. */
static struct story two_segments(bool first_arrives)
{
	static const char head[] = "POST /cart HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\n";
	struct story s = story_answered("GET /ok", 200);
	int back = story_back(&s);
	unsigned oldest;

	story_wait_ms(&s, 400000);
	story_text(&s, CLIENT, head);
	story_text(&s, CLIENT, "a=1&b");
	story_ack(&s, FRONT);
	s.next.lost = !first_arrives;
	story_text(&s, GATEWAY, head);
	oldest = story_packets(&s);
	if (first_arrives)
		story_ack(&s, UPSTREAM);
	s.next.lost = true;
	story_text(&s, GATEWAY, "a=1&b");
	again(&s, GATEWAY, first_arrives ? story_packets(&s) : oldest, 3);
	story_connect_back(&s);
	story_turn_to(&s, -1, back);
	story_wait_ms(&s, 3000);
	story_fin(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

TEST(a_flow_whose_first_segment_arrived_was_not_forgotten)
{
	struct story forgotten = two_segments(false), loss = two_segments(true);

	CHECK_CAUSE(&forgotten, "idle-connection-lost");
	CHECK_CAUSE(&loss, "packet-loss");
}

/* ---- 5: too large, or lost ------------------------------------------------------------------------ */

enum path { SMALL_ARRIVES, NOTHING_ARRIVES, TOLD_TOO_BIG };

/* A full-size segment and a small one behind it: the small one arrives (SACK), or neither does, or a router says why. */
static struct story large_request(enum path path)
{
	struct story s = begun();
	char text[2000];
	int n = snprintf(text, sizeof text, "GET /cart HTTP/1.1\r\nHost: shop.example\r\nCookie: ");
	unsigned large;

	memset(text + n, 'x', 1700);
	memcpy(text + n + 1700, "\r\n\r\n", 5);
	story_text(&s, CLIENT, text);
	story_ack(&s, FRONT);
	s.next.lost = true;
	story_segment(&s, GATEWAY, text, 1448);
	large = story_packets(&s);
	s.next.lost = path != SMALL_ARRIVES;
	story_segment(&s, GATEWAY, text + 1448, strlen(text) - 1448);
	if (path == SMALL_ARRIVES) {
		s.next.sacks = true;
		story_ack(&s, UPSTREAM);
	}
	if (path == TOLD_TOO_BIG)
		story_icmp(&s, 3, 4, 1400);
	again(&s, GATEWAY, large, 4);
	story_wait_ms(&s, 3000);
	story_fin(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

TEST(full_size_segments_lost_alone_are_a_black_hole_and_all_lost_is_loss)
{
	struct story hole = large_request(SMALL_ARRIVES), loss = large_request(NOTHING_ARRIVES), told = large_request(TOLD_TOO_BIG);

	CHECK_CAUSE(&hole, "mtu-blackhole");
	CHECK_CONFIDENCE(&hole, "high");
	CHECK_SAID(&hole, "no plain loss: a smaller segment sent after it");
	CHECK_CAUSE(&loss, "packet-loss");
	CHECK_CAUSE(&told, "mtu-blackhole");
	CHECK_INT(story_detail_count(&told, "mtu"), 1400);
}

/* The response's full-size segments never come to the gateway, its head among them or before them; the last, small one does,
 * or nothing. */
static struct story large_response(bool head_arrives, bool small_arrives)
{
	struct story s = begun();
	char body[5000];

	memset(body, 'x', sizeof body);
	story_request(&s, "GET /cart");
	story_ack(&s, UPSTREAM);
	if (head_arrives) {
		story_text(&s, UPSTREAM, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
		story_ack(&s, GATEWAY);
	}
	for (unsigned i = 0; i < 3; i++) {
		s.next.lost = s.next.unseen = true;
		story_segment(&s, UPSTREAM, body, 1448);
	}
	s.next.unseen = !small_arrives;
	s.next.lost = true;
	story_segment(&s, UPSTREAM, body, sizeof body - 3 * 1448);
	if (small_arrives) {
		s.next.sacks = true;
		story_ack(&s, GATEWAY);
	}
	story_wait_ms(&s, 5000);
	story_fin(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

TEST(full_size_segments_of_the_response_lost_alone_and_all_of_it)
{
	struct story hole = large_response(false, true), silence = large_response(false, false), body_hole = large_response(true, true),
	             stall = large_response(true, false);

	CHECK_CAUSE(&hole, "mtu-blackhole");
	CHECK_STR(story_word(&hole, "direction"), "from-upstream");
	CHECK_CAUSE(&silence, "response-timeout");
	CHECK_CAUSE(&body_hole, "mtu-blackhole");
	CHECK_CAUSE(&stall, "stalled-mid-response");
}

/* ---- 5: the client's part --------------------------------------------------------------------------- */

enum leaves { LEAVES, HALF_CLOSES, STAYS };

/* The client's FIN: the gateway gives the upstream up at once; or it goes on, and the client takes what it is given. */
static struct story client_closes(enum leaves how)
{
	struct story s = begun();

	s.report.symptoms |= 1u << SYMPTOM_CLIENT_ABORT;
	story_request(&s, "GET /cart");
	story_ack(&s, UPSTREAM);
	story_wait_ms(&s, 300);
	if (how != STAYS)
		story_fin(&s, CLIENT);
	if (how == LEAVES) {
		story_fin(&s, GATEWAY);
		story_fin(&s, FRONT);
		return s;
	}
	story_wait_ms(&s, 300);
	story_rst_ack(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(a_client_that_left_and_one_that_closed_its_half_and_reads_on)
{
	struct story leaves = client_closes(LEAVES), half = client_closes(HALF_CLOSES), stays = client_closes(STAYS);

	CHECK_CAUSE(&leaves, "client-aborted");
	CHECK_CAUSE(&half, "reset-before-response");
	CHECK_CAUSE(&stays, "reset-before-response");
}

/* Nobody but the gateway ended a healthy exchange; or it had a whole answer and did not like it. */
static struct story gateways_doing(bool answered)
{
	struct story s = begun();

	story_request(&s, "GET /cart");
	story_ack(&s, UPSTREAM);
	story_wait_ms(&s, 300);
	if (answered) {
		story_upstream_answers(&s, 200);
		story_error(&s, 502);
	} else {
		story_fin(&s, GATEWAY);
		story_fin(&s, FRONT);
	}
	return s;
}

TEST(a_gateway_that_stops_and_one_that_refuses_an_answer)
{
	struct story stops = gateways_doing(false), refuses = gateways_doing(true);

	CHECK_CAUSE(&stops, "gateway-closed");
	CHECK_CAUSE(&refuses, "gateway-refused");
}

/* ---- an answer that nobody waited for any more ------------------------------------------------- */

static struct story answers_after(bool gave_up)
{
	struct story s = story_answered("GET /ok", 200);

	story_connect_back(&s);
	story_request(&s, "GET /slow");
	story_ack(&s, UPSTREAM);
	story_wait_ms(&s, 2000);
	if (gave_up) {
		story_fin(&s, GATEWAY);
		story_error(&s, 504);
		story_wait_ms(&s, 1000);
	}
	story_text(&s, UPSTREAM, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	if (gave_up)
		story_rst(&s, GATEWAY);
	else
		story_error(&s, 502);
	return s;
}

TEST(an_answer_after_the_gateway_gave_up_is_a_timeout_and_one_that_it_had_is_its_own_refusal)
{
	struct story late = answers_after(true), had = answers_after(false);

	CHECK_CAUSE(&late, "response-timeout");
	CHECK_SAID(&late, "the gateway gave up first");
	CHECK_CAUSE(&had, "gateway-refused");
}

TEST_MAIN()
