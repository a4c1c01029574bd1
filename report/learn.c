/* learn.c - what the capture as a whole teaches, bounded in memory
 *
 * One entry for each server (address and port) and one for each address, the least recently used
 * forgotten first. What happened when is kept in rings that grow with use and never beyond their
 * bound: questions about times that a ring no longer covers are answered with "not seen".
 */
#include "learn.h"

#include "lru.h"

#include <stdlib.h>

enum {
	SERVERS_MAX = 4096,
	HOSTS_MAX = 4096,
	EVENTS_FIRST = 16, /* a ring's first size; doubled while the budget lasts */
	EVENTS_MAX = 4096,
	EVENTS_BUDGET = 96 * 1024, /* entries in all rings together: 2.3 MiB */
	EVENTS_RESERVE = EVENTS_BUDGET / 4, /* of them, for rings that have none: a server is met late */
	IDLE_SAMPLES = 64,
	REUSE_CANDIDATES = 4,
	QUEUE_EVENTS = 64,
	CONN_CACHE = 4096,
	OPENED_SECONDS = 64,
	IDLE_CLOSE_MS = 200 /* a close sooner after the last byte is no idle limit */
};

struct event {
	int64_t time_ns;
	uint64_t packet;
	uint32_t conn;
};
struct events {
	struct event *at;
	uint32_t size, next, kept;
	bool lost;
}; /* a ring: next is the oldest once full; lost: older ones were overwritten */

enum queue_sign { QUEUE_SYN_DROPPED, QUEUE_UNACKED, QUEUE_ACKED_UNANSWERED, QUEUE_SYN_ACK_RESENT };
struct queue_event {
	int64_t opened_ns;
	struct mark at;
	uint32_t conn;
	uint8_t sign;
};

struct server {
	struct lru_entry entry;
	struct server_seen seen;
	uint32_t idle_n, idle_next;
	int64_t idle_ns[IDLE_SAMPLES];
	int64_t idle_min_ns, idle_max_ns;
	uint16_t keep_alive_s;
	struct {
		uint32_t requests, times;
	} reuse[REUSE_CANDIDATES];
	struct events opened, answered, closed;
	struct queue_event queue[QUEUE_EVENTS];
	uint32_t queue_n;
	uint8_t ttl_min, ttl_max;
};

struct host {
	struct lru_entry entry;
	uint32_t opened[OPENED_SECONDS]; /* by it, in each second of the last; by second modulo their number */
	int64_t opened_s; /* the newest of them */
	uint8_t ttl_min, ttl_max;
};

struct learned {
	struct lru *servers, *hosts;
	uint32_t budget; /* ring entries left */
	struct {
		uint32_t conn;
		struct server *server;
	} cache[CONN_CACHE]; /* by conn: briefs find their server without a hash */
};

/* ---- rings -------------------------------------------------------------------------------- */

static bool events_grow(struct learned *l, struct events *e)
{
	uint32_t size = e->size == 0 ? EVENTS_FIRST : e->size * 2;
	uint32_t left = e->size == 0 ? 0 : EVENTS_RESERVE;
	struct event *at;

	if (size > EVENTS_MAX || size - e->size + left > l->budget)
		return false;
	at = realloc(e->at, size * sizeof *at);
	if (at == NULL)
		return false;
	l->budget -= size - e->size;
	e->at = at; /* only grown when next == size: the oldest lies first */
	e->size = size;
	return true;
}

static void events_add(struct learned *l, struct events *e, struct mark at, uint32_t conn)
{
	if (e->next == e->size && !events_grow(l, e)) {
		if (e->size == 0)
			return;
		e->next = 0;
	}
	e->lost |= e->next < e->kept;
	e->at[e->next++] = (struct event){ at.time_ns, at.packet, conn };
	if (e->kept < e->next)
		e->kept = e->next;
}

static void events_clear(struct learned *l, struct events *e)
{
	l->budget += e->size;
	free(e->at);
	*e = (struct events){ 0 };
}

