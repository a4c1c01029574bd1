/* Bytes made fit for a terminal and for JSON: what comes out prints, and what is escaped for a terminal can be read back. */
#include "../report/json_emit.h"
#include "check.h"

enum { HEX_DIGITS = 2 };        /* of \\xNN */

static unsigned digit(uint8_t c)
{
	must((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
	return c <= '9' ? c - (unsigned)'0' : c - (unsigned)'a' + 10;
}

/* "{N}": N as UTF-8 must be what raw begins with. */
static void read_number(struct span *escaped, struct span *raw)
{
	uint32_t wanted = 0, c = 0;
	unsigned len = utf8_next(*raw, &c);
	size_t i = 1;

	must(span_at(*escaped, 0) == '{' && len != 0);
	for (; span_at(*escaped, i) != '}'; i++)
		wanted = wanted << 4 | digit(span_at(*escaped, i));
	must(wanted == c);
	*escaped = span_from(*escaped, i + 1);
	*raw = span_from(*raw, len);
}

static void read_byte(struct span *escaped, struct span *raw)
{
	must((digit(span_at(*escaped, 0)) << 4 | digit(span_at(*escaped, 1))) == span_at(*raw, 0));
	*escaped = span_from(*escaped, HEX_DIGITS);
	*raw = span_from(*raw, 1);
}

static void read_back(struct span escaped, struct span raw)
{
	while (escaped.len != 0) {
		uint8_t c = span_at(escaped, 0);

		must(raw.len != 0);
		escaped = span_from(escaped, 1);
		if (c != '\\') {
			must(c == span_at(raw, 0));
			raw = span_from(raw, 1);
			continue;
		}
		c = span_at(escaped, 0);
		escaped = span_from(escaped, 1);
		if (c == 'x') {
			read_byte(&escaped, &raw);
		} else if (c == 'u') {
			read_number(&escaped, &raw);
		} else {
			must(c == '\\' && span_at(raw, 0) == '\\');
			raw = span_from(raw, 1);
		}
	}
	must(raw.len == 0);
}

static void for_terminal(struct span raw, unsigned flags)
{
	struct out *o = out_memory();
	struct err e = { ERR_OK, "" };
	size_t columns = 0;

	if (o == NULL)
		return;
	escape_text(o, raw, flags);
	out_flush(o);
	must_print(out_written(o));
	for (struct span s = out_written(o); s.len != 0; s = span_from(s, 1)) {
		must(span_at(s, 0) != '\n' && ((flags & ESCAPE_ASCII) == 0 || span_at(s, 0) < 0x7f));
		columns++;
	}
	must(escape_columns(raw, flags) <= columns);
	if ((flags & ESCAPE_OWN_WORDS) == 0)
		read_back(out_written(o), raw);
	(void)out_close(o, &e);
}

static void for_json(struct span raw)
{
	struct out *o = out_memory();
	struct err e = { ERR_OK, "" };
	struct json j;
	bool in_text = false;

	if (o == NULL)
		return;
	json_init(&j, o, 0);
	json_object(&j, NULL);
	json_bytes(&j, "text", raw);
	json_close(&j);
	out_flush(o);
	for (struct span s = out_written(o); s.len != 0; s = span_from(s, 1)) {
		uint8_t c = span_at(s, 0);

		must(!in_text || (c >= 0x20 && c != 0x7f));
		if (in_text && c == '\\')
			s = span_from(s, 1);
		else if (c == '"')
			in_text = !in_text;
	}
	must(!in_text);
	(void)out_close(o, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	for (unsigned flags = 0; flags < 4; flags++)
		for_terminal(span_of(bytes, n), flags);
	for_json(span_of(bytes, n));
	return 0;
}
