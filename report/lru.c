/* lru.c - a bounded table of endpoints: what was used least recently makes room */
#include "lru.h"

#include "../capture/hash.h"

#include <stdlib.h>

enum { QUICK_BITS = 8 };

struct lru {
	size_t entry_size;
	uint32_t max, count, numbers;
	void (*forget)(void *ctx, struct lru_entry *e);
	void *ctx;
	struct hash_key key;
	uint32_t mask;
	struct lru_entry **buckets;
	struct lru_entry *oldest[2], *newest[2];
	struct lru_entry *quick[1 << QUICK_BITS]; /* found last, by a hash that costs a tenth: facts come in runs of few
						     endpoints. Strangers can make it miss, no more */
};

static uint32_t buckets_for(uint32_t max)
{
	uint32_t n = 16;

	while (n < max)
		n *= 2;
	return n;
}

struct lru *lru_new(size_t entry_size, uint32_t max, void (*forget)(void *ctx, struct lru_entry *e),
		    void *ctx)
{
	struct lru *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	*l = (struct lru){ .entry_size = entry_size, .max = max, .forget = forget, .ctx = ctx };
	l->key = hash_key_random();
	l->mask = buckets_for(max) - 1;
	l->buckets = calloc((size_t)l->mask + 1, sizeof *l->buckets);
	if (l->buckets == NULL) {
		free(l);
		return NULL;
	}
	return l;
}

struct lru_key lru_key(const struct endpoint *e)
{
	return (struct lru_key){ .to = *e };
}

struct lru_key lru_key_from(const uint8_t from[static 16], const struct endpoint *to)
{
	struct lru_key k = { .to = *to };

	memcpy(k.from, from, sizeof k.from);
	return k;
}

struct lru_key lru_key_address(const uint8_t address[static 16])
{
	struct lru_key k = { .to = { .port = 0 } };

	memcpy(k.to.address, address, sizeof k.to.address);
	return k;
}

static struct lru_entry **bucket_of(const struct lru *l, const struct lru_key *k)
{
	return &l->buckets[hash_bytes(&l->key, span_of(k, sizeof *k)) & l->mask];
}

static struct lru_entry **quick_of(struct lru *l, const struct lru_key *k)
{
	uint64_t to[2], from[2];

	memcpy(to, k->to.address, sizeof to);
	memcpy(from, k->from, sizeof from);
	to[0] += to[1] ^ k->to.port;
	from[0] += from[1];
	/* Knuth, TAOCP 3, 6.4; the other is 2^64 / (sqrt(2) + 1) */
	return &l->quick[(to[0] * UINT64_C(0x9e3779b97f4a7c15) ^ from[0] * UINT64_C(0x6a09e667f3bcc909)) >> (64 - QUICK_BITS)];
}

void *lru_find(struct lru *l, const struct lru_key *k)
{
	struct lru_entry **quick = quick_of(l, k), *e = *quick;

	if (e == NULL || !lru_is(e, k))
		for (e = *bucket_of(l, k); e != NULL && !lru_is(e, k); e = e->in_bucket)
			;
	if (e != NULL) {
		e->used = true;
		*quick = e;
	}
	return e;
}

static void list_append(struct lru *l, struct lru_entry *e, uint8_t list)
{
	e->list = list;
	e->older = l->newest[list];
	e->newer = NULL;
	if (e->older != NULL)
		e->older->newer = e;
	else
		l->oldest[list] = e;
	l->newest[list] = e;
}

static void list_remove(struct lru *l, struct lru_entry *e)
{
	if (e->older != NULL)
		e->older->newer = e->newer;
	else
		l->oldest[e->list] = e->newer;
	if (e->newer != NULL)
		e->newer->older = e->older;
	else
		l->newest[e->list] = e->older;
}

/* Its memory stays. */
static void forget(struct lru *l, struct lru_entry *e)
{
	struct lru_entry **at = bucket_of(l, &e->key);

	if (l->forget != NULL)
		l->forget(l->ctx, e);
	while (*at != e)
		at = &(*at)->in_bucket;
	*at = e->in_bucket;
	list_remove(l, e);
	l->count--;
}

/* The oldest that was not used since we last passed it; cold ones first. */
static struct lru_entry *make_room(struct lru *l)
{
	uint8_t list = l->oldest[LRU_COLD] != NULL ? LRU_COLD : LRU_WARM;
	struct lru_entry *e = l->oldest[list];

	for (uint32_t i = 0; i < l->count && e->used; i++) {
		e->used = false;
		list_remove(l, e);
		list_append(l, e, list);
		e = l->oldest[list];
	}
	forget(l, e);
	return e;
}

void *lru_add(struct lru *l, const struct lru_key *k, enum lru_list list)
{
	struct lru_entry *e = l->count >= l->max ? memset(make_room(l), 0, l->entry_size) : calloc(1, l->entry_size);
	struct lru_entry **at;

	if (e == NULL)
		return NULL;
	e->key = *k;
	e->number = l->numbers++;
	at = bucket_of(l, k);
	e->in_bucket = *at;
	*at = e;
	list_append(l, e, (uint8_t)list);
	l->count++;
	return e;
}

void lru_warm(struct lru *l, void *entry)
{
	struct lru_entry *e = entry;

	if (e->list == LRU_WARM)
		return;
	list_remove(l, e);
	list_append(l, e, LRU_WARM);
}

uint32_t lru_count(const struct lru *l)
{
	return l->count;
}

void *lru_next(const struct lru *l, const void *entry)
{
	const struct lru_entry *e = entry;

	if (e == NULL)
		return l->oldest[LRU_WARM] != NULL ? l->oldest[LRU_WARM] : l->oldest[LRU_COLD];
	if (e->newer != NULL || e->list == LRU_COLD)
		return e->newer;
	return l->oldest[LRU_COLD];
}

void lru_free(struct lru *l)
{
	struct lru_entry *e;

	if (l == NULL)
		return;
	while ((e = lru_next(l, NULL)) != NULL) {
		forget(l, e);
		free(e);
	}
	free(l->buckets);
	free(l);
}
