#include "story_talk.h"

#include <nghttp2/nghttp2.h>

enum { ROOM = 20000 };

struct talk { uint8_t at[ROOM]; size_t n; };

static void put(struct talk *t, unsigned bytes, uint32_t value)
{
	for (unsigned i = bytes; i-- > 0; )
		t->at[t->n++] = (uint8_t)(value >> 8 * i);
}

static void put_bytes(struct talk *t, const void *bytes, size_t n)
{
	if (n != 0)
		memcpy(t->at + t->n, bytes, n);
	t->n += n;
}

static void put_filler(struct talk *t, size_t n)
{
	memset(t->at + t->n, 0x5a, n);
	t->n += n;
}

/* A length of so many bytes that is known once what it counts is written. */
static size_t put_length(struct talk *t, unsigned bytes)
{
	t->n += bytes;
	return t->n;
}

static void end_length(struct talk *t, unsigned bytes, size_t from)
{
	size_t end = t->n;

	t->n = from - bytes;
	put(t, bytes, (uint32_t)(end - from));
	t->n = end;
}

/* ---- TLS ---------------------------------------------------------------------------------- */

static size_t put_record(struct talk *t, unsigned type)
{
	put(t, 1, type);
	put(t, 2, 0x0303);
	return put_length(t, 2);
}

static void put_sealed(struct talk *t, unsigned type, size_t len)
{
	size_t record = put_record(t, type);

	put_filler(t, len);
	end_length(t, 2, record);
}

void story_record(struct story *s, int who, unsigned type, size_t len)
{
	struct talk t = { .n = 0 };

	put_sealed(&t, type, len);
	story_bytes(s, who, t.at, t.n);
}

void story_alert(struct story *s, int who, unsigned description)
{
	struct talk t = { .n = 0 };
	size_t record = put_record(&t, TLS_ALERT);

	put(&t, 1, 2);
	put(&t, 1, description);
	end_length(&t, 2, record);
	story_segment(s, who, t.at, t.n);
}

static void put_server_name(struct talk *t, const char *name)
{
	size_t extension, list, host;

	put(t, 2, 0);                                   /* server_name, RFC 6066 3 */
	extension = put_length(t, 2);
	list = put_length(t, 2);
	put(t, 1, 0);
	host = put_length(t, 2);
	put_bytes(t, name, strlen(name));
	end_length(t, 2, host);
	end_length(t, 2, list);
	end_length(t, 2, extension);
}

/* RFC 8446 4.1.2 */
void story_client_hello(struct story *s, const char *server_name, size_t more)
{
	static const uint8_t versions[] = { 0, 43, 0, 5, 4, 3, 4, 3, 3 };      /* supported_versions: 1.3 and 1.2 */
	struct talk t = { .n = 0 };
	size_t record = put_record(&t, TLS_HANDSHAKE), body, extensions;

	put(&t, 1, 1);
	body = put_length(&t, 3);
	put(&t, 2, TLS_1_2);
	put_filler(&t, 32);
	put(&t, 1, 0);                                  /* no session */
	put(&t, 2, 4);
	put(&t, 4, 0x1301c02f);                         /* TLS_AES_128_GCM_SHA256, ECDHE_RSA_WITH_AES_128_GCM_SHA256 */
	put(&t, 2, 0x0100);                             /* compression: none */
	extensions = put_length(&t, 2);
	if (server_name != NULL)
		put_server_name(&t, server_name);
	put_bytes(&t, versions, sizeof versions);
	if (more != 0) {
		put(&t, 2, 21);
		put(&t, 2, (uint32_t)more);
		put_filler(&t, more);
	}
	end_length(&t, 2, extensions);
	end_length(&t, 3, body);
	end_length(&t, 2, record);
	story_bytes(s, GATEWAY, t.at, t.n);
}

