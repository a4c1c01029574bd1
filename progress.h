/* progress.h - how far a long file is read, on one line of standard error
 *
 *     progress_begin(&p, wanted);             wanted: it is asked for, or there is a terminal that nothing else is written to
 *     progress_show(&p, at, size, packets);   as often as one likes
 *     progress_end(&p);                       before anything else is said
 */
#ifndef WHY502_PROGRESS_H
#define WHY502_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress { bool wanted, shown; int64_t began_ns, told_ns; unsigned asked; };

void progress_begin(struct progress *p, bool wanted);
/* Is it time to show it? Costs nothing to speak of. */
bool progress_due(struct progress *p);
void progress_show(struct progress *p, uint64_t at, uint64_t size, uint64_t packets);
void progress_end(struct progress *p);

#endif
