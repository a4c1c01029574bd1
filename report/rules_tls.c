/* rules_tls.c - handshakes that fail, and two sides that speak different protocols */
#include "rules.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- words -------------------------------------------------------------------------------- */

/* RFC 8446 6, RFC 5246 7.2, RFC 7301, RFC 6066 */
static const char *alert_name(unsigned description)
{
	static const struct { uint8_t number; const char *name; } names[] = {
		{ 0, "close_notify" }, { 10, "unexpected_message" }, { 20, "bad_record_mac" }, { 21, "decryption_failed" },
		{ 22, "record_overflow" }, { 40, "handshake_failure" }, { 41, "no_certificate" }, { 42, "bad_certificate" },
		{ 43, "unsupported_certificate" }, { 44, "certificate_revoked" }, { 45, "certificate_expired" },
		{ 46, "certificate_unknown" }, { 47, "illegal_parameter" }, { 48, "unknown_ca" }, { 49, "access_denied" },
		{ 50, "decode_error" }, { 51, "decrypt_error" }, { 70, "protocol_version" }, { 71, "insufficient_security" },
		{ 80, "internal_error" }, { 86, "inappropriate_fallback" }, { 90, "user_canceled" }, { 100, "no_renegotiation" },
		{ 109, "missing_extension" }, { 110, "unsupported_extension" }, { 112, "unrecognized_name" },
		{ 113, "bad_certificate_status_response" }, { 115, "unknown_psk_identity" }, { 116, "certificate_required" },
		{ 120, "no_application_protocol" },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].number == description)
			return names[i].name;
	return "encrypted";
}

/* Alerts by which a client refuses its server's certificate (RFC 8446 6.2). internal_error counts after the certificate:
 * OpenSSL sends it when a verify callback fails without a reason of its own. */
static bool about_certificate(unsigned description)
{
	return (description >= 42 && description <= 46) || description == 48 || description == 49 || description == 80 ||
	       description == 113;
}

static const char *version_text(unsigned version)
{
	switch (version) {
	case 0x0300: return "SSL 3.0";
	case 0x0301: return "TLS 1.0";
	case 0x0302: return "TLS 1.1";
	case 0x0303: return "TLS 1.2";
	case 0x0304: return "TLS 1.3";
	default:     return "TLS";
	}
}

static const char *certificate_fault(const struct tls_facts *t)
{
	if (!t->certificate_read)
		return "unreadable";
	if (t->certificate_expired)
		return "expired";
	if (t->certificate_not_yet)
		return "not-yet-valid";
	if (t->certificate_self_signed)
		return "self-signed";
	return t->certificate_name_differs ? "name-differs" : "other";
}

static bool certificate_is_bad(const struct tls_facts *t)
{
	return t->certificate_read && (t->certificate_expired || t->certificate_not_yet || t->certificate_name_differs ||
	                               t->certificate_self_signed);
}

static void note_hello(const struct look *l, struct finding *f)
{
	char sni[QUOTE_TEXT], alpn[QUOTE_TEXT];
	const struct tls_facts *t = l->tls;

	note(f, t->client_hello, "%s sent ClientHello to %s (up to %s, %s%s%s%s)", l->gateway, l->upstream,
	     version_text(t->offered_max), t->sni_sent ? "server name " : "no server name",
	     t->sni_sent ? quote_text(span_text(t->sni), sni) : "", t->alpn_sent ? ", ALPN " : "",
	     t->alpn_sent ? quote_text(span_text(t->alpn_offered), alpn) : "");
}

