/* html.c - the report as one page (UX.md 1.4): nothing in it is fetched, and all of it can be read with scripts off
 *
 * From the top: how many, of what, who must act; when; the causes; the upstreams; each group with a ladder of its packets;
 * what the capture could not show; then lists, and the report as JSON for programs. Style and script are in report/html/.
 */
#include "html.h"

#include "html_assets.h"
#include "json_embed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { GATEWAYS_SHOWN = 6, CAUSES_SHOWN = 200, UPSTREAMS_SHOWN = 20, NAME_COLUMNS = 80, REQUEST_COLUMNS = 110, JSON_INCIDENTS = 64, JSON_ROWS = 64, FILES_SHOWN = 6 };

/* ---- what the parts share -------------------------------------------------------------------- */

void html_tag(struct html *h, const char *markup)
{
	out_text(h->p.out, markup);
}

void html_number(struct html *h, uint64_t n)
{
	out_format(h->p.out, "%" PRIu64, n);
}

void html_count(struct html *h, uint64_t n)
{
	char text[WHEN_TEXT];

	page_say(&h->p, count_text(n, text));
}

void html_time(struct html *h, int64_t ns, unsigned digits)
{
	char text[WHEN_TEXT];

	out_format(h->p.out, "<time datetime='%s'>", when_rfc3339(ns, text));
	page_say(&h->p, when_text(&h->o.when, ns, digits, text));
	html_tag(h, "</time>");
}

void html_endpoint(struct html *h, bool has, const struct endpoint *e)
{
	say_endpoint(&h->p, h->o.names, has ? e : NULL, NAME_COLUMNS);
}

bool html_full(const struct html *h, uint64_t began, uint64_t most)
{
	return out_total(h->p.out) - began >= most;
}

unsigned html_bin(const struct html *h, int64_t time_ns)
{
	int64_t width = since_ns(h->run->first_ns, h->run->last_ns) / HTML_BINS + 1;
	int64_t bin = since_ns(h->run->first_ns, time_ns) / width;

	return bin >= HTML_BINS ? HTML_BINS - 1 : (unsigned)bin;
}

static void lines(struct html *h, const char *const *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		html_tag(h, text[i]);
}

/* The most frequent causes have a colour each. */
static void choose_colors(struct html *h)
{
	memset(h->color, HTML_COLORS - 1, sizeof h->color);
	for (unsigned color = 0; color < HTML_COLORS - 1; color++) {
		unsigned best = CAUSE_COUNT;

		for (unsigned c = 0; c < CAUSE_COUNT; c++)
			if (h->r->by_cause[c] > 0 && h->color[c] == HTML_COLORS - 1 && (best == CAUSE_COUNT || h->r->by_cause[c] > h->r->by_cause[best]))
				best = c;
		if (best < CAUSE_COUNT)
			h->color[best] = (uint8_t)color;
	}
}

/* ---- the head -------------------------------------------------------------------------------- */

static uint64_t requests(const struct html *h)
{
	return h->r->requests > 0 ? h->r->requests : h->r->exchanges;
}

static void count_phrase(struct html *h)
{
	const struct report *r = h->r;
	const char *what = r->requests > 0 ? "request" : "exchange";
	char n[WHEN_TEXT], of[WHEN_TEXT];

	if (r->total_incidents == 0)
		page_say(&h->p, "No gateway error");
	else
		page_format(&h->p, "%s gateway error%s", count_text(r->total_incidents, n), r->total_incidents == 1 ? "" : "s");
	page_format(&h->p, " in %s %s%s", count_text(requests(h), of), what, requests(h) == 1 ? "" : "s");
}

