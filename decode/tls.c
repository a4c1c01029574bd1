/* tls.c - TLS records over the byte stream. RFC 8446, RFC 5246 */
#include "exchange.h"

static void *tls_begin(struct conn *c, bool late)
{
	(void)late;
	return c;
}

static uint64_t tls_bytes(void *self, enum side from, const struct piece *p)
{
	(void)self;
	(void)from;
	(void)p;
	return 0;
}

static void tls_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	(void)self;
	(void)from;
	(void)missing;
	(void)why;
	(void)at;
}

static void tls_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	(void)self;
	(void)from;
	(void)how;
	(void)offset;
	(void)at;
}

static void tls_free(void *self)
{
	(void)self;
}

const struct protocol tls_protocol = {
	.name = "tls", .speaks = SPEAKS_TLS, .begin = tls_begin, .bytes = tls_bytes, .gap = tls_gap, .end = tls_end, .free = tls_free,
};
