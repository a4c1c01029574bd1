/* pcapng_write.c - packets out again. https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html */
#include "pcapng_write.h"

#include <stdlib.h>

enum {
	BLOCK_INTERFACE = 1, BLOCK_ENHANCED_PACKET = 6, BLOCK_SECRETS = 10, BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_FRAME_BYTES = 12,                 /* type, and the length twice */
	SECTION_BYTES = 16, INTERFACE_BYTES = 8, PACKET_BYTES = 20, SECRETS_BYTES = 8,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	OPTION_END = 0, OPTION_COMMENT = 1, OPTION_HEAD_BYTES = 4,
	SHB_USERAPPL = 4, IF_NAME = 2, IF_TSRESOL = 9, EPB_FLAGS = 2,
	RESOLUTION_NS = 9,
	SECRETS_TLS_KEY_LOG = 0x544c534b
};

struct pcapng_out {
	struct byte_sink sink;
	uint32_t *ids;                  /* of each row of the source's table, plus one; 0: not described yet */
	unsigned n, n_ids;
};

struct pcapng_out *pcapng_out_new(struct byte_sink sink)
{
	struct pcapng_out *o = calloc(1, sizeof *o);

	if (o != NULL)
		o->sink = sink;
	return o;
}

void pcapng_out_free(struct pcapng_out *o)
{
	if (o == NULL)
		return;
	free(o->ids);
	free(o);
}

/* ---- pieces -------------------------------------------------------------------------------- */

static void put(struct pcapng_out *o, struct span s)
{
	if (s.len != 0)
		o->sink.bytes(o->sink.ctx, s);
}

static void put_u16(struct pcapng_out *o, uint16_t n)
{
	const uint8_t bytes[] = { (uint8_t)n, (uint8_t)(n >> 8) };

	put(o, span_of(bytes, sizeof bytes));
}

static void put_u32(struct pcapng_out *o, uint32_t n)
{
	put_u16(o, (uint16_t)n);
	put_u16(o, (uint16_t)(n >> 16));
}

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static void put_padded(struct pcapng_out *o, struct span s)
{
	static const uint8_t zeros[4];

	put(o, s);
	put(o, span_of(zeros, padded(s.len) - s.len));
}

static size_t option_bytes(struct span value)
{
	return OPTION_HEAD_BYTES + padded(value.len);
}

static void put_option(struct pcapng_out *o, uint16_t code, struct span value)
{
	put_u16(o, code);
	put_u16(o, (uint16_t)value.len);
	put_padded(o, value);
}

static void put_options_end(struct pcapng_out *o)
{
	put_u32(o, OPTION_END);
}

/* A comment is cut before a character that would be cut. */
static struct span comment_cut(struct span text)
{
	struct span s = span_first(text, PCAPNG_COMMENT_MAX);

	while (s.len < text.len && s.len > 0 && (text.at[s.len] & 0xc0) == 0x80)
		s.len--;
	return s;
}

static uint32_t begin_block(struct pcapng_out *o, uint32_t type, size_t body)
{
	uint32_t length = (uint32_t)(body + BLOCK_FRAME_BYTES);

	put_u32(o, type);
	put_u32(o, length);
	return length;
}

/* ---- blocks -------------------------------------------------------------------------------- */

void pcapng_section(struct pcapng_out *o, const char *application, struct span comment)
{
	struct span text = comment_cut(comment), who = span_text(application);
	uint32_t length = begin_block(o, BLOCK_SECTION, SECTION_BYTES + option_bytes(text) + option_bytes(who) + OPTION_HEAD_BYTES);

	put_u32(o, BYTE_ORDER_MAGIC);
	put_u16(o, 1);                  /* version 1.0 */
	put_u16(o, 0);
	put_u32(o, UINT32_MAX);         /* the section's length is not told */
	put_u32(o, UINT32_MAX);
	put_option(o, OPTION_COMMENT, text);
	put_option(o, SHB_USERAPPL, who);
	put_options_end(o);
	put_u32(o, length);
}

