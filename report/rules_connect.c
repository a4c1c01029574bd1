/* rules_connect.c - no connection: refused, unanswered, unreachable, queue full, port in use, name unknown */
#include "rules.h"

#include <inttypes.h>

/* ---- DNS ---------------------------------------------------------------------------------- */

/* RFC 1035 4.1.1, RFC 6895 2.3 */
static const char *rcode_name(unsigned rcode)
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED" };

	return rcode < sizeof names / sizeof names[0] ? names[rcode] : "error";
}

bool rule_dns_failure(const struct look *l, struct finding *f)
{
	const struct dns_fact *dns = l->t != NULL ? l->t->dns : NULL;
	char name[QUOTE_TEXT], server[ENDPOINT_TEXT], time[TIME_TEXT];
	struct mark asked;

	if (dns == NULL || l->x != NULL || l->conn != NULL || l->t->syn != NULL)
		return false;
	asked = dns->answer ? dns->question : dns->head.at;
	if (dns->answer ? dns->rcode == 0 && dns->n_addresses != 0
	                : !silent_enough(l, asked) && l->t->ended.time_ns - asked.time_ns < ABSENCE_NS)
		return false;
	if (f->arena == NULL)
		return true;
	quote_text(fact_text(dns, dns->name), name);
	endpoint_text(&dns->server, server);
	note(f, asked, "asked %s for %s (%s)", server, name, dns->type == 28 ? "AAAA" : "A");
	if (!dns->answer) {
		time_text(waited_ns(l, asked), time);
		detail_word(f, "rcode", "no-answer");
		detail_seconds(f, "waited_s", waited_ns(l, asked));
		say(f, "The gateway could not find its upstream: the name server %s did not answer for %s within %s.", server, name, time);
	} else {
		const char *answer = dns->rcode != 0 ? rcode_name(dns->rcode) : "an empty answer";

		note(f, dns->head.at, "%s answered: %s", server, answer);
		detail_word(f, "rcode", dns->rcode != 0 ? rcode_name(dns->rcode) : "empty");
		say(f, "The gateway could not find its upstream: the name server %s answered %s for %s.", server, answer, name);
		if (dns->rcode == 2 || dns->rcode == 5)
			blame(f, FAULT_NETWORK);
	}
	note_answer(l, f);
	return true;
}

/* ---- answers to a SYN --------------------------------------------------------------------- */

/* Data or FIN of the gateway's mean that there was a SYN-ACK, captured or not. */
static bool handshake_begun(const struct look *l)
{
	return l->conn != NULL && (happened(l->up->syn) || l->conn->joined_late || happened(l->conn->handshake) || l->gw->bytes != 0 ||
	                           happened(l->gw->fin));
}

static struct mark first_syn(const struct look *l)
{
	if (l->t->syn != NULL)
		return l->t->syn->first;
	return l->conn != NULL ? l->gw->syn : (struct mark){ 0, 0 };
}

static struct mark last_syn(const struct look *l)
{
	if (l->t->syn != NULL)
		return l->t->syn->last;
	return l->conn != NULL && happened(l->gw->syn_last) ? l->gw->syn_last : first_syn(l);
}

static unsigned syn_count(const struct look *l)
{
	if (l->t->syn != NULL)
		return l->t->syn->syns;
	return l->conn != NULL ? l->gw->syns : 0;
}

bool rule_port_reuse_conflict(const struct look *l, struct finding *f)
{
	if (l->conn == NULL || !happened(l->up->strange_ack) || happened(l->up->syn))
		return false;
	note(f, first_syn(l), "%s sent SYN to %s", l->gateway, l->upstream);
	note(f, l->up->strange_ack, "%s answered with a bare ACK of an older connection, not with SYN-ACK (RFC 5961 4)", l->upstream);
	note(f, l->gw->rst.at, "%s reset that older connection", l->gateway);
	if (l->gw->syns > 1)
		note(f, last_syn(l), "SYN sent again, %u in all", l->gw->syns);
	note_answer(l, f);
	detail_count(f, "syns", l->gw->syns);
	say(f, "%s used a port again whose earlier connection %s still remembers: the SYN got a bare ACK, and no connection was made.",
	    l->gateway, l->upstream);
	return true;
}

