/* assemble.h - from a matter to a case, and from the verdict on it to an incident
 *
 *     struct found *x = found_new(&matter, ...);       holds what it needs
 *     found_judge(x, ...);                             again and again, as more is learnt
 *     x->told.incident                                 NULL: it is none
 */
#ifndef WHY502_ASSEMBLE_H
#define WHY502_ASSEMBLE_H

#include "correlate.h"

struct told {                        /* an incident, and all of its own that it points to, in one piece */
	struct incident *incident;   /* NULL: none */
	struct exchange_view *views; /* in there: the client's, and each attempt's */
	size_t bytes;
};

struct found {                     /* a matter that may be an incident */
	struct matter matter;      /* its facts are held */
	struct told told;          /* as judged last */
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

/* pack.c: a copy without the room that judging takes; `views` are 1 + n_attempts. No incident: no memory. */
struct told incident_pack(const struct incident *i, const struct exchange_view *views, const struct arena *from);

/* steps.c: what passed between client, gateway and upstreams, in time; evidence must be there
 * already. */
void steps_fill(struct incident *i, const struct matter *m, struct arena *a);
void steps_filter(struct incident *i, const struct matter *m, struct arena *a);
/* flows.c: whose packets they are; after the steps. */
void flows_fill(struct incident *i, const struct matter *m, struct arena *a);

#endif
