/* http1_body.c - where a message ends (RFC 9112 6.3), chunks (7), and the little that is read of a body */
#include "coding.h"
#include "fields.h"
#include "http1.h"

#include "../capture/hash.h"
#include "../capture/limits.h"

/* ---- the tap ------------------------------------------------------------------------------- */

static void judge_magic(struct h1_side *s)
{
	const struct coding *coding = coding_of(s->x);
	struct message *m = &s->x->f.response;

	s->flags &= (uint16_t)~FLAG_MAGIC;
	if (coding != NULL && s->n_magic != 0 && (s->n_magic < coding->bytes || !coding->begins(s->magic)))
		exchange_broken(m, VIOLATION_CONTENT_CODING, m->last, m->head_bytes, span_of(s->magic, s->n_magic));
}

static void take_magic(struct h1_side *s, struct span content)
{
	const struct coding *coding = coding_of(s->x);
	size_t wanted = coding != NULL ? coding->bytes : 0;

	for (size_t i = 0; i < content.len && s->n_magic < wanted; i++)
		s->magic[s->n_magic++] = span_at(content, i);
	if (s->n_magic == wanted)
		judge_magic(s);
}

/* Behind judge_magic(), which knows better where a body that is coded in no way went wrong. */
static void unpack(struct h1_side *s, struct span content)
{
	if (!coding_follow(s->held->unpacking, &s->x->f.response, content))
		h1_unpack_stop(s);
}

void h1_unpack_stop(struct h1_side *s)
{
	if (s->held == NULL)
		return;
	unpacking_free(s->held->unpacking);
	s->held->unpacking = NULL;
}

void h1_unpack_end(struct h1_side *s)
{
	if (h1_unpacks(s))
		coding_end(s->held->unpacking, h1_message(s));
}

static void tap_text(struct exchange *x, struct span content)
{
	if (x->f.body.len == 0)
		exchange_text(x, &x->f.body, span_first(content, LIMIT_BODY_TEXT), LIMIT_BODY_TEXT);
	else if (x->f.body.len < LIMIT_BODY_TEXT)
		(void)exchange_text_more(x, &x->f.body, content, LIMIT_BODY_TEXT);
}

/* The hash must not depend on how the body was cut into pieces, so unless it is whole it is kept first. */
static void tap_hash(struct h1 *h, struct h1_side *s, struct span content, bool whole)
{
	struct message *m = &s->x->f.response;
	struct h1_held *held;

	if (whole && (s->held == NULL || s->held->body.len == 0)) {
		m->body_hash = fingerprint(span_first(content, LIMIT_BODY_HASH));
		s->flags &= (uint16_t)~FLAG_TAP;
		return;
	}
	held = h1_hold(h, s);
	if (held == NULL) {
		s->flags &= (uint16_t)~FLAG_TAP;
		return;
	}
	if (!h1_buffer_add(h, &held->body, content, LIMIT_BODY_HASH) || held->body.len == LIMIT_BODY_HASH)
		h1_tap_end(h, s);
}

void h1_tap_end(struct h1 *h, struct h1_side *s)
{
	struct message *m = h1_message(s);

	if ((s->flags & FLAG_MAGIC) != 0)
		judge_magic(s);
	if ((s->flags & FLAG_TAP) == 0)
		return;
	s->flags &= (uint16_t)~FLAG_TAP;
	if (s->held == NULL || s->held->body.len == 0)
		return;
	if (m->missing == 0)
		m->body_hash = fingerprint(span_of(s->held->body.bytes, s->held->body.len));
	h1_buffer_clear(h, &s->held->body);
}

static void content(struct h1 *h, struct h1_side *s, const struct h1_in *in, struct span bytes, bool whole)
{
	struct message *m = h1_message(s);

	if (bytes.len == 0)
		return;
	m->body_bytes += bytes.len;
	m->last = in->p->at;
	if ((s->flags & FLAG_MAGIC) != 0)
		take_magic(s, bytes);
	if (h1_unpacks(s))
		unpack(s, bytes);
	if ((s->flags & FLAG_TAP) != 0) {
		tap_text(s->x, bytes);
		tap_hash(h, s, bytes, whole);
	}
}

static struct span take_left(struct h1_side *s, struct h1_in *in)
{
	size_t n = s->left < in->cur.rest.len ? (size_t)s->left : in->cur.rest.len;

	s->left -= n;
	return cur_take(&in->cur, n);
}

/* ---- framing ------------------------------------------------------------------------------- */

static enum framing request_framing(const struct h1_side *s)
{
	if ((s->flags & FLAG_CODING) != 0)
		return (s->flags & FLAG_CHUNKED) != 0 ? FRAMING_CHUNKED : FRAMING_UNKNOWN;
	if ((s->flags & FLAG_LENGTH) != 0)
		return FRAMING_LENGTH;
	return (s->flags & FLAG_LENGTH_BAD) != 0 ? FRAMING_UNKNOWN : FRAMING_NONE;
}

