/* story.h - captures built in memory, packet by packet, in the words of a story
 *
 *     TEST(request_after_server_fin_is_keepalive_race)
 *     {
 *             struct story s = story_answered("GET /", 204);
 *
 *             story_wait_ms(&s, 5002);
 *             story_fin(&s, UPSTREAM);
 *             story_request(&s, "POST /cart");
 *             story_rst(&s, UPSTREAM);
 *             story_error(&s, 502);
 *             CHECK_CAUSE(&s, "keepalive-race");
 *     }
 *
 * One client, one gateway and up to four upstreams talk over Ethernet, IPv4 and TCP; the capture is taken at the
 * gateway. A story has a connection in front (client and gateway) and one behind (gateway and upstream); who acts
 * says on which: CLIENT and FRONT on the one in front, GATEWAY and UPSTREAM on the one behind. Each packet takes
 * 100 us of the story's clock. Lengths and sequence numbers are right; checksums are 0, as with offload.
 *
 * `s.next` bends the next packet and is then empty again: s.next.ttl = 64; story_rst(&s, UPSTREAM);
 *
 * Memory stays until the program ends. With WHY502_STORY_DIR set in the environment each story that is judged is
 * written there as NUMBER.pcap, to be opened in Wireshark.
 */
#ifndef WHY502_STORY_H
#define WHY502_STORY_H

#include "../report/report.h"
#include "check.h"

/* Who acts. CLIENT is enum side's 0. */
enum { UPSTREAM = 1, GATEWAY = 2, FRONT = 3 };

struct story_next {
	uint8_t  ttl;           /* 0: the host's own (64 at one hop: 63 for upstreams, 64 else) */
	uint16_t ip_id;         /* 0: the next of the sender's counter */
	bool     ip_id_zero;
	int32_t  seq_off;       /* added to the sequence number */
	int32_t  ack_off;
	bool     window_set;    /* announce `window`, as the header has it */
	uint16_t window;
	bool     sacks;         /* selectively acknowledges the peer's last segment with data */
	bool     unseen;        /* it was sent and arrived, but is not in the capture */
	bool     lost;          /* it is in the capture, but never arrives: nothing acknowledges it */
	uint32_t snaplen;       /* bytes kept; 0: all */
};

struct story_memory;

struct story {
	struct story_next next;
	struct decode_options decode;           /* may be changed before the story is judged */
	struct report_options report;
	const char *product;                    /* whose error pages the gateway sends: "nginx" (default), "haproxy", "" for a bare one */
	struct story_memory *m;
};

/* ---- beginning ---------------------------------------------------------------------------- */

struct story story_new(void);
/* A client asked `request` ("GET /cart"), the upstream answered with `status`, and both connections are idle and open. */
struct story story_answered(const char *request, unsigned status);

/* ---- time --------------------------------------------------------------------------------- */

void story_wait_ms(struct story *s, int64_t ms);        /* negative: a clock that steps back */
void story_wait_us(struct story *s, int64_t us);
int64_t story_now_ns(const struct story *s);

/* ---- connections -------------------------------------------------------------------------- */

void story_connect_front(struct story *s);              /* another client connection, with its handshake; it is in front from now on */
void story_connect_back(struct story *s);               /* likewise a connection to the upstream */
void story_connect_name_server(struct story *s);         /* ... to 10.0.0.53:53 */
void story_begin_name_server(struct story *s);           /* ... without its first packet */
void story_begin_back(struct story *s);                 /* ... without its first packet: say each yourself */
void story_syn(struct story *s);                        /* the gateway's SYN of the connection behind (begun if there is none); again: sent once more */
void story_syn_ack(struct story *s);                    /* the upstream's */
void story_to_upstream(struct story *s, unsigned n);    /* connections behind go to upstream n (1 to 4) from now on */
void story_join_back(struct story *s);                  /* a connection behind that began before the capture */
void story_join_front(struct story *s);

/* Connections are numbered from 0 as they begin. A story may turn from one to another. */
int  story_front(const struct story *s);                /* -1: none */
int  story_back(const struct story *s);
void story_turn_to(struct story *s, int front, int back);       /* -1: as it is */

