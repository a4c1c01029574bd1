/* tls.h - one TLS connection while it is open (for tls*.c alone). RFC 8446, RFC 5246
 *
 *   tls.c              records over the byte stream: framing, holes, ends
 *   tls_handshake.c    messages inside records: hellos and what follows them
 *   tls_certificate.c  the server's certificate (libcrypto)
 *   tls_lengths.c      what encrypted records tell without keys: kinds by length, turns
 *   tls_keys.c         records opened: secrets, epochs, what is inside
 *   tls_crypto.[ch]    cipher suites, key derivation, one record opened (libcrypto)
 *   tls_rsa.c          master secrets by the server's RSA key
 *   tls_inner.c        plaintext handed on to the protocol inside
 *
 * Without keys no byte of an encrypted record is wanted: only its header is read. Records that must be
 * opened are kept until they are whole, those that lie in one packet are opened where they lie.
 */
#ifndef WHY502_TLS_H
#define WHY502_TLS_H

#include "exchange.h"

enum { TLS_CHANGE_CIPHER = 20, TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_APPLICATION = 23, TLS_HEARTBEAT = 24 };
enum { TLS_HEADER = 5, TLS_RECORD_MAX = 16384 + 2048 };         /* RFC 5246 6.2.3 */
enum { TLS_1_0 = 0x0301, TLS_1_1 = 0x0302, TLS_1_2 = 0x0303, TLS_1_3 = 0x0304 };
enum { TLS_EARLY_INNER = 24 };  /* plaintext kept until the protocol inside is known */

struct tls_opener;
struct tls_kept;
struct tls_rsa;

struct tls_buffer { uint8_t *bytes; size_t len, size; };

/* What is done with the body of the record in hand. */
enum tls_take {
	TAKE_NOTHING,                   /* skipped by the stream */
	TAKE_ALERT,                     /* in clear */
	TAKE_HANDSHAKE,                 /* in clear */
	TAKE_WHOLE                      /* to be opened */
};

/* Under which keys a side sends. */
enum tls_epoch {
	EPOCH_PLAIN,
	EPOCH_EARLY,                    /* TLS 1.3, client: 0-RTT */
	EPOCH_HANDSHAKE,                /* TLS 1.3 */
	EPOCH_APPLICATION               /* TLS 1.2: from ChangeCipherSpec on */
};

struct tls_record {
	uint8_t  type;
	uint16_t version;
	struct span body;
	struct mark at;                 /* packet of its last byte */
	uint64_t wire_end;              /* TCP offset behind it */
};

struct tls_side {
	uint8_t  from;                  /* enum side */
	uint8_t  header[TLS_HEADER], n_header;
	uint8_t  take;                  /* enum tls_take */
	uint8_t  epoch;                 /* enum tls_epoch */
	bool     lost;                  /* framing lost: waits for what looks like a record */
	bool     record_encrypted;      /* the record in hand */
	bool     record_broken;         /* bytes of it are missing, or there was no memory for them */
	uint64_t record_missing;        /* how many are */
	uint64_t good_end;              /* TCP offset behind the last record that was whole */
	bool     ended;
	uint32_t left;                  /* bytes of the record still to come */
	struct mark record_at;          /* packet of its first byte */
	struct tls_buffer record;       /* TAKE_WHOLE, not whole yet */
	/* handshake messages */
	uint8_t  message_header[4], n_message_header;
	uint32_t message_left;
	struct tls_buffer message;
	uint8_t  alert[2], n_alert;
	/* without keys */
	uint32_t encrypted_records;     /* TLS 1.3: since the ServerHello */
	uint32_t last_length;           /* of the server's record before */
	/* with keys */
	struct tls_opener *opener;
	uint32_t failures;              /* records that did not open, in a row */
	bool     opened;                /* one did, with these keys */
	bool     trial;                 /* TLS 1.3, no handshake secret: application keys are tried until they fit */
	bool     unsure;                /* records may have been lost: their number is searched for */
	/* inside */
	uint64_t plain_offset;
	uint64_t inner_skip;            /* UINT64_MAX: nothing is wanted any more */
	uint64_t inner_skipped, inner_missing;
	struct mark inner_skip_last;
	uint8_t  early[TLS_EARLY_INNER], n_early;
	struct mark early_at;
	bool     inner_ended;
};

