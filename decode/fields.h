/* fields.h - header fields and their framing rules, common to HTTP/1 and HTTP/2 */
#ifndef WHY502_FIELDS_H
#define WHY502_FIELDS_H

#include "exchange.h"

enum method  method_of(struct span token);
bool is_token(struct span s);                   /* RFC 9110 5.6.2 */

/* One request field: signs, identifiers, hashes, Via and X-Forwarded-For counts, Expect, Upgrade, Connection.
 * Content-Length, Transfer-Encoding and Host are the caller's. */
void fields_request(struct exchange *x, struct span name, struct span value);
void fields_response(struct exchange *x, struct span name, struct span value);

/* Target in origin, absolute, authority or asterisk form: sets target, target_hash, path_hash, tail_hash, and
 * authority where the form has it. */
void fields_target(struct exchange *x, struct span target);
void fields_authority(struct exchange *x, struct span authority);

/* Digits only, no sign, no more than 2^63-1. False: garbage. RFC 9110 8.6 */
bool fields_number(struct span s, uint64_t *n);

/* How many token characters s begins with. */
size_t token_run(struct span s);
/* Without spaces and tabs at either end. */
static inline struct span fields_trim(struct span s)
{
	while (span_at(s, 0) == ' ' || span_at(s, 0) == '\t')
		s = span_from(s, 1);
	while (s.len != 0 && (span_at(s, s.len - 1) == ' ' || span_at(s, s.len - 1) == '\t'))
		s.len--;
	return s;
}
/* Eight (four) bytes of a name from i on, letters in lower case. Digits and '-' have that bit already, and no
 * other token character becomes a letter, digit or '-' by it. */
static inline uint64_t fields_word(struct span s, size_t i)
{
	uint64_t word;

	memcpy(&word, span_from(s, i).at, sizeof word);
	return word | UINT64_C(0x2020202020202020);
}

static inline uint32_t fields_half_word(struct span s, size_t i)
{
	uint32_t word;

	memcpy(&word, span_from(s, i).at, sizeof word);
	return word | UINT32_C(0x20202020);
}

/* Is this the name? `lower` is in lower case, of letters, digits and '-', at most 24 bytes. Compared in words that overlap. */
static inline bool fields_name_is(struct span name, struct span lower)
{
	if (name.len != lower.len)
		return false;
	if (name.len >= 8)
		return fields_word(name, 0) == fields_word(lower, 0) &&
		       fields_word(name, name.len - 8) == fields_word(lower, name.len - 8) &&
		       (name.len <= 16 || fields_word(name, 8) == fields_word(lower, 8));
	if (name.len >= 4)
		return fields_half_word(name, 0) == fields_half_word(lower, 0) &&
		       fields_half_word(name, name.len - 4) == fields_half_word(lower, name.len - 4);
	return span_equal_nocase(name, lower);
}

/* The next entry of a comma-separated list, trimmed, empty ones passed over (RFC 9110 5.6.1); false after the last. */
bool fields_next(struct span *list, struct span *item);

#endif