static void note_certificate(const struct look *l, struct finding *f)
{
	char subject[QUOTE_TEXT], names[QUOTE_TEXT];
	const struct tls_facts *t = l->tls;
	struct mark at = happened(t->certificate[SERVER]) ? t->certificate[SERVER] : t->server_hello;

	if (t->certificate_read)
		note(f, at, "%s sent its certificate: subject %s, names %s%s%s%s%s", l->upstream,
		     quote_text(span_text(t->subject), subject), quote_text(span_text(t->names), names),
		     t->certificate_expired ? ", expired before this capture" : "", t->certificate_not_yet ? ", not valid yet" : "",
		     t->certificate_name_differs ? ", none of them the name asked for" : "",
		     t->certificate_self_signed ? ", signed by itself" : "");
	else
		note(f, at, "%s sent ServerHello and its certificate (%s: encrypted)", l->upstream, version_text(t->chosen));
}

static bool hello_sent(const struct look *l)
{
	return l->tls != NULL && happened(l->tls->client_hello);
}

/* ---- the upstream refuses ----------------------------------------------------------------- */

/* TLS 1.3 lets a client finish and send its request before the server has looked at its (empty) certificate: the alert
 * comes after the request (RFC 8446 4.4.2.4, Appendix E.1.2; MECHANISMS 6). */
static bool wanted_client_certificate(const struct tls_facts *t)
{
	return t->client_certificate_empty || t->alert[SERVER].description == 116;
}

static bool server_refused(const struct look *l)
{
	const struct tls_alert *a = &l->tls->alert[SERVER];

	if (!happened(a->at) || a->description == 0 || l->answered)
		return false;
	if (happened(l->tls->alert[CLIENT].at) && before(l->tls->alert[CLIENT].at, a->at))
		return false;
	return !l->tls->handshake_done || wanted_client_certificate(l->tls);
}

/* The gateway itself found the versions, ciphers or protocols on offer no use. */
static bool gateway_found_no_common_ground(const struct look *l)
{
	const struct tls_alert *a = &l->tls->alert[CLIENT];

	return happened(a->at) && !up_ended(l) && !l->tls->handshake_done && !a->encrypted && a->description != 0 &&
	       !about_certificate(a->description);
}

bool rule_tls_handshake_rejected(const struct look *l, struct finding *f)
{
	const struct tls_facts *t = l->tls;
	const char *alert;

	if (!hello_sent(l) || !(server_refused(l) || gateway_found_no_common_ground(l)))
		return false;
	note_hello(l, f);
	if (!server_refused(l)) {
		alert = alert_name(t->alert[CLIENT].description);
		note(f, t->alert[CLIENT].at, "%s ended the handshake with the alert %s", l->gateway, alert);
		at_most(f, CONFIDENCE_MEDIUM);
		say(f, "The gateway and %s found no TLS handshake in common: the gateway sent the alert %s.", l->upstream, alert);
	} else {
		alert = t->alert[SERVER].encrypted && t->client_certificate_empty && t->alert[SERVER].description == 255
		        ? "certificate_required" : alert_name(t->alert[SERVER].description);
		if (t->client_certificate_asked || t->client_certificate_empty)
			note(f, t->finished[CLIENT], "asked for a client certificate, the gateway sent none");
		note(f, t->alert[SERVER].at, "%s sent the alert %s%s", l->upstream, alert,
		     t->alert[SERVER].encrypted && t->alert[SERVER].description == 255
		     ? " (encrypted: told by its length and by the empty certificate before it)" : "");
		say(f, "%s refused the TLS handshake with the alert %s%s.", l->upstream, alert,
		    wanted_client_certificate(t) ? ": it wants a client certificate and the gateway sent none"
		    : !t->sni_sent && (t->alert[SERVER].description == 112 || t->alert[SERVER].description == 40)
		    ? "; the gateway had sent no server name" : "");
	}
	note_answer(l, f);
	detail_word(f, "alert", alert);
	detail_bool(f, "server_name_sent", t->sni_sent);
	detail_bool(f, "client_certificate_asked", t->client_certificate_asked || t->client_certificate_empty);
	return true;
}

/* ---- the gateway refuses the certificate -------------------------------------------------- */

static bool certificate_seen(const struct tls_facts *t)
{
	return happened(t->certificate[SERVER]) || (happened(t->server_hello) && t->chosen >= 0x0304);
}

