/* report.h - facts in, incidents out
 *
 *     struct report_builder *b = report_new(&options, &events, &err);
 *     ... report_facts(b, batch)               as a struct fact_sink
 *     if (report_doubts(b, &counters, &d))     those packets again, and with more care:
 *             ... report_facts_again(b, batch)
 *     report = report_end(b, &counters);       judged once more with all that was learnt
 *     report_free(b);
 */
#ifndef WHY502_REPORT_H
#define WHY502_REPORT_H

#include "incident.h"
#include "names.h"

struct gateway_option { struct endpoint front; struct endpoint backs[8]; unsigned n_backs; const char *product; };
struct limit_option { const char *name, *value; };      /* --limit header-size=16k */

struct report_options {
	const struct gateway_option *gateways; unsigned n_gateways;
	const struct endpoint *upstreams; unsigned n_upstreams;         /* -u; port 0: any */
	const struct limit_option *limits; unsigned n_limits;
	uint8_t  status_wanted[600];            /* [status] != 0: an incident by itself (--status) */
	uint32_t symptoms;                      /* bit per enum symptom */
	bool     causes_unwanted[CAUSE_COUNT];  /* --cause: incidents of the others are not told, nor counted */
	uint32_t faults_unwanted;               /* bit per enum fault */
	uint8_t  least_confidence;              /* enum confidence */
	bool     exchanges;                     /* --exchanges: exchange events are wanted */
	bool     live;                          /* incidents are told as they close */
	const char *filter;                     /* BPF text, for a hint; NULL: none */
	struct names *names;                    /* learns from DNS answers; NULL: none are wanted (-N) */
	uint8_t  group_by;                      /* enum group_by (--group) */
	unsigned max_incidents;                 /* kept in full; 0: LIMIT_INCIDENTS. The others are counted alone */
	size_t   max_bytes;                     /* of those, with their facts; 0: LIMIT_INCIDENT_BYTES */
};

/* What happens while facts come in; any may be NULL. Views and incidents are good for the call alone (live: an
 * incident told here is told again, perhaps surer, in report_end()'s report). */
struct report_events {
	void *ctx;
	void (*exchange)(void *ctx, const struct exchange_view *v);     /* as they settle */
	void (*incident)(void *ctx, const struct incident *i);          /* as they close */
};

struct report_builder;

struct report_builder *report_new(const struct report_options *o, const struct report_events *ev, struct err *e);
void report_facts(struct report_builder *b, const struct fact_batch *facts);
/* Upstreams' answers that were whole, and coded, and that the gateway made an error of all the same: whether they were what
 * their Content-Encoding said is worth another look. False: there is none. No facts may come after this but those again. */
struct doubts {
	const struct endpoint (*ends)[2];       /* of their connections, good until report_end() */
	size_t n;
	struct mark last;               /* the last packet of any of them */
};
bool report_doubts(struct report_builder *b, const struct decode_counters *c, struct doubts *d);
void report_facts_again(struct report_builder *b, const struct fact_batch *facts);
const struct report *report_end(struct report_builder *b, const struct decode_counters *c);
void report_free(struct report_builder *b);

/* --match: why did this request fail, or not? The incidents and (healthy) exchanges whose target, identifier or client
 * holds `text` are the writer's to choose from. */

#endif
