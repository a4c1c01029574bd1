/* rules_network.c - between gateway and upstream: loss, MTU, forgotten flows, foreign resets; and clients that leave */
#include "rules.h"

#include <inttypes.h>

/* Nothing acknowledged since `side`'s oldest unacknowledged segment, though it was sent again. */
static bool unacked_and_resent(const struct tcp_side *side)
{
	return happened(side->unacked) && side->resends_unacked != 0;
}

/* ---- MTU ---------------------------------------------------------------------------------- */

/* RFC 1191 4, RFC 8201 4: "fragmentation needed" and "packet too big". */
static bool too_big_said(const struct conn_facts *c)
{
	const struct icmp_note *n = &c->icmp;

	return happened(n->at) && (n->v6 ? n->type == 2 && n->code == 0 : n->type == 3 && n->code == 4);
}

/* What a segment carries at most: MSS less timestamps (RFC 7323 3.2: 12 bytes). IPv6's minimum MTU, 1280, and what
 * tunnels leave make segments from about 1200 up the ones that a smaller MTU stops. */
enum { TIMESTAMPS = 12, LIKELY_TOO_BIG = 1000 };

static bool full_size(const struct tcp_side *to, uint32_t len)
{
	return len >= LIKELY_TOO_BIG && (to->mss == 0 || len + TIMESTAMPS + 40 >= to->mss || len > 1200);
}

/* The gateway's full-size segments are never acknowledged while smaller ones get through. */
static bool request_too_big(const struct look *l)
{
	const struct tcp_side *gw = l->gw;

	if (!unacked_and_resent(gw) || l->answered || !silent_enough(l, gw->unacked))
		return false;
	if (too_big_said(l->conn))
		return gw->unacked_len > gw->smaller_passed;
	return full_size(l->up, gw->unacked_len) && gw->unacked_len > gw->smaller_passed && (gw->later_acked || gw->smaller_passed != 0);
}

/* The upstream's never come: what is missing is at least one full segment, a smaller one behind it came, and the gateway
 * could not acknowledge it. A segment that the capture alone had missed would have been acknowledged. */
static bool response_too_big(const struct look *l)
{
	const struct tcp_side *up = l->up;

	if (up->gap_bytes == 0 || !full_size(l->gw, (uint32_t)(up->gap_bytes < UINT32_MAX ? up->gap_bytes : UINT32_MAX)))
		return false;
	return up->bytes_acked + up->gap_bytes < up->bytes && l->x != NULL && (!l->x->response.complete || l->x->response.missing != 0) && !up_ended(l) &&
	       silent_enough(l, up->last_data);
}

bool rule_mtu_blackhole(const struct look *l, struct finding *f)
{
	char time[TIME_TEXT], from[ENDPOINT_TEXT];
	bool request;
	struct mark since;

	if (l->conn == NULL)
		return false;
	request = request_too_big(l);
	if (!request && !response_too_big(l))
		return false;
	since = request ? l->gw->unacked : l->up->last_data;
	note_request(l, f);
	if (request) {
		note(f, l->gw->unacked, "a segment of %u bytes to %s, never acknowledged", l->gw->unacked_len, l->upstream);
		note(f, l->gw->last_resend, "sent again %u times", l->gw->resends_unacked);
		if (l->gw->smaller_passed != 0)
			note(f, l->gw->unacked, "no plain loss: a smaller segment sent after it (%u bytes) got through (selective or duplicate acknowledgement)",
			     l->gw->smaller_passed);
	} else {
		note(f, l->up->last_data, "%s sent this smaller segment, but %" PRIu64 " bytes before it never came, and the gateway could not acknowledge it: "
		     "full-size segments are lost, smaller ones are not", l->upstream, l->up->gap_bytes);
	}
	if (too_big_said(l->conn))
		note(f, l->conn->icmp.at, "%s sent ICMP \"packet too big\" (MTU %u), and full-size segments were sent on",
		     endpoint_text(&l->conn->icmp.from, from), l->conn->icmp.mtu);
	note_answer(l, f);
	detail_word(f, "direction", request ? "to-upstream" : "from-upstream");
	detail_count(f, "segment_bytes", request ? (int64_t)l->gw->unacked_len : (int64_t)l->up->gap_bytes);
	if (l->gw->smaller_passed != 0 && request)
		detail_count(f, "smaller_passed_bytes", l->gw->smaller_passed);
	if (too_big_said(l->conn) && l->conn->icmp.mtu != 0)
		detail_count(f, "mtu", l->conn->icmp.mtu);
	detail_seconds(f, "waited_s", waited_ns(l, since));
	if (!request)
		at_most(f, CONFIDENCE_MEDIUM);
	say(f, "Full-size packets %s %s do not get through while small ones do: the path's MTU is smaller than the hosts believe (waited %s).",
	    request ? "to" : "from", l->upstream, time_text(waited_ns(l, since), time));
	return true;
}

