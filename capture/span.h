/* span.h - every read of untrusted bytes
 *
 * A span is bytes that somebody else owns. A cursor walks a span; its first read past the end sets
 * `failed`, which is never cleared, and this and every later read gives 0 or an empty span. So a
 * parser reads all its fields and checks once:
 *
 *     struct cursor c = cursor_of(payload);
 *     type = cur_u8(&c); length = cur_u16(&c); body = cur_take(&c, length);
 *     if (c.failed) return CUT_SHORT;
 *
 * No decoder adds to a pointer or lays a struct over packet bytes: this file alone does arithmetic
 * on them. Multi-byte integers are big-endian (network order) unless the name says le.
 */
#ifndef WHY502_SPAN_H
#define WHY502_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span   { const uint8_t *at; size_t len; };   /* at is never NULL; not owned */
struct cursor { struct span rest; bool failed; };   /* failed is never cleared */

#define SPAN_NOTHING ((const uint8_t *)"")

static inline struct span span_of(const void *at, size_t len)
{
	return (struct span){ at != NULL ? (const uint8_t *)at : SPAN_NOTHING, at != NULL ? len : 0 };
}

static inline struct span span_text(const char *s)
{
	return span_of(s, strlen(s));
}

static inline struct span span_none(void)
{
	return (struct span){ SPAN_NOTHING, 0 };
}

/* The byte at i, or 0 beyond the end. */
static inline uint8_t span_at(struct span s, size_t i)
{
	return i < s.len ? s.at[i] : 0;
}

/* What follows the first n bytes; empty where there are fewer. */
static inline struct span span_from(struct span s, size_t n)
{
	return n < s.len ? (struct span){ s.at + n, s.len - n } : span_none();
}

/* The first n bytes, or all where there are fewer. */
static inline struct span span_first(struct span s, size_t n)
{
	return (struct span){ s.at, n < s.len ? n : s.len };
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline uint8_t ascii_lower(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') ? (uint8_t)(c | 0x20) : c;
}

/* Equal but for the case of ASCII letters. */
static inline bool span_equal_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.at[i]) != ascii_lower(b.at[i]))
			return false;
	return true;
}

static inline bool span_is(struct span a, const char *text)
{
	return span_equal(a, span_text(text));
}

static inline bool span_starts(struct span s, const char *text)
{
	size_t n = strlen(text);

	return s.len >= n && memcmp(s.at, text, n) == 0;
}

/* Index of byte c, or s.len. */
static inline size_t span_index(struct span s, uint8_t c)
{
	const uint8_t *p = s.len != 0 ? memchr(s.at, c, s.len) : NULL;

	return p != NULL ? (size_t)(p - s.at) : s.len;
}

/* Index of text in s, or s.len. */
static inline size_t span_find(struct span s, const char *text)
{
	const uint8_t *p = memmem(s.at, s.len, text, strlen(text));

	return p != NULL ? (size_t)(p - s.at) : s.len;
}

static inline struct cursor cursor_of(struct span s)
{
	return (struct cursor){ s, false };
}

static inline struct span cur_take(struct cursor *c, size_t n)
{
	struct span s = { c->rest.at, n };

	if (c->failed || n > c->rest.len) {        /* compare lengths, not pointers */
		*c = (struct cursor){ span_none(), true };
		return c->rest;
	}
	c->rest = (struct span){ s.at + n, c->rest.len - n };
	return s;
}

static inline uint8_t cur_u8(struct cursor *c)
{
	struct span s = cur_take(c, 1);

	return s.len == 1 ? s.at[0] : 0;
}

static inline uint16_t cur_u16(struct cursor *c)
{
	struct span s = cur_take(c, 2);

	return s.len == 2 ? (uint16_t)((unsigned)s.at[0] << 8 | s.at[1]) : 0;
}

static inline uint32_t cur_u24(struct cursor *c)
{
	struct span s = cur_take(c, 3);

	return s.len == 3 ? (uint32_t)s.at[0] << 16 | (uint32_t)s.at[1] << 8 | s.at[2] : 0;
}

static inline uint32_t cur_u32(struct cursor *c)
{
	struct span s = cur_take(c, 4);

	return s.len == 4 ? (uint32_t)s.at[0] << 24 | (uint32_t)s.at[1] << 16 |
	                    (uint32_t)s.at[2] << 8 | s.at[3] : 0;
}

static inline uint64_t cur_u64(struct cursor *c)
{
	uint64_t high = cur_u32(c);

	return high << 32 | cur_u32(c);
}

static inline uint32_t cur_u32le(struct cursor *c)
{
	return __builtin_bswap32(cur_u32(c));
}

static inline uint16_t cur_u16le(struct cursor *c)
{
	return __builtin_bswap16(cur_u16(c));
}

static inline void cur_skip(struct cursor *c, size_t n)
{
	(void)cur_take(c, n);
}

#endif