/* Alert instead of Finished: OpenSSL's verification (HAProxy), Go, Envoy. Under TLS 1.3 it may be encrypted. */
static bool certificate_alert(const struct look *l)
{
	const struct tls_alert *a = &l->tls->alert[CLIENT];

	/* Who has sent a request has accepted the certificate: a later alert ends the connection, encrypted close_notify mostly. */
	if (!happened(a->at) || !certificate_seen(l->tls) || before(a->at, l->tls->server_hello) || l->x != NULL ||
	    l->tls->application_bytes[CLIENT] != 0)
		return false;
	if (a->description == 255)
		return !l->tls->handshake_done || certificate_is_bad(l->tls);
	return about_certificate(a->description);
}

/* nginx, Apache: verified after the handshake, then closed without one byte of a request (MECHANISMS 6). The gateway
 * closes at once: after a second of silence it is a connection that nobody needed, or a timeout. */
static struct mark gateway_left(const struct look *l)
{
	if (happened(l->tls->alert[CLIENT].at))
		return l->tls->alert[CLIENT].at;
	return gw_closed(l) ? l->conn->closed : (struct mark){ 0, 0 };
}

static bool closed_instead_of_request(const struct look *l)
{
	const struct tls_facts *t = l->tls;
	struct mark left = gateway_left(l);

	if (!certificate_seen(t) || l->x != NULL || t->application_bytes[CLIENT] != 0 || up_ended(l) || !happened(left))
		return false;
	return left.time_ns - l->up->last_data.time_ns < ABSENCE_NS;
}

bool rule_tls_certificate_rejected(const struct look *l, struct finding *f)
{
	const struct tls_facts *t = l->tls;
	bool alert;
	const char *wrong;

	if (!hello_sent(l) || l->answered)
		return false;
	alert = certificate_alert(l);
	if (!alert && !closed_instead_of_request(l))
		return false;
	/* Without a client's request beside it, only a certificate that is visibly bad tells this from a probe of the port. */
	if (!alert && l->client == NULL && !certificate_is_bad(t))
		return false;
	wrong = certificate_fault(t);
	note_hello(l, f);
	note_certificate(l, f);
	if (alert) {
		note(f, t->alert[CLIENT].at, "%s sent the alert %s%s", l->gateway, alert_name(t->alert[CLIENT].description),
		     t->handshake_done ? "" : " instead of finishing the handshake");
	} else {
		note(f, gateway_left(l), "%s closed without sending a request%s", l->gateway,
		     t->handshake_done ? ", although the handshake was finished" : "");
		if (!certificate_is_bad(t))
			at_most(f, CONFIDENCE_MEDIUM);
	}
	note_answer(l, f);
	detail_word(f, "certificate", wrong);
	detail_word(f, "alert", alert ? alert_name(t->alert[CLIENT].description) : "none");
	detail_bool(f, "server_name_sent", t->sni_sent);
	say(f, "The gateway refused the certificate of %s%s%s.", l->upstream,
	    t->certificate_read && t->certificate_expired ? ": it has expired"
	    : t->certificate_read && t->certificate_not_yet ? ": it is not valid yet"
	    : t->certificate_read && t->certificate_self_signed ? ": it is signed by itself, by no authority that the gateway trusts"
	    : t->certificate_read && t->certificate_name_differs ? ": it is for another name" : "",
	    alert ? " and said so in an alert" : " and closed without sending the request");
	return true;
}

/* ---- aborted, timed out ------------------------------------------------------------------- */

static bool in_handshake(const struct look *l)
{
	return hello_sent(l) && !l->tls->handshake_done && l->x == NULL;
}