/* ---- a flow that was forgotten ------------------------------------------------------------ */

static bool request_never_acked(const struct look *l)
{
	return l->x != NULL && !l->answered && heard(l) && !happened(l->x->request_acked) && unacked_and_resent(l->gw) &&
	       silent_enough(l, l->x->request.first);
}

/* Elsewhere an answer, from a little before the request until some time after the gateway gave up. */
#define OTHERS_BEFORE_NS NS_PER_S
#define OTHERS_AFTER_NS (5 * NS_PER_S)

bool rule_idle_connection_lost(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	struct mark when = { 0, 0 };
	char idle[TIME_TEXT];

	if (!request_never_acked(l) || !x->reused || x->idle_ns < NS_PER_S || happened(l->up->fin) || happened(l->up->rst.at))
		return false;
	/* The first segment after the pause itself must be the one that was lost. */
	if (before(l->gw->unacked, x->request.first) || (happened(l->gw->acked) && before(x->request.first, l->gw->acked)))
		return false;
	if (!learned_answered_between(l->c->learned, &l->t->upstream, x->request.first.time_ns - OTHERS_BEFORE_NS,
	                              l->gave_up.time_ns + OTHERS_AFTER_NS, l->fact->head.conn, &when) &&
	    !learned_connected_between(l->c->learned, &l->t->upstream, x->request.first.time_ns - OTHERS_BEFORE_NS,
	                               l->gave_up.time_ns + OTHERS_AFTER_NS, l->fact->head.conn, &when))
		return false;
	note(f, x->before, "the connection's last byte before it fell idle");
	note_request(l, f);
	note(f, l->gw->last_resend, "sent again %u times after %s idle: no acknowledgement, no RST", l->gw->resends_unacked, time_text(x->idle_ns, idle));
	note(f, x->request.first, "no plain loss: another connection to %s was answered meanwhile, in packet %" PRIu64, l->upstream, when.packet);
	witness(f, when);
	note_answer(l, f);
	detail_seconds(f, "idle_s", x->idle_ns);
	detail_seconds(f, "waited_s", waited_ns(l, x->request.first));
	detail_count(f, "resends", l->gw->resends_unacked);
	say(f, "After %s idle the connection to %s was dead: the request was sent %u times and never acknowledged, while other connections worked. "
	    "Something between (NAT, firewall, load balancer) forgot it.", idle, l->upstream, l->gw->resends_unacked + 1);
	return true;
}

/* ---- a reset from elsewhere --------------------------------------------------------------- */

bool rule_reset_by_middlebox(const struct look *l, struct finding *f)
{
	const struct tcp_side *up = l->up;
	bool ttl, data, copied;

	if (l->conn == NULL || !happened(up->rst.at) || happened(up->fin) || !up_reset(l) || (l->x != NULL && l->x->response.complete))
		return false;
	if (!happened(up->syn) && !l->conn->joined_late && l->gw->bytes == 0)
		return false;           /* refused: rule_connection_refused */
	ttl = !same_flow_ttl(l);
	data = happened(up->data_after_rst);
	copied = up->rst.ip_id_copied && up->rst.ip_id != 0;
	if (!ttl && !data && !copied)
		return false;
	note_request(l, f);
	note(f, up->rst.at, "RST in the name of %s: hop limit %u (its other packets: %u to %u), window %u, IP ID 0x%04x%s", l->upstream,
	     up->rst.ttl, up->ttl_min, up->ttl_max, up->rst.window, up->rst.ip_id, copied ? ", copied from the gateway's packet" : "");
	if (data)
		note(f, up->data_after_rst, "%s itself went on sending data after that RST: it did not send it", l->upstream);
	note_answer(l, f);
	detail_count(f, "rst_hop_limit", up->rst.ttl);
	detail_count(f, "upstream_hop_limit", up->ttl_min);
	detail_word(f, "sign", data ? "data-after-rst" : ttl ? "hop-limit" : "ip-id-copied");
	if (!data && (!ttl || copied))
		at_most(f, CONFIDENCE_MEDIUM);
	say(f, "The connection to %s was reset by something in between, not by the upstream: the RST's hop limit is %u, that of the upstream's packets %u%s.",
	    l->upstream, up->rst.ttl, up->ttl_min, data ? ", and the upstream went on sending" : "");
	return true;
}

/* ---- loss --------------------------------------------------------------------------------- */

/* The upstream's answer is sent again and never acknowledged: seen where the capture was taken at the upstream. */
static bool response_lost(const struct look *l)
{
	return l->x != NULL && !l->x->response.complete && unacked_and_resent(l->up) && l->up->resends_unacked > 1 && silent_enough(l, l->up->unacked);
}

