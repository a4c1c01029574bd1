/* window.h - which stretch of the capture's time is judged: --since and --until (inside capture/ only) */
#ifndef WHY502_WINDOW_H
#define WHY502_WINDOW_H

#include "source.h"

struct window {
	struct moment since, until;
	bool    settled;                /* from and to are known */
	int64_t from_ns, to_ns;         /* both within it */
	int64_t last_ns;                /* of the capture; where a moment counts from it */
};

static inline bool window_is_open(const struct window *w)       /* everything is judged */
{
	return w->since.kind == MOMENT_NONE && w->until.kind == MOMENT_NONE;
}

/* False: e says why. Where a moment counts from the end, the files are read through to find it. */
bool window_begin(struct window *w, const struct source_options *o, struct err *e);
/* Sets `filtered` on what lies outside. The first packet marked is the start of the capture. */
void window_mark(struct window *w, struct packet_batch *b);

#endif
