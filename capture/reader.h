/* reader.h - one saved capture: bytes in, batches of packets out (inside capture/ only)
 *
 * Reads into chunks of 256 KiB and hands on the packets where they lie. A record that goes beyond the
 * end of its chunk is moved to the start of the next one. What is whole is handed on at once, so a
 * slow pipe is told of as it comes.
 */
#ifndef WHY502_READER_H
#define WHY502_READER_H

#include "input.h"
#include "pool.h"
#include "source.h"

/* Every interface of every file, as source_interfaces() shows them. */
struct interface_table { struct source_interface *rows; unsigned n, room; size_t option_bytes; };

/* `name` is copied, cut at 127 bytes; so are `options`, while there is room for them (LIMIT_INTERFACE_OPTIONS). False: no memory, or LIMIT_PCAPNG_INTERFACES are there. */
bool interface_add(struct interface_table *t, struct span name, struct source_interface row, uint16_t *index);
void interface_table_clear(struct interface_table *t);

/* pcapng: an interface of the section that is being read. */
struct section_interface {
	uint16_t index;                 /* in the table */
	uint16_t link_type;
	uint32_t snaplen;               /* 0: none */
	uint8_t  resolution;            /* if_tsresol as it stands: 10^-n, or 2^-n with the top bit */
	int64_t  offset_s;              /* if_tsoffset */
	uint64_t dropped_before_packets;        /* sum of epb_dropcount */
	uint64_t dropped_by_kernel, dropped_by_interface;  /* newest isb_osdrop, isb_ifdrop */
};

/* FILL_MORE: all that is whole was taken; FILL_AGAIN: the state changed, ask again; FILL_BAD: r->fault. */
enum fill { FILL_FULL, FILL_MORE, FILL_AGAIN, FILL_BAD };

struct reader {
	struct input *input;
	const char *name;
	uint16_t file;
	int64_t  shift_ns;
	struct interface_table *interfaces;
	source_secrets_fn *on_secrets;  /* may be NULL */
	void    *secrets_ctx;

	struct chunk_pool pool;
	struct chunk *chunk;            /* the pool's */
	size_t   begin, end;            /* bytes of it that are not used yet */
	uint64_t offset;                /* of the byte at begin, in the unpacked file */
	uint64_t skip;                  /* as many bytes from begin are of no interest */
	uint64_t frames;                /* so far */
	int64_t  last_ns;
	struct err fault;               /* told when all packets before it are */

	enum fill (*fill)(struct reader *r, struct packet_batch *b);    /* of the format, once known */
	bool     big_endian;
	uint32_t frac_ns;               /* pcap: ns in a unit of the second field of a time stamp */
	uint16_t minor;
	bool     long_records;          /* pcap, modified: 24 bytes before a packet */
	uint16_t link_type, interface;
	struct section_interface *section;      /* pcapng */
	unsigned n_section, room_section;
	uint64_t kernel_dropped, interface_dropped;     /* of the sections before */
};

/* Opens the file and looks at its first bytes. NULL: e says why. */
struct reader *reader_open(const char *name, uint16_t file, int64_t shift_ns, struct interface_table *t, struct err *e);

/* Fills b, which must be cleared. PACKETS, TICK (a pipe has nothing now), END, or ERROR. All of a
 * packet but number is set. */
enum source_status reader_next(struct reader *r, struct packet_batch *b, struct err *e);

/* Whether the file, unpacked, begins as a capture does. It is at its first byte then. A pipe: false. */
bool reader_is_capture(struct reader *r);

/* To the first byte again, all forgotten but `interfaces`; false: a pipe. */
bool reader_rewind(struct reader *r);
void reader_drops(const struct reader *r, uint64_t *kernel, uint64_t *interface);
void reader_close(struct reader *r);

/* For the formats. */
static inline uint16_t reader_u16(const struct reader *r, struct cursor *c)
{
	return r->big_endian ? cur_u16(c) : cur_u16le(c);
}

static inline uint32_t reader_u32(const struct reader *r, struct cursor *c)
{
	return r->big_endian ? cur_u32(c) : cur_u32le(c);
}

static inline struct span reader_rest(const struct reader *r)
{
	return span_of(r->chunk->bytes + r->begin, r->end - r->begin);
}

/* Moves on by n bytes, which may not have come yet. */
void reader_use(struct reader *r, size_t n);

/* Sets the fault, naming file, packet and byte. */
enum fill reader_bad(struct reader *r, enum err_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
enum fill pcap_begin(struct reader *r, struct packet_batch *b);
enum fill pcapng_begin(struct reader *r, struct packet_batch *b);

/* Time stamps are kept where sums and differences of two cannot overflow: 1970 to 2116. */
#define TIME_MAX_NS (INT64_MAX / 2)

static inline int64_t time_clamp(int64_t ns, int64_t shift_ns)
{
	int64_t sum;

	if (__builtin_add_overflow(ns, shift_ns, &sum))
		sum = shift_ns > 0 ? TIME_MAX_NS : 0;
	return sum < 0 ? 0 : sum > TIME_MAX_NS ? TIME_MAX_NS : sum;
}

#endif
