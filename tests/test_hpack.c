/* test_hpack.c - header blocks from the start, joined late, and after a hole */
#include "check.h"
#include "http2_stub.h"

#include "../capture/limits.h"
#include "../decode/hpack.h"

struct collected { char text[16384]; size_t n; unsigned fields, unknown; };

static void collect(void *ctx, struct span name, struct span value, bool unknown)
{
	struct collected *c = ctx;
	int n;

	c->fields++;
	c->unknown += unknown;
	n = unknown ? snprintf(c->text + c->n, sizeof c->text - c->n, "?\n") :
	              snprintf(c->text + c->n, sizeof c->text - c->n, "%.*s: %.*s\n", (int)name.len, (const char *)name.at,
	                       (int)value.len, (const char *)value.at);
	if (n > 0 && (size_t)n < sizeof c->text - c->n)
		c->n += (size_t)n;
}

static enum hpack_result decode(struct hpack *h, struct span block, size_t cut, struct collected *c)
{
	enum hpack_result r = HPACK_OK;

	*c = (struct collected){ .n = 0 };
	if (cut == 0)
		return hpack_block(h, block, true, collect, c);
	for (; block.len != 0 && r == HPACK_OK; block = span_from(block, cut))
		r = hpack_block(h, span_first(block, cut), false, collect, c);
	return r == HPACK_OK ? hpack_block(h, span_none(), true, collect, c) : r;
}

struct rig { struct conn c; struct h2_wire w; struct hpack h; struct collected got; uint8_t block[65536]; };

static struct rig *rig_new(bool late, size_t table)
{
	struct rig *r = calloc(1, sizeof *r);

	nghttp2_hd_deflate_new(&r->w.deflater[CLIENT], table);
	nghttp2_hd_deflate_change_table_size(r->w.deflater[CLIENT], table);
	hpack_init(&r->h, &r->c, late);
	return r;
}

static void rig_free(struct rig *r)
{
	hpack_clear(&r->h);
	CHECK_INT(r->c.allocated, 0);
	nghttp2_hd_deflate_del(r->w.deflater[CLIENT]);
	free(r);
}

static enum hpack_result rig_send(struct rig *r, const char *lines, size_t cut)
{
	size_t n = h2_block(&r->w, CLIENT, lines, r->block, sizeof r->block);

	return decode(&r->h, span_of(r->block, n), cut, &r->got);
}

static void rig_miss(struct rig *r, const char *lines)
{
	h2_block(&r->w, CLIENT, lines, r->block, sizeof r->block);
}

#define GOT(r) span_of((r)->got.text, (r)->got.n)

TEST(blocks_from_the_start_decode)
{
	for (size_t cut = 0; cut < 5; cut++) {
		struct rig *r = rig_new(false, 4096);

		CHECK_INT(rig_send(r, ":method: GET\n:path: /a\nx-one: 1\n", cut), HPACK_OK);
		CHECK_SPAN(GOT(r), ":method: GET\n:path: /a\nx-one: 1\n");
		CHECK_INT(rig_send(r, ":method: GET\n:path: /a\nx-one: 1\n", cut), HPACK_OK);
		CHECK_SPAN(GOT(r), ":method: GET\n:path: /a\nx-one: 1\n");
		CHECK_INT(r->got.unknown, 0);
		rig_free(r);
	}
}

TEST(joined_late_what_came_before_is_unknown_and_what_comes_after_is_right)
{
	for (size_t cut = 0; cut < 5; cut++) {
		struct rig *r = rig_new(true, 4096);

		rig_miss(r, "x-before: 1\nx-other: 2\n");
		CHECK_INT(rig_send(r, ":method: GET\nx-before: 1\nx-after: 3\n", cut), HPACK_OK);
		CHECK_SPAN(GOT(r), ":method: GET\n?\nx-after: 3\n");
		CHECK_INT(rig_send(r, "x-after: 3\nx-other: 2\nx-after: 4\nx-before: 1\n", cut), HPACK_OK);
		CHECK_SPAN(GOT(r), "x-after: 3\n?\nx-after: 4\n?\n");
		rig_free(r);
	}
}

TEST(a_literal_value_under_an_unknown_name_is_unknown)
{
	struct rig *r = rig_new(true, 4096);

	rig_miss(r, "x-secret: 1\n");
	CHECK_INT(rig_send(r, "x-secret: 2\n", 0), HPACK_OK);
	CHECK_SPAN(GOT(r), "?\n");
	CHECK_INT(rig_send(r, "x-secret: 2\n", 0), HPACK_OK);
	CHECK_SPAN(GOT(r), "?\n");
	rig_free(r);
}

