#include "../report/escape.h"
#include "check.h"

static const char *escaped(struct span raw, unsigned flags)
{
	static char text[4096];
	struct out *o = out_memory();
	struct err e = { 0 };
	struct span s;

	escape_text(o, raw, flags);
	out_flush(o);
	s = span_first(out_written(o), sizeof text - 1);
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	(void)out_close(o, &e);
	return text;
}

static const char *wire(const char *raw)
{
	return escaped(span_text(raw), 0);
}

TEST(what_prints_stays)
{
	CHECK_STR(wire("GET /a?b=c HTTP/1.1"), "GET /a?b=c HTTP/1.1");
	CHECK_STR(wire("/caf\xc3\xa9/\xe6\x97\xa5\xe6\x9c\xac/\xf0\x9f\x98\x80"), "/caf\xc3\xa9/\xe6\x97\xa5\xe6\x9c\xac/\xf0\x9f\x98\x80");
	CHECK_STR(wire(""), "");
}

static const char *in_html(const char *raw)
{
	static char text[4096];
	struct out *o = out_memory();
	struct span rest = span_text(raw), s;
	struct escaped one;
	struct err e = { 0 };

	while (escape_next(&rest, 0, &one))
		escape_html(o, &one);
	out_flush(o);
	s = span_first(out_written(o), sizeof text - 1);
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	(void)out_close(o, &e);
	return text;
}

TEST(nothing_begins_a_tag_or_ends_an_attribute)
{
	CHECK_STR(in_html("<a href='x\" onload=\"y'>&amp;"), "&lt;a href=&#39;x&quot; onload=&quot;y&#39;&gt;&amp;amp;");
	CHECK_STR(in_html("\x1b<\xff\xe2\x80\xae"), "\\x1b&lt;\\xff\\u{202e}");
	CHECK_STR(in_html("caf\xc3\xa9"), "caf\xc3\xa9");
}

TEST(what_a_terminal_acts_on_does_not)
{
	CHECK_STR(wire("\x1b[31mred\x1b]0;title\x07"), "\\x1b[31mred\\x1b]0;title\\x07");
	CHECK_STR(wire("a\r\nb\tc\x7f"), "a\\x0d\\x0ab\\x09c\\x7f");
	CHECK_STR(wire("\xc2\x9b" "31m\xc2\x85"), "\\u{9b}31m\\u{85}");           /* C1 as UTF-8 */
	CHECK_STR(wire("\x9b" "31m"), "\\x9b31m");                              /* C1 raw is invalid UTF-8 */
	CHECK_STR(escaped(span_of("a\0b", 3), 0), "a\\x00b");
}

TEST(what_hides_or_reorders_text_is_named)
{
	CHECK_STR(wire("\xe2\x80\xaegnp.exe"), "\\u{202e}gnp.exe");
	CHECK_STR(wire("\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\xe2\x80\x8b\xd8\x9c"), "\\u{2028}\\u{2029}\\u{feff}\\u{200b}\\u{61c}");
	CHECK_STR(wire("\xf3\xa0\x81\x81"), "\\u{e0041}");                      /* a tag */
	CHECK_STR(wire("\xe2\x81\xa6\xe2\x80\x8f"), "\\u{2066}\\u{200f}");
}

TEST(invalid_utf8_is_shown_byte_by_byte)
{
	CHECK_STR(wire("\xff\xfe"), "\\xff\\xfe");
	CHECK_STR(wire("\xc0\xaf"), "\\xc0\\xaf");                              /* overlong */
	CHECK_STR(wire("\xed\xa0\x80"), "\\xed\\xa0\\x80");                     /* a surrogate */
	CHECK_STR(wire("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");            /* beyond U+10FFFF */
	CHECK_STR(wire("a\xe2\x82"), "a\\xe2\\x82");                            /* cut */
}

TEST(a_backslash_is_doubled_so_that_escapes_can_be_read_back)
{
	CHECK_STR(wire("\\x1b"), "\\\\x1b");
	CHECK_STR(escaped(span_text("\\x1b"), ESCAPE_OWN_WORDS), "\\x1b");
}

TEST(ascii_draws_our_own_signs_and_escapes_the_rest)
{
	CHECK_STR(escaped(span_text("a → b…"), ESCAPE_OWN_WORDS | ESCAPE_ASCII), "a -> b...");
	CHECK_STR(escaped(span_text("caf\xc3\xa9"), ESCAPE_OWN_WORDS | ESCAPE_ASCII), "caf\\u{e9}");
	CHECK_STR(escaped(span_text("\xe2\x86\x92"), ESCAPE_ASCII), "\\u{2192}");        /* from the wire it is no sign of ours */
}

TEST(columns_count_what_is_drawn)
{
	CHECK_INT(escape_columns(span_text("abc"), 0), 3);
	CHECK_INT(escape_columns(span_text("\x1b"), 0), 4);
	CHECK_INT(escape_columns(span_text("\xe6\x97\xa5"), 0), 2);
	CHECK_INT(escape_columns(span_text("e\xcc\x81"), 0), 1);
}

static bool forbidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c >= 0xe0000 && c < 0xe0080);
}

static unsigned hex(struct span s, size_t *at, char end)
{
	unsigned v = 0;

	while (*at < s.len && s.at[*at] != (uint8_t)end) {
		uint8_t c = s.at[(*at)++];

		v = v * 16 + ((unsigned)(c <= '9' ? c - '0' : c - 'a' + 10));
	}
	return v;
}

static size_t utf8_put(uint32_t c, uint8_t *to)
{
	if (c < 0x80) {
		to[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (uint8_t)(0xc0 | c >> 6);
		to[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (uint8_t)(0xe0 | c >> 12);
		to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		to[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (uint8_t)(0xf0 | c >> 18);
	to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	to[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

/* Reads escapes back. */
static size_t unescape(struct span s, uint8_t *to)
{
	size_t n = 0, i = 0;

	while (i < s.len) {
		if (s.at[i] != '\\') {
			to[n++] = s.at[i++];
		} else if (span_at(s, i + 1) == '\\') {
			to[n++] = '\\';
			i += 2;
		} else if (span_at(s, i + 1) == 'x') {
			struct span two = span_first(span_from(s, i + 2), 2);
			size_t at = 0;

			to[n++] = (uint8_t)hex(two, &at, '\0');
			i += 4;
		} else {
			size_t at = i + 3;

			n += utf8_put(hex(s, &at, '}'), to + n);
			i = at + 1;
		}
	}
	return n;
}

TEST(random_bytes_come_out_safe_and_can_be_read_back)
{
	uint8_t raw[64], back[512];
	uint64_t seed = 502;

	for (unsigned round = 0; round < 20000; round++) {
		const char *text;
		struct span s;
		size_t n = round % sizeof raw;

		for (size_t i = 0; i < n; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			raw[i] = (uint8_t)(seed >> (seed >> 61 ? 33 : 40));
			if (seed >> 60 == 3)            /* more that looks like UTF-8 */
				raw[i] = (uint8_t)(0xe0 | raw[i] >> 4);
		}
		text = escaped(span_of(raw, n), 0);
		for (s = span_text(text); s.len > 0;) {
			uint32_t c = 0;
			unsigned used = utf8_next(s, &c);

			if (used == 0 || forbidden(c)) {
				FAIL("a byte that a terminal acts on");
				return;
			}
			s = span_from(s, used);
		}
		if (!CHECK_INT(unescape(span_text(text), back), n) || !CHECK_SPANS(span_of(back, n), span_of(raw, n)))
			return;
	}
}

TEST_MAIN()
