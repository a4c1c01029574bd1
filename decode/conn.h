/* conn.h - a TCP connection while it is tracked (for decode/ itself: decoder, tcp, stream, exchange)
 *
 * Three sizes. `struct half` (half.h): a SYN without an answer, or whose SYN-ACK was not acknowledged. `struct conn`: what
 * an idle connection keeps, 232 bytes. `struct detail`: everything a verdict can rest on; it is there from the first
 * packet after a pause until 200 ms after all that was open ended well (conn_rest()), or to the end where
 * anything went wrong.
 *
 *          SYN              ACK, data, strange ACK
 *   nothing ──▶ half ──▶ conn + detail ◀──▶ conn (idle)
 *                 │            │
 *          RST, 130 s     FIN FIN / RST, + 200 ms
 *                 ▼            ▼
 *             FACT_CONN    FACT_CLOSE or FACT_CONN, kept for late packets, then forgotten
 */
#ifndef WHY502_CONN_H
#define WHY502_CONN_H

#include "exchange.h"
#include "segment.h"

struct decoder;

#define NO_INDEX UINT32_MAX

/* A segment that came before one of its predecessors. Without bytes where the stream will skip them. */
struct waiting_segment {
	struct waiting_segment *next;   /* by offset */
	uint64_t offset;
	uint32_t len, kept;             /* on the wire; bytes held */
	struct mark at;
	uint8_t  bytes[];
};

/* What the last few segments of a side looked like, to know a copy. */
struct seen_segment { int64_t time_ns; uint32_t seq, ack, len, tsval; uint16_t tap, ip_id; uint8_t flags, ttl; bool used; };
enum { SEEN_SEGMENTS = 6 };

struct flow {                           /* one direction, kept for good */
	uint64_t offset;                /* stream offset of the next byte to hand on */
	uint64_t skip_until;            /* offset up to which the protocol wants nothing; UINT64_MAX: never again */
	uint32_t next;                  /* its sequence number */
	uint32_t top;                   /* behind the highest byte (or SYN, FIN) sent */
	uint32_t acked;                 /* highest acknowledged by the other side */
	uint16_t mss, window;
	uint16_t ip_id;
	uint8_t  window_scale, ttl_syn, ttl_min, ttl_max;
	bool     seq_known : 1, acked_known : 1, syn_seen : 1, fin_seen : 1, ended : 1, sack : 1, timestamps : 1, gap_told : 1;
};

struct flow_detail {
	struct tcp_side *facts;         /* marks and counts of this period: the detail's note.side[] */
	struct waiting_segment *waiting, *waiting_last; /* out of order */
	uint32_t waiting_bytes, waiting_segments;
	uint64_t skipped, missing;      /* of the skip under way */
	struct mark skip_last;
	uint32_t oldest_seq;            /* of the oldest unacknowledged data */
	bool     oldest_known;
	uint32_t fin_seq;               /* sequence number of its FIN */
	struct seen_segment seen[SEEN_SEGMENTS];
	uint8_t  seen_at;
	uint16_t early_len, early_size; /* bytes held until the protocol is known */
	struct mark early_at;
	uint64_t early_offset;
	uint8_t *early;
	uint64_t handed_offset, handed_sum;     /* of the last segment handed on, to know a resend with other bytes */
	uint32_t handed_len;                    /* 0: none, or too long to sum up */
};

struct detail {
	struct decoder *decoder;
	void    *self;                  /* the protocol's state */
	uint32_t index;                 /* in its slab */
	struct conn_facts note;         /* speaks, head, icmp, proxy_preface, closer, side …: the rest is filled when a fact is made */
	struct flow_detail flow[2];
	struct exchange *first, *last;  /* open exchanges */
	uint32_t n_exchanges_open;
	struct mark last_payload;       /* last data of either side */
	struct mark before;             /* and before the segment in hand */
	int64_t  idle_ns;               /* from that to the segment in hand; -1: there was none */
	const struct protocol *switch_to;       /* asked for by the protocol in hand */
	size_t   switch_used;
	struct mark syn_ack_acked;      /* the handshake's last ACK */
	bool     odd;                   /* something a verdict may rest on: keep to the end */
	bool     closed_armed, waiting_armed, rest_armed, waiting_told;
	struct tls_facts *tls;
	struct held_segment *held;      /* captured before what they answer, in order: ahead.c */
	unsigned n_held;
};

enum conn_state { CONN_OPEN, CONN_ENDED, CONN_TOLD };

