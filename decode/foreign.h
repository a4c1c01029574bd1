/* foreign.h - what is not HTTP, by its first bytes */
#ifndef WHY502_FOREIGN_H
#define WHY502_FOREIGN_H

#include "fact.h"

enum foreign {
	FOREIGN_SSH, FOREIGN_SMTP, FOREIGN_FTP, FOREIGN_MYSQL, FOREIGN_POSTGRESQL, FOREIGN_RESP, FOREIGN_AMQP,
	FOREIGN_FASTCGI, FOREIGN_UWSGI, FOREIGN_SCGI, FOREIGN_AJP, FOREIGN_POP3, FOREIGN_IMAP, FOREIGN_MONGODB,
	FOREIGN_MEMCACHED, FOREIGN_LDAP, FOREIGN_RDP, FOREIGN_SMB, FOREIGN_MQTT, FOREIGN_KAFKA, FOREIGN_TDS, FOREIGN_TELNET,
	FOREIGN_COUNT
};

/* Which protocol do these first bytes of a side begin? SPEAKS_UNKNOWN where none is sure. HTTP/1 (a request or
 * status line), the HTTP/2 preface or SETTINGS frame, TLS records and the PROXY preface are told, too.
 * `other` is what the other side has sent so far (a RESP error means little unless it answers something). */
unsigned foreign_probe(enum side from, struct span first, struct span other);

/* "ssh", "mysql", … of a value SPEAKS_FOREIGN_FIRST + enum foreign. */
const char *foreign_name(unsigned speaks);

/* PROXY protocol preface v1 or v2 at the start of first (HAProxy doc/proxy-protocol.txt): its length in bytes,
 * 0 none, -1 begun but not whole yet. */
int proxy_preface(struct span first);
/* Of a whole preface: whom it speaks for. False: it does not say (UNKNOWN, LOCAL, a Unix socket), or not in order. */
bool proxy_client(struct span preface, struct endpoint *client);

#endif
