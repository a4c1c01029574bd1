/* fields.c - one row per field name that means something to us; all others cost one look at a table */
#include "fields.h"

#include "../capture/hash.h"
#include "../capture/limits.h"

/* Kinds of identifiers. W3C, B3, Jaeger and Google name the same trace id (hex digits), so that a
 * gateway that speaks several of them is still matched. */
enum id_kind {
	ID_NONE, ID_TRACE, ID_X_REQUEST, ID_REQUEST, ID_X_CORRELATION, ID_X_UNIQUE, ID_AMZN_ROOT, ID_AMZN_SELF,
	ID_CF_RAY, ID_DATADOG
};

struct field_row {
	const char *name;               /* lower case */
	void (*take)(struct exchange *x, struct message *m, const struct field_row *r, struct span value);
	uint32_t sign;                  /* enum sign set by its presence */
	uint8_t  kind;                  /* enum id_kind, or which of the passed fields it is */
};

/* ---- small parts --------------------------------------------------------------------------- */

/* tchar, RFC 9110 5.6.2: ! # $ % & ' * + - . ^ _ ` | ~ digits and letters, a bit each */
static const uint64_t token_bytes[4] = { 0x03ff6cfa00000000, 0x57ffffffc7fffffe, 0, 0 };

static inline bool is_token_byte(uint8_t c)
{
	return (token_bytes[c >> 6] >> (c & 63) & 1) != 0;
}

size_t token_run(struct span s)
{
	size_t n = 0;

	while (n < s.len && is_token_byte(span_at(s, n)))
		n++;
	return n;
}

bool is_token(struct span s)
{
	return s.len != 0 && token_run(s) == s.len;
}

bool fields_next(struct span *list, struct span *item)
{
	while (list->len != 0) {
		size_t comma = span_index(*list, ',');

		*item = fields_trim(span_first(*list, comma));
		*list = span_from(*list, comma + 1);
		if (item->len != 0)
			return true;
	}
	return false;
}

bool fields_number(struct span s, uint64_t *n)
{
	uint64_t value = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t digit = (uint8_t)(span_at(s, i) - '0');

		if (digit > 9 || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value) || value > INT64_MAX)
			return false;
	}
	*n = value;
	return true;
}

enum method method_of(struct span token)
{
	static const struct { const char *name; enum method method; } methods[] = {
		{ "GET", METHOD_GET },         { "POST", METHOD_POST },       { "HEAD", METHOD_HEAD },
		{ "PUT", METHOD_PUT },         { "DELETE", METHOD_DELETE },   { "OPTIONS", METHOD_OPTIONS },
		{ "PATCH", METHOD_PATCH },     { "CONNECT", METHOD_CONNECT }, { "TRACE", METHOD_TRACE },
	};

	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (span_at(token, 0) == (uint8_t)methods[i].name[0] && span_is(token, methods[i].name))
			return methods[i].method;
	return METHOD_OTHER;
}

static uint16_t add_saturated(uint16_t count, unsigned more)
{
	return count + more < UINT16_MAX ? (uint16_t)(count + more) : UINT16_MAX;
}

static unsigned list_entries(struct span value)
{
	struct span item;
	unsigned n = 0;

	while (fields_next(&value, &item))
		n++;
	return n;
}

/* Where texts of a response are kept: an error, an odd status, or all are listed. */
static bool response_kept(const struct exchange *x)
{
	return x->f.status < 200 || x->f.status >= 400 || x->f.response.violations != 0 || conn_listing(x->conn);
}

/* ---- identifiers --------------------------------------------------------------------------- */

static void add_identifier(struct exchange *x, enum id_kind kind, struct span id)
{
	uint64_t value;

	if (id.len == 0 || x->f.n_ids == sizeof x->f.ids / sizeof x->f.ids[0])
		return;
	value = fingerprint(span_first(id, LIMIT_STRING));
	for (unsigned i = 0; i < x->f.n_ids; i++)       /* a response repeats its request's */
		if (x->f.ids[i].kind == kind && x->f.ids[i].value == value)
			return;
	x->f.ids[x->f.n_ids++] = (struct identifier){ kind, value };
}

/* A trace id is hexadecimal, of 64 or 128 bits: leading zeros and case say nothing. */
static void add_trace(struct exchange *x, struct span id)
{
	uint8_t lower[32];
	size_t n = 0;

	while (id.len > 1 && span_at(id, 0) == '0')
		id = span_from(id, 1);
	for (; n < id.len && n < sizeof lower; n++)
		lower[n] = ascii_lower(span_at(id, n));
	add_identifier(x, ID_TRACE, span_of(lower, n));
}

static struct span before(struct span s, uint8_t byte)
{
	return fields_trim(span_first(s, span_index(s, byte)));
}

