#include "secrets.h"

#include "hash.h"
#include "limits.h"
#include "rsa_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 16, LINE_MAX_BYTES = 512, READ_BYTES = 64 << 10, NONE = UINT32_MAX, FIRST_ENTRIES = 256 };

struct entry {
	uint8_t  random[SECRET_RANDOM];
	uint8_t  label;
	uint32_t next;                  /* of its bucket */
	struct secret secret;
};

struct keylog {
	struct keylog_place place;
	int      fd;
	uint64_t read;                  /* bytes so far */
	uint8_t  line[LINE_MAX_BYTES];  /* begun, its end not read yet */
	size_t   line_len;
	bool     too_long;
	bool     exposed, polled;
};

struct secrets {
	pthread_rwlock_t lock;
	struct hash_key key;
	struct entry *entries;          /* a ring once there are LIMIT_SECRETS */
	uint32_t *buckets;              /* as many as `size`, a power of two times two */
	uint32_t n, size, oldest;
	uint64_t dropped;
	bool     may_come;
	struct rsa_keys *rsa;
	int    (*open)(void *ctx, unsigned file, int *fd);      /* NULL: keylog_open() */
	void    *open_ctx;
	unsigned n_files;
	struct keylog files[FILES_MAX];
};

/* ---- the table ----------------------------------------------------------------------------- */

static uint32_t *bucket_of(struct secrets *s, const uint8_t *random)
{
	return &s->buckets[hash_bytes(&s->key, span_of(random, SECRET_RANDOM)) & (2 * (uint64_t)s->size - 1)];
}

static void link_entry(struct secrets *s, uint32_t i)
{
	uint32_t *bucket = bucket_of(s, s->entries[i].random);

	s->entries[i].next = *bucket;
	*bucket = i;
}

static void unlink_entry(struct secrets *s, uint32_t i)
{
	uint32_t *link = bucket_of(s, s->entries[i].random);

	while (*link != NONE && *link != i)
		link = &s->entries[*link].next;
	if (*link == i)
		*link = s->entries[i].next;
}

static void wipe_free(void *p, size_t size)
{
	if (p != NULL)
		explicit_bzero(p, size);
	free(p);
}

static bool table_grow(struct secrets *s)
{
	uint32_t size = s->size != 0 ? s->size * 2 : FIRST_ENTRIES;
	struct entry *entries = malloc(size * sizeof *entries);
	uint32_t *buckets = malloc(2 * (size_t)size * sizeof *buckets);

	if (entries == NULL || buckets == NULL) {
		free(entries);
		free(buckets);
		return false;
	}
	if (s->n != 0)
		memcpy(entries, s->entries, s->n * sizeof *entries);
	wipe_free(s->entries, s->size * sizeof *entries);
	free(s->buckets);
	s->entries = entries;
	s->buckets = buckets;
	s->size = size;
	memset(buckets, 0xff, 2 * (size_t)size * sizeof *buckets);
	for (uint32_t i = 0; i < s->n; i++)
		link_entry(s, i);
	return true;
}

static struct entry *find(struct secrets *s, enum secret_label label, const uint8_t *random)
{
	if (s->size == 0)
		return NULL;
	for (uint32_t i = *bucket_of(s, random); i != NONE; i = s->entries[i].next)
		if (s->entries[i].label == label && memcmp(s->entries[i].random, random, SECRET_RANDOM) == 0)
			return &s->entries[i];
	return NULL;
}

/* Where the next one goes: a new place, or that of the oldest. NONE: no memory. */
static uint32_t take_entry(struct secrets *s)
{
	uint32_t i;

	if (s->n < LIMIT_SECRETS && (s->n < s->size || table_grow(s)))
		return s->n++;
	if (s->n == 0)
		return NONE;
	i = s->oldest;
	s->oldest = (s->oldest + 1) % s->n;
	s->dropped++;
	unlink_entry(s, i);
	return i;
}

void secrets_add(struct secrets *s, enum secret_label label, const uint8_t random[static SECRET_RANDOM], const struct secret *secret)
{
	struct entry *e;
	uint32_t i;

	pthread_rwlock_wrlock(&s->lock);
	e = find(s, label, random);
	if (e != NULL) {
		e->secret = *secret;            /* said again: the latest counts */
	} else if ((i = take_entry(s)) != NONE) {
		e = &s->entries[i];
		*e = (struct entry){ .label = (uint8_t)label, .secret = *secret };
		memcpy(e->random, random, SECRET_RANDOM);
		link_entry(s, i);
	}
	pthread_rwlock_unlock(&s->lock);
}

bool secrets_find(struct secrets *s, enum secret_label label, const uint8_t random[static SECRET_RANDOM], struct secret *out)
{
	struct entry *e;

	pthread_rwlock_rdlock(&s->lock);
	e = find(s, label, random);
	if (e != NULL)
		*out = e->secret;
	pthread_rwlock_unlock(&s->lock);
	return e != NULL;
}

