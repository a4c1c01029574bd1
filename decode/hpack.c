/* hpack.c - see hpack.h */
#include "hpack.h"

#include "../capture/limits.h"

enum {
	ENTRY_BYTES   = 33,             /* one `?`: a byte of name and 32 of overhead. RFC 7541 4.1 */
	KEPT_MAX      = 16384,
	LARGE_MAX     = 64,             /* each costs 1,985 insertions, so a sender may cause only so many ... */
	LARGE_AGAIN   = 1024            /* ... and one more for so many bytes decoded */
};

/* ---- memory, charged to the decoder -------------------------------------------------------- */

struct prefix { _Alignas(16) size_t size; };    /* conn_release() wants to know it */

static void *take(size_t size, void *conn)
{
	struct prefix *p;

	if (size > SIZE_MAX - sizeof *p)
		return NULL;
	p = conn_alloc(conn, size + sizeof *p);
	if (p == NULL)
		return NULL;
	p->size = size + sizeof *p;
	return p + 1;
}

static void give(void *at, void *conn)
{
	struct prefix *p = at;

	if (p != NULL)
		conn_release(conn, p - 1, p[-1].size);
}

static void *take_zeroed(size_t n, size_t size, void *conn)
{
	size_t all;
	void *p;

	if (__builtin_mul_overflow(n, size, &all))
		return NULL;
	p = take(all, conn);
	if (p != NULL)
		memset(p, 0, all);
	return p;
}

static void *retake(void *at, size_t size, void *conn)
{
	struct prefix *p = at;
	void *larger = take(size, conn);
	size_t old;

	if (p == NULL || larger == NULL)
		return larger;
	old = p[-1].size - sizeof *p;
	memcpy(larger, at, old < size ? old : size);
	give(at, conn);
	return larger;
}

/* ---- the table ------------------------------------------------------------------------------ */

void hpack_init(struct hpack *h, struct conn *c, bool late)
{
	*h = (struct hpack){ .conn = c, .allowed = UINT32_MAX, .stale = late };
	h->memory = (nghttp2_mem){ c, take, give, take_zeroed, retake };
}

static void drop_kept(struct hpack *h)
{
	if (h->kept != NULL)
		conn_release(h->conn, h->kept, h->kept_size);
	h->kept = NULL;
	h->n_kept = h->kept_size = 0;
}

static void drop_inflater(struct hpack *h)
{
	if (h->inflater != NULL)
		nghttp2_hd_inflate_del(h->inflater);
	h->inflater = NULL;
}

void hpack_clear(struct hpack *h)
{
	drop_inflater(h);
	drop_kept(h);
}

void hpack_close(struct hpack *h)
{
	hpack_clear(h);
	h->closed = true;
	h->in_block = false;
}

void hpack_lost(struct hpack *h)
{
	/* Only made-up entries so far: they are as good as new ones. */
	if (h->seeded != 0 && !h->used && !h->in_block)
		return;
	h->stale = true;
	h->in_block = false;
}

static ptrdiff_t inflate_one(struct hpack *h, nghttp2_nv *nv, int *flags, struct span in, bool last)
{
#ifdef HAVE_NGHTTP2_HD_INFLATE_HD3
	return nghttp2_hd_inflate_hd3(h->inflater, nv, flags, in.at, in.len, last);
#else
	return nghttp2_hd_inflate_hd2(h->inflater, nv, flags, in.at, in.len, last);
#endif
}

/* Feeds bytes of ours: their fields are of no interest. */
static bool feed(struct hpack *h, struct span in, bool last)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ptrdiff_t n = inflate_one(h, &nv, &flags, in, last);

		if (n < 0)
			return false;
		in = span_from(in, (size_t)n);
		if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0)
			return nghttp2_hd_inflate_end_headers(h->inflater) == 0;
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && in.len == 0)
			return true;
	}
}

/* "Dynamic table size update" to `size`. RFC 7541 6.3 and 5.1. */
static size_t size_update(uint8_t out[static 8], uint32_t size)
{
	size_t n = 0;

	out[n++] = 0x20 | 31;           /* sizes here are above 30 */
	for (size -= 31; size >= 128; size >>= 7)
		out[n++] = (uint8_t)(0x80 | (size & 0x7f));
	out[n++] = (uint8_t)size;
	return n;
}

/* Fills the table, `size` bytes of it, with entries named `?`. RFC 7541 6.2.1 */
static bool seed(struct hpack *h, uint32_t size)
{
	uint8_t block[256];
	size_t n = size_update(block, size);

	block[n++] = 0x40;              /* literal with incremental indexing, new name */
	block[n++] = 1;
	block[n++] = '?';
	block[n++] = 0;
	if (!feed(h, span_of(block, n), false))
		return false;
	for (size_t i = 0; i < sizeof block; i += 2) {
		block[i] = 0x40 | 62;   /* the same with the newest entry's name, which is shared */
		block[i + 1] = 0;
	}
	for (size_t left = size / ENTRY_BYTES - 1; left != 0; left -= n) {
		n = left < sizeof block / 2 ? left : sizeof block / 2;
		if (!feed(h, span_of(block, 2 * n), false))
			return false;
	}
	h->seeded = size;
	h->used = false;
	return feed(h, span_none(), true);
}