static void document_head(struct html *h)
{
	html_tag(h, "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
	            "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src '" HTML_STYLE_SHA256 "'; "
	            "script-src '" HTML_SCRIPT_SHA256 "'; base-uri 'none'; form-action 'none'\">\n"
	            "<meta name='viewport' content='width=device-width, initial-scale=1'>\n<meta name='color-scheme' content='light dark'>\n"
	            "<meta name='robots' content='noindex'>\n<meta name='referrer' content='no-referrer'>\n<title>");
	count_phrase(h);
	html_tag(h, " · why502</title>\n<style>");
	lines(h, html_style, sizeof html_style / sizeof html_style[0]);
	html_tag(h, "</style>\n</head>\n<body>\n<a class='skip' href='#main'>Skip to the report</a>\n");
}

static void source_names(struct html *h)
{
	const struct run_info *run = h->run;
	unsigned n = run->live ? run->n_interfaces : run->n_files;

	for (unsigned i = 0; i < n && i < FILES_SHOWN; i++) {
		html_tag(h, "<span>");
		page_wire(&h->p, span_text(run->live ? run->interfaces[i] : run->files[i].name), NAME_COLUMNS);
		html_tag(h, "</span>");
	}
	if (n > FILES_SHOWN) {
		html_tag(h, "<span>");
		page_format(&h->p, "and %u more", n - FILES_SHOWN);
		html_tag(h, "</span>");
	}
}

static void page_head(struct html *h)
{
	const struct run_info *run = h->run;
	char packets[WHEN_TEXT], bytes[WHEN_TEXT], zone[WHEN_TEXT], day[WHEN_TEXT];

	html_tag(h, "<header><b>");
	page_format(&h->p, "why502 %s", run->version);
	html_tag(h, "</b>");
	source_names(h);
	html_tag(h, "<span>");
	page_format(&h->p, "%s packet%s, %s", count_text(run->counters.packets, packets), run->counters.packets == 1 ? "" : "s",
	            bytes_text(run->counters.bytes, bytes));
	html_tag(h, "</span>");
	when_zone_name(&h->o.when, run->first_ns, zone);
	if (run->counters.packets > 0) {
		html_tag(h, "<span>");
		if (!h->o.when.with_date)
			page_format(&h->p, "%s ", when_date(&h->o.when, run->first_ns, day));
		html_time(h, run->first_ns, 0);
		page_say(&h->p, " – ");
		html_time(h, run->last_ns, 0);
		page_format(&h->p, " %s", zone);
		html_tag(h, "</span>");
	}
	html_tag(h, "<div id='zone' data-zone='");
	page_say(&h->p, zone);
	html_tag(h, "'></div></header>\n");
}

/* ---- the headline ---------------------------------------------------------------------------- */

static void warnings(struct html *h)
{
	if (h->run->trouble != NULL) {
		html_tag(h, "<p class='warn'>Not read to its end: ");
		page_wire(&h->p, span_text(h->run->trouble), 400);
		html_tag(h, "</p>\n");
	}
	if (h->o.show_secrets)
		html_tag(h, "<p class='warn'>Secrets are shown (--show-secrets): do not pass this on.</p>\n");
}

static void fact(struct html *h, const char *name)
{
	html_tag(h, "<dt>");
	html_tag(h, name);
	html_tag(h, "</dt><dd>");
}

/* What comes most, who must act, and the first thing to do. */
static void mostly(struct html *h)
{
	const struct group *g = &h->r->groups[0];
	const struct incident *one = group_wanted(h->r, g, h->o.match);
	char n[WHEN_TEXT];

	html_tag(h, "<p class='lead'>");
	if (h->r->total_incidents > g->count)
		page_format(&h->p, "%s %s, %s ×: ", g->count > h->r->total_incidents / 2 ? "Mostly" : "Most often", cause_row(g->cause)->name,
		            count_text(g->count, n));
	page_cut(&h->p, one != NULL && one->summary != NULL ? one->summary : cause_row(g->cause)->shows, 600);
	html_tag(h, "</p>\n<dl class='facts'>");
	fact(h, "Who must act");
	page_say(&h->p, fault_name(g->fault));
	if (g->has_upstream) {
		page_say(&h->p, g->fault == FAULT_UPSTREAM ? " " : " · upstream ");
		html_endpoint(h, true, &g->upstream);
	}
	html_tag(h, "</dd>");
	if (one != NULL && one->n_advice > 0) {
		fact(h, "First thing to do");
		page_cut(&h->p, one->advice[0], 600);
		html_tag(h, "</dd>");
	}
}

