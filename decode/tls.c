/* tls.c - TLS records over the byte stream: framing, holes, ends. RFC 8446 5, RFC 5246 6.2
 *
 *	type(1) version(2) length(2) body(length)
 */
#include "tls.h"

#include "../capture/limits.h"

/* A buffer above this is given back where nothing is under way inside. */
enum { RECORD_KEPT_IDLE = 1024 };

/* ---- what all parts share ------------------------------------------------------------------ */

bool tls_buffer_add(struct tls *t, struct tls_buffer *b, struct span bytes, size_t limit)
{
	struct span part = span_first(bytes, b->len < limit ? limit - b->len : 0);

	if (part.len > b->size - b->len) {
		size_t size = b->size != 0 ? b->size : 1024;
		uint8_t *bigger;

		while (size < b->len + part.len)
			size *= 2;
		bigger = b->bytes != NULL ? conn_grow(t->c, b->bytes, b->size, size) : conn_alloc(t->c, size);
		if (bigger == NULL)
			return false;
		b->bytes = bigger;
		b->size = size;
	}
	if (part.len != 0)
		memcpy(b->bytes + b->len, part.at, part.len);
	b->len += part.len;
	return part.len == bytes.len;
}

void tls_buffer_clear(struct tls *t, struct tls_buffer *b)
{
	if (b->bytes != NULL)
		conn_release(t->c, b->bytes, b->size);
	*b = (struct tls_buffer){ 0 };
}

/* The first of a side stands, but a warning gives way to what ended the connection. */
void tls_alert(struct tls *t, enum side from, uint8_t level, uint8_t description, bool encrypted, struct mark at)
{
	struct tls_alert *a = &t->facts->alert[from];

	if (description == 0 || (description == 255 && t->facts->handshake_done)) {
		t->facts->close_notify[from] = true;
		conn_said_goodbye(t->c, from, at);
	}
	if (a->at.packet == 0 || (a->level == 1 && a->description != 0 && level != 1))
		*a = (struct tls_alert){ at, level, description, encrypted };
}

void tls_without_keys(struct tls *t)
{
	if (t->counted || t->facts->decrypted)
		return;
	t->counted = true;
	t->facts->keys_missing = true;
	conn_encrypted(t->c);
}

/* ---- records in clear ---------------------------------------------------------------------- */

static void alert_bytes(struct tls *t, struct tls_side *s, struct span part, struct mark at)
{
	for (size_t i = 0; i < part.len; i++) {
		s->alert[s->n_alert++] = span_at(part, i);
		if (s->n_alert < 2)
			continue;
		s->n_alert = 0;
		tls_alert(t, (enum side)s->from, s->alert[0], s->alert[1], false, at);
	}
}

/* ---- a record ------------------------------------------------------------------------------ */

static bool plausible_header(struct span h)
{
	struct cursor c = cursor_of(h);
	uint8_t type = cur_u8(&c), major = cur_u8(&c), minor = cur_u8(&c);
	uint16_t length = cur_u16(&c);

	return !c.failed && type >= TLS_CHANGE_CIPHER && type <= TLS_HEARTBEAT && major == 3 && minor <= 4 &&
	       length <= TLS_RECORD_MAX;
}

static uint8_t record_type(const struct tls_side *s)
{
	return s->header[0];
}

static uint16_t record_version(const struct tls_side *s)
{
	return (uint16_t)((unsigned)s->header[1] << 8 | s->header[2]);
}

static uint32_t record_length(const struct tls_side *s)
{
	return (uint32_t)s->header[3] << 8 | s->header[4];
}

/* TLS 1.3 says application data of all it encrypts; ChangeCipherSpec means nothing there (RFC 8446 5, D.4). Joined
 * late, what a record of another kind holds is not known. */
static bool is_encrypted(const struct tls *t, const struct tls_side *s)
{
	if (record_type(s) == TLS_APPLICATION)
		return true;
	return record_type(s) != TLS_CHANGE_CIPHER && s->epoch != EPOCH_PLAIN && t->version < TLS_1_3;
}

static enum tls_take take_for(struct tls *t, struct tls_side *s)
{
	uint8_t type = record_type(s);

