/* http1_head.c - start lines, field lines, the end of a head; and what is wrong with them (RFC 9112 2 to 5) */
#include "fields.h"
#include "http1.h"

#include "../capture/limits.h"

/* Enough of a healthy request's head for people; a broken one is kept up to LIMIT_HEAD_TEXT. */
enum { REQUEST_HEAD_TEXT = 2048 };

/* ---- lines --------------------------------------------------------------------------------- */

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t truth16 __attribute__((vector_size(16)));         /* each 0 or -1: what comparing bytes16 gives */

/* A bit for each byte that is true, the first the lowest. */
static inline unsigned bits_of(truth16 t)
{
#ifdef __SSE2__
	typedef char chars16 __attribute__((vector_size(16)));

	return (unsigned)__builtin_ia32_pmovmskb128((chars16)t);
#else
	unsigned bits = 0;

	for (unsigned i = 0; i < sizeof t; i++)
		bits |= (unsigned)(t[i] & 1) << i;
	return bits;
#endif
}

static inline bytes16 load16(struct span s, size_t i)
{
	bytes16 b;

	memcpy(&b, span_from(s, i).at, sizeof b);
	return b;
}

static inline bool is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

/* How many bytes s begins with that are no control bytes: in an orderly head, up to the line's CR. */
static inline size_t clean_run(struct span s)
{
	size_t n = 0;

	for (; s.len - n >= sizeof(bytes16); n += sizeof(bytes16)) {
		bytes16 b = load16(s, n);
		unsigned control = bits_of((b < 0x20) | (b == 0x7f));

		if (control != 0)
			return n + (unsigned)__builtin_ctz(control);
	}
	while (n < s.len && !is_control(span_at(s, n)))
		n++;
	return n;
}

/* How many bytes `ahead` begins with that are token characters. Names are letters, digits and '-' but for
 * the odd one, so these are looked for 16 at a time. */
static inline size_t name_run(struct span ahead)
{
	size_t n = 0;

	if (ahead.len >= sizeof(bytes16)) {
		bytes16 b = load16(ahead, 0), letter = (b | 0x20) - 'a', digit = b - '0';
		unsigned other = bits_of((letter > 25) & (digit > 9) & (b != '-'));

		n = other != 0 ? (unsigned)__builtin_ctz(other) : sizeof b;
		if (span_at(ahead, n) == ':')
			return n;
	}
	return n + token_run(span_from(ahead, n));
}

static void finish_line(struct h1_side *s, const struct h1_in *in, struct h1_line *line)
{
	struct span t = line->text;

	if (!line->cut && t.len != 0)
		t.len--;                                /* the LF */
	if (t.len != 0 && !line->cut && span_at(t, t.len - 1) == '\r')
		t.len--;
	else if (!line->cut)
		h1_broken(s, VIOLATION_BARE_LF, in, line->offset + t.len, line->text);
	line->len = line->cut ? line->len : t.len;
	line->text = line->ahead = t;
	line->clean = clean_run(t) == t.len;
}

/* A line that is cut by the end of the piece, began in another, or has a control byte. */
static enum step slow_line(struct h1 *h, struct h1_side *s, struct h1_in *in, struct h1_line *line)
{
	size_t n = span_index(in->cur.rest, '\n');
	bool whole = n < in->cur.rest.len;
	bool begun = s->held != NULL && s->held->line_whole != 0;
	uint64_t offset = h1_offset(in) - s->message_at;
	struct span part = cur_take(&in->cur, whole ? n + 1 : n);
	struct h1_held *held;

