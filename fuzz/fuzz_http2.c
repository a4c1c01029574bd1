/* fuzz_http2.c - bytes of both sides of an HTTP/2 connection, with holes
 *
 * Input: one byte (bit 0: joined late), then records of a head byte and their bytes. Head: bit 7 the side, bit 6 a hole of
 * so many bytes, low six bits the length, 63: two more bytes give it. Without holes and from the start the same bytes cut
 * elsewhere must tell the same.
 */
#include "../tests/http2_stub.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* All of it, or, from the start, behind a preface and SETTINGS that need not be found by luck. */
static bool tell_all(struct h2_wire *w, struct span in)
{
	struct cursor c = cursor_of(in);
	bool holes = false;

	while (c.rest.len != 0) {
		uint8_t head = cur_u8(&c);
		enum side from = (head & 0x80) != 0 ? SERVER : CLIENT;
		size_t len = (head & 0x3f) == 63 ? cur_u16(&c) : (head & 0x3f);

		if ((head & 0x40) != 0 && len != 0) {
			h2_gap(w, from, len);
			holes = true;
			continue;
		}
		h2_bytes(w, from, span_first(c.rest, len));
		h2_flush(w);
		c.rest = span_from(c.rest, len);
	}
	h2_end(w, CLIENT, END_FIN);
	h2_end(w, SERVER, END_FIN);
	return holes;
}

static void same(bool ok)
{
	if (!ok)
		abort();
}

static void compare_message(const struct message *a, const struct message *b)
{
	/* What is skipped counts once the skip ends, so of an unfinished body less may be known. */
	same(!a->complete || (a->body_bytes == b->body_bytes && a->missing == b->missing));
	same(a->declared == b->declared && a->head_complete == b->head_complete);
	same(a->complete == b->complete && a->violations == b->violations && a->fields == b->fields);
	same(a->head_bytes == b->head_bytes && a->body_hash == b->body_hash && a->n_broken == b->n_broken);
}

static void compare(struct exchange *a, struct exchange *b)
{
	same(a->f.stream == b->f.stream && a->f.status == b->f.status && a->f.outcome == b->f.outcome);
	same(a->f.method == b->f.method && a->f.target_hash == b->f.target_hash && a->f.n_interim == b->f.n_interim);
	same(span_equal(h2_text(a, a->f.request_head), h2_text(b, b->f.request_head)));
	same(span_equal(h2_text(a, a->f.body), h2_text(b, b->f.body)));
	same(a->h2.rst_code[SERVER] == b->h2.rst_code[SERVER] && a->h2.error_rule == b->h2.error_rule);
	compare_message(&a->f.request, &b->f.request);
	compare_message(&a->f.response, &b->f.response);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct span in = span_from(span_of(bytes, n), 1);
	bool late = n != 0 && (bytes[0] & 1) != 0, holes;
	struct h2_wire *whole = h2_new(late), *cut = h2_new(late);

	cut->cut = 1 + (n != 0 ? bytes[0] >> 4 : 0);
	if (!late) {
		h2_open(whole);
		h2_open(cut);
	}
	holes = tell_all(whole, in);
	tell_all(cut, in);
	if (!holes && !late) {
		same(whole->c.n_told == cut->c.n_told);
		for (unsigned i = 0; i < whole->c.n_told; i++)
			compare(h2_told(whole, i), h2_told(cut, i));
	}
	h2_free(whole);
	h2_free(cut);
	return 0;
}
