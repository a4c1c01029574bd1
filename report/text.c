/* text.c - the report for a terminal (UX.md 1.2), to be read at three in the morning
 *
 * From the top: how many, of what, who must act; then each group with what to do and the packets
 * that prove it; last what the capture could not show.
 */
#include "escape.h"
#include "ladder.h"
#include "page.h"
#include "phrases.h"
#include "writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { EVIDENCE_SHOWN = 6, WORDS_SHOWN = 3, GATEWAYS_SHOWN = 4, IDS_SHOWN = 12, UPSTREAMS_SHOWN = 20,
       TIMELINE = 40, INDENT = 3 };

struct text_writer {
	struct page p;
	struct writer_options o;
	bool listed;                    /* exchanges were printed already */
};

/* ---- the head ------------------------------------------------------------------------------ */

/* Pieces parted by dots; one that does not fit begins a line of its own. */
static void piece(struct page *p, const char *text, unsigned columns)
{
	if (p->column > 0 && p->column + 3 + columns > p->width) {
		page_line(p);
		page_pad(p, 2);
	} else if (p->column > 0) {
		page_say(p, " · ");
	}
	if (text != NULL)
		page_say(p, text);
}

static void name_piece(struct page *p, const char *name)
{
	unsigned most = p->width > 20 ? p->width - 4 : 16, n = (unsigned)escape_columns(span_text(name), p->ascii ? ESCAPE_ASCII : 0);

	piece(p, NULL, n < most ? n : most);
	page_wire(p, span_text(name), most);
}

static void head_names(struct page *p, const struct run_info *run)
{
	char more[64];

	for (unsigned i = 0; i < run->n_interfaces && run->live; i++)
		name_piece(p, run->interfaces[i]);
	for (unsigned i = 0; i < run->n_files && !run->live; i++) {
		if (i == 3 && run->n_files > 4) {
			(void)snprintf(more, sizeof more, "and %u more files", run->n_files - i);
			piece(p, more, (unsigned)strlen(more));
			return;
		}
		name_piece(p, run->files[i].name);
	}
}

static void head_times(struct text_writer *w, const struct run_info *run)
{
	char from[WHEN_TEXT], to[WHEN_TEXT], day[WHEN_TEXT], end_day[WHEN_TEXT], zone[WHEN_TEXT], all[6 * WHEN_TEXT];
	struct when_style s = w->o.when;

	if (run->counters.packets == 0)
		return;
	s.with_date = false;
	when_date(&s, run->first_ns, day);
	when_date(&s, run->last_ns, end_day);
	when_text(&s, run->first_ns, 0, from);
	when_text(&s, run->last_ns, 0, to);
	(void)snprintf(all, sizeof all, "%s%s%s – %s%s%s %s", day, day[0] != '\0' ? " " : "", from,
	               strcmp(day, end_day) != 0 ? end_day : "", strcmp(day, end_day) != 0 ? " " : "", to,
	               when_zone_name(&s, run->first_ns, zone));
	piece(&w->p, all, page_columns(&w->p, all));
}

static void head(struct text_writer *w, const struct run_info *run)
{
	struct page *p = &w->p;
	char text[2 * WHEN_TEXT + 16], packets[WHEN_TEXT], bytes[WHEN_TEXT];

	page_style(p, STYLE_BOLD);
	page_format(p, "why502 %s", run->version);
	page_style(p, STYLE_PLAIN);
	head_names(p, run);
	(void)snprintf(text, sizeof text, "%s packet%s, %s", count_text(run->counters.packets, packets),
	               run->counters.packets == 1 ? "" : "s", bytes_text(run->counters.bytes, bytes));
	piece(p, text, (unsigned)strlen(text));
	head_times(w, run);
	page_line(p);
	page_line(p);
	if (run->trouble != NULL) {
		page_styled(p, STYLE_YELLOW, "  Not read to its end: ");
		page_wire(p, span_text(run->trouble), 400);
		page_line(p);
	}
	if (w->o.show_secrets) {
		page_say(p, "  Secrets are shown (--show-secrets): do not pass this on.");
		page_line(p);
	}
}

/* ---- the totals ---------------------------------------------------------------------------- */

