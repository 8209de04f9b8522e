/*
 * measure - what a load notes down: a histogram of times, and the processor time of other processes
 */
#ifndef TESTS_LOAD_MEASURE_H
#define TESTS_LOAD_MEASURE_H

#include "common/base/base.h"

enum { HISTOGRAM_BUCKETS = 60 * 64, PIDS_MAX = 64 };

/* 64 buckets for each power of two: within 1.6 %. */
struct histogram {
	uint64_t count, max;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
/* The value that `share` (0 to 1) of all stay below; 0 when there are none. */
uint64_t histogram_at(const struct histogram *h, double share);

struct pids {
	int pid[PIDS_MAX];
	size_t count;
};

/* "12,34" */
bool pids_parse(struct pids *p, const char *text) MUST_CHECK;
/* Nanoseconds on a processor, all threads of all of them together (/proc/PID/task/TID/schedstat, as exact as the kernel counts;
 * else the sum of utime and stime, in hundredths of a second). False when one of the processes is gone. */
bool pids_cpu_ns(const struct pids *p, uint64_t *ns) MUST_CHECK;

#endif
