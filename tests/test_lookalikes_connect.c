/* test_lookalikes_connect.c - no connection, or one that nobody took: causes that look alike, one packet apart
 *
 * Each pair is a story told by one function; its flag bends the packet that decides. The pairs are those of
 * MECHANISMS.md, section 2, and of CAUSES.md, "Rules where two causes lie close".
 */
#include "story_talk.h"

/* A gateway that is known to reach its upstream; the next request comes half a second later. */
static struct story begun(void)
{
	struct story s = story_answered("GET /ok", 204);

	story_wait_ms(&s, 500);
	return s;
}

/* The client has asked, and the gateway's SYN for it goes out on a new connection; `lost`: nothing comes of it. */
static struct story asked(bool lost)
{
	struct story s = begun();

	story_asks(&s, "GET /cart");
	story_begin_back(&s);
	s.next.lost = lost;
	story_syn(&s);
	return s;
}

static void syn_again(struct story *s, int64_t after_ms)
{
	story_wait_ms(s, after_ms);
	s->next.lost = true;
	story_syn(s);
}

/* ---- SYN → RST: the host, or a firewall in its place -------------------------------------------- */

static struct story refused(bool by_firewall)
{
	struct story s = asked(false);

	if (by_firewall)
		s.next.ttl = 40;
	story_refuse(&s);
	story_error(&s, 502);
	return s;
}

TEST(refused_by_the_host_or_by_a_firewall_in_its_name)
{
	struct story host = refused(false), firewall = refused(true);

	CHECK_CAUSE(&host, "connection-refused");
	CHECK_CONFIDENCE(&host, "high");
	CHECK_SAID(&host, "nobody listens there");
	CHECK_UNSAID(&host, "firewall");
	CHECK_CAUSE(&firewall, "connection-refused");
	CHECK_SAID(&firewall, "a firewall may have refused in its place");
}

/* ---- RST or ICMP: nothing listens, or no way there (a Service without endpoints, kube-proxy's REJECT) -- */

static struct story turned_away(bool by_icmp, uint8_t code)
{
	struct story s = asked(false);

	if (by_icmp)
		story_icmp(&s, 3, code, 0);
	else
		story_refuse(&s);
	story_error(&s, 502);
	return s;
}

TEST(rst_is_refused_and_icmp_is_unreachable)
{
	static const struct { uint8_t code; const char *reason; } codes[] = {
		{ 0, "net-unreachable" }, { 1, "host-unreachable" }, { 3, "port-unreachable" }, { 9, "net-prohibited" },
		{ 10, "host-prohibited" }, { 13, "prohibited" }
	};
	struct story s = turned_away(false, 0);

	CHECK_CAUSE(&s, "connection-refused");
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		s = turned_away(true, codes[i].code);
		CHECK_CAUSE(&s, "host-unreachable");
		CHECK_CONFIDENCE(&s, "high");
		CHECK_STR(story_word(&s, "reason"), codes[i].reason);
	}
}

/* ---- ICMP ends an attempt to connect, and is a soft error once connected (RFC 5461) --------------- */

static struct story icmp(bool connected)
{
	struct story s = asked(false);

	if (connected) {
		story_syn_ack(&s);
		story_passes_on(&s, "GET /cart");
		story_ack(&s, UPSTREAM);
	}
	story_icmp(&s, 3, 1, 0);
	story_wait_ms(&s, connected ? 5000 : 1);
	if (connected)
		story_fin(&s, GATEWAY);
	story_error(&s, connected ? 504 : 502);
	return s;
}

TEST(icmp_in_answer_to_a_syn_is_decisive_and_amid_a_connection_is_not)
{
	struct story syn = icmp(false), later = icmp(true);

	CHECK_CAUSE(&syn, "host-unreachable");
	CHECK_CAUSE(&later, "response-timeout");
	CHECK_CONFIDENCE(&later, "high");
}

/* ---- lost SYNs: n seconds late, or never ----------------------------------------------------------- */

static struct story resent_until(bool answered)
{
	struct story s = asked(true);

	syn_again(&s, 1024);
	syn_again(&s, 1024);
	story_wait_ms(&s, 1024);
	if (!answered) {
		story_error(&s, 504);
		return s;
	}
	story_syn(&s);
	story_syn_ack(&s);
	story_passes_on(&s, "GET /cart");
	story_answer(&s, 200);
	return s;
}

