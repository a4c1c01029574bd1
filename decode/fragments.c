/* fragments.c - a keyed table of datagrams in pieces, oldest first in a list
 *
 * A datagram keeps its pieces last come first, so that writing them into the whole in that order leaves of
 * bytes sent twice the first copy; and the ranges that they cover, merged, so that one range from 0 to the
 * end means whole. Ranges are found from the last one backward: fragments come in order nearly always.
 */
#include "fragments.h"

#include "../capture/hash.h"
#include "../capture/limits.h"
#include "../capture/packet.h"

#include <stdlib.h>

enum { N_BUCKETS = 4096, DATAGRAM_MAX = 65535, FIRST_RANGES = 4 };

struct piece {
	struct piece *next;     /* that came before it */
	uint32_t offset, wire_len;
	uint32_t captured;
	uint8_t  bytes[];
};

struct range { uint32_t from, to; };

struct datagram_pieces {
	struct datagram_pieces *chain;          /* in its bucket */
	struct datagram_pieces *older, *newer;
	uint8_t  key[40];
	int64_t  since_ns;
	struct piece *pieces;
	struct range *ranges;                   /* apart, ascending */
	unsigned n_ranges, room_ranges, n_pieces;
	uint32_t total;                         /* 0 until the last fragment came */
	uint8_t  protocol;
	bool     cut;                           /* a piece lacks bytes */
	bool     dead;                          /* given up: what else comes of it is left out */
};

struct fragments {
	struct hash_key key;
	struct datagram_pieces *buckets[N_BUCKETS];
	struct datagram_pieces *oldest, *newest;
	unsigned n;
	size_t   bytes;                         /* of all pieces */
	int64_t  now_ns;
	uint64_t dropped;
	uint8_t  whole[DATAGRAM_MAX];
};

struct fragments *fragments_new(void)
{
	struct fragments *f = calloc(1, sizeof *f);

	if (f != NULL)
		f->key = hash_key_random();
	return f;
}

uint64_t fragments_dropped(const struct fragments *f)
{
	return f->dropped;
}

/* ---- the table ---------------------------------------------------------------------------- */

/* RFC 791 3.2: source, destination, protocol, identification; RFC 8200 4.5 the same without protocol. */
static void key_of(const struct fragment *piece, uint8_t key[static 40])
{
	memcpy(key, piece->src, 16);
	memcpy(key + 16, piece->dst, 16);
	memcpy(key + 32, &piece->id, 4);
	key[36] = piece->v6 ? 0 : piece->protocol;
	key[37] = piece->v6;
	key[38] = key[39] = 0;
}

static struct datagram_pieces **bucket(struct fragments *f, const uint8_t key[static 40])
{
	return &f->buckets[hash_bytes(&f->key, span_of(key, 40)) % N_BUCKETS];
}

static void free_pieces(struct fragments *f, struct datagram_pieces *d)
{
	while (d->pieces != NULL) {
		struct piece *p = d->pieces;

		d->pieces = p->next;
		f->bytes -= sizeof *p + p->captured;
		free(p);
	}
	free(d->ranges);
	d->ranges = NULL;
	d->n_ranges = d->room_ranges = d->n_pieces = 0;
}

static void remove_datagram(struct fragments *f, struct datagram_pieces *d)
{
	struct datagram_pieces **at = bucket(f, d->key);

	while (*at != d)
		at = &(*at)->chain;
	*at = d->chain;
	*(d->older != NULL ? &d->older->newer : &f->oldest) = d->newer;
	*(d->newer != NULL ? &d->newer->older : &f->newest) = d->older;
	free_pieces(f, d);
	free(d);
	f->n--;
}

void fragments_free(struct fragments *f)
{
	if (f == NULL)
		return;
	while (f->oldest != NULL)
		remove_datagram(f, f->oldest);
	free(f);
}

static void drop(struct fragments *f, struct datagram_pieces *d)
{
	f->dropped += !d->dead;
	remove_datagram(f, d);
}

