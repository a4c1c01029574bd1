/* pcapng.c - blocks: sections, interfaces, packets, drop counters, TLS secrets
 *
 * https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html; names as there. Every block is
 * type(4) total length(4) body total length again(4), padded to 4 bytes.
 */
#include "limits.h"
#include "reader.h"

#include <stdlib.h>

enum {
	BLOCK_INTERFACE = 1, BLOCK_OLD_PACKET = 2, BLOCK_SIMPLE_PACKET = 3, BLOCK_STATISTICS = 5,
	BLOCK_ENHANCED_PACKET = 6, BLOCK_JOURNAL = 9, BLOCK_SECRETS = 10, BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_CUSTOM = 0xbad, BLOCK_CUSTOM_KEPT_HERE = 0x40000bad,      /* not to be copied to other files */

	BLOCK_HEAD_BYTES = 8, BLOCK_TAIL_BYTES = 4, BLOCK_LEAST_BYTES = 12,
	SECTION_HEAD_BYTES = 12,                /* with its byte-order magic */
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,

	OPTION_END = 0,
	IF_NAME = 2, IF_DESCRIPTION = 3, IF_IPV4 = 4, IF_IPV6 = 5, IF_MAC = 6, IF_EUI = 7, IF_TSRESOL = 9, IF_FILTER = 11, IF_OS = 12,
	IF_TSOFFSET = 14, IF_HARDWARE = 15,
	EPB_FLAGS = 2, EPB_DROPCOUNT = 4,
	ISB_IFDROP = 5, ISB_OSDROP = 7,

	SECRETS_TLS_KEY_LOG = 0x544c534b,
	OLD_PACKET_DROPS_UNKNOWN = 0xffff,
	RESOLUTION_US = 6                       /* where if_tsresol is not there */
};

/* ---- options ---- */

struct option { uint16_t code; struct span value; };

/* The next option, or false: the list ended, or it is broken and the rest of it is left. */
static bool option_next(const struct reader *r, struct cursor *c, struct option *o)
{
	uint16_t length;

	if (c->rest.len == 0)
		return false;
	o->code = reader_u16(r, c);
	length = reader_u16(r, c);
	o->value = cur_take(c, length);
	/* The last one's padding may be missing: written so by some. */
	cur_skip(c, (4U - length % 4U) % 4U < c->rest.len ? (4U - length % 4U) % 4U : c->rest.len);
	return !c->failed && o->code != OPTION_END;
}

static uint64_t option_u32(const struct reader *r, struct span value)
{
	struct cursor c = cursor_of(value);

	return reader_u32(r, &c);
}

static uint64_t option_u64(const struct reader *r, struct span value)
{
	struct cursor c = cursor_of(value);
	uint64_t first = reader_u32(r, &c), second = reader_u32(r, &c);

	return r->big_endian ? first << 32 | second : second << 32 | first;
}

/* ---- time ---- */

/* Ticks of 10^-n or 2^-n s (if_tsresol) in ns; more than fits becomes the most that does. */
static int64_t ticks_to_ns(uint64_t ticks, uint8_t resolution)
{
	static const uint64_t ten_to[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };
	unsigned n = resolution & 0x7f;
	uint64_t ns;

	if (resolution & 0x80) {
		__extension__ unsigned __int128 wide = (unsigned __int128)ticks * (uint64_t)NS_PER_S;

		wide = n < 128 ? wide >> n : 0;
		ns = wide > TIME_MAX_NS ? TIME_MAX_NS : (uint64_t)wide;
	} else if (n <= 9) {
		if (__builtin_mul_overflow(ticks, ten_to[9 - n], &ns))
			ns = TIME_MAX_NS;
	} else {
		for (ns = ticks; n > 9 && ns > 0; n--)
			ns /= 10;
	}
	return ns > TIME_MAX_NS ? TIME_MAX_NS : (int64_t)ns;
}

static int64_t interface_time(const struct reader *r, const struct section_interface *i, uint64_t ticks)
{
	int64_t ns = ticks_to_ns(ticks, i->resolution), offset_ns;

	if (i->offset_s != 0 && !__builtin_mul_overflow(i->offset_s, NS_PER_S, &offset_ns))
		ns = time_clamp(ns, offset_ns);
	return time_clamp(ns, r->shift_ns);
}

/* ---- blocks that carry packets ---- */