static void totals(struct text_writer *w, const struct report *r)
{
	struct page *p = &w->p;
	char n[WHEN_TEXT], of[WHEN_TEXT], share[WHEN_TEXT];
	uint64_t requests = r->requests > 0 ? r->requests : r->exchanges;
	const char *what = r->requests > 0 ? "request" : "exchange";

	page_say(p, "  ");
	page_style(p, r->total_incidents > 0 ? STYLE_RED : STYLE_GREEN);
	if (r->total_incidents == 0)
		page_say(p, "No gateway error");
	else
		page_format(p, "%s gateway error%s", count_text(r->total_incidents, n), r->total_incidents == 1 ? "" : "s");
	page_style(p, STYLE_PLAIN);
	page_format(p, " in %s %s%s", count_text(requests, of), what, requests == 1 ? "" : "s");
	if (r->total_incidents > 0 && requests > 0)
		page_format(p, " (%s)", percent_text(r->total_incidents, requests, share));
	say_statuses(p, r);
	page_line(p);
	if (r->healed > 0) {
		page_format(p, "  %s failed attempt%s made good by a retry: no client saw %s", count_text(r->healed, n),
		            r->healed == 1 ? " was" : "s were", r->healed == 1 ? "it" : "them");
		page_line(p);
	}
}

static void gateways(struct text_writer *w, const struct report *r)
{
	struct page *p = &w->p;
	char n[WHEN_TEXT];

	for (unsigned i = 0; i < r->n_gateways && i < GATEWAYS_SHOWN; i++) {
		const struct gateway_seen *g = &r->gateways[i];

		page_say(p, "  Gateway ");
		say_endpoint(p, w->o.names, &g->front, p->width);
		if (g->product != NULL && g->product[0] != '\0')
			page_format(p, " (%s%s%s, %s)", g->product, g->version != NULL ? " " : "", g->version != NULL ? g->version : "",
			            g->product_source != NULL && strcmp(g->product_source, "option") == 0 ? "as told" : "by its own words");
		if (g->requests > 0)
			page_format(p, " · %s request%s", count_text(g->requests, n), g->requests == 1 ? "" : "s");
		if (i == 0)
			page_format(p, " · %u upstream%s seen", r->n_upstreams, r->n_upstreams == 1 ? "" : "s");
		page_line(p);
	}
	if (r->n_gateways > GATEWAYS_SHOWN) {
		page_format(p, "  and %u more gateways", r->n_gateways - GATEWAYS_SHOWN);
		page_line(p);
	}
	if (r->n_gateways == 0 && r->n_upstreams > 0) {
		page_format(p, "  No gateway's front seen · %u upstream%s seen", r->n_upstreams, r->n_upstreams == 1 ? "" : "s");
		page_line(p);
	}
	page_line(p);
}

/* ---- the table of causes ------------------------------------------------------------------- */

struct cause_columns { unsigned cause, count, fault, upstream, upstream_width, first, last; };

static unsigned larger(unsigned a, size_t b)
{
	return b > a ? (unsigned)b : a;
}

static const struct endpoint *upstream_of(const struct group *g)
{
	return g->has_upstream ? &g->upstream : NULL;
}

/* With names where the column has room for them. */
static unsigned upstream_width(const struct text_writer *w, const struct report *r, unsigned rows, unsigned room)
{
	unsigned width = 8;

	for (unsigned i = 0; i < rows; i++)
		width = larger(width, endpoint_columns(&w->p, w->o.names, upstream_of(&r->groups[i]), room));
	return width;
}

static struct cause_columns cause_columns(const struct text_writer *w, const struct report *r, unsigned rows)
{
	unsigned cause = 5, fault = 12, time = w->o.when.with_date ? 19 : 8, others;
	struct cause_columns c;

	for (unsigned i = 0; i < rows; i++) {
		cause = larger(cause, strlen(cause_row(r->groups[i].cause)->name));
		fault = larger(fault, strlen(fault_name(r->groups[i].fault)));
	}
	c.cause = 2;
	c.count = c.cause + cause + 2;          /* right-aligned, 8 wide */
	c.fault = c.count + 10;
	c.upstream = c.fault + fault + 2;
	others = c.upstream + 2 + time + 2 + time;
	c.upstream_width = upstream_width(w, r, rows, w->p.width > others ? w->p.width - others : 0);
	c.first = c.upstream + c.upstream_width + 2;
	c.last = c.first + time + 2;
	return c;
}

