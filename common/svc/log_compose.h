/*
 * log_compose - a line of the log in fixed memory, as text or JSON. Private to log
 *
 * Pure but for the clock; nothing that a handler of a crash may not call.
 */
#ifndef COMMON_SVC_LOG_COMPOSE_H
#define COMMON_SVC_LOG_COMPOSE_H

#include <limits.h>

#include "common/svc/log.h"

/* Pipes keep writes of up to PIPE_BUF bytes whole; longer lines of several processes would mix. */
enum { LOG_LINE_BYTES = PIPE_BUF, LOG_TAIL_BYTES = 32 };

struct log_composed {
	char text[LOG_LINE_BYTES];
	size_t len;		/* len <= LOG_LINE_BYTES - LOG_TAIL_BYTES until its end */
	bool is_full;		/* nothing more is added */
	bool is_json;
};

/* What stands before the message. */
struct log_head {
	uint64_t wall_ms;
	enum log_level level;
	enum log_area area;
	const char *process;	/* "": unknown */
	int pid;
};

/* The whole line, with its newline. */
void log_compose(struct log_composed *l, bool is_json, const struct log_head *head, const char *message, const struct log_field *fields);
/* Message and fields alone, as text with a NUL behind it, into `out`: as much as fits. */
void log_compose_short(char *out, size_t size, const char *message, const struct log_field *fields);

#endif