struct raw_packet { uint32_t interface, caplen, len; uint64_t ticks; bool has_time; struct cursor body; };

/* Hands on a packet whose data begins at x->body. */
static enum fill add_packet(struct reader *r, struct packet_batch *b, struct raw_packet *x)
{
	struct section_interface *i;
	struct span data;

	if (x->body.failed)
		return reader_bad(r, ERR_FORMAT, "its block is too short: the file is damaged");
	if (x->interface >= r->n_section)
		return reader_bad(r, ERR_FORMAT, "came in at interface %u of %u: the file is damaged", x->interface, r->n_section);
	if (x->caplen > LIMIT_PACKET_BYTES)
		return reader_bad(r, ERR_FORMAT, "claims %u captured bytes, more than %u: the file is damaged",
		                  x->caplen, (unsigned)LIMIT_PACKET_BYTES);
	data = cur_take(&x->body, x->caplen);
	if (x->body.failed)
		return reader_bad(r, ERR_FORMAT, "claims %u captured bytes, more than its block has: the file is damaged", x->caplen);
	i = &r->section[x->interface];
	if (x->has_time)        /* a simple packet has none, and takes that of the one before */
		r->last_ns = interface_time(r, i, x->ticks);
	b->packets[b->n++] = (struct packet){
		.bytes = data.at,
		.caplen = x->caplen,
		.len = x->len > x->caplen ? x->len : x->caplen,
		.time_ns = r->last_ns,
		.frame = ++r->frames,
		.offset = r->offset,
		.link_type = i->link_type,
		.interface = i->index,
		.file = r->file,
	};
	return FILL_AGAIN;
}

/* What the options after an enhanced packet say of it: its direction, and how many were missed before it. */
static void packet_options(const struct reader *r, struct cursor c, uint32_t caplen, struct packet *p,
                           struct section_interface *i)
{
	struct option o;

	cur_skip(&c, (4U - caplen % 4U) % 4U);
	while (option_next(r, &c, &o)) {
		if (o.code == EPB_FLAGS) {
			uint64_t bits = option_u32(r, o.value) & 3;

			p->direction = bits == 1 ? DIRECTION_IN : bits == 2 ? DIRECTION_OUT : DIRECTION_UNKNOWN;
		} else if (o.code == EPB_DROPCOUNT) {
			i->dropped_before_packets += option_u64(r, o.value);
		}
	}
}

static enum fill enhanced_packet(struct reader *r, struct cursor c, struct packet_batch *b)
{
	struct raw_packet x = { .has_time = true };
	enum fill fill;

	x.interface = reader_u32(r, &c);
	x.ticks = (uint64_t)reader_u32(r, &c) << 32;
	x.ticks |= reader_u32(r, &c);
	x.caplen = reader_u32(r, &c);
	x.len = reader_u32(r, &c);
	x.body = c;
	fill = add_packet(r, b, &x);
	if (fill == FILL_AGAIN && x.body.rest.len > 3)
		packet_options(r, x.body, x.caplen, &b->packets[b->n - 1], &r->section[x.interface]);
	return fill;
}

static enum fill old_packet(struct reader *r, struct cursor c, struct packet_batch *b)
{
	struct raw_packet x = { .has_time = true };
	uint16_t drops;
	enum fill fill;

	x.interface = reader_u16(r, &c);
	drops = reader_u16(r, &c);
	x.ticks = (uint64_t)reader_u32(r, &c) << 32;
	x.ticks |= reader_u32(r, &c);
	x.caplen = reader_u32(r, &c);
	x.len = reader_u32(r, &c);
	x.body = c;
	fill = add_packet(r, b, &x);
	if (fill == FILL_AGAIN && drops != OLD_PACKET_DROPS_UNKNOWN)
		r->section[x.interface].dropped_before_packets += drops;
	return fill;
}

/* It has no captured length: that is the smallest of the length, the snaplen, and the block's body. */
static enum fill simple_packet(struct reader *r, struct cursor c, struct packet_batch *b)
{
	struct raw_packet x = { .interface = 0 };
	uint32_t snaplen = r->n_section > 0 ? r->section[0].snaplen : 0;

	x.len = reader_u32(r, &c);
	x.body = c;
	x.caplen = x.len;
	if (snaplen != 0 && snaplen < x.caplen)
		x.caplen = snaplen;
	if (c.rest.len < x.caplen)
		x.caplen = (uint32_t)c.rest.len;
	return add_packet(r, b, &x);
}