bool rule_connection_refused(const struct look *l, struct finding *f)
{
	char time[TIME_TEXT];
	struct endpoint host;
	uint8_t low, high;
	int64_t after;

	if (l->conn == NULL || l->x != NULL || handshake_begun(l) || !happened(l->up->rst.at) || !happened(l->gw->syn))
		return false;
	after = l->up->rst.at.time_ns - last_syn(l).time_ns;
	note(f, last_syn(l), "%s sent SYN to %s", l->gateway, l->upstream);
	note(f, l->up->rst.at, "%s answered with RST after %s: nobody listens there", l->upstream, time_text(after, time));
	host = l->t->upstream;
	host.port = 0;          /* its other ports may answer */
	if (f->arena != NULL && learned_ttl(l->c->learned, &host, &low, &high) && l->up->rst.ttl != 0 &&
	    (l->up->rst.ttl + 1 < low || l->up->rst.ttl > high + 1))
		note(f, l->up->rst.at, "its hop limit is %u, that of the address's other packets %u to %u: a firewall may have refused in its place",
		     l->up->rst.ttl, low, high);
	note_answer(l, f);
	if (f->arena != NULL) {
		unsigned tries = 0;

		for (unsigned i = 0; i < l->c->n_trials; i++)
			tries += endpoint_equal(&l->c->trials[i].upstream, &l->t->upstream);
		detail_seconds(f, "after_s", after);
		detail_count(f, "tries", tries != 0 ? tries : 1);
	}
	say(f, "%s refused the connection: its RST answered the gateway's SYN after %s, so nothing listens on that port.",
	    l->upstream, time);
	return true;
}

/* ---- unreachable -------------------------------------------------------------------------- */

struct unreachable { uint8_t v6, type, code; const char *word, *text; };

/* RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1; RFC 4443 3.1, 3.3. "Fragmentation needed" (3/4) and "packet too big" are
 * no refusal: rule_mtu_blackhole. */
static const struct unreachable unreachables[] = {
	{ 0, 3, 0, "net-unreachable", "network unreachable" },
	{ 0, 3, 1, "host-unreachable", "host unreachable" },
	{ 0, 3, 2, "protocol-unreachable", "protocol unreachable" },
	{ 0, 3, 3, "port-unreachable", "port unreachable" },
	{ 0, 3, 6, "net-unknown", "network unknown" },
	{ 0, 3, 7, "host-unknown", "host unknown" },
	{ 0, 3, 9, "net-prohibited", "network administratively prohibited" },
	{ 0, 3, 10, "host-prohibited", "host administratively prohibited" },
	{ 0, 3, 13, "prohibited", "communication administratively prohibited" },
	{ 0, 11, 0, "hop-limit", "time to live exceeded in transit" },
	{ 1, 1, 0, "no-route", "no route to destination" },
	{ 1, 1, 1, "prohibited", "communication administratively prohibited" },
	{ 1, 1, 2, "beyond-scope", "beyond scope of source address" },
	{ 1, 1, 3, "address-unreachable", "address unreachable" },
	{ 1, 1, 4, "port-unreachable", "port unreachable" },
	{ 1, 1, 5, "policy", "source address failed policy" },
	{ 1, 1, 6, "reject-route", "reject route to destination" },
	{ 1, 3, 0, "hop-limit", "hop limit exceeded in transit" },
};

static const struct unreachable *unreachable_of(const struct icmp_note *n)
{
	if (!happened(n->at))
		return NULL;
	for (size_t i = 0; i < sizeof unreachables / sizeof unreachables[0]; i++)
		if ((unreachables[i].v6 != 0) == (n->v6 != 0) && unreachables[i].type == n->type && unreachables[i].code == n->code)
			return &unreachables[i];
	return NULL;
}

/* Linux ends a connection attempt at once on these; on an open connection they are soft errors (RFC 5461), so only
 * attempts count. */