	if (s->record_encrypted) {
		if (!tls_keys_wanted(t, s) || tls_keys_pass(t, s, type, s->left))
			return TAKE_NOTHING;
		return TAKE_WHOLE;
	}
	return type == TLS_ALERT ? TAKE_ALERT : type == TLS_HANDSHAKE ? TAKE_HANDSHAKE : TAKE_NOTHING;
}

static bool record_begin(struct tls *t, struct tls_side *s)
{
	if (!plausible_header(span_of(s->header, TLS_HEADER)))
		return false;
	s->left = record_length(s);
	s->record_encrypted = is_encrypted(t, s);
	s->record_broken = false;
	s->record_missing = 0;
	s->take = (uint8_t)take_for(t, s);
	return true;
}

static void record_part(struct tls *t, struct tls_side *s, struct span part, struct mark at)
{
	if (s->take == TAKE_ALERT)
		alert_bytes(t, s, part, at);
	else if (s->take == TAKE_HANDSHAKE)
		tls_handshake_bytes(t, s, part, at);
	else if (s->take == TAKE_WHOLE && !s->record_broken && !tls_buffer_add(t, &s->record, part, TLS_RECORD_MAX))
		s->record_broken = true;
}

/* The record's last byte has come; `whole`: its body where that lay in one piece. */
static void record_ended(struct tls *t, struct tls_side *s, struct span whole, struct mark at, uint64_t wire_end)
{
	uint32_t length = record_length(s);
	struct tls_record r = { record_type(s), record_version(s), whole, at, wire_end };

	s->n_header = 0;
	if (!s->record_encrypted) {
		if (r.type == TLS_CHANGE_CIPHER && t->version < TLS_1_3)
			tls_change_cipher(t, s);
		return;
	}
	if (s->take != TAKE_WHOLE) {
		if (tls_keys_pass(t, s, r.type, length))
			tls_keys_passed(t, s, length, at);
		else
			tls_unopened(t, s, r.type, length, s->record_at, at);
		return;
	}
	if (s->record.len != 0)
		r.body = span_of(s->record.bytes, s->record.len);
	if (s->record_broken || r.body.len != length)
		tls_record_missing(t, s, &r, length, s->record_at);
	else
		tls_open_record(t, s, &r, s->record_at);
	s->record.len = 0;
	if (s->record.size > RECORD_KEPT_IDLE && tls_inner_idle(t))
		tls_buffer_clear(t, &s->record);
}

static void record_end(struct tls *t, struct tls_side *s, struct span whole, struct mark at, uint64_t wire_end)
{
	record_ended(t, s, whole, at, wire_end);
	s->good_end = wire_end;
}

/* After a hole: where the next record may begin. Most are written many at a time, so that may be amid a packet. */
static size_t find_record(const struct tls *t, struct span bytes)
{
	uint8_t minor = t->version != 0 && t->version < TLS_1_2 ? (uint8_t)t->version : (uint8_t)TLS_1_2;
	size_t i = 0;

	if (plausible_header(bytes))
		return 0;
	while (i < bytes.len) {
		struct span rest;

		i += span_index(span_from(bytes, i), TLS_APPLICATION);
		rest = span_from(bytes, i);
		if (span_at(rest, 1) == 3 && span_at(rest, 2) == minor && plausible_header(span_first(rest, TLS_HEADER)))
			return i;
		i++;
	}
	return bytes.len;
}

static void lose_framing(struct tls *t, struct tls_side *s)
{
	if (!s->lost && s->epoch == EPOCH_PLAIN)
		tls_handshake_lost(t, s);
	else if (!s->lost)
		tls_records_lost(t, s);
	s->lost = true;
	s->n_header = 0;
	s->left = 0;
	s->record.len = 0;
}

static void take_header(struct tls_side *s, struct cursor *in, struct mark at)
{
	size_t n = (size_t)TLS_HEADER - s->n_header;
	struct span part = cur_take(in, n < in->rest.len ? n : in->rest.len);

	if (s->n_header == 0)
		s->record_at = at;
	memcpy(s->header + s->n_header, part.at, part.len);
	s->n_header = (uint8_t)(s->n_header + part.len);
}

