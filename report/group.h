/* group.h - incidents with the same cause, gateway, upstream and categorical detail are one group; or as --group wants
 */
#ifndef WHY502_GROUP_H
#define WHY502_GROUP_H

#include "incident.h"

struct grouping;

struct grouping *grouping_new(uint8_t by); /* enum group_by; NULL: no memory */
void grouping_free(struct grouping *g);
/* Counts it. `kept`: the incident stays, so its id, its numbers and its texts may be pointed to. */
uint32_t grouping_add(struct grouping *g, const struct incident *i, bool kept);
/* Most incidents first; each kept incident's `group` is set. Times are the capture's. */
void grouping_end(struct grouping *g, struct incident **incidents, unsigned n, int64_t first_ns,
		  int64_t last_ns);
struct group *grouping_groups(struct grouping *g, unsigned *n);

#endif