bool rule_tls_handshake_aborted(const struct look *l, struct finding *f)
{
	if (!in_handshake(l) || !up_ended(l) || happened(l->tls->alert[SERVER].at))
		return false;
	note_hello(l, f);
	note(f, l->tls->server_hello, "%s sent ServerHello", l->upstream);
	note(f, l->end, "%s closed with %s amid the handshake, without an alert", l->upstream, up_reset(l) ? "RST" : "FIN");
	note_answer(l, f);
	detail_word(f, "close", up_reset(l) ? "rst" : "fin");
	detail_word(f, "handshake", happened(l->tls->server_hello) ? "after-server-hello" : "after-client-hello");
	say(f, "%s ended the TLS handshake with %s and no alert after the gateway's ClientHello.", l->upstream, up_reset(l) ? "RST" : "FIN");
	return true;
}

bool rule_tls_handshake_timeout(const struct look *l, struct finding *f)
{
	char time[TIME_TEXT];
	struct mark since;

	if (!in_handshake(l) || up_ended(l))
		return false;
	since = happened(l->up->last_data) ? l->up->last_data : l->tls->client_hello;
	/* What the upstream has not got whole (a hello of two segments, say) it cannot answer: rule_packet_loss. */
	if (!silent_enough(l, since) || (happened(l->gw->unacked) && l->gw->resends_unacked != 0))
		return false;
	note_hello(l, f);
	note(f, l->up->first_data, "%s began its part of the handshake", l->upstream);
	note(f, l->gave_up, "the handshake was not finished %s later, and the gateway gave up", time_text(waited_ns(l, since), time));
	note_answer(l, f);
	detail_seconds(f, "waited_s", waited_ns(l, since));
	detail_bool(f, "server_name_sent", l->tls->sni_sent);
	say(f, "%s took the TCP connection and the ClientHello, but did not finish the TLS handshake within %s.", l->upstream,
	    time_text(waited_ns(l, since), time));
	return true;
}

/* ---- one speaks TLS, the other does not --------------------------------------------------- */

static bool server_seen_of(const struct look *l, struct server_seen *seen)
{
	*seen = (struct server_seen){ 0 };
	return l->t != NULL && learned_server(l->c->learned, &l->t->upstream, seen);
}

static void note_first_bytes(const struct look *l, struct finding *f)
{
	char bytes[QUOTE_TEXT];
	const struct span_copy *head = &l->conn->head[SERVER];

	note(f, l->up->first_data, "%s answered %s", l->upstream, quote_text(span_of(head->bytes, head->len), bytes));
}

bool rule_tls_to_plaintext_port(const struct look *l, struct finding *f)
{
	struct server_seen seen;
	char time[TIME_TEXT];
	unsigned spoke;

	if (!hello_sent(l) || happened(l->tls->server_hello) || happened(l->tls->alert[SERVER].at))
		return false;
	spoke = l->conn->speaks[SERVER];
	if (l->up->bytes != 0 && spoke != SPEAKS_NOTHING && spoke != SPEAKS_TLS) {
		note_hello(l, f);
		note_first_bytes(l, f);
		note_answer(l, f);
		detail_word(f, "speaks", speaks_name(spoke));
		say(f, "The gateway spoke TLS to %s, and that port answered in plaintext.", l->upstream);
		return true;
	}
	if (l->up->bytes != 0 || !server_seen_of(l, &seen) || seen.http1 == 0 || seen.tls != 0)
		return false;
	if (!up_ended(l) && !silent_enough(l, l->tls->client_hello))
		return false;
	note_hello(l, f);
	note(f, l->end, "no answer to it for %s; elsewhere in this capture the port speaks plaintext HTTP, on %" PRIu64 " connections",
	     time_text(l->end.time_ns - l->tls->client_hello.time_ns, time), seen.http1);
	note_answer(l, f);
	detail_word(f, "speaks", "nothing");
	at_most(f, CONFIDENCE_MEDIUM);
	say(f, "The gateway spoke TLS to %s, a port that speaks plaintext HTTP, and got no answer.", l->upstream);
	return true;
}

