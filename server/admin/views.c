/* views - metrics that nobody counts, asked for when somebody looks */
#include "server/admin/admin_priv.h"

#include "common/base/mem.h"

static uint64_t view_start_time(const struct admin *a) {
	return atomic_load(&a->stats->host.start_wall_ms) * 1000;
}

static uint64_t view_ready(const struct admin *a) {
	return admin_not_ready_because(a).len == 0;
}

static uint64_t view_draining(const struct admin *a) {
	return atomic_load(&a->stats->host.is_draining) != 0;
}

static uint64_t view_workers(const struct admin *a) {
	return (uint64_t)atomic_load(&a->stats->host.workers);
}

static uint64_t view_workers_ready(const struct admin *a) {
	const struct stats_block *b;
	uint64_t count = 0;
	int index = 0;

	while ((b = stats_next(a->stats, &index)) != NULL)
		count += atomic_load(&b->kind) == PROCESS_WORKER && atomic_load(&b->is_ready);
	return count;
}

static uint64_t view_restarts_worker(const struct admin *a) {
	return atomic_load(&a->stats->host.restarts[PROCESS_WORKER]);
}

static uint64_t view_restarts_broker(const struct admin *a) {
	return atomic_load(&a->stats->host.restarts[PROCESS_BROKER]);
}

static uint64_t view_restarts_admin(const struct admin *a) {
	return atomic_load(&a->stats->host.restarts[PROCESS_ADMIN]);
}

static struct memory_use use_now(const struct admin *a) {
	struct memory_use use;

	memory_use_now(a->memory, &use);
	return use;
}

static uint64_t view_memory_links(const struct admin *a) {
	return use_now(a).links;
}

static uint64_t view_memory_sockets(const struct admin *a) {
	return use_now(a).sockets;
}

static uint64_t view_memory_used(const struct admin *a) {
	struct memory_use use = use_now(a);

	return memory_use_sum(&use);
}

static uint64_t view_memory_limit(const struct admin *a) {
	return atomic_load(&a->stats->host.memory_bytes);
}

static struct limits_usage limits_now(const struct admin *a) {
	struct limits_usage usage;

	limits_usage(a->limits, &usage);
	return usage;
}

static uint64_t view_memory_limits(const struct admin *a) {
	return limits_now(a).bytes;
}

static uint64_t view_limit_entries(const struct admin *a) {
	return limits_now(a).entries;
}

static uint64_t view_limit_entries_used(const struct admin *a) {
	return limits_now(a).used;
}

static uint64_t view_limit_uncounted(const struct admin *a) {
	return limits_now(a).uncounted;
}

static const struct {
	const char *name;
	uint64_t (*value)(const struct admin *a);
} views[] = {
#define STAT_VIEW(name, metric, type, unit, help) { #name, view_##name },
#define STAT_VIEW_CASE(name, value, help) { #name, view_##name },
#include "common/svc/stats.tbl"
};

uint64_t view_value(const struct admin *a, const char *name) {
	size_t i = 0;

	while (strcmp(views[i].name, name) != 0)
		i++;
	return views[i].value(a);
}
