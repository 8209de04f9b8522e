/*
 * log - one line per event, as text (key=value) or JSON, to standard error
 *
 * A line is one write(2), so lines of several processes do not mix. Nobody waits for the log's reader: lines that it does not take are
 * lost, and counted in the next one that it does. Values are escaped in both forms; control characters never
 * reach a terminal. Whoever decides logs; whoever only fails returns. Secrets are never passed here.
 *
 *     #define LOG_AREA LOG_AREA_conn		before this header is included; without it, LOG_AREA_process
 *     log_line(LOG_INFO, "worker is ready", LF_U("slot", slot), LF_TEXT("address", text));
 *
 * Kinds: each place that logs is one. Of a kind a process writes so many lines a second (option log_lines_per_second); those beyond
 * are held back, and one line says then how many.
 * Signals: all of this may be called in the handler of a crash.
 */
#ifndef COMMON_SVC_LOG_H
#define COMMON_SVC_LOG_H

#include "common/base/slice.h"
#include "common/svc/log_shared.h"

#ifndef LOG_AREA
#define LOG_AREA LOG_AREA_process
#endif

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

/* A kind of line; zeroed at the start, lives as long as the process. */
struct log_kind {
	struct log_kind *next;		/* of those with lines held back */
	const char *message;		/* of the latest held back */
	uint64_t since_ms;		/* begin of its second */
	uint32_t written, held;		/* in it */
	uint8_t area, level;
};

extern struct log_shared *log_followed;

/* Of this file's area. */
#define log_is_on(level) log_area_is_on(LOG_AREA, level)
/* Fields: an array that ends with { 0 }, or NULL. For kinds that are not told apart by their place. */
#define log_emit_kind(kind, level, message, fields) \
	do { \
		if (log_is_on(level)) \
			log_write((kind), LOG_AREA, (level), (message), (fields)); \
	} while (0)
#define log_emit(level, message, fields) \
	do { \
		static struct log_kind log_kind_here; \
		log_emit_kind(&log_kind_here, level, message, fields); \
	} while (0)
/* The fields are not evaluated when the level is off. At least one field. */
#define log_line(level, message, ...) log_emit(level, message, ((const struct log_field[]){ __VA_ARGS__, { 0 } }))
/* A line without fields of its own. */
#define log_text(level, message) log_emit(level, message, NULL)

/* Until called: level info, text, no process name. `process` ("master", "worker 0") is copied and stands on every line. */
void log_setup(enum log_level level, enum log_format format, const char *process);
/* Of all areas. */
void log_set_level(enum log_level level);
/* From now on levels, format and bound are what stands there, and warnings and errors are kept there (shared by the processes of a
 * host, so that one change reaches all). Borrows for life; other values than those of the enumerations count as the nearest. */
void log_follow(struct log_shared *shared);
static inline bool log_area_is_on(enum log_area area, enum log_level level) {
	return (int)level <= atomic_load_explicit(&log_followed->level[area], memory_order_relaxed);
}
void log_write(struct log_kind *kind, enum log_area area, enum log_level level, const char *message, const struct log_field *fields);

/* Lines are held back, and nobody has been told how many. */
bool log_is_holding(void);
/* Tells it of those whose second is over; or of all. */
void log_tell_held(bool of_all);

/* The latest warnings and errors of all processes, the newest first; how many. */
size_t log_recent(const struct log_shared *shared, struct log_recent out[LOG_RECENT]);

const char *log_level_name(enum log_level level);
const char *log_area_name(enum log_area area);
/* False: there is none of that name. */
bool log_level_find(struct slice name, enum log_level *out) MUST_CHECK;
bool log_area_find(struct slice name, enum log_area *out) MUST_CHECK;

#endif
