/* tls_lengths.c - what encrypted records tell without keys: their kinds by length, requests and answers in turn
 *
 * TLS 1.3 hides the kind of a record, yet its length speaks: plaintext, one byte of kind, 16 of tag (RFC 8446 5.2). An
 * alert has 2 bytes (6), a Finished 4 and a hash (4.4.4), a Certificate that holds none 4 + 1 + 3 (4.4.2).
 */
#include "tls.h"

enum { SEAL = 1 + 16, SEALED_ALERT = 2 + SEAL, EMPTY_CERTIFICATE = 4 + 1 + 3, SEALED_EMPTY_CERTIFICATE = EMPTY_CERTIFICATE + SEAL };
enum { TICKET_MIN = 60, TICKET_MAX = 4096, HANDSHAKE_RECORDS_MAX = 16 };
#define TWINS_NS (10 * NS_PER_MS)       /* OpenSSL writes both at once; Nagle or a loaded host may part them */

/* ---- turns --------------------------------------------------------------------------------- */

static void turn_begin(struct tls_facts *f, struct mark at)
{
	struct mark last = f->turn_last[SERVER].time_ns > f->turn_last[CLIENT].time_ns ? f->turn_last[SERVER] : f->turn_last[CLIENT];

	f->turn_idle_ns = f->turns != 0 ? at.time_ns - last.time_ns : -1;
	f->turns++;
	f->turn_first[CLIENT] = at;
	f->turn_first[SERVER] = f->turn_last[SERVER] = (struct mark){ 0, 0 };
	f->turn_bytes[CLIENT] = f->turn_bytes[SERVER] = 0;
}

void tls_application(struct tls *t, enum side from, uint32_t length, struct mark first, struct mark last)
{
	struct tls_facts *f = t->facts;

	f->application_records[from]++;
	f->application_bytes[from] += length;
	if (f->first_application[from].packet == 0)
		f->first_application[from] = first;
	if (from == CLIENT && (f->turns == 0 || f->turn_first[SERVER].packet != 0))
		turn_begin(f, first);
	if (f->turns == 0)
		return;                 /* the server speaks first: HTTP/2 SETTINGS */
	if (f->turn_first[from].packet == 0)
		f->turn_first[from] = first;
	f->turn_last[from] = last;
	f->turn_bytes[from] += length;
}

/* ---- TLS 1.3 ------------------------------------------------------------------------------- */

static uint32_t finished_length(const struct tls *t)
{
	return 4 + (t->cipher == 0x1302 ? 48 : 32);     /* TLS_AES_256_GCM_SHA384: SHA-384; all others SHA-256. RFC 8446 B.4 */
}

static void client_handshake(struct tls *t, struct tls_side *s, uint32_t length, struct mark last)
{
	uint32_t finished = finished_length(t);

	if (length == SEALED_EMPTY_CERTIFICATE || length == EMPTY_CERTIFICATE + finished + SEAL)
		t->facts->client_certificate_asked = t->facts->client_certificate_empty = true;
	if (length == finished + SEAL || length == EMPTY_CERTIFICATE + finished + SEAL ||
	    s->encrypted_records >= HANDSHAKE_RECORDS_MAX) {
		tls_finished(t, CLIENT, last);
	} else if (length == SEALED_ALERT) {
		tls_alert(t, CLIENT, 0, 255, true, last);
	} else if (length != SEALED_EMPTY_CERTIFICATE && t->facts->certificate[CLIENT].packet == 0) {
		t->facts->certificate[CLIENT] = last;
		t->facts->client_certificate_asked = true;
	}
}

/* Session tickets follow the Finished of the client (4.6.1): before any request, or OpenSSL's two of one length. */
static bool is_ticket(struct tls *t, struct tls_side *s, uint32_t length, struct mark first)
{
	struct tls_facts *f = t->facts;
	bool may_be = length >= TICKET_MIN && length <= TICKET_MAX;
	bool twin = may_be && f->application_records[SERVER] == 1 && s->last_length == length && f->turns == 1 &&
	            first.time_ns - f->first_application[SERVER].time_ns < TWINS_NS;

	s->last_length = length;
	if (may_be && f->turns == 0) {
		f->tickets++;
		return true;
	}
	if (!twin)
		return false;
	f->tickets += 2;                /* the one before was none of an answer either */
	f->application_records[SERVER] = 0;
	f->application_bytes[SERVER] = f->turn_bytes[SERVER] = 0;
	f->first_application[SERVER] = f->turn_first[SERVER] = f->turn_last[SERVER] = (struct mark){ 0, 0 };
	return true;
}

static void unopened_13(struct tls *t, struct tls_side *s, uint32_t length, struct mark first, struct mark last)
{
	struct tls_facts *f = t->facts;
	bool early = s->from == CLIENT && f->server_hello.packet == 0;

	s->encrypted_records++;
	if (early) {
		if (f->retry_request.packet == 0)
			tls_application(t, CLIENT, length, first, last);
	} else if (s->from == CLIENT && f->finished[CLIENT].packet == 0) {
		client_handshake(t, s, length, last);
	} else if (length == SEALED_ALERT) {
		tls_alert(t, (enum side)s->from, 0, 255, true, last);
	} else if (s->from == SERVER && f->finished[CLIENT].packet == 0) {
		f->finished[SERVER] = last;             /* its flight ends with it; what it may send before the client's is not told apart */
	} else if (s->from == CLIENT || !is_ticket(t, s, length, first)) {
		tls_without_keys(t);
		tls_application(t, (enum side)s->from, length, first, last);
	}
}

/* ---- TLS 1.2 and before -------------------------------------------------------------------- */

static void unopened_12(struct tls *t, struct tls_side *s, uint8_t type, uint32_t length, struct mark first, struct mark last)
{
	if (type == TLS_HANDSHAKE && t->facts->finished[s->from].packet == 0) {
		tls_finished(t, (enum side)s->from, last);
	} else if (type == TLS_ALERT) {
		tls_alert(t, (enum side)s->from, 0, 255, true, last);
	} else if (type == TLS_APPLICATION) {
		t->facts->handshake_done = t->facts->handshake_done || t->facts->client_hello.packet != 0;
		tls_without_keys(t);
		tls_application(t, (enum side)s->from, length, first, last);
	}
}

void tls_unopened(struct tls *t, struct tls_side *s, uint8_t type, uint32_t length, struct mark first, struct mark last)
{
	if (t->version >= TLS_1_3 || (t->version == 0 && !t->late))
		unopened_13(t, s, length, first, last);
	else
		unopened_12(t, s, type, length, first, last);
}