/* A line of the systemd journal or a block of somebody's own is no packet, but Wireshark counts it as
 * a frame, so the packets after it have numbers one higher. */
static enum fill other_frame(struct reader *r, struct cursor c, struct packet_batch *b)
{
	(void)c;
	(void)b;
	r->frames++;
	return FILL_AGAIN;
}

/* ---- the others ---- */

/* Counters of the section that ends are kept in sum. */
static void close_section(struct reader *r)
{
	reader_drops(r, &r->kernel_dropped, &r->interface_dropped);
	r->n_section = 0;
}

static enum fill section_header(struct reader *r, struct cursor c, struct packet_batch *b)
{
	uint16_t major;

	(void)b;
	cur_skip(&c, 4);                        /* the byte-order magic, read before */
	major = reader_u16(r, &c);
	if (c.failed || major != 1)
		return reader_bad(r, ERR_FORMAT, "version %u of pcapng is not known (1 is)", major);
	close_section(r);
	return FILL_AGAIN;
}

static struct section_interface *section_grow(struct reader *r)
{
	if (r->n_section == r->room_section) {
		unsigned room = r->room_section != 0 ? r->room_section * 2 : 4;
		struct section_interface *rows = realloc(r->section, room * sizeof *rows);

		if (rows == NULL)
			return NULL;
		r->section = rows;
		r->room_section = room;
	}
	return &r->section[r->n_section];
}

/* Described again, in whatever byte order: texts and addresses. What tells how its time stamps are to be read is not kept. */
static const uint16_t kept_options[] = { IF_DESCRIPTION, IF_IPV4, IF_IPV6, IF_MAC, IF_EUI, IF_FILTER, IF_OS, IF_HARDWARE };

enum { KEPT_OPTIONS_BYTES = 1024 };
struct kept_options { size_t n; uint8_t bytes[KEPT_OPTIONS_BYTES]; };

static void keep_option(struct kept_options *k, const struct option *o)
{
	size_t padded = (o->value.len + 3) & ~(size_t)3;
	bool kept = false;

	for (size_t i = 0; i < sizeof kept_options / sizeof kept_options[0]; i++)
		kept = kept || kept_options[i] == o->code;
	if (!kept || o->value.len == 0 || padded + 4 > sizeof k->bytes - k->n)
		return;
	k->bytes[k->n] = (uint8_t)o->code;
	k->bytes[k->n + 1] = 0;
	k->bytes[k->n + 2] = (uint8_t)o->value.len;
	k->bytes[k->n + 3] = (uint8_t)(o->value.len >> 8);
	memset(k->bytes + k->n + 4, 0, padded);
	memcpy(k->bytes + k->n + 4, o->value.at, o->value.len);
	k->n += padded + 4;
}

static enum fill interface_description(struct reader *r, struct cursor c, struct packet_batch *b)
{
	struct section_interface i = { .resolution = RESOLUTION_US }, *slot;
	struct span name = span_none();
	struct kept_options kept = { .n = 0 };
	struct option o;

	(void)b;
	i.link_type = reader_u16(r, &c);
	cur_skip(&c, 2);
	i.snaplen = reader_u32(r, &c);
	if (c.failed)
		return reader_bad(r, ERR_FORMAT, "the interface before it is too short: the file is damaged");
	while (option_next(r, &c, &o)) {
		if (o.code == IF_NAME)
			name = span_first(o.value, span_index(o.value, 0));
		else if (o.code == IF_TSRESOL)
			i.resolution = span_at(o.value, 0);
		else if (o.code == IF_TSOFFSET)
			i.offset_s = (int64_t)option_u64(r, o.value);
		else
			keep_option(&kept, &o);
	}
	slot = section_grow(r);
	if (slot == NULL || !interface_add(r->interfaces, name,
	                                   (struct source_interface){ .link_type = i.link_type, .file = r->file, .snaplen = i.snaplen,
	                                                              .options = kept.bytes, .options_len = (uint16_t)kept.n },
	                                   &i.index))
		return reader_bad(r, ERR_MEMORY, "no room for another interface (%u are there)", r->interfaces->n);
	*slot = i;
	r->n_section++;
	return FILL_AGAIN;
}

/* Counters since the capture began, so the newest block of an interface holds them all. */
static enum fill interface_statistics(struct reader *r, struct cursor c, struct packet_batch *b)
{
	uint32_t id = reader_u32(r, &c);
	struct option o;

