/* http2_stub.h - a connection without packets, for tests of HTTP/2: frames by hand
 *
 * Stands in for decode/exchange.c. Settled exchanges are copied to `told` and freed at once, so that a pointer
 * kept too long is seen by AddressSanitizer.
 *
 *     struct h2_wire *w = h2_new(false);
 *     h2_open(w);                                      preface and SETTINGS of both sides
 *     h2_get(w, 1, "/a");                              HEADERS, END_STREAM
 *     h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_text("hello"));
 *     h2_flush(w);                                     what was written so far is sent, cut as w->cut says
 *     h2_told(w, 0)->f.status
 *     h2_free(w);
 */
#ifndef WHY502_HTTP2_STUB_H
#define WHY502_HTTP2_STUB_H

#include "../decode/http2_frame.h"
#include "../decode/exchange.h"

#include <nghttp2/nghttp2.h>

enum { H2_TOLD = 128, H2_LIMITS = 64 };

struct conn {
	struct exchange *first, *told[H2_TOLD];
	unsigned n_told, n_told_all, opened, open, open_max;
	bool listing, said_close, checks_coding;
	size_t allocated, allocated_most, allocations, fail_at;         /* fail_at: that one fails, counted from 1; 0: none */
	const char *limits[H2_LIMITS];
	unsigned n_limits;
	struct conn_facts note;
};

struct h2_wire {
	struct conn c;
	void *self;
	uint64_t packet;
	size_t cut;                     /* 0: a flush is one packet; n: packets of n bytes */
	size_t split;                   /* the first packet of a flush has so many bytes */
	uint64_t given[2];              /* bytes that the decoder was given */
	struct { uint64_t offset, skip_until, skipped, missing; struct mark skip_last; } side[2];
	bool swapped;                   /* the decoder found that it was told the wrong side for the client */
	enum side writing;
	uint8_t *out;
	size_t n_out;
	nghttp2_hd_deflater *deflater[2];
};

struct h2_wire *h2_new(bool late);
void h2_free(struct h2_wire *w);

/* Written by one side after the other: a change of sides flushes. */
void h2_bytes(struct h2_wire *w, enum side from, struct span bytes);
void h2_frame(struct h2_wire *w, enum side from, unsigned type, unsigned flags, uint32_t stream, struct span payload);
void h2_flush(struct h2_wire *w);
void h2_gap(struct h2_wire *w, enum side from, uint64_t missing);       /* these bytes are not captured */
/* What was written and not flushed is not captured. */
void h2_unseen(struct h2_wire *w);
void h2_end(struct h2_wire *w, enum side from, enum ending how);

void h2_open(struct h2_wire *w);
/* "name: value" lines, each ending in \n, as a header block; `at` gets it, the length is returned. */
size_t h2_block(struct h2_wire *w, enum side from, const char *lines, uint8_t *at, size_t size);
void h2_headers(struct h2_wire *w, enum side from, unsigned flags, uint32_t stream, const char *lines);
void h2_get(struct h2_wire *w, uint32_t stream, const char *path);
void h2_u32(struct h2_wire *w, enum side from, unsigned type, uint32_t stream, uint32_t value);         /* RST_STREAM, WINDOW_UPDATE */
void h2_setting(struct h2_wire *w, enum side from, unsigned id, uint32_t value);
void h2_goaway(struct h2_wire *w, enum side from, uint32_t last, uint32_t code, const char *debug);

struct exchange *h2_told(struct h2_wire *w, unsigned i);                /* settled ones in order, then those still open */
struct exchange *h2_stream(struct h2_wire *w, uint32_t stream);         /* by number */
struct span h2_text(const struct exchange *x, struct text t);
bool h2_limit(struct h2_wire *w, const char *name);

#endif
