/* child - slots, their names, and the decision what follows a death */
#include "server/master/child.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "server/worker/worker.h"

enum respawn_verdict respawn_decide(struct respawn *r, uint64_t lived_ms, bool was_ready, int exit_code, uint32_t *delay_ms) {
	if (exit_code == HEROLD_EXIT_CONFIG)
		return RESPAWN_CONFIG;
	r->never_ready = was_ready ? 0 : r->never_ready + 1;
	if (r->never_ready >= CHILD_NEVER_READY_MAX)
		return RESPAWN_HOPELESS;
	if (was_ready && lived_ms >= CHILD_LIFE_GOOD_MS)
		r->delay_ms = 0;
	*delay_ms = r->delay_ms;
	r->delay_ms = r->delay_ms == 0 ? CHILD_DELAY_FIRST_MS : r->delay_ms * 2;
	if (r->delay_ms > CHILD_DELAY_MAX_MS)
		r->delay_ms = CHILD_DELAY_MAX_MS;
	return RESPAWN_AGAIN;
}

void child_init(struct child *c, enum process_kind kind, int slot, uint64_t now_ms) {
	*c = (struct child){ .kind = kind, .slot = slot, .stats_block = -1, .control_fd = -1, .borrower = -1,
		.due_ms = now_ms, .down_since_ms = now_ms };
}

void child_name(const struct child *c, char out[CHILD_NAME_MAX]) {
	switch (c->kind) {
	case PROCESS_WORKER:
		snprintf(out, CHILD_NAME_MAX, "worker %d", c->slot);
		break;
	case PROCESS_BROKER:
		snprintf(out, CHILD_NAME_MAX, "broker");
		break;
	case PROCESS_ADMIN:
		snprintf(out, CHILD_NAME_MAX, "admin");
		break;
	default:
		snprintf(out, CHILD_NAME_MAX, "process %d", (int)c->kind);
	}
}

void child_status_text(int wait_status, char *out, size_t size) {
	const char *name;

	if (WIFEXITED(wait_status)) {
		snprintf(out, size, "exit status %d", WEXITSTATUS(wait_status));
		return;
	}
	name = sigabbrev_np(WTERMSIG(wait_status));
	snprintf(out, size, "signal %s", name != NULL ? name : "unknown");
}

struct child *child_find_pid(struct child *children, size_t count, pid_t pid) {
	for (size_t i = 0; i < count; i++) {
		if (children[i].pid == pid)
			return &children[i];
	}
	return NULL;
}

struct child *child_find_worker(struct child *children, size_t count, int slot) {
	for (size_t i = 0; i < count; i++) {
		if (children[i].kind == PROCESS_WORKER && children[i].slot == slot)
			return &children[i];
	}
	return NULL;
}

bool child_wants_lender(const struct child *c, uint64_t now_ms) {
	return c->kind == PROCESS_WORKER && (c->state == CHILD_DOWN || c->state == CHILD_STARTING) && c->borrower < 0 &&
	    now_ms - c->down_since_ms >= CHILD_LEND_MS;
}

bool child_is_stuck(const struct child *c, uint64_t now_ms) {
	return c->state == CHILD_STARTING && !c->is_killed && now_ms - c->started_ms >= CHILD_READY_MS;
}

struct child *child_find_lender(struct child *children, size_t count, int slot) {
	struct child *best = NULL;

	/* The nearest one behind, so that several dead slots do not burden one worker. */
	for (size_t i = 0; i < count; i++) {
		struct child *c = &children[i];

		if (c->kind != PROCESS_WORKER || c->state != CHILD_READY)
			continue;
		if (best == NULL || (c->slot > slot && best->slot <= slot))
			best = c;
	}
	return best;
}