struct tls {
	struct conn *c;
	struct tls_facts *facts;
	struct tls_side side[2];
	uint8_t  client_random[32], server_random[32];
	uint16_t version, cipher;       /* chosen */
	bool     late;                  /* joined late: hellos may be missing */
	bool     hello_done;            /* ServerHelloDone of the handshake in hand */
	bool     etm;                   /* RFC 7366 */
	bool     compressed;            /* RFC 3749: nothing can be read */
	bool     early_offered, early_accepted;
	bool     counted;               /* as encrypted without keys */
	bool     given_up;              /* on keys */
	bool     half;                  /* one side's keys are missing: of the other only alerts are of use */
	bool     waiting;               /* for keys that may still come: records are kept */
	bool     early_decided;
	uint8_t  early_tried;           /* of the suites offered, for 0-RTT */
	uint16_t offered[32]; uint8_t n_offered;        /* cipher suites, for 0-RTT */
	struct tls_buffer early_plain;  /* 0-RTT data until the server takes it */
	struct mark early_plain_at; uint64_t early_plain_end;
	const struct protocol *inner;
	void    *inner_self;
	struct tls_rsa *rsa;            /* NULL: no RSA keys were given */
	bool     inner_over;            /* nothing is handed on any more */
	struct tls_kept *kept, *kept_last; size_t kept_bytes; unsigned n_kept;  /* records that wait for keys */
};

/* tls.c */
bool tls_buffer_add(struct tls *t, struct tls_buffer *b, struct span bytes, size_t limit);      /* false: not all of it */
void tls_buffer_clear(struct tls *t, struct tls_buffer *b);
void tls_alert(struct tls *t, enum side from, uint8_t level, uint8_t description, bool encrypted, struct mark at);
void tls_without_keys(struct tls *t);   /* counted once a connection */

/* tls_handshake.c: bytes of handshake messages, in order. */
void tls_handshake_bytes(struct tls *t, struct tls_side *s, struct span bytes, struct mark at);
void tls_handshake_lost(struct tls *t, struct tls_side *s);     /* bytes of them are missing */
void tls_finished(struct tls *t, enum side from, struct mark at);
void tls_change_cipher(struct tls *t, struct tls_side *s);      /* TLS 1.2 and before */

/* tls_certificate.c: the leaf, DER. */
void tls_certificate(struct tls_facts *f, struct span der, struct mark at);

/* tls_lengths.c: an encrypted record that cannot be opened. */
void tls_unopened(struct tls *t, struct tls_side *s, uint8_t type, uint32_t length, struct mark first, struct mark last);
void tls_application(struct tls *t, enum side from, uint32_t length, struct mark first, struct mark last);

/* tls_keys.c */
bool tls_keys_wanted(const struct tls *t, const struct tls_side *s);    /* should the record that begins be opened? */
void tls_keys_change(struct tls *t, struct tls_side *s);        /* ChangeCipherSpec */
void tls_keys_hello(struct tls *t);                             /* ServerHello of TLS 1.3 */
void tls_keys_retry(struct tls *t);                             /* HelloRetryRequest */
void tls_keys_finished(struct tls *t, struct tls_side *s);      /* Finished of TLS 1.3 */
void tls_keys_update(struct tls *t, struct tls_side *s);        /* KeyUpdate */
void tls_keys_early(struct tls *t);                             /* ClientHello with early_data */
void tls_keys_early_decided(struct tls *t, bool accepted);      /* EncryptedExtensions */
void tls_keys_early_end(struct tls *t);                         /* EndOfEarlyData */
void tls_open_record(struct tls *t, struct tls_side *s, const struct tls_record *r, struct mark first);
void tls_record_missing(struct tls *t, struct tls_side *s, const struct tls_record *r, uint32_t length, struct mark first);
void tls_records_lost(struct tls *t, struct tls_side *s);       /* nobody knows how many */
/* May a record of so many bytes pass unread, since all of it is of no interest inside? */
bool tls_keys_pass(const struct tls *t, const struct tls_side *s, uint8_t type, uint32_t length);
void tls_keys_passed(struct tls *t, struct tls_side *s, uint32_t length, struct mark at);
void tls_keys_end(struct tls *t);                               /* the connection ends: what waits for keys waits no longer */
void tls_keys_free(struct tls *t);

/* tls_rsa.c: handshake messages of TLS 1.2 and before, in order; and that the server resumes a session. */
void tls_rsa_message(struct tls *t, const struct tls_side *s, uint8_t type, struct span body);
void tls_rsa_resumed(struct tls *t);
void tls_rsa_free(struct tls *t);

/* tls_inner.c */
void tls_inner_bytes(struct tls *t, struct tls_side *s, struct span plain, struct mark at, uint64_t wire_end);
void tls_inner_pass(struct tls *t, struct tls_side *s, uint64_t n, uint64_t missing, struct mark at);  /* within inner_skip */
void tls_inner_gap(struct tls *t, struct tls_side *s, uint64_t missing, enum why why, struct mark at);
void tls_inner_end(struct tls *t, struct tls_side *s, enum ending how, struct mark at);
void tls_inner_stop(struct tls *t, struct mark at);     /* no more can be read: what is open stays unfinished */
void tls_inner_passed(struct tls *t, struct tls_side *s, struct mark at, uint64_t wire_end);     /* after tls_inner_pass() */
bool tls_inner_idle(const struct tls *t);
void tls_inner_free(struct tls *t);

static inline struct tls_side *tls_other(struct tls *t, const struct tls_side *s)
{
	return &t->side[side_other((enum side)s->from)];
}

#endif