	*line = (struct h1_line){ .text = part, .offset = offset, .len = part.len };
	if (whole && !begun) {
		finish_line(s, in, line);
		return STEP_ON;
	}
	if (part.len == 0)
		return STEP_MORE;
	held = h1_hold(h, s);
	if (held == NULL) {
		h1_lose(h, s);
		return STEP_MORE;
	}
	if (!h1_buffer_add(h, &held->line, part, LIMIT_HEAD_BYTES) && held->line_whole < LIMIT_HEAD_BYTES) {
		s->x->f.limited = true;
		conn_limit(h->c, "header_bytes_cut");
	}
	held->line_whole += part.len;
	if (!whole)
		return STEP_MORE;
	line->text = span_of(held->line.bytes, held->line.len);
	line->offset = offset + part.len - held->line_whole;
	line->len = held->line_whole;
	line->cut = held->line.len < held->line_whole;
	held->line.len = 0;
	held->line_whole = 0;
	finish_line(s, in, line);
	return STEP_ON;
}

/* The orderly line that lies whole in the piece, without a call: this is where the time goes. */
static inline __attribute__((always_inline)) enum step
take_line(struct h1 *h, struct h1_side *s, struct h1_in *in, struct h1_line *line)
{
	struct span rest = in->cur.rest;
	size_t n;

	if (s->held == NULL || s->held->line_whole == 0) {
		n = clean_run(rest);
		if (span_at(rest, n) == '\r' && span_at(rest, n + 1) == '\n') {
			*line = (struct h1_line){ .text = span_first(rest, n), .ahead = rest, .offset = h1_offset(in) - s->message_at,
			                          .len = n, .clean = true };
			cur_skip(&in->cur, n + 2);
			return STEP_ON;
		}
	}
	return slow_line(h, s, in, line);
}

enum step h1_line(struct h1 *h, struct h1_side *s, struct h1_in *in, struct h1_line *line)
{
	return take_line(h, s, in, line);
}

/* ---- what is wrong with a line ------------------------------------------------------------- */

/* The part of a line that a person must see: from a little before the byte at i. */
static struct span excerpt(const struct h1_line *line, size_t i)
{
	return span_from(line->text, i > 24 ? i - 24 : 0);
}

static void line_broken(struct h1_side *s, const struct h1_in *in, const struct h1_line *line, enum violation v, size_t i)
{
	h1_broken(s, v, in, line->offset + i, line->text.len <= 63 ? line->text : excerpt(line, i));
}

/* Control bytes, each kind told once a line. RFC 9110 5.5, RFC 9112 2.2 */
void h1_check_bytes(struct h1_side *s, const struct h1_in *in, const struct h1_line *line)
{
	uint64_t told = 0;

	if (line->clean)
		return;
	for (size_t i = clean_run(line->text); i < line->text.len; i++) {
		uint8_t c = span_at(line->text, i);
		enum violation v = c == 0 ? VIOLATION_NUL_BYTE : c == '\r' ? VIOLATION_BARE_CR : VIOLATION_CONTROL_BYTE;

		if (!is_control(c) || c == '\t' || (told & violation_bit(v)) != 0)
			continue;
		told |= violation_bit(v);
		line_broken(s, in, line, v, i);
	}
}

/* ---- start lines --------------------------------------------------------------------------- */

static inline bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/1.1": RFC 9112 2.3. What follows HTTP/ is given. */
static enum version version_of(struct span s)
{
	static const struct { const char *text; enum version version; } versions[] = {
		{ "1.1", VERSION_1_1 }, { "1.0", VERSION_1_0 }, { "0.9", VERSION_0_9 }, { "2.0", VERSION_2 }, { "2", VERSION_2 },
	};

	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
		if (span_is(s, versions[i].text))
			return versions[i].version;
	return VERSION_NONE;
}

static void check_version(struct h1_side *s, const struct h1_in *in, const struct h1_line *line, size_t at)
{
	uint8_t v = h1_message(s)->version;

	if (v != VERSION_1_0 && v != VERSION_1_1)
		line_broken(s, in, line, VIOLATION_HTTP_VERSION, at);
}

/* A status line that is not "HTTP/1.x NNN reason": reads what it can. */
static struct span odd_status_line(struct h1_side *s, const struct h1_in *in, const struct h1_line *line)
{
	struct span rest = span_from(line->text, 5), code;
	size_t n = span_index(rest, ' ');
	size_t at = 5 + n;
	uint64_t status = 0;