static void cause_line(struct text_writer *w, const struct cause_columns *c, const struct group *g)
{
	struct page *p = &w->p;
	char n[WHEN_TEXT], when[WHEN_TEXT];
	unsigned last_width = w->o.when.with_date ? 19 : 8;

	page_pad(p, c->cause);
	page_styled(p, STYLE_BOLD, cause_row(g->cause)->name);
	page_right(p, count_text(g->count, n), c->fault - 2);
	page_pad(p, c->fault);
	page_say(p, fault_name(g->fault));
	page_pad(p, c->upstream);
	say_endpoint(p, w->o.names, upstream_of(g), c->upstream_width);
	if (c->last + last_width <= p->width) {
		page_pad(p, c->first);
		page_say(p, when_text(&w->o.when, g->first_ns, 0, when));
		page_pad(p, c->last);
		page_say(p, when_text(&w->o.when, g->last_ns, 0, when));
	}
	page_line(p);
}

static void cause_table(struct text_writer *w, const struct report *r)
{
	struct page *p = &w->p;
	unsigned rows = r->n_groups < w->o.top ? r->n_groups : w->o.top;
	struct cause_columns c = cause_columns(w, r, rows);

	if (r->n_groups == 0)
		return;
	page_style(p, STYLE_DIM);
	page_pad(p, c.cause);
	page_say(p, "Cause");
	page_right(p, "Count", c.fault - 2);
	page_pad(p, c.fault);
	page_say(p, "Who must act");
	page_pad(p, c.upstream);
	page_say(p, "Upstream");
	if (c.last + (w->o.when.with_date ? 19 : 8) <= p->width) {
		page_pad(p, c.first);
		page_say(p, "First");
		page_pad(p, c.last);
		page_say(p, "Last");
	}
	page_style(p, STYLE_PLAIN);
	page_line(p);
	for (unsigned i = 0; i < rows; i++)
		cause_line(w, &c, &r->groups[i]);
	if (rows < r->n_groups) {
		page_format(p, "  and %u more groups (--top %u shows all)", r->n_groups - rows, r->n_groups);
		page_line(p);
	}
	page_line(p);
}

