/*
 * stats - counters and gauges in a mapping shared by all processes of a host
 *
 * One block per process, one writer per block, no locks: the owner adds with plain (relaxed) stores, readers sum. When a
 * process has died, the master adds its counters to the block of the retired, so counters never go backwards, and forgets its
 * gauges. The mapping is a memfd, so that the broker, which is executed, can map it too.
 * Families are counters by an index whose names their owner knows (close reasons, error codes).
 */
#ifndef COMMON_SVC_STATS_H
#define COMMON_SVC_STATS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "common/base/errbuf.h"
#include "common/svc/log_shared.h"
#include "common/svc/trace.h"

enum stat_id {
#define STAT_COUNTER(name, help) STAT_##name,
#define STAT_GAUGE(name, help) STAT_##name,
#define STAT_FAMILY(name, size, help) STAT_##name, STAT_##name##_last = STAT_##name + (size)-1,
#include "common/svc/stats.tbl"
	STAT_COUNT
};

enum process_kind { PROCESS_NONE = 0, PROCESS_MASTER, PROCESS_BROKER, PROCESS_WORKER, PROCESS_ADMIN };
enum { STATS_BLOCKS = 1024, STATS_RETIRED = 0 };	/* block 0 holds the sums of the dead */

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
	_Atomic uint64_t restarts[PROCESS_ADMIN + 1];	/* by process kind */
	_Atomic int workers;
	_Atomic int blocks_end;		/* behind the last block that was ever taken; the others were never touched, and take no memory */
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
/* Over all living blocks and the retired. */
uint64_t stats_sum(const struct stats_map *m, enum stat_id id);
bool stats_is_gauge(enum stat_id id);

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

#endif