	h1_message(s)->version = (uint8_t)version_of(span_first(rest, n));
	check_version(s, in, line, 5);
	rest = span_from(rest, n + 1);
	if (at >= line->text.len || span_at(rest, 0) == ' ')
		line_broken(s, in, line, VIOLATION_STATUS_LINE, at);
	while (span_at(rest, 0) == ' ')
		rest = span_from(rest, 1);
	code = span_first(rest, span_index(rest, ' '));
	if (is_digit(span_at(code, 0)) && is_digit(span_at(code, 1)) && is_digit(span_at(code, 2)) && !is_digit(span_at(code, 3)))
		(void)fields_number(span_first(code, 3), &status);
	if (code.len != 3 || status < 100 || status > 599)
		line_broken(s, in, line, VIOLATION_STATUS_CODE, at + 1 < line->text.len ? at + 1 : at);
	s->x->f.status = (uint16_t)status;
	return span_from(rest, code.len + 1);
}

/* HTTP-version SP status-code SP [ reason-phrase ]. RFC 9112 4 */
static struct span status_line(struct h1_side *s, const struct h1_in *in, const struct h1_line *line)
{
	struct span t = line->text;
	unsigned a = (unsigned)span_at(t, 9) - '0', b = (unsigned)span_at(t, 10) - '0', c = (unsigned)span_at(t, 11) - '0';
	uint8_t minor = span_at(t, 7);

	if (!span_starts(t, "HTTP/1.") || (minor != '1' && minor != '0') || span_at(t, 8) != ' ' || a - 1 > 4 || b > 9 || c > 9 ||
	    (t.len > 12 && span_at(t, 12) != ' '))
		return odd_status_line(s, in, line);
	h1_message(s)->version = minor == '1' ? VERSION_1_1 : VERSION_1_0;
	s->x->f.status = (uint16_t)(100 * a + 10 * b + c);
	return span_from(t, 13);
}

static bool is_interim(const struct exchange *x)
{
	return x->f.status >= 100 && x->f.status < 200;
}

/* "HTTP/" and something that may pass for a version: odd ones are read by some recipients, bytes that are no text by none. */
static bool is_status_line(struct span t)
{
	if (!span_starts(t, "HTTP/") || !is_digit(span_at(t, 5)))
		return false;
	for (size_t i = 6; i < t.len && span_at(t, i) != ' '; i++)
		if (span_at(t, i) < 0x21 || span_at(t, i) > 0x7e)
			return false;
	return true;
}

static enum step response_line(struct h1 *h, struct h1_side *s, struct h1_in *in, const struct h1_line *line)
{
	struct exchange *x = s->x;
	struct span reason;

	if (!is_status_line(line->text))
		return h1_garbled(h, s, in, line->text);
	reason = status_line(s, in, line);
	if (!is_interim(x))
		x->f.response.early = !x->f.request.complete && (x->own[0] & (OWN_ORPHAN | OWN_REQUEST_LOST)) == 0;
	if (x->f.status < 200 || x->f.status >= 400 || x->f.response.violations != 0 || h->listing)
		exchange_text(x, &x->f.reason, reason, LIMIT_STRING);
	return STEP_ON;
}

/* Bytes that are no request: a server answers 400 and closes. What follows cannot be told apart. */
static enum step no_request(struct h1 *h, struct h1_side *s, const struct h1_in *in, const struct h1_line *line)
{
	line_broken(s, in, line, VIOLATION_REQUEST_LINE, 0);
	exchange_text(s->x, &s->x->f.request_head, span_first(line->text, LIMIT_HEAD_TEXT), LIMIT_HEAD_TEXT);
	h1_release(h, s);
	h1_lose(h, s);
	return STEP_ON;
}

/* HTTP/0.9: "GET" SP target, and no more. RFC 1945 4.1 */
static enum step simple_request(struct h1 *h, struct h1_side *s, const struct h1_in *in, struct span target)
{
	struct message *m = &s->x->f.request;

	m->version = VERSION_0_9;
	m->framing = FRAMING_NONE;
	m->head_complete = true;
	m->head_end = m->last = in->p->at;
	fields_target(s->x, target);
	return h1_message_end(h, s, in);
}

