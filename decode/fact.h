/* fact.h - what decode/ gives: facts, in the order of the packets that settled them
 *
 * A fact is one self-contained value in a batch: no pointer into decoder state, so it may be kept by
 * memcpy of its `size` bytes and may change threads. Strings lie behind the fixed part; a struct text
 * says where (fact_text()). `conn` is the connection's number as Wireshark's tcp.stream once the
 * merge has passed the fact on. A mark with packet 0 never happened.
 *
 * One connection's life, as facts:
 *   FACT_SYN       a SYN still unanswered: each time it is resent, and when it is given up
 *   FACT_OPEN      SYN-ACK seen, or joined late (first packet is no SYN)
 *   FACT_BRIEF     an exchange that ended well (complete, status < 400, nothing odd)
 *   FACT_EXCHANGE  any other exchange, or all with --exchanges; sent once when it settled (`final`),
 *                  and before, not final, when a request has waited 1 s for its response, its
 *                  client has closed (FIN) amid the response, or the response is no HTTP
 *   FACT_CLOSE     the connection ended in order, each exchange well
 *   FACT_CONN      a connection ended otherwise, carried no exchange, or (not final) its client has
 *                  waited 1 s for an answer that is no HTTP yet (a TLS handshake, say)
 * Besides: FACT_ICMP, FACT_ARP, FACT_DNS, FACT_TICK; FACT_CLOCK_STEP: the capture's clock was set before this packet.
 *
 * An exchange settles when the next one on its connection begins, its connection ends, or 200 ms of
 * capture time have passed after its last packet. Time-outs fire on ticks (every 50 ms of capture
 * time), whose packet number is that of the packet that brought the time.
 */
#ifndef WHY502_FACT_H
#define WHY502_FACT_H

#include "../capture/packet.h"
#include "../capture/span.h"

enum side { CLIENT, SERVER };           /* who sent the SYN; joined late: who sent requests, else the higher port */
static inline enum side side_other(enum side s) { return s == CLIENT ? SERVER : CLIENT; }

struct mark { uint64_t packet; int64_t time_ns; };

struct endpoint {
	uint8_t  address[16];           /* IPv4 as ::ffff:a.b.c.d */
	uint16_t port;                  /* 0: none */
};

enum fact_kind {
	FACT_TICK, FACT_SYN, FACT_OPEN, FACT_BRIEF, FACT_EXCHANGE, FACT_CLOSE, FACT_CONN,
	FACT_ICMP, FACT_ARP, FACT_DNS, FACT_CLOCK_STEP,
	FACT_NUMBER                     /* between decoders and merge only: a conversation begins */
};

struct fact {
	uint32_t size;                  /* of the whole, strings included; a multiple of 8 */
	uint16_t kind;                  /* enum fact_kind */
	uint16_t tap;                   /* interface that the packet was captured on */
	uint32_t conn;
	uint32_t id;                    /* the decoder's own, for the merge */
	uint64_t order;                 /* of facts of one packet */
	struct mark at;                 /* what settled it */
};

struct text { uint32_t at, len; };      /* offset from the fact's first byte; len 0: none */

/* ---- a connection ------------------------------------------------------------------------- */

enum rst_kind { RST_NONE, RST_ALONE, RST_WITH_ACK };
enum closing { CLOSING_NONE, CLOSING_FIN, CLOSING_RST, CLOSING_RST_ACK };

struct rst {                            /* the first RST of a side */
	struct mark at;
	uint8_t  kind;                  /* enum rst_kind */
	uint8_t  ttl;
	bool     fits;                  /* sequence number is the next expected, or an ACK of the other side explains it */
	bool     ip_id_follows;         /* its IP ID continues this side's own counter */
	bool     ip_id_copied;          /* its IP ID equals that of the other side's packet before it */
	bool     timestamps;            /* it carries the timestamps option */
	uint16_t window;
	uint16_t ip_id;
	uint16_t count;
};

