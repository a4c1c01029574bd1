/* half.c - SYNs, and the SYN-ACKs that nobody has acknowledged: see half.h */
#include "decoder.h"

#include "../capture/limits.h"

/* ---- addresses met ------------------------------------------------------------------------ */

static uint64_t *met_set(struct decoder *d, const struct endpoint *e, uint64_t *address)
{
	*address = hash_bytes(&d->met.key, span_of(e->address, sizeof e->address)) | 1;
	return d->met.address[*address >> 32 & (MET_SETS - 1)];
}

static bool met_has(struct decoder *d, const struct endpoint *e)
{
	uint64_t address, *set = met_set(d, e, &address);

	for (unsigned i = 0; i < MET_WAYS; i++)
		if (set[i] == address)
			return true;
	return false;
}

static void met_add(struct decoder *d, const struct endpoint *e)
{
	uint64_t address, *set = met_set(d, e, &address);
	unsigned i = 0;

	while (i < MET_WAYS - 1 && set[i] != address)
		i++;
	for (; i > 0; i--)                      /* the latest first */
		set[i] = set[i - 1];
	set[0] = address;
}

void decoder_met(struct decoder *d, const struct conn *c)
{
	met_add(d, &c->tuple.end[CLIENT]);
	met_add(d, &c->tuple.end[SERVER]);
}

/* ---- in their lists ------------------------------------------------------------------------ */

static struct half *half_at(struct decoder *d, uint32_t index)
{
	return slab_at(&d->half_slab, index);
}

struct half *half_find(struct decoder *d, const struct tuple *t, uint64_t hash)
{
	size_t at = 0;
	uint32_t index;

	while ((index = table_find(&d->halves, hash, &at)) != NO_INDEX) {
		struct half *h = half_at(d, index);

		if (endpoint_equal(&h->tuple.end[0], &t->end[0]) && endpoint_equal(&h->tuple.end[1], &t->end[1]))
			return h;
	}
	return NULL;
}

void half_tell(struct decoder *d, const struct half *h, bool final)
{
	struct syn_fact *f = (struct syn_fact *)(void *)decoder_fact(d, FACT_SYN, sizeof *f, NULL);

	if (f == NULL)
		return;
	f->head.conn = f->head.id = h->id;
	f->head.tap = h->tap;
	f->end[CLIENT] = h->tuple.end[h->from];
	f->end[SERVER] = h->tuple.end[!h->from];
	f->first = h->first;
	f->last = h->last;
	f->syns = h->syns;
	f->ttl = h->ttl;
	f->isn = h->isn;
	f->final = final;
	f->icmp = h->icmp;
}

static void half_append(struct decoder *d, struct half *h)
{
	enum half_list l = h->stranger ? HALF_STRANGER : HALF_KNOWN;

	h->older = d->half_lists.newest[l];
	h->newer = NO_INDEX;
	if (h->older != NO_INDEX)
		half_at(d, h->older)->newer = h->index;
	else
		d->half_lists.oldest[l] = h->index;
	d->half_lists.newest[l] = h->index;
}

static void half_unlink(struct decoder *d, const struct half *h)
{
	enum half_list l = h->stranger ? HALF_STRANGER : HALF_KNOWN;

	if (h->older != NO_INDEX)
		half_at(d, h->older)->newer = h->newer;
	else
		d->half_lists.oldest[l] = h->newer;
	if (h->newer != NO_INDEX)
		half_at(d, h->newer)->older = h->older;
	else
		d->half_lists.newest[l] = h->older;
}

void half_drop(struct decoder *d, struct half *h)
{
	half_unlink(d, h);
	table_remove(&d->halves, h->hash_low, h->index);
	h->used = false;
	h->generation++;
	slab_give(&d->half_slab, h->index);
}

void half_forget(struct decoder *d, struct half *h)
{
	decoder_id_give(d, h->id);
	half_drop(d, h);
}

/* Room for one more. Strangers' are what floods are made of: nobody is told of those that go. */
static void half_make_room(struct decoder *d)
{
	uint32_t oldest = d->half_lists.oldest[HALF_STRANGER];

	if (d->halves.n < d->halves_max)
		return;
	if (oldest == NO_INDEX) {
		oldest = d->half_lists.oldest[HALF_KNOWN];
		half_tell(d, half_at(d, oldest), true);
	}
	half_forget(d, half_at(d, oldest));
	decoder_limit(d, "connections_evicted");
	d->counters.evicted++;
}

