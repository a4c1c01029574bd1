/* Coded bodies, followed to their end. Input: which coding (its low bits), bit 4: by zlib rather than as it is, bit 5: chunked,
 * bit 6: an end that comes too soon, how large a packet is, then the body. What zlib packed is what it says; anything gives the
 * same in packets of any size. */
#include "../tests/http1_stub.h"
#include "check.h"

#include <stdio.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

enum { CODING = 7, PACKED = 16, CHUNKED = 32, SHORT = 64, ROOM = 1 << 16 };

static const char *const codings[CODING + 1] = { "gzip", "deflate", "zstd", "x-gzip", "br", "compress", "gzip", "identity" };

static struct span packed(struct span body, unsigned coding, uint8_t *to, size_t room)
{
#ifdef HAVE_ZLIB
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)body.at, .avail_in = (uInt)body.len, .next_out = to, .avail_out = (uInt)room };
	size_t n;

	must(deflateInit2(&z, 6, Z_DEFLATED, coding == 1 ? MAX_WBITS : 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	must(deflate(&z, Z_FINISH) == Z_STREAM_END);
	n = z.total_out;
	(void)deflateEnd(&z);
	return span_of(to, n);
#else
	(void)coding, (void)to, (void)room;
	return body;
#endif
}

static uint64_t follow(struct span head, struct span body, struct span tail, size_t cut)
{
	struct wire *w = wire_new(false);
	uint64_t violations;

	w->c.checks_coding = true;
	wire_send(w, CLIENT, span_text("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	w->cut = cut;
	wire_send(w, SERVER, head);
	wire_send(w, SERVER, body);
	wire_send(w, SERVER, tail);
	w->cut = 0;
	wire_end(w, SERVER, END_FIN);
	violations = wire_told(w, 0)->f.response.violations;
	wire_free(w);
	return violations;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static uint8_t room[ROOM];
	struct cursor c = cursor_of(span_of(bytes, n));
	uint8_t options = cur_u8(&c);
	size_t cut = 1 + cur_u8(&c);
	unsigned coding = options & CODING;
	bool ours = (options & PACKED) != 0 && coding != 2 && coding != 4 && coding != 5 && coding != 7;
	struct span body = span_first(c.rest, ROOM / 2);
	char head[256];
	uint64_t whole;

	if (ours)
		body = packed(body, coding, room, sizeof room);
	(void)snprintf(head, sizeof head, (options & CHUNKED) != 0 ?
	               "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n" :
	               "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", codings[coding], body.len);
	if ((options & CHUNKED) != 0 && body.len == 0)
		return 0;
	if ((options & SHORT) != 0)
		body = span_first(body, body.len / 2);
	struct span tail = span_text((options & (CHUNKED | SHORT)) == CHUNKED ? "\r\n0\r\n\r\n" : "");

	whole = follow(span_text(head), body, tail, 0);
	must(whole == follow(span_text(head), body, tail, cut));
#ifdef HAVE_ZLIB
	must(!ours || (options & SHORT) != 0 || whole == 0);
#endif
	return 0;
}