static void gateways(struct html *h)
{
	const struct report *r = h->r;
	char n[WHEN_TEXT];

	for (unsigned i = 0; i < r->n_gateways && i < GATEWAYS_SHOWN; i++) {
		const struct gateway_seen *g = &r->gateways[i];

		fact(h, "Gateway");
		html_endpoint(h, true, &g->front);
		if (g->product != NULL && g->product[0] != '\0')
			page_format(&h->p, " (%s%s%s, %s)", g->product, g->version != NULL ? " " : "", g->version != NULL ? g->version : "",
			            g->product_source != NULL && strcmp(g->product_source, "option") == 0 ? "as told" : "by its own words");
		page_format(&h->p, " · %s request%s", count_text(g->requests, n), g->requests == 1 ? "" : "s");
		html_tag(h, "</dd>");
	}
}

static void headline(struct html *h)
{
	const struct report *r = h->r;
	char share[WHEN_TEXT], n[WHEN_TEXT];

	html_tag(h, r->total_incidents > 0 ? "<h1>" : "<h1 class='good'>");
	count_phrase(h);
	html_tag(h, "<small>");
	if (r->total_incidents > 0 && requests(h) > 0)
		page_format(&h->p, " (%s)", percent_text(r->total_incidents, requests(h), share));
	html_tag(h, "</small></h1>\n");
	warnings(h);
	if (r->n_groups > 0)
		mostly(h);
	else
		html_tag(h, "<dl class='facts'>");
	fact(h, "Answers");
	page_say(&h->p, r->total_incidents > 0 ? "of the errors" : "of all requests");
	say_statuses(&h->p, r);
	html_tag(h, "</dd>");
	if (r->healed > 0) {
		fact(h, "Healed");
		page_format(&h->p, "%s failed attempt%s made good by a retry: no client saw %s", count_text(r->healed, n),
		            r->healed == 1 ? " was" : "s were", r->healed == 1 ? "it" : "them");
		html_tag(h, "</dd>");
	}
	gateways(h);
	html_tag(h, "</dl>\n");
}

/* ---- tables ---------------------------------------------------------------------------------- */

struct head { const char *name; bool number; };

static void table_begin(struct html *h, const char *label, const struct head *heads, size_t n)
{
	html_tag(h, "<div class='wide' tabindex='0' role='group' aria-label='");
	html_tag(h, label);
	html_tag(h, "'><table data-sort><thead><tr>");
	for (size_t i = 0; i < n; i++) {
		html_tag(h, heads[i].number ? "<th scope='col' class='n'>" : "<th scope='col'>");
		html_tag(h, heads[i].name);
		html_tag(h, "</th>");
	}
	html_tag(h, "</tr></thead><tbody>\n");
}

static void table_end(struct html *h, uint64_t left_out, const char *what)
{
	html_tag(h, "</tbody></table></div>\n");
	if (left_out == 0)
		return;
	html_tag(h, "<p class='dim'>and ");
	html_count(h, left_out);
	html_tag(h, " more ");
	html_tag(h, what);
	html_tag(h, "</p>\n");
}

static void count_cell(struct html *h, uint64_t n)
{
	out_format(h->p.out, "<td class='n' data-v='%" PRIu64 "'>", n);
	html_count(h, n);
	html_tag(h, "</td>");
}

static void time_cell(struct html *h, int64_t ns, unsigned digits)
{
	out_format(h->p.out, "<td class='t' data-v='%" PRId64 "'>", ns / 1000);
	html_time(h, ns, digits);
	html_tag(h, "</td>");
}

static void duration_cell(struct html *h, int64_t ns)
{
	char text[WHEN_TEXT];

	out_format(h->p.out, "<td class='n' data-v='%" PRId64 "'>", ns);
	page_say(&h->p, ns >= 0 ? duration_text(ns, text) : "-");
	html_tag(h, "</td>");
}

