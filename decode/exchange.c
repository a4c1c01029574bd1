/* exchange.c - slots of open exchanges, and the facts made of them */
#include "decoder.h"

#include "../capture/limits.h"

enum { TEXT_FIRST = 1024, TEXT_MAX = 64 * 1024 };

static struct decoder *decoder_of(const struct conn *c)
{
	return c->detail->decoder;
}

/* ---- the protocol's side ------------------------------------------------------------------ */

/* A client that does not pipeline has the answer before when it asks. */
static uint64_t server_acked(const struct conn *c)
{
	const struct flow *f = &c->flow[SERVER];
	int64_t at = (int64_t)f->offset + (f->acked_known ? (int32_t)(f->acked - f->next) : 0);

	return at > 0 ? (uint64_t)at : 0;
}

struct exchange *exchange_open(struct conn *c, uint32_t stream, struct mark at)
{
	struct detail *t = c->detail;
	struct decoder *d = t->decoder;
	struct exchange_slot *s;
	uint32_t index, text_size;
	uint8_t *text;

	if (stream == 0 || t->n_exchanges_open >= LIMIT_EXCHANGES)
		exchange_settle_done(d, c, at);
	if (t->n_exchanges_open >= LIMIT_EXCHANGES) {
		conn_limit(c, stream != 0 ? "h2_streams_dropped" : "exchanges_dropped");
		return NULL;
	}
	s = slab_take(&d->exchange_slab, &index);
	if (s == NULL) {
		decoder_limit(d, LIMIT_NAME_MEMORY);
		return NULL;
	}
	text = s->x.text;                       /* a slot keeps its text's memory */
	text_size = s->x.text_size;
	s->x = (struct exchange){ .conn = c, .text = text, .text_size = text_size };
	s->index = index;
	s->generation++;
	s->used = true;
	c->exchanges++;
	d->counters.exchanges++;
	s->x.f.ordinal = c->joined_late ? 0 : c->exchanges;
	s->x.f.reused = c->exchanges > 1;
	s->x.f.stream = stream;
	s->x.f.tunnelled = c->protocol == &connect_protocol;
	s->x.f.tls = t->tls != NULL && t->tls->decrypted;
	s->x.peer_acked = server_acked(c);
	s->x.f.idle_ns = t->idle_ns;
	s->x.f.before = t->before;
	s->x.f.grpc_status = -1;
	s->x.f.request.declared = s->x.f.response.declared = UINT64_MAX;
	s->x.before = t->last;
	if (t->last != NULL)
		t->last->next = &s->x;
	else
		t->first = &s->x;
	t->last = &s->x;
	t->n_exchanges_open++;
	decoder_arm(d, TIMER_WAITING, s, s->generation);
	return &s->x;
}

static bool text_room(struct exchange *x, size_t more)
{
	struct decoder *d = decoder_of(x->conn);
	size_t need = x->text_len + more, size = x->text_size != 0 ? x->text_size : TEXT_FIRST;
	uint8_t *bigger;

	if (need <= x->text_size)
		return true;
	if (need > TEXT_MAX)
		return false;
	while (size < need)
		size *= 2;
	bigger = decoder_alloc(d, size);
	if (bigger == NULL)
		return false;
	if (x->text_len != 0)
		memcpy(bigger, x->text, x->text_len);
	decoder_release(d, x->text, x->text_size);
	x->text = bigger;
	x->text_size = (uint32_t)size;
	return true;
}

void exchange_text(struct exchange *x, struct text *t, struct span s, size_t limit)
{
	if (s.len > limit) {
		s = span_first(s, limit);
		x->f.limited = true;
		if (limit >= LIMIT_STRING)
			decoder_limit(decoder_of(x->conn), "strings_cut");
	}
	*t = (struct text){ 0, 0 };
	if (s.len == 0 || !text_room(x, s.len))
		return;
	*t = (struct text){ x->text_len, (uint32_t)s.len };
	memcpy(x->text + x->text_len, s.at, s.len);
	x->text_len += (uint32_t)s.len;
}

