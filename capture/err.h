/* err.h - errors are values with a sentence
 *
 * A function that can fail takes a struct err and returns its code; the text is whole, names the
 * file, packet or option, and is printed by why502.c alone. Malformed traffic is not an error: it
 * is what users came for.
 */
#ifndef WHY502_ERR_H
#define WHY502_ERR_H

enum err_code { ERR_OK, ERR_MEMORY, ERR_OPEN, ERR_READ, ERR_FORMAT, ERR_OPTION, ERR_PERMISSION };

struct err { enum err_code code; char text[512]; };

/* Fills e and returns code. The first error stands: a second call changes nothing. */
enum err_code err_set(struct err *e, enum err_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