void pcapng_secrets(struct pcapng_out *o, struct span keylog_text)
{
	uint32_t length = begin_block(o, BLOCK_SECRETS, SECRETS_BYTES + padded(keylog_text.len));

	put_u32(o, SECRETS_TLS_KEY_LOG);
	put_u32(o, (uint32_t)keylog_text.len);
	put_padded(o, keylog_text);
	put_u32(o, length);
}

/* What the capture said of it comes as options already (source.h). */
static void put_interface(struct pcapng_out *o, const struct source_interface *i)
{
	static const uint8_t resolution = RESOLUTION_NS;
	struct span name = span_text(i->name), others = span_of(i->options, i->options_len);
	size_t names = name.len != 0 ? option_bytes(name) : 0;
	uint32_t length = begin_block(o, BLOCK_INTERFACE, INTERFACE_BYTES + names + others.len +
	                              option_bytes(span_of(&resolution, 1)) + OPTION_HEAD_BYTES);

	put_u16(o, i->link_type);
	put_u16(o, 0);
	put_u32(o, i->snaplen);
	if (name.len != 0)
		put_option(o, IF_NAME, name);
	put(o, others);
	put_option(o, IF_TSRESOL, span_of(&resolution, 1));
	put_options_end(o);
	put_u32(o, length);
}

static bool interface_id(struct pcapng_out *o, const struct packet *p, const struct source_interface *i, uint32_t *id)
{
	if (p->interface >= o->n) {
		unsigned n = (unsigned)p->interface + 8;
		uint32_t *more = realloc(o->ids, n * sizeof *more);

		if (more == NULL)
			return false;
		memset(more + o->n, 0, (n - o->n) * sizeof *more);
		o->ids = more;
		o->n = n;
	}
	if (o->ids[p->interface] == 0) {
		put_interface(o, i);
		o->ids[p->interface] = ++o->n_ids;
	}
	*id = o->ids[p->interface] - 1;
	return true;
}

static void put_packet_options(struct pcapng_out *o, const struct packet *p, const struct span *comments, unsigned n)
{
	const uint8_t flags[4] = { p->direction };      /* 1 inbound, 2 outbound, as enum direction has them */

	for (unsigned k = 0; k < n; k++)
		put_option(o, OPTION_COMMENT, comment_cut(comments[k]));
	if (p->direction != DIRECTION_UNKNOWN)
		put_option(o, EPB_FLAGS, span_of(flags, sizeof flags));
	if (n != 0 || p->direction != DIRECTION_UNKNOWN)
		put_options_end(o);
}

static size_t packet_options_bytes(const struct packet *p, const struct span *comments, unsigned n)
{
	size_t sum = n != 0 || p->direction != DIRECTION_UNKNOWN ? OPTION_HEAD_BYTES : 0;

	for (unsigned k = 0; k < n; k++)
		sum += option_bytes(comment_cut(comments[k]));
	return sum + (p->direction != DIRECTION_UNKNOWN ? OPTION_HEAD_BYTES + 4 : 0);
}

bool pcapng_packet(struct pcapng_out *o, const struct packet *p, const struct source_interface *i, const struct span *comments, unsigned n)
{
	uint64_t ticks = (uint64_t)p->time_ns;
	uint32_t id, length;

	if (!interface_id(o, p, i, &id))
		return false;
	length = begin_block(o, BLOCK_ENHANCED_PACKET, PACKET_BYTES + padded(p->caplen) + packet_options_bytes(p, comments, n));
	put_u32(o, id);
	put_u32(o, (uint32_t)(ticks >> 32));
	put_u32(o, (uint32_t)ticks);
	put_u32(o, p->caplen);
	put_u32(o, p->len);
	put_padded(o, span_of(p->bytes, p->caplen));
	put_packet_options(o, p, comments, n);
	put_u32(o, length);
	return true;
}
