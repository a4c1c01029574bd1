/* rules_timeout.c - somebody waited too long: the gateway gave up first */
#include "rules.h"

#include <inttypes.h>

bool rule_request_stall(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	char time[TIME_TEXT];

	if (x == NULL || !happened(l->up->window_zero) || l->answered || up_ended(l) || happened(x->request_acked) ||
	    probes_unanswered(l) || !silent_enough(l, l->up->window_zero))
		return false;
	note_request(l, f);
	note(f, l->up->window_zero, "%s announced window 0: it takes no more of the request", l->upstream);
	note(f, l->gave_up, "still window 0 after %s (%u probes), and the gateway gave up", time_text(waited_ns(l, l->up->window_zero), time), l->up->zero_probes);
	note_answer(l, f);
	detail_seconds(f, "waited_s", waited_ns(l, l->up->window_zero));
	detail_count(f, "request_bytes", (int64_t)x->request.body_bytes);
	if (x->request.declared != UINT64_MAX)
		detail_count(f, "request_length", (int64_t)x->request.declared);
	detail_count(f, "probes", l->up->zero_probes);
	say(f, "%s stopped taking the request (TCP window 0) and did not go on for %s.", l->upstream,
	    time_text(waited_ns(l, l->up->window_zero), time));
	return true;
}

bool rule_stalled_mid_response(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	char time[TIME_TEXT];
	bool headers;

	if (x == NULL || !l->answered || x->response.complete || up_ended(l) || x->outcome == OUTCOME_COMPLETE ||
	    x->outcome == OUTCOME_UPGRADED || x->outcome == OUTCOME_TUNNEL || x->outcome == OUTCOME_GARBLED ||
	    !silent_enough(l, x->response.last))
		return false;
	/* The gateway itself took no more (its client is slow): the upstream was held up, it did not stall. */
	if (happened(l->gw->window_zero))
		return false;
	headers = !x->response.head_complete;
	note_request(l, f);
	note(f, x->response.first, "%s began its response", l->upstream);
	note(f, x->response.last, "its last byte: %" PRIu64 " bytes of %s, not whole", headers ? x->response.head_bytes : x->response.body_bytes,
	     headers ? "the header section" : "the body");
	note(f, l->gave_up, "nothing more for %s, and the gateway gave up first", time_text(waited_ns(l, x->response.last), time));
	note_answer(l, f);
	detail_seconds(f, "waited_s", waited_ns(l, x->response.last));
	detail_word(f, "amid", headers ? "headers" : "body");
	detail_count(f, headers ? "header_bytes" : "body_bytes", (int64_t)(headers ? x->response.head_bytes : x->response.body_bytes));
	if (!headers && x->response.declared != UINT64_MAX)
		detail_count(f, "content_length", (int64_t)x->response.declared);
	say(f, "%s began its response and stopped amid its %s: nothing more came for %s, and the gateway gave up.", l->upstream,
	    headers ? "header section" : "body", time_text(waited_ns(l, x->response.last), time));
	return true;
}

static bool request_arrived(const struct look *l)
{
	/* Where nothing was sent again no acknowledgement was missed; where only one side was captured no silence can be seen. */
	bool acked = happened(l->x->request_acked) || (expects_100(l) && !happened(l->gw->unacked) && happened(l->gw->acked));

	return (l->x->request.complete || expects_100(l)) && heard(l) && (acked || l->gw->resends_unacked == 0);
}

bool rule_response_timeout(const struct look *l, struct finding *f)
{
	const struct exchange_facts *x = l->x;
	char time[TIME_TEXT];
	struct mark since;
	bool expected_100;

	if (l->conn == NULL || l->brief != NULL || up_ended(l) || l->answered || (x != NULL ? !request_arrived(l) : !encrypted_and_unanswered(l)))
		return false;
	since = x != NULL ? x->request.last : l->tls->turn_last[CLIENT];
	if (!silent_enough(l, since))
		return false;
	expected_100 = expects_100(l);
	note_request(l, f);
	if (x != NULL) {
		note(f, x->request_acked, "%s acknowledged the request: it was not lost", l->upstream);
		if (x->n_interim != 0)
			note(f, x->interim_at, "%s sent an interim %u, which is no response", l->upstream, x->interim[0]);
	} else {
		note(f, since, "%s sent application data inside TLS, acknowledged", l->gateway);
		at_most(f, CONFIDENCE_MEDIUM);
	}
	time_text(waited_ns(l, since), time);
	note(f, l->gave_up, "not a byte of a response for %s, and the gateway gave up first", time);
	if (gw_closed(l) && l->conn->closed.packet != l->gave_up.packet)
		note(f, l->conn->closed, "%s closed the upstream connection", l->gateway);
	note_answer(l, f);
	detail_seconds(f, "waited_s", waited_ns(l, since));
	if (x != NULL)
		detail_bool(f, "request_acked", happened(x->request_acked));
	if (expected_100)
		detail_bool(f, "expect_100", true);
	if (x != NULL && x->n_interim != 0)
		detail_count(f, "interim", x->interim[0]);
	if (x != NULL && !happened(x->request_acked))
		at_most(f, CONFIDENCE_MEDIUM);
	say(f, "%s took the request and sent nothing back for %s; then the gateway gave up%s.", l->upstream, time,
	    expected_100 ? " (it waited for 100 Continue, which never came)" : "");
	return true;
}
