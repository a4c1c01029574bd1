/* source_files.c - which saved captures are meant: names, directories, clock shifts */
#include "merge.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILES_MOST = UINT16_MAX };

/* The readers being opened, in step with the rows of the file table. */
struct opening {
	const struct source_options *options;
	struct file_table *files;
	struct interface_table *interfaces;
	struct reader **readers;
	unsigned room;
	struct err *e;
};

void file_table_clear(struct file_table *t)
{
	for (unsigned i = 0; i < t->n; i++)
		free((void *)(uintptr_t)t->rows[i].name);
	free(t->rows);
	free(t->frames);
	*t = (struct file_table){ .n = 0 };
}

/* Of a file, by its name or that of the directory it was found in. */
static int64_t shift_of(const struct source_options *o, const char *name, const char *given)
{
	int64_t shift_ns = 0;

	for (unsigned i = 0; i < o->n_shifts; i++)
		if (strcmp(o->shifts[i].file, name) == 0 || strcmp(o->shifts[i].file, given) == 0)
			shift_ns = o->shifts[i].shift_ns;
	return shift_ns;
}

static bool is_read(const struct opening *x, const char *name)
{
	for (unsigned i = 0; i < x->options->n_files; i++)
		if (strcmp(x->options->files[i], name) == 0)
			return true;
	for (unsigned i = 0; i < x->files->n; i++)
		if (strcmp(x->files->rows[i].name, name) == 0)
			return true;
	return false;
}

/* A shift that moves nothing is a slip of the pen that would make a wrong report. */
static enum err_code check_shifts(const struct opening *x)
{
	for (unsigned i = 0; i < x->options->n_shifts; i++)
		if (!is_read(x, x->options->shifts[i].file))
			return err_set(x->e, ERR_OPTION, "--clock %s: it is none of the files read", x->options->shifts[i].file);
	return ERR_OK;
}

static enum err_code grow(struct opening *x)
{
	unsigned room = x->room != 0 ? x->room * 2 : 8;
	struct source_file *rows;
	struct reader **readers;
	uint64_t *frames;

	if (x->files->n < x->room)
		return ERR_OK;
	if (x->files->n >= FILES_MOST)
		return err_set(x->e, ERR_OPTION, "more than %u files", (unsigned)FILES_MOST);
	rows = realloc(x->files->rows, room * sizeof *rows);
	if (rows != NULL)
		x->files->rows = rows;
	readers = realloc(x->readers, room * sizeof(*readers));
	if (readers != NULL)
		x->readers = readers;
	frames = realloc(x->files->frames, room * sizeof *frames);
	if (frames != NULL)
		x->files->frames = frames;
	if (rows == NULL || readers == NULL || frames == NULL)
		return err_set(x->e, ERR_MEMORY, "no memory to read %u files", room);
	x->room = room;
	return ERR_OK;
}

/* Takes name over. `given` is what the user wrote. */
static enum err_code add_file(struct opening *x, char *name, const char *given, struct err *e)
{
	struct source_file *row;
	struct reader *r;

	if (name == NULL || grow(x) != ERR_OK) {
		free(name);
		return err_set(e, ERR_MEMORY, "no memory to read %s", given);
	}
	row = &x->files->rows[x->files->n];
	*row = (struct source_file){ .name = name, .shift_ns = shift_of(x->options, name, given) };
	x->files->frames[x->files->n] = 0;
	r = reader_open(name, (uint16_t)x->files->n, row->shift_ns, x->interfaces, e);
	if (r == NULL) {
		free(name);
		return e->code;
	}
	x->readers[x->files->n++] = r;
	return ERR_OK;
}

static void drop_last(struct opening *x)
{
	unsigned last = --x->files->n;

	reader_close(x->readers[last]);
	free((void *)(uintptr_t)x->files->rows[last].name);
}

static char *path_of(const char *directory, const char *name)
{
	size_t n = strlen(directory), room = n + strlen(name) + 2;
	char *path = malloc(room);

	if (path != NULL)
		(void)snprintf(path, room, "%s%s%s", directory, n > 0 && directory[n - 1] == '/' ? "" : "/", name);
	return path;
}

static bool is_regular(const char *path)
{
	struct stat st;

	return path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* What is no capture in a directory is none of our business; what cannot be opened is. */
static enum err_code add_entry(struct opening *x, const char *directory, const char *name)
{
	char *path = path_of(directory, name);
	struct err why = { .code = ERR_OK };

	if (path != NULL && !is_regular(path)) {
		free(path);
		return ERR_OK;
	}
	(void)add_file(x, path, directory, &why);
	if (why.code == ERR_OK && !reader_is_capture(x->readers[x->files->n - 1]))
		drop_last(x);           /* compressed, but what? */
	if (why.code == ERR_OK || why.code == ERR_FORMAT)
		return ERR_OK;
	return err_set(x->e, why.code, "%s", why.text);
}

static enum err_code add_directory(struct opening *x, const char *directory)
{
	struct dirent **entries = NULL;
	unsigned before = x->files->n;
	int n = scandir(directory, &entries, not_hidden, alphasort);

	if (n < 0)
		return err_set(x->e, ERR_OPEN, "%s: %s", directory, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (x->e->code == ERR_OK)
			(void)add_entry(x, directory, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (x->e->code == ERR_OK && x->files->n == before)
		(void)err_set(x->e, ERR_FORMAT, "%s: no capture file in this directory", directory);
	return x->e->code;
}

static enum err_code add_given(struct opening *x, const char *name)
{
	struct stat st;

	if (strcmp(name, "-") != 0 && stat(name, &st) == 0 && S_ISDIR(st.st_mode))
		return add_directory(x, name);
	return add_file(x, strdup(name), name, x->e);
}

bool files_open(struct origin *out, const struct source_options *o, struct file_table *files,
                struct interface_table *interfaces, struct err *e)
{
	struct opening x = { .options = o, .files = files, .interfaces = interfaces, .e = e };
	bool good = false;

	if (o->n_files == 0)
		(void)err_set(e, ERR_OPTION, "no file to read");
	for (unsigned i = 0; i < o->n_files && e->code == ERR_OK; i++)
		(void)add_given(&x, o->files[i]);
	if (e->code == ERR_OK && check_shifts(&x) == ERR_OK)
		good = merge_open(out, x.readers, files->n, interfaces, o->stop, e);
	else
		for (unsigned i = 0; i < files->n; i++)
			reader_close(x.readers[i]);
	free(x.readers);
	return good;
}
