/*
 * metrics - what stats.tbl counts, as Prometheus reads it, and as people do
 *
 * Runs in:  the admin process; the reference page is printed by the program. No I/O.
 * Bounded:  every label has the values of a table, or is a worker's slot.
 */
#ifndef SERVER_ADMIN_METRICS_H
#define SERVER_ADMIN_METRICS_H

#include "common/base/buf.h"
#include "common/svc/stats.h"

/* A STAT_FAMILY, and the names of its counters. */
struct family {
	enum stat_id id;
	unsigned begin, end;	/* indexes */
	const char *(*name_at)(unsigned index);		/* borrowed until the next call */
	const char *(*class_at)(unsigned index);	/* the value of a second label, "class"; NULL: there is none */
	bool is_sparse;		/* only those that occurred are shown */
};

const struct family *family_of(enum stat_id first);
/* False: this index counts nothing by itself. */
bool family_has(const struct family *f, unsigned index);

/* Of the one metric that is not in stats.tbl. */
#define METRICS_BUILD_HELP "Always 1: its labels say what runs."

/* What is written. */
struct metrics_source {
	const struct stats_map *stats;
	const char *engine;
	/* The value of a STAT_VIEW or STAT_VIEW_CASE. */
	uint64_t (*view)(const void *arg, const char *name);
	const void *arg;
};

/* Appends all metrics: in Prometheus' text format 0.0.4, or in OpenMetrics 1.0. */
void metrics_write(const struct metrics_source *source, bool is_openmetrics, struct buf *out);
/* Appends docs/metrics.md. */
void metrics_print_reference(struct buf *out);

#endif
