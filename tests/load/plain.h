/*
 * plain - what others sent, so that it can be shown
 *
 * Pure. A server's bytes must neither steer the terminal nor end a text of the JSON.
 */
#ifndef TESTS_LOAD_PLAIN_H
#define TESTS_LOAD_PLAIN_H

#include <string.h>

/* In place: what is not printable ASCII, or is one of `others`, becomes a question mark. */
static inline void plain_text(char *text, const char *others) {
	for (; *text != '\0'; text++) {
		if (*text < 0x20 || *text > 0x7e || strchr(others, *text) != NULL)
			*text = '?';
	}
}

#endif
