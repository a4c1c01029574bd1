#include "escape.h"

#include <stdio.h>

struct range { uint32_t first, last; };

static bool in_ranges(uint32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}

#define IN(c, table) in_ranges((c), (table), sizeof (table) / sizeof (table)[0])

/* What a terminal acts on, or what hides or reorders the text around it: controls (Cc), format
 * characters (Cf: bidi, zero width, tags), separators (Zl, Zp), variation selectors, fillers that
 * look like nothing, private use and non-characters (Unicode 15, DerivedGeneralCategory.txt); and the
 * fullwidth copies of ASCII, which best-fit conversions turn back into the < and ' that they look like. */
static const struct range hidden[] = {
	{ 0x80, 0x9f }, { 0xad, 0xad }, { 0x34f, 0x34f }, { 0x600, 0x605 }, { 0x61c, 0x61c },
	{ 0x6dd, 0x6dd }, { 0x70f, 0x70f }, { 0x890, 0x891 }, { 0x8e2, 0x8e2 }, { 0x115f, 0x1160 },
	{ 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
	{ 0x3164, 0x3164 }, { 0xe000, 0xf8ff }, { 0xfdd0, 0xfdef }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },
	{ 0xff01, 0xff5e }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd },
	{ 0x13430, 0x1345f }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0x10ffff },
};

/* Drawn two columns wide (EastAsianWidth.txt W and F, the blocks of it). */
static const struct range wide[] = {
	{ 0x1100, 0x115e }, { 0x2e80, 0x303e }, { 0x3041, 0x33ff }, { 0x3400, 0x4dbf }, { 0x4e00, 0x9fff },
	{ 0xa000, 0xa4cf }, { 0xa960, 0xa97f }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe30, 0xfe6f },
	{ 0xff01, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff },
	{ 0x20000, 0x3fffd },
};

/* Drawn onto the character before it (Mn and Me, the blocks of it). */
static const struct range combining[] = {
	{ 0x300, 0x36f }, { 0x483, 0x489 }, { 0x591, 0x5bd }, { 0x610, 0x61a }, { 0x64b, 0x65f }, { 0x1ab0, 0x1aff },
	{ 0x1dc0, 0x1dff }, { 0x20d0, 0x20ff }, { 0xfe20, 0xfe2f },
};

/* Our own signs, for terminals and mails that have only ASCII. */
static const struct { uint32_t c; const char *ascii; } signs[] = {
	{ 0xb7, "-" }, { 0xb5, "u" }, { 0xd7, "x" }, { 0x2013, "-" }, { 0x2014, "-" }, { 0x2018, "'" }, { 0x2019, "'" },
	{ 0x201c, "\"" }, { 0x201d, "\"" }, { 0x2026, "..." }, { 0x2190, "<-" }, { 0x2192, "->" }, { 0x2194, "<->" },
	{ 0x2264, "<=" }, { 0x2265, ">=" }, { 0x2500, "-" }, { 0x2502, "|" }, { 0x250a, ":" }, { 0x253c, "+" },
	{ 0x2581, "_" }, { 0x2582, "." }, { 0x2583, ":" }, { 0x2584, "-" }, { 0x2585, "=" }, { 0x2586, "+" },
	{ 0x2587, "*" }, { 0x2588, "#" }, { 0x25b6, ">" }, { 0x25c0, "<" }, { 0x2717, "x" },
};

bool character_hidden(uint32_t c)
{
	return c > 0x7f ? IN(c, hidden) : c < 0x20 || c == 0x7f;
}

unsigned utf8_next(struct span s, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t first = span_at(s, 0);
	unsigned n = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	uint32_t v = n == 1 ? first : first & (0xffu >> (n + 1));

	if (s.len < n || (first >= 0x80 && first < 0xc2) || first > 0xf4)
		return 0;
	for (unsigned i = 1; i < n; i++) {
		if ((span_at(s, i) & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (span_at(s, i) & 0x3fu);
	}
	if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*c = v;
	return n;
}

static void say(struct escaped *e, const char *text)
{
	e->len = (uint8_t)strlen(text);
	e->columns = e->len;
	memcpy(e->bytes, text, (size_t)e->len + 1);
}

static void say_byte(struct escaped *e, uint8_t byte)
{
	char text[sizeof e->bytes];

	(void)snprintf(text, sizeof text, "\\x%02x", byte);
	say(e, text);
}

static void say_character(struct escaped *e, uint32_t c)
{
	char text[sizeof e->bytes];

	(void)snprintf(text, sizeof text, "\\u{%x}", c);
	say(e, text);
}

static bool own_sign(struct escaped *e, uint32_t c)
{
	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
		if (signs[i].c == c) {
			say(e, signs[i].ascii);
			return true;
		}
	}
	return false;
}

bool escape_next(struct span *s, unsigned flags, struct escaped *e)
{
	struct span was = *s;
	uint32_t c = 0;
	unsigned n = utf8_next(was, &c);

	if (was.len == 0)
		return false;
	*s = span_from(was, n != 0 ? n : 1);
	if (n == 0 || c < 0x20 || c == 0x7f)
		say_byte(e, was.at[0]);
	else if (c == '\\' && !(flags & ESCAPE_OWN_WORDS))
		say(e, "\\\\");
	else if ((flags & ESCAPE_ASCII) && (flags & ESCAPE_OWN_WORDS) && c > 0x7f && own_sign(e, c))
		return true;
	else if (character_hidden(c) || ((flags & ESCAPE_ASCII) && c > 0x7f))
		say_character(e, c);
	else {
		memcpy(e->bytes, was.at, n);
		e->len = (uint8_t)n;
		e->columns = c < 0x80 ? 1 : IN(c, combining) ? 0 : IN(c, wide) ? 2 : 1;
	}
	return true;
}

void escape_text(struct out *o, struct span s, unsigned flags)
{
	struct escaped e;

	while (escape_next(&s, flags, &e))
		out_bytes(o, span_of(e.bytes, e.len));
}

void escape_html(struct out *o, const struct escaped *e)
{
	switch (e->len == 1 ? e->bytes[0] : '\0') {
	case '&':  out_text(o, "&amp;"); break;
	case '<':  out_text(o, "&lt;"); break;
	case '>':  out_text(o, "&gt;"); break;
	case '"':  out_text(o, "&quot;"); break;
	case '\'': out_text(o, "&#39;"); break;
	default:   out_bytes(o, span_of(e->bytes, e->len));
	}
}

size_t escape_columns(struct span s, unsigned flags)
{
	struct escaped e;
	size_t n = 0;

	while (escape_next(&s, flags, &e))
		n += e.columns;
	return n;
}
