/* store.c - facts that a verdict may still need, bounded */
#include "store.h"

#include <stdlib.h>

bool store_init(struct store *s)
{
	*s = (struct store){ 0 };
	s->briefs = calloc(BRIEFS_MAX, sizeof *s->briefs);
	return s->briefs != NULL;
}

void store_clear(struct store *s)
{
	for (int list = 0; list < LISTS; list++)
		while (s->lists[list].oldest != NULL)
			store_release(s, s->lists[list].oldest);
	free(s->briefs);
	s->briefs = NULL;
}

void store_brief(struct store *s, const struct brief_fact *f, uint64_t id)
{
	struct brief_slot *slot = &s->briefs[s->n_briefs++ & (BRIEFS_MAX - 1)];

	slot->id = id;
	memcpy(&slot->f, f, sizeof slot->f);
}

/* ---- what is known of a fact -------------------------------------------------------------- */

struct request_key key_of_brief(const struct brief_fact *f)
{
	struct request_key k = { .target = f->target_hash,
				 .path = f->path_hash,
				 .tail = f->tail_hash,
				 .authority = f->authority_hash,
				 .agent = f->agent_hash,
				 .pass = f->pass_hash,
				 .body = f->request_body,
				 .n_ids = f->n_ids,
				 .method = f->method,
				 .known = true };

	memcpy(k.ids, f->ids, sizeof k.ids);
	return k;
}

struct request_key key_of_exchange(const struct exchange_facts *x)
{
	struct request_key k = { .target = x->target_hash,
				 .path = x->path_hash,
				 .tail = x->tail_hash,
				 .authority = x->authority_hash,
				 .agent = x->agent_hash,
				 .pass = x->pass_hash,
				 .body = x->request.body_bytes,
				 .n_ids = x->n_ids,
				 .method = x->method,
				 .known = x->target_hash != 0 };

	memcpy(k.ids, x->ids, sizeof k.ids);
	return k;
}

static void strike(struct kept *k, struct mark at)
{
	if (at.packet == 0 || k->n_struck == STRUCK_MAX)
		return;
	k->struck_ns[k->n_struck++] = at.time_ns;
	if (at.time_ns > k->last.time_ns)
		k->last = at;
}

static void strike_conn(struct kept *k, const struct conn_facts *c)
{
	strike(k, c->closed);
	strike(k, c->side[SERVER].rst.at);
	strike(k, c->side[SERVER].fin);
	strike(k, c->side[CLIENT].rst.at);
	strike(k, c->side[CLIENT].fin);
	strike(k, c->icmp.at);
}

static void know_exchange(struct kept *k, const struct exchange_fact *f)
{
	memcpy(k->end, f->conn.end, sizeof k->end);
	k->key = key_of_exchange(&f->x);
	k->begin = f->x.request.first.packet != 0 ? f->x.request.first : f->x.response.first;
	k->last = k->begin;
	k->final = f->final;
	strike(k, f->x.response.first);
	strike(k, f->x.response.last);
	strike(k, f->h2.rst_stream[SERVER]);
	strike(k, f->h2.rst_stream[CLIENT]);
	if (f->x.outcome != OUTCOME_COMPLETE || f->x.response.violations != 0)
		strike_conn(k, &f->conn);
}

static void know_conn(struct kept *k, const struct conn_fact *f)
{
	const struct tls_facts *tls = fact_tls(f, &f->conn);

	memcpy(k->end, f->conn.end, sizeof k->end);
	/* Of requests inside TLS, without keys, the last is what the connection's end may explain. */
	k->begin = tls != NULL && tls->turns > 1 ? tls->turn_first[CLIENT] : f->conn.first;
	k->last = f->conn.first;
	k->final = f->final;
	strike_conn(k, &f->conn);
	strike(k, f->conn.last);
}

static void know_syn(struct kept *k, const struct syn_fact *f)
{
	memcpy(k->end, f->end, sizeof k->end);
	k->begin = f->first;
	k->last = f->last;
	k->final = f->final;
	strike(k, f->icmp.at);
}

