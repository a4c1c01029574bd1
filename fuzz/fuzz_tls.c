/* fuzz_tls.c - two sides of a connection that begin as TLS: records, hellos, certificates, with holes and an end
 *
 * The input is a list of events: a byte that says which, two that say how long, and so many bytes. What is said first
 * is put behind the head of a handshake record if it does not look like one, so that it reaches the decoder.
 */
#include "../tests/tls_wire.h"

enum { EVENT_SERVER = 1, EVENT_UNSEEN = 2, EVENT_BYTEWISE = 4, EVENT_RECORD = 8, EVENT_FIN = 16, EVENT_KEYS = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As one record of the kind that the event's upper bits choose: its length is right, what is in it is not. */
static void send_record(struct wire *w, enum side from, uint8_t event, struct span bytes)
{
	uint8_t head[5] = { (uint8_t)(20 + (event >> 6)), 3, 3, (uint8_t)(bytes.len >> 8), (uint8_t)bytes.len };

	wire_send(w, from, span_of(head, sizeof head));
	wire_send(w, from, bytes);
}

static void play(struct wire *w, struct secrets *s, uint8_t event, struct span bytes)
{
	enum side from = (event & EVENT_SERVER) != 0 ? SERVER : CLIENT;

	if ((event & EVENT_KEYS) != 0) {
		secrets_text(s, bytes);
		return;
	}
	w->unseen = (event & EVENT_UNSEEN) != 0;
	w->segment = (event & EVENT_BYTEWISE) != 0 ? 1 + bytes.len / 64 : 0;
	if ((event & EVENT_RECORD) != 0)
		send_record(w, from, event, bytes);
	else
		wire_send(w, from, bytes);
	if ((event & EVENT_FIN) != 0)
		wire_fin(w, from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(span_of(data, size));
	struct secrets *s = secrets_new();
	struct wire w = wire_new();

	if (span_at(c.rest, 0) == 1) {
		secrets_set_may_come(s);
		(void)cur_u8(&c);
	}
	while (c.rest.len > 3) {
		uint8_t event = cur_u8(&c);
		size_t n = cur_u16(&c);

		play(&w, s, event, cur_take(&c, n < c.rest.len ? n : c.rest.len));
	}
	wire_decode(&w, s);
	wire_free(&w);
	secrets_free(s);
	return 0;
}