TEST(syns_lost_for_some_seconds_are_a_delay_and_syns_lost_for_good_a_timeout)
{
	struct story late = resent_until(true), never = resent_until(false);

	CHECK_CAUSE(&late, "none");
	CHECK_CAUSE(&never, "connect-timeout");
	CHECK_INT(story_detail_count(&never, "syns"), 3);
}

/* ---- silence of a second, or of nothing at all ----------------------------------------------------- */

static struct story silence(bool of_a_second)
{
	struct story s = asked(true);

	story_wait_ms(&s, of_a_second ? 1000 : 3);
	story_error(&s, of_a_second ? 504 : 502);
	return s;
}

TEST(an_unanswered_syn_is_a_timeout_only_if_the_gateway_waited)
{
	struct story waited = silence(true), at_once = silence(false);

	CHECK_CAUSE(&waited, "connect-timeout");
	CHECK_CAUSE(&at_once, "unexplained");
	CHECK_STR(story_word(&at_once, "reason"), "packets-missing");
}

/* ---- a firewall, a full listener, a lossy path, smaller time stamps: who else was let in? --------- */

enum others { NOBODY, BEFORE, MEANWHILE };

/* Two requests whose SYNs are dropped; another connection to the same listener is taken before them, or amid them. */
static struct story dropped(enum others others)
{
	struct story s = story_new();
	int first[2], back[2];

	story_connect_front(&s);
	first[0] = story_front(&s);
	story_connect_front(&s);
	first[1] = story_front(&s);
	if (others != NOBODY) {
		story_request(&s, "GET /ok");
		story_answer(&s, 204);
	}
	story_wait_ms(&s, 500);
	for (unsigned i = 0; i < 2; i++) {
		story_turn_to(&s, first[i], -1);
		story_asks(&s, i == 0 ? "GET /a" : "GET /b");
		story_begin_back(&s);
		back[i] = story_back(&s);
		s.next.lost = true;
		story_syn(&s);
	}
	story_wait_ms(&s, 500);
	if (others == MEANWHILE)
		story_connect_back(&s);
	for (unsigned i = 0; i < 2; i++) {
		story_turn_to(&s, -1, back[i]);
		syn_again(&s, 300);
	}
	story_wait_ms(&s, 1000);
	for (unsigned i = 0; i < 2; i++) {
		story_turn_to(&s, first[i], -1);
		story_error(&s, 504);
	}
	return s;
}

TEST(a_firewall_lets_nobody_in_and_a_full_listener_did_before)
{
	struct story firewall = dropped(NOBODY), full = dropped(BEFORE);

	CHECK_CAUSES(&firewall, "connect-timeout, connect-timeout");
	CHECK_CAUSES(&full, "accept-queue-overflow, accept-queue-overflow");
	CHECK_CONFIDENCE(&full, "medium");
	CHECK_SAID(&full, "another connection to the same listener, answered: it is up");
}

/* Loss at random, PAWS behind a NAT, a race for a port in conntrack: the listener takes others at the same time. */
TEST(a_full_listener_takes_nobody_and_a_path_that_loses_some_does_not_make_it_full)
{
	struct story full = dropped(BEFORE), lossy = dropped(MEANWHILE);

	CHECK_CAUSES(&full, "accept-queue-overflow, accept-queue-overflow");
	CHECK_CAUSES(&lossy, "connect-timeout, connect-timeout");
}

/* ---- the last that got in: acknowledged by the kernel, never answered ---------------------------- */

/* One request was taken; the SYN of the next is dropped, or answered as usual. Then the process dies. */
static struct story admitted(bool next_dropped)
{
	struct story s = begun();
	int first = story_front(&s), back;

	story_connect_front(&s);
	int second = story_front(&s);

