/*
 * errbuf - one sentence saying what went wrong, filled by the callee, logged or printed once by whoever decides
 */
#ifndef COMMON_BASE_ERRBUF_H
#define COMMON_BASE_ERRBUF_H

#include <stdarg.h>
#include <stdio.h>

#include "common/base/base.h"

struct errbuf {
	char text[512];
};

/* Always returns false, so a failing function may end with `return errbuf_set(...)`. */
PRINTF_LIKE(2, 3)
static inline bool errbuf_set(struct errbuf *e, const char *format, ...) {
	va_list args;

	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return false;
}

#endif