/* ---- lines --------------------------------------------------------------------------------- */

static const struct { const char *name; enum secret_label label; } labels[] = {
	{ "CLIENT_RANDOM", SECRET_MASTER },
	{ "CLIENT_EARLY_TRAFFIC_SECRET", SECRET_CLIENT_EARLY },
	{ "CLIENT_HANDSHAKE_TRAFFIC_SECRET", SECRET_CLIENT_HANDSHAKE },
	{ "SERVER_HANDSHAKE_TRAFFIC_SECRET", SECRET_SERVER_HANDSHAKE },
	{ "CLIENT_TRAFFIC_SECRET_0", SECRET_CLIENT_APPLICATION },
	{ "SERVER_TRAFFIC_SECRET_0", SECRET_SERVER_APPLICATION },
};

static int hex_digit(uint8_t c)
{
	c = ascii_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes that `text` spells; 0: it is no hex, or more than there is room for. */
static size_t from_hex(struct span text, uint8_t *to, size_t room)
{
	if (text.len % 2 != 0 || text.len / 2 > room)
		return 0;
	for (size_t i = 0; i < text.len / 2; i++) {
		int high = hex_digit(span_at(text, 2 * i)), low = hex_digit(span_at(text, 2 * i + 1));

		if (high < 0 || low < 0)
			return 0;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return text.len / 2;
}

static struct span take_word(struct span *line)
{
	struct span word;

	while (line->len != 0 && (span_at(*line, 0) == ' ' || span_at(*line, 0) == '\t'))
		*line = span_from(*line, 1);
	word = span_first(*line, span_index(*line, ' '));
	word = span_first(word, span_index(word, '\t'));
	*line = span_from(*line, word.len);
	return word;
}

/* Comments, unknown labels and broken lines are passed over. */
static void take_line(struct secrets *s, struct span line)
{
	uint8_t random[SECRET_RANDOM];
	struct secret secret = { 0 };
	struct span name;
	size_t len;

	while (line.len != 0 && (span_at(line, line.len - 1) == '\r' || span_at(line, line.len - 1) == ' '))
		line = span_first(line, line.len - 1);
	name = take_word(&line);
	for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
		if (!span_is(name, labels[i].name))
			continue;
		if (from_hex(take_word(&line), random, sizeof random) != sizeof random)
			return;
		len = from_hex(take_word(&line), secret.bytes, sizeof secret.bytes);
		secret.len = (uint8_t)len;
		if (len != 0 && take_word(&line).len == 0)
			secrets_add(s, labels[i].label, random, &secret);
		explicit_bzero(&secret, sizeof secret);
		return;
	}
}

void secrets_text(struct secrets *s, struct span keylog_text)
{
	while (keylog_text.len != 0) {
		size_t n = span_index(keylog_text, '\n');

		take_line(s, span_first(keylog_text, n));
		keylog_text = span_from(keylog_text, n + 1);
	}
}

static size_t add_hex(char *text, size_t at, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		text[at++] = digits[bytes[i] >> 4];
		text[at++] = digits[bytes[i] & 15];
	}
	return at;
}

size_t secrets_lines(struct secrets *s, const uint8_t random[static SECRET_RANDOM], char text[static SECRET_LINES_MAX])
{
	struct secret secret;
	size_t at = 0;

	for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
		size_t name = strlen(labels[i].name);

		if (!secrets_find(s, labels[i].label, random, &secret))
			continue;
		memcpy(text + at, labels[i].name, name);
		text[at + name] = ' ';
		at = add_hex(text, at + name + 1, random, SECRET_RANDOM);
		text[at++] = ' ';
		at = add_hex(text, at, secret.bytes, secret.len);
		text[at++] = '\n';
	}
	explicit_bzero(&secret, sizeof secret);
	return at;
}

/* ---- files --------------------------------------------------------------------------------- */

/* A line may have been half written when it was read: it waits for its end. */
static void take_bytes(struct secrets *s, struct keylog *f, struct span bytes)
{
	while (bytes.len != 0) {
		size_t n = span_index(bytes, '\n');
		struct span part = span_first(bytes, n);
		bool ends = n < bytes.len;

		bytes = span_from(bytes, n + 1);
		if (part.len > sizeof f->line - f->line_len)
			f->too_long = true;
		else if (!f->too_long)
			memcpy(f->line + f->line_len, part.at, part.len);
		if (!f->too_long)
			f->line_len += part.len;
		if (!ends)
			return;
		if (!f->too_long)
			take_line(s, span_of(f->line, f->line_len));
		f->line_len = 0;
		f->too_long = false;
	}
}

