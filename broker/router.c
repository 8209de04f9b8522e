/* router - which link wants what of which channel, and the way of the engine's results and events to the links */
#include "broker/router.h"

#include "broker/inspection.h"
#include "common/base/htab.h"
#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "common/svc/trace.h"

enum { STATE_CHECK_MS = 100 };

struct router {
	const struct engine_ops *ops;
	struct engine *engine;
	struct htab routes, links;
	uint32_t crash_grace_ms;
	size_t data_max_bytes;
	struct inspections inspections;
	uint64_t now_ms, state_checked_ms;
	struct rcbuf *state;	/* owned; what the admin process knows of the engine, encoded; NULL before the first */
};

/* A channel that somebody wants. In many small rooms it counts what each of their links takes, so these are a row of pointers. */
struct route {
	struct htab_node node;
	struct routed_link **links;	/* owned; those who want it, never none between messages */
	uint16_t count, room;		/* of `links` */
	uint8_t name_len;
	uint8_t name[];
};
STATIC_ASSERT(IPC_CHANNEL_MAX <= UINT8_MAX, "name_len");

/* What the router keeps of a link. */
struct routed_link {
	struct htab_node node;
	uint64_t id;
	struct link *link;	/* borrowed */
};

enum { ROUTE_ROOM_FIRST = 3 };	/* the least that malloc gives */

static struct slice route_key(const struct htab_node *node) {
	const struct route *route = htab_entry(node, struct route, node);

	return slice_of(route->name, route->name_len);
}

static struct slice link_key(const struct htab_node *node) {
	return slice_of(&htab_entry(node, struct routed_link, node)->id, sizeof(uint64_t));
}

static struct route *route_find(const struct router *r, struct slice channel) {
	struct htab_node *node = htab_find(&r->routes, channel);

	return node != NULL ? htab_entry(node, struct route, node) : NULL;
}

static struct routed_link *link_find(const struct router *r, uint64_t id) {
	struct htab_node *node = htab_find(&r->links, slice_of(&id, sizeof(id)));

	return node != NULL ? htab_entry(node, struct routed_link, node) : NULL;
}

/* --- from the engine up to the links --- */

/* To all who want the channel: encoded once for all of them. NULL: nobody does. */
static void send_to_interested(const struct route *route, enum ipc_type type, const void *message) {
	struct ipc_encoded encoded;

	if (route == NULL)
		return;
	if (route->count == 1) {
		link_send(route->links[0]->link, type, message);
		return;
	}
	encoded = ipc_encode_shared(type, message);
	for (size_t i = 0; i < route->count; i++) {
		struct link *l = route->links[i]->link;

		/* Without the memory for it the link is as good as full: it has to ask again. */
		if (encoded.head != NULL)
			link_send_shared(l, &encoded);
		else
			link_lose(l, "no memory for a message");
	}
	ipc_encoded_drop(&encoded);
}

static void on_publication(void *arg UNUSED, void *interest, const struct ipc_deliver *deliver) {
	send_to_interested(interest, IPC_deliver, deliver);
}

static void on_joined(void *arg UNUSED, void *interest, const struct ipc_joined *joined) {
	send_to_interested(interest, IPC_joined, joined);
}

static void on_left(void *arg UNUSED, void *interest, const struct ipc_left *left) {
	send_to_interested(interest, IPC_left, left);
}

static void send_answer(struct router *r, struct ticket t, enum ipc_type type, const void *message) {
	struct routed_link *to = t.request != 0 ? link_find(r, t.link) : NULL;

	if (to != NULL)
		link_send(to->link, type, message);
}

/* Late: after the publication has been handed to the kernel for all other links. */
static void on_published(void *arg, struct ticket t, enum ipc_result result, struct slice epoch, uint64_t offset) {
	struct ipc_published published = { t.request, (uint8_t)result, epoch, offset };
	struct routed_link *to = t.request != 0 ? link_find(arg, t.link) : NULL;

	if (to != NULL)
		link_send_late(to->link, IPC_published, &published);
}

static void on_snapshot(void *arg, struct ticket t, struct ipc_snapshot *snapshot) {
	snapshot->request = t.request;
	send_answer(arg, t, IPC_snapshot, snapshot);
}