struct tcp_side {
	struct mark syn, syn_last;      /* first and last SYN (client) or SYN-ACK (server) */
	uint16_t syns;
	uint16_t syn_resends_after_ack; /* SYN-ACKs sent again although the client's ACK was captured */
	uint32_t isn;                   /* known where syn is */
	uint16_t mss;                   /* from the SYN's option; 0: none */
	uint8_t  window_scale;          /* 255: none */
	bool     sack, timestamps;
	uint8_t  ttl_syn, ttl_min, ttl_max;  /* of packets without RST; 0: none seen */
	uint64_t bytes;                 /* payload sent, by sequence number */
	uint64_t bytes_acked;           /* of them, acknowledged by the other side in this capture */
	struct mark first_data, last_data;   /* payload sent for the first time */
	struct mark last_seen;          /* last packet of any kind but a copy */
	struct mark acked;              /* when the other side last acknowledged new data */
	struct mark unacked;            /* oldest data packet not acknowledged */
	uint32_t resends;               /* segments sent again */
	uint32_t resends_unacked;       /* of the oldest unacknowledged data: how often it was sent again */
	struct mark first_resend, last_resend;
	uint32_t unacked_len;           /* largest payload among the segments never acknowledged */
	uint32_t acked_len;             /* largest payload that was acknowledged */
	bool     later_acked;           /* SACK or a duplicate ACK shows that something after the oldest unacknowledged got through */
	uint32_t smaller_passed;        /* largest payload that got through (acked or sacked) after the unacknowledged one was sent */
	struct mark window_zero;        /* since when this side has announced window 0; packet 0: it does not */
	uint32_t zero_probes;           /* sent by the other side meanwhile */
	uint32_t keepalive_probes;      /* sent by this side */
	struct mark fin, fin_acked;     /* its FIN, and the other side's acknowledgement of it */
	bool     fin_behind;            /* acknowledges less than this side had before it: it was sent earlier than captured */
	struct mark data_after_rst;     /* payload of this side after its own RST: somebody else sent the RST */
	struct mark strange_ack;        /* a bare ACK in answer to a SYN (port reuse, RFC 5961 4) */
	struct rst  rst;
	uint64_t gap_bytes;             /* sent by this side, never captured though acknowledged or passed over */
	uint64_t cut_bytes;             /* left out by snaplen */
	uint32_t conflicting;           /* overlapping segments with other bytes: first copy kept */
};

enum speaks {                           /* by first bytes; foreign ones see decode/foreign.h */
	SPEAKS_NOTHING, SPEAKS_UNKNOWN, SPEAKS_HTTP1, SPEAKS_HTTP2, SPEAKS_TLS, SPEAKS_PROXY,
	SPEAKS_FOREIGN_FIRST            /* SPEAKS_FOREIGN_FIRST + enum foreign */
};

struct icmp_note {                      /* an ICMP error that quotes this connection */
	struct mark at;
	uint8_t  v6, type, code;
	uint32_t mtu;                   /* of "fragmentation needed" and "packet too big" */
	struct endpoint from;           /* port 0 */
};

/* What TLS shows (decode/tls.c). Lists of octets are in the order of the wire. */
struct tls_alert { struct mark at; uint8_t level, description; bool encrypted; };
struct tls_facts {
	struct mark client_hello, server_hello, certificate[2], finished[2], first_application[2];
	struct tls_alert alert[2];      /* first of each side; encrypted: description 255 unless decrypted */
	struct mark retry_request;      /* HelloRetryRequest */
	uint16_t offered_max, offered_min, chosen;       /* 0x0303 = TLS 1.2, 0x0304 = TLS 1.3 */
	uint16_t cipher;
	bool     sni_sent, alpn_sent, resumed, client_certificate_asked, client_certificate_empty, decrypted, keys_missing, handshake_done;
	bool     close_notify[2];
	uint32_t application_records[2];
	uint64_t application_bytes[2];
	int64_t  not_before_ns, not_after_ns;            /* of the leaf, where readable */
	bool     certificate_read, certificate_expired, certificate_not_yet, certificate_name_differs, certificate_self_signed;
	char     sni[256], alpn_offered[64], alpn_chosen[32];
	char     subject[128], issuer[128], names[256];  /* raw bytes from the wire, NUL-terminated */
	/* Requests and answers inside, as records show them without keys (with keys exchanges do): a turn begins where the
	 * client sends application data after the server has, or first. Session tickets are left out where they can be told. */
	uint32_t turns;
	struct mark turn_first[2], turn_last[2];         /* of the last turn: its request's and its answer's records */
	uint64_t turn_bytes[2];
	int64_t  turn_idle_ns;          /* from the last byte of the turn before to its request; -1: it is the first */
	uint32_t tickets;
	uint8_t  inner[2];              /* enum speaks: what each side said inside, decrypted */
	bool     early_data;            /* 0-RTT was offered */
};

