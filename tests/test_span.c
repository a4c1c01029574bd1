/* test_span.c - spans and cursors: no read goes past the end, and the failure sticks */
#include "check.h"

TEST(span_of_null_is_empty_and_not_null)
{
	struct span s = span_of(NULL, 5);

	CHECK_INT(s.len, 0);
	CHECK(s.at != NULL);
}

TEST(span_at_beyond_the_end_is_0)
{
	CHECK_INT(span_at(span_text("ab"), 1), 'b');
	CHECK_INT(span_at(span_text("ab"), 2), 0);
	CHECK_INT(span_at(span_text("ab"), SIZE_MAX), 0);
}

TEST(span_from_and_first_stay_within)
{
	CHECK_SPAN(span_from(span_text("abc"), 1), "bc");
	CHECK_SPAN(span_from(span_text("abc"), 3), "");
	CHECK_SPAN(span_from(span_text("abc"), SIZE_MAX), "");
	CHECK_SPAN(span_first(span_text("abc"), 2), "ab");
	CHECK_SPAN(span_first(span_text("abc"), SIZE_MAX), "abc");
}

TEST(spans_compare)
{
	CHECK(span_equal(span_text(""), span_none()));
	CHECK(!span_equal(span_text("a"), span_text("ab")));
	CHECK(span_equal_nocase(span_text("Content-LENGTH"), span_text("content-length")));
	CHECK(!span_equal_nocase(span_text("["), span_text("{")));      /* differ by the case bit alone */
	CHECK(span_is(span_text("GET"), "GET"));
	CHECK(span_starts(span_text("HTTP/1.1"), "HTTP/"));
	CHECK(!span_starts(span_text("HT"), "HTTP/"));
}

TEST(span_finds_or_gives_the_length)
{
	CHECK_INT(span_index(span_text("a:b:c"), ':'), 1);
	CHECK_INT(span_index(span_text("abc"), ':'), 3);
	CHECK_INT(span_index(span_none(), ':'), 0);
	CHECK_INT(span_find(span_text("abcabd"), "abd"), 3);
	CHECK_INT(span_find(span_text("abc"), "x"), 3);
}

TEST(cursor_reads_network_order_and_little_endian)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24 };
	struct cursor c = cursor_of(span_of(bytes, sizeof bytes));

	CHECK_INT(cur_u8(&c), 1);
	CHECK_INT(cur_u16(&c), 0x0203);
	CHECK_INT(cur_u24(&c), 0x040506);
	CHECK_INT(cur_u32(&c), 0x0708090a);
	CHECK_INT(cur_u64(&c), 0x0b0c0d0e0f101112);
	CHECK_INT(cur_u16le(&c), 0x1413);
	CHECK_INT(cur_u32le(&c), 0x18171615);
	CHECK(!c.failed);
	CHECK_INT(c.rest.len, 0);
}

TEST(cursor_failure_sticks)
{
	struct cursor c = cursor_of(span_text("abc"));

	CHECK_INT(cur_u32(&c), 0);
	CHECK(c.failed);
	CHECK_INT(cur_u8(&c), 0);                       /* though one byte would have been there */
	CHECK_INT(cur_take(&c, 0).len, 0);
	CHECK(c.failed);
}

TEST(cursor_take_of_a_huge_length_fails)
{
	struct cursor c = cursor_of(span_text("abc"));

	CHECK_INT(cur_take(&c, SIZE_MAX).len, 0);
	CHECK(c.failed);
}

TEST(cursor_at_every_cut_reads_all_or_fails)
{
	static const uint8_t bytes[] = { 0, 3, 'a', 'b', 'c', 1 };

	for (size_t cut = 0; cut <= sizeof bytes; cut++) {
		struct cursor c = cursor_of(span_of(bytes, cut));
		struct span text = cur_take(&c, cur_u16(&c));
		uint8_t last = cur_u8(&c);

		CHECK_INT(c.failed, cut < sizeof bytes);
		if (!c.failed)
			CHECK(span_is(text, "abc") && last == 1);
	}
}

TEST_MAIN()