static const struct icmp_note *icmp_of(const struct look *l)
{
	if (l->t->icmp != NULL)
		return &l->t->icmp->note;
	if (l->t->syn != NULL)
		return &l->t->syn->icmp;
	return l->conn != NULL && !handshake_begun(l) ? &l->conn->icmp : NULL;
}

static bool arp_unanswered(const struct look *l, struct finding *f)
{
	const struct arp_fact *arp = l->t->arp;
	char target[ENDPOINT_TEXT], time[TIME_TEXT];
	struct endpoint e = { .port = 0 };
	int64_t waited;

	if (arp == NULL || arp->answer || l->t->syn != NULL || l->conn != NULL)
		return false;
	waited = l->t->ended.time_ns > l->t->began.time_ns ? l->t->ended.time_ns - l->t->began.time_ns : 0;
	if (waited_ns(l, l->t->began) > waited)
		waited = waited_ns(l, l->t->began);
	/* Linux asks three times, a second apart (arp(7), mcast_solicit): two questions are a second of silence. */
	if (waited < ABSENCE_NS)
		return false;
	/* Who asked once and not again had its answer, which the capture lacks. */
	if (l->t->n_arp < 2)
		return false;
	if (f->arena == NULL)
		return true;
	memcpy(e.address, arp->target, sizeof e.address);
	endpoint_text(&e, target);
	note(f, l->t->began, "the gateway asked who has %s", target);
	if (l->t->ended.packet != l->t->began.packet)
		note(f, l->t->ended, "asked again, %u times in all, and nobody answered", l->t->n_arp);
	note_answer(l, f);
	detail_word(f, "reason", "no-arp-answer");
	detail_count(f, "questions", l->t->n_arp);
	detail_seconds(f, "waited_s", waited);
	say(f, "The gateway could not reach %s: nobody on its network answered for that address (asked %u times in %s).",
	    target, l->t->n_arp, time_text(waited, time));
	return true;
}

bool rule_host_unreachable(const struct look *l, struct finding *f)
{
	const struct icmp_note *n;
	const struct unreachable *u;
	char from[ENDPOINT_TEXT];

	if (l->t == NULL || l->x != NULL)
		return false;
	if (arp_unanswered(l, f))
		return true;
	n = icmp_of(l);
	u = n != NULL ? unreachable_of(n) : NULL;
	if (u == NULL)
		return false;
	if (f->arena == NULL)
		return true;
	endpoint_text(&n->from, from);
	note(f, first_syn(l), "%s sent SYN to %s", l->gateway, l->upstream);
	note(f, n->at, "%s answered with ICMP%s %u/%u: %s", from, n->v6 ? "v6" : "", n->type, n->code, u->text);
	note_answer(l, f);
	detail_word(f, "reason", u->word);
	say(f, "%s could not be reached: %s sent \"%s\" in answer to the gateway's SYN.", l->upstream, from, u->text);
	return true;
}

/* ---- the accept queue --------------------------------------------------------------------- */

/* Signs of a full queue are looked for this far from a connection's SYN (MECHANISMS 8, step 3). */
#define QUEUE_WINDOW_NS (3 * NS_PER_S)

static const char overflow_says[] =
	"%s has no room for new connections: %s.";

/* SYN-ACK sent again although its ACK was captured, and the request not acknowledged: the kernel dropped the ACK because
 * the queue was full (tcp(7), tcp_abort_on_overflow). With TCP_DEFER_ACCEPT data would be acknowledged at once. */
static bool syn_ack_resent(const struct look *l, struct finding *f)
{
	if (l->conn == NULL || l->up->syn_resends_after_ack == 0 || l->gw->bytes == 0 || l->gw->bytes_acked != 0 || l->answered)
		return false;
	note(f, l->conn->handshake, "%s acknowledged the handshake", l->gateway);
	note(f, l->up->syn_last, "%s sent SYN-ACK again, %u times: it did not keep the connection", l->upstream, l->up->syn_resends_after_ack);
	note(f, l->gw->unacked, "the request, never acknowledged, sent again %u times", l->gw->resends_unacked);
	detail_count(f, "syn_ack_resends", l->up->syn_resends_after_ack);
	say(f, overflow_says, l->upstream, "it completed the handshake but sent its SYN-ACK again and never took the request");
	return true;
}

