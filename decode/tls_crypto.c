#include "tls_crypto.h"

#ifdef HAVE_OPENSSL

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>

/* ---- what there is ------------------------------------------------------------------------- */

enum mode { MODE_AEAD, MODE_CBC, MODE_RC4, MODE_NULL };

struct cipher {
	const char *name;               /* libcrypto's */
	uint8_t mode;
	uint8_t key_len;
	uint8_t iv_len;                 /* AEAD: of the part that is never sent */
	uint8_t explicit_len;           /* AEAD: of the part that is (TLS 1.2); CBC: a block */
	uint8_t tag_len;
	bool    ccm;                    /* libcrypto wants its lengths beforehand */
};

static const struct cipher cipher_AES_128_GCM      = { "AES-128-GCM", MODE_AEAD, 16, 4, 8, 16, false };
static const struct cipher cipher_AES_256_GCM      = { "AES-256-GCM", MODE_AEAD, 32, 4, 8, 16, false };
static const struct cipher cipher_AES_128_CCM      = { "AES-128-CCM", MODE_AEAD, 16, 4, 8, 16, true };
static const struct cipher cipher_AES_256_CCM      = { "AES-256-CCM", MODE_AEAD, 32, 4, 8, 16, true };
static const struct cipher cipher_AES_128_CCM_8    = { "AES-128-CCM", MODE_AEAD, 16, 4, 8, 8, true };
static const struct cipher cipher_AES_256_CCM_8    = { "AES-256-CCM", MODE_AEAD, 32, 4, 8, 8, true };
static const struct cipher cipher_ARIA_128_GCM     = { "ARIA-128-GCM", MODE_AEAD, 16, 4, 8, 16, false };
static const struct cipher cipher_ARIA_256_GCM     = { "ARIA-256-GCM", MODE_AEAD, 32, 4, 8, 16, false };
static const struct cipher cipher_CHACHA20         = { "ChaCha20-Poly1305", MODE_AEAD, 32, 12, 0, 16, false };
static const struct cipher cipher_AES_128_CBC      = { "AES-128-CBC", MODE_CBC, 16, 16, 16, 0, false };
static const struct cipher cipher_AES_256_CBC      = { "AES-256-CBC", MODE_CBC, 32, 16, 16, 0, false };
static const struct cipher cipher_CAMELLIA_128_CBC = { "CAMELLIA-128-CBC", MODE_CBC, 16, 16, 16, 0, false };
static const struct cipher cipher_CAMELLIA_256_CBC = { "CAMELLIA-256-CBC", MODE_CBC, 32, 16, 16, 0, false };
static const struct cipher cipher_DES_EDE3_CBC     = { "DES-EDE3-CBC", MODE_CBC, 24, 8, 8, 0, false };
static const struct cipher cipher_RC4              = { NULL, MODE_RC4, 16, 0, 0, 0, false };
static const struct cipher cipher_NULL             = { NULL, MODE_NULL, 0, 0, 0, 0, false };

struct digest { const char *name; uint8_t len; };

static const struct digest digest_AEAD   = { NULL, 0 };
static const struct digest digest_MD5    = { "MD5", 16 };
static const struct digest digest_SHA1   = { "SHA1", 20 };
static const struct digest digest_SHA256 = { "SHA256", 32 };
static const struct digest digest_SHA384 = { "SHA384", 48 };

static const struct suite {
	uint16_t number;
	const struct cipher *cipher;
	const struct digest *mac, *hash;
} suites[] = {
#define SUITE(number, cipher, mac, hash) { number, &cipher_##cipher, &digest_##mac, &digest_##hash },
#include "tls_suites.def"
};