static void cause_rows(struct html *h, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct group *g = &h->r->groups[i];
		char share[WHEN_TEXT];

		html_tag(h, "<tr><th scope='row'>");
		html_key(h, g->cause);
		if (!h->o.quiet)
			out_format(h->p.out, "<a href='#g%u'>", i + 1);
		page_say(&h->p, cause_row(g->cause)->name);
		html_tag(h, h->o.quiet ? "</th>" : "</a></th>");
		count_cell(h, g->count);
		out_format(h->p.out, "<td class='n' data-v='%" PRIu64 "'>", g->count);
		page_say(&h->p, percent_text(g->count, h->r->total_incidents, share));
		html_tag(h, "</td><td>");
		page_say(&h->p, fault_name(g->fault));
		html_tag(h, "</td><td>");
		html_endpoint(h, g->has_upstream, &g->upstream);
		html_tag(h, "</td>");
		time_cell(h, g->first_ns, 0);
		time_cell(h, g->last_ns, 0);
		html_tag(h, "<td>");
		html_spark(h, g);
		html_tag(h, "</td></tr>\n");
	}
}

static void causes(struct html *h)
{
	static const struct head heads[] = {
		{ "Cause", false }, { "Count", true }, { "Share", true }, { "Who must act", false }, { "Upstream", false }, { "First", false },
		{ "Last", false }, { "Trend", false },
	};
	unsigned n = h->r->n_groups < h->o.top ? h->r->n_groups : h->o.top;

	n = n < CAUSES_SHOWN ? n : CAUSES_SHOWN;
	if (n == 0)
		return;
	html_tag(h, "<section aria-labelledby='causes'><h2 id='causes'>Causes</h2>\n");
	table_begin(h, "Causes", heads, sizeof heads / sizeof heads[0]);
	cause_rows(h, n);
	table_end(h, h->r->n_groups - n, "groups");
	html_tag(h, "</section>\n");
}

static void upstream_row(struct html *h, const struct upstream_health *u)
{
	char text[WHEN_TEXT];

	html_tag(h, "<tr><th scope='row'>");
	html_endpoint(h, true, &u->address);
	html_tag(h, "</th>");
	count_cell(h, u->requests);
	count_cell(h, u->errors);
	count_cell(h, u->healed);
	duration_cell(h, u->p50_ns);
	duration_cell(h, u->p99_ns);
	out_format(h->p.out, "<td class='n' data-v='%" PRIu64 "'>", u->idle_closes);
	if (u->idle_closes > 0)
		page_format(&h->p, "%s (%" PRIu64 " ×)", duration_text(u->idle_median_ns, text), u->idle_closes);
	else
		page_say(&h->p, "-");
	html_tag(h, "</td>");
	count_cell(h, u->resets);
	count_cell(h, u->health_checks);
	html_tag(h, "</tr>\n");
}

static void upstreams(struct html *h)
{
	static const struct head heads[] = {
		{ "Upstream", false }, { "Requests", true }, { "Errors", true }, { "Healed", true }, { "p50", true }, { "p99", true },
		{ "Closes idle after", true }, { "Resets", true }, { "Health checks", true },
	};
	uint64_t began = out_total(h->p.out);
	unsigned told = 0;

	if (h->r->n_upstreams == 0)
		return;
	html_tag(h, "<section aria-labelledby='upstreams'><h2 id='upstreams'>Upstreams</h2>\n");
	table_begin(h, "Upstreams", heads, sizeof heads / sizeof heads[0]);
	for (unsigned pass = 0; pass < 2; pass++) {             /* those with errors first, and all of them */
		for (unsigned i = 0; i < h->r->n_upstreams && !html_full(h, began, HTML_BYTES_TABLE); i++) {
			bool errors = h->r->upstreams[i].errors > 0;

			if (errors != (pass == 0) || (!errors && told >= UPSTREAMS_SHOWN))
				continue;
			upstream_row(h, &h->r->upstreams[i]);
			told++;
		}
	}
	table_end(h, h->r->n_upstreams - told, "upstreams");
	html_tag(h, "</section>\n");
}

