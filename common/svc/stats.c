/* stats - the shared mapping of counters: blocks taken, read and retired */
#include "common/svc/stats.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct stats_block dummy;
struct stats_block *stats_own = &dummy;
struct stats_map *stats_shared;

static const struct {
	enum stat_id last;
	bool is_gauge;
} rows[] = {
#define STAT_COUNTER(name, help) { STAT_##name, false },
#define STAT_GAUGE(name, help) { STAT_##name, true },
#define STAT_FAMILY(name, size, help) { STAT_##name##_last, false },
#include "common/svc/stats.tbl"
};

/* A counter's place in `rows`. */
static size_t row_of(enum stat_id id) {
	size_t i = 0;

	while (rows[i].last < id)
		i++;
	return i;
}

static uint64_t wall_ms(void) {
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct stats_map *stats_map_open(int fd, struct errbuf *e) {
	void *map = mmap(NULL, sizeof(struct stats_map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED) {
		errbuf_set(e, "cannot map the shared counters: %s", strerror(errno));
		return NULL;
	}
	return map;
}

struct stats_map *stats_map_new(int *fd, struct errbuf *e) {
	struct stats_map *m;

	*fd = memfd_create("herold-stats", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, sizeof(struct stats_map)) != 0) {
		errbuf_set(e, "cannot make the shared counters: %s", strerror(errno));
		goto fail;
	}
	m = stats_map_open(*fd, e);
	if (m == NULL)
		goto fail;
	atomic_store(&m->host.start_wall_ms, wall_ms());
	return m;
fail:
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return NULL;
}

int stats_block_take(struct stats_map *m, enum process_kind kind, int slot) {
	for (int i = STATS_RETIRED + 1; i < STATS_BLOCKS; i++) {
		struct stats_block *b = &m->block[i];

		if (atomic_load(&b->kind) != PROCESS_NONE)
			continue;
		atomic_store(&b->slot, slot);
		atomic_store(&b->start_wall_ms, wall_ms());
		atomic_store(&b->kind, kind);
		if (i >= atomic_load(&m->host.blocks_end))
			atomic_store(&m->host.blocks_end, i + 1);
		return i;
	}
	return -1;
}

void stats_use_block(struct stats_map *m, int index) {
	stats_shared = m;
	stats_own = &m->block[index];
	trace_use(&m->trace[index]);
	atomic_store(&stats_own->pid, (int)getpid());
}

void stats_block_retire(struct stats_map *m, int index) {
	struct stats_block *b = &m->block[index], *retired = &m->block[STATS_RETIRED];

	for (int id = 0; id < STAT_COUNT; id++) {
		uint64_t value = stat_get(b, (enum stat_id)id);

		if (value == 0)
			continue;
		if (!stats_is_gauge((enum stat_id)id))
			atomic_store(&retired->value[id], atomic_load(&retired->value[id]) + value);
		atomic_store(&b->value[id], 0);
	}
	atomic_store(&b->is_ready, 0);
	atomic_store(&b->is_draining, 0);
	atomic_store(&b->pid, 0);
	atomic_store(&b->kind, PROCESS_NONE);
}

uint64_t stats_sum(const struct stats_map *m, enum stat_id id) {
	uint64_t sum = 0;

	for (int i = 0, end = atomic_load(&m->host.blocks_end); i < end; i++) {
		if (i == STATS_RETIRED || atomic_load(&m->block[i].kind) != PROCESS_NONE)
			sum += stat_get(&m->block[i], id);
	}
	return sum;
}

bool stats_is_gauge(enum stat_id id) {
	return rows[row_of(id)].is_gauge;
}
