/* arena.c - memory that ends together, with a limit */
#include "arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define WHY502_ARENA_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WHY502_ARENA_MALLOC 1
#endif
#endif

enum { ALIGNMENT = 16, BLOCK_FIRST = 1024, BLOCK_LARGEST = 64 << 10 };

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(ALIGNMENT) uint8_t bytes[];
};

void arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){ .limit = limit };
}

static struct arena_block *block_new(struct arena *a, size_t size)
{
	struct arena_block *b;

	if (size > SIZE_MAX - sizeof *b)
		return NULL;
	b = calloc(1, sizeof *b + size);
	if (b == NULL)
		return NULL;
	b->size = size;
	b->next = a->blocks;
	a->blocks = b;
	return b;
}

/* The newest block if it has room for size bytes, else a new one, each twice the one before. */
static struct arena_block *block_with_room(struct arena *a, size_t size)
{
	struct arena_block *b = a->blocks;
	size_t next = BLOCK_FIRST;

#ifndef WHY502_ARENA_MALLOC
	if (b != NULL && b->size - b->used >= size)
		return b;
	if (b != NULL && b->size >= BLOCK_FIRST)
		next = b->size < BLOCK_LARGEST / 2 ? b->size * 2 : BLOCK_LARGEST;
#else
	(void)b;
	next = 0;
#endif
	return block_new(a, size > next ? size : next);
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b;
	void *p;

	if (a->used > a->limit || size > a->limit - a->used)
		return NULL;
	size = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (size == 0 || size > a->limit - a->used)     /* 0: it wrapped */
		return NULL;
	b = block_with_room(a, size);
	if (b == NULL)
		return NULL;
	p = b->bytes + b->used;
	b->used += size;
	a->used += size;
	return p;
}

struct span arena_copy(struct arena *a, struct span s)
{
	uint8_t *p;

	if (s.len == 0)
		return span_none();
	p = arena_alloc(a, s.len);
	if (p == NULL)
		return span_none();
	memcpy(p, s.at, s.len);
	return span_of(p, s.len);
}

/* A text of n bytes and its end; NULL where there is no room. */
static char *text_room(struct arena *a, int n)
{
	return n > 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
}

char *arena_text(struct arena *a, const char *format, ...)
{
	static char nothing[1];         /* stays "": there is no byte in it to write to */
	va_list ap;
	char *text;
	int n;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	text = text_room(a, n);
	if (text == NULL)
		return nothing;
	va_start(ap, format);
	(void)vsnprintf(text, (size_t)n + 1, format, ap);
	va_end(ap);
	return text;
}

bool arena_holds(const struct arena *a, const void *p)
{
	for (const struct arena_block *b = a->blocks; b != NULL; b = b->next)
		if ((uintptr_t)p >= (uintptr_t)b->bytes && (uintptr_t)p < (uintptr_t)b->bytes + b->used)
			return true;
	return false;
}

void arena_clear(struct arena *a)
{
	struct arena_block *b = a->blocks, *next;

	for (; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	a->blocks = NULL;
	a->used = 0;
}