struct half *half_syn(struct decoder *d, const struct segment *s)
{
	struct tcp_options o;
	uint32_t index;
	struct half *h;

	half_make_room(d);
	h = slab_take(&d->half_slab, &index);
	if (h == NULL || !table_add(&d->halves, s->hash, index)) {
		decoder_limit(d, LIMIT_NAME_MEMORY);
		if (h != NULL)
			slab_give(&d->half_slab, index);
		return NULL;
	}
	segment_options(s->options, &o);
	*h = (struct half){ .tuple = s->tuple, .first = s->at, .last = s->at, .isn = s->seq, .syns = 1, .window = s->window,
	                    .mss = o.mss, .from = s->from, .ttl = s->ttl, .window_scale = o.window_scale, .tap = s->tap,
	                    .sack = o.sack_permitted, .timestamps = o.timestamps, .ip_id = s->ip_id,
	                    .hash_low = (uint32_t)s->hash, .index = index, .generation = h->generation, .used = true };
	h->stranger = !met_has(d, &s->tuple.end[s->from]);
	half_append(d, h);
	h->id = decoder_id_of(d, s);
	if (d->halves.n < d->halves_max / 4)
		decoder_arm(d, TIMER_SYN, h, h->generation);
	return h;
}

static bool seen_twice(const struct segment *s, uint16_t tap, uint16_t ip_id, uint8_t ttl, int64_t then_ns)
{
	int64_t apart = s->at.time_ns - then_ns;

	return ((s->tap != tap || s->ttl != ttl) && apart < 5 * NS_PER_MS) || (s->ip_id == ip_id && s->ip_id != 0 && apart < NS_PER_MS);
}

/* The SYN again: the same packet seen twice is no resend. */
void half_again(struct decoder *d, struct half *h, const struct segment *s)
{
	if (seen_twice(s, h->tap, h->ip_id, h->ttl, h->last.time_ns)) {
		h->copies = true;
		return;
	}
	h->syns++;
	h->last = s->at;
	h->ip_id = s->ip_id;
	half_tell(d, h, false);
}

/* A SYN-ACK for it. Anybody can make one come: it is a connection once somebody acknowledges that. */
bool half_answer(struct half *h, const struct segment *s)
{
	if (s->from == h->from || (s->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != (TCP_SYN | TCP_ACK) || s->ack != h->isn + 1 ||
	    s->wire_len != 0 || h->syns == 0 || s->options.len > SYN_ACK_OPTIONS || (h->answers != 0 && s->seq != h->answer_seq))
		return false;
	if (h->answers != 0) {
		if (seen_twice(s, h->answer_tap, h->answer_ip_id, h->answer_ttl, h->answered_last.time_ns)) {
			h->copies = true;
		} else {
			h->answers++;
			h->answered_last = s->at;
		}
		return true;
	}
	h->answers = 1;
	h->answered = h->answered_last = s->at;
	h->answer_seq = s->seq;
	h->answer_window = s->window;
	h->answer_ip_id = s->ip_id;
	h->answer_tap = s->tap;
	h->answer_ttl = s->ttl;
	h->answer_options_len = (uint8_t)s->options.len;
	if (s->options.len != 0)
		memcpy(h->answer_options, s->options.at, s->options.len);
	return true;
}

struct segment half_answer_again(const struct half *h)
{
	return (struct segment){ .at = h->answered, .tuple = h->tuple, .from = !h->from, .flags = TCP_SYN | TCP_ACK, .seq = h->answer_seq,
	                         .ack = h->isn + 1, .window = h->answer_window, .ip_id = h->answer_ip_id, .tap = h->answer_tap,
	                         .ttl = h->answer_ttl, .options = span_of(h->answer_options, h->answer_options_len) };
}

struct half *half_oldest(struct decoder *d)
{
	struct half *oldest = NULL;

	for (unsigned l = 0; l < HALF_LISTS; l++)
		if (d->half_lists.oldest[l] != NO_INDEX) {
			struct half *h = half_at(d, d->half_lists.oldest[l]);

			if (oldest == NULL || h->first.packet < oldest->first.packet)
				oldest = h;
		}
	return oldest;
}

/* Not told of in a flood, where nobody waits for the answer. */
void half_waited(struct decoder *d, const struct half *h, uint32_t generation)
{
	if (h->used && h->generation == generation && h->syns == 1 && h->answers == 0 && d->halves.n < d->halves_max / 4)
		half_tell(d, h, false);
}
