/*
 * stats - counters, gauges and histograms in a mapping shared by all processes of a host
 *
 * One block per process, one writer per block, no locks: the owner adds with plain (relaxed) stores, readers sum. When a
 * process has died, the master adds its counters to the block of those that were in its place before, so counters never go
 * backwards, and forgets its gauges. The mapping is a memfd, so that the broker, which is executed, can map it too.
 * Families are counters by an index whose names their owner knows (close reasons, error codes).
 */
#ifndef COMMON_SVC_STATS_H
#define COMMON_SVC_STATS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "common/base/errbuf.h"
#include "common/svc/log_shared.h"
#include "common/svc/trace.h"

#define STAT_BOUNDS_COUNT(...) (sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* A histogram is a counter for each bound, one for what is above the last, and one for the sum of the values. */
enum stat_id {
#define STAT_COUNTER(name, metric, unit, help) STAT_##name,
#define STAT_GAUGE(name, metric, unit, help) STAT_##name,
#define STAT_HIGHEST(name, metric, unit, help) STAT_##name,
#define STAT_HISTOGRAM(name, metric, bounds, help) STAT_##name, STAT_##name##_last = STAT_##name + STAT_BOUNDS_COUNT bounds + 1,
#define STAT_FAMILY(name, size, metric, label, help) STAT_##name, STAT_##name##_last = STAT_##name + (size)-1,
#define STAT_CASE(name, value, help) STAT_##name,
#define STAT_BY_PROCESS(name, metric, type, unit, help) STAT_##name,
#include "common/svc/stats.tbl"
	STAT_COUNT
};

/* Rows that are shown by worker, in their order. */
enum stat_of_worker {
#define STAT_BY_WORKER(name, metric, type, unit, help) STAT_OF_WORKER_##name,
#include "common/svc/stats.tbl"
	STAT_OF_WORKER_COUNT
};

enum process_kind { PROCESS_NONE = 0, PROCESS_MASTER, PROCESS_BROKER, PROCESS_WORKER, PROCESS_ADMIN, PROCESS_KINDS };

enum {
	STATS_SLOTS = 256,			/* workers at most */
	STATS_PAST = PROCESS_KINDS + STATS_SLOTS, /* blocks of the dead come first: one each by kind, and by slot of workers */
	STATS_BLOCKS = STATS_PAST + 1024,
};

struct stats_block {
	_Atomic int kind;		/* enum process_kind; NONE: the block is free */
	_Atomic int slot;
	_Atomic int pid;
	_Atomic int is_ready;		/* set by the process once it serves */
	_Atomic int is_draining;
	_Atomic uint64_t start_wall_ms;
	_Atomic uint64_t value[STAT_COUNT];
};

/* Of memory_bytes. Tight: those who hold most go. Short: newcomers are refused, too. */
enum memory_level { MEMORY_ENOUGH = 0, MEMORY_TIGHT, MEMORY_SHORT };

/* What all who look at it agree on; see conn_memory.c. */
struct memory_state {
	_Atomic int level;		/* enum memory_level */
	_Atomic int is_told;		/* the log says that it is tight, and not yet that there is enough again */
	_Atomic uint64_t tight_ms;	/* when it was last found so, by the monotonic clock */
};

/* One per host, at the start of the mapping. */
struct stats_host {
	_Atomic uint64_t start_wall_ms;
	_Atomic uint64_t restarts[PROCESS_KINDS];	/* by process kind */
	_Atomic int workers;
	_Atomic int blocks_end;		/* behind the last block that was ever taken; the others were never touched, and take no memory */
	_Atomic unsigned retirings;	/* odd: counters are just being moved from one block to another */
	_Atomic bool has_past[STATS_PAST];	/* likewise of the dead's */
	_Atomic int is_draining;	/* readiness is red */
	struct log_shared log;		/* which all processes follow */
	_Atomic uint64_t memory_bytes;	/* most that clients may take */
	struct memory_state memory;	/* how near they are */
};

struct stats_map {
	struct stats_host host;
	struct stats_block block[STATS_BLOCKS];
	struct trace_ring trace[STATS_BLOCKS];	/* of the process with the same block; what was never touched takes no memory */
};

/* The block that this process writes; a private dummy until stats_use_block(). */
extern struct stats_block *stats_own;
/* The mapping that it is in; NULL until then. */
extern struct stats_map *stats_shared;