bool exchange_text_more(struct exchange *x, struct text *t, struct span s, size_t limit)
{
	if (t->len == 0) {
		exchange_text(x, t, span_first(s, limit), limit);
		return s.len <= limit;
	}
	if (t->at + t->len != x->text_len) {    /* something was added behind it: it moves to the end */
		uint32_t at = x->text_len;

		if (t->len >= limit || !text_room(x, t->len))
			return false;
		memcpy(x->text + at, x->text + t->at, t->len);
		x->text_len += t->len;
		t->at = at;
	}
	s = span_first(s, t->len < limit ? limit - t->len : 0);
	if (s.len == 0 || !text_room(x, s.len))
		return false;
	memcpy(x->text + x->text_len, s.at, s.len);
	x->text_len += (uint32_t)s.len;
	t->len += (uint32_t)s.len;
	return t->len < limit;
}

struct span exchange_span(const struct exchange *x, struct text t)
{
	return t.len != 0 ? span_of(x->text + t.at, t.len) : span_none();
}

void exchange_broken(struct message *m, enum violation v, struct mark at, uint64_t offset, struct span excerpt)
{
	struct broken *b;

	m->violations |= violation_bit(v);
	if (m->n_broken == sizeof m->broken / sizeof m->broken[0])
		return;
	b = &m->broken[m->n_broken++];
	excerpt = span_first(excerpt, sizeof b->excerpt.bytes);
	*b = (struct broken){ .rule = (uint8_t)v, .at = at, .offset = offset };
	b->excerpt.len = (uint8_t)excerpt.len;
	memcpy(b->excerpt.bytes, excerpt.at, excerpt.len);
}

static uint64_t flow_acked_offset(const struct conn *c, enum side from)
{
	const struct flow *f = &c->flow[from];

	if (!f->acked_known)
		return 0;
	return conn_seq_after(f->next, f->acked) < f->offset ? f->offset - conn_seq_after(f->next, f->acked) : 0;
}

void exchange_request_sent(struct exchange *x, uint64_t wire_offset)
{
	struct conn *c = x->conn;

	x->request_end = wire_offset;
	x->request_sent = true;
	if (flow_acked_offset(c, CLIENT) >= wire_offset)        /* its acknowledgement was captured before it */
		x->f.request_acked = c->detail->flow[CLIENT].facts->acked;
}

int64_t exchange_asked_ns(const struct exchange *x)
{
	int64_t last = x->f.request.last.time_ns, sent = x->conn->detail->flow[CLIENT].facts->last_data.time_ns;

	return x->f.stream == 0 && !x->request_sent && sent > last ? sent : last;
}

/* Newest first, and not far beyond those known to be acknowledged: of HTTP/2 streams an older one may end later. */
enum { ACKED_BEYOND = 64 };

void exchange_acked(struct conn *c, uint64_t acked_offset, struct mark at)
{
	unsigned beyond = 0;

	for (struct exchange *x = c->detail->last; x != NULL && beyond < ACKED_BEYOND; x = x->before) {
		if (x->f.request_acked.packet != 0)
			beyond++;
		else if (x->request_sent && x->request_end <= acked_offset)
			x->f.request_acked = at;
	}
}

void exchange_done(struct exchange *x)
{
	struct decoder *d = decoder_of(x->conn);

	if (x->done)
		return;
	x->done = true;
	x->done_at = d->now;
	decoder_arm(d, TIMER_SETTLE, (struct exchange_slot *)(void *)x, exchange_generation(x));
}

/* Broken ones wait as long as complete ones do: what follows (data after a RST, say) belongs to the evidence. */
void exchange_settle(struct exchange *x)
{
	exchange_done(x);
}

/* ---- connection --------------------------------------------------------------------------- */

struct exchange *conn_exchanges(struct conn *c)
{
	return c->detail->first;
}

enum { ENDED_STREAMS_WALKED = 64 };

struct exchange *exchange_of_ended_stream(struct conn *c, uint32_t stream)
{
	unsigned walked = 0;

	for (struct exchange *x = c->detail->last; x != NULL && walked < ENDED_STREAMS_WALKED; x = x->before, walked++)
		if (x->f.stream == stream)
			return x->done ? x : NULL;
	return NULL;
}

