/* replay.h - packets that lie in memory, decoded and judged in this process
 *
 *     struct replay r;
 *     if (replay(packets, n, &decode_options, &report_options, &r, &err)) ... r.report ...
 *     replay_clear(&r);
 */
#ifndef WHY502_REPLAY_H
#define WHY502_REPLAY_H

#include "../capture/source.h"
#include "../report/report.h"

struct replay {
	struct report_builder *builder;
	const struct report *report;            /* the builder's */
};

bool replay(const struct packet *packets, unsigned n, const struct decode_options *d, const struct report_options *r, struct replay *out,
            struct err *e);
void replay_clear(struct replay *r);

/* What why502 itself starts from: one thread, 64 MiB; gateway errors and whatever an upstream's failure explains. */
void replay_options(struct decode_options *d, struct report_options *r);

/* All packets of a capture, each with bytes of its own. */
struct packets { struct packet *at; unsigned n; };

bool packets_read(const char *path, struct packets *p, struct err *e);
void packets_clear(struct packets *p);

#endif
