/* html_ladder.c - an incident's packets as arrows, in SVG
 *
 * Columns are life lines: client, gateway, then each try at an upstream. A second or more in which nothing passed is a
 * row of its own with its length. Whoever cannot see the picture finds its rows in the description.
 */
#include "html.h"
#include "ladder.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	PACKET_END = 64, TIME_END = 142, FIRST_COLUMN = 212,     /* x */
	GAP_MAX = 250, GAP_MIN = 150, RIGHT = 120, WIDTH = 930,
	HEAD = 30, ROW = 34, PAUSE = 30,                        /* y */
	CHARACTER = 8, TIP = 7
};

struct drawing {
	struct html *h;
	const struct incident *i;
	unsigned base, columns, gap, y, right;
	bool in_ms;
};

static unsigned x_of(const struct drawing *d, unsigned column)
{
	return FIRST_COLUMN + (column - d->base) * d->gap;
}

static bool drawn(const struct drawing *d, const struct step *s)
{
	return s->from >= d->base && s->to >= d->base && s->from < d->columns && s->to < d->columns;
}

static int64_t pause_before(const struct incident *i, unsigned s)
{
	int64_t ns = s > 0 ? since_ns(i->steps[s - 1].at.time_ns, i->steps[s].at.time_ns) : 0;

	return ns >= NS_PER_S ? ns : 0;
}

static void line(struct drawing *d, const char *class, unsigned x1, unsigned y1, unsigned x2, unsigned y2)
{
	out_format(d->h->p.out, "<path class='%s' d='M%u %uL%u %u'/>", class, x1, y1, x2, y2);
}

/* "h", "d": bold, dim; anchor "end", "middle" or "start". */
static void text_begin(struct drawing *d, const char *class, const char *anchor, unsigned x, unsigned y)
{
	out_format(d->h->p.out, "<text x='%u' y='%u'", x, y);
	if (class[0] != '\0')
		out_format(d->h->p.out, " class='%s'", class);
	if (strcmp(anchor, "start") != 0)
		out_format(d->h->p.out, " text-anchor='%s'", anchor);
	out_text(d->h->p.out, ">");
}

static void text(struct drawing *d, const char *class, const char *anchor, unsigned x, unsigned y, const char *words, unsigned most)
{
	text_begin(d, class, anchor, x, y);
	page_cut(&d->h->p, words, most);
	html_tag(d->h, "</text>");
}

static const char *since_text(const struct drawing *d, int64_t time_ns, char text[static WHEN_TEXT])
{
	uint64_t ns = (uint64_t)since_ns(d->i->steps[0].at.time_ns, time_ns);

	if (d->in_ms)
		(void)snprintf(text, WHEN_TEXT, "%" PRIu64 ".%02u", ns / 1000000, (unsigned)(ns / 10000 % 100));
	else
		(void)snprintf(text, WHEN_TEXT, "%" PRIu64 ".%03u", ns / 1000000000, (unsigned)(ns / 1000000 % 1000));
	return text;
}

static void life_lines(struct drawing *d, const char *class, unsigned height)
{
	for (unsigned c = d->base; c < d->columns; c++)
		line(d, class, x_of(d, c), d->y, x_of(d, c), d->y + height);
}

static void heads(struct drawing *d)
{
	text(d, "d", "end", PACKET_END, 16, "packet", 10);
	text(d, "d", "end", TIME_END, 16, d->in_ms ? "ms" : "s", 4);
	for (unsigned c = d->base; c < d->columns; c++)
		text(d, "h", "middle", x_of(d, c), 16, d->i->columns[c] != NULL ? d->i->columns[c] : "", d->gap / CHARACTER - 1);
	d->y = HEAD;
}

static void pause_row(struct drawing *d, int64_t ns)
{
	unsigned x = x_of(d, d->columns - 1);
	char took[WHEN_TEXT];

	life_lines(d, "gap", PAUSE);
	if (d->columns > d->base + 1)           /* between the last two, where most waits are */
		x = (x_of(d, d->columns - 2) + x) / 2;
	text(d, "d", "middle", x, d->y + PAUSE / 2 + 4, duration_text(ns, took), 24);
	d->y += PAUSE;
}

static void tip(struct drawing *d, unsigned x, unsigned y, bool rightward)
{
	unsigned tail = rightward ? x - TIP : x + TIP;

	out_format(d->h->p.out, "<path class='tip' d='M%u %uL%u %uL%u %uZ'/>", x, y, tail, y - 4, tail, y + 4);
}

static void cross(struct drawing *d, unsigned x, unsigned y)
{
	line(d, "x", x - 5, y - 5, x + 5, y + 5);
	line(d, "x", x - 5, y + 5, x + 5, y - 5);
}

