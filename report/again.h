/* again.h - answers that are worth a second look at their packets
 *
 * A gateway that unpacks bodies fails the client's request where an upstream's whole answer is not coded as its
 * Content-Encoding says. Bodies are not read the first time; these few are, the second.
 */
#ifndef WHY502_AGAIN_H
#define WHY502_AGAIN_H

#include "assemble.h"

struct doubt {                          /* a trial of an incident */
	struct mark request;            /* its first packet; with ... */
	uint32_t stream, ordinal;       /* ... these it is found again */
	struct found *found;
	unsigned trial;
};

struct doubted {
	struct doubt *at;               /* by request.packet */
	struct endpoint (*ends)[2];     /* at[i] lies between ends[i] */
	size_t n;
	struct mark last;               /* the last packet of their answers */
};

void doubted_gather(struct doubted *d, struct found *const *found, size_t n);
/* What was read again: where it is as was feared, the incident is judged anew. */
void doubted_fact(struct doubted *d, struct correlation *c, const struct exchange_fact *f);
void doubted_clear(struct doubted *d);

#endif