/* RFC 8446 4.1.3, RFC 5246 7.4.1.3 */
static void put_server_hello(struct talk *t, unsigned version)
{
	static const uint8_t chosen[] = { 0, 43, 0, 2, 3, 4 };
	size_t record = put_record(t, TLS_HANDSHAKE), body;

	put(t, 1, 2);
	body = put_length(t, 3);
	put(t, 2, TLS_1_2);
	put_filler(t, 32);
	put(t, 1, 0);
	put(t, 2, version == TLS_1_3 ? 0x1301 : 0xc02f);
	put(t, 1, 0);
	put(t, 2, version == TLS_1_3 ? sizeof chosen : 0);
	put_bytes(t, chosen, version == TLS_1_3 ? sizeof chosen : 0);
	end_length(t, 3, body);
	end_length(t, 2, record);
}

/* RFC 5246 7.4.2, 7.4.5 */
static void put_certificate(struct talk *t)
{
	size_t record = put_record(t, TLS_HANDSHAKE), body, list, one;

	put(t, 1, 11);
	body = put_length(t, 3);
	list = put_length(t, 3);
	one = put_length(t, 3);
	put_filler(t, 600);
	end_length(t, 3, one);
	end_length(t, 3, list);
	end_length(t, 3, body);
	put(t, 4, 14u << 24);                           /* ServerHelloDone */
	end_length(t, 2, record);
}

void story_server_hello(struct story *s, unsigned version)
{
	struct talk t = { .n = 0 };

	put_server_hello(&t, version);
	if (version == TLS_1_3)
		put_sealed(&t, TLS_DATA, 1100);         /* EncryptedExtensions, Certificate, CertificateVerify, Finished in one */
	else
		put_certificate(&t);
	story_bytes(s, UPSTREAM, t.at, t.n);
}

void story_tls_done(struct story *s, unsigned version)
{
	story_client_hello(s, "app.example", 0);
	story_server_hello(s, version);
	if (version == TLS_1_3) {
		story_record(s, GATEWAY, TLS_DATA, SEALED_FINISHED);
	} else {
		story_record(s, GATEWAY, TLS_CHANGE, 1);
		story_record(s, GATEWAY, TLS_HANDSHAKE, 40);
		story_record(s, UPSTREAM, TLS_CHANGE, 1);
		story_record(s, UPSTREAM, TLS_HANDSHAKE, 40);
	}
	story_ack(s, UPSTREAM);
}

/* ---- HTTP/2 ------------------------------------------------------------------------------- */

static void put_frame(struct talk *t, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t n)
{
	put(t, 3, (uint32_t)n);
	put(t, 1, type);
	put(t, 1, flags);
	put(t, 4, stream);
	put_bytes(t, payload, n);
}

void story_frame(struct story *s, int who, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t n)
{
	struct talk t = { .n = 0 };

	put_frame(&t, type, flags, stream, payload, n);
	story_bytes(s, who, t.at, t.n);
}

