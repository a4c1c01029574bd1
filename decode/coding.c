/* coding.c - is a body what its Content-Encoding says? */
#include "coding.h"

#include "../capture/codec.h"

/* ---- first bytes --------------------------------------------------------------------------- */

static bool is_gzip(const uint8_t b[static CODING_MAGIC_BYTES])
{
	return b[0] == 0x1f && b[1] == 0x8b;            /* RFC 1952 2.3.1 */
}

static bool is_zlib(const uint8_t b[static CODING_MAGIC_BYTES])
{
	return (b[0] & 0x0f) == 8 && (b[0] << 8 | b[1]) % 31 == 0;      /* RFC 1950 2.2 */
}

/* zlib's header, or a raw block whose type is not the reserved one (RFC 1951 3.2.3): both are sent. */
static bool is_deflate(const uint8_t b[static CODING_MAGIC_BYTES])
{
	return is_zlib(b) || (b[0] >> 1 & 3) != 3;
}

/* A frame (RFC 8878 3.1.1) or a skippable frame (3.1.2). */
static bool is_zstd(const uint8_t b[static CODING_MAGIC_BYTES])
{
	return (b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd) ||
	       ((b[0] & 0xf0) == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18);
}

static bool is_compress(const uint8_t b[static CODING_MAGIC_BYTES])
{
	return b[0] == 0x1f && b[1] == 0x9d;
}

static const struct coding codings[] = {
	{ "gzip", "gzip", 2, is_gzip },         { "x-gzip", "gzip", 2, is_gzip },
	{ "deflate", "zlib", 2, is_deflate },   { "zstd", "zstd", 4, is_zstd },
	{ "compress", NULL, 2, is_compress },   { "x-compress", NULL, 2, is_compress },
};

const struct coding *coding_of(const struct exchange *x)
{
	struct span name = exchange_span(x, x->f.content_encoding);

	for (size_t i = 0; name.len != 0 && x->f.status != 206 && i < sizeof codings / sizeof codings[0]; i++)
		if (span_equal_nocase(name, span_text(codings[i].name)))
			return &codings[i];
	return NULL;
}

/* ---- to the end ---------------------------------------------------------------------------- */

enum { THROWN_AWAY_BYTES = 16 << 10 };          /* at a time */

/* GIVEN_UP: it grows too much to be followed, or there is no memory. */
enum unpacked { UNPACKED_ON, UNPACKED_WRONG, UNPACKED_GIVEN_UP };

struct unpacking {
	struct conn *conn;
	const struct coding *coding;
	const struct codec *codec;      /* NULL: too few bytes came to choose one */
	void    *self;                  /* the codec's */
	uint64_t packed, unpacked;      /* bytes */
	bool     between;               /* what came so far is whole */
	uint8_t  n_first, first[CODING_MAGIC_BYTES];
};

struct unpacking *unpacking_new(struct conn *c, const struct coding *coding)
{
	struct unpacking *u;

	if (coding->codec == NULL || codec_named(coding->codec) == NULL)
		return NULL;
	u = conn_alloc(c, sizeof *u);
	if (u != NULL)
		*u = (struct unpacking){ .conn = c, .coding = coding, .between = true };
	return u;
}

void unpacking_free(struct unpacking *u)
{
	if (u == NULL)
		return;
	if (u->self != NULL) {
		u->codec->end(u->self);
		conn_uncharge(u->conn, u->codec->memory);
	}
	conn_release(u->conn, u, sizeof *u);
}

/* "Some non-conformant implementations send the "deflate" compressed data without the zlib wrapper" (RFC 9110 8.4.1.2).
 * A raw block that looks like the wrapper would be a stored one with bits set that nobody sets. */
static bool choose(struct unpacking *u)
{
	bool raw = u->coding->begins == is_deflate && !is_zlib(u->first);
	const struct codec *codec = codec_named(raw ? "deflate" : u->coding->codec);

	if (!conn_charge(u->conn, codec->memory))
		return false;
	u->self = codec->begin();
	if (u->self == NULL)
		conn_uncharge(u->conn, codec->memory);
	else
		u->codec = codec;
	return u->self != NULL;
}

/* gzip's members and zstd's frames follow each other (RFC 1952 2.2, RFC 8878 3.1); a zlib stream stands alone. */
static bool may_go_on(const struct unpacking *u)
{
	return u->coding->begins != is_deflate;
}

static enum unpacked unpack(struct unpacking *u, struct span in)
{
	uint8_t thrown_away[THROWN_AWAY_BYTES];
	const char *why = NULL;

	for (;;) {
		size_t room = sizeof thrown_away, before = in.len;
		enum codec_status status;

		if (u->packed != 0 && u->between && in.len != 0 && !may_go_on(u))
			return UNPACKED_WRONG;
		status = u->codec->unpack(u->self, &in, thrown_away, &room, &why);
		u->packed += before - in.len;
		u->unpacked += room;
		u->between = status == CODEC_END_OF_MEMBER;
		if (status == CODEC_BAD)
			return UNPACKED_WRONG;
		if (codec_is_bomb(u->packed, u->unpacked)) {
			conn_passed_limit(u->conn, "decompression");
			return UNPACKED_GIVEN_UP;
		}
		if (in.len == 0 && (u->between || room < sizeof thrown_away))
			return UNPACKED_ON;
		if (in.len == before && room == 0)      /* no library does this */
			return UNPACKED_GIVEN_UP;
	}
}

/* Waits for the bytes that a codec is chosen by; *used: bytes of `content` taken in. */
static enum unpacked unpack_first(struct unpacking *u, struct span content, size_t *used)
{
	while (u->n_first < u->coding->bytes && *used < content.len)
		u->first[u->n_first++] = span_at(content, (*used)++);
	u->between = false;
	if (u->n_first < u->coding->bytes)
		return UNPACKED_ON;
	return choose(u) ? unpack(u, span_of(u->first, u->n_first)) : UNPACKED_GIVEN_UP;
}

static void note_wrong(const struct unpacking *u, struct message *m, enum violation v, struct span excerpt)
{
	if ((m->violations & violation_bit(VIOLATION_CONTENT_CODING)) == 0)
		exchange_broken(m, v, m->last, m->head_bytes + u->packed, excerpt);
}

bool coding_follow(struct unpacking *u, struct message *m, struct span content)
{
	enum unpacked status = UNPACKED_ON;
	size_t used = 0;
	uint64_t before;

	if (content.len == 0)
		return true;
	if (u->self == NULL)
		status = unpack_first(u, content, &used);
	if (status == UNPACKED_ON && used < content.len) {
		before = u->packed;
		status = unpack(u, span_from(content, used));
		used += (size_t)(u->packed - before);
	}
	if (status == UNPACKED_WRONG)
		note_wrong(u, m, VIOLATION_CONTENT_CODING, span_from(content, used > 0 ? used - 1 : 0));
	return status == UNPACKED_ON;
}

void coding_end(const struct unpacking *u, struct message *m)
{
	if (!u->between)
		note_wrong(u, m, VIOLATION_CONTENT_CODING_CUT, span_none());
}
