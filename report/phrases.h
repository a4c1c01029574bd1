/* phrases.h - what the outputs for people say alike: a request in one piece, a rate, a status
 */
#ifndef WHY502_PHRASES_H
#define WHY502_PHRASES_H

#include "incident.h"
#include "page.h"
#include "writer.h"

/* "GET shop.example/cart", at most `columns` wide; "(no request)" where there was none. Secrets are masked. */
void say_request(struct page *p, struct span method, struct span authority, struct span target, bool show_secrets,
                 unsigned columns);
/* "502", "502 predicted", "no answer", … by status and symptom. */
const char *status_phrase(const struct incident *i, char text[static 64]);
/* "0.05 %" */
const char *percent_text(uint64_t part, uint64_t whole, char text[static WHEN_TEXT]);
/* "10.0.0.7:8080"; "app.example (10.0.0.7:8080)" where a name is known and `columns` has room for it, or for 8 of it.
 * It is cut at 64. NULL: "-". */
void say_endpoint(struct page *p, const struct names *names, const struct endpoint *e, unsigned columns);
unsigned endpoint_columns(const struct page *p, const struct names *names, const struct endpoint *e, unsigned columns);
/* One exchange on one line: "12:00:01.500  GET … → 200  in 12 ms  10.0.0.9:51000 → 10.0.0.1:80  packets 12-15" */
void say_exchange(struct page *p, const struct exchange_view *v, const struct writer_options *o);

#endif
