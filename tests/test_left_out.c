/* test_left_out.c - packets that a filter, --since or --until leaves out: they have numbers, and say nothing */
#include "story.h"

static const struct incident *only(struct story *s)
{
	static const struct incident none = { .id = 0 };

	return story_incident(s) != NULL ? story_incident(s) : &none;
}

static uint32_t front_connection(struct story *s)
{
	const struct incident *i = only(s);

	return i->client_exchange != NULL ? i->client_exchange->full->head.conn : UINT32_MAX;
}

TEST(what_is_left_out_makes_no_incident)
{
	struct story s = story_new();

	story_request(&s, "GET /");
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	story_leave_out(&s, 1, story_packets(&s));
	CHECK_CAUSE(&s, "none");
	CHECK_INT(story_report(&s)->exchanges, 0);
	CHECK_INT(story_report(&s)->decode.left_out, story_packets(&s));
	CHECK_INT(story_report(&s)->connections, 2);    /* numbered all the same */
}

TEST(a_connection_left_out_keeps_its_number)
{
	struct story s = story_answered("GET /before", 204);
	unsigned before = story_packets(&s);

	story_connect_front(&s);
	story_connect_back(&s);
	story_request(&s, "GET /");
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	story_leave_out(&s, 1, before);
	CHECK_CAUSE(&s, "reset-before-response");
	CHECK_INT(front_connection(&s), 2);
}

TEST(what_began_left_out_is_joined_under_its_own_number)
{
	struct story s = story_answered("GET /first", 204);     /* connections 0 and 1 */
	unsigned before;

	story_connect_front(&s);                                /* 2 */
	before = story_packets(&s);
	story_turn_to(&s, 0, 1);
	story_request(&s, "GET /");
	story_rst(&s, UPSTREAM);
	story_error(&s, 502);
	story_leave_out(&s, 1, before);
	CHECK_CAUSE(&s, "reset-before-response");
	CHECK_INT(front_connection(&s), 0);
	CHECK_INT(story_report(&s)->decode.joined_late, 2);
	CHECK_INT(story_report(&s)->connections, 3);
}

TEST(a_syn_resent_after_one_left_out_is_the_same_conversation)
{
	struct story s = story_new();

	story_asks(&s, "GET /");                                /* 0 */
	story_syn(&s);                                          /* 1 */
	story_leave_out(&s, story_packets(&s), story_packets(&s));
	story_wait_ms(&s, 1000);
	story_syn(&s);
	story_refuse(&s);
	story_error(&s, 502);
	CHECK_CAUSE(&s, "connection-refused");
	CHECK_INT(story_report(&s)->connections, 2);
}

TEST(a_filter_on_one_side_leaves_numbers_as_they_are)
{
	struct story s = story_answered("GET /", 204);

	for (unsigned i = 1; i <= story_packets(&s); i += 2)
		story_leave_out(&s, i, i);
	CHECK_CAUSE(&s, "none");
	CHECK_INT(story_report(&s)->connections, 2);
}

TEST(time_stands_still_while_nothing_is_judged)
{
	struct story s = story_new();
	unsigned last;

	story_request(&s, "GET /");
	last = story_packets(&s);
	story_wait_ms(&s, 100000);                              /* no one has waited for this long: --until lies before */
	story_answer(&s, 502);
	story_leave_out(&s, last + 1, story_packets(&s));
	CHECK_CAUSE(&s, "none");
}

TEST(a_filter_that_hides_the_upstream_side_is_said)
{
	struct story s = story_new();
	const struct report *r;
	bool said = false;

	s.report.filter = "port 80";
	story_request(&s, "GET /");
	story_leave_out(&s, 6, story_packets(&s));              /* all of the connection behind */
	story_error(&s, 502);
	r = story_report(&s);
	for (unsigned i = 0; i < r->n_blind; i++)
		said = said || strstr(r->blind[i], "your filter 'port 80' hides the upstream connections") != NULL;
	CHECK(said);
}

TEST(a_snaplen_that_cuts_what_is_needed_is_said)
{
	struct story s = story_new();
	const struct report *r;
	bool said = false;

	story_connect_front(&s);
	s.next.snaplen = 80;
	story_text(&s, CLIENT, "GET /cart HTTP/1.1\r\nHost: shop.example\r\n\r\n");
	r = story_report(&s);
	for (unsigned i = 0; i < r->n_blind; i++)
		said = said || strstr(r->blind[i], "snaplen") != NULL;
	CHECK(said);
	CHECK(r->decode.bytes_cut != 0);
}

TEST_MAIN()
