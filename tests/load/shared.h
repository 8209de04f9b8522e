/*
 * shared - the memory that coordinator and processes of a load have together
 *
 * Each process writes its own part and reads the orders; the coordinator writes the orders and reads all parts while they change.
 * So there is one writer for each word, and no lock. Everything is zero at the beginning.
 */
#ifndef TESTS_LOAD_SHARED_H
#define TESTS_LOAD_SHARED_H

#include <stdatomic.h>
#include <sys/types.h>

#include "tests/load/histogram.h"
#include "tests/load/scenario_id.h"

enum { CAUSES_MAX = 32, CAUSE_TEXT = 40, PROBLEM_TEXT = 400, PROCESSES_MAX = 1024 };

/* Ordered one after the other. */
enum phase {
	PHASE_OPEN = 0, /* connections are made */
	PHASE_RUN,	/* messages are sent, until `until_ns` */
	PHASE_DRAIN,	/* all have stopped: what is under way arrives */
	PHASE_END,
};

struct counters {
#define COUNTER(name, scenarios, words) uint64_t name;
#include "tests/load/counters.tbl"
#undef COUNTER
};

enum histogram_id {
#define HISTOGRAM(id, key, scenarios, words) HISTOGRAM_##id,
#include "tests/load/histograms.tbl"
#undef HISTOGRAM
	HISTOGRAM_COUNT
};

/* Why connections did not open, or were lost. */
struct cause {
	char text[CAUSE_TEXT];
	uint64_t count;
};

/* Written by one process. */
struct process {
	_Alignas(64) struct counters n;
	_Atomic uint32_t settled; /* connections that are ready, or will not be */
	atomic_bool has_stopped, has_drained;
	uint64_t stopped_ns;
	uint64_t last_ns; /* open loop: when the last message came */
	struct cause causes[CAUSES_MAX]; /* up to the first without text */
	struct histogram times[HISTOGRAM_COUNT];
};

/* Of a publisher whom all processes listen to; written by his process. */
struct publisher {
	_Atomic uint32_t sent;	/* messages */
	_Atomic uint32_t first; /* the first of them that is measured, plus 1; 0: none yet */
};

struct shared {
	_Atomic int phase;
	int order; /* eventfd: written when there is another phase */
	uint32_t run; /* a number that tells this load's messages from those of others; 20 bits */
	pid_t coordinator;
	uint64_t opening_ns;
	_Atomic uint64_t began_ns, from_ns, until_ns; /* of PHASE_RUN; what lies in [from, until) is measured */
	atomic_flag has_problem, has_died;
	char problem[PROBLEM_TEXT]; /* the first that went wrong, in a sentence */
	_Atomic uint32_t back; /* of those who were cut off */
	struct publisher *publishers;
	_Atomic uint64_t *room_tops; /* the highest offset of each room that was acknowledged */
	uint32_t process_count;
	struct process process[];
};

/* Returns owned: in memory that children share. */
struct shared *shared_new(uint32_t processes, uint32_t publishers, uint32_t rooms) MUST_CHECK;
/* Counts a cause; what is too much for the list counts as "other". */
void cause_add(struct cause causes[CAUSES_MAX], const char *text, uint64_t count);
/* Keeps the sentence if it is the first. */
void shared_set_problem(struct shared *s, const char *format, ...) PRINTF_LIKE(2, 3);

uint64_t now_ns(void);
/* Ends this process, and with it the load. `s`: of several processes that say so, one is heard; or NULL. */
NORETURN void die(struct shared *s, const char *format, ...) PRINTF_LIKE(2, 3);

static const uint64_t SECOND_NS = 1000000000, MILLISECOND_NS = 1000000;

#endif
