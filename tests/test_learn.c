/* test_learn.c - what a capture teaches, and how much of it is kept */
#include "../report/learn.h"

#include "check.h"
#include "facts.h"

static void teach(struct learned *l, const void *f)
{
	learned_fact(l, f);
}

static void close_idle(struct learned *l, uint32_t conn, double idle_ms, double ms)
{
	struct close_fact f =
		fact_close_of(conn, at_port(1, 40000), at_port(21, 8080), SERVER, idle_ms, 2, ms);

	teach(l, &f);
}

TEST(idle_limit_is_learnt_from_idle_closes_alone)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);
	struct idle_limit idle;

	close_idle(l, 1, 5002, 6000);
	close_idle(l, 2, 4998, 7000);
	close_idle(l, 3, 5000, 8000);
	close_idle(l, 4, 0.4, 9000); /* right after an answer: no idle limit */
	learned_idle(l, &up, &idle);
	CHECK_INT(idle.n, 3);
	CHECK_INT(idle.min_ns, 4998 * NS_PER_MS);
	CHECK_INT(idle.median_ns, 5000 * NS_PER_MS);
	CHECK_INT(idle.max_ns, 5002 * NS_PER_MS);
	learned_free(l);
}

TEST(close_by_the_gateway_teaches_no_idle_limit)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);
	struct close_fact f = fact_close_of(1, at_port(1, 40000), up, CLIENT, 60000, 2, 61000);
	struct idle_limit idle;

	teach(l, &f);
	learned_idle(l, &up, &idle);
	CHECK_INT(idle.n, 0);
	learned_free(l);
}

TEST(keep_alive_header_is_remembered)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);
	struct close_fact f = fact_close_of(1, at_port(1, 40000), up, SERVER, 5000, 2, 6000);
	struct idle_limit idle;

	f.keep_alive_s = 5;
	teach(l, &f);
	learned_idle(l, &up, &idle);
	CHECK_INT(idle.said_s, 5);
	learned_free(l);
}

TEST(max_requests_needs_three_closes_after_the_same_number)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);

	for (uint32_t i = 0; i < 3; i++) {
		struct close_fact f =
			fact_close_of(i, at_port(1, 40000), up, SERVER, 0.2, 100, 1000.0 * i);

		CHECK_INT(learned_max_requests(l, &up), 0);
		teach(l, &f);
	}
	CHECK_INT(learned_max_requests(l, &up), 100);
	learned_free(l);
}

TEST(closes_after_differing_numbers_are_no_limit)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);

	for (uint32_t i = 0; i < 12; i++) {
		struct close_fact f = fact_close_of(i, at_port(1, 40000), up, SERVER, 0.2,
						    i % 3 == 0   ? 7
						    : i % 3 == 1 ? 9
								 : 12,
						    1000.0 * i);

		teach(l, &f);
	}
	CHECK_INT(learned_max_requests(l, &up), 0);
	learned_free(l);
}

TEST(answers_are_found_by_time_and_other_connections)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);
	struct brief_fact a = fact_brief_of(1, at_port(1, 40000), up, "/a", 100, 110),
			  b = fact_brief_of(2, at_port(1, 40001), up, "/b", 200, 210);
	int64_t t0 = at_ms(0).time_ns;
	struct mark when;

	teach(l, &a);
	teach(l, &b);
	CHECK(learned_answered_between(l, &up, t0 + 105 * NS_PER_MS, t0 + 150 * NS_PER_MS,
				       UINT32_MAX, &when));
	CHECK_INT(when.packet, a.response.packet);
	CHECK(!learned_answered_between(l, &up, t0 + 105 * NS_PER_MS, t0 + 150 * NS_PER_MS, 1,
					NULL));
	CHECK(!learned_answered_between(l, &up, t0 + 120 * NS_PER_MS, t0 + 190 * NS_PER_MS,
					UINT32_MAX, NULL));
	learned_free(l);
}

