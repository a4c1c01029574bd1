/* pack.c - a judged incident, and all that it points to, in one piece of memory of just that size
 *
 * Judging leaves texts and lists all over an arena, with room to spare and with much that only the rules needed:
 * three times what an incident takes. A first walk adds up, a second one copies.
 */
#include "assemble.h"

#include <stdalign.h>
#include <stdlib.h>

struct packing {
	const struct arena *from; /* what lies elsewhere (our own words, facts) stays there */
	uint8_t *to;              /* NULL: add up only */
	size_t used;
};

static void *pack(struct packing *p, const void *bytes, size_t size, size_t alignment)
{
	void *at;

	if (bytes == NULL || size == 0)
		return NULL;
	p->used = (p->used + alignment - 1) & ~(alignment - 1);
	at = p->to != NULL ? p->to + p->used : NULL;
	if (at != NULL)
		memcpy(at, bytes, size);
	p->used += size;
	return at;
}

static const char *pack_text(struct packing *p, const char *text)
{
	return text != NULL && arena_holds(p->from, text) ? pack(p, text, strlen(text) + 1, 1) : text;
}

#define PACK_LIST(p, list, n) pack((p), (list), (n) * sizeof *(list), alignof(max_align_t))

static void pack_details(struct packing *p, const struct incident *i, struct incident *to)
{
	to->details = PACK_LIST(p, i->details, i->n_details);
	for (unsigned n = 0; n < i->n_details; n++) {
		const char *word = pack_text(p, i->details[n].word);

		if (p->to != NULL)
			to->details[n].word = word;
	}
}

static void pack_evidence(struct packing *p, const struct incident *i, struct incident *to)
{
	to->evidence = PACK_LIST(p, i->evidence, i->n_evidence);
	for (unsigned n = 0; n < i->n_evidence; n++) {
		const char *text = pack_text(p, i->evidence[n].text);

		if (p->to != NULL)
			to->evidence[n].text = text;
	}
}

static void pack_steps(struct packing *p, const struct incident *i, struct incident *to)
{
	to->steps = PACK_LIST(p, i->steps, i->n_steps);
	for (unsigned n = 0; n < i->n_steps; n++) {
		const char *label = pack_text(p, i->steps[n].label);

		if (p->to != NULL)
			to->steps[n].label = label;
	}
	for (unsigned n = 0; n < i->n_columns; n++)
		to->columns[n] = pack_text(p, i->columns[n]);
}

static void pack_words(struct packing *p, const struct incident *i, struct incident *to)
{
	to->equivalents = PACK_LIST(p, i->equivalents, i->n_equivalents);
	for (unsigned n = 0; n < i->n_equivalents; n++) {
		struct words w = { pack_text(p, i->equivalents[n].product), pack_text(p, i->equivalents[n].text) };

		if (p->to != NULL)
			to->equivalents[n] = w;
	}
	to->advice = PACK_LIST(p, i->advice, i->n_advice);
	for (unsigned n = 0; n < i->n_advice; n++) {
		const char *text = pack_text(p, i->advice[n]);

		if (p->to != NULL)
			to->advice[n] = text;
	}
}

/* views[0] is the client's, the next ones the attempts'. */
static struct exchange_view *pack_exchanges(struct packing *p, const struct incident *i, const struct exchange_view *views,
					    struct incident *to)
{
	struct exchange_view *copies = PACK_LIST(p, views, 1 + i->n_attempts);

	to->attempts = PACK_LIST(p, i->attempts, i->n_attempts);
	if (p->to == NULL)
		return NULL;
	to->client_exchange = i->client_exchange != NULL ? &copies[0] : NULL;
	for (unsigned n = 0; n < i->n_attempts; n++)
		to->attempts[n].view = i->attempts[n].view != NULL ? &copies[1 + n] : NULL;
	return copies;
}

static struct exchange_view *pack_all(struct packing *p, const struct incident *i, const struct exchange_view *views,
				      struct incident *to)
{
	struct exchange_view *copies = pack_exchanges(p, i, views, to);

	pack_details(p, i, to);
	pack_evidence(p, i, to);
	pack_steps(p, i, to);
	pack_words(p, i, to);
	to->flows = PACK_LIST(p, i->flows, i->n_flows);
	to->summary = pack_text(p, i->summary);
	to->filter = pack_text(p, i->filter);
	to->product = pack_text(p, i->product);
	return copies;
}

struct told incident_pack(const struct incident *i, const struct exchange_view *views, const struct arena *from)
{
	struct packing p = { .from = from, .used = sizeof *i };
	struct incident sums = *i;
	struct told told = { 0 };

	(void)pack_all(&p, i, views, &sums);
	told.bytes = p.used;
	told.incident = malloc(told.bytes);
	if (told.incident == NULL)
		return (struct told){ 0 };
	*told.incident = *i;
	p = (struct packing){ .from = from, .to = (uint8_t *)told.incident, .used = sizeof *i };
	told.views = pack_all(&p, i, views, told.incident);
	return told;
}