struct conn_facts {
	struct endpoint end[2];         /* [CLIENT], [SERVER] */
	struct tcp_side side[2];
	struct mark first, last;        /* packets of it, copies left out */
	struct mark handshake;          /* the client's ACK that ended the handshake; packet 0: not seen */
	int64_t  rtt_ns;                /* SYN-ACK less SYN, or ACK less SYN-ACK, the larger: the path's round trip; 0 unknown */
	bool     joined_late;           /* capture began after it */
	bool     one_way;               /* only one side's packets were captured */
	uint8_t  closer;                /* enum side that closed first; meaningful where closing != CLOSING_NONE */
	uint8_t  closing;               /* enum closing: how */
	struct mark closed;             /* the packet that did; of TLS a close_notify (CLOSING_FIN), whoever's FIN came first */
	struct icmp_note icmp;
	uint32_t exchanges;             /* begun on it */
	int64_t  idle_ns;               /* between the last byte of either side and the closing packet, or the end */
	uint16_t keep_alive_s;          /* the server's own `Keep-Alive: timeout=N`; 0: not said */
	uint8_t  speaks[2];             /* enum speaks */
	bool     proxy_preface, proxied;
	struct endpoint proxied_for;    /* where `proxied`: the client's own address, as the PROXY preface has it */
	bool     copies;                /* packets of it were captured more than once */
	bool     limited;               /* a limit of SAFETY.md touched it */
	struct span_copy { uint8_t len; uint8_t bytes[63]; } head[2];   /* first bytes of each side */
	uint32_t tls_at;                /* of struct tls_facts, offset from the fact's first byte; 0: none. fact_tls() */
};

enum conn_why { CONN_CLOSED, CONN_REFUSED, CONN_WAITING, CONN_EVICTED, CONN_CAPTURE_ENDS };

struct conn_fact { struct fact head; bool final; uint8_t why; struct conn_facts conn; };       /* FACT_CONN */

struct syn_fact {                       /* FACT_SYN */
	struct fact head;
	struct endpoint end[2];
	struct mark first, last;
	uint16_t syns;
	bool final;                     /* given up, evicted, or the capture ends */
	uint8_t ttl;
	uint32_t isn;
	struct icmp_note icmp;
};

struct open_fact {                      /* FACT_OPEN */
	struct fact head;
	struct endpoint end[2];
	struct mark syn, syn_ack;       /* packet 0 where joined late */
	uint32_t isn[2];                /* joined late: where each side stood in the first segment; 0: unknown */
	uint32_t stamp;                 /* joined late: that segment's TSval; 0: none */
	uint8_t ttl;                    /* of the SYN-ACK; 0: not captured */
	bool joined_late;
};

struct close_fact {                     /* FACT_CLOSE */
	struct fact head;
	struct endpoint end[2];
	uint8_t closer, closing;
	struct mark opened, closed;
	int64_t idle_ns;                /* from its last byte to the closing packet */
	uint32_t exchanges;
	uint16_t keep_alive_s;
	bool said_close;                /* the last response, or request, said Connection: close */
	bool joined_late;
};

/* ---- an exchange -------------------------------------------------------------------------- */

enum method { METHOD_OTHER, METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_CONNECT,
              METHOD_OPTIONS, METHOD_TRACE, METHOD_PATCH };
enum version { VERSION_NONE, VERSION_0_9, VERSION_1_0, VERSION_1_1, VERSION_2 };
enum framing { FRAMING_UNKNOWN, FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_H2 };
enum outcome {
	OUTCOME_IN_PROGRESS,            /* the capture ends, or not final */
	OUTCOME_COMPLETE, OUTCOME_NO_RESPONSE, OUTCOME_PARTIAL_HEADERS, OUTCOME_PARTIAL_BODY,
	OUTCOME_RESET,                  /* an HTTP/2 stream */
	OUTCOME_UPGRADED, OUTCOME_TUNNEL,
	OUTCOME_GARBLED                 /* bytes came, and they are no response */
};

enum violation {
#define VIOLATION(id, ...) VIOLATION_##id,
#include "violations.def"
	VIOLATION_COUNT
};
static inline uint64_t violation_bit(enum violation v) { return UINT64_C(1) << v; }

struct broken {                         /* the first few violations of a message, in order */
	uint8_t rule;                   /* enum violation */
	struct mark at;
	uint64_t offset;                /* of the offending byte in the message */
	struct span_copy excerpt;       /* raw bytes around it */
};

struct identifier {                     /* a request's own name for itself: X-Request-ID and the like */
	uint8_t  kind;                  /* row in decode/fields.c; equal kinds are comparable */
	uint64_t value;                 /* fingerprint */
};

