/* steps.c - the ladder of an incident, and the display filter for its packets */
#include "assemble.h"
#include "redact.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS_MAX = 48, COLUMNS_MAX = 8, FILTER_BYTES = 512 };

/* ---- the ladder --------------------------------------------------------------------------- */

struct ladder {
	struct incident *i;
	struct arena *arena;
};

static void step(struct ladder *l, struct mark at, unsigned from, unsigned to, const char *label,
		 bool lost)
{
	struct incident *i = l->i;
	struct step *s;

	if (at.packet == 0 || i->n_steps == STEPS_MAX || from >= COLUMNS_MAX || to >= COLUMNS_MAX)
		return;
	for (unsigned n = 0; n < i->n_steps; n++)
		if (i->steps[n].at.packet == at.packet && i->steps[n].from == from &&
		    i->steps[n].to == to)
			return;
	s = &i->steps[i->n_steps++];
	*s = (struct step){ at, (uint8_t)from, (uint8_t)to, label, false, lost };
	for (unsigned e = 0; e < i->n_evidence; e++)
		s->decisive = s->decisive || i->evidence[e].at.packet == at.packet;
}

static const char *request_label(struct arena *a, const struct exchange_fact *f)
{
	struct redacted r;
	struct span target;
	char text[64];
	size_t n = 0;

	redact_target(&r, fact_text(f, f->x.target), false);
	target = span_first(redacted_span(&r), 60);
	for (size_t i = 0; i < target.len && n < sizeof text - 1; i++) {
		bool hidden = redacted_here(&r, i);

		text[n++] = hidden ? '*' : target.at[i] > ' ' && target.at[i] < 0x7f ? (char)target.at[i] : '?';
		i += hidden ? REDACTED_MARK - 1 : 0;
	}
	text[n] = '\0';
	return arena_text(a, "%s %s",
			  f->x.method != METHOD_OTHER ? method_name((enum method)f->x.method)
						      : "request",
			  text);
}

static const char *closing_label(enum closing how)
{
	return how == CLOSING_FIN ? "FIN" : how == CLOSING_RST_ACK ? "RST, ACK" : "RST";
}

static void steps_of_client(struct ladder *l, const struct exchange_fact *f)
{
	struct arena *a = l->arena;

	step(l, f->x.request.first, 0, 1, request_label(a, f), false);
	if (f->x.response.first.packet != 0)
		step(l, f->x.response.first, 1, 0,
		     f->x.status != 0 ? arena_text(a, "%u", f->x.status) : "bytes", false);
	if (f->x.outcome != OUTCOME_COMPLETE && f->conn.closing != CLOSING_NONE)
		step(l, f->conn.closed, f->conn.closer == CLIENT ? 0 : 1,
		     f->conn.closer == CLIENT ? 1 : 0, closing_label(f->conn.closing), false);
}

static void steps_of_conn(struct ladder *l, const struct conn_facts *c, unsigned column)
{
	step(l, c->side[CLIENT].syn, 1, column, "SYN", false);
	step(l, c->side[SERVER].syn, column, 1, "SYN, ACK", false);
	step(l, c->side[SERVER].fin, column, 1, "FIN", false);
	step(l, c->side[CLIENT].fin, 1, column, "FIN", false);
	step(l, c->side[SERVER].rst.at, column, 1,
	     c->side[SERVER].rst.kind == RST_WITH_ACK ? "RST, ACK" : "RST", false);
	step(l, c->side[CLIENT].rst.at, 1, column, "RST", false);
}

static void steps_of_exchange(struct ladder *l, const struct exchange_fact *f, unsigned column)
{
	struct arena *a = l->arena;

	if (!f->x.reused)
		steps_of_conn(l, &f->conn, column);
	step(l, f->x.request.first, 1, column, request_label(a, f), f->x.request_acked.packet == 0);
	if (f->x.response.first.packet != 0)
		step(l, f->x.response.first, column, 1,
		     f->x.status != 0 ? arena_text(a, "%u", f->x.status) : "bytes", false);
	for (int side = CLIENT; side <= SERVER; side++)
		step(l, f->h2.rst_stream[side], side == CLIENT ? 1 : column,
		     side == CLIENT ? column : 1, "RST_STREAM", false);
	if (f->x.outcome == OUTCOME_COMPLETE || !f->x.reused)
		return;
	step(l, f->conn.side[SERVER].fin, column, 1, "FIN", false);
	step(l, f->conn.side[CLIENT].fin, 1, column, "FIN", false);
	step(l, f->conn.side[SERVER].rst.at, column, 1, "RST", false);
	step(l, f->conn.side[CLIENT].rst.at, 1, column, "RST", false);
}

