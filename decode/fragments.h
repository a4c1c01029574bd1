/* fragments.h - IP datagrams put together from their fragments
 *
 * Bounded (capture/limits.h): 4,096 datagrams, 128 pieces each, 8 MiB of pieces, 30 s of capture time from
 * the first piece seen. At a bound the oldest datagram is dropped and counted. Where pieces of an IPv4
 * datagram overlap, the byte that came first counts; an IPv6 datagram with overlapping pieces is dropped
 * whole (RFC 5722), but for exact copies.
 */
#ifndef WHY502_FRAGMENTS_H
#define WHY502_FRAGMENTS_H

#include "../capture/span.h"

struct fragments;

struct fragment {
	uint8_t  src[16], dst[16];
	uint32_t id;
	uint8_t  protocol;      /* IPv4: which protocol counts, too (RFC 791); IPv6: next header, the first piece's counts */
	bool     v6;
	bool     more;          /* not the last */
	uint32_t offset;        /* bytes, a multiple of 8 */
	uint32_t wire_len;      /* bytes on the wire */
	struct span bytes;      /* of them, captured */
	int64_t  time_ns;
};

struct defragmented {
	struct span bytes;      /* up to the first byte not captured; until the next call */
	uint32_t wire_len;
	uint8_t  protocol;
};

enum fragment_result { FRAGMENT_KEPT, FRAGMENT_WHOLE, FRAGMENT_BAD };

struct fragments *fragments_new(void);          /* NULL: no memory */
void fragments_free(struct fragments *);

/* Adds a piece. WHOLE: it was the last one missing, and *whole is filled. BAD: no sender makes such a piece. */
enum fragment_result fragments_add(struct fragments *, const struct fragment *piece, struct defragmented *whole);

uint64_t fragments_dropped(const struct fragments *);   /* datagrams given up */

#endif
