/* json_emit.h - JSON as a stream: always valid, whatever bytes go in
 *
 *     json_object(&j, NULL);
 *     json_bytes(&j, "target", target);       a field "target_hex" beside it where it is not UTF-8
 *     json_array(&j, "interim"); json_number(&j, NULL, 100); json_close(&j);
 *     json_close(&j);
 *
 * Strings are UTF-8; an invalid byte is U+FFFD; C0, DEL, C1, U+2028 and U+2029 are \u escapes.
 * Integers from 2^53 on are strings, as a reader's doubles would change them (RFC 8259 6). Commas,
 * and a line of its own for what lies less than `deep` levels down, are made here. `key` is NULL in an array.
 */
#ifndef WHY502_JSON_EMIT_H
#define WHY502_JSON_EMIT_H

#include "out.h"

enum { JSON_DEPTH = 16 };

struct json {
	struct out *out;
	unsigned depth, deep;
	bool     in_html;               /* within a <script>: < > & as \u escapes */
	bool     no_hex;                /* others' formats: no NAME_hex beside what is no UTF-8 */
	bool     any[JSON_DEPTH + 1];   /* something was written at this depth */
	char     close[JSON_DEPTH];
};

void json_init(struct json *j, struct out *o, unsigned deep);
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_close(struct json *j);                /* the innermost that is open */

void json_null(struct json *j, const char *key);
void json_bool(struct json *j, const char *key, bool yes);
void json_number(struct json *j, const char *key, uint64_t n);
void json_signed(struct json *j, const char *key, int64_t n);
void json_text(struct json *j, const char *key, const char *text);             /* our own words; NULL: null */
void json_bytes(struct json *j, const char *key, struct span raw);             /* from the wire */
void json_seconds(struct json *j, const char *key, int64_t ns);                /* exact; below 0 is 0 */
void json_offset(struct json *j, const char *key, int64_t ns);                 /* seconds, with a sign */
void json_time(struct json *j, const char *key, int64_t ns);                   /* RFC 3339, UTC */
void json_share(struct json *j, const char *key, uint64_t part, uint64_t whole);        /* 0.74 */

#endif
