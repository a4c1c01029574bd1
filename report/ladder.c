#include "ladder.h"

#include "../capture/packet.h"
#include "escape.h"
#include "when.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	ROW_MAX = 256,                          /* columns */
	GAP_MIN = 12, GAP_MAX = 26,             /* between two life lines */
	NOTE_ROOM = 2,                          /* right of the last one */
	STEPS_SHOWN = 26, STEPS_FIRST = 10      /* of a long story: the first, and the last */
};

enum {                                          /* what lines are made of */
	LINE_ACROSS = 0x2500, LINE_DOWN = 0x2502, LINE_DOTTED = 0x250a, LINE_CROSSED = 0x253c,
	TIP_RIGHT = 0x25b6, TIP_LEFT = 0x25c0, TIP_LOST = 0x2717, SIGN_HERE = 0x2190
};

/* One line of the drawing: a character a column. `of` holds labels' characters as they were escaped. */
struct cell { char bytes[16]; uint8_t len; };
struct row { unsigned used; struct cell cells[ROW_MAX]; };

/* Columns `base` to `columns` are drawn: the client's is not where nothing of it was captured. */
struct geometry { unsigned first, gap, base, columns, packet_end, time_end; bool in_ms; int64_t from_ns; };

static void set(struct row *r, unsigned x, const char *bytes, size_t len)
{
	if (x >= ROW_MAX || len >= sizeof r->cells[0].bytes)
		return;
	memcpy(r->cells[x].bytes, bytes, len);
	r->cells[x].len = (uint8_t)len;
	if (x >= r->used)
		r->used = x + 1;
}

/* A character of ours, all of which are three bytes of UTF-8. */
static void set_sign(struct row *r, unsigned x, unsigned c)
{
	char b[3] = { (char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f)) };

	set(r, x, b, sizeof b);
}

static void row_clear(struct row *r)
{
	for (unsigned x = 0; x < ROW_MAX; x++)
		r->cells[x] = (struct cell){ " ", 1 };
	r->used = 0;
}

/* Label at x, at most `room` wide. An escape of several columns stays whole. Returns its width. */
static unsigned set_label(struct row *r, unsigned x, unsigned room, const char *label)
{
	struct span s = span_text(label);
	struct escaped e;
	unsigned used = 0;
	bool whole = escape_columns(s, ESCAPE_OWN_WORDS) <= room;

	while (escape_next(&s, ESCAPE_OWN_WORDS, &e) && used + e.columns + (whole ? 0 : 1) <= room) {
		set(r, x + used, e.bytes, e.len);
		for (unsigned k = 1; k < e.columns; k++)
			set(r, x + used + k, "", 0);
		used += e.columns;
	}
	if (!whole && used < room)
		set_sign(r, x + used++, 0x2026);
	return used;
}

static void row_print(struct page *p, const struct row *r)
{
	for (unsigned x = 0; x < r->used; x++) {
		char text[sizeof r->cells[x].bytes + 1];

		memcpy(text, r->cells[x].bytes, r->cells[x].len);
		text[r->cells[x].len] = '\0';
		page_say(p, text);
	}
	page_line(p);
}

static unsigned column_x(const struct geometry *g, unsigned column)
{
	return g->first + (column - g->base) * g->gap;
}

static void life_lines(struct row *r, const struct geometry *g, unsigned line)
{
	for (unsigned c = g->base; c < g->columns; c++)
		set_sign(r, column_x(g, c), line);
}

static void right_aligned(struct row *r, const char *text, unsigned end)
{
	unsigned n = (unsigned)strlen(text);

	if (n <= end)
		set_label(r, end - n, n, text);
}

static void at_time(struct row *r, const struct geometry *g, int64_t time_ns)
{
	uint64_t since = (uint64_t)since_ns(g->from_ns, time_ns);
	char text[WHEN_TEXT];

	if (g->in_ms)
		(void)snprintf(text, sizeof text, "%" PRIu64 ".%02u", since / 1000000, (unsigned)(since / 10000 % 100));
	else
		(void)snprintf(text, sizeof text, "%" PRIu64 ".%03u", since / 1000000000, (unsigned)(since / 1000000 % 1000));
	right_aligned(r, text, g->time_end);
}