/* Index of the last space, or s.len; nearly always that before "HTTP/1.1". */
static size_t last_space(struct span s)
{
	size_t n = s.len;

	if (s.len > 9 && span_at(s, s.len - 9) == ' ')
		return s.len - 9;
	while (n > 0 && span_at(s, n - 1) != ' ')
		n--;
	return n > 0 ? n - 1 : s.len;
}

/* Spaces before a method: no request line by RFC 9112 3, and servers take it all the same. */
static size_t leading_space(struct span s)
{
	size_t n = 0;

	while (span_at(s, n) == ' ' || span_at(s, n) == '\t')
		n++;
	return n;
}

/* method SP request-target SP HTTP-version. RFC 9112 3. Spaces within the target belong to it here, and are told. */
static enum step request_line(struct h1 *h, struct h1_side *s, struct h1_in *in, const struct h1_line *line)
{
	struct exchange *x = s->x;
	size_t before = leading_space(line->text);
	struct span text = span_from(line->text, before);
	size_t n = token_run(text);
	struct span method = span_first(text, n), rest = span_from(text, n + 1), version;
	size_t target_len = last_space(rest);

	version = span_from(rest, target_len + 1);
	if (n == 0 || span_at(text, n) != ' ' || (method_of(method) == METHOD_OTHER && !span_starts(version, "HTTP/")))
		return no_request(h, s, in, line);
	if (before != 0)
		line_broken(s, in, line, VIOLATION_REQUEST_LINE, 0);
	x->f.method = (uint8_t)method_of(method);
	exchange_text(x, &x->f.method_text, method, LIMIT_STRING);
	if (span_starts(version, "HTTP/")) {
		x->f.request.version = (uint8_t)version_of(span_from(version, 5));
		check_version(s, in, line, line->text.len - version.len);
	} else {
		line_broken(s, in, line, VIOLATION_REQUEST_LINE, n);
		if (x->f.method == METHOD_GET && target_len == rest.len && rest.len != 0)
			return simple_request(h, s, in, rest);
		target_len = rest.len;
	}
	if (target_len == 0 || span_index(span_first(rest, target_len), ' ') < target_len)
		line_broken(s, in, line, VIOLATION_REQUEST_LINE, n + 1);
	fields_target(x, span_first(rest, target_len));
	return STEP_ON;
}

static void count_head(struct h1_side *s, const struct h1_in *in)
{
	struct message *m = h1_message(s);
	uint64_t before = m->head_bytes;

	m->head_bytes = h1_offset(in) - s->message_at;
	if (before <= LIMIT_HEAD_BYTES && m->head_bytes > LIMIT_HEAD_BYTES)
		conn_passed_limit(s->x->conn, "header_bytes_cut");
}

static enum step start_line(struct h1 *h, struct h1_side *s, struct h1_in *in, const struct h1_line *line)
{
	struct message *m = h1_message(s);

	s->flags &= (uint16_t)~FLAG_FIRST_LINE;
	count_head(s, in);
	if (line->len > m->longest_line)
		m->longest_line = line->len < UINT32_MAX ? (uint32_t)line->len : UINT32_MAX;
	h1_check_bytes(s, in, line);
	return s->from == CLIENT ? request_line(h, s, in, line) : response_line(h, s, in, line);
}

/* ---- field lines --------------------------------------------------------------------------- */