/* A new inflater: empty where size is 0, else seeded. */
static bool make(struct hpack *h, uint32_t size)
{
	drop_inflater(h);
	h->seeded = 0;
	h->stale = false;
	if (nghttp2_hd_inflate_new2(&h->inflater, &h->memory) != 0)
		return false;
	/* The true limit is in the other side's SETTINGS, which may take effect at any time, or be missing. */
	return nghttp2_hd_inflate_change_table_size(h->inflater, LIMIT_HPACK_TABLE) == 0 &&
	       (size == 0 || seed(h, size));
}

/* ---- a block -------------------------------------------------------------------------------- */

static bool is_made_up(const nghttp2_nv *nv)
{
	return nv->namelen == 1 && nv->name[0] == '?';
}

/* Decodes `in`; the first `skip` fields were handed on already. */
static enum hpack_result inflate(struct hpack *h, struct span in, bool last, uint32_t skip, hpack_field *field, void *ctx)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ptrdiff_t n = inflate_one(h, &nv, &flags, in, last);

		if (n == NGHTTP2_ERR_NOMEM)
			return HPACK_CLOSED;
		if (n < 0)
			return HPACK_BAD;
		in = span_from(in, (size_t)n);
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
			h->decoded += (uint32_t)(nv.namelen + nv.valuelen);
			h->used = true;
			if (h->decoded > LIMIT_HEADER_BLOCK)
				return HPACK_TOO_LONG;
			if (h->fields++ >= skip)
				field(ctx, span_of(nv.name, nv.namelen), span_of(nv.value, nv.valuelen),
				      h->seeded != 0 && is_made_up(&nv));
			continue;
		}
		if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
			nghttp2_hd_inflate_end_headers(h->inflater);
			return HPACK_OK;
		}
		if (in.len == 0)
			return HPACK_OK;
	}
}

/* Behind a small made-up table the block is kept until it has ended well. */
static void keep(struct hpack *h, struct span fragment)
{
	uint32_t want = h->n_kept + (uint32_t)(fragment.len < KEPT_MAX ? fragment.len : KEPT_MAX + 1);
	uint8_t *larger;

	if (want > KEPT_MAX)
		h->keeping = false;
	if (!h->keeping || fragment.len == 0)
		return;
	if (want > h->kept_size) {
		uint32_t size = want < 512 ? 512 : want < KEPT_MAX / 2 ? want * 2 : KEPT_MAX;

		larger = conn_grow(h->conn, h->kept, h->kept_size, size);
		if (larger == NULL) {
			h->keeping = false;
			return;
		}
		h->kept = larger;
		h->kept_size = size;
	}
	memcpy(h->kept + h->n_kept, fragment.at, fragment.len);
	h->n_kept = want;
}

static bool begin_block(struct hpack *h)
{
	h->decoded = h->fields = h->n_kept = 0;
	h->has_first = false;
	if (h->inflater == NULL || h->stale)
		if (!make(h, h->stale ? HPACK_TABLE_DEFAULT : 0))
			return false;
	h->in_block = true;
	h->keeping = h->seeded == HPACK_TABLE_DEFAULT;
	return true;
}

/* An index beyond the small made-up table: its sender's is larger. Once more behind the largest. */
static enum hpack_result decode_again(struct hpack *h, bool last, hpack_field *field, void *ctx)
{
	uint32_t seen = h->fields;

	if (h->large >= LARGE_MAX)
		return HPACK_BAD;
	h->large++;
	if (!make(h, LIMIT_HPACK_TABLE))
		return HPACK_CLOSED;
	h->decoded = h->fields = 0;
	return inflate(h, span_of(h->kept, h->n_kept), last, seen, field, ctx);
}

/* A block that began with a size update and failed at once: the size was above ours, and may be allowed. */
static bool is_large_table(const struct hpack *h)
{
	return h->allowed > LIMIT_HPACK_TABLE && h->fields == 0 && h->has_first && (h->first & 0xe0) == 0x20;
}

static enum hpack_result failed(struct hpack *h, enum hpack_result r)
{
	if (r == HPACK_BAD && is_large_table(h))
		r = HPACK_TABLE;
	/* Behind the largest table each index that may be used stands for something. */
	if (r == HPACK_BAD && h->seeded != 0 && !(h->sure && h->seeded == LIMIT_HPACK_TABLE)) {
		h->stale = true;        /* what was taken for a block may have been none */
		h->in_block = false;
		return HPACK_UNKNOWN;
	}
	hpack_close(h);
	return r;
}

static void credit(struct hpack *h)
{
	h->good += h->decoded;
	if (h->large != 0 && h->good >= LARGE_AGAIN) {
		h->large--;
		h->good = 0;
	}
}

enum hpack_result hpack_block(struct hpack *h, struct span fragment, bool last, hpack_field *field, void *ctx)
{
	enum hpack_result r;

	if (h->closed)
		return HPACK_CLOSED;
	if (!h->in_block && !begin_block(h)) {
		hpack_close(h);
		return HPACK_CLOSED;
	}
	if (!h->has_first && fragment.len != 0) {
		h->has_first = true;
		h->first = fragment.at[0];
	}
	keep(h, fragment);
	r = inflate(h, fragment, last, 0, field, ctx);
	if (r == HPACK_BAD && h->keeping)
		r = decode_again(h, last, field, ctx);
	if (r != HPACK_OK)
		return failed(h, r);
	if (last) {
		h->in_block = false;
		drop_kept(h);
		credit(h);
	}
	return HPACK_OK;
}
