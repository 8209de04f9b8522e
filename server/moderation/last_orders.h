/*
 * last_orders - of the orders that a history tells, the last one for each user and action
 *
 * A history comes in pages, and a page may order what a later one takes back: so nothing of it is obeyed before its end.
 * Bound: LAST_ORDERS_MAX, as many as the channel keeps (broker/engine.c); whoever notes more takes the oldest out.
 */
#ifndef SERVER_MODERATION_LAST_ORDERS_H
#define SERVER_MODERATION_LAST_ORDERS_H

#include "common/base/htab.h"
#include "common/base/list.h"
#include "server/moderation/order.h"

enum { LAST_ORDERS_MAX = 10000 };

struct last_orders {
	struct htab by_key;	/* struct last_order */
	struct list in_order;	/* the same, as they were noted */
};

struct last_order {
	struct htab_node node;
	struct list link;
	struct order order;	/* borrowed from bytes; by: not kept */
	uint64_t offset, said_ms;
	bool is_obeyed;		/* came live, and was done at once */
	uint8_t bytes[];	/* action, user (these are the key); reason */
};

void last_orders_init(struct last_orders *l);
/* Frees all. */
void last_orders_fini(struct last_orders *l);
/* Copies the order, in place of an earlier one of its kind; if a later one is known, that stays. */
void last_orders_note(struct last_orders *l, const struct order *o, uint64_t offset, uint64_t said_ms, bool is_obeyed);
bool last_orders_is_full(const struct last_orders *l);
/* The oldest, owned (mem_free); NULL: there are no more. */
struct last_order *last_orders_take(struct last_orders *l) MUST_CHECK;

#endif
