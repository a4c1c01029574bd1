/* assemble.h - from a matter to a case, and from the verdict on it to an incident
 *
 *     struct found *x = found_new(&matter, ...);       holds what it needs
 *     found_judge(x, ...);                             again and again, as more is learnt
 *     x->incident                                      NULL: it is none
 */
#ifndef WHY502_ASSEMBLE_H
#define WHY502_ASSEMBLE_H

#include "correlate.h"

struct found {                     /* a matter that may be an incident */
	struct matter matter;      /* its facts are held */
	struct incident *incident; /* as judged last; NULL: none */
	struct mark closed;        /* orders incidents */
	int64_t began_ns;
};

/* Worth judging? Most answers with an error status that nobody asked about are not. */
bool matter_matters(const struct matter *m, const struct report_options *o);

struct found *found_new(struct correlation *c, const struct matter *m); /* NULL: no memory */
void found_free(struct correlation *c, struct found *x);
/* Judges with what is known now. Keeps an older incident where too much of its time has been
 * forgotten. */
void found_judge(struct correlation *c, struct found *x, bool final);

/* What is known of one of its trials by now, in place of what was; judged anew. */
void found_know_better(struct correlation *c, struct found *x, unsigned trial,
		       const struct exchange_fact *f);

/* steps.c: what passed between client, gateway and upstreams, in time; evidence must be there
 * already. */
void steps_fill(struct incident *i, const struct matter *m);
void steps_filter(struct incident *i, const struct matter *m);

#endif