static void take_body(struct tls *t, struct tls_side *s, struct cursor *in, const struct piece *p)
{
	struct span part = cur_take(in, s->left < in->rest.len ? s->left : in->rest.len), whole = span_none();

	if (s->take == TAKE_WHOLE && s->record.len == 0 && !s->record_broken && part.len == s->left)
		whole = part;           /* opened where it lies */
	else
		record_part(t, s, part, p->at);
	s->left -= (uint32_t)part.len;
	if (s->left == 0)
		record_end(t, s, whole, p->at, p->offset + (p->bytes.len - in->rest.len));
}

/* Bytes of the record in hand that were not given. */
static void pass_body(struct tls *t, struct tls_side *s, uint64_t n, uint64_t missing, struct mark at, uint64_t wire_end)
{
	if (s->n_header != TLS_HEADER)
		return;
	if (missing != 0) {
		s->record_broken = true;
		s->record_missing += missing;
	}
	s->left -= n < s->left ? (uint32_t)n : s->left;
	if (s->left == 0)
		record_end(t, s, span_none(), at, wire_end);
}

/* ---- the protocol -------------------------------------------------------------------------- */

static void *tls_begin(struct conn *c, bool late)
{
	struct tls_facts *facts = conn_tls(c);
	struct tls *t = facts != NULL ? conn_alloc(c, sizeof *t) : NULL;

	if (t == NULL)
		return NULL;
	*t = (struct tls){ .c = c, .facts = facts, .late = late };
	for (int i = 0; i < 2; i++) {
		t->side[i].from = (uint8_t)i;
		t->side[i].lost = late;
	}
	return t;
}

static uint64_t tls_bytes(void *self, enum side from, const struct piece *p)
{
	struct tls *t = self;
	struct tls_side *s = &t->side[from];
	struct cursor in = cursor_of(p->bytes);

	if (p->skipped != 0)
		pass_body(t, s, p->skipped, p->missing, p->skip_last, p->offset);
	if (s->lost) {
		size_t n = find_record(t, p->bytes);

		if (n == p->bytes.len)
			return 0;
		cur_skip(&in, n);
		s->lost = false;
	}
	while (in.rest.len != 0) {
		if (s->n_header < TLS_HEADER) {
			take_header(s, &in, p->at);
			if (s->n_header < TLS_HEADER)
				break;
			if (!record_begin(t, s)) {
				lose_framing(t, s);
				return 0;
			}
			if (s->left != 0)
				continue;
		}
		take_body(t, s, &in, p);
	}
	return s->n_header == TLS_HEADER && s->take == TAKE_NOTHING ? s->left : 0;
}

static void tls_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct tls *t = self;
	struct tls_side *s = &t->side[from];
	uint64_t end = s->good_end + TLS_HEADER + record_length(s), within = 0;

	(void)why;
	if (s->n_header == TLS_HEADER && s->take == TAKE_NOTHING)
		pass_body(t, s, s->left, 0, at, end);           /* it was skipped, or a gap would not be told */
	if (s->n_header == TLS_HEADER) {
		within = missing < s->left ? missing : s->left;
		if (s->take == TAKE_HANDSHAKE)
			tls_handshake_lost(t, s);
		pass_body(t, s, within, within, at, end);
	}
	if (within < missing)
		lose_framing(t, s);
}

static void tls_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	struct tls *t = self;
	struct tls_side *s = &t->side[from];

	(void)offset;
	s->ended = true;
	if (t->side[CLIENT].ended && t->side[SERVER].ended)
		tls_keys_end(t);
	tls_inner_end(t, s, how, at);
}

static void tls_free(void *self)
{
	struct tls *t = self;

	tls_inner_free(t);
	tls_keys_free(t);
	tls_rsa_free(t);
	for (int i = 0; i < 2; i++) {
		tls_buffer_clear(t, &t->side[i].record);
		tls_buffer_clear(t, &t->side[i].message);
	}
	tls_buffer_clear(t, &t->early_plain);
	conn_release(t->c, t, sizeof *t);
}

const struct protocol tls_protocol = {
	.name = "tls",
	.speaks = SPEAKS_TLS,
	.begin = tls_begin,
	.bytes = tls_bytes,
	.gap = tls_gap,
	.end = tls_end,
	.free = tls_free,
};
