#include "names.h"

#include "../capture/hash.h"
#include "../capture/limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PLACES = 2 * LIMIT_NAMES,                /* of the index; a power of two, never more than half full */
       NAME_BYTES_MAX = 255,                    /* RFC 1035 2.3.4 */
       HOSTS_BYTES_MAX = 1 << 20 };

struct name { uint8_t address[16]; uint8_t len; uint8_t *text; };

struct names {
	struct hash_key key;
	struct name *at;                /* in order of learning */
	unsigned n;
	uint16_t *index;                /* open addressing: place + 1; 0: free */
	uint64_t dropped;
};

struct names *names_new(void)
{
	struct names *n = calloc(1, sizeof *n);

	if (n == NULL)
		return NULL;
	n->key = hash_key_random();
	n->at = calloc(LIMIT_NAMES, sizeof *n->at);
	n->index = calloc(PLACES, sizeof *n->index);
	if (n->at == NULL || n->index == NULL) {
		names_free(n);
		return NULL;
	}
	return n;
}

void names_free(struct names *n)
{
	if (n == NULL)
		return;
	for (unsigned i = 0; i < n->n; i++)
		free(n->at[i].text);
	free(n->at);
	free(n->index);
	free(n);
}

/* Where the address stands in the index, or would. */
static unsigned index_of(const struct names *n, const uint8_t address[static 16])
{
	unsigned i = (unsigned)hash_bytes(&n->key, span_of(address, 16)) & (PLACES - 1);

	while (n->index[i] != 0 && !address_equal(n->at[n->index[i] - 1].address, address))
		i = (i + 1) & (PLACES - 1);
	return i;
}

static bool is_unspecified(const uint8_t address[static 16])
{
	static const uint8_t none[16], none4[16] = { [10] = 0xff, [11] = 0xff };

	return address_equal(address, none) || address_equal(address, none4);
}

static void learn(struct names *n, const uint8_t address[static 16], struct span text)
{
	unsigned i = index_of(n, address);
	struct name *new = &n->at[n->n];

	if (n->index[i] != 0 || text.len == 0 || is_unspecified(address))
		return;
	if (n->n == LIMIT_NAMES) {
		n->dropped++;
		return;
	}
	new->len = (uint8_t)(text.len < NAME_BYTES_MAX ? text.len : NAME_BYTES_MAX);
	new->text = malloc(new->len);
	if (new->text == NULL)
		return;
	memcpy(new->text, text.at, new->len);
	memcpy(new->address, address, sizeof new->address);
	n->index[i] = (uint16_t)++n->n;
}

void names_fact(struct names *n, const struct dns_fact *f)
{
	if (!f->answer || f->rcode != 0)
		return;
	for (unsigned i = 0; i < f->n_addresses; i++)
		learn(n, f->addresses[i], fact_text(f, f->name));
}

/* ---- the hosts file ------------------------------------------------------------------------ */

/* What stands before the first of these bytes; it and they are taken off. */
static struct span take_until(struct span *rest, const char *bytes)
{
	struct span piece = *rest;
	size_t end = 0;

	while (end < piece.len && strchr(bytes, span_at(piece, end)) == NULL)
		end++;
	*rest = span_from(piece, end + 1);
	return span_first(piece, end);
}

static struct span take_word(struct span *line)
{
	struct span word;

	do
		word = take_until(line, " \t\r");
	while (word.len == 0 && line->len != 0);
	return word;
}

static bool read_address(struct span word, uint8_t address[static 16])
{
	char text[INET6_ADDRSTRLEN];

	if (word.len >= sizeof text)
		return false;
	memcpy(text, word.at, word.len);
	text[word.len] = '\0';
	if (inet_pton(AF_INET6, text, address) == 1)
		return true;
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	return inet_pton(AF_INET, text, address + 12) == 1;
}

void names_hosts(struct names *n, struct span text)
{
	while (text.len != 0) {
		struct span line = take_until(&text, "\n"), words = take_until(&line, "#");
		uint8_t address[16];

		if (read_address(take_word(&words), address))
			learn(n, address, take_word(&words));   /* the canonical one; aliases follow */
	}
}

void names_hosts_file(struct names *n, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd >= 0 ? malloc(HOSTS_BYTES_MAX) : NULL;
	size_t used = 0;
	ssize_t got;

	while (text != NULL && used < HOSTS_BYTES_MAX) {
		got = read(fd, text + used, HOSTS_BYTES_MAX - used);
		if (got == 0 || (got < 0 && errno != EINTR))
			break;
		used += got > 0 ? (size_t)got : 0;
	}
	if (text != NULL)
		names_hosts(n, span_of(text, used));
	free(text);
	if (fd >= 0)
		close(fd);
}

/* ---- asking -------------------------------------------------------------------------------- */

int names_find(const struct names *n, const uint8_t address[static 16])
{
	return n != NULL ? (int)n->index[index_of(n, address)] - 1 : -1;
}

struct span names_at(const struct names *n, unsigned place)
{
	return span_of(n->at[place].text, n->at[place].len);
}

const uint8_t *names_address(const struct names *n, unsigned place)
{
	return n->at[place].address;
}

struct span names_of(const struct names *n, const uint8_t address[static 16])
{
	int place = names_find(n, address);

	return place >= 0 ? names_at(n, (unsigned)place) : span_none();
}

uint64_t names_dropped(const struct names *n)
{
	return n != NULL ? n->dropped : 0;
}