/* Field names that tell who sent a message; bits of `signs`. */
enum sign {
	SIGN_XFF = 1 << 0, SIGN_VIA = 1 << 1, SIGN_FORWARDED = 1 << 2, SIGN_X_REAL_IP = 1 << 3, SIGN_X_VARNISH = 1 << 4,
	SIGN_CDN_LOOP = 1 << 5, SIGN_LOWER_NAMES = 1 << 6, SIGN_X_FORWARDED_OTHER = 1 << 7, SIGN_CONNECTION_CLOSE = 1 << 8,
	SIGN_EXPECT_100 = 1 << 9, SIGN_UPGRADE = 1 << 10, SIGN_GRPC = 1 << 11, SIGN_KEEP_ALIVE = 1 << 12,
	SIGN_TIMEOUT_SAID = 1 << 13,            /* Keep-Alive: timeout=N, and no max= */
	SIGN_TIMEOUT_LAST = 1 << 14             /* ... behind Connection: keep-alive, not before it */
};

enum { SOFTWARE_BYTES = 16 };           /* first bytes of a response's Server field, else of X-Powered-By; zeros behind them */

struct message {                        /* a request or a response */
	struct mark first, last;        /* packets of its first and last byte so far */
	struct mark head_end;           /* of the empty line that ends its header section */
	uint64_t head_bytes;            /* of the header section (h2: of the decoded fields), so far */
	uint64_t body_bytes;            /* of content, chunk framing left out, so far */
	uint64_t declared;              /* Content-Length; UINT64_MAX: none */
	uint32_t fields;                /* header lines */
	uint32_t longest_line;          /* bytes */
	uint8_t  version, framing;
	bool     head_complete, complete;
	bool     early;                 /* response: began before its request was complete */
	uint32_t signs;
	uint64_t violations;            /* violation_bit() */
	uint64_t body_hash;             /* fingerprint of the first 64 KiB; responses with status >= 400 only */
	uint64_t missing;               /* bytes of it that the capture lacks */
	uint8_t  n_broken;
	struct broken broken[4];
};

struct h2_facts {
	uint32_t stream;
	struct mark rst_stream[2];      /* by side */
	uint32_t rst_code[2];
	struct mark goaway[2];          /* of the connection, the one that matters to this stream */
	uint32_t goaway_code[2], goaway_last[2];
	struct mark goaway_graceful[2]; /* an earlier one with last stream 2^31-1 */
	struct span_copy goaway_debug[2];
	struct mark stalled;            /* since when the sender of DATA has had no window */
	uint8_t  stalled_side;          /* who owed DATA */
	bool     stalled_stream, stalled_connection;     /* which window was empty */
	struct mark settings[2];
	uint32_t max_concurrent[2], open_streams;
	bool     joined_late;           /* fields from before the capture may be unknown */
	bool     fields_unknown;        /* some of this stream's were */
	bool     trailers;              /* the response had a trailer section */
	bool     h2c_upgrade;
	struct mark error_at; uint8_t error_rule;        /* connection error that a peer answered; enum violation */
};

struct exchange_facts {
	uint32_t ordinal;               /* nth exchange of its connection, from 1; 0: joined late */
	uint32_t stream;                /* HTTP/2; 0: none */
	bool     reused;                /* ordinal > 1 */
	bool     tls;                   /* decrypted */
	bool     tunnelled;             /* inside CONNECT or SOCKS */
	bool     pushed;
	uint8_t  method;                /* enum method */
	uint8_t  outcome;               /* enum outcome */
	uint16_t status;                /* 0: none */
	uint16_t interim[16];           /* 1xx in order */
	struct mark interim_at;         /* of the first */
	uint8_t  n_interim;
	int64_t  idle_ns;               /* between the connection's last byte and the request; -1 on a new connection or unknown */
	struct mark before;             /* that last byte's packet */
	struct mark request_acked;      /* the request's last byte; packet 0: not acknowledged in this capture */
	struct message request, response;
	uint64_t target_hash;           /* path and query, percent-encoding as sent */
	uint64_t path_hash;             /* without the query */
	uint64_t tail_hash;             /* last two path segments and query */
	uint64_t authority_hash;        /* Host or :authority, lower case */
	uint64_t agent_hash;            /* User-Agent */
	uint64_t pass_hash;             /* fields that gateways pass through unchanged: Accept, Cookie, Content-Type, Referer, Authorization */
	uint8_t  n_ids;
	struct identifier ids[4];
	uint16_t via_count, xff_count;  /* entries in Via, X-Forwarded-For */
	int16_t  grpc_status;           /* -1: none */
	uint32_t grpc;                  /* content-type application/grpc */
	bool     said_close;            /* either message said Connection: close (or HTTP/1.0 without keep-alive) */
	bool     limited;
	uint8_t  software[SOFTWARE_BYTES];
	/* Text, raw bytes from the wire; cut at limits. */
	struct text method_text, target, authority, reason, server;
	struct text upgrade, content_encoding;
	struct text request_head, response_head;   /* header sections as sent (h2: as `name: value` lines), up to 8 KiB; response's: status >= 400, odd or listed */
	struct text body;               /* first 2 KiB of a response with status >= 400, or of garbage */
};

