/* tls_keys.c - records opened: which secrets, from which record on, and what is inside
 *
 *	TLS 1.2    plain ──ChangeCipherSpec──▶ application      of each side for itself; again at each renegotiation
 *	TLS 1.3    plain ──ServerHello──▶ handshake ──Finished──▶ application ──KeyUpdate──▶ application
 *	           client with 0-RTT: plain ──ClientHello──▶ early ──EndOfEarlyData──▶ handshake
 *
 * Both sides are opened or none: half a conversation would be garbage. Wrong keys show at the first record, since each is
 * authenticated. Where keys may still come (live, or the capture brings them) records are kept for a while.
 */
#include "tls.h"

#include "../capture/limits.h"
#include "tls_crypto.h"

enum { FAILURES_MAX = 3, TRIALS_MAX = 64, HOLE_RECORDS_MAX = 256, HOLE_TRIES_MAX = 8 };

struct tls_kept {
	struct tls_kept *next;
	struct mark first, at;
	uint64_t wire_end;
	uint32_t length, len;           /* len 0: bytes are missing */
	uint16_t version;
	uint8_t  side, type;
	uint8_t  bytes[];
};

/* ---- openers ------------------------------------------------------------------------------- */

static void opener_set(struct tls *t, struct tls_side *s, struct tls_opener *o)
{
	if (s->opener != NULL) {
		tls_opener_free(s->opener);
		conn_uncharge(t->c, TLS_OPENER_BYTES);
	}
	if (o != NULL && !conn_charge(t->c, TLS_OPENER_BYTES)) {
		tls_opener_free(o);
		o = NULL;
	}
	s->opener = o;
	s->opened = s->trial = false;
	s->failures = 0;
}

static bool find_secret(struct tls *t, enum secret_label label, struct secret *secret)
{
	return conn_secrets(t->c) != NULL && secrets_find(conn_secrets(t->c), label, t->client_random, secret);
}

static bool opener_from(struct tls *t, struct tls_side *s, enum secret_label label, uint16_t cipher)
{
	struct secret secret;

	if (!find_secret(t, label, &secret))
		return false;
	opener_set(t, s, tls_opener_13(cipher, &secret));
	explicit_bzero(&secret, sizeof secret);
	return s->opener != NULL;
}

static bool application_keys(struct tls *t, struct tls_side *s)
{
	return opener_from(t, s, s->from == CLIENT ? SECRET_CLIENT_APPLICATION : SECRET_SERVER_APPLICATION, t->cipher);
}

static bool handshake_keys(struct tls *t, struct tls_side *s)
{
	if (opener_from(t, s, s->from == CLIENT ? SECRET_CLIENT_HANDSHAKE : SECRET_SERVER_HANDSHAKE, t->cipher))
		return true;
	if (!application_keys(t, s))
		return false;
	s->trial = true;
	return true;
}

static bool keys_13(struct tls *t, struct tls_side *s)
{
	if (s->opener != NULL && s->epoch == EPOCH_EARLY)
		return true;
	return s->epoch == EPOCH_HANDSHAKE ? handshake_keys(t, s) : s->epoch != EPOCH_APPLICATION || application_keys(t, s);
}

static bool keys_12(struct tls *t, struct tls_side *s)
{
	struct tls_params p = { t->version, t->cipher, t->etm, t->client_random, t->server_random };
	struct secret master;

	if (s->epoch == EPOCH_PLAIN)
		return true;
	if (!find_secret(t, SECRET_MASTER, &master))
		return false;
	opener_set(t, s, tls_opener_12(&p, (enum side)s->from, &master));
	explicit_bzero(&master, sizeof master);
	return s->opener != NULL;
}

static bool keys_found(struct tls *t)
{
	bool good = true;

	for (int i = 0; i < 2 && good; i++)
		good = t->side[i].opener != NULL || (t->version >= TLS_1_3 ? keys_13(t, &t->side[i]) : keys_12(t, &t->side[i]));
	return good;
}

/* ---- giving up ----------------------------------------------------------------------------- */

static void kept_free(struct tls *t, struct tls_kept *k)
{
	conn_release(t->c, k, sizeof *k + k->len);
}

