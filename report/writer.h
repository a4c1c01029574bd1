/* writer.h - output formats: one file each and a row in writers.def
 *
 *     w = writer_named("json");  self = w->begin(&options, out);
 *     w->exchange(self, view) …            as exchanges settle
 *     w->incident(self, incident) …        as incidents close, where options.live
 *     w->tick(self, now)                   live: capture time has come to this
 *     w->end(self, report, &run);          everything else; frees self
 *
 * A writer only reads what it is given, and writes only to `out`.
 */
#ifndef WHY502_WRITER_H
#define WHY502_WRITER_H

#include "incident.h"
#include "names.h"
#include "out.h"
#include "when.h"

/* The run as a whole: what was read, and how. */
struct run_info {
	const char *version;
	bool live;
	const char *const *interfaces; unsigned n_interfaces;   /* live */
	const struct source_file *files; unsigned n_files;
	struct source_counters counters;
	int64_t first_ns, last_ns;      /* of the packets; both 0 where there was none */
	const char *sandbox;            /* "full" | "partial" | "off" */
	const char *trouble;            /* why the capture could not be read to its end; NULL: it was */
	/* With several files: where packet `number` lies. False: not known. May be NULL. */
	bool (*locate)(void *ctx, uint64_t number, unsigned *file, uint64_t *frame);
	void *locate_ctx;
};

struct writer_options {
	const char *version;
	bool exchanges;                 /* list every exchange */
	bool show_secrets;
	bool ascii, color, terminal;    /* terminal: `out` is one */
	bool live;                      /* incidents are told as they close */
	bool flush;                     /* after each line */
	bool quiet;                     /* only the totals */
	unsigned verbose;
	unsigned columns;               /* width for text */
	unsigned top;                   /* groups told in full */
	const struct names *names;      /* of addresses (-N); NULL: none */
	const char *match;              /* only what holds this text (--match); NULL: all */
	struct when_style when;
};

struct writer {
	const char *name, *suffix, *about;
	const struct writer_ops {
		void *(*begin)(const struct writer_options *o, struct out *out);        /* NULL: no memory */
		void (*exchange)(void *self, const struct exchange_view *v);            /* the rest may be NULL */
		void (*incident)(void *self, const struct incident *i);
		void (*tick)(void *self, int64_t now_ns);
		void (*end)(void *self, const struct report *r, const struct run_info *run);
		bool machine;           /* a program reads it: written even where the capture cannot be opened */
	} *ops;
};

const struct writer *writer_named(const char *name);            /* or its ending without the dot; NULL: none */
const struct writer *writer_for_file(const char *path);         /* by its ending; NULL: none */
unsigned writers(const struct writer **rows);

/* --match: does its target, authority, client or one of its identifiers hold `text`? NULL matches all. */
bool incident_matches(const struct incident *i, const char *text);
bool view_matches(const struct exchange_view *v, const char *text);

const struct incident *report_incident(const struct report *r, uint64_t id);    /* NULL: not kept */
/* The group's first incident that --match wants; NULL: none that was kept. */
const struct incident *group_wanted(const struct report *r, const struct group *g, const char *match);

/* For a writer of one piece an incident: they are told as they close where the capture is live, else at the end. */
typedef void tell_fn(void *self, const struct incident *i, const struct run_info *run);         /* run: NULL while live */
void incident_closed(const struct writer_options *o, const struct incident *i, tell_fn *tell, void *self);
void incidents_at_end(const struct writer_options *o, const struct report *r, const struct run_info *run, tell_fn *tell, void *self);

extern const struct writer_ops writer_text, writer_line, writer_json, writer_ndjson, writer_html, writer_markdown, writer_csv,
                               writer_ecs, writer_otlp, writer_har, writer_prom;

#endif
