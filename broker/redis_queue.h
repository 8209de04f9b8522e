/*
 * redis_queue - publications on their way into one Redis server
 *
 * Does:      sends them in the order in which they came, REDIS_QUEUE_CALLS at most under way; sends those again, in the same order,
 *            that a lost connection or an error of the server took (each has a key, so that none is published twice); answers
 *            each once, by its deadline at the latest. Bounded in bytes.
 * Does not:  deliver: publications come back over pub/sub like everybody's.
 *
 * What was refused stops the queue until all that are under way are back; then it goes on from the oldest, after a pause if
 * nothing got through between. Answers, by what is known at the deadline: IPC_UNAVAILABLE when it was never sent, or surely
 * refused each time; else IPC_UNCERTAIN.
 */
#ifndef BROKER_REDIS_QUEUE_H
#define BROKER_REDIS_QUEUE_H

#include "broker/engine.h"
#include "broker/redis_args.h"
#include "broker/redis_epoch.h"
#include "common/base/list.h"

enum { REDIS_QUEUE_CALLS = 1024, REDIS_QUEUE_PAUSE_MS = 50 };

struct redis_queue_settings {
	const char *prefix;	/* borrowed for life */
	struct redis_server *server;	/* borrowed for life */
	struct redis_epochs *epochs;	/* borrowed for life */
	struct engine_limits limits;
	size_t bytes_max;
	uint64_t wait_ms;
	void (*published)(void *arg, struct ticket t, enum ipc_result result, struct slice epoch, uint64_t offset);
	void *arg;
	redis_server_call_fn call;	/* redis_server_call(), or what a test has in its place */
};

struct redis_queue;

/* Returns owned. */
struct redis_queue *redis_queue_new(const struct redis_queue_settings *settings) MUST_CHECK;
/* After its server, which reports what was under way. Who still waits gets no answer. */
void redis_queue_free(struct redis_queue **q);
/* Copies p; answers at once when there is no room. */
void redis_queue_add(struct redis_queue *q, struct ticket t, const struct ipc_publish *p, uint64_t now_ms);
/* The server takes calls, or none. */
void redis_queue_set_up(struct redis_queue *q, bool is_up);
/* Answers those whose deadline is over. */
void redis_queue_tick(struct redis_queue *q, uint64_t now_ms);
/* At the end of a turn: makes calls. */
void redis_queue_send(struct redis_queue *q, uint64_t now_ms);
/* When redis_queue_send() may make calls again that it must not make now; UINT64_MAX: that depends on no time. */
uint64_t redis_queue_due_ms(const struct redis_queue *q);

#endif