/* RFC 9110 8.6, RFC 9112 6.3: a list of one value repeated is valid, if odd. The first value stands. */
static void content_length(struct h1_side *s, const struct h1_in *in, const struct h1_line *line, struct span value)
{
	struct message *m = h1_message(s);
	size_t at = line->text.len - value.len;
	struct span item;
	uint64_t n;
	bool any = false;

	while (fields_next(&value, &item)) {
		any = true;
		if (!fields_number(item, &n)) {
			bool negative = span_at(item, 0) == '-' && fields_number(span_from(item, 1), &n);

			line_broken(s, in, line, negative ? VIOLATION_LENGTH_NEGATIVE : VIOLATION_LENGTH_GARBAGE, at);
			s->flags |= FLAG_LENGTH_BAD;
		} else if ((s->flags & FLAG_LENGTH) != 0) {
			line_broken(s, in, line, n == m->declared ? VIOLATION_LENGTH_TWICE : VIOLATION_LENGTH_CONFLICT, at);
		} else {
			s->flags |= FLAG_LENGTH;
			m->declared = n;
		}
	}
	if (!any) {
		line_broken(s, in, line, VIOLATION_LENGTH_GARBAGE, 0);
		s->flags |= FLAG_LENGTH_BAD;
	}
}

/* RFC 9112 6.1. Parameters are passed over. */
static void transfer_encoding(struct h1_side *s, const struct h1_in *in, const struct h1_line *line, struct span value)
{
	size_t at = line->text.len - value.len;
	struct span item;

	s->flags |= FLAG_CODING;
	while (fields_next(&value, &item)) {
		item = fields_trim(span_first(item, span_index(item, ';')));
		if (!span_equal_nocase(item, span_text("chunked"))) {
			line_broken(s, in, line, VIOLATION_CODING_UNKNOWN, at);
			s->flags &= (uint16_t)~FLAG_CHUNKED;
		} else if ((s->flags & FLAG_CHUNKED) != 0) {
			line_broken(s, in, line, VIOLATION_CODING_TWICE, at);
		} else {
			s->flags |= FLAG_CHUNKED;
		}
	}
}

static bool lists(struct span list, struct span token)
{
	struct span item;

	while (fields_next(&list, &item))
		if (span_equal_nocase(item, token))
			return true;
	return false;
}

static void response_upgrade(struct h1_side *s, struct span value)
{
	struct span item, asked = exchange_span(s->x, s->x->f.upgrade);

	s->flags |= FLAG_UPGRADE;
	while (fields_next(&value, &item)) {
		if (!lists(asked, item))
			s->flags |= FLAG_UPGRADE_OTHER;
		else if (span_equal_nocase(item, span_text("h2c")))
			s->flags |= FLAG_UPGRADE_H2C;
	}
}

/* Fields that decide where the message ends, or that only HTTP/1 has; by the length of their names. */
static void take_field(struct h1_side *s, const struct h1_in *in, const struct h1_line *line, struct span name, struct span value)
{
	switch (name.len) {
	case 4:
		if (s->from == CLIENT && fields_name_is(name, span_text("host"))) {
			if (s->x->f.authority.len == 0)         /* the absolute form comes before. RFC 9112 3.2.2 */
				fields_authority(s->x, value);
			return;
		}
		break;
	case 7:
		if (s->from == SERVER && fields_name_is(name, span_text("upgrade")))
			response_upgrade(s, value);
		break;
	case 14:
		if (fields_name_is(name, span_text("content-length"))) {
			content_length(s, in, line, value);
			return;
		}
		break;
	case 17:
		if (fields_name_is(name, span_text("transfer-encoding"))) {
			transfer_encoding(s, in, line, value);
			return;
		}
		break;
	default:
		break;
	}
	if (s->from == CLIENT)
		fields_request(s->x, name, value);
	else
		fields_response(s->x, name, value);
}

/* A line whose name is not a token followed by a colon. Returns where its colon is, and the name as a
 * lenient reader takes it; false: it has none. */
static bool odd_name(struct h1_side *s, const struct h1_in *in, const struct h1_line *line, struct span *name, size_t *colon)
{
	struct span t = line->text;
	size_t bad = token_run(t);

	*colon = span_index(t, ':');
	if (*colon == t.len) {
		line_broken(s, in, line, VIOLATION_NO_COLON, 0);
		return false;
	}
	if (*colon == 0) {
		line_broken(s, in, line, VIOLATION_NAME_EMPTY, 0);
		return false;
	}
	*name = fields_trim(span_first(t, *colon));
	if (name->len < *colon)
		line_broken(s, in, line, VIOLATION_SPACE_COLON, name->len);
	if (bad < name->len) {
		uint8_t c = span_at(t, bad);

		line_broken(s, in, line, c == ' ' || c == '\t' ? VIOLATION_SPACE_NAME : VIOLATION_NAME_BYTES, bad);
		return false;
	}
	return true;
}