	(void)b;
	cur_skip(&c, 8);                        /* the time */
	if (c.failed || id >= r->n_section)
		return FILL_AGAIN;
	while (option_next(r, &c, &o)) {
		if (o.code == ISB_IFDROP)
			r->section[id].dropped_by_interface = option_u64(r, o.value);
		else if (o.code == ISB_OSDROP)
			r->section[id].dropped_by_kernel = option_u64(r, o.value);
	}
	return FILL_AGAIN;
}

static enum fill decryption_secrets(struct reader *r, struct cursor c, struct packet_batch *b)
{
	uint32_t type = reader_u32(r, &c), length = reader_u32(r, &c);
	struct span text = span_first(c.rest, length);

	(void)b;
	if (!c.failed && type == SECRETS_TLS_KEY_LOG && r->on_secrets != NULL)
		r->on_secrets(r->secrets_ctx, text);
	return FILL_AGAIN;
}

/* ---- blocks ---- */

struct block_kind {
	uint32_t type;
	enum fill (*take)(struct reader *r, struct cursor body, struct packet_batch *b);
};

static const struct block_kind kinds[] = {     /* the commonest first */
	{ BLOCK_ENHANCED_PACKET, enhanced_packet },
	{ BLOCK_SIMPLE_PACKET, simple_packet },
	{ BLOCK_OLD_PACKET, old_packet },
	{ BLOCK_STATISTICS, interface_statistics },
	{ BLOCK_INTERFACE, interface_description },
	{ BLOCK_SECRETS, decryption_secrets },
	{ BLOCK_SECTION, section_header },
	{ BLOCK_JOURNAL, other_frame },
	{ BLOCK_CUSTOM, other_frame },
	{ BLOCK_CUSTOM_KEPT_HERE, other_frame },
};

static const struct block_kind *kind_find(uint32_t type)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

/* A section says by a magic number in which order its bytes are, its own length included. */
static bool section_order(struct reader *r, struct span block)
{
	struct cursor c = cursor_of(span_from(block, BLOCK_HEAD_BYTES));
	uint32_t magic = cur_u32(&c);

	if (magic != BYTE_ORDER_MAGIC && magic != __builtin_bswap32(BYTE_ORDER_MAGIC))
		return false;
	r->big_endian = magic == BYTE_ORDER_MAGIC;
	return true;
}

/* The block at the start of what is there; its length ends up in *length. */
static enum fill take_block(struct reader *r, struct packet_batch *b, uint32_t *length)
{
	struct span rest = reader_rest(r), body;
	struct cursor c = cursor_of(rest);
	const struct block_kind *kind;
	uint32_t type = reader_u32(r, &c);

	if (rest.len < SECTION_HEAD_BYTES)
		return FILL_MORE;
	if (type == BLOCK_SECTION && !section_order(r, rest))
		return reader_bad(r, ERR_FORMAT, "the section before it has no byte order: the file is damaged");
	*length = reader_u32(r, &c);
	if (*length < BLOCK_LEAST_BYTES || *length % 4 != 0 || *length > LIMIT_PCAPNG_BLOCK)
		return reader_bad(r, ERR_FORMAT, "a block claims %u bytes: the file is damaged", *length);
	kind = kind_find(type);
	if (kind == NULL)
		return FILL_AGAIN;              /* of no interest, so it need not be here whole */
	if (*length > rest.len)
		return FILL_MORE;
	body = cur_take(&c, *length - BLOCK_LEAST_BYTES);
	if (reader_u32(r, &c) != *length)
		return reader_bad(r, ERR_FORMAT, "a block's two lengths differ: the file is damaged");
	return kind->take(r, cursor_of(body), b);
}

static enum fill pcapng_fill(struct reader *r, struct packet_batch *b)
{
	uint32_t length = 0;

	while (b->n < PACKETS_PER_BATCH && r->skip == 0) {
		enum fill fill = take_block(r, b, &length);

		if (fill != FILL_AGAIN)
			return fill;
		reader_use(r, length);
	}
	return b->n == PACKETS_PER_BATCH ? FILL_FULL : FILL_MORE;
}

enum fill pcapng_begin(struct reader *r, struct packet_batch *b)
{
	r->fill = pcapng_fill;
	return pcapng_fill(r, b);
}
