/* last_orders - of the orders that a history tells, the last one for each user and action */
#include "server/moderation/last_orders.h"

#include "common/base/mem.h"

static struct slice key_of(const struct htab_node *node) {
	const struct last_order *each = htab_entry(node, struct last_order, node);

	return slice_of(each->bytes, 1 + each->order.user.len);
}

void last_orders_init(struct last_orders *l) {
	htab_init(&l->by_key, key_of);
	list_init(&l->in_order);
}

static void take(struct last_orders *l, struct last_order *each) {
	htab_remove(&l->by_key, &each->node);
	list_remove(&each->link);
}

struct last_order *last_orders_take(struct last_orders *l) {
	struct last_order *oldest;

	if (list_is_empty(&l->in_order))
		return NULL;
	oldest = list_entry(l->in_order.next, struct last_order, link);
	take(l, oldest);
	return oldest;
}

void last_orders_fini(struct last_orders *l) {
	struct last_order *each;

	while ((each = last_orders_take(l)) != NULL)
		mem_free(each);
	htab_fini(&l->by_key);
}

static struct last_order *copy_of(const struct order *o) {
	struct last_order *copy = mem_zalloc(sizeof(*copy) + 1 + o->user.len + o->reason.len);
	uint8_t *user = copy->bytes + 1, *reason = user + o->user.len;

	copy->bytes[0] = (uint8_t)o->action;
	memcpy(user, o->user.ptr, o->user.len);
	if (o->reason.len > 0)
		memcpy(reason, o->reason.ptr, o->reason.len);
	copy->order = (struct order){ o->action, o->seconds, slice_of(user, o->user.len), SLICE_EMPTY, slice_of(reason, o->reason.len) };
	list_init(&copy->link);
	return copy;
}

void last_orders_note(struct last_orders *l, const struct order *o, uint64_t offset, uint64_t said_ms, bool is_obeyed) {
	struct last_order *new = copy_of(o);
	struct htab_node *node = htab_find(&l->by_key, key_of(&new->node));
	struct last_order *known = node != NULL ? htab_entry(node, struct last_order, node) : NULL;

	if (known != NULL && known->offset >= offset) {
		mem_free(new);
		return;
	}
	if (known != NULL) {
		take(l, known);
		mem_free(known);
	}
	new->offset = offset;
	new->said_ms = said_ms;
	new->is_obeyed = is_obeyed;
	htab_add(&l->by_key, &new->node);
	list_add_tail(&l->in_order, &new->link);
}

bool last_orders_is_full(const struct last_orders *l) {
	return l->by_key.count >= LAST_ORDERS_MAX;
}
