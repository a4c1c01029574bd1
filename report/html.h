/* html.h - the parts of the HTML report (html.c): what they share
 *
 * A part writes its own tags with html_tag(), and everything else through the page, which escapes it:
 *
 *     html_tag(h, "<td>"); page_wire(&h->p, target, 80); html_tag(h, "</td>");
 *
 * No tag is ever made of bytes from a packet, and none carries a style or a handler (the page's policy forbids them).
 */
#ifndef WHY502_HTML_H
#define WHY502_HTML_H

#include "page.h"
#include "phrases.h"
#include "writer.h"

enum {
	HTML_BINS = 40,                 /* of the timeline */
	HTML_COLORS = 8,                /* classes c0 to c7; the last is for all other causes */
	/* A report is to be mailed: 2 MB in all, whatever was captured. */
	HTML_BYTES_GROUPS = 800 << 10, HTML_BYTES_TABLE = 100 << 10, HTML_BYTES_LIST = 400 << 10, HTML_BYTES_JSON = 300 << 10,
	HTML_BYTES_EXCHANGES = 200 << 10
};

struct html {
	struct page p;
	struct writer_options o;
	const struct report *r;
	const struct run_info *run;
	struct out *exchanges;          /* --exchanges: rows so far; NULL: none yet */
	uint64_t exchanges_cut;
	uint8_t color[CAUSE_COUNT];     /* by how often a cause is met */
};

void html_tag(struct html *h, const char *markup);
void html_number(struct html *h, uint64_t n);                           /* digits alone: in attributes */
void html_count(struct html *h, uint64_t n);                            /* "1 234" */
void html_time(struct html *h, int64_t ns, unsigned digits);            /* <time>, in the zone of -t */
void html_endpoint(struct html *h, bool has, const struct endpoint *e);
/* Has this part had its share since `began` (out_total())? */
bool html_full(const struct html *h, uint64_t began, uint64_t most);
/* Which bin of the timeline; HTML_BINS - 1 at most. */
unsigned html_bin(const struct html *h, int64_t time_ns);

void html_timeline(struct html *h);                                     /* html_chart.c */
void html_spark(struct html *h, const struct group *g);
void html_key(struct html *h, unsigned cause);                          /* the cause's colour, as a small square */
void html_ladder(struct html *h, const struct incident *i);             /* html_ladder.c */
void html_groups(struct html *h);                                       /* html_groups.c */

#endif
