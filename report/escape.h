/* escape.h - bytes from the wire, made fit for a terminal or a page
 *
 * Valid UTF-8 that prints stays. What a terminal acts on, or what hides or reorders text, does not:
 * control bytes, DEL and C1 (raw or as UTF-8), invalid bytes, bidi and line-separator characters,
 * U+FEFF, tags. Bytes become \xNN, characters \u{N}, a backslash two of them, so that what was there
 * can be read back. Always from raw bytes, never from text that was escaped already.
 *
 *     while (escape_next(&rest, 0, &e)) { out_bytes(o, span_of(e.bytes, e.len)); column += e.columns; }
 */
#ifndef WHY502_ESCAPE_H
#define WHY502_ESCAPE_H

#include "out.h"

enum {
	ESCAPE_OWN_WORDS = 1,           /* our own sentence: its backslashes stand for themselves */
	ESCAPE_ASCII = 2                /* nothing but ASCII (--ascii): our own arrows and lines are drawn with it */
};

struct escaped { char bytes[16]; uint8_t len, columns; };

/* One character of s, or one invalid byte; takes it off. False at the end. */
bool escape_next(struct span *s, unsigned flags, struct escaped *e);
void escape_text(struct out *o, struct span s, unsigned flags);
/* The same unit for HTML, in text and in quoted attributes: & < > " ' as references. */
void escape_html(struct out *o, const struct escaped *e);
size_t escape_columns(struct span s, unsigned flags);   /* how wide it will be */

/* Does a terminal act on it, or does it hide or reorder the text around it? */
bool character_hidden(uint32_t c);

/* Length of the valid UTF-8 character that s begins with (RFC 3629), 0 where it is none; *c is its number. */
unsigned utf8_next(struct span s, uint32_t *c);

#endif
