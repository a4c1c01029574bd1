/* input.c - the bytes of one saved capture, unpacked */
#include "input.h"
#include "codec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RAW_BYTES = 64 << 10 };

struct input {
	const char *name;
	int     fd;
	bool    owns_fd;
	bool    is_pipe;                /* or a socket, a terminal: waited for by poll(2) */
	bool    sniffed;                /* first bytes seen, codec known */
	bool    at_end;                 /* of what can be read */
	bool    between_members;        /* the codec may end here */
	bool    holds_more;             /* the codec filled all the room it had: ask it before the file */
	off_t   start;
	const struct codec *codec;
	void   *codec_state;
	uint64_t packed_bytes, unpacked_bytes;
	size_t  raw_begin, raw_end;     /* bytes read and not used yet: the first ones, then packed ones */
	uint8_t *raw;                   /* RAW_BYTES; NULL: none are held */
};

static struct span raw_rest(const struct input *in)
{
	return in->raw != NULL ? span_of(in->raw + in->raw_begin, in->raw_end - in->raw_begin) : span_none();
}

static void raw_drop(struct input *in)
{
	free(in->raw);
	in->raw = NULL;
	in->raw_begin = in->raw_end = 0;
}

static void raw_use(struct input *in, size_t n)
{
	in->raw_begin += n;
	if (in->raw_begin == in->raw_end)
		in->raw_begin = in->raw_end = 0;
}

/* Waits for a pipe, at most one tick. Errors and hang-ups are left for read(2) to tell. */
static bool is_ready(const struct input *in)
{
	struct pollfd p = { .fd = in->fd, .events = POLLIN };

	return !in->is_pipe || poll(&p, 1, TICK_MS) > 0;
}

/* read(2) with its ways of failing told apart. */
static enum input_status read_some(struct input *in, uint8_t *to, size_t room, size_t *got, struct err *e)
{
	ssize_t n;

	if (in->at_end)
		return INPUT_END;
	if (!is_ready(in))
		return INPUT_WAIT;
	do
		n = read(in->fd, to, room);
	while (n < 0 && errno == EINTR && !in->is_pipe);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return INPUT_WAIT;
	if (n < 0) {
		(void)err_set(e, ERR_READ, "%s: %s", in->name, strerror(errno));
		return INPUT_ERROR;
	}
	in->at_end = n == 0;
	*got = (size_t)n;
	return n == 0 ? INPUT_END : INPUT_BYTES;
}

static enum input_status refill_raw(struct input *in, struct err *e)
{
	size_t got = 0;
	enum input_status status;

	if (in->raw_begin > 0) {
		memmove(in->raw, in->raw + in->raw_begin, in->raw_end - in->raw_begin);
		in->raw_end -= in->raw_begin;
		in->raw_begin = 0;
	}
	status = read_some(in, in->raw + in->raw_end, RAW_BYTES - in->raw_end, &got, e);
	in->raw_end += got;
	return status;
}

/* The codec that goes with the first bytes, or NULL for none. */
static enum err_code check_codec(const char *name, const struct codec *c, struct err *e)
{
	if (c == NULL || c->begin != NULL)
		return ERR_OK;
	if (c->library != NULL)
		return err_set(e, ERR_FORMAT, "%s: compressed by %s, and this why502 was built without %s",
		               name, c->name, c->library);
	return err_set(e, ERR_FORMAT, "%s: compressed by %s, which why502 does not unpack: do that first",
	               name, c->name);
}

/* Reads until the first bytes tell whether the rest is compressed. */
static enum input_status sniff(struct input *in, struct err *e)
{
	enum input_status status = INPUT_BYTES;

	if (in->raw == NULL && (in->raw = malloc(RAW_BYTES)) == NULL) {
		(void)err_set(e, ERR_MEMORY, "%s: no memory to read it", in->name);
		return INPUT_ERROR;
	}
	while (raw_rest(in).len < CODEC_MAGIC_BYTES) {
		status = refill_raw(in, e);
		if (status == INPUT_WAIT || status == INPUT_ERROR)
			return status;
		if (status == INPUT_END)
			break;
	}
	in->codec = codec_find(raw_rest(in));
	if (check_codec(in->name, in->codec, e) != ERR_OK)
		return INPUT_ERROR;
	if (in->codec != NULL && (in->codec_state = in->codec->begin()) == NULL) {
		(void)err_set(e, ERR_MEMORY, "%s: no memory to unpack it", in->name);
		return INPUT_ERROR;
	}
	in->sniffed = true;
	return INPUT_BYTES;
}

static enum input_status packed_fault(const struct input *in, const char *what, const char *why, struct err *e)
{
	(void)err_set(e, ERR_FORMAT, "%s: its %s stream %s at byte %llu%s%s", in->name, in->codec->name, what,
	              (unsigned long long)in->packed_bytes, why != NULL ? ": " : "", why != NULL ? why : "");
	return INPUT_ERROR;
}

/* After a member: zeros that fill up a block (tapes, dd) are no further member. */
static void skip_padding(struct input *in)
{
	while (in->between_members && raw_rest(in).len > 0 && span_at(raw_rest(in), 0) == 0)
		raw_use(in, 1);
}

/* One turn of the codec over the raw bytes. *got may stay 0: then more of them are needed. */
static enum input_status unpack(struct input *in, uint8_t *to, size_t room, size_t *got, struct err *e)
{
	struct span rest = raw_rest(in);
	const char *why = NULL;
	size_t used = rest.len;
	enum codec_status status;

