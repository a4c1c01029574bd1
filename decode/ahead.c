/* ahead.c - segments that were captured before what they answer
 *
 * Taps, queues of a network card and processors each hand over their packets in order, but one may be a little late:
 * an answer is then captured before its question, a SYN-ACK's acknowledgement before the SYN-ACK. TCP itself says so: a
 * segment that acknowledges what its peer has not been seen to send is ahead. It waits, and its sender's others behind it, until
 * that has come; after JITTER_NS it is taken as the capture's loss, which tcp_take() then finds.
 */
#include "decoder.h"

/* Two interfaces differ by a millisecond or so (measured; softirq and ring wake-ups): three times that. */
#define JITTER_NS (3 * NS_PER_MS)

enum {
	HELD_MAX = 64,          /* of a connection; a window of small segments on a local network */
	FAR = 1 << 24           /* no acknowledgement of this connection's: as in tcp.c */
};

struct held_segment {
	struct held_segment *next;
	int64_t  since_ns;
	size_t   size;          /* of all */
	struct segment s;       /* its spans are the bytes behind */
	uint8_t  bytes[];
};

static bool is_ahead(const struct decoder *d, const struct conn *c, const struct segment *s, enum side from)
{
	enum side other = side_other(from);
	const struct flow *f = &c->flow[other];
	uint32_t beyond;

	if ((s->flags & (TCP_ACK | TCP_SYN)) != TCP_ACK)
		return false;
	if (!f->seq_known)                      /* the end of the handshake, and no SYN-ACK yet */
		return from == CLIENT && !c->joined_late && c->syn_ack.packet == 0;
	/* That direction is not captured, unless the connection has only begun, by its SYN-ACK. */
	if (f->ttl_max == 0 && (c->syn_ack.packet == 0 || d->now.time_ns - c->first.time_ns >= JITTER_NS))
		return false;
	if (from == SERVER && !c->joined_late && c->syn_ack.packet == 0 && s->wire_len == 0)
		return false;                   /* an older connection's, perhaps: segment_is_strange_ack() */
	beyond = conn_seq_after(s->ack, f->top);
	return beyond != 0 && beyond < FAR;
}

static bool one_waits(const struct conn *c, uint8_t from)
{
	for (const struct held_segment *h = c->detail->held; h != NULL; h = h->next)
		if (h->s.from == from)
			return true;
	return false;
}

static struct held_segment *held_new(struct decoder *d, const struct segment *s)
{
	size_t size = sizeof(struct held_segment) + s->options.len + s->payload.len;
	struct held_segment *h = decoder_alloc(d, size);

	if (h == NULL)
		return NULL;
	*h = (struct held_segment){ .since_ns = d->now.time_ns, .size = size, .s = *s };
	memcpy(h->bytes, s->options.at, s->options.len);
	memcpy(h->bytes + s->options.len, s->payload.at, s->payload.len);
	h->s.options = span_of(h->bytes, s->options.len);
	h->s.payload = span_of(h->bytes + s->options.len, s->payload.len);
	return h;
}

bool ahead_hold(struct decoder *d, struct conn *c, const struct segment *s, enum side from)
{
	struct held_segment **end = &c->detail->held, *h;

	/* The server's own packets are in order: its SYN-ACK will not come any more. */
	if (from == SERVER && !c->joined_late && c->syn_ack.packet == 0 && (s->flags & TCP_SYN) == 0)
		ahead_release(d, c, true);
	if (!is_ahead(d, c, s, from) && (c->detail->held == NULL || !one_waits(c, s->from)))
		return false;
	if (c->detail->n_held == HELD_MAX)
		ahead_release(d, c, true);
	h = held_new(d, s);
	if (h == NULL) {
		ahead_release(d, c, true);
		return false;
	}
	while (*end != NULL)
		end = &(*end)->next;
	*end = h;
	c->detail->n_held++;
	return true;
}

/* The first whose turn has come: it waits for nothing any more, or has waited long enough; a side's in their order. */
static struct held_segment **whose_turn(struct decoder *d, struct conn *c, bool all)
{
	bool waits[2] = { false, false };

	for (struct held_segment **link = &c->detail->held; *link != NULL; link = &(*link)->next) {
		struct held_segment *h = *link;
		bool due = all || d->now.time_ns - h->since_ns >= JITTER_NS;

		if (!waits[h->s.from] && (due || !is_ahead(d, c, &h->s, segment_side(c, &h->s))))
			return link;
		waits[h->s.from] = true;
	}
	return NULL;
}

void ahead_release(struct decoder *d, struct conn *c, bool all)
{
	struct held_segment **link;

	while (c->detail != NULL && c->detail->held != NULL && (link = whose_turn(d, c, all)) != NULL) {
		struct held_segment *h = *link;

		*link = h->next;
		c->detail->n_held--;
		tcp_take(d, c, &h->s, segment_side(c, &h->s));
		decoder_release(d, h, h->size);
	}
}

void ahead_drop(struct decoder *d, struct conn *c)
{
	while (c->detail->held != NULL) {
		struct held_segment *h = c->detail->held;

		c->detail->held = h->next;
		decoder_release(d, h, h->size);
	}
	c->detail->n_held = 0;
}