/* New SYNs dropped while others to the same listener were or are answered. */
static bool syn_dropped(const struct look *l, struct finding *f)
{
	const struct trial *t = l->t;
	struct mark first = first_syn(l), when = { 0, 0 };
	struct queue_signs q = { 0 };
	uint32_t own = l->conn != NULL && t->conn != NULL ? t->conn->head.conn : t->syn != NULL ? t->syn->head.conn : UINT32_MAX;
	bool queued, connected;
	int64_t until;

	if (handshake_begun(l) || !happened(first) || (l->conn != NULL && happened(l->up->rst.at)))
		return false;
	until = happened(l->gave_up) ? l->gave_up.time_ns : last_syn(l).time_ns;
	if (!silent_enough(l, first) && syn_count(l) < 2)
		return false;
	learned_queue(l->c->learned, &t->upstream, first.time_ns - QUEUE_WINDOW_NS, until, &q);
	queued = q.acked_unanswered != 0 || q.syn_ack_resent != 0 || q.unacked != 0;
	/* A full queue drops every SYN until there is room again: where others were taken meanwhile, or this one alone was
	 * dropped, it was the path that lost it. */
	connected = q.syn_dropped > 1 &&
	            !learned_connected_between(l->c->learned, &t->upstream, first.time_ns, last_syn(l).time_ns, own, &when) &&
	            learned_connected_between(l->c->learned, &t->upstream, first.time_ns - QUEUE_WINDOW_NS,
	                                      until + QUEUE_WINDOW_NS, own, &when);
	if (!queued && !connected)
		return false;
	if (!queued)
		at_most(f, CONFIDENCE_MEDIUM);
	note(f, first, "%s sent SYN to %s, %u in all, never answered", l->gateway, l->upstream, syn_count(l));
	if (last_syn(l).packet != first.packet)
		note(f, last_syn(l), "the last of them");
	if (queued)
		note(f, q.unserved, "a connection that the same listener had admitted: handshake done, request %s",
		     q.acked_unanswered != 0 ? "acknowledged, not answered" : "never acknowledged");
	else
		note(f, when, "another connection to the same listener, answered: it is up");
	witness(f, queued ? q.unserved : when);
	witness(f, q.dropped);
	note_answer(l, f);
	detail_count(f, "syns", syn_count(l));
	detail_count(f, "admitted_unanswered", q.acked_unanswered);
	detail_seconds(f, "waited_s", waited_ns(l, first));
	say(f, overflow_says, l->upstream, "it drops new SYNs while connections that it has already taken wait to be served");
	return true;
}

/* Of connections opened to one listener within about a second some first requests are acknowledged, this one never. */
static bool never_taken(const struct look *l, struct finding *f)
{
	struct queue_signs q = { 0 };

	if (l->x == NULL || l->x->ordinal != 1 || l->answered || happened(l->x->request_acked) || l->gw->bytes_acked != 0 ||
	    l->gw->resends_unacked == 0 || happened(l->up->fin) || happened(l->up->rst.at) || !happened(l->gw->syn) ||
	    !silent_enough(l, l->x->request.first))
		return false;
	learned_queue(l->c->learned, &l->t->upstream, l->gw->syn.time_ns - NS_PER_S, l->gw->syn.time_ns + NS_PER_S, &q);
	if (q.acked_unanswered == 0)
		return false;
	at_most(f, q.unacked > 1 ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM);
	note_request(l, f);
	note(f, l->gw->last_resend, "sent again %u times, never acknowledged", l->gw->resends_unacked);
	note(f, q.unserved, "a connection to the same listener, opened within a second of this one, whose request was acknowledged");
	witness(f, q.unserved);
	note_answer(l, f);
	detail_count(f, "unacknowledged", q.unacked);
	detail_count(f, "admitted_unanswered", q.acked_unanswered);
	detail_seconds(f, "waited_s", waited_ns(l, l->x->request.first));
	say(f, overflow_says, l->upstream, "of connections opened within a second it took some and never took the request of this one");
	return true;
}

