/* http2.h - an HTTP/2 connection as two byte streams tell it (for the http2_*.c files themselves)
 *
 * RFC 9113. Nobody's endpoint: frames of both sides are read, header blocks decoded to keep the tables right,
 * DATA counted and skipped. A stream is an exchange while it is open; one that ended is remembered by the
 * highest number alone, since numbers only grow (5.1.1).
 *
 *     http2.c           reader: bytes and holes of each side, in order
 *     http2_frame.c     a frame's head by itself
 *     http2_handlers.c  what each frame means
 *     http2_resync.c    where frames begin again
 *     http2_stream.c    open streams, their windows, and how each ends
 *     http2_message.c   header fields into exchanges
 */
#ifndef WHY502_HTTP2_H
#define WHY502_HTTP2_H

#include "hpack.h"
#include "http2_frame.h"

enum {
	WINDOW_DEFAULT = 65535,         /* RFC 9113 6.9.2 */
	WINDOW_MAX     = INT32_MAX
};
#define NO_MAXIMUM UINT32_MAX           /* SETTINGS_MAX_CONCURRENT_STREAMS not sent */

struct unpacking;

struct stream {
	uint32_t id;
	bool live;                      /* else a grave, until its list is tidied */
	bool request_ended, response_ended;
	bool response_head;             /* the final one began: what comes next are trailers */
	bool from_before;               /* its request was not captured */
	struct exchange *x;
	int64_t  delta[2];              /* side: its window less the other side's INITIAL_WINDOW_SIZE */
	struct mark dry[2];             /* since when that window is empty */
	uint64_t lost[2];               /* bytes that each side had lost when it opened */
	uint8_t *body;                  /* of an error, to be hashed */
	uint32_t body_len, body_size;
	struct unpacking *unpacking;    /* of a body that is followed to its end; NULL: it is not */
};

struct stream_list {                    /* those that one side opens: by number, growing */
	struct stream *at;
	uint32_t n, size, live;
	uint32_t highest;               /* number used */
	uint32_t first;                 /* number seen; 0: none */
};

/* A connection error by its rule, or DATA beyond the window: the first. */
struct fault { struct mark at; uint64_t offset; uint32_t stream; uint8_t rule; struct span_copy excerpt; };

struct goaway {
	struct mark at, graceful;
	uint32_t code, last;
	struct span_copy debug;
};

enum block_kind {
	BLOCK_NONE,
	BLOCK_ANY,                      /* decoded for its effect on the table alone */
	BLOCK_REQUEST, BLOCK_RESPONSE, BLOCK_TRAILERS
};

struct block {                          /* a header block while it comes */
	struct mark at;                 /* its first byte */
	uint64_t offset;
	uint32_t stream;                /* that its frames are on */
	uint32_t owner;                 /* whose message it is: the promised stream of PUSH_PROMISE */
	uint32_t fields, bytes;
	uint16_t frames;
	uint8_t  kind;                  /* enum block_kind */
	uint8_t  pseudo;                /* seen, a bit each */
	bool     end_stream, regular, unknown, interim, cut;
	bool     dead;                  /* its rest cannot be decoded */
	bool     orphan;                /* opens its stream when a field shows that it is a message's head */
};

enum h2_state { H2_PREFACE, H2_HEAD, H2_PREFIX, H2_CONTENT, H2_PADDING, H2_LOST, H2_STATES };

struct h2_side {
	uint64_t at;                    /* stream offset of the next byte */
	uint8_t  state;                 /* enum h2_state */
	uint8_t  n_held;
	uint8_t  doubt;                 /* frames to come before we are sure to be in step again */
	bool     started, ended;
	bool     spoke;                 /* its first frame came */
	bool     garbage;               /* what it sends is no HTTP/2 */
	bool     ignored;               /* this frame is */
	bool     settings_unacked;      /* SETTINGS that the other side has not acknowledged */
	struct frame frame;
	struct mark frame_at;           /* of its first byte */
	uint64_t frame_offset;
	uint32_t rest;                  /* of its bytes to come: prefix, content ... */
	uint32_t padding;               /* ... and of them, padding */
	struct block block;
	/* What it announced. */
	struct mark settings;
	uint32_t initial_window, max_frame, max_concurrent;
	/* What it sent. */
	int64_t  window;                /* DATA that it may still send on the connection */
	struct mark dry;
	uint64_t lost;                  /* bytes of it that may have held frames */
	struct fault *fault;
	struct fault *suspect;          /* would be one if the other side says so */
	struct goaway *goaway;
	struct hpack hpack;
	uint8_t  held[72];              /* a frame's head or prefix, cut by a segment's end */
};

struct http2 {
	struct conn *conn;
	bool late;                      /* fields and windows from before the capture are unknown */
	bool holes;                     /* frames may have been lost since */
	bool opaque;                    /* given up at a limit */
	bool wrong_way;                 /* joined late, and the one taken for the client sends responses */
	bool windows_known;
	bool malformed;                 /* some stream's message was */
	struct exchange *upgraded;      /* by 101, until a frame shows that it goes on here */
	uint16_t orphans;               /* responses whose requests were not captured */
	struct h2_side side[2];
	struct stream_list list[2];     /* opened by CLIENT, by SERVER (pushed) */
};