static const struct suite *suite_of(uint16_t number)
{
	size_t low = 0, high = sizeof suites / sizeof suites[0];

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (suites[mid].number == number)
			return &suites[mid];
		if (suites[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* libcrypto ships RC4 in a module of its own that is seldom there; it is these two loops. */
struct rc4 { uint8_t s[256], i, j; };

static void rc4_key(struct rc4 *r, const uint8_t *key, size_t len)
{
	uint8_t j = 0;

	for (unsigned i = 0; i < 256; i++)
		r->s[i] = (uint8_t)i;
	for (unsigned i = 0; i < 256; i++) {
		uint8_t x = r->s[i];

		j = (uint8_t)(j + x + key[i % len]);
		r->s[i] = r->s[j];
		r->s[j] = x;
	}
	r->i = r->j = 0;
}

static void rc4_run(struct rc4 *r, struct span in, uint8_t *out)
{
	for (size_t n = 0; n < in.len; n++) {
		uint8_t x = r->s[++r->i], y;

		r->j = (uint8_t)(r->j + x);
		y = r->s[r->j];
		r->s[r->i] = y;
		r->s[r->j] = x;
		out[n] = in.at[n] ^ r->s[(uint8_t)(x + y)];
	}
}

struct tls_opener {
	const struct suite *suite;
	uint16_t version;
	bool     etm;
	uint64_t number;                /* of the next record */
	EVP_CIPHER_CTX *cipher;
	EVP_MAC_CTX *mac;
	uint8_t  iv[16];                /* the part that is never sent; CBC of TLS 1.0: the last block before */
	struct secret traffic;          /* TLS 1.3 */
	struct rc4 *rc4;
};

/* ---- keys ---------------------------------------------------------------------------------- */

static bool derive(const char *kdf_name, OSSL_PARAM *params, uint8_t *out, size_t len)
{
	/* libcrypto's first call reads a configuration, which the sandbox keeps it from; nothing here needs one. */
	int begun = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	EVP_KDF *kdf = begun != 0 ? EVP_KDF_fetch(NULL, kdf_name, NULL) : NULL;
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	bool good = ctx != NULL && EVP_KDF_derive(ctx, out, len, params) > 0;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return good;
}

static OSSL_PARAM text_param(const char *key, const char *text)
{
	char *s;

	memcpy(&s, &text, sizeof s);            /* OSSL_PARAM takes no const, and writes none of what it is given here */
	return OSSL_PARAM_construct_utf8_string(key, s, 0);
}

static OSSL_PARAM bytes_param(const char *key, const void *bytes, size_t len)
{
	void *p;

	memcpy(&p, &bytes, sizeof p);
	return OSSL_PARAM_construct_octet_string(key, p, len);
}

static const char *prf_digest(const struct suite *u, const struct tls_params *p)
{
	return p->version < 0x0303 ? "MD5-SHA1" : u->hash->name;
}

static bool digest(const char *name, struct span bytes, uint8_t out[static EVP_MAX_MD_SIZE], unsigned *len)
{
	int begun = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	EVP_MD *md = begun != 0 ? EVP_MD_fetch(NULL, name, NULL) : NULL;
	bool good = md != NULL && EVP_Digest(bytes.at, bytes.len, out, len, md, NULL) > 0;

	EVP_MD_free(md);
	return good;
}

bool tls_hash(struct span bytes, uint8_t hash[static 32])
{
	uint8_t out[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!digest("SHA256", bytes, out, &len) || len != 32)
		return false;
	memcpy(hash, out, len);
	return true;
}

bool tls_master(const struct tls_params *p, struct span premaster, struct span said, struct secret *master)
{
	const struct suite *u = suite_of(p->cipher);
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	OSSL_PARAM params[6];                   /* seeds are taken one after another */
	size_t n = 0;

	if (u == NULL || (said.len != 0 && !digest(prf_digest(u, p), said, hash, &len)))
		return false;
	params[n++] = text_param(OSSL_KDF_PARAM_DIGEST, prf_digest(u, p));
	params[n++] = bytes_param(OSSL_KDF_PARAM_SECRET, premaster.at, premaster.len);
	if (said.len != 0) {
		params[n++] = bytes_param(OSSL_KDF_PARAM_SEED, "extended master secret", 22);
		params[n++] = bytes_param(OSSL_KDF_PARAM_SEED, hash, len);
	} else {
		params[n++] = bytes_param(OSSL_KDF_PARAM_SEED, "master secret", 13);
		params[n++] = bytes_param(OSSL_KDF_PARAM_SEED, p->client_random, 32);
		params[n++] = bytes_param(OSSL_KDF_PARAM_SEED, p->server_random, 32);
	}
	params[n] = OSSL_PARAM_construct_end();
	*master = (struct secret){ .len = 48 };
	return derive("TLS1-PRF", params, master->bytes, master->len);
}

/* RFC 5246 6.3: key_block = PRF(master, "key expansion", server_random + client_random) */
static bool key_block(const struct suite *u, const struct tls_params *p, const struct secret *master, uint8_t *out, size_t len)
{
	OSSL_PARAM params[] = {
		text_param(OSSL_KDF_PARAM_DIGEST, prf_digest(u, p)),
		bytes_param(OSSL_KDF_PARAM_SECRET, master->bytes, master->len),
		bytes_param(OSSL_KDF_PARAM_SEED, "key expansion", 13),
		bytes_param(OSSL_KDF_PARAM_SEED, p->server_random, 32),
		bytes_param(OSSL_KDF_PARAM_SEED, p->client_random, 32),
		OSSL_PARAM_construct_end(),
	};

	return derive("TLS1-PRF", params, out, len);
}

/* RFC 8446 7.1: HKDF-Expand-Label(secret, label, "", len) */
static bool expand_label(const struct suite *u, const struct secret *secret, const char *label, uint8_t *out, size_t len)
{
	OSSL_PARAM params[] = {
		text_param(OSSL_KDF_PARAM_MODE, "EXPAND_ONLY"),
		text_param(OSSL_KDF_PARAM_DIGEST, u->hash->name),
		bytes_param(OSSL_KDF_PARAM_KEY, secret->bytes, secret->len),
		bytes_param(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
		bytes_param(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	return derive("TLS13-KDF", params, out, len);
}

static bool begin_cipher(struct tls_opener *o, const uint8_t *key)
{
	const struct cipher *c = o->suite->cipher;
	EVP_CIPHER *fetched;
	bool good;

	if (c->mode == MODE_NULL)
		return true;
	if (c->mode == MODE_RC4) {
		o->rc4 = malloc(sizeof *o->rc4);
		if (o->rc4 != NULL)
			rc4_key(o->rc4, key, c->key_len);
		return o->rc4 != NULL;
	}
	fetched = EVP_CIPHER_fetch(NULL, c->name, NULL);
	if (o->cipher == NULL)
		o->cipher = EVP_CIPHER_CTX_new();
	good = fetched != NULL && o->cipher != NULL && EVP_DecryptInit_ex2(o->cipher, fetched, NULL, NULL, NULL) > 0;
	EVP_CIPHER_free(fetched);
	if (good && c->mode == MODE_AEAD)
		good = EVP_CIPHER_CTX_ctrl(o->cipher, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) > 0;
	if (good && c->ccm)
		good = EVP_CIPHER_CTX_ctrl(o->cipher, EVP_CTRL_AEAD_SET_TAG, c->tag_len, NULL) > 0;
	good = good && EVP_DecryptInit_ex2(o->cipher, NULL, key, NULL, NULL) > 0;
	if (good && c->mode == MODE_CBC)
		good = EVP_CIPHER_CTX_set_padding(o->cipher, 0) > 0;
	return good;
}

static bool begin_mac(struct tls_opener *o, const uint8_t *key)
{
	const struct digest *d = o->suite->mac;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end() };
	EVP_MAC *mac;

	if (d->len == 0)
		return true;
	params[0] = text_param(OSSL_MAC_PARAM_DIGEST, d->name);
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	o->mac = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	return o->mac != NULL && EVP_MAC_init(o->mac, key, d->len, params) > 0;
}

static struct tls_opener *opener_new(uint16_t cipher, uint16_t version)
{
	const struct suite *u = suite_of(cipher);
	struct tls_opener *o = u != NULL ? calloc(1, sizeof *o) : NULL;

	if (o == NULL)
		return NULL;
	o->suite = u;
	o->version = version;
	return o;
}

void tls_opener_free(struct tls_opener *o)
{
	if (o == NULL)
		return;
	EVP_CIPHER_CTX_free(o->cipher);
	EVP_MAC_CTX_free(o->mac);
	if (o->rc4 != NULL)
		OPENSSL_cleanse(o->rc4, sizeof *o->rc4);
	free(o->rc4);
	OPENSSL_cleanse(o, sizeof *o);
	free(o);
}

/* client MAC, server MAC, client key, server key, client IV, server IV. RFC 5246 6.3 */
struct tls_opener *tls_opener_12(const struct tls_params *p, enum side from, const struct secret *master)
{
	uint8_t block[2 * (48 + 32 + 16)];
	struct tls_opener *o = p->version < 0x0301 || p->version > 0x0303 ? NULL : opener_new(p->cipher, p->version);
	size_t key, iv, mac;
	bool good;

	if (o == NULL)
		return NULL;
	o->etm = p->etm && o->suite->cipher->mode == MODE_CBC;
	key = o->suite->cipher->key_len;
	mac = o->suite->mac->len;
	iv = o->suite->cipher->iv_len;
	good = key_block(o->suite, p, master, block, 2 * (key + mac + iv));
	if (good)
		memcpy(o->iv, block + 2 * (mac + key) + (from == SERVER) * iv, iv);
	good = good && begin_mac(o, block + (from == SERVER) * mac) && begin_cipher(o, block + 2 * mac + (from == SERVER) * key);
	OPENSSL_cleanse(block, sizeof block);
	if (good)
		return o;
	tls_opener_free(o);
	return NULL;
}

static bool begin_traffic(struct tls_opener *o)
{
	uint8_t key[32];
	bool good;

	good = expand_label(o->suite, &o->traffic, "key", key, o->suite->cipher->key_len) &&
	       expand_label(o->suite, &o->traffic, "iv", o->iv, 12) && begin_cipher(o, key);
	OPENSSL_cleanse(key, sizeof key);
	o->number = 0;
	return good;
}

struct tls_opener *tls_opener_13(uint16_t cipher, const struct secret *traffic)
{
	struct tls_opener *o = opener_new(cipher, 0x0304);

	if (o == NULL)
		return NULL;
	o->traffic = *traffic;
	if (o->suite->cipher->mode == MODE_AEAD && traffic->len == o->suite->hash->len && begin_traffic(o))
		return o;
	tls_opener_free(o);
	return NULL;
}

bool tls_opener_update(struct tls_opener *o)
{
	struct secret next = { .len = o->traffic.len };

	if (!expand_label(o->suite, &o->traffic, "traffic upd", next.bytes, next.len))
		return false;
	o->traffic = next;
	OPENSSL_cleanse(&next, sizeof next);
	return begin_traffic(o);
}

/* ---- a record ------------------------------------------------------------------------------ */

static void put16(uint8_t *to, size_t v)
{
	to[0] = (uint8_t)(v >> 8);
	to[1] = (uint8_t)v;
}

static void put64(uint8_t *to, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		to[i] = (uint8_t)v;
}

/* What is authenticated besides: number, type, version, length of the plaintext. RFC 5246 6.2.3.1 and .3 */
static void associated_12(const struct tls_opener *o, uint8_t type, uint16_t version, size_t plain, uint8_t to[static 13])
{
	put64(to, o->number);
	to[8] = type;
	put16(to + 9, version);
	put16(to + 11, plain);
}

static bool aead_open(struct tls_opener *o, const uint8_t nonce[static 12], struct span associated, struct span sealed, uint8_t *room)
{
	const struct cipher *c = o->suite->cipher;
	size_t plain = sealed.len - c->tag_len;
	struct span tag = span_from(sealed, plain);
	uint8_t tag_copy[16];
	int n;

	memcpy(tag_copy, tag.at, c->tag_len);
	if (EVP_CIPHER_CTX_ctrl(o->cipher, EVP_CTRL_AEAD_SET_TAG, c->tag_len, tag_copy) <= 0 ||
	    EVP_DecryptInit_ex2(o->cipher, NULL, NULL, nonce, NULL) <= 0)
		return false;
	if (c->ccm && EVP_DecryptUpdate(o->cipher, NULL, &n, NULL, (int)plain) <= 0)
		return false;
	if (EVP_DecryptUpdate(o->cipher, NULL, &n, associated.at, (int)associated.len) <= 0)
		return false;
	if (EVP_DecryptUpdate(o->cipher, room, &n, sealed.at, (int)plain) <= 0)
		return false;
	return c->ccm || EVP_DecryptFinal_ex(o->cipher, room + plain, &n) > 0;
}

static void nonce_by_number(const struct tls_opener *o, uint8_t nonce[static 12])
{
	uint8_t number[8];

	memcpy(nonce, o->iv, 12);
	put64(number, o->number);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= number[i];
}

/* RFC 5288, RFC 6655, RFC 7905 */
static bool open_aead_12(struct tls_opener *o, uint8_t type, uint16_t version, struct span body, uint8_t *room, struct tls_opened *out)
{
	const struct cipher *c = o->suite->cipher;
	uint8_t nonce[12], associated[13];
	size_t plain;

	if (body.len < (size_t)c->explicit_len + c->tag_len)
		return false;
	plain = body.len - c->explicit_len - c->tag_len;
	if (c->explicit_len == 0) {
		nonce_by_number(o, nonce);
	} else {
		memcpy(nonce, o->iv, c->iv_len);
		memcpy(nonce + c->iv_len, body.at, c->explicit_len);
	}
	associated_12(o, type, version, plain, associated);
	if (!aead_open(o, nonce, span_of(associated, sizeof associated), span_from(body, c->explicit_len), room))
		return false;
	*out = (struct tls_opened){ type, span_of(room, plain) };
	return true;
}

/* RFC 8446 5.2: the real type is the last byte that is not zero. */
static bool open_13(struct tls_opener *o, uint8_t type, uint16_t version, struct span body, uint8_t *room, struct tls_opened *out)
{
	uint8_t nonce[12], associated[5] = { type };
	size_t plain;

	if (body.len < (size_t)o->suite->cipher->tag_len + 1)
		return false;
	put16(associated + 1, version);
	put16(associated + 3, body.len);
	nonce_by_number(o, nonce);
	if (!aead_open(o, nonce, span_of(associated, sizeof associated), body, room))
		return false;
	plain = body.len - o->suite->cipher->tag_len;
	while (plain != 0 && room[plain - 1] == 0)
		plain--;
	if (plain == 0)
		return false;
	*out = (struct tls_opened){ room[plain - 1], span_of(room, plain - 1) };
	return true;
}

static bool mac_fits(struct tls_opener *o, uint8_t type, uint16_t version, struct span covered, struct span mac)
{
	uint8_t head[13], got[64];
	size_t len = 0;

	associated_12(o, type, version, covered.len, head);
	return EVP_MAC_init(o->mac, NULL, 0, NULL) > 0 && EVP_MAC_update(o->mac, head, sizeof head) > 0 &&
	       EVP_MAC_update(o->mac, covered.at, covered.len) > 0 && EVP_MAC_final(o->mac, got, &len, sizeof got) > 0 &&
	       len == mac.len && memcmp(got, mac.at, len) == 0;
}

/* Whole blocks in `sealed`; from TLS 1.1 on they begin with their own IV (RFC 4346 6.2.3.2). */
static bool cbc_decrypt(struct tls_opener *o, struct span sealed, uint8_t *room, size_t *plain)
{
	size_t block = o->suite->cipher->iv_len;
	uint8_t iv[16];
	int n = 0;

	memcpy(iv, o->iv, block);
	if (o->version >= 0x0302) {
		if (sealed.len < block)
			return false;
		memcpy(iv, sealed.at, block);
		sealed = span_from(sealed, block);
	}
	if (sealed.len == 0 || sealed.len % block != 0)
		return false;
	if (EVP_DecryptInit_ex2(o->cipher, NULL, NULL, iv, NULL) <= 0 ||
	    EVP_DecryptUpdate(o->cipher, room, &n, sealed.at, (int)sealed.len) <= 0)
		return false;
	*plain = (size_t)n;
	return *plain == sealed.len;
}

/* The last byte says how many more like it precede it. */
static bool unpad(struct span *plain)
{
	size_t pad = span_at(*plain, plain->len - 1);

	if (pad + 1 > plain->len)
		return false;
	for (size_t i = plain->len - 1 - pad; i < plain->len; i++)
		if (span_at(*plain, i) != pad)
			return false;
	*plain = span_first(*plain, plain->len - 1 - pad);
	return true;
}

static bool open_cbc(struct tls_opener *o, uint8_t type, uint16_t version, struct span body, uint8_t *room, struct tls_opened *out)
{
	size_t mac = o->suite->mac->len, block = o->suite->cipher->iv_len, n = 0;
	struct span sealed = body, plain;

	if (body.len < mac)
		return false;
	if (o->etm) {                           /* over what is sent, IV included. RFC 7366 3 */
		sealed = span_first(body, body.len - mac);
		if (!mac_fits(o, type, version, sealed, span_from(body, sealed.len)))
			return false;
	}
	if (!cbc_decrypt(o, sealed, room, &n))
		return false;
	plain = span_of(room, n);
	if (!unpad(&plain))
		return false;
	if (!o->etm) {
		struct span content = span_first(plain, plain.len >= mac ? plain.len - mac : 0);

		if (plain.len < mac || !mac_fits(o, type, version, content, span_from(plain, content.len)))
			return false;
		plain = content;
	}
	if (o->version < 0x0302)
		memcpy(o->iv, span_from(sealed, sealed.len - block).at, block);
	*out = (struct tls_opened){ type, plain };
	return true;
}

static bool open_stream(struct tls_opener *o, uint8_t type, uint16_t version, struct span body, uint8_t *room, struct tls_opened *out)
{
	size_t mac = o->suite->mac->len;
	struct span plain;

	if (body.len < mac)
		return false;
	if (o->rc4 != NULL)
		rc4_run(o->rc4, body, room);
	else
		memcpy(room, body.at, body.len);
	plain = span_of(room, body.len - mac);
	if (!mac_fits(o, type, version, plain, span_of(room + plain.len, mac)))
		return false;
	*out = (struct tls_opened){ type, plain };
	return true;
}

bool tls_open(struct tls_opener *o, uint8_t type, uint16_t version, struct span body, uint8_t *room, struct tls_opened *out)
{
	bool good;

	if (body.len > 16384 + 2048)
		return false;
	if (o->version >= 0x0304)
		good = open_13(o, type, version, body, room, out);
	else if (o->suite->cipher->mode == MODE_AEAD)
		good = open_aead_12(o, type, version, body, room, out);
	else if (o->suite->cipher->mode == MODE_CBC)
		good = open_cbc(o, type, version, body, room, out);
	else
		good = open_stream(o, type, version, body, room, out);
	o->number += good;
	return good;
}

bool tls_opener_pass(struct tls_opener *o)
{
	o->number++;
	return o->suite->cipher->mode == MODE_AEAD || o->suite->cipher->mode == MODE_NULL ||
	       (o->suite->cipher->mode == MODE_CBC && o->version >= 0x0302);
}

void tls_opener_back(struct tls_opener *o, uint64_t records)
{
	o->number -= records;
}

bool tls_opener_is_aead(const struct tls_opener *o)
{
	return o->suite->cipher->mode == MODE_AEAD;
}

size_t tls_opener_plain(const struct tls_opener *o, size_t length, bool *exact)
{
	const struct cipher *c = o->suite->cipher;
	size_t over = c->mode == MODE_AEAD ? (size_t)c->tag_len + (o->version >= 0x0304 ? 1 : c->explicit_len) : o->suite->mac->len;

	if (c->mode == MODE_CBC)
		over += (o->version >= 0x0302 ? c->iv_len : 0) + 1u;
	*exact = c->mode != MODE_CBC && o->version < 0x0304;
	return length > over ? length - over : 0;
}

#else

bool tls_master(const struct tls_params *p, struct span premaster, struct span said, struct secret *master)
{
	(void)p;
	(void)premaster;
	(void)said;
	(void)master;
	return false;
}

bool tls_hash(struct span bytes, uint8_t hash[static 32])
{
	(void)bytes;
	(void)hash;
	return false;
}

struct tls_opener *tls_opener_12(const struct tls_params *p, enum side from, const struct secret *master)
{
	(void)p;
	(void)from;
	(void)master;
	return NULL;
}

struct tls_opener *tls_opener_13(uint16_t cipher, const struct secret *traffic)
{
	(void)cipher;
	(void)traffic;
	return NULL;
}

bool tls_opener_update(struct tls_opener *o)
{
	(void)o;
	return false;
}

void tls_opener_free(struct tls_opener *o)
{
	(void)o;
}

bool tls_open(struct tls_opener *o, uint8_t type, uint16_t version, struct span body, uint8_t *room, struct tls_opened *out)
{
	(void)o;
	(void)type;
	(void)version;
	(void)body;
	(void)room;
	(void)out;
	return false;
}

bool tls_opener_pass(struct tls_opener *o)
{
	(void)o;
	return false;
}

void tls_opener_back(struct tls_opener *o, uint64_t records)
{
	(void)o;
	(void)records;
}

bool tls_opener_is_aead(const struct tls_opener *o)
{
	(void)o;
	return false;
}

size_t tls_opener_plain(const struct tls_opener *o, size_t length, bool *exact)
{
	(void)o;
	(void)length;
	*exact = false;
	return 0;
}

#endif
