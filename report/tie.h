/* tie.h - could this try have been made for this request, and how well do they fit? */
#ifndef WHY502_TIE_H
#define WHY502_TIE_H

#include "correlate.h"

/* Two interfaces may be told out of order by this much. */
#define TIE_SLACK_NS (2 * NS_PER_MS)

/* How alike: 0 not, 1 the tail of the target (a prefix was rewritten), 2 the target. */
int tie_alike(const struct request_key *c, const struct request_key *u);
bool tie_same_id(const struct request_key *c, const struct request_key *u);

struct fit {             /* milliseconds; -1: unknown */
	double begin_ms; /* from the request to the try */
	double end_ms;   /* from the try's failure to the answer */
};

/* False: it cannot be. `end_ns`: when the client's failure reached it. */
bool tie_fit(const struct kept *c, int64_t end_ns, const struct kept *u, struct fit *f);

#endif