bool conn_listing(const struct conn *c)
{
	return decoder_of(c)->options->exchanges;
}

bool conn_checks_coding(const struct conn *c)
{
	return decoder_of(c)->options->check_coding;
}

void conn_switch(struct conn *c, const struct protocol *next, enum side from, const struct piece *p, size_t used)
{
	(void)from;
	(void)p;
	c->detail->switch_to = next;
	c->detail->switch_used = used;
}

struct conn_facts *conn_note(struct conn *c)
{
	return &c->detail->note;
}

struct tls_facts *conn_tls(struct conn *c)
{
	struct detail *t = c->detail;

	if (t->tls == NULL) {
		t->tls = decoder_alloc(t->decoder, sizeof *t->tls);
		if (t->tls != NULL)
			memset(t->tls, 0, sizeof *t->tls);
	}
	return t->tls;
}

struct secrets *conn_secrets(struct conn *c)
{
	return decoder_of(c)->options->secrets;
}

void *conn_inner(struct conn *c, const struct protocol *p, bool late)
{
	return p->begin(c, late);
}

void conn_limit(struct conn *c, const char *name)
{
	c->limited = true;
	if (c->detail != NULL) {
		c->detail->odd = true;
		decoder_limit(c->detail->decoder, name);
	}
}

void conn_passed_limit(struct conn *c, const char *name)
{
	decoder_limit(decoder_of(c), name);
}

void conn_said_close(struct conn *c)
{
	c->said_close = true;
}

void conn_said_goodbye(struct conn *c, enum side from, struct mark at)
{
	struct conn_facts *n = &c->detail->note;

	if (n->closing != CLOSING_NONE)
		return;
	n->closing = CLOSING_FIN;
	n->closer = (uint8_t)from;
	n->closed = at;
	n->idle_ns = c->detail->idle_ns > 0 ? c->detail->idle_ns : 0;
}

void conn_encrypted(struct conn *c)
{
	decoder_of(c)->counters.encrypted_without_keys++;
}

const struct protocol *conn_switch_taken(struct conn *c, size_t *used)
{
	const struct protocol *next = c->detail->switch_to;

	*used = c->detail->switch_used;
	c->detail->switch_to = NULL;
	return next;
}

void conn_tell_dns(struct conn *c, const struct dns_fact *f, struct span name)
{
	struct dns_fact *out = (struct dns_fact *)(void *)decoder_fact(decoder_of(c), FACT_DNS, sizeof *f + name.len, NULL);
	struct fact head;

	if (out == NULL)
		return;
	head = out->head;
	*out = *f;
	out->head = head;
	out->head.tap = c->tap;
	out->asker = c->tuple.end[CLIENT];
	out->server = c->tuple.end[SERVER];
	out->name = (struct text){ (uint32_t)sizeof *f, (uint32_t)name.len };
	memcpy((uint8_t *)out + sizeof *f, name.at, name.len);
}

bool conn_charge(struct conn *c, size_t bytes)
{
	struct decoder *d = decoder_of(c);

	if (d->memory + bytes > d->max_memory) {
		decoder_limit(d, "memory_evictions");
		return false;
	}
	d->memory += bytes;
	if (d->memory > d->memory_peak)
		d->memory_peak = d->memory;
	return true;
}

void conn_uncharge(struct conn *c, size_t bytes)
{
	decoder_of(c)->memory -= bytes;
}

uint8_t *conn_scratch(struct conn *c, size_t size)
{
	struct decoder *d = decoder_of(c);

	if (d->scratch_size < size) {
		decoder_release(d, d->scratch, d->scratch_size);
		d->scratch = decoder_alloc(d, size);
		d->scratch_size = d->scratch != NULL ? size : 0;
	}
	return d->scratch;
}

