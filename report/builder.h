/* builder.h - a report while it is made: report.c takes facts and judges, totals.c counts up */
#ifndef WHY502_BUILDER_H
#define WHY502_BUILDER_H

#include "again.h"
#include "assemble.h"
#include "group.h"
#include "report.h"
#include "twins.h"

struct report_builder {
	struct report_options options;
	struct report_events events;
	struct store store;
	struct roles *roles;
	struct learned *learned;
	struct correlation correlation;
	struct decode_counters counters; /* none until the end */
	struct found **found;
	unsigned n_found, found_size;
	struct grouping *grouping;
	uint64_t next_id, connections, exchanges;
	uint64_t cut, cut_by_cause[CAUSE_COUNT]; /* beyond max_incidents */
	uint64_t told;                           /* live */
	uint64_t briefs_then;                    /* when last correlated */
	int64_t now_ns, then_ns;
	bool waiting, settled, ended;
	struct doubted doubted;
	struct twins *twins;
	struct report report;
	struct arena arena; /* of the report's own texts */
};

/* --cause, --fault, --min-confidence. What an incident is may change until it was judged for the last time. */
bool incident_wanted(const struct report_options *o, const struct incident *i);
/* Lists and counts for the writers; all incidents have been judged for the last time. */
void builder_fill(struct report_builder *b);

#endif
