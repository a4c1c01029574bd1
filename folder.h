/* folder.h - a directory that gets a file for each incident (--write-each)
 *
 *     folder_begin(&f, "incidents", force, &err);     it is there, and empty
 *     folder_open(&f, 17, &fd);                       made as .incident-00017.pcapng
 *     folder_settle(&f, 17, &none);                   and named incident-00017.pcapng once it is whole
 *     folder_end(&f);                                 what was not settled goes away
 *
 * The keeper does all but the first where this process may touch no path. It has closed what was open before it, so the
 * directory is opened for each.
 */
#ifndef WHY502_FOLDER_H
#define WHY502_FOLDER_H

#include "capture/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { FOLDER_OPEN_MAX = 64, FOLDER_NAME = 64 };

struct folder {
	const char *path;
	bool force;                     /* files that are there already are replaced */
	uint32_t open[FOLDER_OPEN_MAX];
	unsigned n_open;
};

/* Makes it where it is not there. */
enum err_code folder_begin(struct folder *f, const char *path, bool force, struct err *e);
/* 0 or errno; as jobs of the keeper. */
int folder_open(void *folder, uint32_t which, int *fd);
int folder_settle(void *folder, uint32_t which, int *fd);
void folder_end(void *folder);
const char *folder_name(uint32_t which, char name[static FOLDER_NAME]);

#endif
