/*
 * redis_server - one Redis server (a shard) and the two connections that this host has to it
 *
 * Does:      keeps a command link and a pub/sub link: finds the server (name or Sentinel), connects, logs in, checks its role, loads
 *            the scripts, learns the generation, connects again with backoff and jitter; notices a link that is dead though it
 *            looks alive (a probe that goes out on the command link and has to come back on the pub/sub link).
 * Does not:  know channels' positions, queue what cannot be sent, or send anything twice.
 * Lifetime:  one per shard, owned by the engine. Nothing of it is called inside its own callbacks' frees: redis_server_free() is for
 *            the engine's end only.
 * Threads:   none; everything happens on the loop it was made with.
 * hiredis stays below this header.
 */
#ifndef BROKER_REDIS_REDIS_SERVER_H
#define BROKER_REDIS_REDIS_SERVER_H

#include "broker/redis/redis_reply.h"
#include "broker/redis/redis_scripts.h"
#include "common/svc/redis_url.h"
#include "common/svc/evloop.h"

struct redis_server;

/* reply: NULL unless done; borrowed until it returns. */
typedef void (*redis_call_fn)(void *arg, enum redis_outcome outcome, const struct redis_reply *reply);

struct redis_server_settings {
	struct redis_url url;			/* borrowed for life; without sentinels: where it is */
	const struct text_list *sentinels;	/* borrowed for life; HOST:PORT each; empty: none */
	const char *master_name;		/* borrowed for life; with sentinels */
	const char *prefix;			/* of every key and pub/sub channel; borrowed for life */
	struct slice node;			/* this host's id; borrowed for life */
	uint64_t connect_timeout_ms, command_timeout_ms;	/* command: of the oldest unanswered call, then the link is lost */
	uint64_t retry_ms;			/* most between attempts to connect, give or take half; at most two seconds anyway */
	uint64_t probe_ms;			/* between probes; a pub/sub link is dead after two */
};

/* Up-calls. Slices are borrowed until they return. */
struct redis_server_ops {
	/* Calls may be made. generation: part of every epoch; another one than before means that history may have been lost. */
	void (*up)(void *arg, struct slice generation);
	/* No calls for now; the outcomes of those under way were reported before. */
	void (*down)(void *arg);
	/* The pub/sub link stands again: what was subscribed is so again by itself, and subscribed() follows for each. */
	void (*listening)(void *arg);
	/* It is gone: what is published from now on is not heard. */
	void (*deaf)(void *arg);
	/* The server has confirmed it: what is published from here on will be heard. channel: without prefix. */
	void (*subscribed)(void *arg, struct slice channel);
	void (*message)(void *arg, struct slice channel, struct slice payload);
};

/* False: this build cannot (TLS), or the settings contradict each other. */
bool redis_server_check(const struct redis_server_settings *settings, struct errbuf *e) MUST_CHECK;
/* Returns owned; begins to connect. */
struct redis_server *redis_server_new(struct evloop *loop, const struct redis_server_settings *settings,
    const struct redis_server_ops *ops, void *arg) MUST_CHECK;
/* Calls under way get REDIS_LOST. */
void redis_server_free(struct redis_server **s);

bool redis_server_is_up(const struct redis_server *s);
bool redis_server_is_listening(const struct redis_server *s);
/* HOST:PORT as last connected, for log lines and /status; empty before. */
struct slice redis_server_address(const struct redis_server *s);
/* NULL: nothing. Else a sentence for /readyz: why it is not up, is not heard, or refuses calls. Borrowed until the next call. */
const char *redis_server_trouble(const struct redis_server *s);

/* Runs a script with these arguments behind those which every script has (see redis_scripts.h). The server is up. keys: names with
 * prefix (redis_key). Copies everything. fn is called exactly once, never inside this call. */
void redis_server_call(struct redis_server *s, enum redis_script script, const struct slice *keys, size_t key_count,
    const struct slice *args, size_t arg_count, redis_call_fn fn, void *arg);
/* Remembered over reconnects; each channel once. */
void redis_server_subscribe(struct redis_server *s, struct slice channel);
void redis_server_unsubscribe(struct redis_server *s, struct slice channel);
/* At the end of a turn: sends what was called in it. */
void redis_server_flush(struct redis_server *s);

#endif