static void read_on(struct secrets *s, struct keylog *f)
{
	uint8_t *bytes = malloc(READ_BYTES);
	ssize_t n;

	if (bytes == NULL)
		return;
	for (;;) {
		n = read(f->fd, bytes, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		f->read += (uint64_t)n;
		take_bytes(s, f, span_of(bytes, (size_t)n));
	}
	wipe_free(bytes, READ_BYTES);
}

/* The last line of a log that is whole may lack its line feed. */
static void take_rest(struct secrets *s, struct keylog *f)
{
	if (!f->too_long && f->line_len != 0)
		take_line(s, span_of(f->line, f->line_len));
}

int keylog_open(struct keylog_place *p, int *fd)
{
	struct stat st;

	if (p->known && stat(p->path, &st) == 0 && st.st_ino == p->inode && st.st_dev == p->device)
		return EALREADY;
	*fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd < 0)
		return errno;
	p->known = fstat(*fd, &st) == 0;
	p->inode = st.st_ino;
	p->device = st.st_dev;
	return 0;
}

static void begin_anew(struct keylog *f)
{
	f->read = 0;
	f->line_len = 0;
	f->too_long = false;
}

static bool is_exposed(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

enum err_code secrets_file(struct secrets *s, const char *path, struct err *e)
{
	struct keylog *f = &s->files[s->n_files];
	int why;

	if (s->n_files == FILES_MAX)
		return err_set(e, ERR_OPTION, "--keylog: at most %d files", FILES_MAX);
	*f = (struct keylog){ .place.path = path, .fd = -1 };
	why = keylog_open(&f->place, &f->fd);
	if (why != 0)
		return err_set(e, why == EACCES ? ERR_PERMISSION : ERR_OPEN, "%s: %s", path, strerror(why));
	f->exposed = is_exposed(f->fd);
	s->n_files++;
	return ERR_OK;
}

static void poll_file(struct secrets *s, unsigned i)
{
	struct keylog *f = &s->files[i];
	struct stat now;
	int fd = -1, why;

	read_on(s, f);
	if (!f->polled) {
		f->polled = true;
		take_rest(s, f);
		return;
	}
	if (fstat(f->fd, &now) == 0 && S_ISREG(now.st_mode) && (uint64_t)now.st_size < f->read && lseek(f->fd, 0, SEEK_SET) == 0) {
		take_rest(s, f);
		begin_anew(f);
		read_on(s, f);
	}
	why = s->open != NULL ? s->open(s->open_ctx, i, &fd) : keylog_open(&f->place, &fd);
	if (why != 0 || fd < 0)         /* the same, or moved away and none in its place yet */
		return;
	take_rest(s, f);
	close(f->fd);
	f->fd = fd;
	begin_anew(f);
	read_on(s, f);
}

void secrets_poll(struct secrets *s)
{
	for (unsigned i = 0; i < s->n_files; i++)
		poll_file(s, i);
}

unsigned secrets_files(const struct secrets *s)
{
	return s->n_files;
}

struct keylog_place secrets_place(const struct secrets *s, unsigned file)
{
	return s->files[file].place;
}

void secrets_opened_by(struct secrets *s, int (*open)(void *ctx, unsigned file, int *fd), void *ctx)
{
	s->open = open;
	s->open_ctx = ctx;
}

const char *secrets_exposed(struct secrets *s)
{
	for (unsigned i = 0; i < s->n_files; i++)
		if (s->files[i].exposed)
			return s->files[i].place.path;
	return NULL;
}

/* ---- the whole ----------------------------------------------------------------------------- */

struct secrets *secrets_new(void)
{
	struct secrets *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	if (pthread_rwlock_init(&s->lock, NULL) != 0) {
		free(s);
		return NULL;
	}
	s->key = hash_key_random();
	return s;
}

void secrets_free(struct secrets *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->n_files; i++)
		if (s->files[i].fd >= 0)
			close(s->files[i].fd);
	wipe_free(s->entries, s->size * sizeof *s->entries);
	free(s->buckets);
	rsa_keys_free(s->rsa);
	pthread_rwlock_destroy(&s->lock);
	wipe_free(s, sizeof *s);
}

bool secrets_may_come(struct secrets *s)
{
	bool may;

	pthread_rwlock_rdlock(&s->lock);
	may = s->may_come;
	pthread_rwlock_unlock(&s->lock);
	return may;
}

void secrets_set_may_come(struct secrets *s)
{
	pthread_rwlock_wrlock(&s->lock);
	s->may_come = true;
	pthread_rwlock_unlock(&s->lock);
}

void secrets_set_rsa(struct secrets *s, struct rsa_keys *keys)
{
	s->rsa = keys;
}

struct rsa_keys *secrets_rsa(const struct secrets *s)
{
	return s->rsa;
}

size_t secrets_count(struct secrets *s)
{
	size_t n;

	pthread_rwlock_rdlock(&s->lock);
	n = s->n;
	pthread_rwlock_unlock(&s->lock);
	return n;
}

uint64_t secrets_dropped(struct secrets *s)
{
	uint64_t n;

	pthread_rwlock_rdlock(&s->lock);
	n = s->dropped;
	pthread_rwlock_unlock(&s->lock);
	return n;
}
