/* merge.h - several saved captures as one, by time stamp (inside capture/ only)
 *
 * The next packet is always the earliest of those that the files have next; of equal times the file
 * given first. So files that overlap in time are merged, and others follow each other. A file is
 * read from only when its first packet is due: a directory of a thousand files holds one chunk.
 */
#ifndef WHY502_MERGE_H
#define WHY502_MERGE_H

#include "origin.h"

/* Takes over the readers, n of them, also when it fails. False: no memory. `interfaces` must be the readers'. */
bool merge_open(struct origin *out, struct reader *const *readers, unsigned n, struct interface_table *interfaces,
                const volatile sig_atomic_t *stop, struct err *e);

#endif
