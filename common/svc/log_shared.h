/*
 * log_shared - what the logs of all processes of a host have in common: levels by area, the form, the latest warnings and errors
 */
#ifndef COMMON_SVC_LOG_SHARED_H
#define COMMON_SVC_LOG_SHARED_H

#include <stdatomic.h>

#include "common/base/base.h"

enum log_level { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };
enum log_format { LOG_FORMAT_TEXT = 0, LOG_FORMAT_JSON };

enum log_area {
#define LOG_AREA_ROW(name, what) LOG_AREA_##name,
#include "common/svc/log_areas.tbl"
	LOG_AREAS
};

enum { LOG_RECENT = 20, LOG_RECENT_BYTES = 400, LOG_PROCESS_BYTES = 24 };

/* One of the latest warnings and errors. */
struct log_recent {
	uint64_t wall_ms;
	int level, area, pid;
	char process[LOG_PROCESS_BYTES];	/* "worker 0" */
	char text[LOG_RECENT_BYTES];		/* the message, and what stands behind it as key=value; escaped; may be cut */
};

struct log_recent_slot {
	_Atomic uint64_t turn;	/* odd: being written; even: of the line before; 0: empty */
	struct log_recent line;
};

/* What all processes of a host follow, and where they keep their latest warnings and errors. */
struct log_shared {
	_Atomic int level[LOG_AREAS];		/* enum log_level */
	_Atomic int format;			/* enum log_format */
	_Atomic int lines_per_second;		/* of a kind; 0: all */
	_Atomic uint64_t recent_next;
	struct log_recent_slot recent[LOG_RECENT];
};

#endif
