/* markdown.c - the report for a ticket (CommonMark, and the tables of GitHub's and GitLab's)
 *
 * A word of which Markdown, or the tracker around it, could make something else (a link, an image, HTML, a mention, another
 * cell) stands in a code span; so does all that came from the wire. The ladder is a fenced block.
 */
#include "command.h"
#include "escape.h"
#include "ladder.h"
#include "phrases.h"
#include "redact.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 96, EVIDENCE_SHOWN = 12, UPSTREAMS_SHOWN = 20, TEXT_MOST = 4096, REQUEST_COLUMNS = 160, FENCE_LEAST = 3 };

struct markdown { struct out *out; struct writer_options o; const struct report *r; const struct run_info *run; };

/* ---- text ------------------------------------------------------------------------------------ */

/* Text is made in memory first, since how a code span begins depends on what is in it. */
struct scrap { struct out *out; struct page p; };

static bool scrap_begin(struct scrap *s)
{
	s->out = out_memory();
	s->p = (struct page){ .out = s->out, .width = WIDTH };
	return s->out != NULL;
}

static struct span scrap_text(struct scrap *s)
{
	out_flush(s->out);
	return out_written(s->out);
}

static void scrap_end(struct scrap *s)
{
	struct err ignored = { 0 };

	if (s->out != NULL)
		(void)out_close(s->out, &ignored);
}

static size_t longest_run(struct span s, uint8_t c)
{
	size_t run = 0, longest = 0;

	for (size_t i = 0; i < s.len; i++) {
		run = s.at[i] == c ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	return longest;
}

static void ticks(struct markdown *m, size_t n)
{
	while (n-- > 0)
		out_char(m->out, '`');
}

/* What was escaped already, as code. A pipe would end a cell even there (GFM 4.10). */
static void code(struct markdown *m, struct span s)
{
	size_t n = longest_run(s, '`');
	bool pad = n > 0;

	if (s.len == 0)
		return;
	ticks(m, n + 1);
	out_text(m->out, pad ? " " : "");
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] == '|')
			out_char(m->out, '\\');
		out_char(m->out, (char)s.at[i]);
	}
	out_text(m->out, pad ? " " : "");
	ticks(m, n + 1);
}