	*got = room;
	status = in->codec->unpack(in->codec_state, &rest, to, got, &why);
	used -= rest.len;
	raw_use(in, used);
	in->packed_bytes += used;
	in->unpacked_bytes += *got;
	in->holds_more = *got == room;
	if (status == CODEC_BAD)
		return packed_fault(in, "is damaged", why, e);
	if (codec_is_bomb(in->packed_bytes, in->unpacked_bytes))
		return packed_fault(in, "is no capture", "beyond 1 GiB it grows more than 1,000 times", e);
	in->between_members = status == CODEC_END_OF_MEMBER;
	skip_padding(in);
	return INPUT_BYTES;
}

static enum input_status read_packed(struct input *in, uint8_t *to, size_t room, size_t *got, struct err *e)
{
	enum input_status status = INPUT_BYTES;

	for (;;) {
		if (raw_rest(in).len > 0 || in->holds_more)
			status = unpack(in, to, room, got, e);
		if (status != INPUT_BYTES || *got > 0)
			return status;
		status = refill_raw(in, e);
		if (status == INPUT_END && !in->between_members && !in->holds_more)
			return packed_fault(in, "is cut short", NULL, e);
		skip_padding(in);
		if (status != INPUT_BYTES)
			return status;
	}
}

enum input_status input_read(struct input *in, uint8_t *to, size_t room, size_t *got, struct err *e)
{
	struct span first;
	enum input_status status;

	*got = 0;
	if (!in->sniffed && (status = sniff(in, e)) != INPUT_BYTES)
		return status;
	if (in->codec != NULL)
		return read_packed(in, to, room, got, e);
	first = span_first(raw_rest(in), room);
	if (first.len == 0)
		return read_some(in, to, room, got, e);
	memcpy(to, first.at, first.len);
	raw_use(in, first.len);
	if (in->raw_end == 0)           /* the first bytes of a plain file: it goes on without */
		raw_drop(in);
	*got = first.len;
	return INPUT_BYTES;
}

size_t input_peek(const struct input *in, uint8_t *to, size_t n)
{
	ssize_t got;

	if (in->is_pipe)
		return 0;
	do
		got = pread(in->fd, to, n, in->start);
	while (got < 0 && errno == EINTR);
	return got > 0 ? (size_t)got : 0;
}

static void drop_codec(struct input *in)
{
	if (in->codec_state != NULL)
		in->codec->end(in->codec_state);
	in->codec_state = NULL;
	in->codec = NULL;
}

bool input_rewind(struct input *in)
{
	if (in->is_pipe || lseek(in->fd, in->start, SEEK_SET) < 0)
		return false;
	drop_codec(in);
	in->sniffed = in->at_end = in->between_members = in->holds_more = false;
	in->packed_bytes = in->unpacked_bytes = 0;
	raw_drop(in);
	return true;
}

bool input_is_pipe(const struct input *in)
{
	return in->is_pipe;
}

bool input_progress(const struct input *in, uint64_t *at, uint64_t *size)
{
	off_t here = in->is_pipe ? -1 : lseek(in->fd, 0, SEEK_CUR);
	struct stat st;

	if (here < in->start || fstat(in->fd, &st) != 0 || st.st_size < in->start)
		return false;
	*at = (uint64_t)(here - in->start);
	*size = (uint64_t)(st.st_size - in->start);
	return true;
}

bool input_is_packed(const struct input *in)
{
	return in->codec != NULL;
}

static int open_file(const char *name)
{
	return open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

/* Of a directory of captures all are open at once, as the sandbox opens none later. What is allowed beyond the usual
 * 1,024 is for programs that do not use select(2), which cannot name them: we do not. False: no more is to be had. */
static bool allow_more_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= files.rlim_max)
		return false;
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

/* The file of that name, or standard input, which is not ours to close. */
static enum err_code open_fd(struct input *in, struct err *e)
{
	struct stat st;

	in->owns_fd = strcmp(in->name, "-") != 0;
	in->fd = in->owns_fd ? open_file(in->name) : STDIN_FILENO;
	if (in->fd < 0 && errno == EMFILE && allow_more_files())
		in->fd = open_file(in->name);
	if (in->fd < 0 && errno == EMFILE)
		return err_set(e, ERR_OPEN, "%s: no more files may be open at once here (ulimit -Hn)", in->name);
	if (in->fd < 0 || fstat(in->fd, &st) < 0)
		return err_set(e, ERR_OPEN, "%s: %s", in->name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_OPEN, "%s: is a directory", in->name);
	in->is_pipe = !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode);
	in->start = in->is_pipe ? 0 : lseek(in->fd, 0, SEEK_CUR);
	if (in->start < 0)
		in->is_pipe = true;
	if (!in->is_pipe)       /* a hint: its failing costs nothing */
		(void)posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return ERR_OK;
}

struct input *input_open(const char *name, struct err *e)
{
	struct input *in = calloc(1, sizeof *in);

	if (in == NULL) {
		(void)err_set(e, ERR_MEMORY, "%s: no memory to read it", name);
		return NULL;
	}
	in->name = name;
	in->fd = -1;
	if (open_fd(in, e) != ERR_OK) {
		input_close(in);
		return NULL;
	}
	return in;
}

void input_close(struct input *in)
{
	if (in == NULL)
		return;
	drop_codec(in);
	raw_drop(in);
	if (in->owns_fd && in->fd >= 0)
		(void)close(in->fd);
	free(in);
}
