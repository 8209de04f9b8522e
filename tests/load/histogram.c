/* histogram - 64 buckets for each power of two */
#include "tests/load/histogram.h"

void histogram_add(struct histogram *h, uint64_t value) {
	size_t at = (size_t)value;

	if (value >= 64) {
		unsigned shift = 63 - (unsigned)__builtin_clzll(value) - 6;

		at = (size_t)(shift + 1) * 64 + (size_t)(value >> shift & 63);
	}
	h->max = value > h->max ? value : h->max;
	h->bucket[at]++;
	h->count++;
}

void histogram_merge(struct histogram *h, const struct histogram *other) {
	h->count += other->count;
	h->max = h->max > other->max ? h->max : other->max;
	for (size_t at = 0; at < HISTOGRAM_BUCKETS; at++)
		h->bucket[at] += other->bucket[at];
}

uint64_t histogram_at(const struct histogram *h, double share) {
	uint64_t below = 0, wanted = (uint64_t)((double)h->count * share);

	for (size_t at = 0; at < HISTOGRAM_BUCKETS; at++) {
		uint64_t most = at < 64 ? at : ((64 + (uint64_t)at % 64) << (at / 64 - 1)) + (((uint64_t)1 << (at / 64 - 1)) - 1);

		below += h->bucket[at];
		if (below > wanted)
			return most < h->max ? most : h->max;
	}
	return 0;
}