static void arrow(struct row *r, const struct geometry *g, const struct step *s)
{
	unsigned from = column_x(g, s->from), to = column_x(g, s->to);
	unsigned left = from < to ? from : to, right = from < to ? to : from;
	unsigned room = right - left - 1, label = (unsigned)escape_columns(span_text(s->label), ESCAPE_OWN_WORDS);
	unsigned tip = from < to ? right - 1 : left + 1, x;

	for (x = left + 1; x < right; x++)
		set_sign(r, x, LINE_ACROSS);
	for (unsigned c = g->base; c < g->columns; c++)
		if (column_x(g, c) > left && column_x(g, c) < right)
			set_sign(r, column_x(g, c), LINE_CROSSED);
	if (s->lost) {                          /* it stops two thirds of the way */
		tip = from < to ? right - 1 - room / 6 : left + 1 + room / 6;
		for (x = from < to ? tip : left + 1; x < (from < to ? right : tip); x++)
			set(r, x, " ", 1);
	}
	set_sign(r, tip, s->lost ? TIP_LOST : from < to ? TIP_RIGHT : TIP_LEFT);
	if (room < 8 || label == 0)
		return;
	room -= s->lost ? 6 + room / 6 : 6;     /* "── " and " ──▶" */
	if (label > room)
		label = room;
	x = from < to ? left + 3 : right - 3 - label - 1;
	set(r, x, " ", 1);
	label = set_label(r, x + 1, label, s->label);
	set(r, x + 1 + label, " ", 1);
}

static bool visible_step(const struct geometry *g, const struct step *s)
{
	return s->from >= g->base && s->to >= g->base && s->from < g->columns && s->to < g->columns;
}

static void draw_step(struct page *p, struct row *r, const struct geometry *g, const struct step *s)
{
	char number[32];

	row_clear(r);
	life_lines(r, g, LINE_DOWN);
	(void)snprintf(number, sizeof number, "%" PRIu64, s->at.packet);
	if (s->at.packet != 0)
		right_aligned(r, number, g->packet_end);
	at_time(r, g, s->at.time_ns);
	if (s->from != s->to)
		arrow(r, g, s);
	else
		set_label(r, column_x(g, s->from) + 2, p->width > column_x(g, s->from) + 4 ? p->width - column_x(g, s->from) - 4 : 8, s->label);
	if (s->decisive)
		set_sign(r, r->used + 1, SIGN_HERE);
	if (s->decisive)
		page_style(p, STYLE_BOLD);
	row_print(p, r);
	if (s->decisive)
		page_style(p, STYLE_PLAIN);
}

/* A second or more in which nothing passed is what many of these stories are about. */
static void draw_pause(struct page *p, struct row *r, const struct geometry *g, int64_t ns)
{
	char text[WHEN_TEXT];

	row_clear(r);
	life_lines(r, g, LINE_DOTTED);
	duration_text(ns, text);
	set_label(r, column_x(g, g->columns > g->base + 1 ? g->columns - 2 : g->base) + 2, g->gap - 3, text);
	page_style(p, STYLE_DIM);
	row_print(p, r);
	page_style(p, STYLE_PLAIN);
}

static void draw_left_out(struct page *p, struct row *r, const struct geometry *g, unsigned n)
{
	char text[64];

	row_clear(r);
	life_lines(r, g, LINE_DOTTED);
	(void)snprintf(text, sizeof text, "%u more (-vv)", n);
	set_label(r, g->first + 2, 24, text);
	page_style(p, STYLE_DIM);
	row_print(p, r);
	page_style(p, STYLE_PLAIN);
}

