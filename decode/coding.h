/* coding.h - is a body what its Content-Encoding says? RFC 9110 8.4
 *
 * Cheap: its first bytes. Or to its end: what is unpacked is thrown away, and what counts is that it can be, with the
 * check sum and length that it carries.
 *
 *     u = unpacking_new(c, coding_of(x));              NULL: this build cannot, or no memory
 *     if (!coding_follow(u, m, content)) ...           nothing more is to be learnt
 *     coding_end(u, m);                                all of it came
 *     unpacking_free(u);
 */
#ifndef WHY502_CODING_H
#define WHY502_CODING_H

#include "exchange.h"

enum { CODING_MAGIC_BYTES = 4 };

struct coding {
	const char *name;               /* of Content-Encoding, in lower case */
	const char *codec;              /* codec_named(); NULL: only its first bytes are known */
	uint8_t bytes;                  /* that it must begin with */
	bool (*begins)(const uint8_t b[static CODING_MAGIC_BYTES]);
};

/* Of a response whose whole body is coded: a part (206) begins and ends anywhere. NULL: it is not, or its coding is not
 * known: br begins with no bytes of its own (RFC 7932), and several may lie on top of each other. */
const struct coding *coding_of(const struct exchange *x);

struct unpacking;

struct unpacking *unpacking_new(struct conn *c, const struct coding *coding);
/* More of the body of `m`, of which body_bytes and last are those behind it. What is wrong is noted in m. False: that it
 * is, or that it cannot be followed any further. */
bool coding_follow(struct unpacking *u, struct message *m, struct span content);
/* The body is over: is its coding? An empty body has none. */
void coding_end(const struct unpacking *u, struct message *m);
void unpacking_free(struct unpacking *u);               /* NULL is allowed */

#endif
