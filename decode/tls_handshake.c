/* tls_handshake.c - handshake messages: who offers and chooses what, and how far they come. RFC 8446 4, RFC 5246 7.4
 *
 *	type(1) length(3) body(length), cut into records anywhere
 */
#include "tls.h"

#include "../capture/limits.h"

enum tls_message {
	HELLO_REQUEST = 0, CLIENT_HELLO = 1, SERVER_HELLO = 2, END_OF_EARLY_DATA = 5, ENCRYPTED_EXTENSIONS = 8, CERTIFICATE = 11,
	CERTIFICATE_REQUEST = 13, SERVER_HELLO_DONE = 14, FINISHED = 20, KEY_UPDATE = 24
};
enum extension {
	EXTENSION_SERVER_NAME = 0, EXTENSION_ALPN = 16, EXTENSION_ENCRYPT_THEN_MAC = 22, EXTENSION_PRE_SHARED_KEY = 41,
	EXTENSION_EARLY_DATA = 42, EXTENSION_SUPPORTED_VERSIONS = 43
};

/* SHA-256 of "HelloRetryRequest" (RFC 8446 4.1.3). */
static const uint8_t retry_random[32] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

/* ---- small parts --------------------------------------------------------------------------- */

static struct cursor cur_inside(struct cursor *c, size_t length)
{
	return cursor_of(cur_take(c, length));
}

static void copy_text(char *to, size_t size, struct span s)
{
	s = span_first(s, size - 1);
	memcpy(to, s.at, s.len);
	to[s.len] = '\0';
}

