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
/* ": 19 × 502, 1 without an answer" of the incidents; where there is none, of all that clients got. */
void say_statuses(struct page *p, const struct report *r);
/* "idle: 4.998 s to 5.003 s, median 5.000 s" */
void say_spread(struct page *p, const struct spread *s);
/* Whom a client that is a balancer says it speaks for; NULL: nobody. */
const struct endpoint *proxied_for(const struct incident *i);

/* What the capture lacks: the first two always, the others where they are not 0. */
enum { QUALITY_NOTES = 11, QUALITY_TEXT = 160, LIMITS_SHOWN = 64 };
struct quality_note { uint64_t n; const char *one, *many; };
unsigned quality_notes(const struct report *r, const struct run_info *run, struct quality_note notes[static QUALITY_NOTES]);
const char *quality_text(const struct quality_note *note, char text[static QUALITY_TEXT]);      /* "2 packets undecodable" */
struct limit_counter { const char *name; uint64_t count; };
unsigned report_limits(const struct report *r, struct limit_counter hit[static LIMITS_SHOWN]);

/* One exchange on one line: "12:00:01.500  GET … → 200  in 12 ms  10.0.0.9:51000 → 10.0.0.1:80  packets 12-15" */
void say_exchange(struct page *p, const struct exchange_view *v, const struct writer_options *o);
void say_exchange_text(struct page *p, const struct exchange_view *v, const struct writer_options *o);    /* the line stays open */

#endif
