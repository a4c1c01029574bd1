/* http2_frame.c - see http2_frame.h */
#include "http2_frame.h"

const char http2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum { SOME_STREAM = 1, NO_STREAM = 2, ANY_STREAM = SOME_STREAM | NO_STREAM };
enum { NO_LIMIT = 1 << 24, CHAIN_MAX = 4 };

/* RFC 9113 6.1 to 6.10. */
static const struct frame_rule {
	uint8_t stream;                 /* SOME_STREAM, NO_STREAM: which it may be sent on */
	uint8_t flags;                  /* that mean something; others are to be ignored (4.1) */
	uint32_t min, max;              /* length */
} rules[FRAME_TYPES] = {
	[FRAME_DATA]          = { SOME_STREAM, FLAG_END_STREAM | FLAG_PADDED, 0, NO_LIMIT },
	[FRAME_HEADERS]       = { SOME_STREAM, FLAG_END_STREAM | FLAG_END_HEADERS | FLAG_PADDED | FLAG_PRIORITY, 0, NO_LIMIT },
	[FRAME_PRIORITY]      = { SOME_STREAM, 0, 5, 5 },
	[FRAME_RST_STREAM]    = { SOME_STREAM, 0, 4, 4 },
	[FRAME_SETTINGS]      = { NO_STREAM, FLAG_ACK, 0, NO_LIMIT },
	[FRAME_PUSH_PROMISE]  = { SOME_STREAM, FLAG_END_HEADERS | FLAG_PADDED, 4, NO_LIMIT },
	[FRAME_PING]          = { NO_STREAM, FLAG_ACK, 8, 8 },
	[FRAME_GOAWAY]        = { NO_STREAM, 0, 8, NO_LIMIT },
	[FRAME_WINDOW_UPDATE] = { ANY_STREAM, 0, 4, 4 },
	[FRAME_CONTINUATION]  = { SOME_STREAM, FLAG_END_HEADERS, 0, NO_LIMIT },
};

struct frame frame_of(struct span head)
{
	struct cursor c = cursor_of(head);
	struct frame f;

	f.length = cur_u24(&c);
	f.type = cur_u8(&c);
	f.flags = cur_u8(&c);
	f.stream = cur_u32(&c) & 0x7fffffff;    /* the reserved bit is to be ignored */
	return f;
}

static bool size_fits(const struct frame *f)
{
	const struct frame_rule *r = &rules[f->type];

	if (f->length < r->min || f->length > r->max)
		return false;
	if (f->type != FRAME_SETTINGS)
		return true;
	return (f->flags & FLAG_ACK) != 0 ? f->length == 0 : f->length % 6 == 0;
}

enum violation frame_fault(const struct frame *f, uint32_t max_length)
{
	if (f->length > max_length)
		return VIOLATION_H2_FRAME_SIZE;
	if (f->type >= FRAME_TYPES)             /* unknown types are to be ignored. RFC 9113 4.1 */
		return VIOLATION_COUNT;
	if (!size_fits(f))
		return VIOLATION_H2_FRAME_SIZE;
	if ((rules[f->type].stream & (f->stream != 0 ? SOME_STREAM : NO_STREAM)) == 0)
		return VIOLATION_H2_FRAME;
	return VIOLATION_COUNT;
}

bool frame_plausible(struct span head, enum side from)
{
	struct frame f;

	/* Most bytes that are no frame end here. */
	if (head.len < FRAME_HEAD || head.at[0] != 0 || head.at[3] >= FRAME_TYPES || (head.at[5] & 0x80) != 0)
		return false;
	f = frame_of(head);
	if (frame_fault(&f, FRAME_MAX_LENGTH) != VIOLATION_COUNT || (f.flags & ~rules[f.type].flags) != 0)
		return false;
	if (f.type == FRAME_PUSH_PROMISE && from == CLIENT)
		return false;
	/* An empty DATA frame has a purpose only at the end of a stream: zeros are not a frame. */
	return !(f.type == FRAME_DATA && f.length == 0 && f.flags == 0);
}

unsigned frame_chain(struct span s, enum side from, bool *exact)
{
	unsigned n = 0;

	*exact = false;
	while (n < CHAIN_MAX && frame_plausible(s, from)) {
		size_t whole = FRAME_HEAD + (size_t)frame_of(s).length;

		n++;
		*exact = whole == s.len;
		if (whole >= s.len)
			return n;
		s = span_from(s, whole);
	}
	/* What follows is no frame: nor was what came before. Fewer bytes than a head tell nothing. */
	return n == CHAIN_MAX || s.len < FRAME_HEAD ? n : 0;
}

static int probe_preface(struct span first)
{
	size_t n = first.len < PREFACE_LENGTH ? first.len : PREFACE_LENGTH;
	size_t same = 0;

	while (same < n && first.at[same] == (uint8_t)http2_preface[same])
		same++;
	if (same == n)
		return n == PREFACE_LENGTH ? 100 : PROBE_MORE;
	return same >= 16 ? 100 : 0;            /* "PRI * HTTP/2.0\r\n", then wrong */
}

int http2_probe(enum side from, struct span first)
{
	bool exact;
	int sure = from == CLIENT ? probe_preface(first) : 0;
	unsigned n;

	if (sure != 0)
		return sure;
	if (first.len < FRAME_HEAD)
		return span_at(first, 0) == 0 && span_at(first, 1) <= 0x40 && span_at(first, 3) < FRAME_TYPES ?
		       PROBE_MORE : 0;
	n = frame_chain(first, from, &exact);
	if (n == 0)
		return 0;
	return n > 1 || exact ? 100 : 50;
}
