/* html_chart.c - when the incidents came, stacked by cause; and each group's own small curve */
#include "html.h"

#include <inttypes.h>

enum { BAR = 24, BAR_DRAWN = 20, CHART_HEIGHT = 112, SPARK_HEIGHT = 20, SPARK_BAR = 3 };

struct chart { uint32_t of[HTML_BINS][CAUSE_COUNT], sums[HTML_BINS], most; };

static void chart_fill(struct chart *c, const struct html *h)
{
	memset(c, 0, sizeof *c);
	for (unsigned i = 0; i < h->r->n_incidents; i++) {
		const struct incident *x = h->r->incidents[i];
		unsigned bin = html_bin(h, x->time_ns);

		if (!incident_matches(x, h->o.match))
			continue;
		c->of[bin][x->cause]++;
		c->sums[bin]++;
		c->most = c->sums[bin] > c->most ? c->sums[bin] : c->most;
	}
}

/* One is never drawn as none. */
static unsigned bar_height(uint32_t n, uint32_t most, unsigned whole)
{
	unsigned height = most > 0 ? (unsigned)((uint64_t)n * whole / most) : 0;

	return n > 0 && height < 2 ? 2 : height;
}

/* Where a bin begins. */
static int64_t bin_ns(const struct html *h, unsigned bin)
{
	return h->run->first_ns + since_ns(h->run->first_ns, h->run->last_ns) / HTML_BINS * bin;
}

static void bin_title(struct html *h, const struct chart *c, unsigned bin)
{
	struct page *p = &h->p;
	char from[WHEN_TEXT], n[WHEN_TEXT];

	page_format(p, "from %s", when_text(&h->o.when, bin_ns(h, bin), 0, from));
	for (unsigned cause = 0; cause < CAUSE_COUNT; cause++)
		if (c->of[bin][cause] > 0)
			page_format(p, ", %s %s", count_text(c->of[bin][cause], n), cause_row(cause)->name);
}

static void bar(struct html *h, const struct chart *c, unsigned bin)
{
	struct out *o = h->p.out;
	unsigned y = CHART_HEIGHT;

	for (unsigned color = 0; color < HTML_COLORS; color++) {
		uint32_t n = 0;
		unsigned height;

		for (unsigned cause = 0; cause < CAUSE_COUNT; cause++)
			n += h->color[cause] == color ? c->of[bin][cause] : 0;
		height = bar_height(n, c->most, CHART_HEIGHT - 2 * HTML_COLORS);
		if (height == 0)
			continue;
		y = y > height ? y - height : 0;
		out_format(o, "<rect class='c%u' x='%u' y='%u' width='%u' height='%u' />", color, bin * BAR + 2, y, (unsigned)BAR_DRAWN, height);
	}
	if (c->sums[bin] == 0)
		return;
	out_format(o, "<rect class='hit' data-bin='%u' x='%u' y='0' width='%u' height='%u'><title>", bin, bin * BAR, (unsigned)BAR, (unsigned)CHART_HEIGHT);
	bin_title(h, c, bin);
	html_tag(h, "</title></rect>");
}

void html_timeline(struct html *h)
{
	struct chart c;
	char n[WHEN_TEXT];

	if (h->r->n_incidents < 2 || since_ns(h->run->first_ns, h->run->last_ns) < 2 * NS_PER_S)
		return;
	chart_fill(&c, h);
	html_tag(h, "<section aria-labelledby='when'><h2 id='when'>When</h2>\n<div class='chart'>");
	out_format(h->p.out, "<svg role='img' aria-labelledby='chart' viewBox='0 0 %u %u' preserveAspectRatio='none'><title id='chart'>Incidents over time, at most ",
	           (unsigned)(HTML_BINS * BAR), (unsigned)CHART_HEIGHT + 1);
	page_format(&h->p, "%s in one of %u equal steps", count_text(c.most, n), (unsigned)HTML_BINS);
	out_format(h->p.out, "</title><path class='base' d='M0 %u.5H%u'/>", (unsigned)CHART_HEIGHT, (unsigned)(HTML_BINS * BAR));
	for (unsigned bin = 0; bin < HTML_BINS; bin++)
		bar(h, &c, bin);
	html_tag(h, "</svg><div class='axis'>");
	html_time(h, h->run->first_ns, 0);
	html_tag(h, "<span>");
	page_format(&h->p, "tallest bar: %s", count_text(c.most, n));
	html_tag(h, "</span>");
	html_time(h, h->run->last_ns, 0);
	html_tag(h, "</div></div></section>\n");
}

void html_spark(struct html *h, const struct group *g)
{
	uint32_t most = 0;

	for (unsigned i = 0; i < HTML_BINS; i++)
		most = g->timeline[i] > most ? g->timeline[i] : most;
	out_format(h->p.out, "<svg class='spark' aria-hidden='true' viewBox='0 0 %u %u' preserveAspectRatio='none'>", (unsigned)(HTML_BINS * SPARK_BAR),
	           (unsigned)SPARK_HEIGHT);
	out_format(h->p.out, "<path class='c%u' d='", h->color[g->cause]);
	for (unsigned i = 0; i < HTML_BINS; i++) {
		unsigned height = bar_height(g->timeline[i], most, SPARK_HEIGHT);

		if (height > 0)
			out_format(h->p.out, "M%u %uv-%uh%uv%uz", i * SPARK_BAR, (unsigned)SPARK_HEIGHT, height, (unsigned)SPARK_BAR, height);
	}
	html_tag(h, "'/></svg>");
}

void html_key(struct html *h, unsigned cause)
{
	out_format(h->p.out, "<svg class='key' aria-hidden='true'><rect class='c%u' /></svg>", h->color[cause]);
}
