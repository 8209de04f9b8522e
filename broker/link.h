/*
 * link - one connected worker (or admin process)
 *
 * Does:      the peer of a worker: hello and version, the queue's policy, state and log lines of the connection.
 * Does not:  know channels, or what a message asks for.
 * Lifetime:  made at accept, lost at any time (link_is_lost), freed by the broker at the end of that turn.
 *
 * Policy of the queue: a worker that is further behind than queue_max_bytes is cut off. It connects again and says what it
 * wants and from which position; so nothing is dropped in silence.
 */
#ifndef BROKER_LINK_H
#define BROKER_LINK_H

#include "common/base/list.h"
#include "common/ipc/ipc_peer.h"

struct link;

struct link_settings {
	size_t message_max_bytes, queue_max_bytes;
	/* Not called for hello, and not for a lost link. The message is borrowed until it returns. */
	void (*on_message)(struct link *l, enum ipc_type type, const union ipc_any *message, void *arg);
	/* It has said hello. */
	void (*on_open)(struct link *l, void *arg);
	void *arg;
};

/* Takes fd. Returns owned. */
struct link *link_new(struct evloop *loop, int fd, uint64_t id, const struct link_settings *settings) MUST_CHECK;
void link_free(struct link **l);

uint64_t link_id(const struct link *l);
bool link_has_said_hello(const struct link *l);
/* enum process_kind. After hello. */
uint8_t link_role(const struct link *l);
bool link_is_lost(const struct link *l);
/* Monotonic. */
uint64_t link_start_ms(const struct link *l);
/* The link is over because of what the worker did. Logged once; does nothing when it is lost already. */
void link_lose(struct link *l, const char *why);
/* The same, for messages that no worker of this version sends: counted as bad. */
void link_lose_bad(struct link *l, const char *why);

/* Sending to a lost link does nothing; a full queue loses it. */
void link_send(struct link *l, enum ipc_type type, const void *message);
void link_send_shared(struct link *l, const struct ipc_encoded *message);
void link_send_late(struct link *l, enum ipc_type type, const void *message);
/* Nothing more is received until it is over. */
void link_pause(struct link *l, bool is_paused);

/* End of turn. */
void link_flush(struct link *l, uint64_t now_ms);
void link_flush_late(struct link *l);
/* Since when (monotonic) something waits that the worker has not taken; 0: nothing does. After link_flush(). */
uint64_t link_behind_since(const struct link *l);
size_t link_queued_bytes(const struct link *l);

#endif
