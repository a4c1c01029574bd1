/* line.c - one line an incident (UX.md 1.3), told as it closes where the capture is live
 *
 * A storm is told in full for the first 10 of a group a minute, then by one line with a count each
 * second; on a terminal, what is alike within a second is one line. Of a file, to a pipe, every incident is one.
 */
#include "page.h"
#include "phrases.h"
#include "writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STORM_GROUPS = 64, STORM_FULL = 10, CAUSE_WIDTH = 24, FAULT_WIDTH = 14 };

/* A group that is being told; the slot is the least recently used one's when a new group comes. */
struct storm {
	uint32_t group;                 /* 0: free */
	unsigned told;                  /* in full, this minute */
	int64_t  minute_ns;             /* when it began */
	int64_t  last_ns;               /* last line about it */
	uint64_t held;                  /* not told since */
	uint64_t first_id, last_id;     /* of them */
	uint16_t status;
	uint8_t  cause, fault;
	bool     has_upstream;
	struct endpoint upstream;
};

struct line_writer {
	struct page p;
	struct writer_options o;
	uint64_t told;
	struct storm storms[STORM_GROUPS];
};

static void columns(struct line_writer *w, int64_t time_ns, unsigned status, unsigned cause, unsigned fault, bool has_upstream,
                    const struct endpoint *upstream)
{
	struct page *p = &w->p;
	char when[WHEN_TEXT];
	bool utc = w->o.when.zone == WHEN_UTC_DATE || w->o.when.zone == WHEN_UTC;

	page_format(p, "%s%s ", when_text(&w->o.when, time_ns, 3, when), utc ? "Z" : "");
	page_style(p, STYLE_RED);
	page_format(p, status != 0 ? "%03u" : "---", status);
	page_style(p, STYLE_PLAIN);
	page_format(p, " ");
	page_style(p, STYLE_BOLD);
	page_format(p, "%-*s", CAUSE_WIDTH, cause_row(cause)->name);
	page_style(p, STYLE_PLAIN);
	page_format(p, " %-*s ", FAULT_WIDTH, fault_name(fault));
	say_endpoint(p, w->o.names, has_upstream ? upstream : NULL, UINT32_MAX);
}

static void end_line(struct line_writer *w)
{
	page_line(&w->p);
	if (w->o.flush)
		out_flush(w->p.out);
}

static void one(struct line_writer *w, const struct incident *i)
{
	struct page *p = &w->p;

	columns(w, i->time_ns, i->status, i->cause, i->fault, i->has_upstream, &i->upstream);
	page_say(p, " ");
	say_request(p, i->method, i->authority, i->target, w->o.show_secrets, 80);
	page_format(p, "  ");
	page_say(p, i->summary != NULL ? i->summary : "");
	page_format(p, "  [#%" PRIu64, i->id);
	if (i->n_evidence > 0)
		page_format(p, " pkt %" PRIu64, i->evidence[0].at.packet);
	page_say(p, "]");
	end_line(w);
	w->told++;
}

/* ---- storms -------------------------------------------------------------------------------- */

static void tell_held(struct line_writer *w, struct storm *s, int64_t now_ns)
{
	if (s->held == 0)
		return;
	columns(w, now_ns, s->status, s->cause, s->fault, s->has_upstream, &s->upstream);
	if (s->held == 1)
		page_format(&w->p, " (+1 alike)  [#%" PRIu64 "]", s->last_id);
	else
		page_format(&w->p, " (+%" PRIu64 " alike)  [#%" PRIu64 " to #%" PRIu64 "]", s->held, s->first_id, s->last_id);
	end_line(w);
	s->held = 0;
	s->last_ns = now_ns;
}

static struct storm *storm_of(struct line_writer *w, const struct incident *i)
{
	struct storm *oldest = &w->storms[0];

	for (unsigned k = 0; k < STORM_GROUPS; k++) {
		struct storm *s = &w->storms[k];

		if (s->group == i->group)
			return s;
		if (s->group == 0 || (oldest->group != 0 && s->last_ns < oldest->last_ns))
			oldest = s;
	}
	tell_held(w, oldest, i->time_ns);
	*oldest = (struct storm){ .group = i->group, .minute_ns = i->time_ns, .last_ns = INT64_MIN };
	return oldest;
}

