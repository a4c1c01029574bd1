/* extract.h - the incidents' packets, written out again (-w, --write-each)
 *
 *     extract_begin(&x, options, &err);               outputs are opened, before the sandbox is closed
 *     extract_write(&x, &job, &err);                  the report is made: reads the files once more
 *     extract_end(&x, &err);                          and gives them their names
 *
 * What passes twice is read twice: of the packets nothing is held. One pass writes all of -w, each further one as many of
 * --write-each's files as may be open at once.
 */
#ifndef WHY502_EXTRACT_H
#define WHY502_EXTRACT_H

#include "capture/secrets.h"
#include "decode/disguise.h"
#include "folder.h"
#include "options.h"
#include "report/excerpt.h"

struct extract {
	const struct options *o;
	struct out *whole;              /* -w; NULL: none */
	bool written;                   /* all of it */
	struct folder folder;           /* --write-each */
	/* folder_open() and folder_settle(), or who does it in their stead. */
	int (*open)(void *ctx, uint32_t which, int *fd);
	int (*settle)(void *ctx, uint32_t which, int *fd);
	void *ctx;
};

/* What is known by the time of writing. */
struct extract_job {
	struct source *source;
	struct secrets *secrets;
	struct disguise *disguise;      /* NULL: addresses stay as they are */
	const struct report *report;
	const struct run_info *info;
	const struct writer_options *writer;
	const volatile sig_atomic_t *stop;
};

enum err_code extract_begin(struct extract *x, const struct options *o, struct err *e);
static inline bool extract_wanted(const struct options *o) { return o->write != NULL || o->write_each != NULL; }
enum err_code extract_write(struct extract *x, const struct extract_job *j, struct err *e);
enum err_code extract_end(struct extract *x, struct err *e);

#endif
