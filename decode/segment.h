/* segment.h - a TCP segment, taken apart: what the dealer hands to a decoder. RFC 9293 3.1 */
#ifndef WHY502_SEGMENT_H
#define WHY502_SEGMENT_H

#include "ip.h"

enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

struct tuple {                          /* the two ends, in an order that does not depend on the direction */
	struct endpoint end[2];
};

struct segment {
	struct mark at;
	struct tuple tuple;
	uint64_t hash;                  /* keyed, of the tuple */
	uint32_t seq, ack;
	uint16_t window;                /* as sent, not scaled */
	uint16_t ip_id;
	uint16_t tap;
	uint8_t  flags, ttl;
	uint8_t  from;                  /* index into tuple.end: who sent it */
	bool     v6;
	bool     filtered;
	bool     malformed;             /* its header claims more than the datagram has: it has a number, and opens a conversation, no more */
	struct span options;
	struct span payload;            /* as far as captured */
	uint32_t wire_len;              /* payload bytes on the wire */
};

struct tcp_options {
	uint16_t mss;                   /* 0: none */
	uint8_t  window_scale;          /* 255: none */
	bool     sack_permitted, timestamps;
	uint32_t tsval, tsecr;
	unsigned n_sack;
	struct { uint32_t left, right; } sack[4];
};

/* False: no TCP header there (cut or malformed). The tuple's hash is not set. */
bool segment_parse(const struct datagram *d, struct segment *s);
/* Puts the ends in order and says which of them sent it. */
void segment_tuple(struct segment *s, const struct endpoint *from, const struct endpoint *to);
void segment_options(struct span options, struct tcp_options *o);

/* Only the timestamp value of the usual layout (NOP NOP TS), else by segment_options(); 0: none. */
uint32_t segment_tsval(const struct segment *s);

#endif
