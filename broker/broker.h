/*
 * broker - the process's parts put together: accepted links, dispatch, the end of a turn
 *
 * Does:      accept workers of our own user, hand their messages to the router, send at the end of a turn, free what was lost;
 *            the settling after a start.
 * Does not:  know configuration, signals, or where channels live.
 *
 * Settling: after a restart of the broker the workers say again what they want and whom they have. Until all have (`synced`), or
 * SETTLE_MS have passed, a worker that is done is not read from: nobody sees a room half filled.
 *
 * An acknowledgement leaves after the publication was handed to the kernel for all interested links, so that it survives our
 * sudden death. A link whose socket is full for longer than LATE_HOLD_MS is not waited for: one stopped worker must not
 * stop everybody's publishing.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "broker/engine.h"
#include "common/svc/evloop.h"

struct broker;

struct broker_settings {
	const struct engine_ops *engine;
	struct engine_limits limits;
	size_t message_max_bytes, queue_max_bytes;	/* of a link */
	uint32_t crash_grace_ms;
	unsigned expected_links;	/* how many settle */
	const struct config *config;	/* borrowed for life, for the engine */
};

/* Takes listen_fd: a listening unix socket. Returns owned; NULL when the engine cannot be made (logged). */
struct broker *broker_new(struct evloop *loop, int listen_fd, const struct broker_settings *settings) MUST_CHECK;
void broker_free(struct broker **b);
/* Has to be called at the end of every turn. */
size_t broker_links(const struct broker *b);
void broker_turn_end(struct broker *b);

#endif
