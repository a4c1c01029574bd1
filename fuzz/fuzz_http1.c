/* fuzz_http1.c - two sides of a connection, in packets, with holes and an end, as HTTP/1
 *
 * The input is a list of events: a byte that says which, one that says how long, and so many bytes.
 * Whatever they are, each exchange is told, and all memory given back.
 */
#include "../tests/http1_stub.h"


enum { EVENT_SIDE = 1, EVENT_LONG = 2, EVENT_GAP = 4, EVENT_END = 8, EVENT_BYTEWISE = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum ending ending_of(uint8_t length)
{
	static const enum ending endings[] = { END_FIN, END_RST, END_CAPTURE, END_EVICTED };

	return endings[length & 3];
}

static void event(struct wire *w, struct cursor *c)
{
	uint8_t what = cur_u8(c), length = cur_u8(c);
	enum side from = (what & EVENT_SIDE) != 0 ? SERVER : CLIENT;
	size_t n = (what & EVENT_LONG) != 0 ? (size_t)length * 16 : length;

	if ((what & EVENT_END) != 0 && (what & 0xe0) == 0) {
		wire_end(w, from, ending_of(length));
		return;
	}
	if ((what & EVENT_GAP) != 0) {
		wire_gap(w, from, n + 1, (what & EVENT_LONG) != 0 ? WHY_CUT : WHY_LOST);
		return;
	}
	w->cut = (what & EVENT_BYTEWISE) != 0 ? 1 : 0;
	wire_send(w, from, cur_take(c, n < c->rest.len ? n : c->rest.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(span_of(data, size));
	uint8_t options = cur_u8(&c);
	struct wire *w = wire_new((options & 1) != 0);

	w->c.free_at_once = (options & 2) != 0;
	w->c.listing = (options & 4) != 0;
	w->c.open_max = (options & 8) != 0 ? 3 : 0;
	w->c.fail_at = options >> 4;
	while (c.rest.len != 0 && !c.failed)
		event(w, &c);
	wire_end(w, SERVER, (options & 32) != 0 ? END_RST : END_CAPTURE);
	wire_finish(w);
	return 0;
}
