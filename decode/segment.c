#include "segment.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_WINDOW_SCALE = 3, OPTION_SACK_PERMITTED = 4,
       OPTION_SACK = 5, OPTION_TIMESTAMPS = 8 };

/* The smaller end comes first, so both directions have one tuple. */
static bool end_less(const struct endpoint *a, const struct endpoint *b)
{
	int order = memcmp(a->address, b->address, sizeof a->address);

	return order != 0 ? order < 0 : a->port < b->port;
}

void segment_tuple(struct segment *s, const struct endpoint *from, const struct endpoint *to)
{
	s->from = end_less(to, from);
	s->tuple.end[s->from] = *from;
	s->tuple.end[!s->from] = *to;
}

bool segment_parse(const struct datagram *d, struct segment *s)
{
	struct cursor c = cursor_of(d->payload);
	struct endpoint from = { .port = cur_u16(&c) }, to = { .port = cur_u16(&c) };
	size_t header;

	s->seq = cur_u32(&c);
	s->ack = cur_u32(&c);
	header = (size_t)(cur_u8(&c) >> 4) * 4;
	s->flags = cur_u8(&c);
	s->window = cur_u16(&c);
	cur_skip(&c, 4);                        /* checksum, urgent pointer */
	if (c.failed || header < 20)
		return false;
	s->malformed = header > d->wire_len;
	if (s->malformed)
		header = 20;
	s->options = cur_take(&c, header - 20);
	if (c.failed)                           /* options cut by snaplen: no payload either */
		s->options = span_none();
	s->payload = c.failed ? span_none() : c.rest;
	s->wire_len = s->malformed ? 0 : d->wire_len - (uint32_t)header;
	if (s->payload.len > s->wire_len)
		s->payload = span_first(s->payload, s->wire_len);
	s->at = d->at;
	s->ttl = d->ttl;
	s->v6 = d->v6;
	s->ip_id = d->ip_id;
	s->tap = d->packet->interface;
	s->filtered = d->packet->filtered;
	memcpy(from.address, d->src, sizeof from.address);
	memcpy(to.address, d->dst, sizeof to.address);
	segment_tuple(s, &from, &to);
	return true;
}

static void option_sack(struct cursor *body, struct tcp_options *o)
{
	while (body->rest.len >= 8 && o->n_sack < 4) {
		o->sack[o->n_sack].left = cur_u32(body);
		o->sack[o->n_sack++].right = cur_u32(body);
	}
}

static void option_one(uint8_t kind, struct cursor *body, struct tcp_options *o)
{
	switch (kind) {
	case OPTION_MSS:
		o->mss = cur_u16(body);
		break;
	case OPTION_WINDOW_SCALE:
		o->window_scale = cur_u8(body);
		break;
	case OPTION_SACK_PERMITTED:
		o->sack_permitted = true;
		break;
	case OPTION_SACK:
		option_sack(body, o);
		break;
	case OPTION_TIMESTAMPS:
		o->tsval = cur_u32(body);
		o->tsecr = cur_u32(body);
		o->timestamps = !body->failed;
		break;
	default:
		break;
	}
}

void segment_options(struct span options, struct tcp_options *o)
{
	struct cursor c = cursor_of(options);

	*o = (struct tcp_options){ .window_scale = 255 };
	while (c.rest.len != 0) {
		uint8_t kind = cur_u8(&c), len;
		struct cursor body;

		if (kind == OPTION_END)
			return;
		if (kind == OPTION_NOP)
			continue;
		len = cur_u8(&c);
		if (len < 2)
			return;
		body = cursor_of(cur_take(&c, len - 2u));
		option_one(kind, &body, o);
	}
}

uint32_t segment_tsval(const struct segment *s)
{
	struct cursor c = cursor_of(s->options);
	struct tcp_options o;

	if (s->options.len == 0)
		return 0;
	if (cur_u32(&c) == 0x0101080aU)
		return cur_u32(&c);
	segment_options(s->options, &o);
	return o.tsval;
}
