/*
 * live_series - what the status page shows, measured once a second: sums of all processes, differences, the last 15 minutes
 *
 * A second keeps the sums of all counters and gauges, so that every rate is the difference of two of them; every fifth one makes a point of
 * the long series. Counts of clients are without those of the process that looks. Fixed size; no I/O, no clock.
 */
#ifndef SERVER_ADMIN_LIVE_SERIES_H
#define SERVER_ADMIN_LIVE_SERIES_H

#include "common/svc/stats.h"

enum {
	LIVE_RATE_S = 5,	/* rates are of the last so many seconds */
	LIVE_MINUTE_S = 60,
	LIVE_SECONDS = LIVE_MINUTE_S + 1,
	LIVE_POINT_S = 5,
	LIVE_POINTS = 180,
};

struct live_second {
	uint64_t now_ms, wall_ms;
	uint64_t value[STAT_COUNT];
	uint64_t restarts[PROCESS_KINDS];
};

enum live_column {
#define LIVE_COLUMN(name) LIVE_##name,
#include "server/admin/live_columns.tbl"
	LIVE_COLUMNS
};

struct live_point {
	uint64_t wall_ms;
	float value[LIVE_COLUMNS];	/* NAN: not known */
};

/* Rates of one process, which follow what it does within seconds. */
struct live_process {
	int pid;	/* of whom the rest is */
	uint64_t now_ms, received, sent, cpu;
	uint64_t moved_ms;	/* when cpu rose last, which it does every second unless the process hangs */
	float received_rate, sent_rate;
	float cpu_rate;		/* of one processor, microseconds in a second */
};

struct live_series {
	const struct stats_map *stats;	/* borrowed */
	uint64_t seconds, points;	/* ever made; the newest is at (that - 1) modulo the size */
	struct live_second second[LIVE_SECONDS];
	struct live_point point[LIVE_POINTS];
	struct live_process process[STATS_BLOCKS];
	struct stats_sums sums;		/* of the newest second */
};

/* Returns owned. */
struct live_series *live_series_new(const struct stats_map *stats) MUST_CHECK;
void live_series_free(struct live_series **s);
/* Once a second. memory: what clients take. True: this was the end of a point. */
bool live_series_measure(struct live_series *s, uint64_t now_ms, uint64_t wall_ms, uint64_t memory);

/* There has to be one. Borrowed until the next. */
const struct live_second *live_newest(const struct live_series *s);
/* Of the newest second. */
uint64_t live_now(const struct live_series *s, enum stat_id id);
/* How much a counter rose in the last so many seconds, as far as they were seen. */
uint64_t live_risen(const struct live_series *s, enum stat_id id, unsigned seconds);
uint64_t live_restarts_risen(const struct live_series *s, enum process_kind kind, unsigned seconds);
/* The same per second, over LIVE_RATE_S. */
double live_rate(const struct live_series *s, enum stat_id id);
/* Of a histogram, in seconds: what this share of all was not longer than, of those of the last so many seconds; NAN: there were fewer
 * than `least`. Within a class as if they were evenly spread; above the highest bound that bound. */
double live_quantile(const struct live_series *s, enum stat_id histogram, unsigned seconds, double share, uint64_t least);
/* The rows of stats.tbl that make this metric; borrowed for life. */
const struct stat_row *live_cases(const char *metric, size_t *count);
/* The i-th of those that are kept, oldest first; NULL: there are no more. */
const struct live_point *live_point_at(const struct live_series *s, size_t i);
const char *live_column_name(enum live_column column);

#endif