/* The i-th from the newest. Times almost rise, so a search back may end early. */
static const struct event *events_back(const struct events *e, uint32_t i)
{
	return &e->at[i < e->next ? e->next - 1 - i : e->next + e->kept - 1 - i];
}

/* Rings are in the order of packets; merged files may differ from time by less than this. */
static const int64_t disorder_ns = 2000 * NS_PER_MS;

static const struct event *events_between(const struct events *e, int64_t from_ns, int64_t to_ns,
					  uint32_t not_this)
{
	const struct event *first = NULL;

	for (uint32_t i = 0, n = e->kept; i < n; i++) {
		const struct event *v = events_back(e, i);

		if (v->time_ns < from_ns - disorder_ns)
			break;
		if (v->time_ns >= from_ns && v->time_ns <= to_ns && v->conn != not_this)
			first = v;
	}
	return first;
}

/* ---- entries ------------------------------------------------------------------------------ */

static void forget_server(void *ctx, struct lru_entry *e)
{
	struct learned *l = ctx;
	struct server *s = (struct server *)e;

	events_clear(l, &s->opened);
	events_clear(l, &s->answered);
	events_clear(l, &s->closed);
}

struct learned *learned_new(void)
{
	struct learned *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->budget = EVENTS_BUDGET;
	l->servers = lru_new(sizeof(struct server), SERVERS_MAX, forget_server, l);
	l->hosts = lru_new(sizeof(struct host), HOSTS_MAX, NULL, NULL);
	if (l->servers == NULL || l->hosts == NULL) {
		learned_free(l);
		return NULL;
	}
	return l;
}

void learned_free(struct learned *l)
{
	if (l == NULL)
		return;
	lru_free(l->servers);
	lru_free(l->hosts);
	free(l);
}

static struct server *server_get(struct learned *l, const struct endpoint *e, enum lru_list list)
{
	struct lru_key k = lru_key(e);
	struct server *s = lru_find(l->servers, &k);

	if (s == NULL)
		s = lru_add(l->servers, &k, list);
	else if (list == LRU_WARM)
		lru_warm(l->servers, s);
	return s;
}

static struct server *server_of_conn(struct learned *l, uint32_t conn, const struct endpoint *e)
{
	unsigned i = conn & (CONN_CACHE - 1);
	struct lru_key k = lru_key(e);

	if (l->cache[i].conn != conn || l->cache[i].server == NULL ||
	    !lru_is(&l->cache[i].server->entry, &k)) {
		l->cache[i].conn = conn;
		l->cache[i].server = server_get(l, e, LRU_WARM);
	}
	if (l->cache[i].server != NULL)
		l->cache[i].server->entry.used = true;
	return l->cache[i].server;
}

static struct host *host_get(struct learned *l, const uint8_t address[static 16],
			     enum lru_list list)
{
	struct lru_key k = lru_key_address(address);
	struct host *h = lru_find(l->hosts, &k);

	return h != NULL ? h : lru_add(l->hosts, &k, list);
}

static const struct server *server_find(const struct learned *l, const struct endpoint *e)
{
	struct lru_key k = lru_key(e);

	return lru_find(l->servers, &k);
}

/* ---- what facts teach --------------------------------------------------------------------- */

static void ttl_widen(uint8_t *min, uint8_t *max, uint8_t ttl)
{
	if (ttl == 0)
		return;
	if (*min == 0 || ttl < *min)
		*min = ttl;
	if (ttl > *max)
		*max = ttl;
}

static void learn_ttl(struct learned *l, struct server *s, const struct conn_facts *c)
{
	for (int side = CLIENT; side <= SERVER; side++) {
		struct host *h = host_get(l, c->end[side].address, LRU_COLD);

		if (h != NULL) {
			ttl_widen(&h->ttl_min, &h->ttl_max, c->side[side].ttl_min);
			ttl_widen(&h->ttl_min, &h->ttl_max, c->side[side].ttl_max);
		}
	}
	ttl_widen(&s->ttl_min, &s->ttl_max, c->side[SERVER].ttl_min);
	ttl_widen(&s->ttl_min, &s->ttl_max, c->side[SERVER].ttl_max);
}

