#include "err.h"

#include <stdarg.h>
#include <stdio.h>

enum err_code err_set(struct err *e, enum err_code code, const char *format, ...)
{
	va_list ap;

	if (e->code != ERR_OK)
		return e->code;
	e->code = code;
	va_start(ap, format);
	(void)vsnprintf(e->text, sizeof e->text, format, ap);
	va_end(ap);
	return code;
}
