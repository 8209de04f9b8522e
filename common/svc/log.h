/*
 * log - one line per event, as text (key=value) or JSON, to standard error
 *
 * A line is one write(2), so lines of several processes do not mix. Nobody waits for the log's reader: lines that it does not take are
 * lost, and counted in the next one that it does. Values are escaped in both forms; control characters never
 * reach a terminal. Whoever decides logs; whoever only fails returns. Secrets are never passed here.
 *
 *     log_line(LOG_INFO, "worker is ready", LF_U("slot", slot), LF_TEXT("address", text));
 */
#ifndef COMMON_SVC_LOG_H
#define COMMON_SVC_LOG_H

#include "common/base/slice.h"

enum log_level { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_TEXT = 0, LOG_FORMAT_JSON };

struct log_field {
	const char *key;	/* NULL ends the list */
	enum { LOG_FIELD_SLICE, LOG_FIELD_U64, LOG_FIELD_I64 } type;
	struct slice text;
	uint64_t number;
};

#define LF_TEXT(k, v) ((struct log_field){ (k), LOG_FIELD_SLICE, slice_text(v), 0 })
#define LF_SLICE(k, v) ((struct log_field){ (k), LOG_FIELD_SLICE, (v), 0 })
#define LF_U(k, v) ((struct log_field){ (k), LOG_FIELD_U64, SLICE_EMPTY, (uint64_t)(v) })
#define LF_I(k, v) ((struct log_field){ (k), LOG_FIELD_I64, SLICE_EMPTY, (uint64_t)(int64_t)(v) })

/* The fields are not evaluated when the level is off. At least one field. */
#define log_line(level, message, ...) \
	do { \
		if (log_is_on(level)) \
			log_emit((level), (message), (const struct log_field[]){ __VA_ARGS__, { 0 } }); \
	} while (0)
/* A line without fields of its own. */
#define log_text(level, message) log_emit((level), (message), NULL)

/* Until called: level info, text, no process name. `process` ("master", "worker 0") is copied and stands on every line. */
void log_setup(enum log_level level, enum log_format format, const char *process);
void log_set_level(enum log_level level);
/* From now on level and format are what stands there (shared by the processes of a host, so that one change reaches all). Borrows
 * for life; other values than those of the enumerations count as the nearest. */
void log_follow(const _Atomic int *level, const _Atomic int *format);
bool log_is_on(enum log_level level);
void log_emit(enum log_level level, const char *message, const struct log_field *fields);

#endif