/* What servers say to a plaintext request on their TLS port: nginx, Apache httpd, Go net/http, Tomcat, Kestrel's log is
 * not sent, Undertow and Envoy close. */
static const char *const tls_expected[] = {
	"The plain HTTP request was sent to HTTPS port",
	"speaking plain HTTP to an SSL-enabled server port",
	"Client sent an HTTP request to an HTTPS server",
	"This combination of host and port requires TLS",
};

static bool says_tls_expected(const struct look *l)
{
	struct span body = fact_text(l->fact, l->x->body);

	if (l->x->status != 400)
		return false;
	for (size_t i = 0; i < sizeof tls_expected / sizeof tls_expected[0]; i++)
		if (span_find(body, tls_expected[i]) < body.len)
			return true;
	return false;
}

bool rule_plaintext_to_tls_port(const struct look *l, struct finding *f)
{
	char body[QUOTE_TEXT];
	bool alert;

	if (l->x == NULL || l->x->tls || l->x->stream != 0 || l->conn->speaks[CLIENT] == SPEAKS_TLS)
		return false;
	alert = l->conn->speaks[SERVER] == SPEAKS_TLS;
	if (!alert && !says_tls_expected(l))
		return false;
	note_request(l, f);
	if (alert)
		note(f, happened(l->up->first_data) ? l->up->first_data : l->x->response.first, "%s answered with a TLS record: it expected a ClientHello", l->upstream);
	else
		note(f, l->x->response.first, "%s answered 400: %s", l->upstream, quote_text(span_first(fact_text(l->fact, l->x->body), 160), body));
	note_answer(l, f);
	detail_word(f, "answer", alert ? "tls-alert" : "status-400");
	say(f, "The gateway sent a plaintext request to %s, a port that speaks TLS%s.", l->upstream,
	    alert ? ": it answered with a TLS alert" : " and answered 400");
	return true;
}

/* ---- HTTP/2 and HTTP/1 -------------------------------------------------------------------- */

bool rule_http2_to_http1_port(const struct look *l, struct finding *f)
{
	struct server_seen seen;
	unsigned spoke;

	if (l->conn == NULL || l->conn->speaks[CLIENT] != SPEAKS_HTTP2 || (l->conn->joined_late && !happened(l->up->syn)))
		return false;
	spoke = l->conn->speaks[SERVER];
	if (l->up->bytes != 0 && (spoke == SPEAKS_HTTP1 || spoke >= SPEAKS_FOREIGN_FIRST || spoke == SPEAKS_UNKNOWN)) {
		note(f, l->gw->first_data, "%s sent the HTTP/2 preface to %s", l->gateway, l->upstream);
		note_first_bytes(l, f);
		detail_word(f, "answer", speaks_name(spoke));
		say(f, "The gateway spoke HTTP/2 to %s, which answered in HTTP/1.", l->upstream);
	} else {
		if (l->up->bytes != 0 || l->gw->bytes == 0 || !up_ended(l) || (server_seen_of(l, &seen) && seen.http2 != 0))
			return false;
		note(f, l->gw->first_data, "%s sent the HTTP/2 preface to %s", l->gateway, l->upstream);
		note(f, l->end, "%s closed with %s before any frame of its own; it never spoke HTTP/2 in this capture", l->upstream,
		     up_reset(l) ? "RST" : "FIN");
		detail_word(f, "answer", up_reset(l) ? "rst" : "fin");
		say(f, "The gateway spoke HTTP/2 to %s, which closed the connection without one frame of HTTP/2.", l->upstream);
	}
	note_answer(l, f);
	return true;
}

bool rule_http1_to_http2_port(const struct look *l, struct finding *f)
{
	if (l->x == NULL || l->x->stream != 0 || l->conn->speaks[SERVER] != SPEAKS_HTTP2 || l->conn->speaks[CLIENT] == SPEAKS_HTTP2 ||
	    l->x->outcome == OUTCOME_UPGRADED || l->x->status >= 100)
		return false;
	note_request(l, f);
	note(f, happened(l->up->first_data) ? l->up->first_data : l->x->response.first, "%s answered with HTTP/2 frames", l->upstream);
	note_answer(l, f);
	say(f, "The gateway spoke HTTP/1 to %s, which speaks HTTP/2 only.", l->upstream);
	return true;
}