static bool is_tunnel(const struct exchange *x)
{
	return x->f.method == METHOD_CONNECT && x->f.status >= 200 && x->f.status < 300;
}

static bool has_no_body(const struct exchange *x)
{
	return x->f.method == METHOD_HEAD || x->f.status == 204 || x->f.status == 304 || is_tunnel(x);
}

static enum framing field_framing(const struct h1_side *s)
{
	if ((s->flags & FLAG_CODING) != 0)
		return (s->flags & FLAG_CHUNKED) != 0 ? FRAMING_CHUNKED : FRAMING_CLOSE;
	return (s->flags & FLAG_LENGTH) != 0 ? FRAMING_LENGTH : FRAMING_CLOSE;
}

/* A server that sends a body after HEAD all the same sends it as its fields say: it is read as that, so that the next
 * response is found, and one that breaks off is seen to. */
static bool body_after_head(const struct h1_side *s, const struct h1_in *in)
{
	return s->x->f.method == METHOD_HEAD && s->x->f.status >= 200 && (s->flags & (FLAG_CODING | FLAG_LENGTH)) != 0 &&
	       field_framing(s) != FRAMING_CLOSE && !span_starts(in->cur.rest, "HTTP/") && in->cur.rest.len >= 3 &&
	       span_at(in->cur.rest, 0) != '\r' && span_at(in->cur.rest, 0) != '\n';
}

static enum framing response_framing(struct h1_side *s, const struct h1_in *in)
{
	if (body_after_head(s, in))
		h1_broken(s, VIOLATION_BODY_FORBIDDEN, in, h1_offset(in) - s->message_at, in->cur.rest);
	else if (has_no_body(s->x))
		return FRAMING_NONE;
	return field_framing(s);
}

/* A response that must have no body: what follows it in its own packet, if no new response, is one. */
static enum step no_body(struct h1 *h, struct h1_side *s, const struct h1_in *in)
{
	struct exchange *x = s->x;
	struct span rest = in->cur.rest;
	bool tunnel = is_tunnel(x);
	bool forbidden = !tunnel && rest.len != 0 && !span_starts(rest, "HTTP/") && span_at(rest, 0) != '\r' && span_at(rest, 0) != '\n';

	x->own[0] |= OWN_NO_BODY;
	if (forbidden)
		h1_broken(s, VIOLATION_BODY_FORBIDDEN, in, h1_offset(in) - s->message_at, rest);
	if (tunnel) {
		x->f.outcome = OUTCOME_TUNNEL;
		x->own[0] |= OWN_REQUEST_LOST;
	}
	(void)h1_message_end(h, s, in);
	if (tunnel) {
		h1_opaque(h);
		conn_switch(h->c, &connect_protocol, SERVER, in->p, in->p->bytes.len - rest.len);
		return STEP_GONE;
	}
	if (forbidden)
		s->state = H1_SYNC;
	return STEP_ON;
}

static void open_tap(struct h1 *h, struct h1_side *s)
{
	const struct exchange *x = s->x;
	const struct coding *coding = x->f.content_encoding.len != 0 ? coding_of(x) : NULL;

	if (x->f.status >= 400 || x->f.status < 100)
		s->flags |= FLAG_TAP;
	if (coding != NULL)
		s->flags |= FLAG_MAGIC;
	s->n_magic = 0;
	if (coding != NULL && conn_checks_coding(h->c) && h1_hold(h, s) != NULL)
		s->held->unpacking = unpacking_new(h->c, coding);
}

enum step h1_body_begin(struct h1 *h, struct h1_side *s, const struct h1_in *in)
{
	struct message *m = h1_message(s);

	m->framing = (uint8_t)(s->from == CLIENT ? request_framing(s) : response_framing(s, in));
	if (s->from == SERVER && m->framing == FRAMING_NONE)
		return no_body(h, s, in);
	if (s->from == SERVER)
		open_tap(h, s);
	switch (m->framing) {
	case FRAMING_NONE:
		return h1_message_end(h, s, in);
	case FRAMING_LENGTH:
		s->left = m->declared;
		s->state = H1_LENGTH;
		return STEP_ON;
	case FRAMING_CHUNKED:
		s->state = H1_CHUNK_SIZE;
		return STEP_ON;
	case FRAMING_CLOSE:
		s->state = H1_CLOSE;
		return STEP_ON;
	default:
		/* A request whose end cannot be known: servers answer 400 (RFC 9112 6.3, rules 4 and 5). Some take it
		 * as one without a body, so another that follows at once is told. */
		(void)h1_message_end(h, s, in);
		if (!h1_plausible(CLIENT, in->cur.rest))
			s->state = H1_SYNC;
		return STEP_ON;
	}
}