/* Admitted, acknowledged, never answered while SYNs were dropped; then RST when the listener closed. */
static bool died_in_queue(const struct look *l, struct finding *f)
{
	struct queue_signs q = { 0 };

	if (l->x == NULL || l->x->ordinal != 1 || l->answered || !happened(l->x->request_acked) || !happened(l->gw->syn) ||
	    !up_closed(l, CLOSING_RST_ACK))
		return false;
	learned_queue(l->c->learned, &l->t->upstream, l->gw->syn.time_ns, l->end.time_ns, &q);
	if (q.syn_dropped == 0)
		return false;
	note_request(l, f);
	note(f, l->x->request_acked, "acknowledged by the kernel of %s", l->upstream);
	note(f, q.dropped, "meanwhile a SYN to the same listener was dropped: its queue was full");
	witness(f, q.dropped);
	note(f, l->end, "%s reset the connection, never having read the request", l->upstream);
	note_answer(l, f);
	detail_count(f, "syns_dropped", q.syn_dropped);
	say(f, overflow_says, l->upstream, "this connection waited in the queue of a listener that took no more, and was reset when it closed");
	return true;
}

bool rule_accept_queue_overflow(const struct look *l, struct finding *f)
{
	if (l->t == NULL || l->brief != NULL)
		return false;
	return syn_ack_resent(l, f) || syn_dropped(l, f) || never_taken(l, f) || died_in_queue(l, f);
}

/* A SYN-ACK for which the gateway had no socket any more: it had given up, and its kernel answered with RST. */
static bool syn_ack_too_late(const struct look *l)
{
	return l->conn != NULL && happened(l->up->syn) && !happened(l->conn->handshake) && l->gw->bytes == 0 && !happened(l->gw->fin) &&
	       l->gw->rst.kind == RST_ALONE && before(l->up->syn, l->gw->rst.at);
}

/* It refuses connections: a single SYN without an answer is more likely one whose RST was not captured. */
static bool refuses(const struct look *l)
{
	struct server_seen seen;

	return learned_server(l->c->learned, &l->t->upstream, &seen) && seen.refused != 0;
}

bool rule_connect_timeout(const struct look *l, struct finding *f)
{
	struct mark first;
	char time[TIME_TEXT];
	bool late = syn_ack_too_late(l);
	int64_t waited;

	if (l->t == NULL || l->x != NULL || l->brief != NULL || (handshake_begun(l) && !late) || (l->conn != NULL && happened(l->up->rst.at)))
		return false;
	first = first_syn(l);
	if (!happened(first) || (!silent_enough(l, first) && last_syn(l).time_ns - first.time_ns < ABSENCE_NS))
		return false;
	waited = waited_ns(l, first) != 0 ? waited_ns(l, first) : last_syn(l).time_ns - first.time_ns;
	if (syn_count(l) < 2 && refuses(l))
		return false;
	note(f, first, "%s sent SYN to %s", l->gateway, l->upstream);
	if (last_syn(l).packet != first.packet)
		note(f, last_syn(l), "sent again, %u in all; no SYN-ACK, no RST, no ICMP", syn_count(l));
	if (late)
		note(f, l->up->syn, "SYN-ACK came too late, %s after the first SYN: %s had given up and answered it with RST",
		     time_text(l->up->syn.time_ns - first.time_ns, time), l->gateway);
	note_answer(l, f);
	detail_seconds(f, "waited_s", waited);
	detail_count(f, "syns", syn_count(l));
	say(f, late ? "%s answered too late: %u SYN%s in %s, and its SYN-ACK came when the gateway had given up."
	            : "%s never answered: %u SYN%s in %s and neither SYN-ACK, RST nor ICMP came back.",
	    l->upstream, syn_count(l), syn_count(l) == 1 ? "" : "s", time_text(waited, time));
	return true;
}

