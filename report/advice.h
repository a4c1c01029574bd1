/* advice.h - what to do about a verdict, and what others call it
 *
 * Advice is a template: {name} is the verdict's detail of that name ("5.002 s", "12", "idle"), {upstream} and
 * {gateway} are addresses, {idle_setting}, {read_setting}, {connect_setting}, {header_setting} what the gateway's model
 * calls them. A template with a name that has no value is left out: it would say less than the next one.
 */
#ifndef WHY502_ADVICE_H
#define WHY502_ADVICE_H

#include "rules.h"

/* Fills v->advice: at most three, most useful first; the gateway's own settings before general ones. */
void advise(const struct look *l, struct finding *f);

/* Fills v->equivalents: this gateway's words first, then those of widespread ones, then RFC 9209's error type. */
void put_in_words(const struct look *l, struct finding *f);

/* RFC 9209 2.3: the error type of a cause, or NULL. */
const char *proxy_status_of(unsigned cause);

#endif