static void on_member_result(void *arg, struct ticket t, struct ipc_member_result *result) {
	result->request = t.request;
	send_answer(arg, t, IPC_member_result, result);
}

static void on_member_list(void *arg, struct ticket t, struct ipc_member_list *list) {
	list->request = t.request;
	send_answer(arg, t, IPC_member_list, list);
}

static void on_channel_list(void *arg, struct ticket t, struct ipc_channel_list *list) {
	list->request = t.request;
	send_answer(arg, t, IPC_channel_list, list);
}

static void on_inspection(struct ticket t, struct ipc_inspection *answer, void *arg) {
	answer->request = t.request;
	send_answer(arg, t, IPC_inspection, answer);
}

static const struct engine_events events = {
	.publication = on_publication,
	.published = on_published,
	.snapshot = on_snapshot,
	.joined = on_joined,
	.left = on_left,
	.member_result = on_member_result,
	.member_list = on_member_list,
	.channel_list = on_channel_list,
};

/* --- how the engine is --- */

/* Returns owned, or NULL without memory. */
static struct rcbuf *encode_state(struct router *r) {
	const char *trouble = r->ops->trouble != NULL ? r->ops->trouble(r->engine) : NULL;
	struct ipc_engine_state state = { .engine = slice_text(r->ops->name) };
	struct rcbuf *encoded;
	struct buf nodes;

	buf_init(&nodes, r->data_max_bytes);
	if (r->ops->nodes != NULL)
		r->ops->nodes(r->engine, &nodes);
	if (trouble != NULL)
		state.trouble = slice_text(trouble);
	state.nodes = buf_slice(&nodes);
	encoded = ipc_encode(IPC_engine_state, &state);
	buf_fini(&nodes);
	return encoded;
}

static void check_state(struct router *r) {
	struct rcbuf *state = encode_state(r);

	if (state == NULL || (r->state != NULL && slice_eq(rcbuf_slice(state), rcbuf_slice(r->state)))) {
		rcbuf_unref(&state);
		return;
	}
	rcbuf_unref(&r->state);
	r->state = state;
	for (struct htab_node *n = htab_next(&r->links, NULL); n != NULL; n = htab_next(&r->links, n))
		router_on_open(r, htab_entry(n, struct routed_link, node)->link);
}

void router_on_open(struct router *r, struct link *l) {
	const struct ipc_encoded state = { .head = r->state };

	if (r->state != NULL && link_has_said_hello(l) && link_role(l) == PROCESS_ADMIN)
		link_send_shared(l, &state);
}

void router_tick(struct router *r, uint64_t now_ms, uint64_t wall_ms) {
	r->now_ms = now_ms;
	r->ops->tick(r->engine, now_ms, wall_ms);
	inspections_tick(&r->inspections, now_ms);
	if (now_ms < r->state_checked_ms + STATE_CHECK_MS)
		return;
	r->state_checked_ms = now_ms;
	check_state(r);
}

void router_turn_end(struct router *r) {
	if (r->ops->turn_end != NULL)
		r->ops->turn_end(r->engine);
}

struct router *router_new(const struct engine_ops *ops, const struct engine_setup *setup, uint32_t crash_grace_ms, uint64_t now_ms,
    uint64_t wall_ms) {
	struct router *r = mem_zalloc(sizeof(*r));

	r->ops = ops;
	r->crash_grace_ms = crash_grace_ms;
	r->data_max_bytes = setup->limits.reply_max_bytes;
	r->now_ms = now_ms;
	inspections_init(&r->inspections, setup->limits.reply_max_bytes, on_inspection, r);
	htab_init(&r->routes, route_key);
	htab_init(&r->links, link_key);
	r->engine = ops->create(setup, &events, r, now_ms, wall_ms);
	if (r->engine == NULL)
		router_free(&r);
	else
		check_state(r);
	return r;
}

void router_free(struct router **r) {
	if (*r == NULL)
		return;
	BUG_ON((*r)->links.count > 0 || (*r)->routes.count > 0);
	if ((*r)->engine != NULL)
		(*r)->ops->destroy(&(*r)->engine);
	inspections_fini(&(*r)->inspections);
	htab_fini(&(*r)->routes);
	htab_fini(&(*r)->links);
	rcbuf_unref(&(*r)->state);
	mem_free(*r);
	*r = NULL;
}

/* --- interests --- */

