/* redact.h - what must not leave the capture: secrets in targets, authorities and field lines
 *
 * Works on raw bytes and gives raw bytes, so that the output's own escaper comes after it. What is
 * hidden is printed as `…`. All of it is off with --show-secrets (`show`).
 *
 *   /a?x=1&token=abc        /a?x=1&token=…       the name looks secret (percent-decoded, as deep as it goes)
 *   /a?x=eyJhbGciOi.e30.x   /a?x=…               the value does: a JWT, or 20 or more of hex or base64
 *   /a;jsessionid=1         /a;jsessionid=…      path parameters likewise
 *   /a#whatever             /a#…                 a fragment is never sent by a browser
 *   http://me:pw@h/         http://…@h/          user information
 */
#ifndef WHY502_REDACT_H
#define WHY502_REDACT_H

#include "../capture/span.h"

enum { REDACTED_MAX = 16 << 10 };
struct redacted { size_t len; uint8_t bytes[REDACTED_MAX]; };

static inline struct span redacted_span(const struct redacted *r)
{
	return span_of(r->bytes, r->len);
}

/* Does the mark of something hidden, an ellipsis (three bytes), begin at i? */
enum { REDACTED_MARK = 3 };
static inline bool redacted_here(const struct redacted *r, size_t i)
{
	return span_starts(span_from(redacted_span(r), i), "\xe2\x80\xa6");
}

/* A request target or a URL. */
void redact_target(struct redacted *to, struct span target, bool show);
/* The same, but for user information whole: http://…@host/path?token=shown. */
void redact_user_information(struct redacted *to, struct span target);
/* Host, host:port, or user:password@host. */
void redact_authority(struct redacted *to, struct span authority, bool show);
/* One line of a message, whole or an excerpt, well-formed or not: the values of Authorization, Cookie,
 * Set-Cookie and of fields whose name looks secret; the target of a request line. */
void redact_line(struct redacted *to, struct span line, bool show);
/* Whatever was cut out of a message to quote it: a target, a line, several lines. Evidence, summaries and labels
 * quote only what came through here. */
void redact_excerpt(struct redacted *to, struct span bytes, bool show);

/* Is the value of this query parameter, or field, to be hidden? */
bool secret_name(struct span name);
bool secret_field(struct span name);
bool secret_value(struct span value);

#endif
