/* stats - the shared mapping of counters: blocks taken, written, read and retired */
#include "common/svc/stats.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* How often a reader begins again while the master moves counters; it does that within microseconds. */
enum { TRIES = 1000 };

static struct stats_block dummy;
struct stats_block *stats_own = &dummy;
struct stats_map *stats_shared;

/* --- rows --- */

#define ROW_BOUNDS(...) (const uint64_t[]){ __VA_ARGS__, UINT64_MAX }

static const struct stat_row rows[] = {
#define STAT_COUNTER(n, m, u, h) { STAT_ALONE, STAT_TYPE_COUNTER, STAT_UNIT_##u, #n, m, NULL, NULL, h, STAT_##n, STAT_##n },
#define STAT_GAUGE(n, m, u, h) { STAT_ALONE, STAT_TYPE_GAUGE, STAT_UNIT_##u, #n, m, NULL, NULL, h, STAT_##n, STAT_##n },
#define STAT_HIGHEST(n, m, u, h) { STAT_ALONE, STAT_TYPE_HIGHEST, STAT_UNIT_##u, #n, m, NULL, NULL, h, STAT_##n, STAT_##n },
#define STAT_HISTOGRAM(n, m, bounds, h) \
	{ STAT_IS_HISTOGRAM, STAT_TYPE_COUNTER, STAT_UNIT_SECONDS, #n, m, "le", NULL, h, STAT_##n, STAT_##n##_last },
#define STAT_FAMILY(n, size, m, l, h) \
	{ STAT_IS_FAMILY, STAT_TYPE_COUNTER, STAT_UNIT_NONE, #n, m, l, NULL, h, STAT_##n, STAT_##n##_last },
#define STAT_BY_ADMIN(n, m, l, h) { STAT_IS_BY_ADMIN, STAT_TYPE_COUNTER, STAT_UNIT_NONE, #n, m, l, NULL, h, STAT_##n, STAT_##n##_last },
#define STAT_METRIC(m, t, u, l, h) { STAT_HEADS_CASES, STAT_TYPE_##t, STAT_UNIT_##u, NULL, m, l, NULL, h, -1, -1 },
#define STAT_CASE(n, v, h) { STAT_IS_CASE, STAT_TYPE_COUNTER, STAT_UNIT_NONE, #n, NULL, NULL, v, h, STAT_##n, STAT_##n },
#define STAT_VIEW_CASE(n, v, h) { STAT_IS_VIEW_CASE, STAT_TYPE_COUNTER, STAT_UNIT_NONE, #n, NULL, NULL, v, h, -1, -1 },
#define STAT_BY_PROCESS(n, m, t, u, h) \
	{ STAT_IS_BY_PROCESS, STAT_TYPE_##t, STAT_UNIT_##u, #n, m, "process", NULL, h, STAT_##n, STAT_##n },
#define STAT_BY_WORKER(n, m, t, u, h) \
	{ STAT_IS_BY_WORKER, STAT_TYPE_##t, STAT_UNIT_##u, #n, m, "worker", NULL, h, STAT_OF_WORKER_##n, STAT_OF_WORKER_##n },
#define STAT_VIEW(n, m, t, u, h) { STAT_IS_VIEW, STAT_TYPE_##t, STAT_UNIT_##u, #n, m, NULL, NULL, h, -1, -1 },
#include "common/svc/stats.tbl"
};

static const struct {
	const uint64_t *bounds;
	unsigned count;
} histograms[STAT_COUNT] = {
#define STAT_HISTOGRAM(n, m, bounds, h) [STAT_##n] = { ROW_BOUNDS bounds, STAT_BOUNDS_COUNT bounds },
#include "common/svc/stats.tbl"
};

/* What each value is. */
static const enum stat_id of_worker[] = {
#define STAT_BY_WORKER(n, m, t, u, h) STAT_##n,
#include "common/svc/stats.tbl"
};

const struct stat_row *stat_rows(size_t *count) {
	*count = ARRAY_LEN(rows);
	return rows;
}

const uint64_t *stat_bounds(enum stat_id histogram, unsigned *count) {
	*count = histograms[histogram].count;
	return histograms[histogram].bounds;
}

/* --- the mapping --- */

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
	for (int i = STATS_PAST; i < STATS_BLOCKS; i++) {
		struct stats_block *b = &m->block[i];

		if (atomic_load(&b->kind) != PROCESS_NONE)
			continue;
		trace_clear(&m->trace[i]);
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

/* --- the dead --- */

static int past_index(enum process_kind kind, int slot) {
	return kind == PROCESS_WORKER ? PROCESS_KINDS + (int)((unsigned)slot % STATS_SLOTS) : (int)kind;
}

/* And is not another row's view of them. */
static bool has_values(const struct stat_row *row) {
	return row->first >= 0 && row->kind != STAT_IS_BY_WORKER && row->kind != STAT_IS_BY_ADMIN;
}

/* Counters of every kind; gauges are left behind. */
static void move_counters(struct stats_block *from, struct stats_block *to) {
	enum stat_type head = STAT_TYPE_COUNTER;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct stat_row *row = &rows[i];

		if (row->kind == STAT_HEADS_CASES)
			head = row->type;
		if ((row->kind == STAT_IS_CASE ? head : row->type) != STAT_TYPE_COUNTER || !has_values(row))
			continue;
		for (int id = row->first; id <= row->last; id++)
			atomic_store(&to->value[id], atomic_load(&to->value[id]) + atomic_load(&from->value[id]));
	}
	for (int id = 0; id < STAT_COUNT; id++)
		atomic_store(&from->value[id], 0);
}

void stats_block_retire(struct stats_map *m, int index) {
	struct stats_block *b = &m->block[index];
	/* Whatever the process wrote there, this is a place for the dead. */
	enum process_kind kind = stats_kind(b);
	int slot = atomic_load(&b->slot), past = past_index(kind, slot);

	atomic_store(&m->block[past].kind, (int)kind);
	atomic_store(&m->block[past].slot, slot);
	atomic_store(&m->host.has_past[past], true);
	atomic_fetch_add(&m->host.retirings, 1);
	move_counters(b, &m->block[past]);
	atomic_fetch_add(&m->host.retirings, 1);
	atomic_store(&b->is_ready, 0);
	atomic_store(&b->is_draining, 0);
	atomic_store(&b->pid, 0);
	atomic_store(&b->kind, PROCESS_NONE);
}

/* --- readers --- */

enum process_kind stats_kind(const struct stats_block *b) {
	int kind = atomic_load(&b->kind);

	return kind > PROCESS_NONE && kind < PROCESS_KINDS ? (enum process_kind)kind : PROCESS_NONE;
}

int stats_blocks_end(const struct stats_map *m) {
	int end = atomic_load(&m->host.blocks_end);

	return end < STATS_BLOCKS ? end : STATS_BLOCKS;
}

const struct stats_block *stats_next(const struct stats_map *m, int *index) {
	int end = stats_blocks_end(m);

	for (int i = *index < STATS_PAST ? STATS_PAST : *index + 1; i < end; i++) {
		if (stats_kind(&m->block[i]) != PROCESS_NONE) {
			*index = i;
			return &m->block[i];
		}
	}
	return NULL;
}

/* The same of the dead, too, whose blocks come first. */
static const struct stats_block *next_of_all(const struct stats_map *m, int *index) {
	while (*index < STATS_PAST - 1) {
		*index += 1;
		if (atomic_load(&m->host.has_past[*index]))
			return &m->block[*index];
	}
	return stats_next(m, index);
}

/* A reader that came amid a move begins again. A master that died amid one took everybody along. */
static bool is_torn(const struct stats_map *m, unsigned begin) {
	return (begin & 1) != 0 || atomic_load(&m->host.retirings) != begin;
}

static void join(uint64_t *to, uint64_t value, bool is_highest) {
	if (!is_highest)
		*to += value;
	else if (value > *to)
		*to = value;
}

static void add_block(const struct stats_block *b, const bool is_highest[STAT_COUNT], struct stats_sums *out) {
	enum process_kind kind = stats_kind(b);
	int slot = atomic_load(&b->slot);

	if (kind == PROCESS_NONE)
		return;
	for (int id = 0; id < STAT_COUNT; id++) {
		uint64_t value = stat_get(b, (enum stat_id)id);

		join(&out->kind[kind][id], value, is_highest[id]);
		join(&out->all[id], value, is_highest[id]);
	}
	if (kind != PROCESS_WORKER || slot < 0 || slot >= STATS_SLOTS)
		return;
	for (int i = 0; i < STAT_OF_WORKER_COUNT; i++)
		join(&out->worker[slot][i], stat_get(b, of_worker[i]), is_highest[of_worker[i]]);
}

void stats_take_sums(const struct stats_map *m, struct stats_sums *out) {
	bool is_highest[STAT_COUNT] = { false };
	unsigned begin;
	int tries = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].type == STAT_TYPE_HIGHEST && has_values(&rows[i]))
			is_highest[rows[i].first] = true;
	}
	do {
		const struct stats_block *b;
		int index = -1;

		begin = atomic_load(&m->host.retirings);
		memset(out, 0, sizeof(*out));
		while ((b = next_of_all(m, &index)) != NULL)
			add_block(b, is_highest, out);
	} while (is_torn(m, begin) && ++tries < TRIES);
}

uint64_t stats_of_clients(const struct stats_sums *sums, int id) {
	bool is_of_connections = id >= STAT_connections && id <= STAT_inflate_bytes_out;

	return sums->all[id] - (is_of_connections ? sums->kind[PROCESS_ADMIN][id] : 0);
}

uint64_t stats_sum(const struct stats_map *m, enum stat_id id) {
	unsigned begin;
	uint64_t sum;
	int tries = 0;

	do {
		const struct stats_block *b;
		int index = -1;

		begin = atomic_load(&m->host.retirings);
		sum = 0;
		while ((b = next_of_all(m, &index)) != NULL)
			sum += stat_get(b, id);
	} while (is_torn(m, begin) && ++tries < TRIES);
	return sum;
}

/* --- the writer --- */

void stat_observe(enum stat_id histogram, uint64_t value) {
	const uint64_t *bounds = histograms[histogram].bounds;
	unsigned i = 0;

	while (value > bounds[i])
		i++;
	stat_add_in(histogram, i);
	stat_add((enum stat_id)(histogram + histograms[histogram].count + 1), value);
}