/* Where in a side's bytes we are. */
struct reader {
	struct http2 *h;
	struct h2_side *side;
	enum side from;
	const struct piece *piece;
	struct span rest;               /* of the piece */
	struct mark at;
};

static inline enum side stream_opener(uint32_t id) { return (id & 1) != 0 ? CLIENT : SERVER; }
static inline struct message *stream_message(struct stream *s, enum side from)
{
	return from == CLIENT ? &s->x->f.request : &s->x->f.response;
}
static inline struct span_copy span_copied(struct span s)
{
	struct span_copy c = { .len = (uint8_t)(s.len < sizeof c.bytes ? s.len : sizeof c.bytes) };

	memcpy(c.bytes, s.at, c.len);
	return c;
}
/* TCP offset of the next byte of the piece. */
static inline uint64_t reader_wire(const struct reader *r)
{
	return piece_wire_at(r->piece, r->piece->bytes.len - r->rest.len);
}

/* Stream offset of the next byte of the piece. */
static inline uint64_t reader_offset(const struct reader *r)
{
	return r->piece->offset + (r->piece->bytes.len - r->rest.len);
}
static inline bool is_block_frame(unsigned type)
{
	return type == FRAME_HEADERS || type == FRAME_PUSH_PROMISE || type == FRAME_CONTINUATION;
}

/* ---- http2.c ------------------------------------------------------------------------------- */

/* Framing of r->side is lost: `bytes` that may have held frames are missing, or were none. */
void reader_lose(struct reader *r, uint64_t bytes);

/* ---- http2_handlers.c ---------------------------------------------------------------------- */

struct frame_ops {
	void (*begin)(struct reader *r, struct span prefix);    /* NULL: nothing in it is of interest */
	void (*content)(struct reader *r, struct span bytes);
	void (*end)(struct reader *r);
};
extern const struct frame_ops frame_ops[FRAME_TYPES];

uint32_t frame_prefix(const struct frame *f);           /* bytes that begin() wants in one piece */
void frame_begin(struct reader *r, struct span head);   /* checks it, and sets the side's state */
struct stream *data_stream(struct reader *r);           /* that this DATA frame's content belongs to; NULL: none */
void block_abort(struct h2_side *side);                 /* the rest of the header block under way will not come */

/* ---- http2_resync.c ------------------------------------------------------------------------ */

bool resync_head_fits(const struct reader *r, struct span head);        /* more than plausible: its stream is near */
bool resync_step(struct reader *r);                     /* of H2_LOST */

/* ---- http2_stream.c ------------------------------------------------------------------------ */

struct stream *stream_find(struct http2 *h, uint32_t id);               /* NULL: idle, closed or left out */
/* NULL at a limit. Pointers to other streams are stale afterwards. */
struct stream *stream_open(struct http2 *h, uint32_t id, struct mark at);
/* The request that asked for the upgrade is stream 1 as well: what became of it there is told by itself, the 101 is over. */
void stream_adopt(struct http2 *h, struct mark at);
bool stream_idle(const struct http2 *h, uint32_t id);                   /* never used, as far as the capture shows */
/* Settled with what is known; how: nothing can come since then. */
enum stream_end { STREAM_RESET, STREAM_REFUSED, STREAM_CONNECTION, STREAM_UNFINISHED };
void stream_settle(struct http2 *h, struct stream *s, enum stream_end how);
void stream_settle_all(struct http2 *h, enum stream_end how);
void stream_half_ended(struct reader *r, struct stream *s);             /* END_STREAM of r->from */
void stream_reset(struct reader *r, struct stream *s, uint32_t code);   /* RST_STREAM of r->from */
void stream_reset_late(struct reader *r, uint32_t code);                /* ... on a stream that has ended */
void stream_tunnel(struct http2 *h, struct stream *s);                  /* CONNECT was granted */

void window_spend(struct reader *r, struct stream *s, uint32_t length); /* DATA; s may be NULL */
void window_update(struct reader *r, struct stream *s, uint32_t increment, bool connection);
void window_check(struct http2 *h, struct stream *s, enum side from, struct mark at);   /* is it empty from the start? */

void goaway_take(struct reader *r, uint32_t last, uint32_t code, struct span debug);

/* It looks as if r->from broke a rule, on stream id: a fault once the other side's error code for that rule comes. */
void http2_suspect(struct reader *r, uint32_t id, enum violation rule, struct span excerpt);
/* r->from broke the protocol: on s, or (s NULL) on the connection. */
void http2_fault(struct reader *r, struct stream *s, enum violation rule, struct span excerpt);

/* ---- http2_message.c ----------------------------------------------------------------------- */

/* A block's frames: kind and owner are set; fields are handed on as they come. */
void message_fragment(struct reader *r, struct span fragment, bool last);
/* DATA of s. bytes is empty where they were skipped. */
void message_content(struct reader *r, struct stream *s, struct span bytes, uint64_t n, uint64_t missing);
void message_coding_end(struct reader *r, struct stream *s);   /* the response's END_STREAM: all of its body came */
void message_body_end(struct http2 *h, struct stream *s);      /* no more of it will come */
bool message_wants_content(const struct stream *s, enum side from);

#endif