static void timeline(struct text_writer *w, const struct report *r, const struct run_info *run)
{
	static const char *const levels[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	struct page *p = &w->p;
	uint64_t sums[TIMELINE] = { 0 }, most = 0;
	char when[WHEN_TEXT];

	if (r->total_incidents < 2 || since_ns(run->first_ns, run->last_ns) < 2 * NS_PER_S)
		return;
	for (unsigned g = 0; g < r->n_groups; g++)
		for (unsigned i = 0; i < TIMELINE; i++)
			sums[i] += r->groups[g].timeline[i];
	for (unsigned i = 0; i < TIMELINE; i++)
		most = sums[i] > most ? sums[i] : most;
	if (most == 0)
		return;
	page_format(p, "  %s ", when_text(&w->o.when, run->first_ns, 0, when));
	for (unsigned i = 0; i < TIMELINE; i++)         /* one is never drawn as none */
		page_say(p, levels[sums[i] == 0 ? 0 : 1 + (sums[i] - 1) * 6 / most]);
	page_format(p, " %s", when_text(&w->o.when, run->last_ns, 0, when));
	page_line(p);
	page_line(p);
}

/* ---- one group ----------------------------------------------------------------------------- */

static enum style confidence_style(unsigned c)
{
	return c == CONFIDENCE_HIGH ? STYLE_GREEN : c == CONFIDENCE_MEDIUM ? STYLE_YELLOW : STYLE_RED;
}

static void group_title(struct text_writer *w, const struct group *g, unsigned number)
{
	struct page *p = &w->p;
	char n[WHEN_TEXT], title[128], right[64];
	unsigned columns;

	if (g->count > 1)
		(void)snprintf(title, sizeof title, "%u. %s, %s ×", number, cause_row(g->cause)->name, count_text(g->count, n));
	else
		(void)snprintf(title, sizeof title, "%u. %s", number, cause_row(g->cause)->name);
	(void)snprintf(right, sizeof right, "%s confidence", confidence_name(g->confidence));
	page_styled(p, STYLE_BOLD, title);
	columns = page_columns(p, right);
	if (g->has_upstream && names_find(w->o.names, g->upstream.address) >= 0 && p->width > p->column + columns + 4) {
		page_say(p, ", ");
		say_endpoint(p, w->o.names, &g->upstream, p->width - p->column - columns - 2);
	}
	if (g->of != NULL && p->width > p->column + columns + 4) {
		page_say(p, ", ");
		page_cut(p, g->of, p->width - p->column - columns - 2);
	}
	page_pad(p, p->width > columns ? p->width - columns : 0);
	page_styled(p, confidence_style(g->confidence), right);
	page_line(p);
}

static void labelled(struct page *p, const char *label, unsigned indent, bool *first)
{
	page_pad(p, INDENT);
	if (*first)
		page_styled(p, STYLE_BOLD, label);
	page_pad(p, indent);
	*first = false;
}

static void group_spreads(struct page *p, const struct group *g)
{
	for (unsigned i = 0; i < g->n_spreads && g->count > 1; i++) {
		page_pad(p, INDENT);
		page_style(p, STYLE_DIM);
		say_spread(p, &g->spreads[i]);
		page_style(p, STYLE_PLAIN);
		page_line(p);
	}
}

static void advice(struct page *p, const struct incident *i)
{
	bool first = true;

	for (unsigned n = 0; n < i->n_advice; n++) {
		labelled(p, "Do", INDENT + 6, &first);
		page_wrap(p, INDENT + 6, i->advice[n]);
	}
}

static void words_piece(struct page *p, const struct words *w, unsigned indent, bool begin)
{
	const char *quote = strchr(w->text, ' ') != NULL ? "\"" : "";
	unsigned columns = page_columns(p, w->product) + page_columns(p, w->text) + 1 + 2 * (unsigned)strlen(quote);

	if (!begin && p->column + 3 + columns > p->width) {
		page_line(p);
		page_pad(p, indent);
	} else if (!begin) {
		page_say(p, "   ");
	}
	page_say(p, w->product);
	page_say(p, " ");
	page_style(p, STYLE_DIM);
	page_say(p, quote);
	page_flow(p, indent + 2, w->text);
	page_say(p, quote);
	page_style(p, STYLE_PLAIN);
}

/* What this is called in the gateway's log; -v: in everybody's. */
static void in_their_words(struct text_writer *w, const struct incident *i)
{
	struct page *p = &w->p;
	unsigned indent = INDENT + 17, shown = w->o.verbose > 0 ? i->n_equivalents : WORDS_SHOWN;

	if (i->n_equivalents == 0)
		return;
	page_pad(p, INDENT);
	page_styled(p, STYLE_BOLD, "In their words");
	page_pad(p, indent);
	for (unsigned n = 0; n < i->n_equivalents && n < shown; n++)
		words_piece(p, &i->equivalents[n], indent, n == 0);
	page_line(p);
}

static void incident_title(struct text_writer *w, const struct incident *i)
{
	struct page *p = &w->p;
	char when[WHEN_TEXT], status[64];
	unsigned room = p->width > 70 ? p->width - 60 : 20;

	page_pad(p, INDENT);
	page_style(p, STYLE_CYAN);
	page_format(p, "#%" PRIu64, i->id);
	page_style(p, STYLE_PLAIN);
	page_format(p, "  %s  ", when_text(&w->o.when, i->time_ns, 3, when));
	say_request(p, i->method, i->authority, i->target, w->o.show_secrets, room);
	page_say(p, " → ");
	page_styled(p, STYLE_RED, status_phrase(i, status));
	if (i->client.port != 0) {
		page_say(p, "   client ");
		say_endpoint(p, w->o.names, &i->client, p->width);
	}
	if (proxied_for(i) != NULL) {
		page_say(p, " for ");
		say_endpoint(p, w->o.names, proxied_for(i), p->width);
	}
	page_line(p);
}

static void evidence(struct text_writer *w, const struct incident *i)
{
	struct page *p = &w->p;
	unsigned shown = w->o.verbose > 0 || i->n_evidence <= EVIDENCE_SHOWN ? i->n_evidence : EVIDENCE_SHOWN;
	char when[WHEN_TEXT], number[32];
	unsigned indent = INDENT + 8 + 2 + (w->o.when.with_date ? 23 : 12) + 2;

	if (shown > 0) {
		page_pad(p, INDENT);
		page_styled(p, STYLE_BOLD, "Evidence");
		page_line(p);
	}
	for (unsigned n = 0; n < shown; n++) {
		const struct evidence *e = &i->evidence[n];

		(void)snprintf(number, sizeof number, "%" PRIu64, e->at.packet);
		page_right(p, number, INDENT + 8);
		page_say(p, "  ");
		page_styled(p, STYLE_DIM, when_text(&w->o.when, e->at.time_ns, 3, when));
		page_pad(p, indent);
		page_wrap(p, indent, e->text != NULL ? e->text : "");
	}
	if (shown < i->n_evidence) {
		page_pad(p, indent);
		page_format(p, "and %u more (-v)", i->n_evidence - shown);
		page_line(p);
	}
}

static void incident_full(struct text_writer *w, const struct incident *i)
{
	struct page *p = &w->p;

	incident_title(w, i);
	ladder_draw(p, i, INDENT, w->o.verbose > 1);
	evidence(w, i);
	if (i->filter != NULL && i->filter[0] != '\0') {
		page_pad(p, INDENT);
		page_styled(p, STYLE_BOLD, "Wireshark");
		page_pad(p, INDENT + 11);
		page_wrap(p, INDENT + 11, i->filter);
	}
	page_line(p);
}

static void others_by_line(struct text_writer *w, const struct report *r, const struct group *g, const struct incident *told)
{
	for (unsigned i = 0; i < g->n_incidents; i++) {
		const struct incident *other = report_incident(r, g->incidents[i]);

		if (other == NULL || other == told || !incident_matches(other, w->o.match))
			continue;
		if (w->o.verbose > 1)
			incident_full(w, other);
		else
			incident_title(w, other);
	}
}

static void others_by_number(struct page *p, const struct group *g, const struct incident *told)
{
	unsigned shown = 0;
	char n[WHEN_TEXT];

	page_pad(p, INDENT);
	page_say(p, "Alike");
	for (unsigned i = 0; i < g->n_incidents && shown < IDS_SHOWN; i++) {
		if (told != NULL && g->incidents[i] == told->id)
			continue;
		page_format(p, " #%" PRIu64, g->incidents[i]);
		shown++;
	}
	if (g->count > shown + 1)
		page_format(p, " and %s more", count_text(g->count - shown - 1, n));
	page_say(p, " (-v lists them)");
	page_line(p);
}

static void group(struct text_writer *w, const struct report *r, const struct group *g, unsigned number)
{
	struct page *p = &w->p;
	const struct incident *told = group_wanted(r, g, w->o.match);

	if (told == NULL && w->o.match != NULL)
		return;
	group_title(w, g, number);
	if (told == NULL) {
		page_line(p);
		return;
	}
	page_pad(p, INDENT);
	page_wrap(p, INDENT, told->summary != NULL ? told->summary : cause_row(g->cause)->shows);
	group_spreads(p, g);
	advice(p, told);
	in_their_words(w, told);
	page_line(p);
	incident_full(w, told);
	if (g->count > 1 && w->o.verbose == 0)
		others_by_number(p, g, told);
	else if (g->count > 1)
		others_by_line(w, r, g, told);
	if (g->count > 1)
		page_line(p);
}

/* ---- upstreams ----------------------------------------------------------------------------- */

enum { UPSTREAM_FIGURES = 74 };                 /* columns of all that stands behind the address */

static const char *duration_or_dash(int64_t ns, char text[static WHEN_TEXT])
{
	if (ns >= 0)
		return duration_text(ns, text);
	(void)snprintf(text, WHEN_TEXT, "-");
	return text;
}

static void upstream_line(struct text_writer *w, const struct upstream_health *u, unsigned address)
{
	struct page *p = &w->p;
	char t[WHEN_TEXT];

	page_pad(p, 2);
	say_endpoint(p, w->o.names, &u->address, address - 2);
	page_right(p, count_text(u->requests, t), address + 10);
	page_right(p, count_text(u->errors, t), address + 18);
	page_right(p, count_text(u->healed, t), address + 26);
	page_right(p, duration_or_dash(u->p50_ns, t), address + 36);
	page_right(p, duration_or_dash(u->p99_ns, t), address + 46);
	page_right(p, count_text(u->resets, t), address + 54);
	if (u->idle_closes > 0)
		page_format(p, "   %s (%" PRIu64 " ×)", duration_text(u->idle_median_ns, t), u->idle_closes);
	page_line(p);
}

static void upstream_table(struct text_writer *w, const struct report *r)
{
	struct page *p = &w->p;
	unsigned rows = r->n_upstreams < UPSTREAMS_SHOWN ? r->n_upstreams : UPSTREAMS_SHOWN, address = 10;
	unsigned room = p->width > UPSTREAM_FIGURES ? p->width - UPSTREAM_FIGURES : 0;

	if (rows == 0)
		return;
	for (unsigned i = 0; i < rows; i++)
		address = larger(address, endpoint_columns(p, w->o.names, &r->upstreams[i].address, room) + 2);
	page_style(p, STYLE_DIM);
	page_pad(p, 2);
	page_say(p, "Upstream");
	page_right(p, "Requests", address + 10);
	page_right(p, "Errors", address + 18);
	page_right(p, "Healed", address + 26);
	page_right(p, "p50", address + 36);
	page_right(p, "p99", address + 46);
	page_right(p, "Resets", address + 54);
	page_say(p, "   Closes idle after");
	page_style(p, STYLE_PLAIN);
	page_line(p);
	for (unsigned i = 0; i < rows; i++)
		upstream_line(w, &r->upstreams[i], address);
	if (rows < r->n_upstreams) {
		page_format(p, "  and %u more", r->n_upstreams - rows);
		page_line(p);
	}
	page_line(p);
}

/* ---- what the capture could not show ------------------------------------------------------- */

static void quality_piece(struct page *p, const struct quality_note *note)
{
	char text[QUALITY_TEXT];

	quality_text(note, text);
	if (p->column + 3 + page_columns(p, text) > p->width) {
		page_line(p);
		page_pad(p, 17);
	} else if (p->column > 17) {
		page_say(p, " · ");
	}
	page_say(p, text);
}

static void limits(struct page *p, const struct report *r)
{
	struct limit_counter hit[LIMITS_SHOWN];
	unsigned n = report_limits(r, hit);

	for (unsigned i = 0; i < n; i++)
		page_format(p, "%s%s %" PRIu64, i == 0 ? "Limits reached   " : ", ", hit[i].name, hit[i].count);
	if (n > 0)
		page_line(p);
}

static void quality(struct text_writer *w, const struct report *r, const struct run_info *run)
{
	struct page *p = &w->p;
	struct quality_note notes[QUALITY_NOTES];
	unsigned n = quality_notes(r, run, notes);

	page_styled(p, STYLE_BOLD, "Capture quality");
	page_pad(p, 17);
	for (unsigned i = 0; i < n; i++)
		quality_piece(p, &notes[i]);
	page_line(p);
	limits(p, r);
	for (unsigned i = 0; i < r->n_blind; i++) {
		if (i == 0)
			page_styled(p, STYLE_BOLD, "Not to be seen");
		page_pad(p, 17);
		page_wrap(p, 17, r->blind[i]);
	}
}

/* ---- the writer ---------------------------------------------------------------------------- */

static void *text_begin(const struct writer_options *o, struct out *out)
{
	struct text_writer *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	w->p = (struct page){ .out = out, .width = o->columns, .color = o->color, .ascii = o->ascii };
	return w;
}

static void text_exchange(void *self, const struct exchange_view *v)
{
	struct text_writer *w = self;

	if ((!w->o.exchanges && w->o.match == NULL) || !view_matches(v, w->o.match))
		return;
	say_exchange(&w->p, v, &w->o);
	w->listed = true;
}

static void groups(struct text_writer *w, const struct report *r)
{
	for (unsigned i = 0; i < r->n_groups && i < w->o.top; i++)
		group(w, r, &r->groups[i], i + 1);
}

static void text_end(void *self, const struct report *r, const struct run_info *run)
{
	struct text_writer *w = self;

	w->o.when.origin_ns = run->first_ns;
	w->o.when.with_date = since_ns(run->first_ns, run->last_ns) > 86400 * NS_PER_S;
	if (w->listed) {
		page_line(&w->p);
	} else if (w->o.match != NULL) {
		page_say(&w->p, "No request whose target, identifiers or client are known holds ");
		page_wire(&w->p, span_text(w->o.match), 60);
		page_line(&w->p);
	}
	head(w, run);
	totals(w, r);
	gateways(w, r);
	cause_table(w, r);
	timeline(w, r, run);
	if (!w->o.quiet) {
		groups(w, r);
		if (r->total_incidents == 0 || r->healed > 0 || w->o.verbose > 0)
			upstream_table(w, r);
		quality(w, r, run);
	}
	free(w);
}

const struct writer_ops writer_text = { .begin = text_begin, .exchange = text_exchange, .end = text_end };
