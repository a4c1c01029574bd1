/* http1.h - inside the HTTP/1 decoder: http1.c, http1_head.c and http1_body.c share it
 *
 * Each side of a connection is a state machine; a step reads what its state waits for. Header sections are
 * read line by line where they lie, and so are chunk sizes; what a piece cuts (a line, the text of a head, an
 * error page) is kept in struct h1_held, which exists only then.
 *
 *            piece that looks like a start line
 *   SYNC ──────────────┐                               ┌─▶ LENGTH ───────┐
 *    ▲                 ▼    start line  empty line     ├─▶ CLOSE         │ message ends
 *    │ gap, broken   START ──▶ HEAD ───────────────────┼─▶ CHUNK_SIZE ◀─▶ CHUNK_DATA, CHUNK_END
 *    │ framing         ▲                               │        └──▶ TRAILER
 *    └─────────────────┴───────────────────────────────┴─▶ (no body)     │
 *                      └─────────────────────────────────────────────────┘
 *   GARBLED: an answer that is no HTTP. OPAQUE: a tunnel or another protocol; nothing is read any more.
 */
#ifndef WHY502_HTTP1_H
#define WHY502_HTTP1_H

#include "exchange.h"

enum h1_state {
	H1_SYNC, H1_START, H1_HEAD, H1_LENGTH, H1_CLOSE, H1_CHUNK_SIZE, H1_CHUNK_DATA, H1_CHUNK_END, H1_TRAILER,
	H1_GARBLED, H1_OPAQUE, H1_STATE_COUNT
};

enum step { STEP_ON, STEP_MORE, STEP_GONE };    /* MORE: all read. GONE: the connection speaks another protocol, self may be freed */

/* Of an exchange: x->own[0]. */
enum h1_own {
	OWN_ANSWERED      = 1 << 0,     /* its response has ended */
	OWN_REQUEST_LOST  = 1 << 1,     /* the rest of its request cannot be read */
	OWN_RESPONSE_LOST = 1 << 2,
	OWN_ORPHAN        = 1 << 3,     /* a response whose request was before the capture, or lost */
	OWN_EARLY         = 1 << 4,     /* a response before any request: the next request is taken for its own */
	OWN_NO_BODY       = 1 << 5      /* HEAD, 204, 304: none may follow */
};

/* Of the message that a side is in the midst of. */
enum h1_flag {
	FLAG_FIRST_LINE = 1 << 0,       /* the start line is still to come */
	FLAG_UPPER      = 1 << 1,       /* a field name with an upper-case letter */
	FLAG_LENGTH     = 1 << 2,       /* Content-Length seen */
	FLAG_LENGTH_BAD = 1 << 3,
	FLAG_CODING     = 1 << 4,       /* Transfer-Encoding seen */
	FLAG_CHUNKED    = 1 << 5,       /* and chunked is its last */
	FLAG_UPGRADE    = 1 << 6,       /* Upgrade in a response */
	FLAG_UPGRADE_OTHER = 1 << 7,    /* for another protocol than was asked */
	FLAG_UPGRADE_H2C = 1 << 8,
	FLAG_TAP        = 1 << 9,       /* body text and hash wanted */
	FLAG_MAGIC      = 1 << 10,      /* first bytes under Content-Encoding wanted */
	FLAG_SEEN       = 1 << 11,      /* of the side: a piece or a gap came, so `next` is known */
	FLAG_BLANK      = 1 << 12       /* CRLF before the status line */
};

struct h1_buffer { uint8_t *bytes; size_t len, size; };

struct unpacking;

struct h1_held {
	struct h1_buffer line;          /* a line cut by the end of a piece */
	struct h1_buffer head;          /* the head so far, as its text is kept */
	struct h1_buffer body;          /* to be hashed */
	uint64_t line_whole;            /* bytes of the line so far, those above the limit included */
	struct unpacking *unpacking;    /* of a body that is followed to its end; NULL: it is not */
};

struct h1_side {
	struct exchange *x;             /* whose message is under way; NULL between messages */
	struct h1_held *held;
	uint64_t left;                  /* of the body, or of the chunk */
	uint64_t message_at;            /* stream offset of the message's first byte */
	uint64_t next;                  /* stream offset that is due */
	uint16_t flags;                 /* enum h1_flag */
	uint8_t  state;                 /* enum h1_state */
	uint8_t  from;                  /* enum side */
	uint8_t  how;                   /* enum ending */
	bool     ended;
	uint8_t  n_magic;
	uint8_t  magic[4];
};

