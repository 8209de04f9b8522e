/* conn_walk - all connections, looked at in steps, and what there is to see of each */
#include "server/conn/conn_priv.h"

void conns_walk_begin(struct conns *cs, struct conns_walk *w) {
	conns_walk_end(w);
	w->conns = cs;
	w->at = cs->all.next;
	/* Who comes meanwhile is not waited for. */
	w->left = cs->count;
	list_init(&w->in_conns);
	list_add_tail(&cs->walks, &w->in_conns);
}

void conns_walk_end(struct conns_walk *w) {
	if (w->conns == NULL)
		return;
	list_remove(&w->in_conns);
	w->conns = NULL;
}

bool conns_walk_step(struct conns_walk *w, size_t n, conn_visit_fn visit, void *arg) {
	struct conns *cs = w->conns;

	for (; n > 0 && w->left > 0 && w->at != &cs->all; n--) {
		struct conn *c = list_entry(w->at, struct conn, link);

		w->at = w->at->next;
		w->left--;
		visit(c, arg);
	}
	if (w->left > 0 && w->at != &cs->all)
		return true;
	conns_walk_end(w);
	return false;
}

void conns_walks_pass(struct conn *c) {
	list_for_each(it, &c->cs->walks) {
		struct conns_walk *w = list_entry(it, struct conns_walk, in_conns);

		if (w->at == &c->link)
			w->at = w->at->next;
	}
}

bool conns_parse_id(const struct conns *cs, struct slice id, uint64_t *number) {
	return id_parse(&cs->ids, id, number);
}

size_t conn_queued_bytes(const struct conn *c) {
	return c->stream.out.bytes;
}

void conn_facts(const struct conn *c, struct conn_facts *out) {
	uint64_t age_ms = conn_age_ms(c), wall_ms = evloop_wall_ms(c->cs->loop);
	bool is_open = c->state == CONN_OPEN;

	*out = (struct conn_facts){
		.protocol = c->was_open ? c->ops->name : "http",
		.user = is_open ? conn_user_id(c) : SLICE_EMPTY,
		.since_ms = wall_ms > age_ms ? wall_ms - age_ms : 0,
		.queued_bytes = conn_queued_bytes(c),
		.rooms = is_open && c->ops->room_count != NULL ? c->ops->room_count(c) : 0,
		.stuck_ms = c->is_blocked ? conn_stamp(c) - c->since_ms : 0,
	};
}

bool conn_tell(struct conn *c, struct slice json) {
	if (!conn_is_open(c) || c->ops->on_told == NULL)
		return false;
	c->ops->on_told(c, json);
	return true;
}
