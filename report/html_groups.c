/* html_groups.c - each group of incidents: what to do about it, and one of them in full, with its proof */
#include "command.h"
#include "html.h"

#include <inttypes.h>
#include <stdio.h>

enum { REQUEST_COLUMNS = 200, TEXT_COLUMNS = 2000, EVIDENCE_SHOWN = 40, WORDS_SHOWN = 12, IDS_SHOWN = 40 };

static void words(struct html *h, const char *text)
{
	page_cut(&h->p, text, TEXT_COLUMNS);
}

static void title(struct html *h, const struct group *g, unsigned number)
{
	const char *sure = confidence_name(g->confidence);
	char n[WHEN_TEXT];

	out_format(h->p.out, "<div class='top'><h3 id='g%u'>", number);
	html_key(h, g->cause);
	page_format(&h->p, "%u. %s", number, cause_row(g->cause)->name);
	if (g->count > 1)
		page_format(&h->p, ", %s ×", count_text(g->count, n));
	html_tag(h, "</h3><span class='sure ");
	html_tag(h, sure);
	html_tag(h, "'>");
	page_format(&h->p, "%s confidence", sure);
	html_tag(h, "</span></div>\n<p class='who dim'>");
	if (g->of != NULL)
		page_format(&h->p, "%s · ", g->of);
	page_format(&h->p, "who must act: %s · upstream ", fault_name(g->fault));
	html_endpoint(h, g->has_upstream, &g->upstream);
	if (g->has_gateway) {
		page_say(&h->p, " · gateway ");
		html_endpoint(h, true, &g->gateway);
	}
	html_tag(h, "</p>\n");
}

static void spreads(struct html *h, const struct group *g)
{
	for (unsigned i = 0; i < g->n_spreads && g->count > 1; i++) {
		html_tag(h, "<p class='dim'>");
		say_spread(&h->p, &g->spreads[i]);
		html_tag(h, "</p>\n");
	}
}

static void advice(struct html *h, const struct incident *i)
{
	if (i->n_advice == 0)
		return;
	html_tag(h, "<div class='do'><h4>Do this</h4><ul>");
	for (unsigned n = 0; n < i->n_advice; n++) {
		html_tag(h, "<li>");
		words(h, i->advice[n]);
		html_tag(h, "</li>");
	}
	html_tag(h, "</ul></div>\n");
}

static void incident_title(struct html *h, const struct incident *i)
{
	char status[64];

	html_tag(h, "<h4 id='i");
	html_number(h, i->id);
	html_tag(h, "'>Incident ");
	html_number(h, i->id);
	html_tag(h, "</h4>\n<p>");
	html_time(h, i->time_ns, 3);
	html_tag(h, " <code>");
	say_request(&h->p, i->method, i->authority, i->target, h->o.show_secrets, REQUEST_COLUMNS);
	html_tag(h, "</code> → <b class='bad'>");
	page_say(&h->p, status_phrase(i, status));
	html_tag(h, "</b>");
	if (i->client.port != 0) {
		page_say(&h->p, " · client ");
		html_endpoint(h, true, &i->client);
	}
	if (proxied_for(i) != NULL) {
		page_say(&h->p, " for ");
		html_endpoint(h, true, proxied_for(i));
	}
	html_tag(h, "</p>\n");
}

static void evidence(struct html *h, const struct incident *i)
{
	if (i->n_evidence == 0)
		return;
	html_tag(h, "<h4>Evidence: packet, time, what it shows</h4><ol class='steps'>");
	for (unsigned n = 0; n < i->n_evidence && n < EVIDENCE_SHOWN; n++) {
		const struct evidence *e = &i->evidence[n];

		html_tag(h, "<li><span class='n'>");
		html_number(h, e->at.packet);
		html_tag(h, "</span>");
		html_time(h, e->at.time_ns, 3);
		html_tag(h, "<span>");
		words(h, e->text != NULL ? e->text : "");
		html_tag(h, "</span></li>\n");
	}
	html_tag(h, "</ol>\n");
}

