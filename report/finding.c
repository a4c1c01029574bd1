/* finding.c - what rules leave behind, and the questions that several of them ask */
#include "redact.h"
#include "rules.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- texts -------------------------------------------------------------------------------- */

const char *time_text(int64_t ns, char text[static TIME_TEXT])
{
	long long us = ns > 0 ? (long long)(ns / NS_PER_US) : 0;

	if (ns >= 100 * NS_PER_S)
		snprintf(text, TIME_TEXT, "%lld s", (us + 500000) / 1000000);
	else if (ns >= NS_PER_S)
		snprintf(text, TIME_TEXT, "%lld.%03lld s", us / 1000000, us / 1000 % 1000);
	else if (ns >= NS_PER_MS)
		snprintf(text, TIME_TEXT, "%lld.%lld ms", us / 1000, us / 100 % 10);
	else
		snprintf(text, TIME_TEXT, "0.%02lld ms", us / 10);
	return text;
}

const char *quote_text(struct span s, char text[static QUOTE_TEXT])
{
	struct redacted r;
	size_t n = 0;

	redact_excerpt(&r, s, false);           /* evidence is read by more people than --show-secrets asks */
	s = redacted_span(&r);
	text[n++] = '"';
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.at[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

		if (n > QUOTE_TEXT - 12) {
			n += (size_t)snprintf(text + n, QUOTE_TEXT - n, "...");
			break;
		}
		if (plain) {
			text[n++] = (char)c;
		} else if (redacted_here(&r, i)) {
			n += (size_t)snprintf(text + n, QUOTE_TEXT - n, "...");
			i += REDACTED_MARK - 1;
		} else if (c == '\r' || c == '\n')
			n += (size_t)snprintf(text + n, QUOTE_TEXT - n, c == '\r' ? "\\r" : "\\n");
		else
			n += (size_t)snprintf(text + n, QUOTE_TEXT - n, "\\x%02x", c);
	}
	snprintf(text + n, QUOTE_TEXT - n, "\"");
	return text;
}

/* ---- what a rule leaves ------------------------------------------------------------------- */

/* arena_text() with a va_list: two steps, since the arena's takes none. */
static const char *sentence(struct arena *a, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof text, format, args);
	return arena_text(a, "%s", text);
}

void note(struct finding *f, struct mark at, const char *format, ...)
{
	va_list args;

	if (f->arena == NULL || !happened(at) || f->v->n_evidence >= f->evidence_size)
		return;
	va_start(args, format);
	f->v->evidence[f->v->n_evidence++] = (struct evidence){ at, sentence(f->arena, format, args) };
	va_end(args);
}

void witness(struct finding *f, struct mark at)
{
	if (f->arena != NULL && happened(at) && f->v->n_witnesses < WITNESSES_MAX)
		f->v->witnesses[f->v->n_witnesses++] = at;
}

void say(struct finding *f, const char *format, ...)
{
	va_list args;

	if (f->arena == NULL)
		return;
	va_start(args, format);
	f->v->summary = sentence(f->arena, format, args);
	va_end(args);
}

void at_most(struct finding *f, enum confidence c)
{
	if (f->v->confidence > c)
		f->v->confidence = (uint8_t)c;
}

void blame(struct finding *f, enum fault who)
{
	f->v->fault = (uint8_t)who;
}

static struct detail *add_detail(struct finding *f, const char *name, enum detail_kind kind)
{
	struct verdict *v = f->v;
	unsigned room = sizeof v->details / sizeof v->details[0];

	if (f->arena == NULL || v->n_details >= room)
		return NULL;
	v->details[v->n_details] = (struct detail){ .name = name, .kind = (uint8_t)kind };
	return &v->details[v->n_details++];
}

void detail_seconds(struct finding *f, const char *name, int64_t ns)
{
	struct detail *d = ns >= 0 ? add_detail(f, name, DETAIL_SECONDS) : NULL;

	if (d != NULL)
		d->ns = ns;
}

void detail_count(struct finding *f, const char *name, int64_t count)
{
	struct detail *d = add_detail(f, name, DETAIL_COUNT);

	if (d != NULL)
		d->count = count;
}

void detail_word(struct finding *f, const char *name, const char *word)
{
	struct detail *d = word != NULL ? add_detail(f, name, DETAIL_WORD) : NULL;

	if (d != NULL)
		d->word = word;
}

void detail_bool(struct finding *f, const char *name, bool yes)
{
	struct detail *d = add_detail(f, name, DETAIL_BOOL);

	if (d != NULL)
		d->yes = yes;
}

