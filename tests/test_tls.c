/* What TLS connections show without keys and with them. Both ends are libssl's own, in this process; what they say
 * to each other is put into packets, whole and a byte at a time. */
#include "../capture/limits.h"
#include "../capture/rsa_keys.h"
#include "check.h"
#include "tls_wire.h"

#ifdef HAVE_OPENSSL

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

static const char request[] = "GET /cart?x=1 HTTP/1.1\r\nHost: shop.example\r\n\r\n";
static const char answer[] = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n";

/* ---- certificates -------------------------------------------------------------------------- */

struct identity { EVP_PKEY *key; X509 *certificate; };

static void add_text(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* Valid for the wire's clock (November 2023) from `from` to `to` seconds. */
static struct identity identity_new(EVP_PKEY *key, const char *name, long from, long to)
{
	struct identity i = { key, X509_new() };
	X509_NAME *n = X509_get_subject_name(i.certificate);
	time_t now = 1700000000;

	X509_set_version(i.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(i.certificate), 7);
	X509_time_adj_ex(X509_getm_notBefore(i.certificate), 0, from, &now);
	X509_time_adj_ex(X509_getm_notAfter(i.certificate), 0, to, &now);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)"backend", -1, -1, 0);
	X509_set_issuer_name(i.certificate, n);
	X509_set_pubkey(i.certificate, key);
	add_text(i.certificate, NID_subject_alt_name, name);
	X509_sign(i.certificate, key, EVP_sha256());
	return i;
}

static EVP_PKEY *ec_key(void)
{
	return EVP_EC_gen("P-256");
}

static void identity_free(struct identity *i)
{
	EVP_PKEY_free(i->key);
	X509_free(i->certificate);
}

/* ---- two ends ------------------------------------------------------------------------------ */

struct ends {
	SSL_CTX *ctx[2];
	SSL *ssl[2];
	BIO *out[2];
	SSL_SESSION *session;           /* the client's, to be resumed */
	struct identity identity;
	struct wire w;
	char keylog[16384];
};

static int ends_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

static struct ends *ends_of(const SSL *ssl)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ends_index());
}

static void log_keys(const SSL *ssl, const char *line)
{
	struct ends *e = ends_of(ssl);
	size_t used = strlen(e->keylog);

	if (used + strlen(line) + 2 < sizeof e->keylog)
		snprintf(e->keylog + used, sizeof e->keylog - used, "%s\n", line);
}

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
	struct ends *e = ends_of(ssl);

	SSL_SESSION_free(e->session);
	e->session = s;
	return 1;
}