void *conn_alloc(struct conn *c, size_t size)
{
	void *p = decoder_alloc(decoder_of(c), size);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

void *conn_grow(struct conn *c, void *p, size_t old_size, size_t new_size)
{
	void *bigger = decoder_alloc(decoder_of(c), new_size);

	if (bigger == NULL)
		return NULL;
	if (old_size != 0)
		memcpy(bigger, p, old_size < new_size ? old_size : new_size);
	decoder_release(decoder_of(c), p, old_size);
	return bigger;
}

void conn_release(struct conn *c, void *p, size_t size)
{
	decoder_release(decoder_of(c), p, size);
}

/* ---- facts -------------------------------------------------------------------------------- */

/* Response header sections beyond this are told whole: some gateway may refuse them. nginx's proxy_buffer_size is
 * one page of 4 KiB by default. */
enum { HEAD_REMARKABLE = 4000 };

/* Did the client's side of the connection give up at or before the response's last byte, or reset it right after? */
static bool client_left(const struct exchange *x)
{
	const struct conn *c = x->conn;
	const struct tcp_side *client = c->detail->flow[CLIENT].facts;

	return (c->flow[CLIENT].fin_seen && client->fin.packet <= x->f.response.last.packet) || client->rst.at.packet != 0;
}

/* Bytes of the body that neither the capture nor the client has got: it went on acknowledging what was before them. */
static bool never_arrived(const struct exchange *x)
{
	const struct conn *c = x->conn;
	const struct flow *f = &c->flow[SERVER];

	return x->f.response.missing != 0 && c->detail != NULL && f->acked_known && conn_seq_after(f->next, f->acked) != 0 &&
	       c->detail->flow[CLIENT].facts->last_seen.packet > x->f.response.last.packet;
}

static bool went_well(const struct exchange *x)
{
	const struct exchange_facts *f = &x->f;

	if (never_arrived(x))
		return false;
	if (f->response.head_bytes > HEAD_REMARKABLE || f->n_interim != 0 || client_left(x))
		return false;
	return (f->outcome == OUTCOME_COMPLETE || f->outcome == OUTCOME_UPGRADED || f->outcome == OUTCOME_TUNNEL) &&
	       f->status >= 100 && f->status < 400 && (f->request.violations | f->response.violations) == 0 &&
	       f->request.complete && !f->response.early && !f->limited && (!f->grpc || f->grpc_status == 0);
}

/* Whatever it says, nothing of how its connection went on is needed to judge it. */
static bool ended_whole(const struct exchange *x)
{
	const struct exchange_facts *f = &x->f;

	return (f->outcome == OUTCOME_COMPLETE || f->outcome == OUTCOME_UPGRADED || f->outcome == OUTCOME_TUNNEL) &&
	       (f->request.violations | f->response.violations) == 0 && f->request.complete && !f->response.early && !f->limited &&
	       !client_left(x);
}

static void push_brief(struct decoder *d, const struct exchange *x, struct mark at)
{
	const struct exchange_facts *f = &x->f;
	struct brief_fact *b = (struct brief_fact *)(void *)decoder_fact(d, FACT_BRIEF, sizeof *b, x->conn);

	if (b == NULL)
		return;
	(void)at;
	memcpy(b->end, x->conn->tuple.end, sizeof b->end);
	b->ordinal = f->ordinal;
	b->stream = f->stream;
	b->request = f->request.first;
	b->response_first = f->response.first;
	b->response = f->response.last;
	b->idle_ns = f->idle_ns;
	b->target_hash = f->target_hash;
	b->path_hash = f->path_hash;
	b->tail_hash = f->tail_hash;
	b->authority_hash = f->authority_hash;
	b->agent_hash = f->agent_hash;
	b->pass_hash = f->pass_hash;
	b->request_body = f->request.body_bytes;
	b->response_body = f->response.body_bytes;
	b->request_head_bytes = f->request.head_bytes;
	b->response_head_bytes = f->response.head_bytes;
	memcpy(b->ids, f->ids, sizeof b->ids);
	b->n_ids = f->n_ids;
	b->method = f->method;
	b->version = f->request.version;
	b->response_version = f->response.version;
	b->status = f->status;
	b->signs = (uint16_t)f->request.signs;
	b->response_signs = (uint16_t)f->response.signs;
	b->via_count = f->via_count;
	b->xff_count = f->xff_count;
	b->outcome = f->outcome;
	b->tls = f->tls;
	b->said_close = f->said_close;
	b->coded = f->content_encoding.len != 0;
	memcpy(b->software, f->software, sizeof b->software);
}

static void text_move(struct text *t, uint32_t by)
{
	if (t->len != 0)
		t->at += by;
}

static void push_full(struct decoder *d, struct exchange *x, bool final)
{
	struct detail *t = x->conn->detail;
	size_t tls = t->tls != NULL ? sizeof *t->tls : 0, texts = sizeof(struct exchange_fact), size;
	struct exchange_fact *f;
	struct text *all[11];
	unsigned n = 0;

	texts += tls;
	size = texts + x->text_len;
	f = (struct exchange_fact *)(void *)decoder_fact(d, FACT_EXCHANGE, size, x->conn);
	if (f == NULL)
		return;
	f->final = final;
	f->x = x->f;
	f->h2 = x->h2;
	tcp_facts(d, x->conn, &f->conn);
	if (tls != 0) {
		f->conn.tls_at = sizeof *f;
		memcpy((uint8_t *)f + sizeof *f, t->tls, tls);
	}
	if (x->text_len != 0)
		memcpy((uint8_t *)f + texts, x->text, x->text_len);
	all[n++] = &f->x.method_text;
	all[n++] = &f->x.target;
	all[n++] = &f->x.authority;
	all[n++] = &f->x.reason;
	all[n++] = &f->x.server;
	all[n++] = &f->x.upgrade;
	all[n++] = &f->x.content_encoding;
	all[n++] = &f->x.request_head;
	all[n++] = &f->x.response_head;
	all[n++] = &f->x.body;
	for (unsigned i = 0; i < n; i++)
		text_move(all[i], (uint32_t)texts);
	if (x->f.limited)
		f->conn.limited = true;
}

static void slot_free(struct decoder *d, struct exchange *x)
{
	struct exchange_slot *s = (struct exchange_slot *)(void *)x;
	struct detail *t = x->conn->detail;

	if (x->before != NULL)
		x->before->next = x->next;
	else
		t->first = x->next;
	if (x->next != NULL)
		x->next->before = x->before;
	else
		t->last = x->before;
	t->n_exchanges_open--;
	s->used = false;
	slab_give(&d->exchange_slab, s->index);
	if (t->first == NULL)
		decoder_arm_rest(d, x->conn);
}

void exchange_push(struct decoder *d, struct exchange *x, struct mark at, bool final)
{
	if (final && went_well(x) && !d->options->exchanges) {
		push_brief(d, x, at);
	} else {
		if (final && !ended_whole(x))
			x->conn->detail->odd = true;
		push_full(d, x, final);
	}
	if (final)
		slot_free(d, x);
}

void exchange_settle_done(struct decoder *d, struct conn *c, struct mark at)
{
	struct exchange *x = c->detail != NULL ? c->detail->first : NULL;

	while (x != NULL) {
		struct exchange *next = x->next;

		if (x->done)
			exchange_push(d, x, at, true);
		x = next;
	}
}

void exchange_tell(struct exchange *x)
{
	struct decoder *d = x->conn->detail->decoder;

	x->waiting_told = true;
	exchange_push(d, x, d->now, false);
}

void exchange_tell_open(struct conn *c)
{
	for (struct exchange *x = c->detail->first; x != NULL; x = x->next)
		if (!x->done && x->f.response.first.packet != 0)        /* silence is told by the timer */
			exchange_tell(x);
}

/* Whatever the protocol left open ends with its connection. */
void exchange_end_all(struct decoder *d, struct conn *c, enum ending how, struct mark at)
{
	for (struct exchange *x = c->detail->first, *next; x != NULL; x = next) {
		next = x->next;
		if (!x->done && x->f.outcome == OUTCOME_IN_PROGRESS && (how == END_RST || how == END_FIN || how == END_PEER_RST))
			x->f.outcome = x->f.response.first.packet == 0 ? OUTCOME_NO_RESPONSE :
			               x->f.response.head_complete ? OUTCOME_PARTIAL_BODY : OUTCOME_PARTIAL_HEADERS;
		if (how == END_RST)
			exchange_done(x);
		else
			exchange_push(d, x, at, true);
	}
}