static void field_line(struct h1_side *s, const struct h1_in *in, const struct h1_line *line)
{
	struct message *m = h1_message(s);
	struct span t = line->text, name;
	size_t colon = name_run(line->ahead);
	uint8_t first = span_at(t, 0);

	if (line->len > m->longest_line)
		m->longest_line = line->len < UINT32_MAX ? (uint32_t)line->len : UINT32_MAX;
	if (!line->clean)
		h1_check_bytes(s, in, line);
	if (first == ' ' || first == '\t') {
		line_broken(s, in, line, VIOLATION_OBS_FOLD, 0);
		return;
	}
	if (m->fields++ == LIMIT_FIELDS)
		conn_passed_limit(s->x->conn, "header_fields_cut");
	name = span_first(t, colon);
	if ((colon == 0 || span_at(t, colon) != ':') && !odd_name(s, in, line, &name, &colon))
		return;
	if (first >= 'A' && first <= 'Z')
		s->flags |= FLAG_UPPER;
	take_field(s, in, line, name, fields_trim(span_from(t, colon + 1)));
}

/* ---- the head ------------------------------------------------------------------------------ */

/* Of a head only the beginning is kept: no limit is reached by that. */
static void keep_head_text(struct h1 *h, struct h1_side *s, struct span head)
{
	struct exchange *x = s->x;
	struct message *m = h1_message(s);
	bool odd = m->violations != 0 || h->listing || !m->head_complete;
	size_t keep = odd || s->from == SERVER ? LIMIT_HEAD_TEXT : REQUEST_HEAD_TEXT;

	if (s->held != NULL && s->held->head.len != 0)
		head = span_of(s->held->head.bytes, s->held->head.len);
	head = span_first(head, keep);
	if (s->from == CLIENT)
		exchange_text(x, &x->f.request_head, head, keep);
	else if (odd || x->f.status < 100 || x->f.status >= 400)
		exchange_text(x, &x->f.response_head, head, keep);
}

/* What a piece held of a head that goes on in the next, or began in one before. */
static void hold_head(struct h1 *h, struct h1_side *s, struct span part)
{
	struct h1_held *held = h1_hold(h, s);

	if (held != NULL)
		(void)h1_buffer_add(h, &held->head, part, LIMIT_HEAD_TEXT);
}

static void note_close(struct h1 *h, struct exchange *x, const struct message *m)
{
	if ((m->signs & SIGN_CONNECTION_CLOSE) == 0 && (m->version != VERSION_1_0 || (m->signs & SIGN_KEEP_ALIVE) != 0))
		return;
	x->f.said_close = true;
	conn_said_close(h->c);
}

/* 1xx: another head follows. What it broke stays with the response, the rest is forgotten. RFC 9110 15.2 */
static enum step interim_end(struct h1 *h, struct h1_side *s)
{
	struct exchange *x = s->x;
	struct message *m = &x->f.response;

	if (x->f.n_interim == 0)
		x->f.interim_at = m->head_end;
	if (x->f.n_interim < LIMIT_INTERIM)
		x->f.interim[x->f.n_interim++] = x->f.status;
	else
		conn_limit(h->c, "interim_cut");
	m->first = m->last = m->head_end = (struct mark){ 0, 0 };
	m->head_bytes = 0;
	m->declared = UINT64_MAX;
	m->fields = m->longest_line = m->signs = 0;
	m->version = VERSION_NONE;
	m->head_complete = false;
	x->f.status = 0;
	x->f.reason = (struct text){ 0, 0 };
	h1_release(h, s);
	s->x = NULL;
	s->state = H1_START;
	return STEP_ON;
}

