/* test_leap.c - a clock that is set while capturing, forward or back, and what tells it from a silence */
#include "check.h"

#include "../decode/clock.h"
#include "../decode/leap.h"

enum { PACKETS = 32, BYTES = 52 };      /* IPv4, TCP with NOP NOP TS */

struct talk { struct packet packets[PACKETS]; uint8_t bytes[PACKETS][BYTES]; unsigned n, silent_at; int64_t now_ns; };

static void put(uint8_t *at, uint32_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

/* An acknowledgement from host `from` to host `to`, whose clock says `tsval`. */
static void say(struct talk *t, unsigned from, unsigned to, uint32_t tsval)
{
	uint8_t *b = t->bytes[t->n];

	t->packets[t->n] = (struct packet){ .bytes = b, .caplen = BYTES, .len = BYTES, .time_ns = t->now_ns, .number = t->n + 1, .link_type = 101 };
	put(b, 0x45000000 | BYTES, 4);
	put(b + 8, 0x40060000, 4);
	put(b + 12, 0x0a000000 | from, 4);
	put(b + 16, 0x0a000000 | to, 4);
	put(b + 20, from << 16 | to, 4);
	put(b + 32, 0x80100400, 4);
	put(b + 40, 0x0101080a, 4);
	put(b + 44, tsval, 4);
	t->n++;
	t->now_ns += 100 * NS_PER_US;
}

/* Two hosts talk for 20 ms, all is silent for `capture_ms` by the capture's clock and for so many ticks by theirs, and they talk again. */
static struct talk talk(int64_t capture_ms, uint32_t ticks_1, uint32_t ticks_2, uint32_t ticks_in_20_ms)
{
	struct talk t = { .now_ns = 1000 * NS_PER_S };

	say(&t, 1, 2, 7000);
	say(&t, 2, 1, 900);
	t.now_ns += 20 * NS_PER_MS;
	say(&t, 1, 2, 7000 + ticks_in_20_ms);
	say(&t, 2, 1, 900 + ticks_in_20_ms);
	t.now_ns += capture_ms * NS_PER_MS;
	t.silent_at = t.n;
	say(&t, 1, 2, 7000 + ticks_in_20_ms + ticks_1);
	say(&t, 2, 1, 900 + ticks_in_20_ms + ticks_2);
	return t;
}

static enum leap_answer ask(struct talk *t, unsigned n_after, bool final, int64_t *elapsed_ns)
{
	struct leap *l = leap_new();
	enum leap_answer answer;

	*elapsed_ns = -1;
	if (l == NULL)
		abort();
	for (unsigned i = 0; i < t->n; i++)
		t->packets[i].bytes = t->bytes[i];
	leap_remember(l, t->packets, t->silent_at);
	answer = leap_elapsed(l, t->packets + t->silent_at, n_after, final, 0, t->packets[t->silent_at - 1].time_ns, elapsed_ns);
	leap_free(l);
	return answer;
}

TEST(two_hosts_whose_clocks_stood_still_say_that_it_was_set_forward)
{
	struct talk t = talk(2000, 3, 3, 20);
	int64_t ns;

	CHECK_INT(ask(&t, 2, false, &ns), LEAP_YES);
	CHECK(ns >= 0 && ns <= 10 * NS_PER_MS);
}

TEST(a_silence_that_lasted_is_kept_whatever_the_step)
{
	struct talk t = talk(3000, 1000, 1000, 20);
	int64_t ns;

	CHECK_INT(ask(&t, 2, false, &ns), LEAP_YES);
	CHECK(ns >= 900 * NS_PER_MS && ns <= 1100 * NS_PER_MS);
}

TEST(two_hosts_whose_clocks_went_on_were_silent)
{
	struct talk t = talk(2000, 2000, 2000, 20);
	int64_t ns;

	CHECK_INT(ask(&t, 2, true, &ns), LEAP_NO);
}

TEST(one_host_alone_may_have_been_suspended)
{
	struct talk t = talk(2000, 3, 2000, 20);
	int64_t ns;

	CHECK_INT(ask(&t, 2, true, &ns), LEAP_NO);
	CHECK_INT(ask(&t, 1, false, &ns), LEAP_UNKNOWN);
	CHECK_INT(ask(&t, 1, true, &ns), LEAP_YES);     /* nobody says otherwise, or will */
}

TEST(coarse_ticks_tell_nothing_of_short_silences)
{
	struct talk t = talk(2000, 4, 4, 0);            /* 2 Hz */
	int64_t ns;

	CHECK_INT(ask(&t, 2, true, &ns), LEAP_UNKNOWN);
}

TEST(ticks_of_ten_milliseconds_are_known_by_their_rate)
{
	struct talk silent = talk(2000, 200, 200, 2), set = talk(2000, 1, 1, 2);
	int64_t ns;

	CHECK_INT(ask(&silent, 2, true, &ns), LEAP_NO);
	CHECK_INT(ask(&set, 2, true, &ns), LEAP_YES);
}

TEST(a_clock_that_never_goes_on_tells_nothing)
{
	struct talk t = talk(2000, 0, 0, 0);
	int64_t ns;

	for (unsigned i = 0; i < 2; i++)
		t.packets[i].time_ns -= NS_PER_S;
	CHECK_INT(ask(&t, 2, true, &ns), LEAP_UNKNOWN);
}

TEST(a_step_back_takes_as_long_as_the_hosts_say)
{
	struct talk t = talk(-2000, 500, 500, 20);
	int64_t ns;

	CHECK_INT(ask(&t, 2, false, &ns), LEAP_YES);
	CHECK(ns >= 490 * NS_PER_MS && ns <= 510 * NS_PER_MS);
}

TEST(hostile_times_are_no_steps)
{
	struct talk t = talk(2000, 3, 3, 20);
	int64_t ns;

	t.packets[t.silent_at].time_ns = INT64_MAX;
	CHECK_INT(ask(&t, 2, true, &ns), LEAP_UNKNOWN);
	t.packets[t.silent_at].time_ns = INT64_MIN;
	CHECK_INT(ask(&t, 2, true, &ns), LEAP_UNKNOWN);
}

static int64_t set_right(struct clock *c, uint16_t interface, int64_t time_ms)
{
	struct packet p = { .time_ns = time_ms * NS_PER_MS, .interface = interface };

	if (clock_ahead(c, &p) == CLOCK_SET_BACK)
		clock_step(c, &p, 0);
	clock_set_right(c, &p);
	return p.time_ns / NS_PER_MS;
}

TEST(each_interface_comes_to_a_step_in_its_own_turn)
{
	struct clock c = { .n_taps = 0 };

	CHECK_INT(set_right(&c, 0, 10000), 10000);
	CHECK_INT(set_right(&c, 1, 10000), 10000);
	CHECK_INT(set_right(&c, 0, 8001), 10000);       /* set back by 2 s */
	CHECK_INT(set_right(&c, 1, 10001), 10001);      /* before that */
	CHECK_INT(set_right(&c, 0, 8003), 10002);
	CHECK_INT(set_right(&c, 1, 8003), 10002);
	clock_clear(&c);
}

TEST_MAIN()