/* More entries than a table of 4,096 bytes has, made before the capture. */
TEST(joined_late_to_a_large_table)
{
	for (size_t cut = 0; cut < 4; cut++) {
		struct rig *r = rig_new(true, 65536);
		char line[64];

		for (unsigned i = 0; i < 1000; i++) {
			snprintf(line, sizeof line, "x-%u: %u\n", i, i);
			rig_miss(r, line);
		}
		CHECK_INT(rig_send(r, ":method: GET\nx-new: 1\nx-1: 1\nx-new: 1\n", cut), HPACK_OK);
		CHECK_SPAN(GOT(r), ":method: GET\nx-new: 1\n?\nx-new: 1\n");
		CHECK_INT(rig_send(r, "x-new: 1\nx-999: 999\nx-0: 0\n", cut), HPACK_OK);
		CHECK_SPAN(GOT(r), "x-new: 1\n?\n?\n");
		rig_free(r);
	}
}

/* A thousand fields, with and without the first blocks of them: never a wrong one. */
TEST(never_a_wrong_field_after_a_hole)
{
	for (unsigned table = 0; table < 3; table++) {
		struct rig *r = rig_new(false, table == 0 ? 128 : table == 1 ? 4096 : 16384);
		char lines[512];

		for (unsigned i = 0; i < 300; i++) {
			unsigned a = i * 7 % 50, b = i * i % 91;

			snprintf(lines, sizeof lines, "x-%u: %u\ny: %u\nx-%u: %u\n", a, a, i, b, b % 4);
			if (i % 11 == 5) {
				rig_miss(r, lines);
				hpack_lost(&r->h);
				continue;
			}
			CHECK_INT(rig_send(r, lines, i % 3), HPACK_OK);
			CHECK_INT(r->got.fields, 3);
			if (r->got.unknown == 0)
				CHECK_SPAN(GOT(r), lines);
			for (const char *p = r->got.text; p < r->got.text + r->got.n; ) {
				const char *end = memchr(p, '\n', r->got.n);
				char one[64] = "";

				memcpy(one, p, (size_t)(end + 1 - p));
				CHECK(strcmp(one, "?\n") == 0 || strstr(lines, one) != NULL);
				p = end + 1;
			}
		}
		rig_free(r);
	}
}

TEST(what_breaks_hpack_ends_the_side)
{
	static const char *const bad[] = { "\x80", "\xbe", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\x40\x7f\xff\xff\xff\xff\x7f" };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct rig *r = rig_new(false, 4096);

		CHECK_INT(decode(&r->h, span_text(bad[i]), 0, &r->got), HPACK_BAD);
		CHECK_INT(decode(&r->h, span_text("\x88"), 0, &r->got), HPACK_CLOSED);
		CHECK_INT(r->c.allocated, 0);
		rig_free(r);
	}
}

TEST(joined_late_a_bad_block_is_unknown_and_the_next_is_read)
{
	struct rig *r = rig_new(true, 4096);

	CHECK_INT(decode(&r->h, span_text("\x80"), 0, &r->got), HPACK_UNKNOWN);
	CHECK_INT(decode(&r->h, span_text("\x88"), 0, &r->got), HPACK_OK);
	CHECK_SPAN(GOT(r), ":status: 200\n");
	for (unsigned i = 0; i < 1000; i++)
		CHECK_INT(decode(&r->h, span_text("\x80"), 0, &r->got), HPACK_UNKNOWN);
	rig_free(r);
}

TEST(a_table_above_the_limit_ends_the_side)
{
	struct rig *r = rig_new(false, 4096);

	/* Size updates to 65,536 and to one more. */
	CHECK_INT(decode(&r->h, span_of("\x3f\xe1\xff\x03\x88", 5), 0, &r->got), HPACK_OK);
	CHECK_INT(decode(&r->h, span_of("\x3f\xe2\xff\x03\x88", 5), 1, &r->got), HPACK_TABLE);
	CHECK_INT(decode(&r->h, span_text("\x88"), 0, &r->got), HPACK_CLOSED);
	rig_free(r);
}

TEST(a_bomb_is_too_long)
{
	static uint8_t bomb[16000];
	struct rig *r = rig_new(false, 4096);
	char line[3000];

	snprintf(line, sizeof line, "x: %02900d\n", 1);
	CHECK_INT(rig_send(r, line, 0), HPACK_OK);
	memset(bomb, 0xbe, sizeof bomb);
	CHECK_INT(decode(&r->h, span_of(bomb, sizeof bomb), 0, &r->got), HPACK_TOO_LONG);
	CHECK_INT(r->got.fields, LIMIT_HEADER_BLOCK / 2901);
	CHECK_INT(r->c.allocated, 0);
	rig_free(r);
}

TEST(memory_of_a_late_join_is_small)
{
	struct rig *r = rig_new(true, 4096);

	CHECK_INT(rig_send(r, ":method: GET\n", 0), HPACK_OK);
	CHECK(r->c.allocated < 32768);
	rig_free(r);
}

TEST(without_memory_the_side_is_closed)
{
	for (size_t fail = 1; fail < 40; fail++) {
		struct rig *r = rig_new(fail % 2 != 0, 4096);

		r->c.fail_at = fail;
		for (unsigned i = 0; i < 10; i++)
			rig_send(r, ":method: GET\nx-a: b\nx-c: d\n", i % 3);
		rig_free(r);
	}
}

TEST_MAIN()