/* Several segments of a longer request, some of them acknowledged. */
static bool request_lost(const struct look *l)
{
	if (l->conn == NULL || l->answered || up_ended(l) || !heard(l) || !unacked_and_resent(l->gw) || happened(l->up->window_zero))
		return false;
	return silent_enough(l, l->gw->unacked);
}

/* A closed window is the upstream's; probes of it that nobody answers are the path's. */
static bool probes_lost(const struct look *l, struct finding *f)
{
	char time[TIME_TEXT];

	if (!probes_unanswered(l) || l->answered || up_ended(l) || !silent_enough(l, l->up->window_zero))
		return false;
	note_request(l, f);
	note(f, l->up->window_zero, "%s announced window 0, and nothing more came from it: %u probes of the window were not answered", l->upstream,
	     l->up->zero_probes);
	note(f, l->gave_up, "then the gateway gave up");
	note_answer(l, f);
	detail_word(f, "direction", "to-upstream");
	detail_count(f, "probes", l->up->zero_probes);
	detail_seconds(f, "waited_s", waited_ns(l, l->up->window_zero));
	at_most(f, CONFIDENCE_MEDIUM);
	say(f, "Packets between the gateway and %s are lost: it had closed its window, and none of %u probes in %s was answered.", l->upstream,
	    l->up->zero_probes, time_text(waited_ns(l, l->up->window_zero), time));
	return true;
}

bool rule_packet_loss(const struct look *l, struct finding *f)
{
	bool request = request_lost(l);
	const struct tcp_side *side;
	char time[TIME_TEXT];

	if (probes_lost(l, f))
		return true;
	if (!request && !(l->conn != NULL && response_lost(l)))
		return false;
	side = request ? l->gw : l->up;
	note_request(l, f);
	note(f, side->unacked, "%s sent %u bytes that were never acknowledged", request ? l->gateway : l->upstream, side->unacked_len);
	note(f, side->last_resend, "sent again %u times, the last time %s after the first", side->resends_unacked,
	     time_text(side->last_resend.time_ns - side->unacked.time_ns, time));
	note(f, l->gave_up, "then the gateway gave up");
	note_answer(l, f);
	detail_word(f, "direction", request ? "to-upstream" : "from-upstream");
	detail_count(f, "resends", side->resends_unacked);
	detail_count(f, "segment_bytes", side->unacked_len);
	/* A full one, and none of its size ever arrived: a smaller MTU is not ruled out. */
	if (full_size(request ? l->up : l->gw, side->unacked_len) && side->bytes_acked < side->unacked_len)
		at_most(f, CONFIDENCE_MEDIUM);
	detail_seconds(f, "waited_s", waited_ns(l, side->unacked));
	say(f, "Packets %s %s are lost: the same %u bytes were sent %u times in %s and never acknowledged.", request ? "to" : "from", l->upstream,
	    side->unacked_len, side->resends_unacked + 1, time_text(waited_ns(l, side->unacked), time));
	return true;
}

/* ---- the client left ---------------------------------------------------------------------- */

/* What had gone wrong upstream before the client left is the cause, not its leaving. */
static bool upstream_failed_before(const struct look *l, struct mark left)
{
	if (l->conn != NULL && l->conn->closing != CLOSING_NONE && l->conn->closer == SERVER && before(l->conn->closed, left))
		return true;
	if (l->conn != NULL && happened(l->up->rst.at) && before(l->up->rst.at, left))
		return true;
	if (l->x != NULL && l->x->response.n_broken != 0 && before(l->x->response.broken[0].at, left))
		return true;
	return l->h2 != NULL && ((happened(l->h2->rst_stream[SERVER]) && before(l->h2->rst_stream[SERVER], left)) ||
	                         (happened(l->h2->goaway[SERVER]) && before(l->h2->goaway[SERVER], left)));
}

bool rule_client_aborted(const struct look *l, struct finding *f)
{
	const struct case_file *c = l->c;
	char client[ENDPOINT_TEXT], time[TIME_TEXT];

	if (c->client == NULL || !c->client_left_first || !happened(c->client_left) || l->t == NULL)
		return false;
	if (upstream_failed_before(l, c->client_left) || (l->x != NULL && l->x->response.complete && before(l->x->response.last, c->client_left)) ||
	    (l->brief != NULL && before(l->brief->response, c->client_left)))
		return false;
	note(f, c->client->x.request.first, "the client's request");
	note_request(l, f);
	note(f, c->client_left, "the client %s closed the connection, its request unanswered", endpoint_text(&c->client->conn.end[CLIENT], client));
	if (gw_closed(l))
		note(f, l->conn->closed, "%s gave up the upstream exchange", l->gateway);
	detail_seconds(f, "waited_s", c->client_left.time_ns - c->client->x.request.first.time_ns);
	say(f, "The client went away %s after its request, before the upstream had answered.",
	    time_text(c->client_left.time_ns - c->client->x.request.first.time_ns, time));
	return true;
}
