/* json_embed.h - the report as JSON inside an HTML page: < > & are \u escapes, and there is an end to it */
#ifndef WHY502_JSON_EMBED_H
#define WHY502_JSON_EMBED_H

#include "writer.h"

struct json_embedding {
	const struct writer_options *o;
	const struct report *r;
	const struct run_info *run;
	const struct incident *const *incidents; unsigned n_incidents;
	unsigned rows;                  /* groups and upstreams at most */
	size_t bytes;                   /* of incidents at most: one that is too long for what is left is left out */
};

void json_embed(struct out *out, const struct json_embedding *e);

#endif
