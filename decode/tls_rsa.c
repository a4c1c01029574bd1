/* tls_rsa.c - master secrets of sessions whose key exchange is RSA, by the server's private key. RFC 5246 7.4.7.1 and 8.1
 *
 * The master secret goes where those of key logs are, under the client's random. A session that is resumed has no key exchange:
 * its master secret is kept under the session's id and its ticket, too. For the extended master secret (RFC 7627) the messages
 * up to the client's are kept until then.
 */
#include "tls.h"

#include "../capture/limits.h"
#include "../capture/rsa_keys.h"
#include "tls_crypto.h"

enum { CLIENT_HELLO = 1, SERVER_HELLO = 2, NEW_SESSION_TICKET = 4, CLIENT_KEY_EXCHANGE = 16, HELLO_REQUEST = 0 };
enum { EXTENSION_EXTENDED_MASTER = 23, EXTENSION_SESSION_TICKET = 35 };

struct tls_rsa {
	struct tls_buffer transcript;   /* of this handshake */
	uint16_t offered;
	bool     extended, cut, has_id, has_ticket, has_master;
	uint8_t  id[SECRET_RANDOM];     /* the server's, with zeros behind it */
	uint8_t  ticket[SECRET_RANDOM]; /* the client's, hashed */
	struct secret master;
};

/* Key exchange by RSA alone; of what libcrypto can open. IANA's registry of TLS Cipher Suites, by number. */
static const uint16_t rsa_suites[] = {
	0x0001, 0x0002, 0x0004, 0x0005, 0x000a, 0x002f, 0x0035, 0x003b, 0x003c, 0x003d, 0x0041, 0x0084, 0x009c, 0x009d,
	0x00ba, 0x00c0, 0xc03c, 0xc03d, 0xc050, 0xc051, 0xc07a, 0xc07b, 0xc09c, 0xc09d, 0xc0a0, 0xc0a1,
};

static bool is_rsa(uint16_t cipher)
{
	for (size_t i = 0; i < sizeof rsa_suites / sizeof rsa_suites[0]; i++)
		if (rsa_suites[i] == cipher)
			return true;
	return false;
}

static struct rsa_keys *keys_of(const struct tls *t)
{
	return conn_secrets(t->c) != NULL ? secrets_rsa(conn_secrets(t->c)) : NULL;
}

static void remember(const struct tls *t, enum secret_label label, const uint8_t key[static SECRET_RANDOM])
{
	if (t->rsa->has_master)
		secrets_add(conn_secrets(t->c), label, key, &t->rsa->master);
}

/* ---- hellos -------------------------------------------------------------------------------- */

static bool extension_in(struct cursor hello, uint16_t wanted, struct span *out)
{
	struct cursor list = cursor_of(cur_take(&hello, cur_u16(&hello)));

	while (list.rest.len >= 4) {
		uint16_t type = cur_u16(&list);

		*out = cur_take(&list, cur_u16(&list));
		if (type == wanted && !list.failed)
			return true;
	}
	return false;
}

static void begin(struct tls *t, struct cursor c)
{
	struct tls_rsa *r = t->rsa;
	struct span ticket;

	tls_buffer_clear(t, &r->transcript);
	*r = (struct tls_rsa){ .offered = cur_u16(&c) };
	(void)cur_take(&c, 32);                         /* random */
	(void)cur_take(&c, cur_u8(&c));                 /* session id */
	(void)cur_take(&c, cur_u16(&c));                /* suites */
	(void)cur_take(&c, cur_u8(&c));                 /* compression */
	r->has_ticket = extension_in(c, EXTENSION_SESSION_TICKET, &ticket) && ticket.len != 0 && tls_hash(ticket, r->ticket);
}

static void server_hello(struct tls *t, struct cursor c)
{
	struct tls_rsa *r = t->rsa;
	struct span id, none;

	(void)cur_take(&c, 2 + 32);                     /* version, random */
	id = cur_take(&c, cur_u8(&c));
	(void)cur_take(&c, 2 + 1);                      /* suite, compression */
	r->extended = extension_in(c, EXTENSION_EXTENDED_MASTER, &none);
	r->has_id = id.len != 0 && id.len <= sizeof r->id;
	if (r->has_id)
		memcpy(r->id, id.at, id.len);
}

