/* base - the end of a process that broke a promise to itself, or cannot go on */
#include "common/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char last_words[256];
bool last_words_are_told;

void abort_because(const char *format, ...) {
	va_list args;

	va_start(args, format);
	vsnprintf(last_words, sizeof(last_words), format, args);
	va_end(args);
	if (!last_words_are_told)
		fprintf(stderr, "herold: %s\n", last_words);
	abort();
}

void bug_abort(const char *file, int line, const char *promise) {
	abort_because("bug at %s:%d: %s", file, line, promise);
}