/* ---- other protocols ---------------------------------------------------------------------- */

/* What a gateway may speak to an application itself (FastCGI, uwsgi, …) is expected, not a mismatch: then both speak it. */
bool rule_not_http(const struct look *l, struct finding *f)
{
	unsigned spoke, asked;

	if (l->conn == NULL || l->brief != NULL)
		return false;
	spoke = l->conn->speaks[SERVER];
	asked = l->conn->speaks[CLIENT];
	if (spoke < SPEAKS_FOREIGN_FIRST || asked >= SPEAKS_FOREIGN_FIRST || asked == SPEAKS_TLS)
		return false;
	/* A banner on a connection that carried no request and belongs to no client's request is another client's business. */
	if (l->x == NULL && l->client == NULL && asked != SPEAKS_HTTP1)
		return false;
	note_request(l, f);
	note_first_bytes(l, f);
	note_answer(l, f);
	detail_word(f, "protocol", speaks_name(spoke));
	detail_bool(f, "spoke_first", happened(l->up->first_data) && (!happened(l->gw->first_data) || before(l->up->first_data, l->gw->first_data)));
	say(f, "%s does not speak HTTP on this port: it answered in another protocol (%s).", l->upstream, speaks_name(spoke));
	return true;
}

/* ---- PROXY protocol ----------------------------------------------------------------------- */

static bool preface_refused(const struct look *l, struct finding *f, const struct server_seen *seen)
{
	bool says = l->x != NULL && l->x->status == 400;
	char time[TIME_TEXT];

	if (!l->conn->proxy_preface || seen->proxy_answered != 0)
		return false;
	if (!says && (l->answered || !up_ended(l)) && !(l->answered && l->x != NULL && l->x->status == 0))
		return false;
	note(f, l->gw->first_data, "%s began with a PROXY preface", l->gateway);
	note_request(l, f);
	if (says) {
		note(f, l->x->response.first, "%s answered 400: it took the preface for a request", l->upstream);
	} else {
		note(f, up_ended(l) ? l->end : l->up->first_data, "%s %s %s later; no connection with a preface to it ever got an answer",
		     l->upstream, up_ended(l) ? "closed" : "answered no HTTP",
		     time_text((up_ended(l) ? l->end : l->up->first_data).time_ns - l->gw->first_data.time_ns, time));
		at_most(f, CONFIDENCE_MEDIUM);
	}
	note_answer(l, f);
	detail_word(f, "preface", "unexpected");
	say(f, "The gateway sends a PROXY preface to %s, which does not expect one.", l->upstream);
	return true;
}

static bool preface_missing(const struct look *l, struct finding *f, const struct server_seen *seen)
{
	if (l->conn->proxy_preface || l->x == NULL || l->answered || !up_ended(l) || l->x->ordinal != 1 ||
	    seen->proxy_answered == 0 || seen->answered != seen->proxy_answered)
		return false;
	note_request(l, f);
	note(f, l->end, "%s closed; %" PRIu64 " connections with a PROXY preface to it were answered, none without one", l->upstream,
	     seen->proxy_answered);
	note_answer(l, f);
	at_most(f, CONFIDENCE_MEDIUM);
	detail_word(f, "preface", "missing");
	say(f, "%s expects a PROXY preface, and this request came without one.", l->upstream);
	return true;
}

bool rule_proxy_protocol_mismatch(const struct look *l, struct finding *f)
{
	struct server_seen seen;

	if (l->conn == NULL)
		return false;
	server_seen_of(l, &seen);
	return preface_refused(l, f, &seen) || preface_missing(l, f, &seen);
}