struct conn {
	struct tuple tuple;             /* end[CLIENT], end[SERVER] */
	uint32_t id;                    /* number, or the decoder's own with threads */
	uint32_t index, generation;
	uint32_t lru_before, lru_after;
	struct flow flow[2];
	struct mark first, syn_ack;     /* first: the SYN, or joined late the first packet captured */
	int64_t  last_ns;               /* last packet */
	int64_t  payload_ns;            /* last byte of either side */
	uint64_t payload_packet;
	const struct protocol *protocol;
	struct detail *detail;          /* NULL while idle */
	uint32_t exchanges;
	uint32_t hash_low;
	uint32_t rtt_ns;                /* at most 4.29 s */
	uint32_t last_after;            /* packets from its last payload, or its first packet, to its last packet */
	uint16_t keep_alive_s, tap;
	uint8_t  speaks[2];
	uint8_t  state : 2;             /* enum conn_state */
	bool     joined_late : 1, handshake : 1, said_close : 1, copies : 1, limited : 1, probed : 1, used : 1, quiet_end : 1, swapped : 1, swapped_once : 1, proxied : 1;
};

/* tcp.c */
void tcp_segment(struct decoder *d, struct conn *c, const struct segment *s, enum side from);
void tcp_take(struct decoder *d, struct conn *c, const struct segment *s, enum side from);     /* when its turn has come */
void conn_swap(struct conn *c);                                 /* the client was taken for the server */
bool tcp_detail(struct decoder *d, struct conn *c);             /* makes detail where there is none; false: no memory */
void tcp_forget_detail(struct decoder *d, struct conn *c);
void tcp_rest(struct decoder *d, struct conn *c);               /* drops detail where nothing is open */
void tcp_end(struct decoder *d, struct conn *c, enum ending how, struct mark at);      /* eviction, end of capture */
void tcp_facts(struct decoder *d, struct conn *c, struct conn_facts *f);

/* ahead.c */
bool ahead_hold(struct decoder *d, struct conn *c, const struct segment *s, enum side from);   /* true: it was copied, and waits */
void ahead_release(struct decoder *d, struct conn *c, bool all);        /* those whose turn has come */
void ahead_drop(struct decoder *d, struct conn *c);

/* stream.c */
void stream_data(struct decoder *d, struct conn *c, enum side from, const struct segment *s, uint64_t offset);
void stream_resend(struct decoder *d, struct conn *c, enum side from, const struct segment *s, uint64_t offset);      /* nothing new in it */
void stream_flush(struct decoder *d, struct conn *c, enum side from, uint64_t to_offset, enum why why, struct mark at);
void stream_check_hole(struct decoder *d, struct conn *c, enum side from, struct mark at, bool now);
void stream_fin(struct decoder *d, struct conn *c, enum side from, struct mark at);
void stream_rst(struct decoder *d, struct conn *c, enum side from, struct mark at);
void stream_end(struct decoder *d, struct conn *c, enum ending how, struct mark at);   /* both sides, and the protocol is freed */
void stream_drop_waiting(struct decoder *d, struct conn *c);

/* exchange.c */
/* The client's last bytes carried no exchange, and nothing has come back since. */
static inline bool conn_unanswered(const struct detail *t)
{
	return t->first == NULL && t->last_payload.packet != 0 &&
	       t->flow[SERVER].facts->last_data.packet < t->flow[CLIENT].facts->last_data.packet;
}

void exchange_push(struct decoder *d, struct exchange *x, struct mark at, bool final);
void exchange_settle_done(struct decoder *d, struct conn *c, struct mark at);   /* those that are done, oldest first */
void exchange_tell_open(struct conn *c);    /* the client waits no more, and the server may never close */
int64_t exchange_asked_ns(const struct exchange *x);            /* when the last byte of its request so far was sent */
void exchange_acked(struct conn *c, uint64_t acked_offset, struct mark at);
void exchange_end_all(struct decoder *d, struct conn *c, enum ending how, struct mark at);

/* The initial sequence number, as far as it is known: the stream's first byte follows it. */
static inline uint32_t flow_isn(const struct flow *f)
{
	return f->next - (uint32_t)f->offset - 1;
}

static inline uint64_t conn_last_packet(const struct conn *c)
{
	return (c->payload_packet != 0 ? c->payload_packet : c->first.packet) + c->last_after;
}

static inline void conn_note_last(struct conn *c, uint64_t packet)
{
	uint64_t base = c->payload_packet != 0 ? c->payload_packet : c->first.packet, after = packet > base ? packet - base : 0;

	c->last_after = after < UINT32_MAX ? (uint32_t)after : UINT32_MAX;
}

static inline enum side segment_side(const struct conn *c, const struct segment *s)
{
	return s->from == c->swapped ? CLIENT : SERVER;
}

static inline uint32_t conn_seq_after(uint32_t a, uint32_t b)   /* a - b where a is at or after b, else 0 */
{
	return (int32_t)(a - b) > 0 ? a - b : 0;
}

#endif
