/* excerpt.h - which packets tell the report's incidents, and what is to be said of each: for who writes them out (-w)
 *
 *     struct excerpt *x = excerpt_new(report, &options);
 *     if (excerpt_asks(x)) for each packet of the capture, in order:
 *             excerpt_hear(x, &packet, &ends);        whose are the packets of witnesses?
 *     excerpt_ready(x);
 *     for each packet of the capture, in order:
 *             n = excerpt_packet(x, &packet, &ends, takes);   goes to these outputs, with these comments
 *     excerpt_over(x, &packet)                                none that comes after it is wanted
 *     excerpt_free(x);
 *
 * An incident's packets are those of its connections (flows.c), what tells of their hosts meanwhile (ICMP, ARP, DNS),
 * those that its evidence names, and of connections that its verdict rests on besides what lies around the packet that does. No more is held than a few numbers for each of them, and work is linear in packets.
 */
#ifndef WHY502_EXCERPT_H
#define WHY502_EXCERPT_H

#include "../decode/ends.h"
#include "writer.h"

enum { EXCERPT_OUTPUTS_MAX = 64, EXCERPT_COMMENTS_MAX = 16, EXCERPT_COMMENT_TEXT = 1024 };

struct excerpt_options {
	const char *match;              /* --match; NULL: all incidents */
	int64_t  window_ns;             /* --write-window; negative: from their connections' beginning, or their last exchange */
	bool     each;                  /* an output for each incident: for those from the first'th on, EXCERPT_OUTPUTS_MAX at most */
	unsigned first;
};

struct excerpt;

/* A packet goes to this output. */
struct take {
	unsigned output;
	unsigned n_comments;
	char comments[EXCERPT_COMMENTS_MAX][EXCERPT_COMMENT_TEXT];
};

struct excerpt *excerpt_new(const struct report *r, const struct excerpt_options *o);   /* NULL: no memory */
void excerpt_free(struct excerpt *x);

bool excerpt_asks(const struct excerpt *x, uint64_t *last);     /* up to this packet */
void excerpt_hear(struct excerpt *x, const struct packet *p, const struct packet_ends *e);
void excerpt_ready(struct excerpt *x);

unsigned excerpt_outputs(const struct excerpt *x);
/* Of output `n`, where each incident has its own. */
const struct incident *excerpt_incident(const struct excerpt *x, unsigned n);

/* `e` is NULL for a packet of no connection. Calls `take` for each output that the packet goes to; what it gets is good for the call. */
void excerpt_packet(struct excerpt *x, const struct packet *p, const struct packet_ends *e, void (*take)(void *ctx, const struct take *t), void *ctx);
bool excerpt_over(const struct excerpt *x, const struct packet *p);

/* What an output is about, for its section: of all incidents, or of one. */
void excerpt_says(struct out *out, const struct report *r, const struct run_info *run, const struct writer_options *o, const struct incident *one);

#endif