static struct route *route_find_or_new(struct router *r, struct slice channel) {
	struct route *route = route_find(r, channel);

	if (route != NULL)
		return route;
	route = mem_zalloc(sizeof(*route) + channel.len);
	memcpy(route->name, channel.ptr, channel.len);
	route->name_len = (uint8_t)channel.len;
	htab_add(&r->routes, &route->node);
	r->ops->subscribe(r->engine, channel, route);
	return route;
}

/* A route has a link of each process at most. Where it stands, or route->count. */
static uint16_t interest_find(const struct route *route, const struct routed_link *link) {
	uint16_t i = 0;

	while (i < route->count && route->links[i] != link)
		i++;
	return i;
}

static void interest_add(struct router *r, struct routed_link *link, struct slice channel) {
	struct route *route = route_find_or_new(r, channel);

	if (interest_find(route, link) < route->count)
		return;
	if (route->count == route->room) {
		BUG_ON(route->room > UINT16_MAX / 2);
		route->room = route->room == 0 ? ROUTE_ROOM_FIRST : (uint16_t)(2 * route->room + 1);
		route->links = mem_realloc(route->links, route->room * sizeof(route->links[0]));
	}
	route->links[route->count++] = link;
}

static void interest_remove(struct router *r, struct route *route, uint16_t i) {
	memmove(&route->links[i], &route->links[i + 1], (size_t)(--route->count - i) * sizeof(route->links[0]));
	if (route->count > 0)
		return;
	r->ops->unsubscribe(r->engine, slice_of(route->name, route->name_len));
	htab_remove(&r->routes, &route->node);
	mem_free(route->links);
	mem_free(route);
}

/* Links go rarely, and their members are looked for in the same way: no lists are kept for it. */
static void interests_remove(struct router *r, const struct routed_link *link) {
	struct htab_node *node = htab_next(&r->routes, NULL);

	while (node != NULL) {
		struct route *route = htab_entry(node, struct route, node);
		uint16_t i = interest_find(route, link);

		node = htab_next(&r->routes, node);
		if (i < route->count)
			interest_remove(r, route, i);
	}
}

void router_add_link(struct router *r, struct link *l) {
	struct routed_link *link = mem_zalloc(sizeof(*link));

	link->id = link_id(l);
	link->link = l;
	htab_add(&r->links, &link->node);
}

void router_remove_link(struct router *r, struct link *l) {
	struct routed_link *link = link_find(r, link_id(l));

	BUG_ON(link == NULL);
	interests_remove(r, link);
	htab_remove(&r->links, &link->node);
	mem_free(link);
	inspections_forget(&r->inspections, link_id(l));
	r->ops->holder_lost(r->engine, link_id(l), r->crash_grace_ms);
}

/* --- from the links down to the engine --- */

static void do_subscribe(struct router *r, struct link *l, const union ipc_any *m) {
	if ((m->subscribe.flags & IPC_WANT_DELIVER) != 0)
		interest_add(r, link_find(r, link_id(l)), m->subscribe.channel);
	r->ops->read(r->engine, (struct ticket){ link_id(l), m->subscribe.request }, &m->subscribe);
}

static void do_unsubscribe(struct router *r, struct link *l, const union ipc_any *m) {
	struct route *route = route_find(r, m->unsubscribe.channel);
	uint16_t i = route != NULL ? interest_find(route, link_find(r, link_id(l))) : 0;

	if (route != NULL && i < route->count)
		interest_remove(r, route, i);
}

static void do_publish(struct router *r, struct link *l, const union ipc_any *m) {
	struct ticket t = { link_id(l), m->publish.request };

	trace_event(publish, t.link, m->publish.data.len, t.request);
	/* It would be too large for the links as `deliver`, and for an answer. */
	if (m->publish.data.len > r->data_max_bytes)
		on_published(r, t, IPC_UNAVAILABLE, SLICE_EMPTY, 0);
	else
		r->ops->publish(r->engine, t, &m->publish);
}

static void do_history(struct router *r, struct link *l, const union ipc_any *m) {
	r->ops->history(r->engine, (struct ticket){ link_id(l), m->history.request }, &m->history);
}

static void do_member_add(struct router *r, struct link *l, const union ipc_any *m) {
	r->ops->member_add(r->engine, (struct ticket){ link_id(l), m->member_add.request }, link_id(l), &m->member_add);
}

