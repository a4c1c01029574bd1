#include "rsa_keys.h"

#ifdef HAVE_OPENSSL

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { KEYS_MAX = 16, MODULUS_MAX_BYTES = 2048 };       /* 16,384 bits: OPENSSL_RSA_MAX_MODULUS_BITS */

struct rsa_key {
	const char *path;
	EVP_PKEY   *key;
	bool        exposed;
	atomic_bool tried, fitted;
};

struct rsa_keys { unsigned n; struct rsa_key keys[KEYS_MAX]; };

struct rsa_keys *rsa_keys_new(void)
{
	return calloc(1, sizeof(struct rsa_keys));
}

void rsa_keys_free(struct rsa_keys *k)
{
	for (unsigned i = 0; k != NULL && i < k->n; i++)
		EVP_PKEY_free(k->keys[i].key);
	free(k);
}

/* Nobody is asked for a pass phrase: why502 may run where nobody is. */
static int no_phrase(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

enum err_code rsa_keys_file(struct rsa_keys *k, const char *path, struct err *e)
{
	struct rsa_key *key = &k->keys[k->n];
	struct stat st;
	FILE *file;

	if (k->n == KEYS_MAX)
		return err_set(e, ERR_OPTION, "--rsa-key: at most %d files", KEYS_MAX);
	file = fopen(path, "re");
	if (file == NULL)
		return err_set(e, errno == EACCES ? ERR_PERMISSION : ERR_OPEN, "%s: %s", path, strerror(errno));
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	key->path = path;
	key->exposed = fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
	key->key = PEM_read_PrivateKey(file, NULL, no_phrase, NULL);
	fclose(file);
	if (key->key == NULL || !EVP_PKEY_is_a(key->key, "RSA") || EVP_PKEY_get_size(key->key) > MODULUS_MAX_BYTES) {
		EVP_PKEY_free(key->key);
		key->key = NULL;
		return err_set(e, ERR_FORMAT, "%s: no RSA private key in PEM without a pass phrase", path);
	}
	k->n++;
	return ERR_OK;
}

static bool open_with(struct rsa_key *key, struct span sealed, uint16_t offered, uint8_t premaster[static PREMASTER_BYTES])
{
	EVP_PKEY_CTX *ctx = sealed.len <= (size_t)EVP_PKEY_get_size(key->key) ? EVP_PKEY_CTX_new(key->key, NULL) : NULL;
	uint8_t plain[MODULUS_MAX_BYTES];
	size_t len = sizeof plain;
	bool good;

	atomic_store(&key->tried, true);
	good = ctx != NULL && EVP_PKEY_decrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
	       EVP_PKEY_decrypt(ctx, plain, &len, sealed.at, sealed.len) > 0 && len == PREMASTER_BYTES &&
	       (plain[0] << 8 | plain[1]) == offered;
	EVP_PKEY_CTX_free(ctx);
	if (good) {
		memcpy(premaster, plain, PREMASTER_BYTES);
		atomic_store(&key->fitted, true);
	}
	OPENSSL_cleanse(plain, sizeof plain);
	return good;
}

bool rsa_keys_open(struct rsa_keys *k, struct span sealed, uint16_t offered, uint8_t premaster[static PREMASTER_BYTES])
{
	for (unsigned i = 0; i < k->n; i++)
		if (open_with(&k->keys[i], sealed, offered, premaster))
			return true;
	return false;
}

const char *rsa_keys_unfit(const struct rsa_keys *k)
{
	for (unsigned i = 0; i < k->n; i++)
		if (atomic_load(&k->keys[i].tried) && !atomic_load(&k->keys[i].fitted))
			return k->keys[i].path;
	return NULL;
}

const char *rsa_keys_exposed(const struct rsa_keys *k)
{
	for (unsigned i = 0; i < k->n; i++)
		if (k->keys[i].exposed)
			return k->keys[i].path;
	return NULL;
}

#else

struct rsa_keys *rsa_keys_new(void)
{
	return NULL;
}

void rsa_keys_free(struct rsa_keys *k)
{
	(void)k;
}

enum err_code rsa_keys_file(struct rsa_keys *k, const char *path, struct err *e)
{
	(void)k;
	return err_set(e, ERR_OPTION, "%s: built without libcrypto", path);
}

bool rsa_keys_open(struct rsa_keys *k, struct span sealed, uint16_t offered, uint8_t premaster[static PREMASTER_BYTES])
{
	(void)k;
	(void)sealed;
	(void)offered;
	(void)premaster;
	return false;
}

const char *rsa_keys_unfit(const struct rsa_keys *k)
{
	(void)k;
	return NULL;
}

const char *rsa_keys_exposed(const struct rsa_keys *k)
{
	(void)k;
	return NULL;
}

#endif
