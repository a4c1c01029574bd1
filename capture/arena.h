/* arena.h - memory that ends together, with a limit
 *
 * Under AddressSanitizer (or WHY502_ARENA_MALLOC) each piece is a malloc of its own, so that an
 * overrun is seen.
 */
#ifndef WHY502_ARENA_H
#define WHY502_ARENA_H

#include "span.h"

struct arena_block;
struct arena { struct arena_block *blocks; size_t used, limit; };

void  arena_init(struct arena *a, size_t limit);
void *arena_alloc(struct arena *a, size_t size);        /* zeroed, 16-aligned; NULL at the limit or without memory */
struct span arena_copy(struct arena *a, struct span s); /* empty where there is no room */
char *arena_text(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));  /* "" where there is no room; never NULL */
bool  arena_holds(const struct arena *a, const void *p);
void  arena_clear(struct arena *a);

#endif