/* Its pieces go, the entry stays, so that the rest of it begins no datagram of its own. */
static void give_up(struct fragments *f, struct datagram_pieces *d)
{
	free_pieces(f, d);
	d->dead = true;
	f->dropped++;
}

static void expire(struct fragments *f, int64_t now_ns)
{
	if (now_ns > f->now_ns)
		f->now_ns = now_ns;
	while (f->oldest != NULL && f->now_ns - f->oldest->since_ns > LIMIT_FRAGMENT_SECONDS * NS_PER_S)
		drop(f, f->oldest);
}

static struct datagram_pieces *find_or_add(struct fragments *f, const struct fragment *piece)
{
	uint8_t key[40];
	struct datagram_pieces *d, **head;

	key_of(piece, key);
	head = bucket(f, key);
	for (d = *head; d != NULL; d = d->chain)
		if (memcmp(d->key, key, sizeof key) == 0)
			return d;
	if (f->n >= LIMIT_FRAGMENT_DATAGRAMS)
		drop(f, f->oldest);
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return NULL;
	memcpy(d->key, key, sizeof key);
	d->since_ns = f->now_ns;
	d->protocol = piece->protocol;
	d->chain = *head;
	*head = d;
	d->older = f->newest;
	*(f->newest != NULL ? &f->newest->newer : &f->oldest) = d;
	f->newest = d;
	f->n++;
	return d;
}

/* ---- ranges ------------------------------------------------------------------------------- */

/* Index of the first range that ends at or behind `from`. */
static unsigned range_at(const struct datagram_pieces *d, uint32_t from)
{
	unsigned i = d->n_ranges;

	while (i > 0 && d->ranges[i - 1].to >= from)
		i--;
	return i;
}

enum cover { COVER_NEW, COVER_PART, COVER_ALL };

/* How much of from..to is here already? */
static enum cover covered(const struct datagram_pieces *d, uint32_t from, uint32_t to)
{
	for (unsigned i = range_at(d, from + 1); i < d->n_ranges && d->ranges[i].from < to; i++)
		return d->ranges[i].from <= from && d->ranges[i].to >= to ? COVER_ALL : COVER_PART;
	return COVER_NEW;
}

static bool make_room(struct datagram_pieces *d)
{
	unsigned room = d->room_ranges == 0 ? FIRST_RANGES : d->room_ranges * 2;
	struct range *ranges;

	if (d->n_ranges < d->room_ranges)
		return true;
	ranges = realloc(d->ranges, room * sizeof *ranges);
	if (ranges == NULL)
		return false;
	d->ranges = ranges;
	d->room_ranges = room;
	return true;
}

/* Merges from..to with the ranges that it touches. */
static bool add_range(struct datagram_pieces *d, uint32_t from, uint32_t to)
{
	unsigned i = range_at(d, from), j = i;

	if (!make_room(d))
		return false;
	for (; j < d->n_ranges && d->ranges[j].from <= to; j++) {
		from = d->ranges[j].from < from ? d->ranges[j].from : from;
		to = d->ranges[j].to > to ? d->ranges[j].to : to;
	}
	if (j != i + 1)
		memmove(&d->ranges[i + 1], &d->ranges[j], (d->n_ranges - j) * sizeof *d->ranges);
	d->n_ranges = d->n_ranges - (j - i) + 1;
	d->ranges[i] = (struct range){ from, to };
	return true;
}

/* ---- pieces ------------------------------------------------------------------------------- */

static bool is_copy(const struct datagram_pieces *d, const struct fragment *piece)
{
	for (const struct piece *p = d->pieces; p != NULL; p = p->next)
		if (p->offset == piece->offset && p->wire_len == piece->wire_len &&
		    span_equal(span_of(p->bytes, p->captured), piece->bytes))
			return true;
	return false;
}

/* Could any sender have made it: units of eight but for the last, within 64 KiB, and one end? */
static bool fits(const struct datagram_pieces *d, const struct fragment *piece)
{
	uint32_t end = piece->offset + piece->wire_len;

	if (d->total != 0 && (end > d->total || (!piece->more && end != d->total)))
		return false;
	return piece->more || d->n_ranges == 0 || d->ranges[d->n_ranges - 1].to <= end;
}