/* ---- nothing was tried -------------------------------------------------------------------- */

/* Linux gives about 28,000 ports to one destination and keeps each 60 s in TIME_WAIT (ip-sysctl, ip_local_port_range). */
enum { PORTS_NEARLY_USED_UP = 25000 };

/* Packets of two interfaces come out of order by about a millisecond; as in tie.h. */
#define TAPS_APART_NS (2 * NS_PER_MS)

static unsigned attempts_in_the_last_minute(const struct case_file *c, const uint8_t address[static 16])
{
	int64_t asked_ns = c->client->x.request.first.time_ns;

	return learned_attempts_from(c->learned, address, asked_ns - 60 * NS_PER_S, asked_ns);
}

static bool ports_used_up(const struct case_file *c)
{
	for (unsigned i = 0; i < c->n_backs; i++)
		if (attempts_in_the_last_minute(c, c->backs + (size_t)16 * i) >= PORTS_NEARLY_USED_UP)
			return true;
	return attempts_in_the_last_minute(c, c->front.address) >= PORTS_NEARLY_USED_UP;
}

/* A failure before it explains nothing once that upstream has answered again. */
static const struct trial *still_failing(const struct case_file *c)
{
	const struct trial *t = c->earlier;
	struct mark when;

	return t != NULL && !learned_answered_between(c->learned, &t->upstream, t->ended.time_ns, c->client->x.request.first.time_ns,
	                                              UINT32_MAX, &when) ? t : NULL;
}

static const char *why_not_tried(const struct look *l, const struct trial *earlier, int64_t answered_after)
{
	if (ports_used_up(l->c))
		return "ports-exhausted";
	if (earlier != NULL)
		return "no-live-upstream";
	/* It did nothing for a while and then refused: the request waited for a free connection. */
	if (answered_after >= ABSENCE_NS)
		return "queue";
	return "answered-by-itself";
}

bool rule_no_upstream_attempt(const struct look *l, struct finding *f)
{
	const struct case_file *c = l->c;
	const struct trial *earlier;
	char time[TIME_TEXT], upstream[ENDPOINT_TEXT], front[ENDPOINT_TEXT];
	const char *reason;
	int64_t after;

	if (l->t != NULL || c->client == NULL || !c->reaches_upstreams)
		return false;
	if (f->arena == NULL)
		return true;
	after = happened(l->gave_up) ? l->gave_up.time_ns - c->client->x.request.first.time_ns : 0;
	earlier = still_failing(c);
	reason = why_not_tried(l, earlier, after);
	endpoint_text(&c->front, front);
	note(f, c->client->x.request.first, "the client's request to %s", front);
	note_answer(l, f);
	if (earlier != NULL) {
		int cause = judge_trial(c, earlier);

		note(f, earlier->began, "the failure before it: %s, %s", endpoint_text(&earlier->upstream, upstream),
		     cause >= 0 ? cause_row((unsigned)cause)->name : "failed");
	}
	detail_word(f, "reason", reason);
	detail_seconds(f, "answered_after_s", after);
	/* That nothing was tried, no packet shows: one that is missing from the capture (a SYN that was refused, say) looks the same. */
	at_most(f, reason[0] == 'p' ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM);
	/* Nothing for so long, and no failure before it: a try that was not captured looks the same. */
	if (earlier == NULL && reason[0] != 'p' && after >= ABSENCE_NS)
		at_most(f, CONFIDENCE_LOW);
	/* It connected to somebody meanwhile, for this request perhaps: what it asked there was not captured. */
	if (learned_attempts_from(c->learned, c->front.address, c->client->x.request.first.time_ns - TAPS_APART_NS,
	                          l->gave_up.time_ns) != 0)
		at_most(f, CONFIDENCE_LOW);
	say(f, "%s answered by itself after %s and sent nothing to any upstream, although it reaches upstreams elsewhere in this capture.",
	    front, time_text(after, time));
	return true;
}
