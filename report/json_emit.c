#include "json_emit.h"

#include "escape.h"
#include "when.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define JSON_EXACT (UINT64_C(1) << 53)

enum { HEX_BYTES_MAX = 8 << 10 };

void json_init(struct json *j, struct out *o, unsigned deep)
{
	j->out = o;
	j->depth = 0;
	j->deep = deep;
	j->in_html = j->no_hex = false;
	j->any[0] = false;
}

/* ---- strings ------------------------------------------------------------------------------ */

/* What JSON must escape (RFC 8259 7), and what a person who looks at it must not be fooled by. */
static bool plain(const struct json *j, uint32_t c)
{
	return c != '"' && c != '\\' && !character_hidden(c) && !(j->in_html && (c == '<' || c == '>' || c == '&'));
}

static void escaped(struct out *o, uint32_t c)
{
	if (c == '"' || c == '\\')
		out_format(o, "\\%c", (char)c);
	else if (c == '\n')
		out_text(o, "\\n");
	else if (c >= 0x10000)          /* a pair of surrogates */
		out_format(o, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
	else
		out_format(o, "\\u%04x", c);
}

/* How many bytes from the start may be copied as they are. */
static size_t plain_run(const struct json *j, struct span s)
{
	size_t n = 0;

	while (n < s.len && s.at[n] >= 0x20 && s.at[n] < 0x7f && plain(j, s.at[n]))
		n++;
	return n;
}

/* One character, or one byte that is none. */
static bool quoted_character(const struct json *j, struct span *s)
{
	struct out *o = j->out;
	uint32_t c = 0;
	unsigned n = utf8_next(*s, &c);

	if (n == 0)
		out_text(o, "\xef\xbf\xbd");
	else if (plain(j, c))
		out_bytes(o, span_first(*s, n));
	else
		escaped(o, c);
	*s = span_from(*s, n != 0 ? n : 1);
	return n != 0;
}

/* Writes s in quotes; false where it held a byte that is no UTF-8. */
static bool quoted(const struct json *j, struct span s)
{
	struct out *o = j->out;
	bool valid = true;

	out_char(o, '"');
	while (s.len > 0) {
		size_t run = plain_run(j, s);

		out_bytes(o, span_first(s, run));
		s = span_from(s, run);
		if (s.len > 0)
			valid = quoted_character(j, &s) && valid;
	}
	out_char(o, '"');
	return valid;
}

/* ---- structure ---------------------------------------------------------------------------- */

static void before(struct json *j, const char *key)
{
	if (j->any[j->depth])
		out_char(j->out, ',');
	if (j->depth > 0 && j->depth <= j->deep) {
		out_char(j->out, '\n');
		for (unsigned i = 0; i < j->depth; i++)
			out_char(j->out, ' ');
	} else if (j->any[j->depth] && j->depth > 0) {
		out_char(j->out, ' ');
	}
	j->any[j->depth] = true;
	if (key != NULL) {
		(void)quoted(j, span_text(key));
		out_bytes(j->out, span_of(": ", 2));
	}
}

static void open_level(struct json *j, const char *key, char opening, char closing)
{
	before(j, key);
	assert(j->depth < JSON_DEPTH);          /* our own code's nesting, never input's */
	out_char(j->out, opening);
	j->close[j->depth++] = closing;
	j->any[j->depth] = false;
}

void json_object(struct json *j, const char *key)
{
	open_level(j, key, '{', '}');
}

void json_array(struct json *j, const char *key)
{
	open_level(j, key, '[', ']');
}

void json_close(struct json *j)
{
	bool any = j->any[j->depth];

	assert(j->depth > 0);
	if (any && j->depth <= j->deep) {
		out_char(j->out, '\n');
		for (unsigned i = 1; i < j->depth; i++)
			out_char(j->out, ' ');
	}
	out_char(j->out, j->close[--j->depth]);
}

/* ---- values ------------------------------------------------------------------------------- */

void json_null(struct json *j, const char *key)
{
	before(j, key);
	out_text(j->out, "null");
}

void json_bool(struct json *j, const char *key, bool yes)
{
	before(j, key);
	out_text(j->out, yes ? "true" : "false");
}

void json_number(struct json *j, const char *key, uint64_t n)
{
	before(j, key);
	out_format(j->out, n < JSON_EXACT ? "%" PRIu64 : "\"%" PRIu64 "\"", n);
}

void json_signed(struct json *j, const char *key, int64_t n)
{
	if (n >= 0) {
		json_number(j, key, (uint64_t)n);
		return;
	}
	before(j, key);
	out_format(j->out, n > -(int64_t)JSON_EXACT ? "%" PRId64 : "\"%" PRId64 "\"", n);
}

void json_text(struct json *j, const char *key, const char *text)
{
	before(j, key);
	if (text == NULL)
		out_text(j->out, "null");
	else
		(void)quoted(j, span_text(text));
}

static void hex_beside(struct json *j, const char *key, struct span raw)
{
	char name[64];

	(void)snprintf(name, sizeof name, "%s_hex", key);
	before(j, name);
	out_char(j->out, '"');
	raw = span_first(raw, HEX_BYTES_MAX);
	for (size_t i = 0; i < raw.len; i++)
		out_format(j->out, "%02x", raw.at[i]);
	out_char(j->out, '"');
}

void json_bytes(struct json *j, const char *key, struct span raw)
{
	before(j, key);
	if (!quoted(j, raw) && key != NULL && !j->no_hex)
		hex_beside(j, key, raw);
}

void json_seconds(struct json *j, const char *key, int64_t ns)
{
	char text[WHEN_TEXT];

	before(j, key);
	out_text(j->out, seconds_text(ns, text));
}

void json_offset(struct json *j, const char *key, int64_t ns)
{
	char text[WHEN_TEXT];

	before(j, key);
	out_text(j->out, ns < 0 ? "-" : "");
	out_text(j->out, seconds_text(ns < 0 ? since_ns(ns, 0) : ns, text));
}

void json_time(struct json *j, const char *key, int64_t ns)
{
	char text[WHEN_TEXT];

	before(j, key);
	out_format(j->out, "\"%s\"", when_rfc3339(ns, text));
}

void json_share(struct json *j, const char *key, uint64_t part, uint64_t whole)
{
	uint64_t parts = 0;

	if (whole > 0)                  /* in 1/10000; too large to multiply: divide the whole */
		parts = part <= UINT64_MAX / 10000 ? part * 10000 / whole : part / (whole / 10000 + 1);
	if (parts > 10000)
		parts = 10000;
	before(j, key);
	out_format(j->out, "%u.%04u", (unsigned)(parts / 10000), (unsigned)(parts % 10000));
}