static void know_arp(struct kept *k, const struct arp_fact *f)
{
	memcpy(k->end[CLIENT].address, f->asker, 16);
	memcpy(k->end[SERVER].address, f->target, 16);
	k->begin = k->last = f->head.at;
	k->final = true;
}

static void know_dns(struct kept *k, const struct dns_fact *f)
{
	k->end[CLIENT] = f->asker;
	k->end[SERVER] = f->server;
	k->begin = f->answer && f->question.packet != 0 ? f->question : f->head.at;
	k->last = f->head.at;
	k->final = true;
	if (f->answer)
		strike(k, f->head.at);
}

static void know_icmp(struct kept *k, const struct icmp_fact *f)
{
	k->end[CLIENT] = f->from;
	k->end[SERVER] = f->to;
	k->begin = k->last = f->head.at;
	k->final = true;
	strike(k, f->head.at);
}

static void know_brief(struct kept *k, const struct brief_fact *f)
{
	memcpy(k->end, f->end, sizeof k->end);
	k->key = key_of_brief(f);
	k->begin = f->request;
	k->last = f->response;
	k->final = true;
	strike(k, f->response_first);
	strike(k, f->response);
}

static void know(struct kept *k)
{
	const void *f = k->fact;

	k->n_struck = 0;
	switch (k->fact->kind) {
	case FACT_EXCHANGE:
		know_exchange(k, f);
		break;
	case FACT_CONN:
		know_conn(k, f);
		break;
	case FACT_SYN:
		know_syn(k, f);
		break;
	case FACT_ARP:
		know_arp(k, f);
		break;
	case FACT_DNS:
		know_dns(k, f);
		break;
	case FACT_ICMP:
		know_icmp(k, f);
		break;
	case FACT_BRIEF:
		know_brief(k, f);
		break;
	default:
		break;
	}
}

/* ---- lists -------------------------------------------------------------------------------- */

static struct kept **bucket_of(struct store *s, uint32_t conn)
{
	return &s->buckets[conn & 1023];
}

static void list_append(struct store *s, struct kept *k, int list)
{
	struct kept_list *l = &s->lists[list];

	k->list = (uint8_t)list;
	k->in_list = true;
	k->older = l->newest;
	if (l->newest != NULL)
		l->newest->newer = k;
	else
		l->oldest = k;
	l->newest = k;
	l->count++;
	l->bytes += k->fact->size;
	s->n_open += !k->final;
}

static void bucket_add(struct store *s, struct kept *k)
{
	struct kept **at = bucket_of(s, k->fact->conn);

	k->in_bucket = *at;
	k->bucket_at = at;
	if (*at != NULL)
		(*at)->bucket_at = &k->in_bucket;
	*at = k;
}

static void bucket_remove(struct kept *k)
{
	*k->bucket_at = k->in_bucket;
	if (k->in_bucket != NULL)
		k->in_bucket->bucket_at = k->bucket_at;
}

static void kept_free(struct kept *k)
{
	free(k->fact);
	free(k);
}

void store_release(struct store *s, struct kept *k)
{
	struct kept_list *l = &s->lists[k->list];

	if (!k->in_list)
		return;
	if (k->list != LIST_CONTROL)
		bucket_remove(k);
	if (k->older != NULL)
		k->older->newer = k->newer;
	else
		l->oldest = k->newer;
	if (k->newer != NULL)
		k->newer->older = k->older;
	else
		l->newest = k->older;
	k->older = k->newer = NULL;
	l->count--;
	l->bytes -= k->refs == 0 ? k->fact->size : 0;
	s->n_open -= !k->final;
	k->in_list = false;
	if (k->refs == 0)
		kept_free(k);
}

static size_t held_size(const struct kept *k)
{
	return sizeof *k + k->fact->size;
}