/* 101: both sides go on in another protocol. RFC 9110 15.2.2, RFC 7540 3.2 */
static enum step upgrade_end(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	struct exchange *x = s->x;
	struct span asked = exchange_span(x, x->f.upgrade);
	bool h2c = (s->flags & FLAG_UPGRADE_H2C) != 0 || ((s->flags & FLAG_UPGRADE) == 0 && lists(asked, span_text("h2c")));
	struct conn *c = h->c;

	if (asked.len == 0 && (x->own[0] & OWN_ORPHAN) == 0)
		h1_broken(s, VIOLATION_UPGRADE_UNASKED, in, 0, span_none());
	else if ((s->flags & FLAG_UPGRADE_OTHER) != 0 && (x->own[0] & OWN_ORPHAN) == 0)
		h1_broken(s, VIOLATION_UPGRADE_OTHER, in, 0, span_none());
	x->f.outcome = OUTCOME_UPGRADED;
	x->f.response.framing = FRAMING_NONE;
	if (!h2c || !x->f.request.complete) {
		x->own[0] |= OWN_REQUEST_LOST;          /* whatever the client still sends is no request */
		h1_response_end(h, s);
	} else {
		h1_leave_open(h, s);                    /* its answer comes on stream 1 */
	}
	h1_opaque(h);
	if (!h2c)
		return STEP_ON;
	conn_switch(c, &http2_protocol, SERVER, in->p, in->p->bytes.len - in->cur.rest.len);
	return STEP_GONE;
}

static enum step head_end(struct h1 *h, struct h1_side *s, struct h1_in *in, struct span head)
{
	struct exchange *x = s->x;
	struct message *m = h1_message(s);

	count_head(s, in);
	m->head_complete = true;
	m->head_end = m->last = in->p->at;
	if (m->fields != 0 && (s->flags & FLAG_UPPER) == 0)
		m->signs |= SIGN_LOWER_NAMES;
	if ((s->flags & FLAG_CODING) != 0 && (s->flags & (FLAG_LENGTH | FLAG_LENGTH_BAD)) != 0)
		h1_broken(s, VIOLATION_LENGTH_AND_CHUNKED, in, 0, span_none());
	if (s->held != NULL)
		hold_head(h, s, head);
	keep_head_text(h, s, head);
	h1_release(h, s);
	if (s->from == SERVER && x->f.status == 101)
		return upgrade_end(h, s, in);
	if (s->from == SERVER && is_interim(x))
		return interim_end(h, s);
	note_close(h, x, m);
	return h1_body_begin(h, s, in);
}

static bool is_start_of_status_line(struct span s)
{
	return memcmp(s.at, "HTTP/", s.len < 5 ? s.len : 5) == 0;
}

enum step h1_head(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	struct span from = in->cur.rest, read;
	struct h1_line line;

	while (take_line(h, s, in, &line) == STEP_ON) {
		if ((s->flags & FLAG_FIRST_LINE) != 0)
			(void)start_line(h, s, in, &line);
		else if (line.len == 0)
			return head_end(h, s, in, span_first(from, from.len - in->cur.rest.len));
		else
			field_line(s, in, &line);
		if (s->state != H1_HEAD)
			return STEP_ON;
	}
	if (s->state != H1_HEAD)
		return STEP_ON;
	read = span_first(from, from.len - in->cur.rest.len);
	if (read.len == 0)
		return STEP_MORE;
	count_head(s, in);
	h1_message(s)->last = in->p->at;
	hold_head(h, s, read);
	if (s->from == SERVER && (s->flags & FLAG_FIRST_LINE) != 0 && s->held != NULL) {
		struct span begun = span_of(s->held->line.bytes, s->held->line.len);

		if (!is_start_of_status_line(begun))
			return h1_garbled(h, s, in, begun);
	}
	return STEP_MORE;
}