static void learn_idle_close(struct server *s, int64_t idle_ns)
{
	s->idle_ns[s->idle_next++ % IDLE_SAMPLES] = idle_ns;
	s->idle_min_ns = s->idle_n == 0 || idle_ns < s->idle_min_ns ? idle_ns : s->idle_min_ns;
	s->idle_max_ns = idle_ns > s->idle_max_ns ? idle_ns : s->idle_max_ns;
	s->idle_n++;
}

/* Counts a close right after the n-th answer; the rarest candidate makes room. */
static void learn_reuse(struct server *s, uint32_t requests)
{
	unsigned rarest = 0;

	for (unsigned i = 0; i < REUSE_CANDIDATES; i++) {
		if (s->reuse[i].requests == requests) {
			s->reuse[i].times++;
			return;
		}
		if (s->reuse[i].times < s->reuse[rarest].times)
			rarest = i;
	}
	if (s->reuse[rarest].times > 1) { /* every stranger wears it down first */
		s->reuse[rarest].times--;
		return;
	}
	s->reuse[rarest].requests = requests;
	s->reuse[rarest].times = 1;
}

/* The server closed first: is it its idle limit, or its limit of requests? */
static void learn_close(struct learned *l, struct server *s, struct mark closed, uint32_t conn,
			int64_t idle_ns, uint32_t exchanges, bool said_close)
{
	events_add(l, &s->closed, closed, conn);
	if (exchanges == 0)
		return;
	if (idle_ns >= IDLE_CLOSE_MS * NS_PER_MS) {
		if (!said_close)
			learn_idle_close(s, idle_ns);
	} else if (exchanges > 1) {
		learn_reuse(s, exchanges);
	}
}

static void learn_queue(struct server *s, enum queue_sign sign, uint32_t conn, int64_t opened_ns,
			struct mark at)
{
	struct queue_event v = { opened_ns, at, conn, (uint8_t)sign };

	for (uint32_t i = 0; i < s->queue_n && i < QUEUE_EVENTS; i++)
		if (s->queue[i].conn == conn) {
			s->queue[i] = v;
			return;
		}
	s->queue[s->queue_n++ % QUEUE_EVENTS] = v;
}

static void unlearn_queue(struct server *s, uint32_t conn)
{
	for (uint32_t i = 0; i < s->queue_n && i < QUEUE_EVENTS; i++)
		if (s->queue[i].conn == conn)
			s->queue[i].opened_ns = INT64_MIN;
}

static void learn_speech(struct server *s, const struct conn_facts *c)
{
	unsigned speaks = c->speaks[SERVER];

	if (speaks == SPEAKS_TLS)
		s->seen.tls++;
	else if (speaks == SPEAKS_HTTP1)
		s->seen.http1++;
	else if (speaks == SPEAKS_HTTP2)
		s->seen.http2++;
	else if (speaks >= SPEAKS_FOREIGN_FIRST)
		s->seen.foreign = (uint8_t)speaks;
}

static void learn_software(struct server *s, const uint8_t software[static SOFTWARE_BYTES], uint32_t signs)
{
	memcpy(s->seen.software, software, SOFTWARE_BYTES);
	s->seen.signs = signs;
}

static void learn_brief(struct learned *l, const struct brief_fact *f)
{
	struct server *s = server_of_conn(l, f->head.conn, &f->end[SERVER]);

	if (s == NULL)
		return;
	s->seen.answered++;
	learn_software(s, f->software, f->response_signs);
	if (f->ordinal <= 1) {
		s->seen.tls += f->tls;
		s->seen.http2 += f->response_version == VERSION_2;
		s->seen.http1 += f->response_version != VERSION_2;
	}
	if (f->response_head_bytes > s->seen.largest_head_passed)
		s->seen.largest_head_passed = f->response_head_bytes;
	s->seen.last_answer = f->response;
	events_add(l, &s->answered, f->response, f->head.conn);
}