static void arrow(struct drawing *d, const struct step *s, unsigned y)
{
	unsigned from = x_of(d, s->from), to = x_of(d, s->to), whole = from < to ? to - from : from - to;
	bool rightward = from < to;

	if (s->lost)                            /* it stops short */
		to = rightward ? to - whole / 6 : to + whole / 6;
	line(d, "a", from, y, to, y);
	if (s->lost)
		cross(d, to, y);
	else
		tip(d, to, y, rightward);
	text(d, s->decisive ? "h" : "", rightward ? "start" : "end", rightward ? from + 12 : from - 12, y - 6, s->label,
	     (d->gap - 34 - (s->lost ? whole / 6 : 0)) / CHARACTER);
}

static void step_row(struct drawing *d, const struct step *s)
{
	unsigned y = d->y + 22;
	char words[WHEN_TEXT];

	if (s->decisive)
		out_format(d->h->p.out, "<path class='band' d='M0 %uH%uv%uH0z'/><path class='edge' d='M0 %uh3v%uh-3z'/>", d->y + 2, d->right,
		           (unsigned)ROW - 3, d->y + 2, (unsigned)ROW - 3);
	life_lines(d, "life", ROW);
	(void)snprintf(words, sizeof words, "%" PRIu64, s->at.packet);
	text(d, s->decisive ? "h" : "d", "end", PACKET_END, y, words, 20);
	text(d, "d", "end", TIME_END, y, since_text(d, s->at.time_ns, words), 20);
	if (s->from != s->to)
		arrow(d, s, y);
	else
		text(d, s->decisive ? "h" : "", "start", x_of(d, s->from) + 10, y, s->label, d->gap / CHARACTER);
	d->y += ROW;
}

static void column_name(struct drawing *d, unsigned c)
{
	page_cut(&d->h->p, d->i->columns[c] != NULL ? d->i->columns[c] : "", 60);
}

/* The same for ears. */
static void described(struct drawing *d)
{
	struct page *p = &d->h->p;
	char when[WHEN_TEXT];

	out_format(p->out, "<title id='t%" PRIu64 "'>Packets of incident %" PRIu64 "</title><desc id='d%" PRIu64 "'>", d->i->id, d->i->id, d->i->id);
	for (unsigned s = 0; s < d->i->n_steps; s++) {
		const struct step *step = &d->i->steps[s];

		if (!drawn(d, step))
			continue;
		page_format(p, "Packet %" PRIu64 ", at %s %s, ", step->at.packet, since_text(d, step->at.time_ns, when), d->in_ms ? "ms" : "s");
		column_name(d, step->from);
		page_say(p, " to ");
		column_name(d, step->to);
		page_say(p, ": ");
		page_cut(p, step->label, 60);
		page_say(p, step->lost ? ", lost or unanswered. " : step->decisive ? ", decisive. " : ". ");
	}
	html_tag(d->h, "</desc>");
}

static struct drawing drawing_of(struct html *h, const struct incident *i)
{
	struct drawing d = { .h = h, .i = i, .base = ladder_first_column(i), .columns = i->n_columns };
	unsigned gaps = d.columns - d.base > 1 ? d.columns - d.base - 1 : 1;

	d.in_ms = since_ns(i->steps[0].at.time_ns, i->steps[i->n_steps - 1].at.time_ns) < NS_PER_S;
	d.gap = (WIDTH - FIRST_COLUMN - RIGHT) / gaps;
	d.gap = d.gap > GAP_MAX ? GAP_MAX : d.gap < GAP_MIN ? GAP_MIN : d.gap;
	d.right = x_of(&d, d.columns - 1) + RIGHT;
	return d;
}

static unsigned height_of(const struct drawing *d)
{
	unsigned height = HEAD + 4;

	for (unsigned s = 0; s < d->i->n_steps; s++)
		height += (drawn(d, &d->i->steps[s]) ? ROW : 0u) + (pause_before(d->i, s) > 0 ? PAUSE : 0u);
	return height;
}

void html_ladder(struct html *h, const struct incident *i)
{
	struct drawing d;

	if (i->n_steps == 0 || i->n_columns == 0)
		return;
	d = drawing_of(h, i);
	out_format(h->p.out, "<div class='ladder' tabindex='0' role='group' aria-label='Ladder of incident %" PRIu64 "'>", i->id);
	out_format(h->p.out, "<svg role='img' aria-labelledby='t%" PRIu64 " d%" PRIu64 "' width='%u' height='%u' viewBox='0 0 %u %u'>", i->id, i->id,
	           d.right, height_of(&d), d.right, height_of(&d));
	described(&d);
	heads(&d);
	for (unsigned s = 0; s < i->n_steps; s++) {
		if (pause_before(i, s) > 0)
			pause_row(&d, pause_before(i, s));
		if (drawn(&d, &i->steps[s]))
			step_row(&d, &i->steps[s]);
	}
	html_tag(h, "</svg></div>\n");
}