static struct tls_kept *kept_take(struct tls *t)
{
	struct tls_kept *k = t->kept;

	t->kept = t->kept_last = NULL;
	t->kept_bytes = t->n_kept = 0;
	return k;
}

static void give_up(struct tls *t)
{
	struct tls_kept *k = kept_take(t), *next;

	t->given_up = true;
	t->waiting = false;
	for (int i = 0; i < 2; i++)
		opener_set(t, &t->side[i], NULL);
	for (; k != NULL; k = next) {
		next = k->next;
		tls_unopened(t, &t->side[k->side], k->type, k->length, k->first, k->at);
		kept_free(t, k);
	}
}

/* What could be read cannot be read any more. */
static void stop(struct tls *t, struct mark at)
{
	if (t->given_up)
		return;
	t->facts->keys_missing = true;
	if (!t->counted)
		conn_encrypted(t->c);
	t->counted = true;
	tls_inner_stop(t, at);
	give_up(t);
}

static void keys_or_wait(struct tls *t, bool found)
{
	if (found)
		return;
	if (conn_secrets(t->c) != NULL && secrets_may_come(conn_secrets(t->c)))
		t->waiting = true;
	else
		give_up(t);
}

/* The capture may have begun after one, and both randoms are needed. */
static bool hellos_seen(const struct tls *t)
{
	return t->facts->client_hello.packet != 0 && t->facts->server_hello.packet != 0;
}

/* ---- when keys change ---------------------------------------------------------------------- */

void tls_keys_change(struct tls *t, struct tls_side *s)
{
	if (t->given_up || t->waiting)
		return;
	opener_set(t, s, NULL);
	if (conn_secrets(t->c) == NULL || t->compressed || !hellos_seen(t))
		give_up(t);
	else
		keys_or_wait(t, keys_12(t, s));
}

void tls_keys_hello(struct tls *t)
{
	struct tls_side *client = &t->side[CLIENT], *server = &t->side[SERVER];

	server->epoch = EPOCH_HANDSHAKE;
	if (client->epoch != EPOCH_EARLY)
		client->epoch = EPOCH_HANDSHAKE;
	if (t->given_up)
		return;
	if (conn_secrets(t->c) == NULL || !hellos_seen(t))
		give_up(t);
	else
		keys_or_wait(t, keys_13(t, server) && keys_13(t, client));
}

void tls_keys_finished(struct tls *t, struct tls_side *s)
{
	if (t->given_up || s->epoch != EPOCH_HANDSHAKE)
		return;
	s->epoch = EPOCH_APPLICATION;
	opener_set(t, s, NULL);
	if (application_keys(t, s))
		return;
	/* A server's log lacks the client's where it refused the client's certificate: its alert still opens. */
	t->waiting = secrets_may_come(conn_secrets(t->c));
	t->half = !t->waiting;
}

void tls_keys_update(struct tls *t, struct tls_side *s)
{
	if (s->opener != NULL && s->epoch == EPOCH_APPLICATION && !tls_opener_update(s->opener))
		give_up(t);
}

/* ---- 0-RTT --------------------------------------------------------------------------------- */

/* The suite is that of the session resumed, which no packet tells: each offered one that fits is tried. */
static bool early_next(struct tls *t)
{
	struct tls_side *s = &t->side[CLIENT];

	while (t->early_tried < t->n_offered) {
		uint16_t suite = t->offered[t->early_tried++];

		if (suite >> 8 == 0x13 && opener_from(t, s, SECRET_CLIENT_EARLY, suite))
			return true;
	}
	opener_set(t, s, NULL);
	return false;
}

void tls_keys_early(struct tls *t)
{
	struct tls_side *s = &t->side[CLIENT];

	if (t->given_up || s->epoch != EPOCH_PLAIN || conn_secrets(t->c) == NULL)
		return;
	t->early_tried = 0;
	if (early_next(t))
		s->epoch = EPOCH_EARLY;
}

