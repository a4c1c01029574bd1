/* pcap.c - the classic format: a head of 24 bytes, then records one after the other
 *
 * https://www.tcpdump.org/manpages/pcap-savefile.5.html
 */
#include "limits.h"
#include "reader.h"

enum { FILE_HEAD_BYTES = 24, RECORD_HEAD_BYTES = 16, LONG_RECORD_HEAD_BYTES = 24 };

/* Bits 0-15 name the link type; 26 and 28-31 tell of frame check sequences. Others make a type that
 * nobody has defined here. */
enum { LINK_TYPE_CLASS_BITS = 0x03ff0000, LINK_TYPE_UNKNOWN = 0xffff };

/* pkttype of a modified record is a sll_pkttype: packet(7). */
enum { PACKET_TYPE_OUTGOING = 4 };

struct record { uint32_t sec, frac, caplen, len; uint8_t direction; struct span data; };

/* One record from c; failed: it is not all here yet. */
static inline bool take_record(const struct reader *r, struct cursor *c, struct record *x)
{
	x->sec = reader_u32(r, c);
	x->frac = reader_u32(r, c);
	x->caplen = reader_u32(r, c);
	x->len = reader_u32(r, c);
	x->direction = DIRECTION_UNKNOWN;
	if (r->long_records) {          /* interface index(4) protocol(2) packet type(1) padding(1) */
		cur_skip(c, 6);
		x->direction = cur_u8(c) == PACKET_TYPE_OUTGOING ? DIRECTION_OUT : DIRECTION_IN;
		cur_skip(c, 1);
	}
	/* Before 2.4 some wrote the two lengths in the other order (pcap-savefile(5)). */
	if (r->minor < 4 && x->caplen > x->len) {
		uint32_t len = x->caplen;

		x->caplen = x->len;
		x->len = len;
	}
	if (c->failed || x->caplen > LIMIT_PACKET_BYTES)
		return false;
	x->data = cur_take(c, x->caplen);
	return !c->failed;
}

static enum fill pcap_fill(struct reader *r, struct packet_batch *b)
{
	const size_t head = r->long_records ? LONG_RECORD_HEAD_BYTES : RECORD_HEAD_BYTES;
	struct cursor c = cursor_of(reader_rest(r));
	struct record x;

	while (b->n < PACKETS_PER_BATCH) {
		if (!take_record(r, &c, &x))
			return c.failed ? FILL_MORE
			                : reader_bad(r, ERR_FORMAT, "claims %u captured bytes, more than %u: the file is damaged",
			                             x.caplen, (unsigned)LIMIT_PACKET_BYTES);
		r->last_ns = time_clamp(x.sec * NS_PER_S + (int64_t)x.frac * r->frac_ns, r->shift_ns);
		b->packets[b->n++] = (struct packet){
			.bytes = x.data.at,
			.caplen = x.caplen,
			.len = x.len > x.caplen ? x.len : x.caplen,
			.time_ns = r->last_ns,
			.frame = ++r->frames,
			.offset = r->offset,
			.link_type = r->link_type,
			.interface = r->interface,
			.file = r->file,
			.direction = x.direction,
		};
		reader_use(r, head + x.caplen);
	}
	return FILL_FULL;
}

enum fill pcap_begin(struct reader *r, struct packet_batch *b)
{
	struct cursor c = cursor_of(reader_rest(r));
	uint16_t major;
	uint32_t snaplen, network;

	(void)b;
	cur_skip(&c, 4);                        /* the magic number */
	major = reader_u16(r, &c);
	r->minor = reader_u16(r, &c);
	cur_skip(&c, 8);                        /* time zone and accuracy: always 0 */
	snaplen = reader_u32(r, &c);
	network = reader_u32(r, &c);
	if (c.failed)
		return FILL_MORE;
	if (major != 2)
		return reader_bad(r, ERR_FORMAT, "version %u.%u of the format is not known (2.x is)", major, r->minor);
	r->link_type = (network & LINK_TYPE_CLASS_BITS) == 0 ? (uint16_t)network : LINK_TYPE_UNKNOWN;
	if (!interface_add(r->interfaces, span_none(),
	                   (struct source_interface){ .link_type = r->link_type, .file = r->file, .snaplen = snaplen },
	                   &r->interface))
		return reader_bad(r, ERR_MEMORY, "no room for another interface");
	reader_use(r, FILE_HEAD_BYTES);
	r->fill = pcap_fill;
	return FILL_AGAIN;
}