static void steps_of_trial(struct ladder *l, const struct kept *k, unsigned column)
{
	const void *f = k->fact;
	const struct syn_fact *syn = f;
	const struct conn_fact *conn = f;
	const struct brief_fact *brief = f;
	struct arena *a = l->arena;

	switch (k->fact->kind) {
	case FACT_EXCHANGE:
		steps_of_exchange(l, f, column);
		break;
	case FACT_CONN:
		steps_of_conn(l, &conn->conn, column);
		break;
	case FACT_SYN:
		step(l, syn->first, 1, column, "SYN", true);
		if (syn->syns > 1)
			step(l, syn->last, 1, column, arena_text(a, "SYN (%u in all)", syn->syns),
			     true);
		step(l, syn->icmp.at, column, 1, "ICMP", false);
		break;
	case FACT_BRIEF:
		step(l, brief->request, 1, column, "request", false);
		step(l, brief->response_first, column, 1, arena_text(a, "%u", brief->status),
		     false);
		break;
	case FACT_ARP:
		step(l, k->begin, 1, column, "who has it?", true);
		break;
	case FACT_DNS:
		step(l, k->begin, 1, column, "DNS question", false);
		if (k->last.packet != k->begin.packet)
			step(l, k->last, column, 1, "DNS answer", false);
		break;
	default:
		step(l, k->begin, column, 1, "ICMP", false);
		break;
	}
}

static int compare_steps(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return (x->at.packet > y->at.packet) - (x->at.packet < y->at.packet);
}

void steps_fill(struct incident *i, const struct matter *m, struct arena *a)
{
	struct ladder l = { i, a };
	char text[ENDPOINT_TEXT];

	i->steps = arena_alloc(a, STEPS_MAX * sizeof *i->steps);
	if (i->steps == NULL)
		return;
	i->columns[i->n_columns++] = "client";
	i->columns[i->n_columns++] = "gateway";
	for (unsigned t = 0; t < m->n_trials && i->n_columns < COLUMNS_MAX; t++)
		i->columns[i->n_columns++] =
			m->trials[t]->fact->kind == FACT_DNS
				? "name server"
				: arena_text(a, "%s",
					     endpoint_text(&m->trials[t]->end[SERVER], text));
	if (m->client != NULL && m->client->fact->kind == FACT_EXCHANGE)
		steps_of_client(&l, (const void *)m->client->fact);
	for (unsigned t = 0; t < m->n_trials; t++)
		steps_of_trial(&l, m->trials[t], t + 2);
	qsort(i->steps, i->n_steps, sizeof *i->steps, compare_steps);
}

/* ---- the display filter ------------------------------------------------------------------- */

void steps_filter(struct incident *i, const struct matter *m, struct arena *a)
{
	char streams[FILTER_BYTES] = "";
	size_t at = 0;
	uint64_t first = UINT64_MAX, last = 0;
	bool all = true;

	if (m->client != NULL)
		at += (size_t)snprintf(streams, sizeof streams, "%u", m->client->fact->conn);
	for (unsigned t = 0; t < m->n_trials && at < sizeof streams - 16; t++) {
		if (m->trials[t]->fact->kind > FACT_CONN)
			all = false;
		else
			at += (size_t)snprintf(streams + at, sizeof streams - at, "%s%u",
					       at != 0 ? ", " : "", m->trials[t]->fact->conn);
	}
	for (unsigned n = 0; n < i->n_steps; n++) {
		first = i->steps[n].at.packet < first ? i->steps[n].at.packet : first;
		last = i->steps[n].at.packet > last ? i->steps[n].at.packet : last;
	}
	for (unsigned n = 0; n < i->n_evidence; n++) {
		first = i->evidence[n].at.packet < first ? i->evidence[n].at.packet : first;
		last = i->evidence[n].at.packet > last ? i->evidence[n].at.packet : last;
	}
	if (first > last)
		i->filter = arena_text(a, "tcp.stream in {%s}", streams);
	else if (all && at != 0)
		i->filter =
			arena_text(a, "tcp.stream in {%s} && frame.number in {%llu..%llu}",
				   streams, (unsigned long long)first, (unsigned long long)last);
	else
		i->filter = arena_text(a, "frame.number in {%llu..%llu}",
				       (unsigned long long)first, (unsigned long long)last);
}
