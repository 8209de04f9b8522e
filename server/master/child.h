/*
 * child - the slots of the processes that the master keeps alive, and when to start one again
 *
 * States:  DOWN (not running; to be started at due_ms) -> STARTING -> READY -> DOWN; ENDED is for good (the server goes away).
 * Does not: fork, send signals. The decision what follows a death is pure.
 */
#ifndef SERVER_MASTER_CHILD_H
#define SERVER_MASTER_CHILD_H

#include <sys/types.h>

#include "common/svc/stats.h"

enum { CHILD_NAME_MAX = 24, CHILD_NEVER_READY_MAX = 5 };
enum { CHILD_DELAY_FIRST_MS = 100, CHILD_DELAY_MAX_MS = 10000, CHILD_LIFE_GOOD_MS = 10000, CHILD_LEND_MS = 1000,
	CHILD_READY_MS = 30000 };

enum child_state { CHILD_DOWN = 0, CHILD_STARTING, CHILD_READY, CHILD_ENDED };

/* Zeroed at the start. */
struct respawn {
	uint32_t delay_ms;	/* before the next start; 0, then 100 ms doubled up to 10 s */
	int never_ready;	/* deaths in a row before it was ready */
};

enum respawn_verdict { RESPAWN_AGAIN = 0, RESPAWN_CONFIG, RESPAWN_HOPELESS };

struct child {
	enum process_kind kind;
	int slot;		/* of a worker; else 0 */
	enum child_state state;
	pid_t pid;		/* 0: not running */
	int stats_block;	/* -1: none */
	int control_fd;		/* the master's end; -1: none */
	uint64_t due_ms;	/* DOWN: when to start it */
	uint64_t started_ms;
	bool is_killed;		/* STARTING: it was not ready in time */
	uint64_t down_since_ms;	/* since when nobody serves this slot; for READY meaningless */
	int borrower;		/* slot of the worker that accepts on this one's listeners; -1: none */
	struct respawn respawn;
};

/* What follows a death. exit_code: -1 when it was killed by a signal. *delay_ms: how long to wait before the next start. */
enum respawn_verdict respawn_decide(struct respawn *r, uint64_t lived_ms, bool was_ready, int exit_code, uint32_t *delay_ms);

void child_init(struct child *c, enum process_kind kind, int slot, uint64_t now_ms);
static inline bool child_is_running(const struct child *c) {
	return c->pid > 0;
}
/* "worker 0", "broker", "admin" */
void child_name(const struct child *c, char out[CHILD_NAME_MAX]);
/* "exit status 1", "signal KILL" */
void child_status_text(int wait_status, char *out, size_t size);

/* The master's table. Borrowed, or NULL. */
struct child *child_find_pid(struct child *children, size_t count, pid_t pid);
struct child *child_find_worker(struct child *children, size_t count, int slot);
/* A slot that has been down for so long that its listeners are to be lent, and nobody has them. */
bool child_wants_lender(const struct child *c, uint64_t now_ms);
/* It has neither become ready in time nor died: to be killed, which is a start that failed. */
bool child_is_stuck(const struct child *c, uint64_t now_ms);
/* A ready worker, the next one behind `slot`, or NULL. */
struct child *child_find_lender(struct child *children, size_t count, int slot);

#endif
