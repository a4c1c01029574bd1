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

#endif
