/* A story's packets are what its words say: judged by reading them back. */
#include "story.h"

struct segment { uint16_t from, to; uint32_t seq, ack; uint8_t flags, ttl; uint16_t window, ip_len; struct span payload; };

static struct segment segment_of(const struct story *s, unsigned number)
{
	struct cursor c = cursor_of(story_packet(s, number));
	struct segment g = { 0 };

	cur_skip(&c, 14 + 2);
	g.ip_len = cur_u16(&c);
	cur_skip(&c, 4);
	g.ttl = cur_u8(&c);
	cur_skip(&c, 11);
	g.from = cur_u16(&c);
	g.to = cur_u16(&c);
	g.seq = cur_u32(&c);
	g.ack = cur_u32(&c);
	size_t header = (size_t)(cur_u8(&c) >> 4) * 4;
	g.flags = cur_u8(&c);
	g.window = cur_u16(&c);
	cur_skip(&c, header - 16);
	g.payload = c.rest;
	CHECK(!c.failed);
	return g;
}

TEST(a_handshake_is_three_packets_with_fitting_numbers)
{
	struct story s = story_new();

	story_connect_back(&s);
	CHECK_INT(story_packets(&s), 3);
	struct segment syn = segment_of(&s, 1), syn_ack = segment_of(&s, 2), ack = segment_of(&s, 3);
	CHECK_INT(syn.flags, 2);
	CHECK_INT(syn.to, 8080);
	CHECK_INT(syn_ack.flags, 18);
	CHECK_INT(syn_ack.ack, syn.seq + 1);
	CHECK_INT(ack.flags, 16);
	CHECK_INT(ack.seq, syn.seq + 1);
	CHECK_INT(ack.ack, syn_ack.seq + 1);
}

TEST(an_answered_request_crosses_both_connections)
{
	struct story s = story_answered("GET /", 204);

	CHECK_INT(story_packets(&s), 13);
	CHECK(span_starts(segment_of(&s, 4).payload, "GET / HTTP/1.1\r\n"));
	CHECK(span_starts(segment_of(&s, 9).payload, "GET / HTTP/1.1\r\n"));
	CHECK(span_starts(segment_of(&s, 10).payload, "HTTP/1.1 204 "));
	CHECK_INT(segment_of(&s, 10).ttl, 63);
	CHECK_INT(segment_of(&s, 12).from, 80);
	CHECK_INT(segment_of(&s, 10).ack, segment_of(&s, 9).seq + segment_of(&s, 9).payload.len);
}

TEST(a_bare_rst_has_the_number_that_the_peer_expects)
{
	struct story s = story_answered("GET /", 204);

	story_fin(&s, UPSTREAM);
	story_request(&s, "GET /cart");
	story_rst(&s, UPSTREAM);
	struct segment fin = segment_of(&s, 14), rst = segment_of(&s, story_packets(&s));
	CHECK_INT(rst.flags, 4);
	CHECK_INT(rst.seq, fin.seq + 1);
	CHECK_INT(rst.window, 0);
}

TEST(what_is_lost_is_not_acknowledged_and_what_is_unseen_is_not_captured)
{
	struct story s = story_answered("GET /", 204);
	unsigned n = story_packets(&s);

	s.next.lost = true;
	story_text(&s, UPSTREAM, "abc");
	uint32_t before = segment_of(&s, n + 1).seq;
	story_ack(&s, GATEWAY);
	CHECK_INT(segment_of(&s, n + 2).ack, before);
	story_resend(&s, UPSTREAM);
	story_ack(&s, GATEWAY);
	CHECK_INT(segment_of(&s, n + 4).ack, before + 3);
	s.next.unseen = true;
	story_text(&s, UPSTREAM, "def");
	CHECK_INT(story_packets(&s), n + 4);
	story_ack(&s, GATEWAY);
	CHECK_INT(segment_of(&s, n + 5).ack, before + 6);
}

TEST(a_syn_is_resent_with_the_same_number_and_refused_with_the_next)
{
	struct story s = story_new();

	s.next.lost = true;
	story_syn(&s);
	story_wait_ms(&s, 1000);
	story_syn(&s);
	story_refuse(&s);
	CHECK_INT(segment_of(&s, 2).seq, segment_of(&s, 1).seq);
	CHECK_INT(segment_of(&s, 3).flags, 20);
	CHECK_INT(segment_of(&s, 3).seq, 0);
	CHECK_INT(segment_of(&s, 3).ack, segment_of(&s, 1).seq + 1);
}

TEST(long_text_is_cut_into_segments_with_ip_lengths_that_hold_them)
{
	struct story s = story_new();
	char text[4000];

	memset(text, 'x', sizeof text);
	story_connect_back(&s);
	story_bytes(&s, UPSTREAM, text, sizeof text);
	CHECK_INT(story_packets(&s), 6);
	CHECK_INT(segment_of(&s, 4).payload.len, 1460);
	CHECK_INT(segment_of(&s, 4).ip_len, 1500);
	CHECK_INT(segment_of(&s, 6).payload.len, 1080);
	CHECK_INT(segment_of(&s, 6).seq, segment_of(&s, 4).seq + 2920);
}

TEST(a_story_without_trouble_has_no_incident)
{
	struct story s = story_answered("GET /", 200);

	CHECK_CAUSE(&s, "none");
	CHECK_OR_RETURN(story_report(&s) != NULL);
	CHECK_INT(story_report(&s)->requests, 1);
}

TEST_MAIN()