	story_turn_to(&s, first, -1);
	story_asks(&s, "GET /a");
	story_connect_back(&s);
	back = story_back(&s);
	story_passes_on(&s, "GET /a");
	story_ack(&s, UPSTREAM);
	story_turn_to(&s, second, -1);
	story_asks(&s, "GET /b");
	story_begin_back(&s);
	s.next.lost = next_dropped;
	story_syn(&s);
	if (next_dropped) {
		syn_again(&s, 1000);
		story_wait_ms(&s, 1000);
		story_error(&s, 504);
	} else {
		story_syn_ack(&s);
		story_passes_on(&s, "GET /b");
		story_answer(&s, 200);
		story_wait_ms(&s, 2000);
	}
	story_turn_to(&s, first, back);
	story_rst_ack(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(reset_in_a_full_queue_or_reset_while_others_are_served)
{
	struct story queue = admitted(true), alone = admitted(false);

	CHECK_CAUSES(&queue, "accept-queue-overflow, accept-queue-overflow");
	CHECK_SAID(&queue, "meanwhile a SYN to the same listener was dropped");
	CHECK_CAUSE(&alone, "reset-before-response");
}

/* Of two connections made together one request is acknowledged and none answered; the other is acknowledged, or not. */
static struct story two_at_once(bool second_acknowledged)
{
	struct story s = begun();
	int first = story_front(&s), back[2], front[2];

	front[0] = first;
	story_connect_front(&s);
	front[1] = story_front(&s);
	for (unsigned i = 0; i < 2; i++) {
		story_turn_to(&s, front[i], -1);
		story_asks(&s, i == 0 ? "GET /a" : "GET /b");
		story_connect_back(&s);
		back[i] = story_back(&s);
		s.next.lost = i == 1 && !second_acknowledged;
		story_passes_on(&s, i == 0 ? "GET /a" : "GET /b");
		if (!s.next.lost && (i == 0 || second_acknowledged))
			story_ack(&s, UPSTREAM);
	}
	for (unsigned i = 0; i < 4 && !second_acknowledged; i++) {
		story_wait_ms(&s, 250 << i);
		s.next.lost = true;
		story_resend(&s, GATEWAY);
	}
	story_wait_ms(&s, 5000);
	for (unsigned i = 0; i < 2; i++) {
		story_turn_to(&s, front[i], back[i]);
		story_fin(&s, GATEWAY);
		story_error(&s, 504);
	}
	return s;
}

TEST(a_request_never_acknowledged_beside_one_that_was_is_overflow_and_both_acknowledged_are_slow)
{
	struct story overflow = two_at_once(false), slow = two_at_once(true);

	CHECK_CAUSES(&overflow, "response-timeout, accept-queue-overflow");
	CHECK_CAUSES(&slow, "response-timeout, response-timeout");
}

/* ---- the queue fills between SYN and ACK ---------------------------------------------------------- */

enum unacked { SYN_ACK_AGAIN, NOTHING_AGAIN, ACKED_LATE };

/* The handshake is done, the request goes out and is sent again; SYN-ACK comes again after a second, or does not; or the
 * request is acknowledged at once and only the application is silent. */
static struct story request_unacknowledged(enum unacked what)
{
	struct story s = begun();

	story_asks(&s, "GET /cart");
	story_connect_back(&s);
	if (what == ACKED_LATE) {       /* TCP_DEFER_ACCEPT: no data yet, so the SYN-ACK comes again */
		story_wait_ms(&s, 1000);
		story_syn_ack(&s);
		story_ack(&s, GATEWAY);
		story_passes_on(&s, "GET /cart");
		story_ack(&s, UPSTREAM);
		story_wait_ms(&s, 3000);
	} else {
		s.next.lost = true;
		story_passes_on(&s, "GET /cart");
		for (unsigned i = 0; i < 3; i++) {
			story_wait_ms(&s, 250 << i);
			s.next.lost = true;
			story_resend(&s, GATEWAY);
			if (i == 1 && what == SYN_ACK_AGAIN)
				story_syn_ack(&s);
		}
		story_wait_ms(&s, 1500);
	}
	story_fin(&s, GATEWAY);
	story_error(&s, 504);
	return s;
}

TEST(syn_ack_sent_again_is_a_full_queue_and_silence_alone_is_loss)
{
	struct story queue = request_unacknowledged(SYN_ACK_AGAIN), loss = request_unacknowledged(NOTHING_AGAIN);

	CHECK_CAUSE(&queue, "accept-queue-overflow");
	CHECK_CONFIDENCE(&queue, "high");
	CHECK_INT(story_detail_count(&queue, "syn_ack_resends"), 1);
	CHECK_CAUSE(&loss, "packet-loss");
}

TEST(syn_ack_sent_again_with_deferred_accept_takes_the_request_at_once)
{
	struct story queue = request_unacknowledged(SYN_ACK_AGAIN), deferred = request_unacknowledged(ACKED_LATE);

	CHECK_CAUSE(&queue, "accept-queue-overflow");
	CHECK_CAUSE(&deferred, "response-timeout");
}

/* ---- taken and dropped at once: by the kernel (tcp_abort_on_overflow) or by the application -------- */

static struct story dropped_after_handshake(void (*close)(struct story *, int))
{
	struct story s = begun();

	story_asks(&s, "GET /cart");
	story_connect_back(&s);
	close(&s, UPSTREAM);
	story_error(&s, 502);
	return s;
}

TEST(rst_alone_after_the_handshake_is_of_no_socket_and_fin_is_the_applications)
{
	struct story kernel = dropped_after_handshake(story_rst), application = dropped_after_handshake(story_rst_ack),
	             fin = dropped_after_handshake(story_fin);

	CHECK_CAUSE(&kernel, "reset-before-response");
	CHECK_SAID(&kernel, "tcp_abort_on_overflow");
	CHECK_CAUSE(&application, "reset-before-response");
	CHECK_UNSAID(&application, "tcp_abort_on_overflow");
	CHECK_CAUSE(&fin, "closed-before-response");
}

/* ---- a port used again ---------------------------------------------------------------------------- */

/* The SYN is answered by a bare ACK with numbers of an older connection, or by nothing; in the end by SYN-ACK, or not. */
static struct story port_reused(bool strange_ack, bool at_last)
{
	struct story s = asked(false);

	if (strange_ack) {
		s.next.seq_off = 5000;
		s.next.ack_off = -70000;
		story_ack(&s, UPSTREAM);
		s.next.seq_off = -70001;
		story_rst(&s, GATEWAY);
	}
	syn_again(&s, 1000);
	story_wait_ms(&s, 1500);
	if (at_last) {
		story_syn(&s);
		story_syn_ack(&s);
		story_passes_on(&s, "GET /cart");
		story_answer(&s, 200);
	} else {
		story_error(&s, 504);
	}
	return s;
}

TEST(a_bare_ack_for_a_syn_is_a_port_used_again_and_none_is_a_timeout)
{
	struct story reuse = port_reused(true, false), timeout = port_reused(false, false), in_the_end = port_reused(true, true);

	CHECK_CAUSE(&reuse, "port-reuse-conflict");
	CHECK_CONFIDENCE(&reuse, "high");
	CHECK_CAUSE(&timeout, "connect-timeout");
	CHECK_CAUSE(&in_the_end, "none");
}

/* ---- no SYN at all ---------------------------------------------------------------------------------- */

/* So many short connections in the last minute, each closed by the gateway: its ports wait in TIME_WAIT. */
static struct story used_ports(unsigned n)
{
	struct story s = begun();
	int first = story_front(&s);

	for (unsigned i = 0; i < n; i++) {
		story_connect_back(&s);
		story_fin(&s, GATEWAY);
		story_fin(&s, UPSTREAM);
		story_ack(&s, GATEWAY);
	}
	story_turn_to(&s, first, -1);
	story_asks(&s, "GET /cart");
	story_wait_ms(&s, 1);
	story_error(&s, 502);
	return s;
}

TEST(no_syn_after_all_ports_were_used_and_no_syn_for_reasons_of_its_own)
{
	struct story exhausted = used_ports(25500), few = used_ports(100);

	CHECK_CAUSE(&exhausted, "no-upstream-attempt");
	CHECK_STR(story_word(&exhausted, "reason"), "ports-exhausted");
	CHECK_CAUSE(&few, "no-upstream-attempt");
	CHECK_STR(story_word(&few, "reason"), "answered-by-itself");
}

/* The only upstream failed a moment ago, or has answered again since. */
static struct story after_a_failure(bool answered_since)
{
	struct story s = begun();

	story_request(&s, "GET /a");
	story_rst_ack(&s, UPSTREAM);
	story_error(&s, 502);
	story_to_upstream(&s, 1);
	if (answered_since) {
		story_request(&s, "GET /ok");
		story_answer(&s, 200);
	}
	story_wait_ms(&s, 500);
	story_asks(&s, "GET /cart");
	story_error(&s, 502);
	return s;
}

TEST(no_attempt_after_a_failure_that_lasts_or_is_over)
{
	struct story lasts = after_a_failure(false), over = after_a_failure(true);

	CHECK_CAUSES(&lasts, "reset-before-response, no-upstream-attempt");
	CHECK_SAID(&lasts, "the failure before it: 10.0.0.7:8080, reset-before-response");
	CHECK_CAUSES(&over, "reset-before-response, no-upstream-attempt");
	CHECK_UNSAID(&over, "the failure before it");
}

/* No connection upstream in the whole capture: another interface, or a unix socket. Health checks count as reaching one. */
static struct story no_attempt(bool health_check)
{
	struct story s = story_new();

	story_connect_front(&s);
	for (unsigned i = 0; i < 3 && health_check; i++) {
		story_connect_back(&s);
		story_fin(&s, GATEWAY);
		story_fin(&s, UPSTREAM);
		story_ack(&s, GATEWAY);
		story_wait_ms(&s, 2000);
	}
	story_wait_ms(&s, 2000);
	story_asks(&s, "GET /cart");
	story_error(&s, 503);
	return s;
}

TEST(no_attempt_needs_a_gateway_that_reaches_upstreams)
{
	struct story reaches = no_attempt(true), unknown = no_attempt(false);

	CHECK_CAUSE(&reaches, "no-upstream-attempt");
	CHECK_CAUSE(&unknown, "unexplained");
	CHECK_STR(story_word(&unknown, "reason"), "upstream-side-not-captured");
}

/* ---- who has the next hop? --------------------------------------------------------------------------- */

static struct story next_hop(bool found)
{
	struct story s = begun();

	story_to_upstream(&s, 2);
	story_asks(&s, "GET /cart");
	for (unsigned i = 0; i < 3; i++) {
		story_arp_question(&s);
		story_wait_ms(&s, 1000);
	}
	if (found) {
		story_arp_answer(&s);
		story_begin_back(&s);
		s.next.lost = true;
		story_syn(&s);
		syn_again(&s, 1000);
		story_wait_ms(&s, 1000);
	}
	story_error(&s, found ? 504 : 502);
	return s;
}

TEST(nobody_has_the_address_or_somebody_has_and_is_silent)
{
	struct story nobody = next_hop(false), silent = next_hop(true);

	CHECK_CAUSE(&nobody, "host-unreachable");
	CHECK_STR(story_word(&nobody, "reason"), "no-arp-answer");
	CHECK_CAUSE(&silent, "connect-timeout");
}

/* Two requests wait at once: for one the gateway asks for a next hop, for the other it sends SYNs. Nothing says which is whose,
 * unless they do not overlap. */
static struct story two_in_vain(bool at_once)
{
	struct story s = begun();
	int asked_first;

	story_asks(&s, "GET /one");
	asked_first = story_front(&s);
	story_to_upstream(&s, 2);
	story_arp_question(&s);
	if (at_once) {
		story_connect_front(&s);
		story_asks(&s, "GET /two");
		story_to_upstream(&s, 3);
		story_begin_back(&s);
		s.next.lost = true;
		story_syn(&s);
	}
	for (unsigned i = 0; i < 2; i++) {
		story_wait_ms(&s, 1000);
		story_to_upstream(&s, 2);
		story_arp_question(&s);
		if (at_once)
			syn_again(&s, 0);
	}
	story_wait_ms(&s, 1000);
	if (at_once)
		story_error(&s, 504);
	story_turn_to(&s, asked_first, -1);
	story_error(&s, 502);
	return s;
}

TEST(a_syn_among_waiting_requests_is_nobodys_for_sure)
{
	struct story alone = two_in_vain(false), both = two_in_vain(true);

	CHECK_CAUSE(&alone, "host-unreachable");
	CHECK_CONFIDENCE(&alone, "high");
	CHECK_INT(story_report(&both)->n_incidents, 2);
	for (unsigned i = 0; i < story_report(&both)->n_incidents; i++)
		CHECK(story_report(&both)->incidents[i]->confidence != CONFIDENCE_HIGH);
}

/* ---- a SYN-ACK too late, or on another path ------------------------------------------------------------- */

static struct story late_syn_ack(bool comes)
{
	struct story s = asked(true);

	syn_again(&s, 1000);
	story_wait_ms(&s, 1500);
	story_error(&s, 504);
	story_wait_ms(&s, 300);
	if (comes) {
		story_syn_ack(&s);
		story_rst(&s, GATEWAY);
	}
	return s;
}

TEST(a_syn_ack_after_the_gateway_gave_up_changes_nothing)
{
	struct story late = late_syn_ack(true), never = late_syn_ack(false);

	CHECK_CAUSE(&late, "connect-timeout");
	CHECK_SAID(&late, "too late");
	CHECK_CAUSE(&never, "connect-timeout");
}

/* The upstream's packets go another way: the gateway's ACK and request show that there was a SYN-ACK. */
static struct story asymmetric(bool request_seen)
{
	struct story s = asked(false);

	s.next.unseen = true;
	story_syn_ack(&s);
	s.next.unseen = !request_seen;
	story_ack(&s, GATEWAY);
	s.next.unseen = !request_seen;
	story_passes_on(&s, "GET /cart");
	story_wait_ms(&s, 3000);
	story_error(&s, 504);
	return s;
}

TEST(a_syn_ack_on_another_path_is_no_connect_timeout)
{
	struct story timeout = asymmetric(false), other_path = asymmetric(true);

	CHECK_CAUSE(&timeout, "connect-timeout");
	CHECK_CAUSE(&other_path, "unexplained");
	CHECK_STR(story_word(&other_path, "reason"), "packets-missing");
}

/* ---- names ------------------------------------------------------------------------------------------------ */

enum dns { DNS_NOT_ASKED, DNS_NO_NAME, DNS_FAILED, DNS_EMPTY, DNS_SILENT, DNS_ADDRESS };

static struct story name_asked(enum dns how)
{
	static const uint8_t rcodes[] = { 0, 3, 2, 0, 0, 0 };
	struct story s = begun();

	story_asks(&s, "GET /cart");
	if (how != DNS_NOT_ASKED)
		story_dns_asks(&s, 77, "app.internal");
	if (how == DNS_SILENT) {
		story_wait_ms(&s, 5000);
		story_dns_asks(&s, 77, "app.internal");
		story_wait_ms(&s, 5000);
	} else if (how != DNS_NOT_ASKED) {
		story_dns_answers(&s, 77, "app.internal", rcodes[how], how == DNS_ADDRESS ? 0x0a000007 : 0);
	}
	if (how == DNS_ADDRESS) {
		story_begin_back(&s);
		story_syn(&s);
		story_refuse(&s);
	}
	story_error(&s, 502);
	return s;
}

TEST(a_name_that_was_asked_in_vain_or_not_at_all)
{
	static const struct { enum dns how; const char *rcode; } vain[] = {
		{ DNS_NO_NAME, "NXDOMAIN" }, { DNS_FAILED, "SERVFAIL" }, { DNS_EMPTY, "empty" }, { DNS_SILENT, "no-answer" }
	};
	struct story s = name_asked(DNS_NOT_ASKED);

	CHECK_CAUSE(&s, "no-upstream-attempt");
	for (size_t i = 0; i < sizeof vain / sizeof vain[0]; i++) {
		s = name_asked(vain[i].how);
		CHECK_CAUSE(&s, "dns-failure");
		CHECK_CONFIDENCE(&s, "high");
		CHECK_STR(story_word(&s, "rcode"), vain[i].rcode);
	}
}

TEST(a_name_that_has_an_address_did_not_fail)
{
	struct story failed = name_asked(DNS_NO_NAME), address = name_asked(DNS_ADDRESS);

	CHECK_CAUSE(&failed, "dns-failure");
	CHECK_CAUSE(&address, "connection-refused");
}

/* The answer was too long for a datagram, so the gateway asked again over TCP (RFC 7766 5). */
static struct story name_asked_over_tcp(unsigned rcode, uint32_t address)
{
	struct story s = begun();

	story_asks(&s, "GET /cart");
	story_dns_asks(&s, 77, "app.internal");
	story_dns_answers_cut(&s, 77, "app.internal");
	story_connect_name_server(&s);
	story_dns_tcp_asks(&s, 78, "app.internal");
	story_dns_tcp_answers(&s, 78, "app.internal", rcode, address);
	story_fin(&s, GATEWAY);
	story_fin(&s, UPSTREAM);
	story_ack(&s, GATEWAY);
	if (address != 0) {
		story_begin_back(&s);
		story_syn(&s);
		story_refuse(&s);
	}
	story_error(&s, 502);
	return s;
}

TEST(a_name_that_was_asked_over_tcp_in_vain)
{
	struct story failed = name_asked_over_tcp(3, 0), address = name_asked_over_tcp(0, 0x0a000007);

	CHECK_CAUSE(&failed, "dns-failure");
	CHECK_CONFIDENCE(&failed, "high");
	CHECK_STR(story_word(&failed, "rcode"), "NXDOMAIN");
	CHECK_CAUSE(&address, "connection-refused");
}

/* It is no upstream that refused; why the name was not found, these packets hardly show. */
TEST(a_name_server_that_refuses_tcp_is_no_upstream)
{
	struct story s = begun();

	story_asks(&s, "GET /cart");
	story_dns_asks(&s, 77, "app.internal");
	story_dns_answers_cut(&s, 77, "app.internal");
	story_begin_name_server(&s);
	story_syn(&s);
	story_refuse(&s);
	story_error(&s, 502);
	CHECK_CAUSE(&s, "unexplained");
}

TEST_MAIN()