TEST(rings_keep_the_newest_and_say_what_they_cover)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);
	int64_t t0 = at_ms(0).time_ns;

	for (uint32_t i = 0; i < 10000; i++) {
		struct brief_fact f =
			fact_brief_of(i % 7, at_port(1, 40000 + i % 7), up, "/a", i, i + 0.5);

		teach(l, &f);
	}
	CHECK(learned_answered_between(l, &up, t0 + 9000 * NS_PER_MS, t0 + 9001 * NS_PER_MS,
				       UINT32_MAX, NULL));
	CHECK(learned_covers(l, &up, t0 + 9000 * NS_PER_MS));
	CHECK(!learned_covers(l, &up, t0));
	learned_free(l);
}

TEST(busy_servers_leave_room_to_learn_of_one_met_late)
{
	struct learned *l = learned_new();
	struct endpoint late = at_port(200, 8080);
	int64_t t0 = at_ms(0).time_ns;
	struct brief_fact f;

	for (uint32_t i = 0; i < 64 * 4096; i++) {
		f = fact_brief_of(i % 64, at_port(1, (uint16_t)(40000 + i % 64)), at_port((uint8_t)(10 + i % 64), 8080), "/a", i, i + 0.5);
		teach(l, &f);
	}
	f = fact_brief_of(64, at_port(1, 50000), late, "/a", 300000, 300001);
	teach(l, &f);
	CHECK(learned_answered_between(l, &late, t0 + 300000 * NS_PER_MS, t0 + 300002 * NS_PER_MS, UINT32_MAX, NULL));
	learned_free(l);
}

TEST(closes_together_are_counted)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);
	int64_t t0 = at_ms(0).time_ns;

	for (uint32_t i = 0; i < 5; i++)
		close_idle(l, i, 300 + 100.0 * i, 1000 + i);
	CHECK_INT(learned_closed_together(l, &up, t0 + 999 * NS_PER_MS, t0 + 1010 * NS_PER_MS), 5);
	CHECK_INT(learned_closed_together(l, &up, t0 + 1100 * NS_PER_MS, t0 + 1200 * NS_PER_MS), 0);
	learned_free(l);
}

TEST(dropped_syns_are_signs_of_a_full_queue)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);
	struct syn_fact f = fact_syn_of(3, at_port(1, 40003), up, 2, 100);
	int64_t t0 = at_ms(0).time_ns;
	struct queue_signs signs;

	teach(l, &f);
	teach(l, &f); /* again, about the same connection */
	learned_queue(l, &up, t0, t0 + NS_PER_S, &signs);
	CHECK_INT(signs.syn_dropped, 1);
	CHECK_INT(signs.dropped.packet, f.first.packet);
	learned_free(l);
}

TEST(strangers_push_no_server_out)
{
	struct learned *l = learned_new();
	struct endpoint up = at_port(21, 8080);
	struct brief_fact f = fact_brief_of(1, at_port(1, 40000), up, "/a", 1, 2);
	struct server_seen seen;

	teach(l, &f);
	for (uint32_t i = 0; i < 20000; i++) {
		struct syn_fact syn =
			fact_syn_of(10 + i, at_port(9, 1024 + i % 60000),
				    at_port(i % 65536, 1 + i / 256), 1, 10 + i * 0.01);

		teach(l, &syn);
	}
	CHECK(learned_server(l, &up, &seen));
	CHECK_INT(seen.answered, 1);
	learned_free(l);
}

TEST(hop_limits_are_known_by_port_and_by_address)
{
	struct learned *l = learned_new();
	struct exchange_fact f = fact_exchange_of(1, at_port(1, 40000), at_port(21, 8080), "/a", 1);
	struct endpoint up = at_port(21, 8080), host = at_port(21, 0), other = at_port(22, 0);
	uint8_t min, max;

	f.conn.side[SERVER].ttl_min = 61;
	teach(l, &f);
	CHECK(learned_ttl(l, &up, &min, &max));
	CHECK_INT(min, 61);
	CHECK_INT(max, 64);
	CHECK(learned_ttl(l, &host, &min, &max));
	CHECK(!learned_ttl(l, &other, &min, &max));
	learned_free(l);
}

TEST_MAIN()
