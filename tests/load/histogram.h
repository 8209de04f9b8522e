/*
 * histogram - times, counted in buckets that are as fine as the times are short
 *
 * Pure; no pointers, so that it may lie in memory that processes share. All zero is an empty one.
 */
#ifndef TESTS_LOAD_HISTOGRAM_H
#define TESTS_LOAD_HISTOGRAM_H

#include "common/base/base.h"

enum { HISTOGRAM_BUCKETS = 60 * 64 };

/* 64 buckets for each power of two: within 1.6 %. */
struct histogram {
	uint64_t count, max;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *h, const struct histogram *other);
/* What `share` (0 to 1) of all do not exceed: the upper edge of its bucket, or the highest of all; 0 when there are none. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