static void learn_exchange(struct learned *l, const struct exchange_fact *f)
{
	struct server *s = server_of_conn(l, f->head.conn, &f->conn.end[SERVER]);
	const struct exchange_facts *x = &f->x;
	bool answered = x->response.first.packet != 0;

	if (s == NULL)
		return;
	learn_ttl(l, s, &f->conn);
	if (answered)
		learn_software(s, x->software, x->response.signs);
	if (f->conn.keep_alive_s != 0)
		s->keep_alive_s = f->conn.keep_alive_s;
	if (x->ordinal <= 1 && !answered && x->request.complete)
		learn_queue(s,
			    x->request_acked.packet != 0 ? QUEUE_ACKED_UNANSWERED : QUEUE_UNACKED,
			    f->head.conn, f->conn.first.time_ns, x->request.last);
	if (f->conn.side[SERVER].syn_resends_after_ack != 0 && !answered)
		learn_queue(s, QUEUE_SYN_ACK_RESENT, f->head.conn, f->conn.first.time_ns,
			    f->conn.side[SERVER].syn_last);
	if (!answered)
		return;
	if (x->ordinal <= 1)
		unlearn_queue(s, f->head.conn);
	if (!f->final)
		return;
	s->seen.answered++;
	s->seen.last_answer = x->response.first;
	/* 400 is what a server says that takes the preface for a request. */
	if (f->conn.proxy_preface && x->response.head_complete && x->status != 400)
		s->seen.proxy_answered++;
	if (x->ordinal <= 1)
		learn_speech(s, &f->conn);
	events_add(l, &s->answered, x->response.first, f->head.conn);
}

static void learn_conn(struct learned *l, const struct conn_fact *f)
{
	const struct conn_facts *c = &f->conn;
	bool refused = c->side[SERVER].syn.packet == 0 && c->side[SERVER].rst.kind != RST_NONE &&
		       !c->joined_late;
	struct server *s = server_get(l, &c->end[SERVER], refused ? LRU_COLD : LRU_WARM);

	if (s == NULL)
		return;
	if (refused) {
		s->seen.refused++;
		return;
	}
	learn_ttl(l, s, c);
	if (c->side[SERVER].syn_resends_after_ack != 0 && c->exchanges == 0)
		learn_queue(s, QUEUE_SYN_ACK_RESENT, f->head.conn, c->first.time_ns,
			    c->side[SERVER].syn_last);
	if (!f->final)
		return;
	if (c->exchanges == 0)
		learn_speech(s, c);
	if (c->keep_alive_s != 0)
		s->keep_alive_s = c->keep_alive_s;
	if (c->closing != CLOSING_NONE && c->closer == SERVER)
		learn_close(l, s, c->closed, f->head.conn, c->idle_ns, c->exchanges, false);
}

/* More than a ring could hold: a gateway has some 28,000 ports for one upstream. */
static void learn_opened(struct host *h, int64_t time_ns)
{
	int64_t second = time_ns / NS_PER_S;

	if (second > h->opened_s) {
		if (second - h->opened_s >= OPENED_SECONDS)
			memset(h->opened, 0, sizeof h->opened);
		else
			for (int64_t s = h->opened_s + 1; s <= second; s++)
				h->opened[s % OPENED_SECONDS] = 0;
		h->opened_s = second;
	}
	if (second >= 0 && h->opened_s - second < OPENED_SECONDS)
		h->opened[second % OPENED_SECONDS]++;
}

static void learn_open(struct learned *l, const struct open_fact *f)
{
	struct server *s = server_get(l, &f->end[SERVER], LRU_COLD);
	struct host *h = host_get(l, f->end[CLIENT].address, LRU_COLD);
	struct host *server = f->ttl != 0 ? host_get(l, f->end[SERVER].address, LRU_COLD) : NULL;
	struct mark at = f->syn_ack.packet != 0 ? f->syn_ack : f->head.at;

	if (s != NULL)
		ttl_widen(&s->ttl_min, &s->ttl_max, f->ttl);
	if (server != NULL)
		ttl_widen(&server->ttl_min, &server->ttl_max, f->ttl);
	if (s != NULL && !f->joined_late) {
		s->seen.connections++;
		events_add(l, &s->opened, at, f->head.conn);
	}
	if (h != NULL && !f->joined_late)
		learn_opened(h, f->syn.packet != 0 ? f->syn.time_ns : at.time_ns);
}