static void early_leave(struct tls *t)
{
	struct tls_side *s = &t->side[CLIENT];

	opener_set(t, s, NULL);
	s->epoch = t->facts->server_hello.packet != 0 ? EPOCH_HANDSHAKE : EPOCH_PLAIN;
	if (s->epoch == EPOCH_HANDSHAKE && !t->given_up)
		keys_or_wait(t, handshake_keys(t, s));
}

void tls_keys_retry(struct tls *t)
{
	tls_keys_early_decided(t, false);       /* RFC 8446 4.1.2: early_data goes with a HelloRetryRequest */
	if (t->side[CLIENT].epoch == EPOCH_EARLY)
		early_leave(t);
	t->side[CLIENT].epoch = EPOCH_PLAIN;
	t->early_decided = false;
}

void tls_keys_early_decided(struct tls *t, bool accepted)
{
	struct tls_side *s = &t->side[CLIENT];

	t->early_decided = true;
	t->early_accepted = accepted;
	if (accepted && t->early_plain.len != 0)
		tls_inner_bytes(t, s, span_of(t->early_plain.bytes, t->early_plain.len), t->early_plain_at, t->early_plain_end);
	tls_buffer_clear(t, &t->early_plain);
}

void tls_keys_early_end(struct tls *t)
{
	if (t->side[CLIENT].epoch != EPOCH_EARLY)
		return;
	if (!t->early_decided)
		tls_keys_early_decided(t, true);
	early_leave(t);
}

static void early_data(struct tls *t, struct span plain, const struct tls_record *r)
{
	if (t->early_plain.len == 0)
		t->early_plain_at = r->at;
	t->early_plain_end = r->wire_end;
	(void)tls_buffer_add(t, &t->early_plain, plain, LIMIT_TLS_HANDSHAKE);
}

/* ---- what is inside ------------------------------------------------------------------------ */

static void application(struct tls *t, struct tls_side *s, struct span plain, const struct tls_record *r, struct mark first)
{
	tls_application(t, (enum side)s->from, (uint32_t)r->body.len, first, r->at);
	if (t->half) {
		tls_without_keys(t);
		return;
	}
	t->facts->decrypted = true;
	if (s->epoch == EPOCH_EARLY && !t->early_decided)
		early_data(t, plain, r);
	else if (s->epoch != EPOCH_EARLY || t->early_accepted)
		tls_inner_bytes(t, s, plain, r->at, r->wire_end);
}

static void content(struct tls *t, struct tls_side *s, const struct tls_opened *o, const struct tls_record *r, struct mark first)
{
	switch (o->type) {
	case TLS_HANDSHAKE:
		tls_handshake_bytes(t, s, o->plain, r->at);
		break;
	case TLS_ALERT:
		if (o->plain.len < 2)
			break;
		tls_alert(t, (enum side)s->from, span_at(o->plain, 0), span_at(o->plain, 1), true, r->at);
		if (span_at(o->plain, 1) == 0)
			tls_inner_end(t, s, END_FIN, r->at);
		break;
	case TLS_APPLICATION:
		application(t, s, o->plain, r, first);
		break;
	default:
		break;
	}
}

/* ---- a record ------------------------------------------------------------------------------ */

static bool open_with(struct tls_side *s, const struct tls_record *r, uint8_t *room, struct tls_opened *o)
{
	return s->opener != NULL && tls_open(s->opener, r->type, r->version, r->body, room, o);
}

static bool open_early(struct tls *t, struct tls_side *s, const struct tls_record *r, uint8_t *room, struct tls_opened *o)
{
	while (!s->opened && early_next(t))
		if (open_with(s, r, room, o))
			return true;
	early_leave(t);                         /* the server refused it, and the client goes on with the handshake */
	return open_with(s, r, room, o);
}

/* A Finished was lost: the keys behind it. */
static bool open_later_keys(struct tls *t, struct tls_side *s, const struct tls_record *r, uint8_t *room, struct tls_opened *o)
{
	struct tls_opener *before = s->opener;
	bool opened = s->opened;

	s->opener = NULL;
	if (application_keys(t, s) && open_with(s, r, room, o)) {
		tls_opener_free(before);
		conn_uncharge(t->c, TLS_OPENER_BYTES);
		s->epoch = EPOCH_APPLICATION;
		tls_finished(t, (enum side)s->from, r->at);
		return true;
	}
	opener_set(t, s, NULL);
	s->opener = before;
	s->opened = opened;
	return false;
}

