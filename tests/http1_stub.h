/* http1_stub.h - a connection without packets, for tests of HTTP/1 and of fields
 *
 * Stands in for decode/exchange.c: each exchange is a malloc of its own that is freed as soon as it may be, so
 * that a pointer kept too long is seen by AddressSanitizer. What was told of it is kept in `told`, in order.
 *
 *     struct wire *w = wire_new(false);
 *     wire_send(w, CLIENT, span_text("GET / HTTP/1.1\r\n\r\n"));
 *     wire_end(w, SERVER, END_FIN);
 *     wire_told(w, 0)->f.outcome
 *     wire_free(w);
 */
#ifndef WHY502_HTTP1_STUB_H
#define WHY502_HTTP1_STUB_H

#include "../decode/exchange.h"

enum { WIRE_TOLD = 64, WIRE_LIMITS = 16 };

struct conn {
	struct exchange *first, *told[WIRE_TOLD];
	unsigned n_told, opened, open, open_max;        /* open_max: no more than so many; 0: any number */
	bool listing, joined_late, checks_coding;
	bool free_at_once;              /* those that are done, rather than when the next begins */
	const struct protocol *switched_to;
	bool said_close, switched, switched_from_server;
	size_t switch_used, allocated, allocations, fail_at;    /* fail_at: that allocation fails, counted from 1 */
	const char *limits[WIRE_LIMITS];
	unsigned n_limits;
	const char *passed;             /* conn_passed_limit(), the last */
	struct conn_facts note;
};

struct wire {
	struct conn c;
	const struct protocol *protocol;
	void *self;
	struct exchange none;           /* what wire_told() gives beyond the last */
	uint64_t packet;
	size_t cut;                     /* 0: a send is one packet; n: in packets of n bytes */
	size_t split;                   /* each send's first packet has so many bytes; 0: not */
	uint64_t given[2];              /* bytes that the decoder was given */
	struct { uint64_t offset, skip_until, skipped, missing; struct mark skip_last; } side[2];
};

struct wire *wire_new(bool late);
void wire_send(struct wire *w, enum side from, struct span bytes);
void wire_gap(struct wire *w, enum side from, uint64_t missing, enum why why);
void wire_end(struct wire *w, enum side from, enum ending how);         /* FIN: that side; all others: both */
struct exchange *wire_told(struct wire *w, unsigned i);                 /* settled ones, then those still open */
struct span wire_text(struct wire *w, unsigned i, struct text t);
void wire_free(struct wire *w);
/* After both ends: aborts where an exchange was forgotten or memory is left; frees. */
void wire_finish(struct wire *w);

#endif