struct exchange_fact {                  /* FACT_EXCHANGE */
	struct fact head;
	bool final;
	struct exchange_facts x;
	struct conn_facts conn;         /* as it stood when this was sent */
	struct h2_facts h2;             /* where x.stream != 0 */
};

struct brief_fact {                     /* FACT_BRIEF */
	struct fact head;
	struct endpoint end[2];
	uint32_t ordinal, stream;
	struct mark request, response, response_first;   /* first packet of the request, last and first of the response */
	int64_t  idle_ns;
	uint64_t target_hash, path_hash, tail_hash, authority_hash, agent_hash, pass_hash;
	uint64_t request_body, response_body, request_head_bytes, response_head_bytes;
	struct identifier ids[4];
	uint8_t  n_ids, method, version, response_version;
	uint16_t status, signs, response_signs;
	uint16_t via_count, xff_count;
	uint8_t  outcome;               /* OUTCOME_COMPLETE, _UPGRADED or _TUNNEL */
	bool     tls, said_close;
	bool     coded;                 /* the response had a Content-Encoding */
	uint8_t  software[SOFTWARE_BYTES];
};

/* ---- the rest ----------------------------------------------------------------------------- */

struct icmp_fact {                      /* FACT_ICMP: head.conn is the quoted connection where `known` */
	struct fact head;
	struct icmp_note note;
	struct endpoint from, to;       /* of the quoted datagram: its sender and receiver */
	uint8_t protocol;               /* of the quoted datagram */
	bool known;
};

struct arp_fact {                       /* FACT_ARP: also IPv6 neighbour discovery */
	struct fact head;
	uint8_t asker[16], target[16];  /* addresses as in struct endpoint */
	bool answer;                    /* target says where it is */
};

struct dns_fact {                       /* FACT_DNS: a question, or an answer (with its question) */
	struct fact head;
	struct endpoint asker, server;
	struct mark question;           /* of the question that this answers; packet 0: not captured */
	uint16_t id, type;              /* 1 A, 28 AAAA, … */
	bool answer;
	uint8_t rcode;                  /* answer: 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED */
	uint8_t n_addresses;
	uint8_t addresses[8][16];
	struct text name;               /* lower case, dots between labels */
};

struct tick_fact { struct fact head; }; /* FACT_TICK: capture time has come to head.at; FACT_CLOCK_STEP: see decode/clock.h */

static inline struct span fact_text(const void *fact, struct text t)
{
	return t.len != 0 ? (struct span){ (const uint8_t *)fact + t.at, t.len } : span_none();
}

static inline const struct tls_facts *fact_tls(const void *fact, const struct conn_facts *c)
{
	return c->tls_at != 0 ? (const struct tls_facts *)(const void *)((const uint8_t *)fact + c->tls_at) : NULL;
}

/* Facts one behind the other in one piece of memory. */
struct fact_batch { size_t used, size; uint8_t *bytes; };

/* Walks a batch: NULL after the last. */
static inline const struct fact *fact_next(const struct fact_batch *b, const struct fact *f)
{
	size_t at = f == NULL ? 0 : (size_t)((const uint8_t *)f - b->bytes) + f->size;

	return at < b->used ? (const struct fact *)(const void *)(b->bytes + at) : NULL;
}

const char *violation_name(enum violation v);
const char *violation_text(enum violation v);
const char *violation_source(enum violation v);
const char *outcome_name(enum outcome o);        /* as REPORT.md has them; garbled is "no-response" there */
const char *method_name(enum method m);          /* "" for METHOD_OTHER */
const char *version_name(enum version v);        /* "HTTP/1.1", …; "" for none */
const char *speaks_name(unsigned speaks);        /* "http1", "tls", "ssh", … */

/* "10.0.0.1:80", "[2001:db8::1]:80", or the address alone where port is 0. RFC 5952. */
enum { ENDPOINT_TEXT = 64 };
const char *endpoint_text(const struct endpoint *e, char text[static ENDPOINT_TEXT]);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
bool address_equal(const uint8_t a[static 16], const uint8_t b[static 16]);

#endif