/* ---- what the capture could not show --------------------------------------------------------- */

static void quality(struct html *h)
{
	struct quality_note notes[QUALITY_NOTES];
	struct limit_counter hit[LIMITS_SHOWN];
	unsigned n = quality_notes(h->r, h->run, notes), n_hit = report_limits(h->r, hit);
	char text[QUALITY_TEXT];

	html_tag(h, "<section aria-labelledby='quality'><h2 id='quality'>Capture quality</h2>\n<ul class='plain'>");
	for (unsigned i = 0; i < n; i++) {
		html_tag(h, "<li>");
		page_say(&h->p, quality_text(&notes[i], text));
		html_tag(h, "</li>");
	}
	for (unsigned i = 0; i < n_hit; i++) {
		html_tag(h, "<li>limit reached: <code>");
		page_format(&h->p, "%s", hit[i].name);
		html_tag(h, "</code> ");
		html_count(h, hit[i].count);
		html_tag(h, "</li>");
	}
	html_tag(h, "</ul>\n");
	for (unsigned i = 0; i < h->r->n_blind; i++) {
		html_tag(h, i == 0 ? "<h3>Not to be seen here</h3><p>" : "<p>");
		page_cut(&h->p, h->r->blind[i], 600);
		html_tag(h, "</p>\n");
	}
	html_tag(h, "</section>\n");
}

/* ---- the appendix ---------------------------------------------------------------------------- */

static void incident_row(struct html *h, const struct incident *i)
{
	char status[64];

	out_format(h->p.out, "<tr data-bin='%u'><td class='n' data-v='%" PRIu64 "'>%" PRIu64 "</td>", html_bin(h, i->time_ns), i->id, i->id);
	time_cell(h, i->time_ns, 3);
	html_tag(h, "<td>");
	page_say(&h->p, cause_row(i->cause)->name);
	html_tag(h, "</td><td>");
	page_say(&h->p, status_phrase(i, status));
	html_tag(h, "</td><td>");
	html_endpoint(h, i->has_upstream, &i->upstream);
	html_tag(h, "</td><td>");
	say_request(&h->p, i->method, i->authority, i->target, h->o.show_secrets, REQUEST_COLUMNS);
	html_tag(h, "</td></tr>\n");
}

static void all_incidents(struct html *h)
{
	static const struct head heads[] = {
		{ "Incident", true }, { "Time", false }, { "Cause", false }, { "Status", false }, { "Upstream", false }, { "Request", false },
	};
	uint64_t began = out_total(h->p.out), wanted = 0, told = 0;

	for (unsigned i = 0; i < h->r->n_incidents; i++)
		wanted += incident_matches(h->r->incidents[i], h->o.match) ? 1 : 0;
	if (wanted == 0)
		return;
	html_tag(h, "<details><summary>All incidents</summary><div class='tools' id='find'></div>\n<div id='listed'>");
	table_begin(h, "All incidents", heads, sizeof heads / sizeof heads[0]);
	for (unsigned i = 0; i < h->r->n_incidents && !html_full(h, began, HTML_BYTES_LIST); i++) {
		if (!incident_matches(h->r->incidents[i], h->o.match))
			continue;
		incident_row(h, h->r->incidents[i]);
		told++;
	}
	table_end(h, wanted - told + (h->o.match == NULL ? h->r->incidents_cut : 0), "incidents: JSON or CSV has all");
	html_tag(h, "</div></details>\n");
}

static void all_exchanges(struct html *h)
{
	static const struct head heads[] = {
		{ "Exchange", true }, { "Time, request, answer", false },
	};

	if (h->exchanges == NULL)
		return;
	out_flush(h->exchanges);
	html_tag(h, "<details><summary>Exchanges</summary>\n");
	table_begin(h, "Exchanges", heads, sizeof heads / sizeof heads[0]);
	out_bytes(h->p.out, out_written(h->exchanges));
	table_end(h, h->exchanges_cut, "exchanges: JSON has all");
	html_tag(h, "</details>\n");
}