static int any_certificate(int ok, X509_STORE_CTX *ctx)
{
	(void)ok, (void)ctx;
	return 1;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned int len, void *arg)
{
	(void)ssl, (void)arg;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, n, (const unsigned char *)"\x08http/1.1", 9, in, len) == OPENSSL_NPN_NEGOTIATED ?
	       SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static void ends_new(struct ends *e, int version, const char *suites)
{
	memset(e, 0, sizeof *e);
	e->identity = identity_new(ec_key(), "DNS:backend.internal", -3600, 3600);
	for (int i = 0; i < 2; i++) {
		SSL_CTX *c = SSL_CTX_new(i == CLIENT ? TLS_client_method() : TLS_server_method());

		SSL_CTX_set_ex_data(c, ends_index(), e);
		SSL_CTX_set_security_level(c, 0);
		SSL_CTX_set_min_proto_version(c, version);
		SSL_CTX_set_max_proto_version(c, version);
		if (suites != NULL)
			version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(c, suites) : SSL_CTX_set_cipher_list(c, suites);
		e->ctx[i] = c;
	}
	SSL_CTX_set_keylog_callback(e->ctx[SERVER], log_keys);
	SSL_CTX_set_session_cache_mode(e->ctx[CLIENT], SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(e->ctx[CLIENT], keep_session);
	SSL_CTX_set_session_id_context(e->ctx[SERVER], (const unsigned char *)"t", 1);
	SSL_CTX_use_certificate(e->ctx[SERVER], e->identity.certificate);
	SSL_CTX_use_PrivateKey(e->ctx[SERVER], e->identity.key);
	SSL_CTX_set_dh_auto(e->ctx[SERVER], 1);
	SSL_CTX_set_options(e->ctx[SERVER], SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
	SSL_CTX_set_alpn_select_cb(e->ctx[SERVER], choose_alpn, NULL);
}

/* A connection between them; the wire begins anew. */
static void ends_connect(struct ends *e)
{
	for (int i = 0; i < 2; i++) {
		if (e->ssl[i] != NULL)          /* else its session could not be resumed */
			SSL_set_shutdown(e->ssl[i], SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(e->ssl[i]);
		e->ssl[i] = SSL_new(e->ctx[i]);
		e->out[i] = BIO_new(BIO_s_mem());
		SSL_set_bio(e->ssl[i], BIO_new(BIO_s_mem()), e->out[i]);
	}
	SSL_set_connect_state(e->ssl[CLIENT]);
	SSL_set_accept_state(e->ssl[SERVER]);
	SSL_set_tlsext_host_name(e->ssl[CLIENT], "backend.internal");
	if (e->session != NULL)
		SSL_set_session(e->ssl[CLIENT], e->session);
	if (e->w.packets != NULL)
		wire_free(&e->w);
	e->w = wire_new();
}

/* What one end has written goes over the wire to the other. */
static bool carry(struct ends *e, enum side from)
{
	uint8_t bytes[65536];
	int n = BIO_read(e->out[from], bytes, sizeof bytes);

	if (n <= 0)
		return false;
	wire_send(&e->w, from, span_of(bytes, (size_t)n));
	BIO_write(SSL_get_rbio(e->ssl[side_other(from)]), bytes, n);
	return true;
}

static void carry_all(struct ends *e)
{
	uint8_t ignored[4096];

	for (int i = 0; i < 20; i++) {
		bool any = carry(e, CLIENT);

		if (SSL_is_init_finished(e->ssl[SERVER]))
			(void)SSL_peek(e->ssl[SERVER], ignored, sizeof ignored);
		else
			(void)SSL_do_handshake(e->ssl[SERVER]);
		any |= carry(e, SERVER);
		if (SSL_is_init_finished(e->ssl[CLIENT]))
			(void)SSL_peek(e->ssl[CLIENT], ignored, sizeof ignored);
		else
			(void)SSL_do_handshake(e->ssl[CLIENT]);
		if (!any && BIO_pending(e->out[CLIENT]) == 0)
			return;
	}
}

static bool handshake(struct ends *e)
{
	(void)SSL_do_handshake(e->ssl[CLIENT]);
	carry_all(e);
	return SSL_is_init_finished(e->ssl[CLIENT]) && SSL_is_init_finished(e->ssl[SERVER]);
}

static void say(struct ends *e, enum side from, const char *text, size_t n)
{
	uint8_t ignored[20000];

	SSL_write(e->ssl[from], text, (int)n);
	carry(e, from);
	while (SSL_read(e->ssl[side_other(from)], ignored, sizeof ignored) > 0)
		;
	carry(e, side_other(from));
}

static void exchange(struct ends *e)
{
	say(e, CLIENT, request, sizeof request - 1);
	say(e, SERVER, answer, sizeof answer - 1);
}

static void goodbye(struct ends *e)
{
	SSL_shutdown(e->ssl[SERVER]);
	carry(e, SERVER);
	wire_fin(&e->w, SERVER);
	wire_fin(&e->w, CLIENT);
}

static void ends_free(struct ends *e)
{
	for (int i = 0; i < 2; i++) {
		SSL_free(e->ssl[i]);
		SSL_CTX_free(e->ctx[i]);
	}
	SSL_SESSION_free(e->session);
	identity_free(&e->identity);
	wire_free(&e->w);
}

static void dump_packets(FILE *f, const struct wire *w)
{
	static const uint32_t head[] = { 0xa1b23c4d, 2 | 4 << 16, 0, 0, 262144, 1 };

	fwrite(head, sizeof head, 1, f);
	for (size_t i = 0; i < w->n; i++) {
		const struct packet *p = &w->packets[i].p;
		uint32_t record[] = { (uint32_t)(p->time_ns / NS_PER_S), (uint32_t)(p->time_ns % NS_PER_S), p->caplen, p->len };

		fwrite(record, sizeof record, 1, f);
		fwrite(p->bytes, p->caplen, 1, f);
	}
}

/* For others to read: the wire as DIR/N.pcap, its keys as DIR/N.keys, or the server's as DIR/N.pem. See tests/tls_wireshark.py. */
static void dump(const struct ends *e, const char *keylog, const char *rsa_key)
{
	static unsigned n;
	const char *dir = getenv("WHY502_TLS_DUMP");
	char name[4096];
	FILE *f;

	if (dir == NULL)
		return;
	snprintf(name, sizeof name, "%s/%03u.pcap", dir, ++n);
	f = fopen(name, "wb");
	dump_packets(f, &e->w);
	fclose(f);
	snprintf(name, sizeof name, "%s/%03u.keys", dir, n);
	f = fopen(name, "w");
	fputs(keylog, f);
	fclose(f);
	snprintf(name, sizeof name, "%s/%03u.pem", dir, n);
	if (rsa_key != NULL)
		CHECK(link(rsa_key, name) == 0);
}

static void decode_with(struct ends *e, const char *keylog)
{
	struct secrets *s = secrets_new();

	dump(e, keylog, NULL);
	secrets_text(s, span_text(keylog));
	wire_decode(&e->w, s);
	secrets_free(s);
}

static bool exchanges_are(const struct wire *w, unsigned n)
{
	bool good = CHECK_INT(w->n_exchanges, n);

	for (unsigned i = 0; i < w->n_exchanges; i++) {
		const struct exchange_facts *x = &w->exchange[i]->x;

		good &= CHECK_SPAN(wire_target(w, i), "/cart?x=1");
		good &= CHECK_INT(x->status, 502);
		good &= CHECK_INT(x->outcome, OUTCOME_COMPLETE);
		good &= CHECK_INT(x->response.body_bytes, 3);
		good &= CHECK(x->tls);
	}
	return good && CHECK(w->tls.decrypted) && CHECK_INT(w->counters.encrypted_without_keys, 0);
}

/* The same packets' bytes again, cut into packets of `most` bytes. */
static struct wire cut_anew(const struct wire *from, size_t most)
{
	struct wire w = wire_new();

	w.segment = most;
	for (size_t i = 3; i < from->n; i++) {
		struct span all = span_of(from->packets[i].bytes, from->packets[i].p.caplen);
		enum side side = span_at(all, 29) == 1 ? CLIENT : SERVER;

		wire_send(&w, side, span_from(all, 54));
		if ((span_at(all, 47) & 1) != 0)
			wire_fin(&w, side);
	}
	return w;
}

static void check_cut(struct ends *e, unsigned n_exchanges)
{
	static const size_t cuts[] = { 1, 7, 536 };

	for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
		struct wire whole = e->w;

		e->w = cut_anew(&whole, cuts[i]);
		decode_with(e, e->keylog);
		exchanges_are(&e->w, n_exchanges);
		wire_free(&e->w);
		e->w = whole;
	}
}

/* ---- every suite --------------------------------------------------------------------------- */

static unsigned try_suite(int version, const char *suite, bool rsa, bool etm)
{
	struct ends e;
	unsigned good = 0;

	ends_new(&e, version, suite);
	if (rsa) {
		struct identity i = identity_new(EVP_RSA_gen(1024), "DNS:backend.internal", -3600, 3600);

		SSL_CTX_use_certificate(e.ctx[SERVER], i.certificate);
		SSL_CTX_use_PrivateKey(e.ctx[SERVER], i.key);
		identity_free(&i);
	}
	if (!etm)
		SSL_CTX_set_options(e.ctx[SERVER], SSL_OP_NO_ENCRYPT_THEN_MAC);
	ends_connect(&e);
	if (handshake(&e)) {
		exchange(&e);
		exchange(&e);
		goodbye(&e);
		decode_with(&e, e.keylog);
		good = exchanges_are(&e.w, 2);
		if (!good)
			printf("# %s\n", suite);
	}
	ends_free(&e);
	return good;
}

static unsigned try_all(int version, const char *list, bool etm)
{
	SSL_CTX *c = SSL_CTX_new(TLS_method());
	STACK_OF(SSL_CIPHER) *all;
	SSL *s;
	unsigned good = 0;

	SSL_CTX_set_security_level(c, 0);
	SSL_CTX_set_cipher_list(c, list);
	SSL_CTX_set_max_proto_version(c, version);
	s = SSL_new(c);
	all = SSL_get1_supported_ciphers(s);
	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const char *name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i));

		good += try_suite(version, name, strstr(name, "ECDSA") == NULL, etm);
	}
	sk_SSL_CIPHER_free(all);
	SSL_free(s);
	SSL_CTX_free(c);
	return good;
}

