/*
 * redis_sentinel - asks Sentinels, one after the other, where the master is
 *
 * Each is asked on a connection of its own, which is closed with the answer. The one that knew it is asked first the next time.
 */
#ifndef BROKER_REDIS_REDIS_SENTINEL_H
#define BROKER_REDIS_REDIS_SENTINEL_H

#include "broker/redis/redis_conn.h"
#include "common/svc/config.h"

struct redis_sentinel;

/* host: borrowed until it returns; NULL: none knows it, and why. Never inside redis_sentinel_ask(). */
typedef void (*redis_sentinel_fn)(void *arg, const char *host, uint16_t port, const char *why);

/* Returns owned. sentinels (each HOST:PORT), master_name and client_name are borrowed for life; there is a Sentinel. */
struct redis_sentinel *redis_sentinel_new(const struct redis_conn_settings *settings, const struct text_list *sentinels,
    const char *master_name, const char *client_name, redis_sentinel_fn fn, void *arg) MUST_CHECK;
void redis_sentinel_free(struct redis_sentinel **s);
/* No question is open. */
void redis_sentinel_ask(struct redis_sentinel *s);

#endif