void note_request(const struct look *l, struct finding *f)
{
	char target[QUOTE_TEXT];
	const struct exchange_facts *x = l->x;

	if (f->arena == NULL)
		return;
	if (x == NULL) {
		if (l->brief != NULL)
			note(f, l->brief->request, "%s sent the request to %s", l->gateway, l->upstream);
		return;
	}
	if (x->target.len != 0)
		note(f, x->request.first, "%s sent %s %s to %s", l->gateway, method_name((enum method)x->method),
		     quote_text(fact_text(l->fact, x->target), target), l->upstream);
	else
		note(f, x->request.first, "%s sent its request to %s", l->gateway, l->upstream);
	if (x->request.last.packet != x->request.first.packet && x->request.complete)
		note(f, x->request.last, "the request's last byte, %" PRIu64 " bytes of body in all", x->request.body_bytes);
}

void note_answer(const struct look *l, struct finding *f)
{
	const struct case_file *c = l->c;
	char front[ENDPOINT_TEXT];

	if (f->arena == NULL || c->client == NULL)
		return;
	endpoint_text(&c->front, front);
	if (c->client->x.status != 0)
		note(f, c->client->x.response.first, "%s answered the client: %u", front, c->client->x.status);
	else if (c->client->conn.closing != CLOSING_NONE && c->client->conn.closer == SERVER)
		note(f, c->client->conn.closed, "%s closed the client's connection without an answer", front);
	else
		note(f, c->client->x.request.first, "the client's request to %s, never answered", front);
}

/* ---- questions ---------------------------------------------------------------------------- */

bool up_ended(const struct look *l)
{
	return l->ended == ENDED_BY_UPSTREAM;
}

bool up_closed(const struct look *l, enum closing how)
{
	return up_ended(l) && l->how == how;
}

bool up_reset(const struct look *l)
{
	return up_closed(l, CLOSING_RST) || up_closed(l, CLOSING_RST_ACK);
}

int64_t waited_ns(const struct look *l, struct mark since)
{
	if (!happened(l->gave_up) || !happened(since) || l->gave_up.time_ns < since.time_ns)
		return 0;
	return l->gave_up.time_ns - since.time_ns;
}

bool silent_enough(const struct look *l, struct mark since)
{
	return waited_ns(l, since) >= ABSENCE_NS;
}

bool no_request(const struct look *l)
{
	return l->x == NULL && l->brief == NULL && l->conn != NULL && happened(l->up->syn) &&
	       (l->gw->bytes == 0 || (l->tls != NULL && l->tls->application_bytes[CLIENT] == 0));
}

bool encrypted_and_unanswered(const struct look *l)
{
	const struct tls_facts *t = l->tls;

	return l->x == NULL && l->brief == NULL && t != NULL && t->handshake_done && t->turns != 0 && !happened(t->turn_first[SERVER]) &&
	       (!happened(l->end) || before(t->turn_first[CLIENT], l->end)) && l->gw->resends_unacked == 0;
}

bool probes_unanswered(const struct look *l)
{
	const struct tcp_side *up = l->up;

	return l->conn != NULL && happened(up->window_zero) && up->zero_probes > 1 && up->last_seen.packet == up->window_zero.packet;
}

bool expects_100(const struct look *l)
{
	const struct exchange_facts *x = l->x;

	return x != NULL && (x->request.signs & SIGN_EXPECT_100) != 0 && x->request.head_complete && x->n_interim == 0 && x->request.body_bytes == 0;
}

struct mark request_at(const struct look *l)
{
	if (l->x != NULL)
		return l->x->request.first;
	if (l->brief != NULL)
		return l->brief->request;
	if (l->conn != NULL)
		return l->conn->first;
	return l->t != NULL ? l->t->began : (struct mark){ 0, 0 };
}

/* A router on the way may differ by one (ECMP, a loop of NAT): two or more is another sender (MECHANISMS 1). */
bool same_flow_ttl(const struct look *l)
{
	const struct tcp_side *up = l->up;
	uint8_t ttl = up->rst.ttl;

	if (!happened(up->rst.at) || up->ttl_min == 0 || ttl == 0)
		return true;
	return ttl + 1 >= up->ttl_min && ttl <= up->ttl_max + 1;
}

/* Within a round trip both may have sent before hearing of the other. Hosts add scheduling and delayed wake-ups:
 * a quarter, and 10 ms (a slice of a busy host). Where the round trip is unknown: 250 ms, a link round the world. */
int64_t crossing_ns(const struct look *l)
{
	int64_t rtt = l->conn != NULL ? l->conn->rtt_ns : 0;

	return rtt > 0 ? rtt + rtt / 4 + 10 * NS_PER_MS : 250 * NS_PER_MS;
}