/* Values that nobody means, so that nobody chokes on unknown ones (RFC 8701). */
static bool is_grease(uint16_t v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

/* ---- extensions ---------------------------------------------------------------------------- */

/* RFC 6066 3 */
static void client_name(struct tls_facts *f, struct cursor x)
{
	struct cursor list = cur_inside(&x, cur_u16(&x));

	while (list.rest.len != 0 && !list.failed) {
		uint8_t type = cur_u8(&list);
		struct span name = cur_take(&list, cur_u16(&list));

		if (list.failed || type != 0)
			continue;
		f->sni_sent = true;
		copy_text(f->sni, sizeof f->sni, name);
		return;
	}
}

/* RFC 7301 3.1: "h2,http/1.1" */
static void protocol_names(struct cursor x, char *to, size_t size)
{
	struct cursor list = cur_inside(&x, cur_u16(&x));
	size_t used = 0;

	to[0] = '\0';
	while (list.rest.len != 0) {
		struct span name = cur_take(&list, cur_u8(&list));
		size_t comma = used != 0;

		if (list.failed || used + comma + name.len >= size)
			return;
		if (comma)
			to[used] = ',';
		memcpy(to + used + comma, name.at, name.len);
		used += comma + name.len;
		to[used] = '\0';
	}
}

/* RFC 8446 4.2.1 */
static void client_versions(struct tls_facts *f, struct cursor x)
{
	struct cursor list = cur_inside(&x, cur_u8(&x));
	uint16_t max = 0, min = UINT16_MAX;

	while (list.rest.len >= 2) {
		uint16_t v = cur_u16(&list);

		if (is_grease(v) || v >> 8 != 3)
			continue;
		max = v > max ? v : max;
		min = v < min ? v : min;
	}
	if (max == 0)
		return;
	f->offered_max = max;
	f->offered_min = min;
}

static void client_extension(struct tls *t, uint16_t type, struct cursor x)
{
	struct tls_facts *f = t->facts;

	switch (type) {
	case EXTENSION_SERVER_NAME:        client_name(f, x); break;
	case EXTENSION_SUPPORTED_VERSIONS: client_versions(f, x); break;
	case EXTENSION_EARLY_DATA:         t->early_offered = true; break;
	case EXTENSION_ALPN:
		f->alpn_sent = true;
		protocol_names(x, f->alpn_offered, sizeof f->alpn_offered);
		break;
	default: break;
	}
}

static void server_extension(struct tls *t, uint16_t type, struct cursor x)
{
	switch (type) {
	case EXTENSION_SUPPORTED_VERSIONS: t->version = cur_u16(&x); break;
	case EXTENSION_ENCRYPT_THEN_MAC:   t->etm = true; break;
	case EXTENSION_PRE_SHARED_KEY:     t->facts->resumed = true; break;
	case EXTENSION_EARLY_DATA:         t->early_accepted = true; break;
	case EXTENSION_ALPN:               protocol_names(x, t->facts->alpn_chosen, sizeof t->facts->alpn_chosen); break;
	default: break;
	}
}

static void extensions(struct tls *t, struct cursor *c, void (*each)(struct tls *t, uint16_t type, struct cursor x))
{
	struct cursor list = cur_inside(c, cur_u16(c));

	while (list.rest.len >= 4) {
		uint16_t type = cur_u16(&list);
		struct cursor x = cur_inside(&list, cur_u16(&list));

		if (list.failed)
			return;
		each(t, type, x);
	}
}

/* ---- hellos -------------------------------------------------------------------------------- */

static void offered_suites(struct tls *t, struct cursor list)
{
	t->n_offered = 0;
	while (list.rest.len >= 2 && t->n_offered < sizeof t->offered / sizeof t->offered[0]) {
		uint16_t suite = cur_u16(&list);

		if (!is_grease(suite))
			t->offered[t->n_offered++] = suite;
	}
}

static void client_hello(struct tls *t, struct cursor c, struct mark at)
{
	struct tls_facts *f = t->facts;
	uint16_t version = cur_u16(&c);
	struct span random = cur_take(&c, 32);

	if (c.failed)
		return;
	if (f->client_hello.packet == 0)
		f->client_hello = at;
	memcpy(t->client_random, random.at, random.len);
	f->offered_max = version;
	f->offered_min = 0;
	t->early_offered = t->hello_done = false;
	(void)cur_take(&c, cur_u8(&c));                 /* session id */
	offered_suites(t, cur_inside(&c, cur_u16(&c)));
	(void)cur_take(&c, cur_u8(&c));                 /* compression */
	if (!c.failed && c.rest.len != 0)
		extensions(t, &c, client_extension);
	f->early_data |= t->early_offered;
	if (t->early_offered)
		tls_keys_early(t);
}

static void server_hello(struct tls *t, struct cursor c, struct mark at)
{
	struct tls_facts *f = t->facts;
	uint16_t version = cur_u16(&c), cipher;
	struct span random = cur_take(&c, 32);
	uint8_t compression;

	(void)cur_take(&c, cur_u8(&c));                 /* session id */
	cipher = cur_u16(&c);
	compression = cur_u8(&c);
	if (c.failed)
		return;
	t->version = version;
	t->cipher = cipher;
	t->etm = false;
	t->compressed = compression != 0;
	if (c.rest.len != 0)
		extensions(t, &c, server_extension);
	f->chosen = t->version;
	f->cipher = cipher;
	if (memcmp(random.at, retry_random, sizeof retry_random) == 0) {
		f->retry_request = at;
		tls_keys_retry(t);
		return;
	}
	memcpy(t->server_random, random.at, random.len);
	if (f->server_hello.packet == 0)
		f->server_hello = at;
	if (t->version >= TLS_1_3)
		tls_keys_hello(t);
}

/* ---- what follows -------------------------------------------------------------------------- */

/* RFC 5246 7.4.2; TLS 1.3 puts a context before the list (RFC 8446 4.4.2). The leaf comes first. */
static void certificate(struct tls *t, struct tls_side *s, struct cursor c, struct mark at)
{
	struct tls_facts *f = t->facts;
	uint32_t list, length;
	struct span der;

	if (t->version >= TLS_1_3)
		(void)cur_take(&c, cur_u8(&c));
	list = cur_u24(&c);
	if (c.failed)
		return;
	if (s->from == CLIENT && list == 0) {
		f->client_certificate_empty = true;
		return;
	}
	f->certificate[s->from] = at;
	length = cur_u24(&c);
	der = cur_take(&c, length);
	if (s->from == SERVER && !c.failed && der.len != 0)
		tls_certificate(f, der, at);
}

static void encrypted_extensions(struct tls *t, struct cursor c)
{
	t->early_accepted = false;
	extensions(t, &c, server_extension);
	tls_keys_early_decided(t, t->early_accepted);
}

void tls_finished(struct tls *t, enum side from, struct mark at)
{
	struct tls_facts *f = t->facts;

	if (f->finished[from].packet == 0)
		f->finished[from] = at;
	/* TLS 1.3: the client's is the last, and the server's came before it, seen or not. */
	if ((t->version >= TLS_1_3 && from == CLIENT) || (f->finished[CLIENT].packet != 0 && f->finished[SERVER].packet != 0))
		f->handshake_done = true;
}

void tls_change_cipher(struct tls *t, struct tls_side *s)
{
	/* Before a ServerHello it is TLS 1.3 for middleboxes (RFC 8446 D.4), unless only the client was captured. */
	if (s->epoch == EPOCH_EARLY)
		return;
	/* No ServerHelloDone before the server's: an abbreviated handshake (RFC 5246 7.3). */
	if (s->from == SERVER && !t->hello_done && t->facts->server_hello.packet != 0) {
		t->facts->resumed = true;
		tls_rsa_resumed(t);
	}
	s->epoch = EPOCH_APPLICATION;
	if (t->version != 0)
		tls_keys_change(t, s);
}

static void message(struct tls *t, struct tls_side *s, uint8_t type, struct span body, struct mark at)
{
	struct cursor c = cursor_of(body);
	bool server = s->from == SERVER;

	if (t->version < TLS_1_3)
		tls_rsa_message(t, s, type, body);
	switch ((enum tls_message)type) {
	case CLIENT_HELLO:
		if (!server)
			client_hello(t, c, at);
		break;
	case SERVER_HELLO:
		if (server)
			server_hello(t, c, at);
		break;
	case ENCRYPTED_EXTENSIONS:
		if (server)
			encrypted_extensions(t, c);
		break;
	case CERTIFICATE:
		certificate(t, s, c, at);
		break;
	case CERTIFICATE_REQUEST:
		t->facts->client_certificate_asked |= server;
		break;
	case SERVER_HELLO_DONE:
		t->hello_done |= server;
		break;
	case END_OF_EARLY_DATA:
		if (!server)
			tls_keys_early_end(t);
		break;
	case FINISHED:
		tls_finished(t, (enum side)s->from, at);
		if (t->version >= TLS_1_3)
			tls_keys_finished(t, s);
		break;
	case KEY_UPDATE:
		if (t->version >= TLS_1_3)
			tls_keys_update(t, s);
		break;
	case HELLO_REQUEST:
		break;
	}
}

/* ---- cut into records ---------------------------------------------------------------------- */

static bool message_head(struct tls_side *s, struct cursor *in)
{
	size_t n = sizeof s->message_header - s->n_message_header;
	struct span part = cur_take(in, n < in->rest.len ? n : in->rest.len);

	memcpy(s->message_header + s->n_message_header, part.at, part.len);
	s->n_message_header = (uint8_t)(s->n_message_header + part.len);
	if (s->n_message_header < sizeof s->message_header)
		return false;
	s->message_left = (uint32_t)s->message_header[1] << 16 | (uint32_t)s->message_header[2] << 8 | s->message_header[3];
	return true;
}

/* Of a message above the limit only its beginning is kept: the leaf certificate is there. */
static void message_keep(struct tls *t, struct tls_side *s, struct span part)
{
	bool room = s->message.len < LIMIT_TLS_HANDSHAKE;

	if (!tls_buffer_add(t, &s->message, part, LIMIT_TLS_HANDSHAKE) && room)
		conn_limit(t->c, "tls_bytes_cut");
}

void tls_handshake_bytes(struct tls *t, struct tls_side *s, struct span bytes, struct mark at)
{
	struct cursor in = cursor_of(bytes);

	while (in.rest.len != 0) {
		struct span part;

		if (s->n_message_header < sizeof s->message_header && !message_head(s, &in))
			return;
		part = cur_take(&in, s->message_left < in.rest.len ? s->message_left : in.rest.len);
		s->message_left -= (uint32_t)part.len;
		if (s->message_left != 0 || s->message.len != 0)
			message_keep(t, s, part);
		if (s->message_left != 0)
			return;
		s->n_message_header = 0;
		message(t, s, s->message_header[0], s->message.len != 0 ? span_of(s->message.bytes, s->message.len) : part, at);
		tls_buffer_clear(t, &s->message);
	}
}

void tls_handshake_lost(struct tls *t, struct tls_side *s)
{
	s->n_message_header = 0;
	s->message_left = 0;
	tls_buffer_clear(t, &s->message);
}
