/* story_talk.h - what is said inside a story's connections besides HTTP/1: TLS records, HTTP/2 frames, DNS messages
 *
 *     story_client_hello(&s, "app.example");
 *     story_server_hello(&s, TLS_1_3);
 *     story_record(&s, GATEWAY, TLS_DATA, 53);                 sealed, told by its length alone
 *
 * Each function is one packet on the connection behind, acknowledged by nothing but what follows.
 */
#ifndef WHY502_STORY_TALK_H
#define WHY502_STORY_TALK_H

#include "story.h"

enum { TLS_1_2 = 0x0303, TLS_1_3 = 0x0304 };
enum { TLS_CHANGE = 20, TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_DATA = 23 };     /* record types, RFC 8446 5.1 */
enum { SEALED_ALERT = 19, SEALED_NO_CERTIFICATE = 25, SEALED_FINISHED = 53 };    /* lengths under TLS 1.3 with SHA-256 (MECHANISMS 6) */

void story_record(struct story *s, int who, unsigned type, size_t len);         /* its fragment: len bytes that mean nothing */
void story_alert(struct story *s, int who, unsigned description);               /* fatal, in the clear */
void story_client_hello(struct story *s, const char *server_name, size_t more); /* NULL: no name; `more` bytes of padding (RFC 7685) */
/* ServerHello and what follows it: under TLS 1.2 a certificate that nobody can read and ServerHelloDone, under 1.3 a sealed flight. */
void story_server_hello(struct story *s, unsigned version);
void story_tls_done(struct story *s, unsigned version);         /* a whole handshake: both hellos and both Finished */

/* Frame types and flags, RFC 9113 6. */
enum { H2_DATA = 0, H2_HEADERS = 1, H2_RST_STREAM = 3, H2_SETTINGS = 4, H2_GOAWAY = 7, H2_WINDOW = 8 };
enum { H2_ACK = 1, H2_END_STREAM = 1, H2_END_HEADERS = 4 };

void story_frame(struct story *s, int who, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t n);
void story_h2_begin(struct story *s);                           /* the gateway's preface and SETTINGS, the upstream's SETTINGS */
void story_h2_asks(struct story *s, uint32_t stream, const char *path, unsigned flags);  /* GET, or without H2_END_STREAM POST */
void story_h2_answers(struct story *s, uint32_t stream, unsigned status, unsigned flags);
void story_h2_number(struct story *s, int who, unsigned type, uint32_t stream, uint32_t value);  /* RST_STREAM's code, a window's increment */
void story_h2_goaway(struct story *s, uint32_t last, uint32_t code);

void story_dns_asks(struct story *s, uint16_t id, const char *name);
void story_dns_answers(struct story *s, uint16_t id, const char *name, unsigned rcode, uint32_t address);       /* address 0: none */
void story_dns_answers_cut(struct story *s, uint16_t id, const char *name);     /* too long for a datagram: ask over TCP */
void story_dns_tcp_asks(struct story *s, uint16_t id, const char *name);        /* on story_connect_name_server()'s connection */
void story_dns_tcp_answers(struct story *s, uint16_t id, const char *name, unsigned rcode, uint32_t address);

#endif