/* What an incident holds is the incident's memory, not the list's. */
void store_hold(struct store *s, struct kept *k)
{
	if (k->refs++ != 0)
		return;
	s->held_bytes += held_size(k);
	if (k->in_list)
		s->lists[k->list].bytes -= k->fact->size;
}

void store_let_go(struct store *s, struct kept *k)
{
	if (--k->refs != 0)
		return;
	s->held_bytes -= held_size(k);
	if (k->in_list)
		s->lists[k->list].bytes += k->fact->size;
	else
		kept_free(k);
}

static void make_room(struct store *s, int list)
{
	struct kept_list *l = &s->lists[list];

	while ((list == LIST_MAIN && l->bytes > KEPT_BYTES) ||
	       (list == LIST_STRANGERS && l->count > STRANGERS_MAX) ||
	       (list == LIST_CONTROL && l->count > CONTROL_MAX)) {
		store_release(s, l->oldest);
		s->dropped++;
	}
}

static struct fact *fact_copy(const struct fact *f)
{
	struct fact *copy = malloc(f->size);

	if (copy != NULL)
		memcpy(copy, f, f->size);
	return copy;
}

static bool same_thing(const struct kept *k, const struct fact *f)
{
	const struct exchange_fact *a = (const void *)k->fact, *b = (const void *)f;

	if (k->final || k->fact->conn != f->conn)
		return false;
	if (k->fact->kind == FACT_EXCHANGE && f->kind == FACT_EXCHANGE)
		return a->x.stream == b->x.stream && a->x.ordinal == b->x.ordinal;
	return (k->fact->kind == FACT_SYN || k->fact->kind == FACT_CONN) &&
	       (f->kind == FACT_SYN || f->kind == FACT_CONN);
}

static struct kept *replace(struct store *s, struct kept *k, const struct fact *f, uint64_t id)
{
	struct fact *copy = fact_copy(f);

	if (copy == NULL) {
		s->out_of_memory++;
		return NULL;
	}
	*(k->refs == 0 ? &s->lists[k->list].bytes : &s->held_bytes) += (size_t)copy->size - k->fact->size;
	free(k->fact);
	k->fact = copy;
	s->n_open -= !k->final;
	know(k);
	s->n_open += !k->final;
	k->id = id;
	return k;
}

struct kept *store_keep(struct store *s, const struct fact *f, int list, uint64_t id)
{
	struct kept *k;

	if (list != LIST_CONTROL && s->n_open != 0)
		for (k = *bucket_of(s, f->conn); k != NULL; k = k->in_bucket)
			if (same_thing(k, f))
				return replace(s, k, f, id);
	k = calloc(1, sizeof *k);
	if (k == NULL || (k->fact = fact_copy(f)) == NULL) {
		s->out_of_memory++;
		free(k);
		return NULL;
	}
	k->id = id;
	know(k);
	list_append(s, k, list);
	if (list != LIST_CONTROL)
		bucket_add(s, k);
	make_room(s, list);
	return k->in_list ? k : NULL;
}

void store_forget_open(struct store *s, uint32_t conn, uint64_t request_packet)
{
	struct kept *k, *next;

	if (s->n_open == 0)
		return;
	for (k = *bucket_of(s, conn); k != NULL; k = next) {
		next = k->in_bucket;
		if (k->final || k->fact->conn != conn)
			continue;
		if (k->fact->kind != FACT_EXCHANGE || request_packet == 0 ||
		    k->begin.packet == request_packet)
			store_release(s, k);
	}
}

struct kept *store_apart(struct store *s, const struct fact *f, uint64_t id)
{
	struct kept *k = calloc(1, sizeof *k);

	if (k == NULL)
		return NULL;
	k->fact = fact_copy(f);
	if (k->fact == NULL) {
		free(k);
		return NULL;
	}
	k->id = id;
	k->refs = 1;
	s->held_bytes += held_size(k);
	know(k);
	return k;
}

struct kept *store_of_brief(struct store *s, const struct brief_slot *b)
{
	return store_apart(s, &b->f.head, b->id);
}