enum step h1_length(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	struct message *m = h1_message(s);
	uint64_t before = s->left;
	struct span bytes;

	/* Joined late, a response may have been one to HEAD: then the next response stands where its body should. */
	if (before != 0 && m->body_bytes == 0 && (s->x->own[0] & OWN_ORPHAN) != 0 && h1_plausible(s->from, in->cur.rest))
		return h1_message_end(h, s, in);
	bytes = take_left(s, in);
	content(h, s, in, bytes, bytes.len == before && m->body_bytes == 0);
	return s->left == 0 ? h1_message_end(h, s, in) : STEP_MORE;
}

enum step h1_close(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	content(h, s, in, cur_take(&in->cur, in->cur.rest.len), false);
	return STEP_MORE;
}

/* ---- chunks -------------------------------------------------------------------------------- */

static bool hex_digit(uint8_t c, uint64_t *value)
{
	if (c >= '0' && c <= '9')
		*value = (uint64_t)c - '0';
	else if (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f')
		*value = (uint64_t)ascii_lower(c) - 'a' + 10;
	else
		return false;
	return true;
}

/* chunk-size [ chunk-ext ]. RFC 9112 7.1; white space after the size is passed over, as nginx and others do. */
static bool parse_chunk_size(struct span text, uint64_t *size, bool *extended)
{
	uint64_t digit;
	size_t n = 0;

	*size = 0;
	for (; n < text.len && hex_digit(span_at(text, n), &digit); n++) {
		if (*size >> 59 != 0)                   /* above 2^63: no body is */
			return false;
		*size = *size << 4 | digit;
	}
	text = fields_trim(span_from(text, n));
	*extended = span_at(text, 0) == ';';
	return n != 0 && (text.len == 0 || *extended);
}

enum step h1_chunk_size(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	struct message *m = h1_message(s);
	struct h1_line line;
	bool extended;

	if (in->cur.rest.len != 0)
		m->last = in->p->at;
	if (h1_line(h, s, in, &line) == STEP_MORE)
		return s->state == H1_CHUNK_SIZE ? STEP_MORE : STEP_ON;
	if (!parse_chunk_size(line.text, &s->left, &extended) || line.cut) {
		h1_broken(s, VIOLATION_CHUNK_SIZE, in, line.offset, line.text);
		h1_lose(h, s);
		return STEP_ON;
	}
	if (extended)
		h1_broken(s, VIOLATION_CHUNK_EXTENSION, in, line.offset, line.text);
	s->state = s->left != 0 ? H1_CHUNK_DATA : H1_TRAILER;
	return STEP_ON;
}

enum step h1_chunk_data(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	content(h, s, in, take_left(s, in), false);
	if (s->left != 0)
		return STEP_MORE;
	s->left = 2;                                    /* CR LF */
	s->state = H1_CHUNK_END;
	return STEP_ON;
}

/* The CRLF behind a chunk's data; an LF alone is told, and taken. */
enum step h1_chunk_end(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	while (in->cur.rest.len != 0) {
		struct span rest = in->cur.rest;
		uint8_t c = cur_u8(&in->cur);

		h1_message(s)->last = in->p->at;
		if (c == '\r' && s->left == 2) {
			s->left = 1;
			continue;
		}
		if (c != '\n' || s->left == 2)
			h1_broken(s, VIOLATION_CHUNK_END, in, h1_offset(in) - 1 - s->message_at, rest);
		if (c != '\n') {
			h1_lose(h, s);
			return STEP_ON;
		}
		s->state = H1_CHUNK_SIZE;
		return STEP_ON;
	}
	return STEP_MORE;
}

/* RFC 9112 7.1.2 */
enum step h1_trailer(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	struct h1_line line;
	size_t n;

	if (in->cur.rest.len != 0)
		h1_message(s)->last = in->p->at;
	while (h1_line(h, s, in, &line) == STEP_ON) {
		if (line.len == 0)
			return h1_message_end(h, s, in);
		n = token_run(line.text);
		h1_check_bytes(s, in, &line);
		if (n == 0 || span_at(line.text, n) != ':')
			h1_broken(s, VIOLATION_TRAILER_BAD, in, line.offset, line.text);
		else if (s->from == SERVER)
			fields_response(s->x, span_first(line.text, n), fields_trim(span_from(line.text, n + 1)));
	}
	return s->state == H1_TRAILER ? STEP_MORE : STEP_ON;
}

/* ---- no HTTP ------------------------------------------------------------------------------- */

enum step h1_take_garbage(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	struct message *m = h1_message(s);
	struct span bytes = cur_take(&in->cur, in->cur.rest.len);

	(void)h;
	if (bytes.len == 0)
		return STEP_MORE;
	m->body_bytes += bytes.len;
	m->last = in->p->at;
	tap_text(s->x, bytes);
	return STEP_MORE;
}
