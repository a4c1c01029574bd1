/* censor.h - what must not leave the house is taken out of facts, before anybody reads them (--redact)
 *
 * Every report is made of facts, so all of them lack the same. What is hidden becomes asterisks, as many as there were bytes.
 * Fingerprints were taken before: requests are tied to their tries as ever.
 */
#ifndef WHY502_CENSOR_H
#define WHY502_CENSOR_H

#include "../decode/fact.h"

enum redact { REDACT_QUERY = 1, REDACT_COOKIES = 2, REDACT_AUTHORIZATION = 4, REDACT_ADDRESSES = 8 };

/* In place: the batch is its maker's, who does not read it again. Addresses: those that text spells (decode/disguise.h). */
void censor_facts(const struct fact_batch *b, unsigned redact);

#endif
