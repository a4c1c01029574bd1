#include "page.h"

#include "escape.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const styles[] = {           /* ECMA-48 SGR */
	[STYLE_PLAIN] = "\033[0m", [STYLE_BOLD] = "\033[1m", [STYLE_DIM] = "\033[2m", [STYLE_RED] = "\033[31m",
	[STYLE_GREEN] = "\033[32m", [STYLE_YELLOW] = "\033[33m", [STYLE_CYAN] = "\033[36m",
};

static unsigned words_flags(const struct page *p)
{
	return ESCAPE_OWN_WORDS | (p->ascii ? ESCAPE_ASCII : 0);
}

static unsigned wire_flags(const struct page *p)
{
	return p->ascii ? ESCAPE_ASCII : 0;
}

void page_style(struct page *p, enum style s)
{
	if (p->color)
		out_text(p->out, styles[s]);
}

static void put_one(struct page *p, const struct escaped *e)
{
	if (p->html)
		escape_html(p->out, e);
	else
		out_bytes(p->out, span_of(e->bytes, e->len));
	p->column += e->columns;
}

static void put(struct page *p, struct span s, unsigned flags)
{
	struct escaped e;

	while (escape_next(&s, flags, &e))
		put_one(p, &e);
}

void page_say(struct page *p, const char *words)
{
	put(p, span_text(words), words_flags(p));
}

void page_styled(struct page *p, enum style s, const char *words)
{
	page_style(p, s);
	page_say(p, words);
	page_style(p, STYLE_PLAIN);
}

void page_format(struct page *p, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	page_say(p, text);
}

void page_pad(struct page *p, unsigned column)
{
	do {
		if (p->column >= column && p->column == 0)
			return;
		out_char(p->out, ' ');
		p->column++;
	} while (p->column < column);
}

unsigned page_columns(const struct page *p, const char *words)
{
	return (unsigned)escape_columns(span_text(words), words_flags(p));
}

void page_right(struct page *p, const char *words, unsigned end)
{
	unsigned n = page_columns(p, words);

	page_pad(p, end > n ? end - n : 0);
	page_say(p, words);
}

void page_line(struct page *p)
{
	out_char(p->out, '\n');
	p->column = 0;
}

/* Is what follows the space at n a unit of the number before it? "5 s" is not broken. */
static bool unit_follows(struct span s, size_t n)
{
	struct span next = span_from(s, n + 1);
	uint8_t last = n > 0 ? span_at(s, n - 1) : 0, c = ascii_lower(span_at(next, 0));

	return last >= '0' && last <= '9' && c >= 'a' && c <= 'z' && span_index(next, ' ') <= 3;
}

static size_t word_length(struct span s)
{
	size_t n = span_index(s, ' ');

	return n < s.len && unit_follows(s, n) ? n + 1 + span_index(span_from(s, n + 1), ' ') : n;
}

void page_flow(struct page *p, unsigned indent, const char *words)
{
	struct span s = span_text(words);
	bool first = true;

	while (s.len > 0) {
		size_t n = word_length(s);
		struct span word = span_first(s, n);
		unsigned columns = (unsigned)escape_columns(word, words_flags(p));

		s = span_from(s, n + 1);
		if (word.len == 0)
			continue;
		if (!first && p->column + 1 + columns > p->width) {
			page_line(p);
			page_pad(p, indent);
		} else if (!first) {
			out_char(p->out, ' ');
			p->column++;
		}
		put(p, word, words_flags(p));
		first = false;
	}
}

void page_wrap(struct page *p, unsigned indent, const char *words)
{
	page_flow(p, indent, words);
	page_line(p);
}

static void cut(struct page *p, struct span s, unsigned columns, unsigned flags)
{
	unsigned left = columns, mark = p->ascii ? 3 : 1;
	struct escaped e;

	if (escape_columns(s, flags) <= columns) {
		put(p, s, flags);
		return;
	}
	while (escape_next(&s, flags, &e) && left >= e.columns + mark) {
		put_one(p, &e);
		left -= e.columns;
	}
	page_say(p, "…");
}

void page_cut(struct page *p, const char *words, unsigned columns)
{
	cut(p, span_text(words), columns, words_flags(p));
}

void page_wire(struct page *p, struct span raw, unsigned columns)
{
	cut(p, raw, columns, wire_flags(p));
}