static void learn_syn(struct learned *l, const struct syn_fact *f)
{
	struct server *s = server_get(l, &f->end[SERVER], LRU_COLD);

	if (s == NULL)
		return;
	if (f->final)
		s->seen.syn_unanswered++;
	learn_queue(s, QUEUE_SYN_DROPPED, f->head.conn, f->first.time_ns, f->first);
}

static void learn_fact_close(struct learned *l, const struct close_fact *f)
{
	struct server *s = server_of_conn(l, f->head.conn, &f->end[SERVER]);

	if (s == NULL)
		return;
	if (f->keep_alive_s != 0)
		s->keep_alive_s = f->keep_alive_s;
	if (f->closing != CLOSING_NONE && f->closer == SERVER)
		learn_close(l, s, f->closed, f->head.conn, f->idle_ns, f->exchanges, f->said_close);
}

void learned_fact(struct learned *l, const struct fact *f)
{
	const void *p = f;

	switch (f->kind) {
	case FACT_BRIEF:
		learn_brief(l, p);
		break;
	case FACT_EXCHANGE:
		learn_exchange(l, p);
		break;
	case FACT_OPEN:
		learn_open(l, p);
		break;
	case FACT_CLOSE:
		learn_fact_close(l, p);
		break;
	case FACT_CONN:
		learn_conn(l, p);
		break;
	case FACT_SYN:
		learn_syn(l, p);
		break;
	default:
		break;
	}
}

/* ---- answers ------------------------------------------------------------------------------ */