static void take_id(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m;
	add_identifier(x, r->kind, value);
}

/* version "-" trace-id "-" parent-id "-" flags. W3C Trace Context 3.2 */
static void take_traceparent(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	add_trace(x, before(span_from(value, span_index(value, '-') + 1), '-'));
}

/* trace id "-" span id, or "0" or "1" or "d" alone (openzipkin/b3-propagation); X-B3-TraceId is the id alone. */
static void take_b3(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	struct span id = before(value, '-');

	(void)m, (void)r;
	if (id.len > 1)
		add_trace(x, id);
}

/* trace id ":" span id ":" … (Jaeger) */
static void take_uber(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	add_trace(x, before(value, ':'));
}

/* trace id "/" span id ";o=1" (Google Cloud) */
static void take_cloud_trace(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	add_trace(x, before(before(value, ';'), '/'));
}

/* "Root=1-…;Self=1-…" (AWS: Request tracing for your Application Load Balancer) */
static void take_amzn(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	while (value.len != 0) {
		struct span part = before(value, ';');

		if (span_starts(part, "Root="))
			add_identifier(x, ID_AMZN_ROOT, span_from(part, 5));
		if (span_starts(part, "Self="))
			add_identifier(x, ID_AMZN_SELF, span_from(part, 5));
		value = span_from(value, span_index(value, ';') + 1);
	}
}

/* ---- other fields -------------------------------------------------------------------------- */

static void take_sign(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)x, (void)m, (void)r, (void)value;         /* its presence is all */
}

static void take_via(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)r;
	if (m == &x->f.request)
		x->f.via_count = add_saturated(x->f.via_count, list_entries(value));
}

static void take_xff(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	x->f.xff_count = add_saturated(x->f.xff_count, list_entries(value));
}

/* Summed, so that their order does not matter; each turned by its own odd number, so that it matters which is which. */
static void take_pass(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m;
	x->f.pass_hash += fingerprint(value) * (2u * r->kind + 1);
}

static bool is_grpc(struct span value)
{
	return ascii_lower(span_at(value, 12)) == 'g' && span_equal_nocase(span_first(value, 16), span_text("application/grpc"));
}

static void note_grpc(struct exchange *x, struct message *m, struct span value)
{
	if (!is_grpc(value))
		return;
	m->signs |= SIGN_GRPC;
	x->f.grpc = 1;
}

static void take_request_type(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	take_pass(x, m, r, value);
	note_grpc(x, m, value);
}

static void take_response_type(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)r;
	note_grpc(x, m, value);
}

static void take_agent(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	x->f.agent_hash = fingerprint(value);
}

/* RFC 9110 7.6.1 */
static void take_connection(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	struct span item;

	(void)x, (void)r;
	if (span_is(value, "keep-alive")) {             /* what nearly all say that say anything */
		m->signs |= SIGN_KEEP_ALIVE;
		return;
	}
	while (fields_next(&value, &item)) {
		if (span_equal_nocase(item, span_text("close")))
			m->signs |= SIGN_CONNECTION_CLOSE;
		else if (span_equal_nocase(item, span_text("keep-alive")))
			m->signs |= SIGN_KEEP_ALIVE;
	}
}

/* "timeout=5, max=100": what Apache and others send (draft-thomson-hybi-http-timeout 2) */
static void take_keep_alive(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	struct span item;
	uint64_t seconds;
	unsigned n = 0;

	(void)r;
	for (; fields_next(&value, &item); n++)
		if (span_equal_nocase(span_first(item, 8), span_text("timeout=")) &&
		    fields_number(span_from(item, 8), &seconds) && seconds <= UINT16_MAX)
			conn_note(x->conn)->keep_alive_s = (uint16_t)seconds;
	if (n == 1)
		m->signs |= SIGN_TIMEOUT_SAID | ((m->signs & SIGN_KEEP_ALIVE) != 0 ? SIGN_TIMEOUT_LAST : 0);
}

static void take_expect(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)x, (void)r;
	if (span_equal_nocase(value, span_text("100-continue")))
		m->signs |= SIGN_EXPECT_100;
}

static void take_upgrade(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	exchange_text(x, &x->f.upgrade, value, LIMIT_STRING);
}

static void take_server(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	memset(x->f.software, 0, sizeof x->f.software);
	memcpy(x->f.software, value.at, value.len < sizeof x->f.software ? value.len : sizeof x->f.software);
	if (response_kept(x))
		exchange_text(x, &x->f.server, value, LIMIT_STRING);
}

/* X-Powered-By: Express, PHP/8.2, …: where there is no Server field. */
static void take_powered(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	if (x->f.software[0] == 0)
		memcpy(x->f.software, value.at, value.len < sizeof x->f.software ? value.len : sizeof x->f.software);
}

