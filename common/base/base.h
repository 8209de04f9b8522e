/*
 * base - what every file may use: attributes, small macros, assertions
 *
 * BUG_ON is for promises this program makes to itself; it stays on in every build and ends the process. Nothing that a
 * peer, a file or another process sends may reach it: hostile input is answered, never asserted.
 */
#ifndef COMMON_BASE_BASE_H
#define COMMON_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define container_of(ptr, type, member) ((type *)((uintptr_t)(ptr)-offsetof(type, member)))
#define STATIC_ASSERT(cond, text) _Static_assert(cond, text)

#define BUG_ON(cond) \
	do { \
		if (__builtin_expect(!!(cond), 0)) \
			bug_abort(__FILE__, __LINE__, #cond); \
	} while (0)

/* abort(), with file, line and the broken promise as its last words. */
NORETURN void bug_abort(const char *file, int line, const char *promise);
/* abort(); why is written to standard error, unless somebody else tells last_words. */
NORETURN PRINTF_LIKE(1, 2) void abort_because(const char *format, ...);

/* Why this process aborts; "": it does not. */
extern char last_words[256];
/* Set by who handles SIGABRT. */
extern bool last_words_are_told;

#endif