/* Nothing of it means anything to Markdown or to a tracker. */
static bool harmless(struct span word)
{
	static const char good[] = ".,;:()'/%-";

	if (span_find(word, "://") < word.len || span_find(word, "www.") < word.len || span_at(word, 0) == '-' || span_at(word, 0) == '%')
		return false;
	for (size_t i = 0; i < word.len; i++) {
		uint8_t c = word.at[i];

		if (c < 0x80 && !(c >= '0' && c <= '9') && !(ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') && strchr(good, c) == NULL)
			return false;
	}
	return true;
}

static struct span word_take(struct span *s)
{
	size_t n = span_index(*s, ' ');
	struct span word = span_first(*s, n);

	*s = span_from(*s, n + 1);
	return word;
}

/* What stands around a word stays outside of its code span: "(keepalive_timeout," is ( and , in prose. */
static void code_in_prose(struct markdown *m, struct span s)
{
	size_t end = s.len, from = span_at(s, 0) == '(' ? 1 : 0;

	while (end > from && memchr("),.;:", s.at[end - 1], 5) != NULL)
		end--;
	out_bytes(m->out, span_first(s, from));
	code(m, span_first(span_from(s, from), end - from));
	out_bytes(m->out, span_from(s, end));
}

/* Our own words, escaped for a terminal: those that are not harmless are code, together where they stand together. */
static void prose(struct markdown *m, struct span s)
{
	bool first = true;

	while (s.len > 0) {
		struct span begin = s, word = word_take(&s);
		size_t whole = word.len;

		if (harmless(word)) {
			out_text(m->out, first ? "" : " ");
			out_bytes(m->out, word);
		} else {
			while (s.len > 0 && !harmless(span_first(s, span_index(s, ' '))))
				whole += 1 + word_take(&s).len;
			out_text(m->out, first ? "" : " ");
			code_in_prose(m, span_first(begin, whole));
		}
		first = false;
	}
}

static void say(struct markdown *m, const char *words)
{
	struct scrap s;

	if (scrap_begin(&s)) {
		page_cut(&s.p, words, TEXT_MOST);
		prose(m, scrap_text(&s));
	}
	scrap_end(&s);
}

static void say_code(struct markdown *m, const char *words)
{
	struct scrap s;

	if (scrap_begin(&s)) {
		page_cut(&s.p, words, TEXT_MOST);
		code(m, scrap_text(&s));
	}
	scrap_end(&s);
}

static void say_address(struct markdown *m, bool has, const struct endpoint *e)
{
	struct scrap s;

	if (scrap_begin(&s)) {
		say_endpoint(&s.p, m->o.names, has ? e : NULL, WIDTH);
		code(m, scrap_text(&s));
	}
	scrap_end(&s);
}

static void mark(struct markdown *m, const char *markup)
{
	out_text(m->out, markup);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void head(struct markdown *m)
{
	const struct report *r = m->r;
	uint64_t requests = r->requests > 0 ? r->requests : r->exchanges;
	char n[WHEN_TEXT], of[WHEN_TEXT], share[WHEN_TEXT], first[WHEN_TEXT], last[WHEN_TEXT];
	struct scrap s;

	out_format(m->out, "# %s gateway error%s in %s request%s", r->total_incidents > 0 ? count_text(r->total_incidents, n) : "No",
	           r->total_incidents == 1 || r->total_incidents == 0 ? "" : "s", count_text(requests, of), requests == 1 ? "" : "s");
	if (r->total_incidents > 0 && requests > 0)
		out_format(m->out, " (%s)", percent_text(r->total_incidents, requests, share));
	mark(m, "\n\n");
	if (m->run->trouble != NULL && scrap_begin(&s)) {
		mark(m, "**Not read to its end:** ");
		page_wire(&s.p, span_text(m->run->trouble), 400);
		code(m, scrap_text(&s));
		mark(m, "\n\n");
		scrap_end(&s);
	}
	if (m->o.show_secrets)
		mark(m, "**Secrets are shown: do not pass this on.**\n\n");
	if (scrap_begin(&s)) {
		say_statuses(&s.p, r);
		mark(m, r->total_incidents > 0 ? "Of the errors" : "Of all answers");
		out_bytes(m->out, scrap_text(&s));
		mark(m, ". ");
	}
	scrap_end(&s);
	out_format(m->out, "Capture: %s packets", count_text(m->run->counters.packets, n));
	if (m->run->counters.packets > 0)
		out_format(m->out, ", %s to %s", when_rfc3339(m->run->first_ns, first), when_rfc3339(m->run->last_ns, last));
	out_format(m->out, " (why502 %s).\n\n", m->run->version);
}

static void causes(struct markdown *m)
{
	char n[WHEN_TEXT], when[WHEN_TEXT];

	if (m->r->n_groups == 0)
		return;
	mark(m, "| Cause | Count | Who must act | Upstream | First | Last |\n|---|---:|---|---|---|---|\n");
	for (unsigned i = 0; i < m->r->n_groups && i < m->o.top; i++) {
		const struct group *g = &m->r->groups[i];

		out_format(m->out, "| %s | %s | %s | ", cause_row(g->cause)->name, count_text(g->count, n), fault_name(g->fault));
		say_address(m, g->has_upstream, &g->upstream);
		out_format(m->out, " | %s", when_text(&m->o.when, g->first_ns, 0, when));
		out_format(m->out, " | %s |\n", when_text(&m->o.when, g->last_ns, 0, when));
	}
	if (m->r->n_groups > m->o.top)
		out_format(m->out, "\nand %u more groups\n", m->r->n_groups - m->o.top);
	mark(m, "\n");
}

static void drawn_ladder(struct markdown *m, const struct incident *i)
{
	struct scrap s;
	size_t fence;

	if (i->n_steps > 0 && scrap_begin(&s)) {
		ladder_draw(&s.p, i, 0, false);
		fence = longest_run(scrap_text(&s), '`') + 1;
		fence = fence < FENCE_LEAST ? FENCE_LEAST : fence;
		ticks(m, fence);
		mark(m, "text\n");
		out_bytes(m->out, scrap_text(&s));
		ticks(m, fence);
		mark(m, "\n\n");
		scrap_end(&s);
	}
}

static void incident_line(struct markdown *m, const struct incident *i)
{
	char when[WHEN_TEXT], status[64];
	struct scrap s;

	out_format(m->out, "Incident %" PRIu64 ", %s: ", i->id, when_text(&m->o.when, i->time_ns, 3, when));
	if (scrap_begin(&s)) {
		say_request(&s.p, i->method, i->authority, i->target, m->o.show_secrets, REQUEST_COLUMNS);
		code(m, scrap_text(&s));
	}
	scrap_end(&s);
	out_format(m->out, " → **%s**", status_phrase(i, status));
	if (i->client.port != 0) {
		mark(m, ", client ");
		say_address(m, true, &i->client);
	}
	mark(m, "\n\n");
}

static void listed(struct markdown *m, const char *head_, const char *const *items, unsigned n)
{
	if (n == 0)
		return;
	mark(m, head_);
	for (unsigned i = 0; i < n; i++) {
		mark(m, "- ");
		say(m, items[i]);
		mark(m, "\n");
	}
	mark(m, "\n");
}

static void evidence(struct markdown *m, const struct incident *i)
{
	char when[WHEN_TEXT];

	for (unsigned n = 0; n < i->n_evidence && n < EVIDENCE_SHOWN; n++) {
		const struct evidence *e = &i->evidence[n];

		if (n == 0)
			mark(m, "**Evidence**\n\n");
		out_format(m->out, "- packet %" PRIu64 ", %s: ", e->at.packet, when_text(&m->o.when, e->at.time_ns, 3, when));
		say(m, e->text != NULL ? e->text : "");
		mark(m, "\n");
	}
	mark(m, i->n_evidence > 0 ? "\n" : "");
}

static void look_yourself(struct markdown *m, const struct incident *i)
{
	char command[COMMAND_TEXT];

	if (i->filter != NULL && i->filter[0] != '\0') {
		mark(m, "- Wireshark: ");
		say_code(m, i->filter);
		mark(m, "\n");
	}
	if (tshark_command(m->run, i, command)) {
		mark(m, "- tshark: ");
		say_code(m, command);
		mark(m, "\n");
	}
	for (unsigned n = 0; n < i->n_equivalents && n < 3; n++) {
		mark(m, "- ");
		say(m, i->equivalents[n].product);
		mark(m, " calls it ");
		say_code(m, i->equivalents[n].text);
		mark(m, "\n");
	}
	mark(m, "\n");
}

static void group(struct markdown *m, const struct group *g, unsigned number)
{
	const struct incident *one = group_wanted(m->r, g, m->o.match);
	char n[WHEN_TEXT];

	if (one == NULL)
		return;
	out_format(m->out, "## %u. %s", number, cause_row(g->cause)->name);
	if (g->count > 1)
		out_format(m->out, ", %s ×", count_text(g->count, n));
	out_format(m->out, " (%s confidence)\n\n", confidence_name(g->confidence));
	if (g->of != NULL) {
		code(m, span_text(g->of));
		mark(m, ": ");
	}
	say(m, one->summary != NULL ? one->summary : cause_row(g->cause)->shows);
	mark(m, "\n\n");
	listed(m, "**Do this**\n\n", one->advice, one->n_advice);
	incident_line(m, one);
	drawn_ladder(m, one);
	evidence(m, one);
	look_yourself(m, one);
}

static void upstreams(struct markdown *m)
{
	char a[WHEN_TEXT], b[WHEN_TEXT], c[WHEN_TEXT], d[WHEN_TEXT];
	unsigned told = 0;

	for (unsigned i = 0; i < m->r->n_upstreams && told < UPSTREAMS_SHOWN; i++) {
		const struct upstream_health *u = &m->r->upstreams[i];

		if (told++ == 0)
			mark(m, "## Upstreams\n\n| Upstream | Requests | Errors | Healed | p50 | p99 | Resets |\n|---|---:|---:|---:|---:|---:|---:|\n");
		mark(m, "| ");
		say_address(m, true, &u->address);
		out_format(m->out, " | %s | %s | %s", count_text(u->requests, a), count_text(u->errors, b), count_text(u->healed, c));
		out_format(m->out, " | %s | %s | %s |\n", u->p50_ns >= 0 ? duration_text(u->p50_ns, a) : "",
		           u->p99_ns >= 0 ? duration_text(u->p99_ns, b) : "", count_text(u->resets, d));
	}
	if (told < m->r->n_upstreams)
		out_format(m->out, "\nand %u more\n", m->r->n_upstreams - told);
	mark(m, told > 0 ? "\n" : "");
}

static void quality(struct markdown *m)
{
	struct quality_note notes[QUALITY_NOTES];
	struct limit_counter hit[LIMITS_SHOWN];
	unsigned n = quality_notes(m->r, m->run, notes), n_hit = report_limits(m->r, hit);
	char text[QUALITY_TEXT];

	mark(m, "## Capture quality\n\n");
	for (unsigned i = 0; i < n; i++) {
		mark(m, "- ");
		say(m, quality_text(&notes[i], text));
		mark(m, "\n");
	}
	for (unsigned i = 0; i < n_hit; i++)
		out_format(m->out, "- limit reached: `%s` %" PRIu64 "\n", hit[i].name, hit[i].count);
	for (unsigned i = 0; i < m->r->n_blind; i++) {
		mark(m, "- ");
		say(m, m->r->blind[i]);
		mark(m, "\n");
	}
}

/* ---- the writer ------------------------------------------------------------------------------ */

static void *markdown_begin(const struct writer_options *o, struct out *out)
{
	struct markdown *m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->o = *o;
	m->out = out;
	return m;
}

static void markdown_end(void *self, const struct report *r, const struct run_info *run)
{
	struct markdown *m = self;

	m->r = r;
	m->run = run;
	m->o.when.origin_ns = run->first_ns;
	m->o.when.with_date = since_ns(run->first_ns, run->last_ns) > 86400 * NS_PER_S;
	head(m);
	causes(m);
	for (unsigned i = 0; i < r->n_groups && i < m->o.top && !m->o.quiet; i++)
		group(m, &r->groups[i], i + 1);
	if (!m->o.quiet) {
		upstreams(m);
		quality(m);
	}
	free(m);
}

const struct writer_ops writer_markdown = { .begin = markdown_begin, .end = markdown_end };