/* Of a start line that the capture cut: method or status, where they are whole. */
static void cut_start_line(struct h1_side *s, struct span line)
{
	struct exchange *x = s->x;
	size_t n = token_run(line);
	uint64_t status;

	if (s->from == SERVER) {
		if (span_starts(line, "HTTP/1.") && line.len >= 12 && fields_number(span_first(span_from(line, 9), 3), &status))
			x->f.status = (uint16_t)status;
		return;
	}
	if (n == 0 || span_at(line, n) != ' ')
		return;
	x->f.method = (uint8_t)method_of(span_first(line, n));
	exchange_text(x, &x->f.method_text, span_first(line, n), LIMIT_STRING);
	line = span_from(line, n + 1);
	exchange_text(x, &x->f.target, span_first(line, span_index(line, ' ')), LIMIT_STRING);
}

void h1_head_cut(struct h1 *h, struct h1_side *s)
{
	if (s->held == NULL)
		return;
	if ((s->flags & FLAG_FIRST_LINE) != 0)
		cut_start_line(s, span_of(s->held->line.bytes, s->held->line.len));
	keep_head_text(h, s, span_none());
	h1_release(h, s);
}

/* Bytes of a server that are no status line: which protocol they are, the connection's first bytes tell. */
enum step h1_garbled(struct h1 *h, struct h1_side *s, struct h1_in *in, struct span begun)
{
	struct message *m = &s->x->f.response;
	struct span bytes = begun.len != 0 ? begun : in->cur.rest;

	h1_broken(s, VIOLATION_STATUS_LINE, in, 0, bytes);
	s->x->f.outcome = OUTCOME_GARBLED;
	m->early = !s->x->f.request.complete && (s->x->own[0] & (OWN_ORPHAN | OWN_REQUEST_LOST)) == 0;
	m->head_bytes = 0;
	s->state = H1_GARBLED;
	if (begun.len != 0) {
		exchange_text(s->x, &s->x->f.body, span_first(begun, LIMIT_BODY_TEXT), LIMIT_BODY_TEXT);
		m->body_bytes += begun.len;
	}
	h1_release(h, s);
	if (s->x->f.request.complete)
		exchange_tell(s->x);
	return STEP_ON;
}

/* ---- does it look like HTTP/1? ------------------------------------------------------------- */

bool h1_plausible(enum side from, struct span first)
{
	size_t n = token_run(span_first(first, 32)), end = span_index(first, '\n');
	struct span target = span_from(first, n + 1), line = span_first(first, end);

	if (from == SERVER)
		return span_starts(first, "HTTP/1.") && span_at(first, 8) == ' ' && is_digit(span_at(first, 9));
	if (n == 0 || span_at(first, n) != ' ' || target.len == 0)
		return false;
	if (end < first.len)
		return span_find(line, " HTTP/1.") < line.len;
	return method_of(span_first(first, n)) != METHOD_OTHER &&
	       (span_at(target, 0) == '/' || span_starts(target, "http") || span_at(target, 0) == '*' || span_starts(first, "CONNECT "));
}

static int probe_server(struct span first)
{
	if (!is_start_of_status_line(first))
		return 0;
	if (first.len < 8)
		return PROBE_MORE;
	return h1_plausible(SERVER, first) || span_starts(first, "HTTP/1.") ? 100 : 80;
}

int h1_probe(enum side from, struct span first)
{
	size_t n, end;

	while (span_at(first, 0) == '\r' || span_at(first, 0) == '\n')  /* RFC 9112 2.2 */
		first = span_from(first, 1);
	if (from == CLIENT)
		first = span_from(first, leading_space(first));
	if (first.len == 0)
		return PROBE_MORE;
	if (from == SERVER)
		return probe_server(first);
	n = token_run(span_first(first, 33));
	if (n == first.len && n <= 32)
		return PROBE_MORE;
	if (n == 0 || n > 32 || span_at(first, n) != ' ')
		return 0;
	if (span_starts(first, "PRI * HTTP/2"))
		return 0;
	if (method_of(span_first(first, n)) != METHOD_OTHER)
		return 100;
	end = span_index(first, '\n');
	if (span_find(span_first(first, end), " HTTP/1.") < end)
		return 90;
	return end < first.len || first.len > 512 ? 0 : PROBE_MORE;
}