/* Records were lost, nobody knows how many: their numbers are tried, and what was in them is told by its length. */
static bool open_beyond_hole(struct tls *t, struct tls_side *s, const struct tls_record *r, uint8_t *room, struct tls_opened *o)
{
	uint64_t start = r->wire_end - r->body.len - TLS_HEADER, lost, records = 0;
	bool exact;

	if (!tls_opener_is_aead(s->opener))
		return false;
	while (!open_with(s, r, room, o)) {
		if (records == HOLE_RECORDS_MAX) {
			tls_opener_back(s->opener, records);
			return false;
		}
		records++;
		(void)tls_opener_pass(s->opener);
	}
	s->unsure = false;
	lost = start > s->good_end ? start - s->good_end : 0;
	for (; records != 0 && lost > TLS_HEADER; records--)
		lost -= TLS_HEADER + (lost - TLS_HEADER - tls_opener_plain(s->opener, (size_t)(lost - TLS_HEADER), &exact));
	tls_inner_gap(t, s, lost, WHY_LOST, r->at);
	return true;
}

static bool open_any(struct tls *t, struct tls_side *s, const struct tls_record *r, uint8_t *room, struct tls_opened *o)
{
	if (s->unsure && s->opener != NULL)
		return open_beyond_hole(t, s, r, room, o);
	if (open_with(s, r, room, o))
		return true;
	if (s->epoch == EPOCH_EARLY)
		return open_early(t, s, r, room, o);
	return s->epoch == EPOCH_HANDSHAKE && t->version >= TLS_1_3 && s->opener != NULL && !s->trial && open_later_keys(t, s, r, room, o);
}

static void not_opened(struct tls *t, struct tls_side *s, const struct tls_record *r, struct mark first)
{
	uint32_t length = (uint32_t)r->body.len;
	bool exact;

	s->failures++;
	if (s->opener == NULL || s->trial) {    /* a record of the handshake, whose secret is not there */
		if (s->failures > TRIALS_MAX)
			give_up(t);
		tls_unopened(t, s, r->type, length, first, r->at);
	} else if (s->unsure && s->failures < HOLE_TRIES_MAX && tls_opener_is_aead(s->opener)) {
		s->lost = true;                 /* it only looked like a record */
	} else if (!s->opened && !t->facts->decrypted) {
		give_up(t);                     /* wrong keys */
		tls_unopened(t, s, r->type, length, first, r->at);
	} else if (s->failures >= FAILURES_MAX || !tls_opener_pass(s->opener)) {
		stop(t, r->at);
	} else {
		tls_inner_gap(t, s, tls_opener_plain(s->opener, length, &exact), WHY_DROPPED, r->at);
	}
}

static void open_one(struct tls *t, struct tls_side *s, const struct tls_record *r, struct mark first)
{
	uint8_t *room = conn_scratch(t->c, TLS_ROOM);
	struct tls_opened o;

	if (t->given_up || room == NULL) {
		tls_unopened(t, s, r->type, (uint32_t)r->body.len, first, r->at);
		return;
	}
	if (!open_any(t, s, r, room, &o)) {
		not_opened(t, s, r, first);
		return;
	}
	if (s->trial) {
		s->epoch = EPOCH_APPLICATION;
		tls_finished(t, (enum side)s->from, first);
	}
	s->opened = true;
	s->trial = false;
	s->failures = 0;
	content(t, s, &o, r, first);
}

/* ---- waiting for keys ---------------------------------------------------------------------- */

static void keep(struct tls *t, struct tls_side *s, const struct tls_record *r, uint32_t length, struct mark first)
{
	struct tls_kept *k = NULL;

	if (t->kept_bytes + r->body.len <= 2 * (size_t)LIMIT_TLS_HANDSHAKE && t->n_kept < LIMIT_TLS_RECORDS)
		k = conn_alloc(t->c, sizeof *k + r->body.len);
	if (k == NULL) {
		conn_limit(t->c, "tls_bytes_cut");
		give_up(t);
		tls_unopened(t, s, r->type, length, first, r->at);
		return;
	}
	*k = (struct tls_kept){ NULL, first, r->at, r->wire_end, length, (uint32_t)r->body.len, r->version, s->from, r->type };
	memcpy(k->bytes, r->body.at, r->body.len);
	*(t->kept != NULL ? &t->kept_last->next : &t->kept) = k;
	t->kept_last = k;
	t->kept_bytes += k->len;
	t->n_kept++;
}

