#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_BUFFER = 64 << 10, OUT_FORMAT_MAX = 1024 };

struct out {
	int     fd;                     /* -1: memory */
	int     error;                  /* errno of the first write that failed; 0 */
	bool    owned;                  /* fd is ours to close */
	char   *path, *temporary;       /* file: its name, and the one that it has until it is whole */
	int   (*settle)(void *ctx);     /* NULL: out_settle() */
	void   *settle_ctx;
	char   *memory;
	size_t  memory_used, memory_size;
	uint64_t flushed;
	size_t  used;
	char    buffer[OUT_BUFFER];
};

static struct out *out_new(int fd)
{
	struct out *o = malloc(sizeof *o);

	if (o == NULL)
		return NULL;
	o->fd = fd;
	o->error = 0;
	o->owned = false;
	o->settle = NULL;
	o->settle_ctx = NULL;
	o->path = o->temporary = o->memory = NULL;
	o->memory_used = o->memory_size = o->used = 0;
	o->flushed = 0;
	return o;
}

struct out *out_fd(int fd)
{
	return out_new(fd);
}

struct out *out_memory(void)
{
	return out_new(-1);
}

static void out_free(struct out *o)
{
	free(o->path);
	free(o->temporary);
	free(o->memory);
	free(o);
}

/* ---- files -------------------------------------------------------------------------------- */

static enum err_code open_in_place(struct out *o, const char *path, struct err *e)
{
	o->fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (o->fd < 0)
		return err_set(e, ERR_OPEN, "%s: %s", path, strerror(errno));
	return ERR_OK;
}

static enum err_code open_temporary(struct out *o, const char *path, struct err *e)
{
	if (asprintf(&o->temporary, "%s.XXXXXX", path) < 0) {
		o->temporary = NULL;
		return err_set(e, ERR_MEMORY, "%s: no memory", path);
	}
	o->fd = mkostemp(o->temporary, O_CLOEXEC);      /* O_EXCL and 0600 */
	if (o->fd < 0) {
		int why = errno;

		free(o->temporary);
		o->temporary = NULL;
		return err_set(e, ERR_OPEN, "%s: %s", path, strerror(why));
	}
	o->path = strdup(path);
	return o->path != NULL ? ERR_OK : err_set(e, ERR_MEMORY, "%s: no memory", path);
}

static enum err_code open_output(struct out *o, const char *path, bool force, struct err *e)
{
	struct stat st;
	bool there = lstat(path, &st) == 0;

	if (there && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
		return open_in_place(o, path, e);
	if (there && !S_ISREG(st.st_mode))
		return err_set(e, ERR_OPEN, "%s: not a plain file, so nothing is written to it", path);
	if (there && !force)
		return err_set(e, ERR_OPEN, "%s: exists already (--force replaces it)", path);
	return open_temporary(o, path, e);
}

struct out *out_file(const char *path, bool force, struct err *e)
{
	struct out *o = out_new(-1);

	if (o == NULL) {
		err_set(e, ERR_MEMORY, "%s: no memory", path);
		return NULL;
	}
	o->owned = true;
	if (open_output(o, path, force, e) == ERR_OK)
		return o;
	if (o->fd >= 0)
		close(o->fd);
	if (o->temporary != NULL)
		unlink(o->temporary);
	out_free(o);
	return NULL;
}

struct out *out_given(int fd, const char *path, int (*settle)(void *ctx), void *ctx)
{
	struct out *o = out_new(fd);

	if (o != NULL) {
		o->owned = true;
		o->path = strdup(path);
		o->temporary = strdup(path);
		out_settled_by(o, settle, ctx);
		if (o->path != NULL && o->temporary != NULL)
			return o;
		out_free(o);
	}
	close(fd);
	return NULL;
}

/* A rename lasts only once its directory is on disk too. */
static void sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = name != NULL ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(name);
}

int out_settle(struct out *o, bool good)
{
	int why = 0;

	if (o->temporary == NULL)
		return 0;
	if (good && rename(o->temporary, o->path) != 0)
		why = errno;
	if (!good || why != 0)
		(void)unlink(o->temporary);
	else
		sync_directory(o->path);
	free(o->temporary);
	o->temporary = NULL;
	return why;
}

void out_settled_by(struct out *o, int (*settle)(void *ctx), void *ctx)
{
	o->settle = settle;
	o->settle_ctx = ctx;
}

bool out_is_temporary(const struct out *o)
{
	return o->temporary != NULL;
}

static void commit(struct out *o)
{
	int why;

	if (o->temporary == NULL)
		return;
	if (o->error == 0 && fsync(o->fd) != 0)
		o->error = errno;
	if (o->settle == NULL)
		why = out_settle(o, o->error == 0);
	else
		why = o->error == 0 ? o->settle(o->settle_ctx) : 0;
	if (o->error == 0)
		o->error = why;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* Our standard output may be one that somebody else made non-blocking. */
static void wait_for_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	(void)poll(&p, 1, -1);
}

static void write_all(struct out *o, const char *at, size_t n)
{
	while (n > 0 && o->error == 0) {
		ssize_t done = write(o->fd, at, n);

		if (done >= 0) {
			at += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN) {
			wait_for_room(o->fd);
		} else if (errno != EINTR) {
			o->error = errno;
		}
	}
}

static void remember(struct out *o, const char *at, size_t n)
{
	if (n > o->memory_size - o->memory_used) {
		size_t size = (o->memory_used + n) * 2;
		char *bigger = realloc(o->memory, size);

		if (bigger == NULL) {
			o->error = ENOMEM;
			return;
		}
		o->memory = bigger;
		o->memory_size = size;
	}
	if (n > 0)
		memcpy(o->memory + o->memory_used, at, n);
	o->memory_used += n;
}

void out_flush(struct out *o)
{
	if (o->fd >= 0)
		write_all(o, o->buffer, o->used);
	else if (!o->owned)
		remember(o, o->buffer, o->used);
	o->flushed += o->used;
	o->used = 0;
}

void out_bytes(struct out *o, struct span s)
{
	while (s.len > 0) {
		size_t n = s.len < OUT_BUFFER - o->used ? s.len : OUT_BUFFER - o->used;

		memcpy(o->buffer + o->used, s.at, n);
		o->used += n;
		s = span_from(s, n);
		if (o->used == OUT_BUFFER)
			out_flush(o);
	}
}

void out_text(struct out *o, const char *text)
{
	out_bytes(o, span_text(text));
}

void out_char(struct out *o, char c)
{
	out_bytes(o, span_of(&c, 1));
}

void out_format(struct out *o, const char *format, ...)
{
	char text[OUT_FORMAT_MAX];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	out_text(o, text);
}

uint64_t out_total(const struct out *o)
{
	return o->flushed + o->used;
}

bool out_broken(const struct out *o)
{
	return o->error != 0;
}

struct span out_written(const struct out *o)
{
	return span_of(o->memory, o->memory_used);
}

void out_discard(struct out *o)
{
	if (o->error == 0)
		o->error = EPIPE;       /* as where nobody reads on */
}

enum err_code out_close(struct out *o, struct err *e)
{
	enum err_code code = ERR_OK;

	out_flush(o);
	commit(o);
	if (o->owned && close(o->fd) != 0 && o->error == 0)
		o->error = errno;
	if (o->error != 0 && o->error != EPIPE)
		code = err_set(e, ERR_READ, "%s: cannot write: %s", o->path != NULL ? o->path : "output", strerror(o->error));
	out_free(o);
	return code;
}
