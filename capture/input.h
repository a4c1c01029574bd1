/* input.h - the bytes of one saved capture, unpacked (inside capture/ only)
 *
 * A file, or a pipe that gives a little at a time: input_read() hands on what is there and waits at
 * most 100 ms. The compression (gzip, zstd, lz4) is told by the first bytes, never by the name.
 */
#ifndef WHY502_INPUT_H
#define WHY502_INPUT_H

#include "err.h"
#include "span.h"

enum { TICK_MS = 100 };

enum input_status { INPUT_BYTES, INPUT_WAIT, INPUT_END, INPUT_ERROR };

struct input;

/* Opens, and reads nothing yet. "-" is standard input. NULL: e says why. `name` must outlive it. */
struct input *input_open(const char *name, struct err *e);

/* The first bytes as they lie in the file, up to n; none of a pipe. */
size_t input_peek(const struct input *in, uint8_t *to, size_t n);

/* At least one byte into `to` with INPUT_BYTES; WAIT: nothing came, or a signal did. */
enum input_status input_read(struct input *in, uint8_t *to, size_t room, size_t *got, struct err *e);

/* Back to the first byte; false: it is a pipe. */
bool input_rewind(struct input *in);
bool input_is_pipe(const struct input *in);
/* How far it is read, of how many bytes, as it lies in the file; false: a pipe does not know. */
bool input_progress(const struct input *in, uint64_t *at, uint64_t *size);
bool input_is_packed(const struct input *in);
void input_close(struct input *in);

#endif