static int compare_ns(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void learned_idle(const struct learned *l, const struct endpoint *server, struct idle_limit *out)
{
	const struct server *s = server_find(l, server);
	int64_t sorted[IDLE_SAMPLES];
	unsigned n;

	*out = (struct idle_limit){ 0 };
	if (s == NULL)
		return;
	out->said_s = s->keep_alive_s;
	if (s->idle_n == 0)
		return;
	n = s->idle_n < IDLE_SAMPLES ? s->idle_n : IDLE_SAMPLES;
	memcpy(sorted, s->idle_ns, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, compare_ns);
	out->n = s->idle_n;
	out->min_ns = s->idle_min_ns;
	out->median_ns = sorted[n / 2];
	out->max_ns = s->idle_max_ns;
}

uint32_t learned_max_requests(const struct learned *l, const struct endpoint *server)
{
	const struct server *s = server_find(l, server);
	unsigned best = 0;

	if (s == NULL)
		return 0;
	for (unsigned i = 1; i < REUSE_CANDIDATES; i++)
		if (s->reuse[i].times > s->reuse[best].times)
			best = i;
	for (unsigned i = 0; i < REUSE_CANDIDATES; i++)
		if (i != best && s->reuse[i].times * 2 > s->reuse[best].times)
			return 0; /* it closes after this number and after that */
	return s->reuse[best].times >= 3 ? s->reuse[best].requests : 0;
}

bool learned_server(const struct learned *l, const struct endpoint *server, struct server_seen *out)
{
	const struct server *s = server_find(l, server);

	*out = s != NULL ? s->seen : (struct server_seen){ 0 };
	return s != NULL;
}

static bool happened(const struct events *e, int64_t from_ns, int64_t to_ns, uint32_t not_this,
		     struct mark *when)
{
	const struct event *v = events_between(e, from_ns, to_ns, not_this);

	if (v != NULL && when != NULL)
		*when = (struct mark){ v->packet, v->time_ns };
	return v != NULL;
}

bool learned_connected_between(const struct learned *l, const struct endpoint *server,
			       int64_t from_ns, int64_t to_ns, uint32_t not_this, struct mark *when)
{
	const struct server *s = server_find(l, server);

	return s != NULL && (happened(&s->opened, from_ns, to_ns, not_this, when) ||
			     happened(&s->answered, from_ns, to_ns, not_this, when));
}

bool learned_answered_between(const struct learned *l, const struct endpoint *server,
			      int64_t from_ns, int64_t to_ns, uint32_t not_this, struct mark *when)
{
	const struct server *s = server_find(l, server);

	return s != NULL && happened(&s->answered, from_ns, to_ns, not_this, when);
}

unsigned learned_closed_together(const struct learned *l, const struct endpoint *server,
				 int64_t from_ns, int64_t to_ns)
{
	const struct server *s = server_find(l, server);
	unsigned n = 0;

	if (s == NULL)
		return 0;
	for (uint32_t i = 0, kept = s->closed.kept; i < kept; i++) {
		const struct event *v = events_back(&s->closed, i);

		if (v->time_ns < from_ns - disorder_ns)
			break;
		n += v->time_ns >= from_ns && v->time_ns <= to_ns;
	}
	return n;
}

void learned_queue(const struct learned *l, const struct endpoint *server, int64_t from_ns,
		   int64_t to_ns, struct queue_signs *out)
{
	const struct server *s = server_find(l, server);

	*out = (struct queue_signs){ 0 };
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->queue_n && i < QUEUE_EVENTS; i++) {
		const struct queue_event *v = &s->queue[i];

		if (v->opened_ns < from_ns || v->opened_ns > to_ns)
			continue;
		out->syn_dropped += v->sign == QUEUE_SYN_DROPPED;
		out->unacked += v->sign == QUEUE_UNACKED;
		out->acked_unanswered += v->sign == QUEUE_ACKED_UNANSWERED;
		out->syn_ack_resent += v->sign == QUEUE_SYN_ACK_RESENT;
		if (v->sign == QUEUE_SYN_DROPPED) {
			if (out->dropped.packet == 0 || v->at.packet < out->dropped.packet)
				out->dropped = v->at;
		} else if (out->unserved.packet == 0 || v->sign == QUEUE_ACKED_UNANSWERED) {
			out->unserved = v->at;
		}
	}
}

bool learned_ttl(const struct learned *l, const struct endpoint *e, uint8_t *min, uint8_t *max)
{
	struct lru_key k = lru_key_address(e->address);
	const struct server *s = e->port != 0 ? server_find(l, e) : NULL;
	const struct host *h = e->port == 0 ? lru_find(l->hosts, &k) : NULL;

	*min = s != NULL ? s->ttl_min : h != NULL ? h->ttl_min : 0;
	*max = s != NULL ? s->ttl_max : h != NULL ? h->ttl_max : 0;
	return *max != 0;
}

unsigned learned_attempts_from(const struct learned *l, const uint8_t address[static 16],
			       int64_t from_ns, int64_t to_ns)
{
	struct lru_key k = lru_key_address(address);
	const struct host *h = lru_find(l->hosts, &k);
	int64_t from, to;
	unsigned n = 0;

	if (h == NULL)
		return 0;
	from = h->opened_s - OPENED_SECONDS + 1;
	from = from_ns / NS_PER_S > from ? from_ns / NS_PER_S : from;
	to = to_ns / NS_PER_S < h->opened_s ? to_ns / NS_PER_S : h->opened_s;
	for (int64_t s = from > 0 ? from : 0; s <= to; s++)
		n += h->opened[s % OPENED_SECONDS];
	return n;
}

bool learned_covers(const struct learned *l, const struct endpoint *server, int64_t from_ns)
{
	const struct server *s = server_find(l, server);

	if (s == NULL)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		const struct events *e = i == 0 ? &s->opened : i == 1 ? &s->answered : &s->closed;

		if (e->lost && events_back(e, e->kept - 1)->time_ns > from_ns)
			return false;
	}
	return s->queue_n <= QUEUE_EVENTS;
}