static bool hold(const struct line_writer *w, const struct storm *s, const struct incident *i)
{
	bool soon = s->last_ns != INT64_MIN && since_ns(s->last_ns, i->time_ns) < NS_PER_S;

	if (w->o.terminal && soon)
		return true;
	return w->o.live && s->told >= STORM_FULL;
}

static void tell(struct line_writer *w, const struct incident *i)
{
	struct storm *s;

	if (i->group == 0 || !(w->o.live || w->o.terminal)) {
		one(w, i);
		return;
	}
	s = storm_of(w, i);
	if (since_ns(s->minute_ns, i->time_ns) >= 60 * NS_PER_S) {
		s->minute_ns = i->time_ns;
		s->told = 0;
	}
	if (since_ns(s->last_ns, i->time_ns) >= NS_PER_S)
		tell_held(w, s, i->time_ns);
	if (!hold(w, s, i)) {
		tell_held(w, s, i->time_ns);
		one(w, i);
		s->told++;
		s->last_ns = i->time_ns;
		return;
	}
	if (s->held++ == 0) {
		s->first_id = i->id;
		s->status = i->status;
		s->cause = i->cause;
		s->fault = i->fault;
		s->has_upstream = i->has_upstream;
		s->upstream = i->upstream;
	}
	s->last_id = i->id;
}

static void tell_all_held(struct line_writer *w, int64_t now_ns, bool at_once)
{
	for (unsigned k = 0; k < STORM_GROUPS; k++)
		if (w->storms[k].group != 0 && (at_once || since_ns(w->storms[k].last_ns, now_ns) >= NS_PER_S))
			tell_held(w, &w->storms[k], now_ns);
}

/* ---- the writer ---------------------------------------------------------------------------- */

static void *line_begin(const struct writer_options *o, struct out *out)
{
	struct line_writer *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	w->p = (struct page){ .out = out, .width = UINT32_MAX / 2, .color = o->color, .ascii = o->ascii };
	return w;
}

static void line_exchange(void *self, const struct exchange_view *v)
{
	struct line_writer *w = self;

	if ((!w->o.exchanges && w->o.match == NULL) || !view_matches(v, w->o.match))
		return;
	say_exchange(&w->p, v, &w->o);
	if (w->o.flush)
		out_flush(w->p.out);
}

static void line_incident(void *self, const struct incident *i)
{
	struct line_writer *w = self;

	if (w->o.live && !w->o.quiet && incident_matches(i, w->o.match))
		tell(w, i);
}

static void line_tick(void *self, int64_t now_ns)
{
	tell_all_held(self, now_ns, false);
}

static void summary_line(struct line_writer *w, const struct report *r, const struct run_info *run)
{
	struct page *p = &w->p;
	char when[WHEN_TEXT], took[WHEN_TEXT], a[WHEN_TEXT], b[WHEN_TEXT], c[WHEN_TEXT], d[WHEN_TEXT], e[WHEN_TEXT], f[WHEN_TEXT];

	page_format(p, "%s%s --- %s: %s requests, %s incidents (%s), %s dropped, %s connections, %s",
	            when_text(&w->o.when, run->last_ns, 3, when), w->o.when.zone == WHEN_UTC_DATE || w->o.when.zone == WHEN_UTC ? "Z" : "",
	            duration_text(since_ns(run->first_ns, run->last_ns), took), count_text(r->requests, a),
	            count_text(r->total_incidents, b), percent_text(r->total_incidents, r->requests, c),
	            count_text(run->counters.kernel_dropped, d), count_text(r->connections, e), bytes_text(run->counters.bytes, f));
	end_line(w);
}

static void line_end(void *self, const struct report *r, const struct run_info *run)
{
	struct line_writer *w = self;

	w->o.when.origin_ns = run->first_ns;
	for (unsigned i = 0; i < r->n_incidents && !w->o.live && !w->o.quiet; i++)
		if (incident_matches(r->incidents[i], w->o.match))
			tell(w, r->incidents[i]);
	tell_all_held(w, run->last_ns, true);
	if (w->o.live || w->o.terminal || w->o.quiet)
		summary_line(w, r, run);
	free(w);
}

const struct writer_ops writer_line = {
	.begin = line_begin, .exchange = line_exchange, .incident = line_incident, .tick = line_tick, .end = line_end,
};
