/*
 * router - which link wants what of which channel, and the way of the engine's results and events to the links
 *
 * Does:      channel -> interested links: a publication crosses to a link once and is encoded once; tells the engine of a channel's
 *            first and last interest, and the admin process how the engine is.
 * Does not:  receive, own links, or know where channels live.
 * Lifetime:  one per broker; links are borrowed between router_add_link() and router_remove_link().
 */
#ifndef BROKER_ROUTER_H
#define BROKER_ROUTER_H

#include "broker/engine.h"
#include "broker/link.h"

struct router;

/* Returns owned, with its engine made; NULL when that cannot be (logged). crash_grace_ms: how long members of a lost link stay. */
struct router *router_new(const struct engine_ops *ops, const struct engine_setup *setup, uint32_t crash_grace_ms, uint64_t now_ms,
    uint64_t wall_ms) MUST_CHECK;
/* All links were removed. */
void router_free(struct router **r);
void router_tick(struct router *r, uint64_t now_ms, uint64_t wall_ms);
/* Before the links are flushed. */
void router_turn_end(struct router *r);

void router_add_link(struct router *r, struct link *l);
/* It has said hello. */
void router_on_open(struct router *r, struct link *l);
/* Outside of the router's callbacks only: at the end of a turn. */
void router_remove_link(struct router *r, struct link *l);
/* A request of a worker. Refuses (link_lose_bad) what no worker sends. */
void router_on_message(struct router *r, struct link *l, enum ipc_type type, const union ipc_any *message);

#endif
