/* protocol.h - what a decoder over a byte stream is
 *
 * Bytes of each side come in order, each once, one segment (or part of one) a call. The decoder takes
 * all that it is given, keeping what it must (within limits.h), and returns how many of the bytes that
 * follow it does not want: the stream skips them by sequence number, and neither their loss nor their
 * absence by snaplen is told. When a skip ends the decoder gets the rest of that segment at once, even
 * if empty, so that it learns packet and time of the last byte skipped.
 */
#ifndef WHY502_PROTOCOL_H
#define WHY502_PROTOCOL_H

#include "fact.h"

struct conn;

struct piece {
	struct span bytes;
	uint64_t offset;        /* of its first byte in this side's stream (of plaintext where nested), from 0 */
	uint64_t wire_end;      /* TCP stream offset behind its last byte; nested: behind the record's last byte */
	bool     nested;        /* inside TLS */
	struct mark at;         /* the packet that it came in */
	uint64_t skipped;       /* bytes skipped just before it, of them ... */
	uint64_t missing;       /* ... not in the capture */
	struct mark skip_last;  /* packet of the last byte skipped */
};

enum why { WHY_LOST, WHY_CUT, WHY_DROPPED, WHY_BEFORE };    /* why bytes are missing */
enum ending { END_FIN, END_RST, END_PEER_RST, END_CAPTURE, END_EVICTED };

#define WANT_NONE UINT64_MAX    /* skip everything from here on (a tunnel, a body to the close) */

struct protocol {
	const char *name;
	unsigned speaks;                /* SPEAKS_ value */
	/* How sure are you, from these first bytes of a side? 0 not mine, 100 certain, PROBE_MORE ask again.
	 * MUST NOT keep the span: it is gone after the call. */
	int      (*probe)(enum side from, struct span first);
	/* NULL: no memory. late: the capture began amid the connection, or this follows a gap. */
	void    *(*begin)(struct conn *c, bool late);
	uint64_t (*bytes)(void *self, enum side from, const struct piece *p);   /* how many of the following bytes not to give */
	void     (*gap)  (void *self, enum side from, uint64_t missing, enum why why, struct mark at);
	/* This side will send no more (or everything ends: END_RST of `from`'s own, END_PEER_RST, END_CAPTURE, END_EVICTED are
	 * told for both sides). `offset`: bytes that this side sent in all, those skipped included. */
	void     (*end)  (void *self, enum side from, enum ending how, uint64_t offset, struct mark at);
	void     (*free) (void *self);
	/* May it be freed now and begun anew (not late) at the next byte? True between messages, with no exchange
	 * open: so an idle connection costs nothing here. NULL: never. */
	bool     (*idle) (const void *self);
};

enum { PROBE_MORE = -1 };

/* bytes() of a connection joined late: the client was taken for the server. Swap them, begin anew (late) and give this
 * piece again; not more than once a connection. */
#define WANT_SWAP (UINT64_MAX - 1)

extern const struct protocol http1_protocol, http2_protocol, tls_protocol, connect_protocol, dns_protocol, fastcgi_protocol, uwsgi_protocol,
                             scgi_protocol, ajp_protocol;

/* As probe() says, of a connection to this port of the server's: DNS has no first bytes of its own. */
int dns_stream_probe(uint16_t port, struct span first);

#endif