struct h1 {
	struct conn *c;
	struct exchange *answering;     /* oldest whose response has not ended */
	struct exchange *early;         /* its request has not come (OWN_EARLY) */
	bool uncertain;                 /* requests may have come that we did not see */
	bool listing;
	struct h1_side side[2];
};

struct h1_in { const struct piece *p; struct cursor cur; };

/* A line without its end. The text is good until the next line. */
struct h1_line {
	struct span text;
	struct span ahead;              /* from the text's first byte on, as far as there are bytes: wide reads */
	uint64_t offset;                /* in the message */
	uint64_t len;                   /* of the whole line, where `cut` (at a limit) more than the text has */
	bool clean;                     /* no control byte in it */
	bool cut;
};

static inline struct message *h1_message(const struct h1_side *s)
{
	return s->from == CLIENT ? &s->x->f.request : &s->x->f.response;
}

static inline bool h1_unpacks(const struct h1_side *s)
{
	return s->held != NULL && s->held->unpacking != NULL;
}

/* Stream offset of the next byte to read. */
static inline uint64_t h1_offset(const struct h1_in *in)
{
	return in->p->offset + (in->p->bytes.len - in->cur.rest.len);
}

/* http1.c */
void h1_request_end(struct h1 *h, struct h1_side *s, const struct h1_in *in);
void h1_response_end(struct h1 *h, struct h1_side *s);
void h1_leave_open(struct h1 *h, struct h1_side *s);    /* the exchange is the next protocol's to end */
enum step h1_message_end(struct h1 *h, struct h1_side *s, const struct h1_in *in);
void h1_lose(struct h1 *h, struct h1_side *s);          /* the rest of this side's message cannot be read */
void h1_broken(struct h1_side *s, enum violation v, const struct h1_in *in, uint64_t offset, struct span excerpt);
void h1_opaque(struct h1 *h);
struct h1_held *h1_hold(struct h1 *h, struct h1_side *s);       /* NULL: no memory */
void h1_release(struct h1 *h, struct h1_side *s);
/* Adds what fits below limit. False: it did not fit, or no memory. */
bool h1_buffer_add(struct h1 *h, struct h1_buffer *b, struct span bytes, size_t limit);
void h1_buffer_clear(struct h1 *h, struct h1_buffer *b);

/* http1_head.c */
enum step h1_line(struct h1 *h, struct h1_side *s, struct h1_in *in, struct h1_line *line);
enum step h1_head(struct h1 *h, struct h1_side *s, struct h1_in *in);
void h1_check_bytes(struct h1_side *s, const struct h1_in *in, const struct h1_line *line);
void h1_head_cut(struct h1 *h, struct h1_side *s);      /* no more of this head will come: keep what there is */
enum step h1_garbled(struct h1 *h, struct h1_side *s, struct h1_in *in, struct span begun);
int  h1_probe(enum side from, struct span first);
bool h1_plausible(enum side from, struct span first);   /* the bytes begin with a start line, as far as they go */

/* http1_body.c */
enum step h1_body_begin(struct h1 *h, struct h1_side *s, const struct h1_in *in);
enum step h1_length(struct h1 *h, struct h1_side *s, struct h1_in *in);
enum step h1_close(struct h1 *h, struct h1_side *s, struct h1_in *in);
enum step h1_chunk_size(struct h1 *h, struct h1_side *s, struct h1_in *in);
enum step h1_chunk_data(struct h1 *h, struct h1_side *s, struct h1_in *in);
enum step h1_chunk_end(struct h1 *h, struct h1_side *s, struct h1_in *in);
enum step h1_trailer(struct h1 *h, struct h1_side *s, struct h1_in *in);
enum step h1_take_garbage(struct h1 *h, struct h1_side *s, struct h1_in *in);
void h1_tap_end(struct h1 *h, struct h1_side *s);       /* the body is whole */
void h1_unpack_end(struct h1_side *s);                  /* likewise */
void h1_unpack_stop(struct h1_side *s);                 /* bytes of it are missing */

#endif
