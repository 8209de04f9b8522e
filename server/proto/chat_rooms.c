/* chat_rooms - going into rooms, leaving them, and who is there */
#define LOG_AREA LOG_AREA_chat
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "server/proto/chat_form.h"
#include "server/proto/chat_session.h"
#include "server/proto/cursor.h"
#include "server/proto/json_write.h"

/* Members of one login_ok, join_ok or users; the rest is asked for in pages. */
enum { MEMBERS_MAX = 10000, USERS_PAGE = 100 };

void chat_channel_of_room(struct chat_channel *out, struct slice room) {
	size_t prefix = sizeof(CHANNEL_ROOM_PREFIX) - 1;

	BUG_ON(room.len > CHAT_ROOM_MAX);
	memcpy(out->name, CHANNEL_ROOM_PREFIX, prefix);
	memcpy(out->name + prefix, room.ptr, room.len);
	out->name[prefix + room.len] = '\0';
}

enum chat_error chat_own_room(const struct chat_session *s, const struct chat_request *r, struct chat_channel *out) {
	struct slice room = chat_user_room(s);

	if (chat_request_has(r, CHAT_MEMBER_room) && (!chat_request_text(r, CHAT_MEMBER_room, &room) || !chat_check_room(room)))
		return CHAT_bad_room;
	chat_channel_of_room(out, room);
	return hub_is_subscribed(&s->base.hub, slice_text(out->name)) ? CHAT_OK : CHAT_not_in_room;
}

bool chat_take_room(struct chat_session *s, enum chat_error *error) {
	struct conn *c = s->base.hub.conn;
	uint64_t wait_ms;

	*error = CHAT_too_many_rooms;
	/* One more than the option says: the channel of messages for everybody. */
	if (s->base.hub.sub_count > s->base.context->config->client_channels)
		return false;
	if (!conn_take(c, LIMIT_JOINS, 1, &wait_ms)) {
		s->base.context->retry_after_ms = wait_ms;
		*error = wait_ms > 0 ? CHAT_rate_limited : CHAT_OK;
		return false;
	}
	if (!conn_hold_room(c))
		return false;
	s->rooms++;
	*error = CHAT_OK;
	return true;
}

void chat_drop_rooms(struct chat_session *s) {
	uint32_t wanted = s->base.hub.sub_count - hub_is_subscribed(&s->base.hub, slice_text(CHANNEL_EVERYBODY));

	for (; s->rooms > wanted; s->rooms--)
		conn_drop_room(s->base.hub.conn);
}

/* The identity is taken, but its room was not to be had: everything back to where a login can begin. */
static void login_undo(struct chat_session *s) {
	struct conn *c = s->base.hub.conn;

	s->state = CHAT_ANONYMOUS;
	hub_client_fini(&s->base.hub, 0);
	hub_client_init(s->base.context->hub, &s->base.hub, c, FORM_CHAT);
	chat_hear_everybody(s);
}

static void answer_entered(struct chat_session *s, const struct chat_pending *p, const struct hub_snapshot *snapshot) {
	bool is_login = p->is_login;
	struct buf *b = chat_answer_begin(s, is_login ? "login_ok" : "join_ok");

	if (is_login) {
		buf_add_u8(b, ',');
		chat_write_user(s, b);
		if (p->resume[0] != '\0')
			json_write_member_text(b, "resume", slice_text(p->resume));
		chat_answer_expiry(s, b);
	}
	chat_form_place(snapshot->channel, b);
	chat_form_position(slice_text(snapshot->position.epoch), snapshot->position.offset, b);
	chat_answer_members(s, snapshot, b);
	chat_answer_missed(s, snapshot, b);
	chat_answer_send(s, b, chat_pending_ref(p));
}

static void log_login(const struct chat_session *s) {
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];

	if (!log_is_on(LOG_DEBUG))
		return;
	conn_id_text(s->base.hub.conn, id);
	sock_peer_text(conn_peer(s->base.hub.conn), peer);
	log_line(LOG_DEBUG, "logged in", LF_TEXT("conn", id), LF_TEXT("peer", peer), LF_SLICE("user", chat_user_id(s)),
	    LF_SLICE("room", chat_user_room(s)));
}

static void on_entered(struct hub_client *client, void *cookie, const struct hub_snapshot *snapshot) {
	const struct chat_pending *p = cookie;
	struct chat_session *s = chat_pending_done(client, p);
	bool is_login = p->is_login;

	if (snapshot->result != IPC_OK) {
		if (is_login)
			login_undo(s);
		chat_drop_rooms(s);
		chat_fail(s, chat_error_of(snapshot->result), chat_pending_ref(p));
		return;
	}
	if (is_login) {
		s->state = CHAT_USER;
		s->errors = 0;
		conn_hold_user(s->base.hub.conn, chat_user_id(s));
		log_login(s);
	}
	answer_entered(s, p, snapshot);
}