static void missing_one(struct tls *t, struct tls_side *s, uint32_t length, struct mark at)
{
	bool exact;

	if (s->opener == NULL)
		return;
	if (s->epoch != EPOCH_APPLICATION)
		tls_handshake_lost(t, s);
	if (!tls_opener_pass(s->opener))
		stop(t, at);
	else if (s->epoch == EPOCH_APPLICATION)
		tls_inner_gap(t, s, tls_opener_plain(s->opener, length, &exact), WHY_LOST, at);
}

static bool keys_have_come(struct tls *t)
{
	struct tls_kept *k, *next;

	if (!keys_found(t))
		return false;
	t->waiting = false;
	for (k = kept_take(t); k != NULL; k = next) {
		struct tls_record r = { k->type, k->version, span_of(k->bytes, k->len), k->at, k->wire_end };

		next = k->next;
		if (t->waiting)                 /* the next keys are still to come */
			keep(t, &t->side[k->side], &r, k->length, k->first);
		else if (k->len == 0)
			missing_one(t, &t->side[k->side], k->length, k->at);
		else
			open_one(t, &t->side[k->side], &r, k->first);
		kept_free(t, k);
	}
	return !t->waiting;
}

void tls_open_record(struct tls *t, struct tls_side *s, const struct tls_record *r, struct mark first)
{
	if (t->waiting && !keys_have_come(t))
		keep(t, s, r, (uint32_t)r->body.len, first);
	else
		open_one(t, s, r, first);
}

void tls_record_missing(struct tls *t, struct tls_side *s, const struct tls_record *r, uint32_t length, struct mark first)
{
	struct tls_record none = *r;

	none.body = span_none();
	if (t->waiting && !keys_have_come(t))
		keep(t, s, &none, length, first);
	else
		missing_one(t, s, length, r->at);
}

void tls_records_lost(struct tls *t, struct tls_side *s)
{
	if (t->waiting)
		give_up(t);
	s->unsure = s->opener != NULL && !s->trial;
	if (s->epoch != EPOCH_APPLICATION)
		tls_handshake_lost(t, s);
}

/* ---- wanted, unwanted ---------------------------------------------------------------------- */

bool tls_keys_wanted(const struct tls *t, const struct tls_side *s)
{
	return !t->given_up && (s->opener != NULL || t->waiting);
}

bool tls_keys_pass(const struct tls *t, const struct tls_side *s, uint8_t type, uint32_t length)
{
	bool exact;
	size_t plain;

	if (type != TLS_APPLICATION || s->opener == NULL || !s->opened || s->unsure || t->waiting || s->inner_skip == 0 ||
	    !tls_opener_is_aead(s->opener))
		return false;
	plain = tls_opener_plain(s->opener, length, &exact);
	return exact && plain <= s->inner_skip;
}

void tls_keys_passed(struct tls *t, struct tls_side *s, uint32_t length, struct mark at)
{
	bool exact;
	size_t plain = tls_opener_plain(s->opener, length, &exact);

	(void)tls_opener_pass(s->opener);
	tls_application(t, (enum side)s->from, length, s->record_at, at);
	tls_inner_pass(t, s, plain, s->record_missing, at);
	tls_inner_passed(t, s, at, s->good_end);
}

void tls_keys_end(struct tls *t)
{
	if (t->waiting && !keys_have_come(t))
		give_up(t);
}

void tls_keys_free(struct tls *t)
{
	struct tls_kept *k = kept_take(t), *next;

	for (; k != NULL; k = next) {
		next = k->next;
		kept_free(t, k);
	}
	for (int i = 0; i < 2; i++)
		opener_set(t, &t->side[i], NULL);
}