static void to_copy(struct html *h, const char *label, const char *what, const char *text)
{
	html_tag(h, "<div class='say'><span>");
	html_tag(h, label);
	html_tag(h, "</span><code data-copy='");
	html_tag(h, what);
	html_tag(h, "'>");
	page_say(&h->p, text);
	html_tag(h, "</code></div>\n");
}

static void look_yourself(struct html *h, const struct incident *i)
{
	char command[COMMAND_TEXT];

	if (i->filter == NULL || i->filter[0] == '\0')
		return;
	html_tag(h, "<h4>Look for yourself</h4>\n");
	to_copy(h, "Wireshark", "the Wireshark filter", i->filter);
	if (tshark_command(h->run, i, command))
		to_copy(h, "tshark", "the tshark command", command);
}

static void in_their_words(struct html *h, const struct incident *i)
{
	if (i->n_equivalents == 0)
		return;
	html_tag(h, "<h4>In their words</h4><ul class='words'>");
	for (unsigned n = 0; n < i->n_equivalents && n < WORDS_SHOWN; n++) {
		html_tag(h, "<li><b>");
		words(h, i->equivalents[n].product);
		html_tag(h, "</b><span class='mono'>");
		words(h, i->equivalents[n].text);
		html_tag(h, "</span></li>");
	}
	html_tag(h, "</ul>\n");
}

static void alike(struct html *h, const struct group *g, const struct incident *told)
{
	unsigned shown = 0;
	char n[WHEN_TEXT];

	if (g->count < 2)
		return;
	html_tag(h, "<h4>Alike</h4><p class='dim'>");
	for (unsigned i = 0; i < g->n_incidents && shown < IDS_SHOWN; i++) {
		if (g->incidents[i] == told->id)
			continue;
		page_format(&h->p, "%s%" PRIu64, shown > 0 ? ", " : "incidents ", g->incidents[i]);
		shown++;
	}
	if (g->count > shown + 1)
		page_format(&h->p, " and %s more", count_text(g->count - shown - 1, n));
	html_tag(h, "</p>\n");
}

static void incident_full(struct html *h, const struct incident *i)
{
	incident_title(h, i);
	html_ladder(h, i);
	evidence(h, i);
	look_yourself(h, i);
	in_their_words(h, i);
}

static void group(struct html *h, const struct group *g, unsigned number, const struct incident *told)
{
	html_tag(h, "<article aria-labelledby='g");
	html_number(h, number);
	html_tag(h, "'>\n");
	title(h, g, number);
	html_tag(h, "<p class='lead'>");
	words(h, told->summary != NULL ? told->summary : cause_row(g->cause)->shows);
	html_tag(h, "</p>\n");
	spreads(h, g);
	advice(h, told);
	incident_full(h, told);
	alike(h, g, told);
	html_tag(h, "</article>\n");
}

void html_groups(struct html *h)
{
	uint64_t began = out_total(h->p.out);
	unsigned told = 0;

	if (h->r->n_groups == 0 || h->o.quiet)
		return;
	html_tag(h, "<section aria-labelledby='incidents'><h2 id='incidents'>Incidents, one of each kind</h2>\n");
	for (unsigned i = 0; i < h->r->n_groups && i < h->o.top && !html_full(h, began, HTML_BYTES_GROUPS); i++) {
		const struct incident *one = group_wanted(h->r, &h->r->groups[i], h->o.match);

		if (one != NULL)
			group(h, &h->r->groups[i], i + 1, one);
		told = i + 1;
	}
	if (told < h->r->n_groups) {
		html_tag(h, "<p class='dim'>");
		page_format(&h->p, "and %u more groups (--top %u shows more)", h->r->n_groups - told, h->r->n_groups);
		html_tag(h, "</p>\n");
	}
	html_tag(h, "</section>\n");
}
