/* ladder.h - an incident's packets as arrows between client, gateway and upstreams
 *
 *      packet        s  client                gateway           10.0.0.7:8080
 *         198    0.000    │── GET /cart ────────▶│                    │
 *         211    5.002    │                      │◀──────────── FIN ──│ ←
 */
#ifndef WHY502_LADDER_H
#define WHY502_LADDER_H

#include "incident.h"
#include "page.h"

/* The first column that is drawn: 0, or 1 where the client took no part. */
unsigned ladder_first_column(const struct incident *i);

/* `all`: every step; else those in the middle of a long story are left out. */
void ladder_draw(struct page *p, const struct incident *i, unsigned indent, bool all);

#endif