void story_h2_begin(struct story *s)
{
	struct talk t = { .n = 0 };

	put_bytes(&t, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	put_frame(&t, H2_SETTINGS, 0, 0, NULL, 0);
	story_segment(s, GATEWAY, t.at, t.n);
	story_frame(s, UPSTREAM, H2_SETTINGS, 0, 0, NULL, 0);
}

/* A literal that is not indexed, its name from the static table (RFC 7541 6.2.2, Appendix A). */
static void put_field(struct talk *t, unsigned name, const char *value)
{
	put(t, 1, name);
	put(t, 1, (uint32_t)strlen(value));
	put_bytes(t, value, strlen(value));
}

void story_h2_asks(struct story *s, uint32_t stream, const char *path, unsigned flags)
{
	struct talk t = { .n = 0 };

	put(&t, 1, (flags & H2_END_STREAM) != 0 ? 0x82 : 0x83);        /* :method GET, POST */
	put(&t, 1, 0x86);                                              /* :scheme http */
	put_field(&t, 4, path);
	put_field(&t, 1, "shop.example");
	story_frame(s, GATEWAY, H2_HEADERS, flags | H2_END_HEADERS, stream, t.at, t.n);
}

void story_h2_answers(struct story *s, uint32_t stream, unsigned status, unsigned flags)
{
	struct talk t = { .n = 0 };
	char text[8];

	snprintf(text, sizeof text, "%03u", status);
	put_field(&t, 8, text);
	story_frame(s, UPSTREAM, H2_HEADERS, flags | H2_END_HEADERS, stream, t.at, t.n);
}

void story_h2_number(struct story *s, int who, unsigned type, uint32_t stream, uint32_t value)
{
	struct talk t = { .n = 0 };

	put(&t, 4, value);
	story_frame(s, who, type, 0, stream, t.at, t.n);
}

void story_h2_goaway(struct story *s, uint32_t last, uint32_t code)
{
	struct talk t = { .n = 0 };

	put(&t, 4, last);
	put(&t, 4, code);
	story_frame(s, UPSTREAM, H2_GOAWAY, 0, 0, t.at, t.n);
}

/* ---- DNS ---------------------------------------------------------------------------------- */

/* RFC 1035 4.1 */
static void put_question(struct talk *t, uint16_t id, const char *name, unsigned flags, unsigned answers)
{
	put(t, 2, id);
	put(t, 2, flags);
	put(t, 2, 1);
	put(t, 2, answers);
	put(t, 4, 0);
	for (const char *label = name; *label != '\0'; ) {
		size_t n = strcspn(label, ".");

		put(t, 1, (uint32_t)n);
		put_bytes(t, label, n);
		label += n + (label[n] == '.');
	}
	put(t, 1, 0);
	put(t, 4, 0x00010001);                          /* A, IN */
}

static void put_answer(struct talk *t, uint16_t id, const char *name, unsigned rcode, uint32_t address)
{
	put_question(t, id, name, 0x8180 | rcode, address != 0);
	if (address == 0)
		return;
	put(t, 2, 0xc00c);                              /* the name asked for */
	put(t, 4, 0x00010001);
	put(t, 4, 60);
	put(t, 2, 4);
	put(t, 4, address);
}

/* RFC 1035 4.2.2 */
static void say_prefixed(struct story *s, int who, const struct talk *message)
{
	struct talk t = { .n = 0 };

	put(&t, 2, (uint32_t)message->n);
	put_bytes(&t, message->at, message->n);
	story_bytes(s, who, t.at, t.n);
}

void story_dns_asks(struct story *s, uint16_t id, const char *name)
{
	struct talk t = { .n = 0 };

	put_question(&t, id, name, 0x0100, 0);
	story_datagram(s, GATEWAY, 33333, 53, t.at, t.n);
}

void story_dns_answers(struct story *s, uint16_t id, const char *name, unsigned rcode, uint32_t address)
{
	struct talk t = { .n = 0 };

	put_answer(&t, id, name, rcode, address);
	story_datagram(s, UPSTREAM, 53, 33333, t.at, t.n);
}

void story_dns_answers_cut(struct story *s, uint16_t id, const char *name)
{
	struct talk t = { .n = 0 };

	put_question(&t, id, name, 0x8380, 0);          /* TC */
	story_datagram(s, UPSTREAM, 53, 33333, t.at, t.n);
}

void story_dns_tcp_asks(struct story *s, uint16_t id, const char *name)
{
	struct talk t = { .n = 0 };

	put_question(&t, id, name, 0x0100, 0);
	say_prefixed(s, GATEWAY, &t);
}

void story_dns_tcp_answers(struct story *s, uint16_t id, const char *name, unsigned rcode, uint32_t address)
{
	struct talk t = { .n = 0 };

	put_answer(&t, id, name, rcode, address);
	say_prefixed(s, UPSTREAM, &t);
}
