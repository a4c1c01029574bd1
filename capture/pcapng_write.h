/* pcapng_write.h - packets out again, with what is to be said of them
 *
 *     struct pcapng_out *o = pcapng_out_new(sink);
 *     pcapng_section(o, "why502 0.1.0", "what was found");
 *     pcapng_secrets(o, keylog_text);                 before the packets that need them
 *     pcapng_packet(o, &packet, &interface, comments, n);
 *     pcapng_out_free(o);
 *
 * Little-endian, time stamps in ns. An interface is described where its first packet is: with its name, link type, snaplen,
 * and what else the capture said of it.
 */
#ifndef WHY502_PCAPNG_WRITE_H
#define WHY502_PCAPNG_WRITE_H

#include "source.h"

/* Takes the bytes of a file in order. */
struct byte_sink { void *ctx; void (*bytes)(void *ctx, struct span s); };

enum { PCAPNG_COMMENT_MAX = 32 << 10 };         /* bytes; an option's length has 16 bits. Longer ones are cut at a character */

struct pcapng_out;

struct pcapng_out *pcapng_out_new(struct byte_sink sink);       /* NULL: no memory */
void pcapng_out_free(struct pcapng_out *o);                     /* NULL is allowed */

/* Comments are UTF-8. */
void pcapng_section(struct pcapng_out *o, const char *application, struct span comment);
void pcapng_secrets(struct pcapng_out *o, struct span keylog_text);
/* p->interface is `i`'s place in the source's table. False: no memory to remember it. */
bool pcapng_packet(struct pcapng_out *o, const struct packet *p, const struct source_interface *i, const struct span *comments, unsigned n);

#endif