static void do_member_remove(struct router *r, struct link *l, const union ipc_any *m) {
	r->ops->member_remove(r->engine, link_id(l), &m->member_remove);
}

static void do_members(struct router *r, struct link *l, const union ipc_any *m) {
	r->ops->members(r->engine, (struct ticket){ link_id(l), m->members.request }, &m->members);
}

static void do_channels(struct router *r, struct link *l, const union ipc_any *m) {
	r->ops->channels(r->engine, (struct ticket){ link_id(l), m->channels.request }, &m->channels);
}

static void do_top_rooms(struct router *r, struct link *l, const union ipc_any *m) {
	r->ops->top_rooms(r->engine, (struct ticket){ link_id(l), m->top_rooms.request }, &m->top_rooms);
}

/* To all workers that are there. */
static void do_inspect(struct router *r, struct link *l, const union ipc_any *m) {
	struct ticket t = { link_id(l), m->inspect.request };
	struct ipc_inspect question = m->inspect;
	struct ipc_encoded encoded;
	struct inspection *i;

	if (link_role(l) != PROCESS_ADMIN || m->inspect.match >= IPC_MATCHES || m->inspect.act >= IPC_ACTS) {
		link_lose_bad(l, "it asked for what only an admin process may, or nobody can");
		return;
	}
	i = inspections_begin(&r->inspections, t, r->links.count, r->now_ms);
	if (i == NULL) {
		on_inspection(t, &(struct ipc_inspection){ .result = IPC_UNAVAILABLE }, r);
		return;
	}
	question.request = inspection_number(i);
	encoded = ipc_encode_shared(IPC_inspect, &question);
	for (struct htab_node *n = htab_next(&r->links, NULL); n != NULL && encoded.head != NULL; n = htab_next(&r->links, n)) {
		const struct routed_link *to = htab_entry(n, struct routed_link, node);

		if (!link_has_said_hello(to->link) || link_role(to->link) != PROCESS_WORKER || link_is_lost(to->link))
			continue;
		inspection_await(i, to->id);
		link_send_shared(to->link, &encoded);
	}
	ipc_encoded_drop(&encoded);
	inspections_asked(&r->inspections, i);
}

static void do_inspected(struct router *r, struct link *l, const union ipc_any *m) {
	inspections_take(&r->inspections, link_id(l), &m->inspected);
}

#define NO_CHANNEL SIZE_MAX

static const struct {
	void (*fn)(struct router *r, struct link *l, const union ipc_any *m);
	size_t channel_at;	/* where the message has its channel, or NO_CHANNEL */
} requests[IPC_TYPE_COUNT] = {
	[IPC_subscribe] = { do_subscribe, offsetof(union ipc_any, subscribe.channel) },
	[IPC_unsubscribe] = { do_unsubscribe, offsetof(union ipc_any, unsubscribe.channel) },
	[IPC_publish] = { do_publish, offsetof(union ipc_any, publish.channel) },
	[IPC_history] = { do_history, offsetof(union ipc_any, history.channel) },
	[IPC_member_add] = { do_member_add, offsetof(union ipc_any, member_add.channel) },
	[IPC_member_remove] = { do_member_remove, offsetof(union ipc_any, member_remove.channel) },
	[IPC_members] = { do_members, offsetof(union ipc_any, members.channel) },
	[IPC_channels] = { do_channels, NO_CHANNEL },
	[IPC_top_rooms] = { do_top_rooms, NO_CHANNEL },
	[IPC_inspect] = { do_inspect, NO_CHANNEL },
	[IPC_inspected] = { do_inspected, NO_CHANNEL },
};

void router_on_message(struct router *r, struct link *l, enum ipc_type type, const union ipc_any *message) {
	struct slice channel;

	if (requests[type].fn == NULL) {
		link_lose_bad(l, "it sent a message that only a broker sends");
		return;
	}
	if (requests[type].channel_at != NO_CHANNEL) {
		memcpy(&channel, (const uint8_t *)message + requests[type].channel_at, sizeof(channel));
		if (channel.len == 0 || channel.len > IPC_CHANNEL_MAX) {
			link_lose_bad(l, "it sent a channel name that is empty or too long");
			return;
		}
	}
	requests[type].fn(r, l, message);
}
