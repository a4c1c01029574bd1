/* decoder.h - all decoding state of one thread: no globals, no locks, nothing shared
 *
 * Segments of a connection all come to one decoder, in the order of packets. Facts go out in batches,
 * in order of (packet, order). Time-outs fire on ticks alone, so that any number of decoders gives the
 * same facts.
 */
#ifndef WHY502_DECODER_H
#define WHY502_DECODER_H

#include "../capture/hash.h"
#include "conn.h"
#include "decode.h"
#include "foreign.h"
#include "half.h"
#include "left_out.h"
#include "table.h"

enum { TICK_NS = 50 * 1000 * 1000 };
#define SETTLE_NS  (200 * NS_PER_MS)
#define WAITING_NS NS_PER_S
#define HALF_NS    (130 * NS_PER_S)     /* Linux gives up connecting after about this long: ip-sysctl, tcp_syn_retries */
enum { CLOSED_KEPT = 16384 };           /* connections that have ended, kept for late packets */

/* Time-outs of one length need no heap: first in, first out. */
enum timer { TIMER_SETTLE, TIMER_WAITING, TIMER_CONN_WAITING, TIMER_CLOSE, TIMER_REST, TIMER_SYN, TIMER_COUNT };
/* Armed by a packet; what a timer arms when it fires is of the packet that armed that one. */
struct timer_entry { int64_t due_ns; uint64_t armed_by; void *what; uint32_t generation, nth; };
struct timer_queue { struct timer_entry *entries; size_t first, n, size; };

struct exchange_slot { struct exchange x; uint32_t index, generation; bool used; };

static inline uint32_t exchange_generation(const struct exchange *x)
{
	return ((const struct exchange_slot *)(const void *)x)->generation;
}

struct limit_count { const char *name; uint64_t count; };

struct decoder {
	const struct decode_options *options;
	struct fact_sink sink;
	struct fact_batch out;
	uint64_t order;                 /* of the next fact of this packet */
	bool     timer_running;         /* facts are ordered by what armed their timer */
	uint64_t timer_order, timer_packet;
	struct mark now;                /* the packet in hand */
	uint64_t next_number;           /* tcp.stream; one decoder alone */
	bool     ticks_told;            /* this decoder tells FACT_TICK */
	bool     numbering;             /* false: ids are our own, the merge numbers */
	uint32_t *free_ids; size_t n_free_ids, free_ids_size, ids_made;

	struct table conns, halves;
	struct halves half_lists;
	size_t   halves_max;            /* LIMIT_SYN_ONLY, its share */
	struct met met;
	struct left_outs left_outs;
	struct slab conn_slab, half_slab, detail_slab, exchange_slab;
	uint32_t lru_oldest, lru_newest;
	uint32_t *closed, *closed_generation; size_t closed_first, n_closed;    /* ring of CLOSED_KEPT */
	struct timer_queue timers[TIMER_COUNT];

	size_t   memory, memory_peak, max_memory;
	size_t   waiting_bytes, waiting_bytes_max;      /* out of order, all connections; LIMIT_REASSEMBLY_TOTAL, its share */
	struct endpoint *proxied; size_t n_proxied;     /* by index of those connections that a PROXY preface speaks for */
	uint8_t *scratch; size_t scratch_size;  /* conn_scratch() */
	struct decode_counters counters;
};

struct decoder *decoder_new(const struct decode_options *o, struct fact_sink sink, bool numbering);
void decoder_free(struct decoder *d);

void decoder_prefetch(struct decoder *d, const struct segment *s);
void decoder_conn_prefetch(struct decoder *d, const struct segment *s);  /* a while after decoder_prefetch() */
void decoder_segment(struct decoder *d, const struct segment *s);
/* An ICMP error; f is whole but for its connection. seq: the quoted TCP sequence number. */
void decoder_icmp(struct decoder *d, struct icmp_fact *f, const struct tuple *quoted, uint64_t hash, uint8_t from, uint32_t seq);
void decoder_control(struct decoder *d, const struct fact *f);  /* ARP, DNS: handed on as they are */
void decoder_tick(struct decoder *d, struct mark now);
void decoder_end(struct decoder *d, struct mark last);
void decoder_flush(struct decoder *d);

/* Facts: room for one of `size` bytes, zeroed, its head filled but for conn. NULL: no memory. */
struct fact *decoder_fact(struct decoder *d, enum fact_kind kind, size_t size, const struct conn *c);
void decoder_conn_fact(struct decoder *d, struct conn *c, enum conn_why why, bool final);
void decoder_arm(struct decoder *d, enum timer timer, void *what, uint32_t generation);
void decoder_arm_rest(struct decoder *d, struct conn *c);        /* it may go to rest once nothing has come for a while */
void decoder_limit(struct decoder *d, const char *name);
uint32_t decoder_id_of(struct decoder *d, const struct segment *s);     /* of a conversation that this segment opens */
void decoder_id_give(struct decoder *d, uint32_t id);
void *decoder_alloc(struct decoder *d, size_t size);
void decoder_release(struct decoder *d, void *p, size_t size);

struct conn *decoder_conn_at(struct decoder *d, uint32_t index);
void decoder_met(struct decoder *d, const struct conn *c);       /* its handshake is complete */
/* A PROXY preface says for whom the connection is. Kept beside it: few have one. */
void decoder_proxied(struct decoder *d, struct conn *c, const struct endpoint *client);
void decoder_closed(struct decoder *d, struct conn *c);         /* from now on kept only for late packets */

#endif