/* ---- what is said ------------------------------------------------------------------------- */

/* The client asks, the gateway acknowledges, and passes the request on (connecting as needed); no answer yet. POST and PUT
 * carry five bytes of body. */
void story_request(struct story *s, const char *request);
void story_asks(struct story *s, const char *request);           /* the client's half */
void story_passes_on(struct story *s, const char *request);      /* the gateway's half */
/* The upstream answers whole, the gateway passes it on; a body of two bytes where the status has one. */
void story_answer(struct story *s, unsigned status);
void story_upstream_answers(struct story *s, unsigned status);  /* the upstream's half */
void story_error(struct story *s, unsigned status);              /* the gateway's own error page, to the client */

void story_text(struct story *s, int who, const char *text);     /* data, in segments of the MSS; none is acknowledged by itself */
void story_bytes(struct story *s, int who, const void *bytes, size_t n);
void story_segment(struct story *s, int who, const void *bytes, size_t n);       /* one packet, however large (TSO) */
void story_ack(struct story *s, int who);
void story_fin(struct story *s, int who);
void story_rst(struct story *s, int who);                        /* as for a connection unknown: no ACK, seq = the peer's ack */
void story_rst_ack(struct story *s, int who);
void story_refuse(struct story *s);                              /* the upstream's RST,ACK to the last SYN */
void story_resend(struct story *s, int who);                     /* its last segment with data, again */
void story_again(struct story *s, int who, unsigned packet);     /* that packet's segment, again */
void story_probe(struct story *s, int who);                      /* keep-alive: one byte before the next, none carried */

/* A filter leaves out packets `from` to `to`, counted from 1. */
void story_leave_out(struct story *s, unsigned from, unsigned to);

/* ---- around TCP --------------------------------------------------------------------------- */

/* An ICMP error from a router (10.0.0.254) that quotes the last packet of the connection behind. */
void story_icmp(struct story *s, uint8_t type, uint8_t code, uint16_t mtu);
void story_arp_question(struct story *s);                        /* the gateway asks where the upstream is */
void story_arp_answer(struct story *s);
void story_datagram(struct story *s, int who, uint16_t from_port, uint16_t to_port, const void *bytes, size_t n);  /* UDP between gateway and 10.0.0.53 */

/* ---- what comes of it --------------------------------------------------------------------- */

unsigned story_packets(const struct story *s);                   /* in the capture so far: the number of the last */
struct span story_packet(const struct story *s, unsigned number);
const struct report *story_report(struct story *s);              /* decodes and judges, once; NULL: it could not */
const struct incident *story_incident(struct story *s);          /* the only one, or the first; NULL: none */
const char *story_cause(struct story *s);                        /* "none"; "2 incidents" … where not one */
const char *story_causes(struct story *s);                       /* of all incidents in their order: "response-timeout, packet-loss" */
const char *story_said(struct story *s);                         /* of all incidents: evidence texts and summary, a line each */
const char *story_word(struct story *s, const char *detail);     /* "" where the incident lacks it */
int64_t story_detail_ns(struct story *s, const char *detail);    /* -1 likewise */
int64_t story_detail_count(struct story *s, const char *detail);
bool story_has_evidence(struct story *s, unsigned packet);
bool story_write(const struct story *s, const char *path);       /* as pcap */

#define CHECK_CAUSE(s, cause)            CHECK_STR(story_cause(s), (cause))
#define CHECK_CONFIDENCE(s, level)       CHECK_STR(story_incident(s) != NULL ? \
		confidence_name(story_incident(s)->confidence) : "none", (level))
#define CHECK_CAUSES(s, causes)          CHECK_STR(story_causes(s), (causes))
#define CHECK_SAID(s, part)              CHECK_HAS(story_said(s), (part))
#define CHECK_UNSAID(s, part)            CHECK(strstr(story_said(s), (part)) == NULL)
#define CHECK_EVIDENCE(s, packet)        CHECK(story_has_evidence((s), (packet)))

#endif
