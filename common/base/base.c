/* base - the end of a process that broke a promise to itself */
#include "common/base/base.h"

#include <stdio.h>
#include <stdlib.h>

void bug_abort(const char *file, int line, const char *promise) {
	fprintf(stderr, "herold: bug at %s:%d: %s\n", file, line, promise);
	abort();
}
