/* http2_frame.h - the head of an HTTP/2 frame, and what it may look like
 *
 *     +-----------------------------------------------+
 *     |                 Length (24)                   |
 *     +---------------+---------------+---------------+
 *     |   Type (8)    |   Flags (8)   |
 *     +-+-------------+---------------+-------------------------------+
 *     |R|                 Stream Identifier (31)                      |
 *     +=+=============================================================+
 *
 * RFC 9113 4.1.
 */
#ifndef WHY502_HTTP2_FRAME_H
#define WHY502_HTTP2_FRAME_H

#include "protocol.h"

enum frame_type {
	FRAME_DATA, FRAME_HEADERS, FRAME_PRIORITY, FRAME_RST_STREAM, FRAME_SETTINGS, FRAME_PUSH_PROMISE, FRAME_PING,
	FRAME_GOAWAY, FRAME_WINDOW_UPDATE, FRAME_CONTINUATION, FRAME_TYPES
};
enum { FLAG_END_STREAM = 0x1, FLAG_ACK = 0x1, FLAG_END_HEADERS = 0x4, FLAG_PADDED = 0x8, FLAG_PRIORITY = 0x20 };

enum {
	FRAME_HEAD       = 9,
	FRAME_MAX_LENGTH = 16384,       /* until SETTINGS say otherwise. RFC 9113 4.2 */
	PREFACE_LENGTH   = 24
};

extern const char http2_preface[];      /* "PRI * HTTP/2.0 …". RFC 9113 3.4 */

struct frame { uint32_t length, stream; uint8_t type, flags; };

/* From at least FRAME_HEAD bytes. */
struct frame frame_of(struct span head);

/* What is wrong with it by itself: VIOLATION_H2_FRAME, VIOLATION_H2_FRAME_SIZE, or VIOLATION_COUNT for nothing. */
enum violation frame_fault(const struct frame *f, uint32_t max_length);

/* Could these bytes be the head of a frame that somebody sent? Stricter than what a receiver must accept. */
bool frame_plausible(struct span head, enum side from);

/* How many plausible frames follow one another from the first byte on, up to 4; the last may reach beyond the end.
 * *exact: the last ends where the span does. */
unsigned frame_chain(struct span s, enum side from, bool *exact);

/* struct protocol's probe. */
int http2_probe(enum side from, struct span first);

#endif