void chat_enter_room(struct chat_session *s, struct chat_pending *p) {
	const struct config *config = s->base.context->config;
	uint32_t members = config->room_announce_limit < MEMBERS_MAX ? (uint32_t)config->room_announce_limit : MEMBERS_MAX;

	hub_subscribe(&s->base.hub, chat_pending_channel(p), HUB_PRESENT, p->has_since ? &p->since : NULL,
	    (uint32_t)config->room_history, members, on_entered, p);
}

enum chat_error chat_do_join(struct chat_session *s, const struct chat_request *r) {
	struct chat_channel channel;
	struct chat_pending *p;
	struct hub_position since;
	struct slice room;
	enum chat_error error;
	bool has_since;

	if (!chat_request_text(r, CHAT_MEMBER_room, &room) || !chat_check_room(room))
		return CHAT_bad_room;
	if (!chat_may_enter(s, room))
		return CHAT_not_allowed;
	error = chat_request_since(r, &has_since, &since);
	if (error != CHAT_OK)
		return error;
	chat_channel_of_room(&channel, room);
	if (hub_is_subscribed(&s->base.hub, slice_text(channel.name)))
		return CHAT_already_in_room;
	if (!chat_take_room(s, &error))
		return error;
	p = chat_pending_new(s, r, slice_text(channel.name));
	p->has_since = has_since;
	p->since = since;
	chat_enter_room(s, p);
	return CHAT_OK;
}

enum chat_error chat_do_leave(struct chat_session *s, const struct chat_request *r) {
	struct chat_channel channel;
	struct slice room;
	struct buf *b;

	if (!chat_request_text(r, CHAT_MEMBER_room, &room) || !chat_check_room(room))
		return CHAT_bad_room;
	chat_channel_of_room(&channel, room);
	if (!hub_unsubscribe(&s->base.hub, slice_text(channel.name)))
		return CHAT_not_in_room;
	chat_drop_rooms(s);
	b = chat_answer_begin(s, "leave_ok");
	json_write_member_text(b, "room", room);
	chat_answer_send(s, b, r->ref);
	return CHAT_OK;
}

static void write_next(const struct hub_cursor *last, struct buf *b) {
	struct buf text;

	buf_init(&text, SIZE_MAX);
	cursor_write(last, &text);
	json_write_member_text(b, "next", buf_slice(&text));
	buf_fini(&text);
}

static void on_members(struct hub_client *client, void *cookie, const struct hub_members *result) {
	const struct chat_pending *p = cookie;
	struct chat_session *s = chat_pending_done(client, p);
	struct slice members = result->members;
	struct hub_cursor last = { 0 };
	struct ipc_member m;
	struct buf *b;
	size_t start;

	if (result->result != IPC_OK) {
		chat_fail(s, CHAT_unavailable, chat_pending_ref(p));
		return;
	}
	b = chat_answer_begin(s, "users");
	chat_form_place(chat_pending_channel(p), b);
	json_write_member_u64(b, "count", result->member_count);
	buf_add_text(b, ",\"users\":[");
	start = b->len;
	while (b->len - start < chat_members_budget(s) && ipc_next_member(&members, &m)) {
		if (last.number > 0)
			buf_add_u8(b, ',');
		chat_form_member(m.member, m.info, b);
		last = (struct hub_cursor){ m.number, m.member };
	}
	buf_add_u8(b, ']');
	if (last.number > 0 && (result->more || members.len > 0))
		write_next(&last, b);
	chat_answer_send(s, b, chat_pending_ref(p));
}

enum chat_error chat_do_users(struct chat_session *s, const struct chat_request *r) {
	struct chat_channel channel;
	struct hub_cursor after = { 0 };
	struct slice text;
	uint32_t limit = USERS_PAGE;
	enum chat_error error = chat_own_room(s, r, &channel);

	if (error != CHAT_OK)
		return error;
	if (chat_request_has(r, CHAT_MEMBER_after) &&
	    (!chat_request_text(r, CHAT_MEMBER_after, &text) || !cursor_parse(text, &after) || !chat_check_user(after.member)))
		return CHAT_bad_after;
	error = chat_request_limit(r, &limit);
	if (error != CHAT_OK)
		return error;
	hub_member_list(&s->base.hub, slice_text(channel.name), &after, limit, on_members,
	    chat_pending_new(s, r, slice_text(channel.name)));
	return CHAT_OK;
}
