#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *folder_name(uint32_t which, char name[static FOLDER_NAME])
{
	(void)snprintf(name, FOLDER_NAME, "incident-%05u.pcapng", which);
	return name;
}

static const char *name_before(uint32_t which, char name[static FOLDER_NAME])
{
	(void)snprintf(name, FOLDER_NAME, ".incident-%05u.pcapng", which);
	return name;
}

static int open_directory(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What is in it might be mistaken for ours. Takes the descriptor over. */
static bool is_empty(int directory)
{
	DIR *d = fdopendir(directory);
	const struct dirent *entry;
	bool empty = d != NULL;

	if (d == NULL)
		(void)close(directory);
	while (d != NULL && (entry = readdir(d)) != NULL)
		empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	if (d != NULL)
		(void)closedir(d);
	return empty;
}

enum err_code folder_begin(struct folder *f, const char *path, bool force, struct err *e)
{
	int directory;

	*f = (struct folder){ .path = path, .force = force };
	if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST)
		return err_set(e, ERR_OPEN, "%s: %s", path, strerror(errno));
	directory = open_directory(path);
	if (directory < 0)
		return err_set(e, ERR_OPEN, "%s: %s", path, strerror(errno));
	if (!is_empty(directory) && !force)
		return err_set(e, ERR_OPEN, "%s: is not empty (--force replaces files in it)", path);
	return ERR_OK;
}

int folder_open(void *folder, uint32_t which, int *fd)
{
	struct folder *f = folder;
	char name[FOLDER_NAME];
	int directory, why = 0;

	if (f->n_open == FOLDER_OPEN_MAX)
		return EMFILE;
	directory = open_directory(f->path);
	if (directory < 0)
		return errno;
	if (f->force)                   /* of a run that was killed */
		(void)unlinkat(directory, name_before(which, name), 0);
	*fd = openat(directory, name_before(which, name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (*fd < 0)
		why = errno;
	else
		f->open[f->n_open++] = which;
	(void)close(directory);
	return why;
}

static void forget(struct folder *f, uint32_t which)
{
	for (unsigned i = 0; i < f->n_open; i++)
		if (f->open[i] == which)
			f->open[i--] = f->open[--f->n_open];
}

/* Nothing that has come there meanwhile is replaced, where the file system can do that in one. */
static int name_it(int directory, const char *before, const char *name, bool force)
{
	if (renameat2(directory, before, directory, name, force ? 0 : RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return errno;
	if (!force && faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return EEXIST;
	return renameat(directory, before, directory, name) == 0 ? 0 : errno;
}

int folder_settle(void *folder, uint32_t which, int *fd)
{
	struct folder *f = folder;
	char before[FOLDER_NAME], name[FOLDER_NAME];
	int directory = open_directory(f->path), why;

	*fd = -1;
	if (directory < 0)
		return errno;
	why = name_it(directory, name_before(which, before), folder_name(which, name), f->force);
	if (why != 0)
		(void)unlinkat(directory, before, 0);
	forget(f, which);
	(void)fsync(directory);
	(void)close(directory);
	return why;
}

void folder_end(void *folder)
{
	struct folder *f = folder;
	int directory = f->n_open > 0 ? open_directory(f->path) : -1;
	char name[FOLDER_NAME];

	for (unsigned i = 0; i < f->n_open && directory >= 0; i++)
		(void)unlinkat(directory, name_before(f->open[i], name), 0);
	f->n_open = 0;
	if (directory >= 0)
		(void)close(directory);
}