/* The report as programs read it, of what is told above. */
static void embedded(struct html *h)
{
	const struct incident *told[JSON_INCIDENTS];
	unsigned n = 0;

	for (unsigned i = 0; i < h->r->n_groups && i < h->o.top && n < JSON_INCIDENTS; i++) {
		told[n] = group_wanted(h->r, &h->r->groups[i], h->o.match);
		n += told[n] != NULL ? 1 : 0;
	}
	html_tag(h, "<script type='application/json' id='report'>");
	json_embed(h->p.out, &(struct json_embedding){ &h->o, h->r, h->run, told, n, JSON_ROWS, HTML_BYTES_JSON });
	html_tag(h, "</script>\n");
}

static void appendix(struct html *h)
{
	html_tag(h, "<section aria-labelledby='appendix'><h2 id='appendix'>Appendix</h2>\n");
	all_incidents(h);
	all_exchanges(h);
	html_tag(h, "<details><summary>How this was found</summary>\n<p>why502 rebuilt every connection and HTTP exchange of the capture, found the "
	            "gateway by who asks whom, tied each client's request to the tries made for it at upstreams, and judged each failure by the packets "
	            "alone. Confidence is high where the deciding packets are all there and the causes that look alike are ruled out by a packet or a "
	            "number; medium where one of these is inferred; low where it is the best of several. Packet numbers are Wireshark's frame.number"
	            " over all files.</p>\n<p>The report is in this page as JSON too, in the element #report, with the incidents that are told in full;"
	            " why502 --format json has all of them.</p></details>\n</section>\n");
	embedded(h);
}

/* ---- the writer ------------------------------------------------------------------------------ */

static void *html_begin(const struct writer_options *o, struct out *out)
{
	struct html *h = calloc(1, sizeof *h);

	if (h == NULL)
		return NULL;
	h->o = *o;
	h->p = (struct page){ .out = out, .width = UINT32_MAX / 2, .html = true };
	return h;
}

static void html_exchange(void *self, const struct exchange_view *v)
{
	struct html *h = self;
	struct page p = { .width = UINT32_MAX / 2, .html = true };

	if (!h->o.exchanges || !view_matches(v, h->o.match))
		return;
	if (h->exchanges == NULL)
		h->exchanges = out_memory();
	p.out = h->exchanges;
	if (p.out == NULL || out_total(p.out) >= HTML_BYTES_EXCHANGES) {
		h->exchanges_cut++;
		return;
	}
	out_format(p.out, "<tr><td class='n' data-v='%" PRIu64 "'>%" PRIu64 "</td><td>", v->id, v->id);
	say_exchange_text(&p, v, &h->o);
	out_text(p.out, "</td></tr>\n");
}

static void html_end(void *self, const struct report *r, const struct run_info *run)
{
	struct html *h = self;
	struct err ignored = { 0 };

	h->r = r;
	h->run = run;
	h->o.when.origin_ns = run->first_ns;
	h->o.when.with_date = since_ns(run->first_ns, run->last_ns) > 86400 * NS_PER_S;
	choose_colors(h);
	document_head(h);
	page_head(h);
	html_tag(h, "<main id='main'>\n");
	headline(h);
	html_timeline(h);
	causes(h);
	upstreams(h);
	html_groups(h);
	quality(h);
	appendix(h);
	html_tag(h, "</main>\n<footer>");
	page_format(&h->p, "Made by why502 %s from packets alone.", run->version);
	html_tag(h, "</footer>\n<script>");
	lines(h, html_script, sizeof html_script / sizeof html_script[0]);
	html_tag(h, "</script>\n</body>\n</html>\n");
	if (h->exchanges != NULL)
		(void)out_close(h->exchanges, &ignored);
	free(h);
}

const struct writer_ops writer_html = { .begin = html_begin, .exchange = html_exchange, .end = html_end, .machine = true };
