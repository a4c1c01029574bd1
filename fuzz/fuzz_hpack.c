/* Header blocks. Input: options (1: joined late, 2: what nghttp2 made of the rest rather than the rest), how much a piece is,
 * then blocks of a length (2 bytes) and so many bytes. What nghttp2 packs comes out as it went in; bytes that nobody packed
 * give the same whole and in pieces. */
#include "../decode/hpack.h"
#include "../tests/http2_stub.h"
#include "check.h"

enum { LATE = 1, PACKED = 2, TABLE = 4096, NAME_MAX_BYTES = 15 };

struct sum { uint64_t hash; unsigned fields, unknown; };

static void add(struct sum *s, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		s->hash = (s->hash ^ bytes.at[i]) * 0x100000001b3;      /* FNV-1a */
	s->hash = (s->hash ^ 0xff) * 0x100000001b3;
}

static void take(void *ctx, struct span name, struct span value, bool unknown)
{
	struct sum *s = ctx;

	s->fields++;
	s->unknown += unknown;
	if (unknown)
		return;
	add(s, name);
	add(s, value);
}

static enum hpack_result decode(struct hpack *h, struct span block, size_t piece, struct sum *s)
{
	enum hpack_result r = HPACK_OK;

	for (; block.len > piece && r == HPACK_OK; block = span_from(block, piece))
		r = hpack_block(h, span_first(block, piece), false, take, s);
	return r == HPACK_OK ? hpack_block(h, block, true, take, s) : r;
}

/* The bytes as fields: a byte says how long the name is, another the value. */
static size_t pack(nghttp2_hd_deflater *d, struct span bytes, uint8_t *to, size_t room, struct sum *s)
{
	struct cursor c = cursor_of(bytes);
	size_t n = 0;

	while (c.rest.len > 2) {
		size_t name_len = 1 + cur_u8(&c) % NAME_MAX_BYTES, value_len = cur_u8(&c);
		struct span name = cur_take(&c, name_len < c.rest.len ? name_len : c.rest.len);
		struct span value = cur_take(&c, value_len < c.rest.len ? value_len : c.rest.len);
		nghttp2_nv field = { (uint8_t *)(uintptr_t)name.at, (uint8_t *)(uintptr_t)value.at, name.len, value.len,
		                     (value_len & 7) == 0 ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE };
		ssize_t done = nghttp2_hd_deflate_hd(d, to + n, room - n, &field, 1);

		if (done < 0)
			break;
		take(s, name, value, false);
		n += (size_t)done;
	}
	return n;
}

static void blocks(struct cursor c, bool late, bool packed, size_t piece, struct sum *got)
{
	static uint8_t room[1 << 17];
	struct conn conn = { .first = NULL };
	struct hpack h;
	nghttp2_hd_deflater *d = NULL;

	must(nghttp2_hd_deflate_new(&d, TABLE) == 0);
	hpack_init(&h, &conn, late);
	while (c.rest.len > 2) {
		size_t n = cur_u16(&c);
		struct span block = cur_take(&c, n < c.rest.len ? n : c.rest.len);
		struct sum wanted = { 0 }, one = { 0 };

		if (packed)
			block = span_of(room, pack(d, block, room, sizeof room, &wanted));
		if (decode(&h, block, piece, &one) == HPACK_OK && packed && !late)
			must(one.hash == wanted.hash && one.fields == wanted.fields && one.unknown == 0);
		else
			must(!packed || late);
		got->hash ^= one.hash;
		got->fields += one.fields;
		got->unknown += one.unknown;
	}
	hpack_clear(&h);
	must(conn.allocated == 0);
	nghttp2_hd_deflate_del(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_of(span_of(bytes, n));
	uint8_t options = cur_u8(&c);
	size_t piece = 1 + cur_u8(&c);
	struct sum whole = { 0 }, cut = { 0 };

	blocks(c, (options & LATE) != 0, (options & PACKED) != 0, SIZE_MAX, &whole);
	blocks(c, (options & LATE) != 0, (options & PACKED) != 0, piece, &cut);
	must(whole.hash == cut.hash && whole.fields == cut.fields && whole.unknown == cut.unknown);
	return 0;
}