static void take_coding(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	(void)m, (void)r;
	exchange_text(x, &x->f.content_encoding, value, LIMIT_STRING);
}

static void take_grpc_status(struct exchange *x, struct message *m, const struct field_row *r, struct span value)
{
	uint64_t status;

	(void)m, (void)r;
	if (fields_number(value, &status) && status <= INT16_MAX)
		x->f.grpc_status = (int16_t)status;
}

/* ---- the rows ------------------------------------------------------------------------------ */

/* clang-format off */
#define IDENTIFIERS_10 { "request-id",            take_id,          0, ID_REQUEST }
#define IDENTIFIERS_12 { "x-request-id",          take_id,          0, ID_X_REQUEST }, \
                       { "x-b3-traceid",          take_b3,          0, ID_TRACE }

static const struct field_row request_2[]  = { { "b3",               take_b3,           0, ID_TRACE }, { 0 } };
static const struct field_row request_3[]  = { { "via",              take_via,          SIGN_VIA, 0 }, { 0 } };
static const struct field_row request_6[]  = { { "accept",           take_pass,         0, 1 },
                                               { "cookie",           take_pass,         0, 2 },
                                               { "expect",           take_expect,       0, 0 },
                                               { "cf-ray",           take_id,           0, ID_CF_RAY }, { 0 } };
static const struct field_row request_7[]  = { { "referer",          take_pass,         0, 3 },
                                               { "upgrade",          take_upgrade,      SIGN_UPGRADE, 0 }, { 0 } };
static const struct field_row request_8[]  = { { "cdn-loop",         take_sign,         SIGN_CDN_LOOP, 0 }, { 0 } };
static const struct field_row request_9[]  = { { "forwarded",        take_sign,         SIGN_FORWARDED, 0 },
                                               { "x-real-ip",        take_sign,         SIGN_X_REAL_IP, 0 },
                                               { "x-varnish",        take_sign,         SIGN_X_VARNISH, 0 }, { 0 } };
static const struct field_row request_10[] = { { "user-agent",       take_agent,        0, 0 },
                                               { "connection",       take_connection,   0, 0 },
                                               IDENTIFIERS_10, { 0 } };
static const struct field_row request_11[] = { { "traceparent",      take_traceparent,  0, ID_TRACE },
                                               { "x-unique-id",      take_id,           0, ID_X_UNIQUE }, { 0 } };
static const struct field_row request_12[] = { { "content-type",     take_request_type, 0, 4 },
                                               IDENTIFIERS_12, { 0 } };
static const struct field_row request_13[] = { { "authorization",    take_pass,         0, 5 },
                                               { "uber-trace-id",    take_uber,         0, ID_TRACE }, { 0 } };
static const struct field_row request_15[] = { { "x-forwarded-for",  take_xff,          SIGN_XFF, 0 },
                                               { "x-amzn-trace-id",  take_amzn,         0, 0 }, { 0 } };
static const struct field_row request_16[] = { { "x-forwarded-host", take_sign,         SIGN_X_FORWARDED_OTHER, 0 },
                                               { "x-forwarded-port", take_sign,         SIGN_X_FORWARDED_OTHER, 0 },
                                               { "x-correlation-id", take_id,           0, ID_X_CORRELATION }, { 0 } };
static const struct field_row request_17[] = { { "x-forwarded-proto", take_sign,        SIGN_X_FORWARDED_OTHER, 0 }, { 0 } };
static const struct field_row request_18[] = { { "x-forwarded-server", take_sign,       SIGN_X_FORWARDED_OTHER, 0 },
                                               { "x-forwarded-scheme", take_sign,       SIGN_X_FORWARDED_OTHER, 0 },
                                               { "x-forwarded-prefix", take_sign,       SIGN_X_FORWARDED_OTHER, 0 },
                                               { "x-datadog-trace-id", take_id,         0, ID_DATADOG }, { 0 } };
static const struct field_row request_21[] = { { "x-cloud-trace-context", take_cloud_trace, 0, ID_TRACE }, { 0 } };

static const struct field_row response_3[]  = { { "via",             take_via,           SIGN_VIA, 0 }, { 0 } };
static const struct field_row response_6[]  = { { "server",          take_server,        0, 0 },
                                                { "cf-ray",          take_id,            0, ID_CF_RAY }, { 0 } };
static const struct field_row response_7[]  = { { "upgrade",         take_sign,          SIGN_UPGRADE, 0 }, { 0 } };
static const struct field_row response_9[]  = { { "x-varnish",       take_sign,          SIGN_X_VARNISH, 0 }, { 0 } };
static const struct field_row response_10[] = { { "connection",      take_connection,    0, 0 },
                                                { "keep-alive",      take_keep_alive,    0, 0 },
                                                IDENTIFIERS_10, { 0 } };