static bool keep(struct fragments *f, struct datagram_pieces *d, const struct fragment *piece)
{
	struct piece *p = malloc(sizeof *p + piece->bytes.len);

	if (p == NULL || !add_range(d, piece->offset, piece->offset + piece->wire_len)) {
		free(p);
		return false;
	}
	p->next = d->pieces;
	p->offset = piece->offset;
	p->wire_len = piece->wire_len;
	p->captured = (uint32_t)piece->bytes.len;
	memcpy(p->bytes, piece->bytes.at, piece->bytes.len);
	d->pieces = p;
	d->n_pieces++;
	d->cut |= p->captured < p->wire_len;
	f->bytes += sizeof *p + p->captured;
	if (piece->offset == 0)
		d->protocol = piece->protocol;
	if (!piece->more)
		d->total = piece->offset + piece->wire_len;
	return true;
}

/* Bytes captured without a hole from the first on. At most LIMIT_FRAGMENT_PIECES turns of as many. */
static uint32_t captured_prefix(const struct datagram_pieces *d)
{
	uint32_t prefix = 0, before;

	do {
		before = prefix;
		for (const struct piece *p = d->pieces; p != NULL; p = p->next)
			if (p->offset <= prefix && p->offset + p->captured > prefix)
				prefix = p->offset + p->captured;
	} while (prefix != before);
	return prefix;
}

static void assemble(struct fragments *f, struct datagram_pieces *d, struct defragmented *whole)
{
	for (const struct piece *p = d->pieces; p != NULL; p = p->next)
		memcpy(f->whole + p->offset, p->bytes, p->captured);
	whole->bytes = span_of(f->whole, d->cut ? captured_prefix(d) : d->total);
	whole->wire_len = d->total;
	whole->protocol = d->protocol;
	remove_datagram(f, d);
}

/* Drops the oldest other datagrams until a piece has room. */
static void make_way(struct fragments *f, const struct datagram_pieces *d, size_t bytes)
{
	struct datagram_pieces *oldest = f->oldest, *newer;

	for (; oldest != NULL && f->bytes + bytes > LIMIT_FRAGMENT_BYTES; oldest = newer) {
		newer = oldest->newer;
		if (oldest != d)
			drop(f, oldest);
	}
}

enum fragment_result fragments_add(struct fragments *f, const struct fragment *piece, struct defragmented *whole)
{
	uint32_t end = piece->offset + piece->wire_len;
	struct datagram_pieces *d;
	enum cover cover;

	if (piece->wire_len == 0 || (piece->more && piece->wire_len % 8 != 0) || piece->wire_len > DATAGRAM_MAX ||
	    end > DATAGRAM_MAX || piece->bytes.len > piece->wire_len)
		return FRAGMENT_BAD;
	expire(f, piece->time_ns);
	d = find_or_add(f, piece);
	if (d == NULL || d->dead)
		return FRAGMENT_KEPT;
	cover = covered(d, piece->offset, end);
	if (piece->v6 && (cover != COVER_NEW || !fits(d, piece))) {
		if (!is_copy(d, piece))
			give_up(f, d);
		return FRAGMENT_KEPT;
	}
	if (!fits(d, piece))
		return FRAGMENT_BAD;
	if (cover == COVER_ALL && piece->more)          /* the first copy counts */
		return FRAGMENT_KEPT;
	make_way(f, d, sizeof (struct piece) + piece->bytes.len);
	if (d->n_pieces >= LIMIT_FRAGMENT_PIECES || !keep(f, d, piece)) {
		give_up(f, d);
		return FRAGMENT_KEPT;
	}
	if (d->total == 0 || d->n_ranges != 1 || d->ranges[0].from != 0 || d->ranges[0].to != d->total)
		return FRAGMENT_KEPT;
	assemble(f, d, whole);
	return FRAGMENT_WHOLE;
}
