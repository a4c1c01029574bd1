/* names.h - names of addresses (-N): from the hosts file, and from answers of DNS in the capture
 *
 * The first name that an address gets stays: the hosts file's, since whoever runs the machine wrote it,
 * else what was answered first, so that live lines never call one address by two names. Names come
 * from strangers: raw bytes that writers escape, and never printed in place of the address.
 *
 *     struct names *n = names_new();
 *     names_hosts_file(n, "/etc/hosts");              before the first packet is parsed
 *     names_fact(n, fact);                            each FACT_DNS
 *     name = names_of(n, endpoint.address);           empty: none is known
 */
#ifndef WHY502_NAMES_H
#define WHY502_NAMES_H

#include "../decode/fact.h"

struct names;

struct names *names_new(void);                  /* NULL: no memory */
void names_free(struct names *n);

/* A file that is not there, or cannot be read, names nobody. Of one beyond 1 MiB the rest is left out. */
void names_hosts_file(struct names *n, const char *path);
void names_hosts(struct names *n, struct span text);    /* in the words of hosts(5) */
void names_fact(struct names *n, const struct dns_fact *f);

/* All may be asked of NULL: without -N there are no names. Good until the next name is learnt. */
struct span names_of(const struct names *n, const uint8_t address[static 16]);
int names_find(const struct names *n, const uint8_t address[static 16]);       /* its place, in order of learning; -1: none */
struct span names_at(const struct names *n, unsigned place);
const uint8_t *names_address(const struct names *n, unsigned place);
uint64_t names_dropped(const struct names *n);  /* beyond LIMIT_NAMES */

#endif
