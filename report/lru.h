/* lru.h - a bounded table of endpoints: what was used least recently makes room
 *
 * Entries lie where they were made until they are forgotten, so pointers to them are good until the
 * next lru_add(). One that was forgotten is the next one to be added: an old pointer still points to an
 * entry, and its key says whether it is the one that is meant (lru_is()). Entries that strangers can cause at no cost (a refused port) are added cold: they
 * go first. Which entry goes never depends on the hash key, so reports do not either.
 *
 *     struct lru *t = lru_new(sizeof(struct server), 4096, forget);
 *     s = lru_find(t, &endpoint);
 *     if (s == NULL) s = lru_add(t, &endpoint, LRU_WARM);          NULL: no memory
 */
#ifndef WHY502_LRU_H
#define WHY502_LRU_H

#include "../decode/fact.h"

struct lru;

enum lru_list { LRU_COLD, LRU_WARM };

struct lru_key {
	struct endpoint to;
	uint8_t from[16];
}; /* from: all zero where one endpoint is the key */

struct lru_entry { /* first member of every entry */
	struct lru_key key;
	struct lru_entry *in_bucket; /* next */
	struct lru_entry *newer, *older;
	uint32_t number; /* in order of adding */
	uint8_t list;
	bool used; /* since it was looked at for forgetting: it gets another round */
};

/* forget: called before an entry is used for another key, to free what it holds; may be NULL. */
struct lru *lru_new(size_t entry_size, uint32_t max, void (*forget)(void *ctx, struct lru_entry *e),
		    void *ctx);
void lru_free(struct lru *l);

struct lru_key lru_key(const struct endpoint *e);
struct lru_key lru_key_from(const uint8_t from[static 16], const struct endpoint *to);
struct lru_key lru_key_address(const uint8_t address[static 16]);

void *lru_find(struct lru *l, const struct lru_key *k); /* marks it as used */
void *lru_add(struct lru *l, const struct lru_key *k,
	      enum lru_list list);         /* zeroed; not there before */
void lru_warm(struct lru *l, void *entry); /* a cold one has shown itself to be real */
static inline bool lru_is(const struct lru_entry *e, const struct lru_key *k) /* e may have been forgotten */
{
	return memcmp(&e->key, k, sizeof *k) == 0;
}
uint32_t lru_count(const struct lru *l);
/* All entries, warm ones first, oldest first. NULL: the first; NULL returned: no more. */
void *lru_next(const struct lru *l, const void *entry);

#endif