/* Master: makes the mapping; *fd is owned by the caller (to be handed to the broker). Returns shared for life, or NULL. */
struct stats_map *stats_map_new(int *fd, struct errbuf *e) MUST_CHECK;
/* Broker: maps an inherited descriptor. */
struct stats_map *stats_map_open(int fd, struct errbuf *e) MUST_CHECK;
/* Master, before fork: finds a free block and marks it; its index, or -1 when all are taken. */
int stats_block_take(struct stats_map *m, enum process_kind kind, int slot);
/* In the child. */
void stats_use_block(struct stats_map *m, int index);
/* Master, after the process has died. */
void stats_block_retire(struct stats_map *m, int index);
/* The block of a living process behind this index (0 to begin with), borrowed; NULL: there is none. *index is its own. */
const struct stats_block *stats_next(const struct stats_map *m, int *index);

/* Every process may write anywhere in the mapping, and one that was taken over may have written anything. What is an index is read by
 * these: NONE for what is no kind, and at most STATS_BLOCKS. */
enum process_kind stats_kind(const struct stats_block *b);
int stats_blocks_end(const struct stats_map *m);

/* --- rows --- */

enum stat_kind { STAT_ALONE = 0, STAT_IS_HISTOGRAM, STAT_IS_FAMILY, STAT_IS_BY_ADMIN, STAT_HEADS_CASES, STAT_IS_CASE, STAT_IS_VIEW_CASE, STAT_IS_BY_PROCESS,
	STAT_IS_BY_WORKER, STAT_IS_VIEW };
enum stat_type { STAT_TYPE_COUNTER = 0, STAT_TYPE_GAUGE, STAT_TYPE_HIGHEST };
enum stat_unit { STAT_UNIT_NONE = 0, STAT_UNIT_BYTES, STAT_UNIT_SECONDS };

/* One of stats.tbl, in its order. Of a case, metric, label, type and unit are those of the row that heads it. */
struct stat_row {
	enum stat_kind kind;
	enum stat_type type;
	enum stat_unit unit;
	const char *name;	/* NULL: it heads cases */
	const char *metric, *label, *value, *help;
	int first, last;	/* enum stat_id of its values; of a view -1; of what is shown by worker enum stat_of_worker */
};

/* Borrowed for life. */
const struct stat_row *stat_rows(size_t *count);
/* So many, in microseconds, borrowed for life. The values: a count for each, then one for what is above, then the sum. */
const uint64_t *stat_bounds(enum stat_id histogram, unsigned *count);

/* --- readers --- */

/* All values at one moment. Those of STAT_HIGHEST are the highest and not the sum. */
struct stats_sums {
	uint64_t all[STAT_COUNT];
	uint64_t kind[PROCESS_KINDS][STAT_COUNT];	/* by kind of process */
	uint64_t worker[STATS_SLOTS][STAT_OF_WORKER_COUNT];
};

void stats_take_sums(const struct stats_map *m, struct stats_sums *out);
/* What all but the admin process have: of what is counted of connections, whose other side is no client there, but an operator. */
uint64_t stats_of_clients(const struct stats_sums *sums, int id);
/* Of one, over all blocks of the living and the dead. */
uint64_t stats_sum(const struct stats_map *m, enum stat_id id);

/* --- the writer --- */

static inline void stat_add(enum stat_id id, uint64_t n) {
	_Atomic uint64_t *v = &stats_own->value[id];

	/* The only writer: load and store instead of a locked add. */
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void stat_sub(enum stat_id id, uint64_t n) {
	stat_add(id, (uint64_t)0 - n);
}

static inline void stat_set(enum stat_id id, uint64_t n) {
	atomic_store_explicit(&stats_own->value[id], n, memory_order_relaxed);
}

static inline uint64_t stat_get(const struct stats_block *b, enum stat_id id) {
	return atomic_load_explicit(&b->value[id], memory_order_relaxed);
}

/* One of a family: index < its size. */
static inline void stat_add_in(enum stat_id family, unsigned index) {
	stat_add((enum stat_id)(family + index), 1);
}

/* A value of a histogram, in microseconds. */
void stat_observe(enum stat_id histogram, uint64_t value);

#endif