static void draw_heads(struct page *p, struct row *r, const struct geometry *g, const struct incident *i)
{
	row_clear(r);
	right_aligned(r, "packet", g->packet_end);
	right_aligned(r, g->in_ms ? "ms" : "s", g->time_end);
	for (unsigned c = g->base; c < g->columns; c++) {
		const char *name = i->columns[c] != NULL ? i->columns[c] : "";
		unsigned width = (unsigned)escape_columns(span_text(name), ESCAPE_OWN_WORDS), x = column_x(g, c);

		if (width > g->gap - 1)
			width = g->gap - 1;
		set_label(r, x > width / 2 ? x - width / 2 : 0, width, name);
	}
	page_style(p, STYLE_DIM);
	row_print(p, r);
	page_style(p, STYLE_PLAIN);
}

unsigned ladder_first_column(const struct incident *i)
{
	unsigned base = i->n_columns > 1 ? 1 : 0;

	for (unsigned s = 0; s < i->n_steps; s++)
		if (i->steps[s].from == 0 || i->steps[s].to == 0)
			base = 0;
	return base;
}

/* Room between the first and the last life line: the last one's name is centred on it. */
static unsigned room_for_gaps(const struct page *p, const struct incident *i, unsigned first)
{
	const char *last = i->columns[i->n_columns - 1];
	unsigned width = p->width < ROW_MAX ? p->width : ROW_MAX, right = NOTE_ROOM;

	if (last != NULL && strlen(last) / 2 > right)
		right = (unsigned)strlen(last) / 2;
	if (right > GAP_MAX / 2)
		right = GAP_MAX / 2;
	return width > first + right + 1 ? width - first - right - 1 : 0;
}

static struct geometry geometry_of(const struct page *p, const struct incident *i, unsigned indent)
{
	struct geometry g = { .columns = i->n_columns, .base = ladder_first_column(i), .from_ns = i->steps[0].at.time_ns };
	unsigned room, gaps;
	int64_t last_ns = g.from_ns;

	for (unsigned s = 0; s < i->n_steps; s++)
		if (i->steps[s].at.time_ns > last_ns)
			last_ns = i->steps[s].at.time_ns;
	g.in_ms = since_ns(g.from_ns, last_ns) < NS_PER_S;
	g.packet_end = indent + 8;
	g.time_end = g.packet_end + 10;
	g.first = g.time_end + 5;
	room = room_for_gaps(p, i, g.first);
	while (g.columns > g.base + 2 && room / (g.columns - g.base - 1) < GAP_MIN)
		g.columns--;
	gaps = g.columns - g.base - (g.columns > g.base ? 1 : 0);
	g.gap = gaps > 0 ? room / gaps : GAP_MAX;
	if (g.gap > GAP_MAX)
		g.gap = GAP_MAX;
	if (g.gap < GAP_MIN)
		g.gap = GAP_MIN;
	return g;
}

static bool shown(const struct incident *i, unsigned s, bool all)
{
	return all || i->n_steps <= STEPS_SHOWN || s < STEPS_FIRST || s + (STEPS_SHOWN - STEPS_FIRST) >= i->n_steps ||
	       i->steps[s].decisive;
}

void ladder_draw(struct page *p, const struct incident *i, unsigned indent, bool all)
{
	struct geometry g;
	struct row r;
	unsigned left_out = 0;
	int64_t before_ns;

	if (i->n_steps == 0 || i->n_columns == 0)
		return;
	g = geometry_of(p, i, indent);
	draw_heads(p, &r, &g, i);
	before_ns = g.from_ns;
	for (unsigned s = 0; s < i->n_steps; s++) {
		const struct step *step = &i->steps[s];

		if (!visible_step(&g, step) || !shown(i, s, all)) {
			left_out++;
			continue;
		}
		if (left_out > 0)
			draw_left_out(p, &r, &g, left_out);
		else if (since_ns(before_ns, step->at.time_ns) >= NS_PER_S)
			draw_pause(p, &r, &g, since_ns(before_ns, step->at.time_ns));
		left_out = 0;
		before_ns = step->at.time_ns;
		draw_step(p, &r, &g, step);
	}
	if (left_out > 0)
		draw_left_out(p, &r, &g, left_out);
}
