/* gcra - what a unit costs, and whether it can be had now */
#include "server/limits/gcra.h"

enum { SCALE_BITS = 24, WARNED = 1 };

static const uint64_t ns_per_ms = 1000000, ns_per_s = 1000000000;

__extension__ typedef unsigned __int128 wide;

/* What does not fit is more than any tolerance. */
static uint64_t cost_ns(uint64_t scale, uint64_t cost) {
	wide ns = (wide)scale * cost >> SCALE_BITS;

	return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

struct gcra gcra_make(uint64_t limit, uint64_t period_s, uint64_t burst) {
	struct gcra g = { 0 };

	if (limit == 0)
		return g;
	/* All is rounded down to nanoseconds, so that a burst taken one by one fits; with 30,000 a second and more a few units more do. */
	g.scale = (period_s * ns_per_s << SCALE_BITS) / limit;
	g.tolerance_ns = cost_ns(g.scale, burst);
	return g;
}

/* What would be owed with it, at most a burst's cost more. */
static uint64_t due_with(const struct gcra *g, uint64_t old, uint64_t cost, uint64_t now) {
	uint64_t cost_of_it = cost_ns(g->scale, cost);

	if (cost_of_it > g->tolerance_ns)
		cost_of_it = g->tolerance_ns;
	return (old >> 1 > now ? old >> 1 : now) + cost_of_it;
}

static uint64_t wait_for(const struct gcra *g, uint64_t due, uint64_t now) {
	return (due - now - g->tolerance_ns + ns_per_ms - 1) / ns_per_ms;
}

enum limit_verdict gcra_take(_Atomic uint64_t *word, const struct gcra *g, uint64_t cost, uint64_t now_ms, uint64_t *wait_ms) {
	uint64_t now = now_ms * ns_per_ms, old, due;

	*wait_ms = 0;
	if (g->scale == 0)
		return LIMIT_OK;
	old = atomic_load_explicit(word, memory_order_relaxed);
	for (;;) {
		due = due_with(g, old, cost, now);
		if (due > now + g->tolerance_ns)
			break;
		if (atomic_compare_exchange_weak_explicit(word, &old, due << 1, memory_order_relaxed, memory_order_relaxed))
			return LIMIT_OK;
	}
	*wait_ms = wait_for(g, due, now);
	return (atomic_fetch_or_explicit(word, WARNED, memory_order_relaxed) & WARNED) != 0 ? LIMIT_OVER : LIMIT_WARN;
}

enum limit_verdict gcra_look(const _Atomic uint64_t *word, const struct gcra *g, uint64_t cost, uint64_t now_ms, uint64_t *wait_ms) {
	uint64_t now = now_ms * ns_per_ms, due;

	*wait_ms = 0;
	if (g->scale == 0)
		return LIMIT_OK;
	due = due_with(g, atomic_load_explicit(word, memory_order_relaxed), cost, now);
	if (due <= now + g->tolerance_ns)
		return LIMIT_OK;
	*wait_ms = wait_for(g, due, now);
	return LIMIT_OVER;
}

uint64_t gcra_owed_ns(uint64_t word, uint64_t now_ms) {
	uint64_t now = now_ms * ns_per_ms;

	return word >> 1 > now ? (word >> 1) - now : 0;
}
