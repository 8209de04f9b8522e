/*
 * redis_listener - the pub/sub link to a server: which channels are subscribed, and what is heard
 *
 * Does:      keeps the list of channels over losses and renews it in batches; connects again with backoff while it may; counts
 *            confirmations, so that a channel that is given back and taken again at once is not taken for subscribed too early.
 * Does not:  find the server: it goes where the command link is.
 * The node's own probe channel is always subscribed, and first: its confirmation says that the link works.
 */
#ifndef BROKER_REDIS_REDIS_LISTENER_H
#define BROKER_REDIS_REDIS_LISTENER_H

#include "broker/redis/redis_conn.h"

struct redis_listener;

/* Slices are borrowed until they return. */
struct redis_listener_ops {
	/* Anything at all, before what it is. */
	void (*heard)(void *arg);
	void (*listening)(void *arg);
	/* was_listening: it had come to stand. */
	void (*lost)(void *arg, const char *why, bool was_listening);
	void (*subscribed)(void *arg, struct slice channel);
	void (*message)(void *arg, struct slice channel, struct slice payload);
	void (*probe)(void *arg, struct slice payload);
};

/* Returns owned. prefix: of keys and channels; probe_channel: with prefix; both, and ops, are borrowed for life. */
struct redis_listener *redis_listener_new(const struct redis_conn_settings *settings, const char *prefix, struct slice probe_channel,
    const struct redis_listener_ops *ops, void *arg) MUST_CHECK;
void redis_listener_free(struct redis_listener **l);
/* The server is there (a numeric address or a path), and may be connected to from now on. A link to elsewhere is given up. Copies the
 * hosts; the rest of the target is borrowed for life. */
void redis_listener_follow(struct redis_listener *l, const struct redis_target *target);
/* Where it is is not known for now: a link that stands stays, one that is lost is not made again. */
void redis_listener_hold(struct redis_listener *l);
/* Gives the link up and makes it again. */
void redis_listener_renew(struct redis_listener *l, const char *why);
bool redis_listener_is_listening(const struct redis_listener *l);
/* Without prefix; each channel once. */
void redis_listener_subscribe(struct redis_listener *l, struct slice channel);
void redis_listener_unsubscribe(struct redis_listener *l, struct slice channel);
void redis_listener_flush(struct redis_listener *l);

#endif