static const struct field_row response_11[] = { { "grpc-status",     take_grpc_status,   0, 0 },
                                                { "traceparent",     take_traceparent,   0, ID_TRACE },
                                                { "x-unique-id",     take_id,            0, ID_X_UNIQUE }, { 0 } };
static const struct field_row response_12[] = { { "content-type",    take_response_type, 0, 0 },
                                                { "x-powered-by",    take_powered,       0, 0 },
                                                IDENTIFIERS_12, { 0 } };
static const struct field_row response_15[] = { { "x-amzn-trace-id", take_amzn,          0, 0 }, { 0 } };
static const struct field_row response_16[] = { { "content-encoding", take_coding,       0, 0 },
                                                { "x-correlation-id", take_id,           0, ID_X_CORRELATION }, { 0 } };

enum { LONGEST_NAME = 21 };

static const struct field_row *const request_rows[LONGEST_NAME + 1] = {        /* by length of the name */
	[2] = request_2, [3] = request_3, [6] = request_6, [7] = request_7, [8] = request_8, [9] = request_9,
	[10] = request_10, [11] = request_11, [12] = request_12, [13] = request_13, [15] = request_15,
	[16] = request_16, [17] = request_17, [18] = request_18, [21] = request_21,
};
static const struct field_row *const response_rows[LONGEST_NAME + 1] = {
	[3] = response_3, [6] = response_6, [7] = response_7, [9] = response_9, [10] = response_10,
	[11] = response_11, [12] = response_12, [15] = response_15, [16] = response_16,
};
/* clang-format on */

static void fields_take(struct exchange *x, struct message *m, const struct field_row *const *rows,
                        struct span name, struct span value)
{
	const struct field_row *r = name.len <= LONGEST_NAME ? rows[name.len] : NULL;

	for (; r != NULL && r->name != NULL; r++) {
		if (!fields_name_is(name, span_of(r->name, name.len)))
			continue;
		m->signs |= r->sign;
		r->take(x, m, r, value);
		return;
	}
}

void fields_request(struct exchange *x, struct span name, struct span value)
{
	fields_take(x, &x->f.request, request_rows, name, value);
}

void fields_response(struct exchange *x, struct span name, struct span value)
{
	fields_take(x, &x->f.response, response_rows, name, value);
}

/* ---- target and authority ------------------------------------------------------------------ */

void fields_authority(struct exchange *x, struct span authority)
{
	uint8_t lower[256];
	size_t n = 0;

	for (; n < authority.len && n < sizeof lower; n++)
		lower[n] = ascii_lower(span_at(authority, n));
	x->f.authority_hash = n != 0 ? fingerprint(span_of(lower, n)) : 0;
	exchange_text(x, &x->f.authority, authority, LIMIT_STRING);
}

/* From the last slash but one of the path: gateways rewrite prefixes, seldom the end. */
static struct span tail_of(struct span target, size_t path_len)
{
	size_t at = path_len;

	for (int slashes = 0; at > 0 && slashes < 2;)
		if (span_at(target, --at) == '/')
			slashes++;
	return span_from(target, at);
}

/* "http://authority/path?query": takes the authority, returns the rest. RFC 9112 3.2.2 */
static struct span absolute_form(struct exchange *x, struct span target, size_t scheme)
{
	struct span rest = span_from(target, scheme + 3);
	size_t n = 0;

	while (n < rest.len && span_at(rest, n) != '/' && span_at(rest, n) != '?')
		n++;
	fields_authority(x, span_first(rest, n));
	return n < rest.len ? span_from(rest, n) : span_text("/");
}

void fields_target(struct exchange *x, struct span target)
{
	struct span tail;
	size_t scheme, path_len;

	exchange_text(x, &x->f.target, target, LIMIT_STRING);
	if (x->f.method == METHOD_CONNECT) {            /* authority form. RFC 9112 3.2.3 */
		fields_authority(x, target);
		x->f.target_hash = x->f.path_hash = x->f.tail_hash = fingerprint(target);
		return;
	}
	if (span_at(target, 0) != '/' && (scheme = span_find(target, "://")) < target.len)
		target = absolute_form(x, target, scheme);
	path_len = span_index(target, '?');
	tail = tail_of(target, path_len);
	x->f.target_hash = fingerprint(target);
	x->f.path_hash = path_len < target.len ? fingerprint(span_first(target, path_len)) : x->f.target_hash;
	x->f.tail_hash = tail.len < target.len ? fingerprint(tail) : x->f.target_hash;
}