/* ---- the key exchange ---------------------------------------------------------------------- */

static void key_exchange(struct tls *t, struct cursor c)
{
	struct tls_params p = { t->version, t->cipher, false, t->client_random, t->server_random };
	uint8_t premaster[PREMASTER_BYTES];
	struct tls_rsa *r = t->rsa;
	struct span sealed = cur_take(&c, cur_u16(&c)), said = span_none();

	if (c.failed || !is_rsa(t->cipher) || (r->extended && r->cut))
		return;
	if (!rsa_keys_open(keys_of(t), sealed, r->offered, premaster))
		return;
	if (r->extended)
		said = span_of(r->transcript.bytes, r->transcript.len);
	r->has_master = tls_master(&p, span_of(premaster, sizeof premaster), said, &r->master);
	explicit_bzero(premaster, sizeof premaster);
	remember(t, SECRET_MASTER, t->client_random);
	if (r->has_id)
		remember(t, SECRET_SESSION, r->id);
	tls_buffer_clear(t, &r->transcript);
	r->cut = true;
}

/* RFC 5077 3.3 */
static void new_ticket(struct tls *t, struct cursor c)
{
	uint8_t hash[SECRET_RANDOM];
	struct span ticket;

	(void)cur_u32(&c);                              /* lifetime */
	ticket = cur_take(&c, cur_u16(&c));
	if (!c.failed && ticket.len != 0 && tls_hash(ticket, hash))
		remember(t, SECRET_SESSION, hash);
}

static void keep(struct tls *t, uint8_t type, struct span body)
{
	uint8_t head[4] = { type, (uint8_t)(body.len >> 16), (uint8_t)(body.len >> 8), (uint8_t)body.len };
	struct tls_rsa *r = t->rsa;

	/* A message above the limit came without its rest. */
	if (!r->cut && (body.len >= LIMIT_TLS_HANDSHAKE || !tls_buffer_add(t, &r->transcript, span_of(head, sizeof head), LIMIT_TLS_HANDSHAKE) ||
	                !tls_buffer_add(t, &r->transcript, body, LIMIT_TLS_HANDSHAKE)))
		r->cut = true;
}

void tls_rsa_message(struct tls *t, const struct tls_side *s, uint8_t type, struct span body)
{
	struct cursor c = cursor_of(body);
	bool server = s->from == SERVER;

	if (type == CLIENT_HELLO && !server && t->rsa == NULL && keys_of(t) != NULL) {
		t->rsa = conn_alloc(t->c, sizeof *t->rsa);
		if (t->rsa != NULL)
			*t->rsa = (struct tls_rsa){ 0 };
	}
	if (t->rsa == NULL || type == HELLO_REQUEST)
		return;
	if (type == CLIENT_HELLO && !server)
		begin(t, c);
	keep(t, type, body);
	if (type == SERVER_HELLO && server)
		server_hello(t, c);
	else if (type == NEW_SESSION_TICKET && server)
		new_ticket(t, c);
	else if (type == CLIENT_KEY_EXCHANGE && !server)
		key_exchange(t, c);
}

void tls_rsa_resumed(struct tls *t)
{
	struct tls_rsa *r = t->rsa;
	struct secrets *all = conn_secrets(t->c);

	if (r == NULL || r->has_master)
		return;
	r->has_master = (r->has_ticket && secrets_find(all, SECRET_SESSION, r->ticket, &r->master)) ||
	                (r->has_id && secrets_find(all, SECRET_SESSION, r->id, &r->master));
	remember(t, SECRET_MASTER, t->client_random);
}

void tls_rsa_free(struct tls *t)
{
	if (t->rsa == NULL)
		return;
	tls_buffer_clear(t, &t->rsa->transcript);
	explicit_bzero(t->rsa, sizeof *t->rsa);
	conn_release(t->c, t->rsa, sizeof *t->rsa);
	t->rsa = NULL;
}
