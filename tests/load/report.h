/*
 * report - what came of a load, as a table or as a line of JSON
 */
#ifndef TESTS_LOAD_REPORT_H
#define TESTS_LOAD_REPORT_H

#include "tests/load/options.h"
#include "tests/load/shared.h"

/* Of the server's memory. */
enum moment { MOMENT_BEFORE = 0, MOMENT_READY, MOMENT_AFTER, MOMENT_COUNT };

struct results {
	double seconds;		/* of measuring; open loop: until the last message came */
	double last_seconds;	/* open loop: so long after the end the last message came */
	double opening_seconds;	/* until all connections were there */
	bool has_cpu;		/* the server's processes were the same all the time */
	double cpu_seconds;
	bool has_pss;
	uint64_t pss_bytes[MOMENT_COUNT];
	struct counters n;	/* of all processes together */
	struct cause causes[CAUSES_MAX];
	struct histogram times[HISTOGRAM_COUNT];
};

/* Adds up what the processes have counted. */
void results_collect(struct results *r, const struct shared *s);
void report_print(const struct options *o, const struct shared *s, const struct results *r);

#endif
