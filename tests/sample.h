/* sample.h - a report made by hand, with everything in it that a writer can meet
 *
 *     struct sample *s = sample_new();
 *     writer_json.end(self, sample_report(s), sample_run(s));
 *     sample_free(s);
 *
 * Wire bytes in it are hostile: terminal escapes, invalid UTF-8, secrets (each holds the word SECRET).
 */
#ifndef WHY502_SAMPLE_H
#define WHY502_SAMPLE_H

#include "../report/writer.h"

struct sample;

struct sample *sample_new(void);
void sample_free(struct sample *s);
const struct report *sample_report(struct sample *s);
const struct report *sample_nothing(struct sample *s);          /* no incident */
const struct run_info *sample_run(struct sample *s);
const struct exchange_view *sample_exchange(struct sample *s);  /* in full */
const struct exchange_view *sample_brief(struct sample *s);

/* What `w` makes of the sample, as text; the caller frees it. */
char *sample_written(const struct writer_ops *w, const struct writer_options *o, bool nothing);

#endif
