/* hpack.h - the header blocks of one side of an HTTP/2 connection, by libnghttp2's inflater
 *
 * RFC 7541. A block is fed in the pieces that it comes in, fields are handed on as soon as they are whole.
 * The table can be followed only from the connection's start. Joined later, or after a block was missed, it
 * is filled with made-up entries first (`?` without a value, which no sender may send), so that every index
 * into what we have not seen shows up as unknown, and entries added since resolve rightly: indices count
 * from the newest entry (RFC 7541 2.3.3), and an encoder never refers to one that it has evicted.
 *
 *     hpack_init(&h, c, late);
 *     r = hpack_block(&h, fragment, end_headers, take_field, self);
 *     hpack_lost(&h);                  a block or a part of one is missing: not between whole blocks
 *     hpack_clear(&h);
 */
#ifndef WHY502_HPACK_H
#define WHY502_HPACK_H

#include "exchange.h"

#include <nghttp2/nghttp2.h>

enum { HPACK_TABLE_DEFAULT = 4096 };    /* RFC 9113 6.5.2, SETTINGS_HEADER_TABLE_SIZE */

enum hpack_result {
	HPACK_OK,
	HPACK_BAD,              /* its sender broke HPACK; no later block can be decoded */
	HPACK_UNKNOWN,          /* the rest of this block cannot be decoded since what came before it is missing */
	HPACK_TOO_LONG,         /* more than LIMIT_HEADER_BLOCK decoded; no later block can be decoded */
	HPACK_TABLE,            /* a table above LIMIT_HPACK_TABLE; no later block can be decoded */
	HPACK_CLOSED,           /* after one of the above, or without memory */
};

struct hpack {
	struct conn *conn;
	nghttp2_hd_inflater *inflater;  /* NULL: none yet, or closed */
	nghttp2_mem memory;             /* the inflater keeps a pointer to it */
	uint8_t  *kept;                 /* the block so far, to decode it again behind a larger table */
	uint32_t n_kept, kept_size;
	uint32_t allowed;               /* table, by the other side's SETTINGS; UINT32_MAX: not known */
	uint32_t seeded;                /* bytes of made-up entries; 0: known from the start */
	uint32_t decoded, fields;       /* bytes and fields of this block */
	uint32_t good;                  /* bytes decoded since ... */
	uint8_t  large;                 /* ... the large table was needed, so many times */
	uint8_t  first;                 /* byte of this block */
	bool     sure;                  /* the caller: what is fed is a header block, whole and in order */
	bool     has_first, in_block, stale, closed, keeping, used;
};

/* unknown: the name, or both, come from before the capture. */
typedef void hpack_field(void *ctx, struct span name, struct span value, bool unknown);

/* h must not move. late: header blocks have gone before. */
void hpack_init(struct hpack *h, struct conn *c, bool late);
enum hpack_result hpack_block(struct hpack *h, struct span fragment, bool last, hpack_field *field, void *ctx);
void hpack_lost(struct hpack *h);
/* No later block will be decoded; memory is given back. */
void hpack_close(struct hpack *h);
void hpack_clear(struct hpack *h);

#endif