TEST(every_suite_of_tls_1_2_is_opened)
{
	CHECK(try_all(TLS1_2_VERSION, "ALL:eNULL:!PSK:!SRP:!aNULL", true) >= 60);
}

TEST(anonymous_suites_are_opened)
{
	CHECK(try_all(TLS1_2_VERSION, "aNULL:!PSK:!SRP:!eNULL", true) >= 8);
}

TEST(cbc_without_encrypt_then_mac_is_opened)
{
	CHECK(try_all(TLS1_2_VERSION, "SHA1:SHA256:SHA384:!PSK:!SRP:!aNULL:!eNULL:!AESGCM:!CHACHA20:!ARIA:!AESCCM", false) >= 15);
}

TEST(tls_1_0_and_1_1_are_opened)
{
	CHECK(try_suite(TLS1_VERSION, "AES128-SHA", true, true) == 1);
	CHECK(try_suite(TLS1_VERSION, "AES256-SHA", true, false) == 1);
	CHECK(try_suite(TLS1_1_VERSION, "AES128-SHA", true, true) == 1);
	CHECK(try_suite(TLS1_1_VERSION, "CAMELLIA256-SHA", true, false) == 1);
}

TEST(every_suite_of_tls_1_3_is_opened)
{
	CHECK(try_suite(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", false, true) == 1);
	CHECK(try_suite(TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", false, true) == 1);
	CHECK(try_suite(TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", true, true) == 1);
	CHECK(try_suite(TLS1_3_VERSION, "TLS_AES_128_CCM_SHA256", false, true) == 1);
	CHECK(try_suite(TLS1_3_VERSION, "TLS_AES_128_CCM_8_SHA256", false, true) == 1);
}

/* ---- the ways of TLS ----------------------------------------------------------------------- */

static void plain_run(struct ends *e)
{
	ends_connect(e);
	CHECK_OR_RETURN(handshake(e));
	exchange(e);
	goodbye(e);
	decode_with(e, e->keylog);
	exchanges_are(&e->w, 1);
}

TEST(bytes_may_be_cut_anywhere)
{
	static const int versions[] = { TLS1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION };

	for (size_t i = 0; i < 3; i++) {
		struct ends e;

		ends_new(&e, versions[i], NULL);
		plain_run(&e);
		check_cut(&e, 1);
		ends_free(&e);
	}
}

TEST(resumed_by_id_ticket_or_psk)
{
	for (int way = 0; way < 3; way++) {
		struct ends e;

		ends_new(&e, way == 2 ? TLS1_3_VERSION : TLS1_2_VERSION, NULL);
		if (way == 0)
			SSL_CTX_set_options(e.ctx[SERVER], SSL_OP_NO_TICKET);
		plain_run(&e);
		CHECK(!e.w.tls.resumed);
		plain_run(&e);
		CHECK(SSL_session_reused(e.ssl[CLIENT]));
		CHECK(e.w.tls.resumed);
		CHECK(e.w.tls.handshake_done);
		ends_free(&e);
	}
}

/* ---- the server's RSA key ------------------------------------------------------------------ */

static void pem_write(char *path, EVP_PKEY *key)
{
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

/* With the key of that file alone. */
static void rsa_decode(struct ends *e, struct secrets *s, const char *path)
{
	struct rsa_keys *keys = rsa_keys_new();
	struct err err = { ERR_OK, "" };

	dump(e, "", path);
	CHECK_INT(rsa_keys_file(keys, path, &err), ERR_OK);
	if (secrets_rsa(s) != NULL)
		rsa_keys_free(secrets_rsa(s));
	secrets_set_rsa(s, keys);
	wire_decode(&e->w, s);
}

/* Twice, the second time with the first one's session. */
static void rsa_run(int version, const char *suite, bool extended, bool tickets, const char *path, EVP_PKEY *key)
{
	struct identity i = identity_new(key, "DNS:backend.internal", -3600, 3600);
	struct secrets *s = secrets_new();
	struct ends e;

	EVP_PKEY_up_ref(key);
	ends_new(&e, version, suite);
	SSL_CTX_use_certificate(e.ctx[SERVER], i.certificate);
	SSL_CTX_use_PrivateKey(e.ctx[SERVER], i.key);
	identity_free(&i);
	if (!extended)
		SSL_CTX_set_options(e.ctx[CLIENT], SSL_OP_NO_EXTENDED_MASTER_SECRET);
	if (!tickets)
		SSL_CTX_set_options(e.ctx[SERVER], SSL_OP_NO_TICKET);
	for (int run = 0; run < 2; run++) {
		ends_connect(&e);
		CHECK(handshake(&e));
		exchange(&e);
		goodbye(&e);
		rsa_decode(&e, s, path);
		if (!exchanges_are(&e.w, 1))
			printf("# %s, version %x, extended %d, tickets %d, run %d\n", suite, (unsigned)version, extended, tickets, run);
		CHECK_INT(e.w.tls.resumed, run == 1);
		CHECK(rsa_keys_unfit(secrets_rsa(s)) == NULL);
	}
	secrets_free(s);
	ends_free(&e);
}

TEST(an_rsa_key_opens_its_key_exchange_and_resumed_sessions)
{
	static const struct { int version; const char *suite; } rows[] = {
		{ TLS1_VERSION, "AES128-SHA" }, { TLS1_1_VERSION, "AES256-SHA" }, { TLS1_2_VERSION, "AES128-SHA256" },
		{ TLS1_2_VERSION, "AES128-GCM-SHA256" }, { TLS1_2_VERSION, "AES256-GCM-SHA384" }, { TLS1_2_VERSION, "AES256-CCM" },
	};
	char path[] = "/tmp/test_tls_XXXXXX";
	EVP_PKEY *key = EVP_RSA_gen(2048);

	pem_write(path, key);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int way = 0; way < 4; way++)
			rsa_run(rows[i].version, rows[i].suite, (way & 1) != 0, (way & 2) != 0, path, key);
	EVP_PKEY_free(key);
	unlink(path);
}

TEST(an_rsa_key_that_does_not_fit_opens_nothing_and_is_named)
{
	char path[] = "/tmp/test_tls_XXXXXX", other[] = "/tmp/test_tls_XXXXXX";
	EVP_PKEY *key = EVP_RSA_gen(2048), *wrong = EVP_RSA_gen(1024);
	struct identity i = identity_new(key, "DNS:backend.internal", -3600, 3600);
	struct secrets *s = secrets_new();
	struct ends e;

	pem_write(path, wrong);
	pem_write(other, key);
	ends_new(&e, TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA:AES128-SHA");
	SSL_CTX_use_certificate(e.ctx[SERVER], i.certificate);
	SSL_CTX_use_PrivateKey(e.ctx[SERVER], i.key);
	ends_connect(&e);
	CHECK_OR_RETURN(handshake(&e));
	exchange(&e);
	goodbye(&e);
	rsa_decode(&e, s, other);               /* the certificate's own, but the suite is no use to it */
	CHECK_INT(e.w.n_exchanges, 0);
	CHECK(rsa_keys_unfit(secrets_rsa(s)) == NULL);
	SSL_CTX_set_cipher_list(e.ctx[CLIENT], "AES128-SHA");
	SSL_SESSION_free(e.session);
	e.session = NULL;
	ends_connect(&e);
	CHECK_OR_RETURN(handshake(&e));
	exchange(&e);
	goodbye(&e);
	rsa_decode(&e, s, path);
	CHECK_INT(e.w.n_exchanges, 0);
	CHECK_INT(e.w.counters.encrypted_without_keys, 1);
	CHECK(!e.w.tls.decrypted);
	CHECK_STR(rsa_keys_unfit(secrets_rsa(s)), path);
	secrets_free(s);
	identity_free(&i);
	EVP_PKEY_free(wrong);
	ends_free(&e);
	unlink(path);
	unlink(other);
}

TEST(what_is_no_rsa_key_is_refused_and_not_quoted)
{
	char path[] = "/tmp/test_tls_XXXXXX";
	struct rsa_keys *keys = rsa_keys_new();
	struct err err = { ERR_OK, "" };
	EVP_PKEY *key = ec_key();

	pem_write(path, key);
	CHECK_INT(rsa_keys_file(keys, path, &err), ERR_FORMAT);
	CHECK_HAS(err.text, path);
	CHECK(strlen(err.text) < strlen(path) + 60);
	err = (struct err){ ERR_OK, "" };
	CHECK_INT(rsa_keys_file(keys, "/nonexistent.pem", &err), ERR_OPEN);
	rsa_keys_free(keys);
	EVP_PKEY_free(key);
	unlink(path);
}

TEST(hello_retry_request)
{
	struct ends e;

	ends_new(&e, TLS1_3_VERSION, NULL);
	SSL_CTX_set1_groups_list(e.ctx[CLIENT], "X25519:P-384");
	SSL_CTX_set1_groups_list(e.ctx[SERVER], "P-384");
	plain_run(&e);
	CHECK(e.w.tls.retry_request.packet != 0);
	CHECK(e.w.tls.server_hello.packet > e.w.tls.retry_request.packet);
	check_cut(&e, 1);
	ends_free(&e);
}

TEST(keys_are_updated)
{
	struct ends e;

	ends_new(&e, TLS1_3_VERSION, NULL);
	ends_connect(&e);
	CHECK_OR_RETURN(handshake(&e));
	exchange(&e);
	SSL_key_update(e.ssl[CLIENT], SSL_KEY_UPDATE_REQUESTED);
	exchange(&e);
	SSL_key_update(e.ssl[SERVER], SSL_KEY_UPDATE_NOT_REQUESTED);
	exchange(&e);
	goodbye(&e);
	decode_with(&e, e.keylog);
	exchanges_are(&e.w, 3);
	check_cut(&e, 3);
	ends_free(&e);
}

TEST(renegotiated)
{
	struct ends e;

	ends_new(&e, TLS1_2_VERSION, NULL);
	ends_connect(&e);
	CHECK_OR_RETURN(handshake(&e));
	exchange(&e);
	SSL_renegotiate(e.ssl[CLIENT]);
	(void)SSL_do_handshake(e.ssl[CLIENT]);
	carry_all(&e);
	exchange(&e);
	goodbye(&e);
	decode_with(&e, e.keylog);
	exchanges_are(&e.w, 2);
	check_cut(&e, 2);
	ends_free(&e);
}

static void early_run(struct ends *e, bool accepted)
{
	size_t n;
	uint8_t bytes[4096];

	ends_connect(e);
	CHECK_INT(SSL_write_early_data(e->ssl[CLIENT], request, sizeof request - 1, &n), 1);
	carry(e, CLIENT);
	if (accepted)
		CHECK_INT(SSL_read_early_data(e->ssl[SERVER], bytes, sizeof bytes, &n), SSL_READ_EARLY_DATA_SUCCESS);
	CHECK_OR_RETURN(handshake(e));
	if (!accepted)
		say(e, CLIENT, request, sizeof request - 1);
	say(e, SERVER, answer, sizeof answer - 1);
	exchange(e);
	goodbye(e);
	decode_with(e, e->keylog);
	exchanges_are(&e->w, 2);
	CHECK(e->w.tls.early_data);
	check_cut(e, 2);
}

TEST(early_data_taken_and_refused)
{
	for (int accepted = 0; accepted < 2; accepted++) {
		struct ends e;

		ends_new(&e, TLS1_3_VERSION, NULL);
		SSL_CTX_set_max_early_data(e.ctx[SERVER], 16384);
		SSL_CTX_set_options(e.ctx[SERVER], SSL_OP_NO_ANTI_REPLAY);
		plain_run(&e);
		if (!accepted)
			SSL_CTX_set_max_early_data(e.ctx[SERVER], 0);
		SSL_CTX_set_keylog_callback(e.ctx[CLIENT], log_keys);
		early_run(&e, accepted);
		ends_free(&e);
	}
}

TEST(client_certificate_given_and_empty)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (int i = 0; i < 4; i++) {
		struct ends e;

		ends_new(&e, versions[i / 2], NULL);
		SSL_CTX_set_verify(e.ctx[SERVER], SSL_VERIFY_PEER, any_certificate);
		if (i % 2 == 0) {
			SSL_CTX_use_certificate(e.ctx[CLIENT], e.identity.certificate);
			SSL_CTX_use_PrivateKey(e.ctx[CLIENT], e.identity.key);
		}
		plain_run(&e);
		CHECK(e.w.tls.client_certificate_asked);
		CHECK_INT(e.w.tls.client_certificate_empty, i % 2);
		CHECK_INT(e.w.tls.certificate[CLIENT].packet != 0, i % 2 == 0);
		decode_with(&e, "");
		CHECK(e.w.tls.client_certificate_asked);
		CHECK_INT(e.w.tls.client_certificate_empty, i % 2);
		CHECK_INT(e.w.tls.certificate[CLIENT].packet != 0, i % 2 == 0);
		CHECK(e.w.tls.handshake_done);
		ends_free(&e);
	}
}

/* ---- without keys -------------------------------------------------------------------------- */

TEST(without_keys_hellos_are_read_and_turns_counted)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (int i = 0; i < 2; i++) {
		struct ends e;

		ends_new(&e, versions[i], NULL);
		SSL_CTX_set_alpn_protos(e.ctx[CLIENT], (const unsigned char *)"\x02h2\x08http/1.1", 12);
		ends_connect(&e);
		CHECK_OR_RETURN(handshake(&e));
		exchange(&e);
		e.w.now_ns += 5 * NS_PER_S;
		exchange(&e);
		goodbye(&e);
		wire_decode(&e.w, NULL);
		CHECK_INT(e.w.n_exchanges, 0);
		CHECK_INT(e.w.counters.encrypted_without_keys, 1);
		CHECK_INT(e.w.tls.chosen, versions[i]);
		CHECK_INT(e.w.tls.offered_max, versions[i]);
		CHECK_STR(e.w.tls.sni, "backend.internal");
		CHECK_STR(e.w.tls.alpn_offered, "h2,http/1.1");
		CHECK_STR(e.w.tls.alpn_chosen, i == 0 ? "http/1.1" : "");
		CHECK(e.w.tls.handshake_done);
		CHECK(e.w.tls.keys_missing);
		CHECK_INT(e.w.tls.turns, 2);
		CHECK(e.w.tls.turn_idle_ns >= 5 * NS_PER_S && e.w.tls.turn_idle_ns < 6 * NS_PER_S);
		CHECK(e.w.tls.turn_first[SERVER].packet > e.w.tls.turn_last[CLIENT].packet);
		CHECK_INT(e.w.tls.application_records[CLIENT], 2);
		CHECK_INT(e.w.tls.application_records[SERVER], 2);
		CHECK_INT(e.w.tls.tickets, i == 0 ? 0 : 2);
		CHECK(e.w.tls.close_notify[SERVER]);
		CHECK_INT(e.w.conn.closer, SERVER);
		if (i == 0) {
			CHECK(e.w.tls.certificate_read);
			CHECK_STR(e.w.tls.subject, "CN=backend");
			CHECK_STR(e.w.tls.names, "backend.internal");
			CHECK(!e.w.tls.certificate_expired && !e.w.tls.certificate_not_yet && !e.w.tls.certificate_name_differs);
			CHECK(e.w.tls.certificate_self_signed);
			CHECK_INT(e.w.tls.not_after_ns, (1700000000 + 3600) * NS_PER_S);
		}
		ends_free(&e);
	}
}

TEST(a_certificate_is_judged_by_the_packets_own_time_and_name)
{
	static const struct { const char *name; long from, to; bool expired, not_yet, differs; } rows[] = {
		{ "DNS:backend.internal", -7200, -3600, true, false, false },
		{ "DNS:backend.internal", 3600, 7200, false, true, false },
		{ "DNS:other.internal,DNS:third.internal", -3600, 3600, false, false, true },
		{ "DNS:other.internal,DNS:BACKEND.internal", -3600, 3600, false, false, false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ends e;
		struct identity id = identity_new(ec_key(), rows[i].name, rows[i].from, rows[i].to);

		ends_new(&e, TLS1_2_VERSION, NULL);
		SSL_CTX_use_certificate(e.ctx[SERVER], id.certificate);
		SSL_CTX_use_PrivateKey(e.ctx[SERVER], id.key);
		ends_connect(&e);
		CHECK(handshake(&e));
		wire_decode(&e.w, NULL);
		CHECK_INT(e.w.tls.certificate_expired, rows[i].expired);
		CHECK_INT(e.w.tls.certificate_not_yet, rows[i].not_yet);
		CHECK_INT(e.w.tls.certificate_name_differs, rows[i].differs);
		identity_free(&id);
		ends_free(&e);
	}
}

TEST(alerts_in_clear_and_sealed)
{
	static const struct { int version; enum side by; int description; bool sealed; } rows[] = {
		{ TLS1_2_VERSION, CLIENT, 48, false }, { TLS1_2_VERSION, SERVER, 40, false },   /* unknown_ca, handshake_failure */
		{ TLS1_3_VERSION, CLIENT, 48, false }, { TLS1_3_VERSION, SERVER, 116, true },   /* certificate_required */
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct tls_alert *a;
		struct ends e;

		ends_new(&e, rows[i].version, NULL);
		if (rows[i].by == CLIENT)
			SSL_CTX_set_verify(e.ctx[CLIENT], SSL_VERIFY_PEER, NULL);       /* nobody signed the server's */
		else
			SSL_CTX_set_verify(e.ctx[SERVER], SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		ends_connect(&e);
		CHECK(!handshake(&e));
		wire_fin(&e.w, rows[i].by);
		wire_decode(&e.w, NULL);
		a = &e.w.tls.alert[rows[i].by];
		CHECK(a->at.packet != 0);
		CHECK_INT(a->description, rows[i].sealed ? 255 : rows[i].description);
		CHECK_INT(a->encrypted, rows[i].sealed);
		decode_with(&e, e.keylog);
		CHECK_INT(a->description, rows[i].description);
		ends_free(&e);
	}
}

/* ---- keys that are wrong, late, missing ---------------------------------------------------- */

TEST(wrong_keys_are_noticed_and_nothing_is_made_up)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (int i = 0; i < 2; i++) {
		struct ends e;

		ends_new(&e, versions[i], NULL);
		plain_run(&e);
		for (char *line = e.keylog; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
			char *last = strchr(line, '\n') - 1;

			*last = *last == '0' ? '1' : '0';
		}
		decode_with(&e, e.keylog);
		CHECK_INT(e.w.n_exchanges, 0);
		CHECK_INT(e.w.counters.encrypted_without_keys, 1);
		CHECK(e.w.tls.keys_missing);
		CHECK(e.w.tls.handshake_done);
		CHECK(!e.w.tls.decrypted);
		ends_free(&e);
	}
}

static char *without_lines(const char *log, const char *label, char *to, size_t size)
{
	to[0] = '\0';
	while (*log != '\0') {
		size_t n = strcspn(log, "\n") + 1;

		if (strncmp(log, label, strlen(label)) != 0 && strlen(to) + n < size)
			strncat(to, log, n);
		log += n;
	}
	return to;
}

TEST(traffic_secrets_alone_suffice)
{
	struct ends e;
	char log[16384], less[16384];

	ends_new(&e, TLS1_3_VERSION, NULL);
	plain_run(&e);
	without_lines(e.keylog, "CLIENT_HANDSHAKE", log, sizeof log);
	without_lines(log, "SERVER_HANDSHAKE", less, sizeof less);
	decode_with(&e, less);
	exchanges_are(&e.w, 1);
	without_lines(e.keylog, "SERVER_TRAFFIC", log, sizeof log);
	decode_with(&e, log);
	CHECK_INT(e.w.n_exchanges, 0);
	CHECK_INT(e.w.counters.encrypted_without_keys, 1);
	ends_free(&e);
}

struct late { struct secrets *s; const char *log; size_t packet; };

static void give_late(void *ctx, size_t packet)
{
	struct late *l = ctx;

	if (packet == l->packet)
		secrets_text(l->s, span_text(l->log));
}

TEST(keys_may_come_after_the_packets)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (int i = 0; i < 2; i++) {
		struct ends e;

		ends_new(&e, versions[i], NULL);
		ends_connect(&e);
		CHECK_OR_RETURN(handshake(&e));
		exchange(&e);
		exchange(&e);
		goodbye(&e);
		for (size_t packet = 0; packet < e.w.n; packet++) {
			struct late l = { secrets_new(), e.keylog, packet };

			secrets_set_may_come(l.s);
			e.w.before = give_late;
			e.w.before_ctx = &l;
			wire_decode(&e.w, l.s);
			exchanges_are(&e.w, 2);
			secrets_free(l.s);
		}
		e.w.before = NULL;
		ends_free(&e);
	}
}

/* ---- holes --------------------------------------------------------------------------------- */

TEST(a_hole_in_a_body_costs_nothing)
{
	static const struct { int version; const char *suite; } rows[] = {
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256" }, { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256" },
		{ TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384" },
	};
	static char body[40000];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (int lost = 2; lost < 28; lost++) {
			struct ends e;
			char head[100];
			int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof body);
			uint8_t bytes[65536];
			size_t all, parts = 0;

			ends_new(&e, rows[i].version, rows[i].suite);
			ends_connect(&e);
			CHECK_OR_RETURN(handshake(&e));
			say(&e, CLIENT, request, sizeof request - 1);
			SSL_write(e.ssl[SERVER], head, n);
			SSL_write(e.ssl[SERVER], body, sizeof body);
			all = (size_t)BIO_read(e.out[SERVER], bytes, sizeof bytes);
			for (int part = 0; all != 0; part++) {
				struct span s = span_first(span_from(span_of(bytes, 65536), (size_t)part * 1400), all < 1400 ? all : 1400);

				e.w.unseen = part == lost;
				wire_send(&e.w, SERVER, s);
				all -= s.len;
				parts++;
			}
			e.w.unseen = false;
			exchange(&e);
			goodbye(&e);
			decode_with(&e, e.keylog);
			/* CBC hides how much was in a record: then the exchange may be lost, but never wrong. */
			if (strstr(rows[i].suite, "GCM") != NULL) {
				if (!CHECK_INT(e.w.n_exchanges, 2) || e.w.exchange[0]->x.outcome != OUTCOME_COMPLETE)
					printf("# %s, part %d of %zu lost\n", rows[i].suite, lost, parts);
				if (e.w.n_exchanges == 2) {
					CHECK_INT(e.w.exchange[0]->x.outcome, OUTCOME_COMPLETE);
					CHECK_INT(e.w.exchange[0]->x.response.body_bytes, sizeof body);
					CHECK_INT(e.w.exchange[1]->x.status, 502);
				}
			}
			for (unsigned k = 0; k < e.w.n_exchanges; k++)
				CHECK(e.w.exchange[k]->x.method == METHOD_GET);
			ends_free(&e);
		}
	}
}

/* ---- hostile ------------------------------------------------------------------------------- */

/* Every byte of the first flights changed in turn, and each prefix alone: nothing may crash or hang (ASan looks on). */
TEST(wrong_lengths_crash_nothing)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0xff };

	for (int i = 0; i < 2; i++) {
		struct ends e;

		ends_new(&e, versions[i], NULL);
		SSL_CTX_set_alpn_protos(e.ctx[CLIENT], (const unsigned char *)"\x02h2\x08http/1.1", 12);
		plain_run(&e);
		for (size_t p = 3; p < e.w.n; p++) {
			struct wire_packet *k = &e.w.packets[p];

			for (size_t at = 54; at < k->p.caplen && at < 1300; at++) {
				uint8_t was = k->bytes[at];

				k->bytes[at] = values[(at + p) % sizeof values];
				decode_with(&e, at % 2 == 0 ? e.keylog : "");
				k->bytes[at] = was;
			}
		}
		ends_free(&e);
	}
	CHECK(true);
}

static void put_record(struct wire *w, enum side from, uint8_t type, struct span body)
{
	while (body.len != 0) {
		struct span part = span_first(body, 16384);
		uint8_t head[5] = { type, 3, 3, (uint8_t)(part.len >> 8), (uint8_t)part.len };

		wire_send(w, from, span_of(head, 5));
		wire_send(w, from, part);
		body = span_from(body, part.len);
	}
}

TEST(a_certificate_message_above_the_limit_is_cut_and_its_leaf_still_read)
{
	struct identity id = identity_new(ec_key(), "DNS:backend.internal", -7200, -3600);
	struct ends e;
	static uint8_t message[200000];
	unsigned char *der = NULL;
	int n = i2d_X509(id.certificate, &der);
	size_t list = sizeof message - 7;
	uint8_t hello[42] = { 2, 0, 0, 38, 3, 3 };

	ends_new(&e, TLS1_2_VERSION, NULL);
	ends_connect(&e);
	(void)SSL_do_handshake(e.ssl[CLIENT]);
	carry(&e, CLIENT);
	hello[39] = 0xc0;
	hello[40] = 0x2b;
	put_record(&e.w, SERVER, 22, span_of(hello, 42));
	message[0] = 11;
	message[1] = (uint8_t)((list + 3) >> 16), message[2] = (uint8_t)((list + 3) >> 8), message[3] = (uint8_t)(list + 3);
	message[4] = (uint8_t)(list >> 16), message[5] = (uint8_t)(list >> 8), message[6] = (uint8_t)list;
	message[8] = (uint8_t)(n >> 8), message[9] = (uint8_t)n;
	memcpy(message + 10, der, (size_t)n);
	put_record(&e.w, SERVER, 22, span_of(message, sizeof message));
	put_record(&e.w, CLIENT, 21, span_of("\x02\x2d", 2));
	wire_decode(&e.w, NULL);
	CHECK(e.w.tls.certificate_read);
	CHECK(e.w.tls.certificate_expired);
	CHECK_INT(e.w.tls.alert[CLIENT].description, 45);
	CHECK_INT(e.w.counters.n_limits, 1);
	CHECK_STR(e.w.counters.limits[0].name, "tls_bytes_cut");
	OPENSSL_free(der);
	identity_free(&id);
	ends_free(&e);
}

TEST(floods_of_alerts_and_empty_records)
{
	struct ends e;
	static uint8_t alerts[16384];

	ends_new(&e, TLS1_2_VERSION, NULL);
	ends_connect(&e);
	(void)SSL_do_handshake(e.ssl[CLIENT]);
	carry(&e, CLIENT);
	for (size_t i = 0; i < sizeof alerts; i += 2) {
		alerts[i] = 1;
		alerts[i + 1] = 112;
	}
	for (int i = 0; i < 20; i++)
		put_record(&e.w, SERVER, 21, span_of(alerts, sizeof alerts));
	for (int i = 0; i < 2000; i++)
		wire_send(&e.w, SERVER, span_of("\x16\x03\x03\x00\x00", 5));
	put_record(&e.w, SERVER, 21, span_of("\x02\x28", 2));
	wire_decode(&e.w, NULL);
	CHECK_INT(e.w.tls.alert[SERVER].description, 40);
	ends_free(&e);
}

#endif

/* ---- key logs ------------------------------------------------------------------------------ */

static const char random_hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static bool has(struct secrets *s, enum secret_label label, uint8_t first, uint8_t len)
{
	uint8_t random[SECRET_RANDOM];
	struct secret found;

	for (uint8_t i = 0; i < SECRET_RANDOM; i++)
		random[i] = i;
	random[0] = first;
	return secrets_find(s, label, random, &found) && found.len == len;
}

TEST(key_log_lines)
{
	struct secrets *s = secrets_new();
	char text[2000];

	snprintf(text, sizeof text,
	         "# a comment\n\nCLIENT_RANDOM %s %s%s\r\nEXPORTER_SECRET %s 00\nCLIENT_TRAFFIC_SECRET_0  %s\t%s\n"
	         "SERVER_TRAFFIC_SECRET_0 %s 0\nSERVER_TRAFFIC_SECRET_0 %.60s %s\nSERVER_HANDSHAKE_TRAFFIC_SECRET %s zz\n"
	         "CLIENT_HANDSHAKE_TRAFFIC_SECRET %s %s", random_hex, random_hex, "ffeeddccbbaa99887766554433221100", random_hex, random_hex,
	         random_hex, random_hex, random_hex, random_hex, random_hex, random_hex, random_hex);
	secrets_text(s, span_text(text));
	CHECK(has(s, SECRET_MASTER, 0, 48));
	CHECK(has(s, SECRET_CLIENT_APPLICATION, 0, 32));
	CHECK(has(s, SECRET_CLIENT_HANDSHAKE, 0, 32));
	CHECK(!has(s, SECRET_SERVER_APPLICATION, 0, 32));
	CHECK(!has(s, SECRET_SERVER_HANDSHAKE, 0, 32));
	CHECK(!has(s, SECRET_MASTER, 1, 48));
	CHECK_INT(secrets_count(s), 3);
	secrets_free(s);
}

static void append(const char *path, const char *text)
{
	FILE *f = fopen(path, "a");

	if (f != NULL) {
		fputs(text, f);
		fclose(f);
	}
}

TEST(a_key_log_is_followed_as_it_grows_and_is_replaced)
{
	struct secrets *s = secrets_new();
	char path[] = "/tmp/why502-keylog-XXXXXX", line[200];
	int fd = mkstemp(path);
	struct err e = { 0 };

	snprintf(line, sizeof line, "CLIENT_RANDOM %s aabb\n", random_hex);
	CHECK_INT(secrets_file(s, path, &e), ERR_OK);
	secrets_poll(s);
	append(path, "CLIENT_RANDOM ");
	secrets_poll(s);
	CHECK_INT(secrets_count(s), 0);
	append(path, line + strlen("CLIENT_RANDOM "));
	secrets_poll(s);
	CHECK(has(s, SECRET_MASTER, 0, 2));
	remove(path);
	secrets_poll(s);
	line[15] = '1';
	append(path, line);
	secrets_poll(s);
	CHECK(has(s, SECRET_MASTER, 1, 2));
	CHECK_INT(secrets_count(s), 2);
	CHECK_INT(truncate(path, 0), 0);
	secrets_poll(s);
	line[15] = '2';
	append(path, line);
	secrets_poll(s);
	CHECK(has(s, SECRET_MASTER, 2, 2));
	remove(path);
	fclose(fdopen(fd, "r"));
	secrets_free(s);
}

TEST(a_key_log_that_is_not_there_is_an_error_that_names_it)
{
	struct secrets *s = secrets_new();
	struct err e = { 0 };

	CHECK_INT(secrets_file(s, "/nonexistent/keys.log", &e), ERR_OPEN);
	CHECK_HAS(e.text, "/nonexistent/keys.log");
	secrets_free(s);
}

TEST(the_newest_secrets_are_kept)
{
	struct secrets *s = secrets_new();
	char line[200];

	for (unsigned i = 0; i < LIMIT_SECRETS + 10; i++) {
		snprintf(line, sizeof line, "CLIENT_RANDOM %08x%s aabb\n", i, random_hex + 8);
		secrets_text(s, span_text(line));
	}
	CHECK_INT(secrets_count(s), LIMIT_SECRETS);
	CHECK_INT(secrets_dropped(s), 10);
	secrets_free(s);
}

TEST_MAIN()
