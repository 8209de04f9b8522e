/* chat_channels - channels beside rooms: subscribing; and what was said earlier in either */
#include "server/proto/chat_form.h"
#include "server/proto/chat_session.h"
#include "server/proto/json_write.h"

enum { HISTORY_PAGE = 50 };

static void on_subscribed(struct hub_client *client, void *cookie, const struct hub_snapshot *snapshot) {
	const struct chat_pending *p = cookie;
	struct chat_session *s = chat_pending_done(client, p);
	struct buf *b;

	if (snapshot->result != IPC_OK) {
		chat_drop_rooms(s);
		chat_fail(s, CHAT_unavailable, chat_pending_ref(p));
		return;
	}
	b = chat_answer_begin(s, "subscribe_ok");
	chat_form_place(snapshot->channel, b);
	chat_form_position(slice_text(snapshot->position.epoch), snapshot->position.offset, b);
	chat_answer_missed(s, snapshot, b);
	chat_answer_send(s, b, chat_pending_ref(p));
}

enum chat_error chat_do_subscribe(struct chat_session *s, const struct chat_request *r) {
	uint32_t limit = (uint32_t)s->base.context->config->room_history;
	struct hub_position since;
	struct slice channel;
	enum chat_error error;
	bool has_since;

	if (!chat_request_text(r, CHAT_MEMBER_channel, &channel) || !chat_check_channel(channel))
		return CHAT_bad_channel;
	if (!chat_may_use(s, channel))
		return CHAT_not_allowed;
	error = chat_request_since(r, &has_since, &since);
	if (error != CHAT_OK)
		return error;
	if (hub_is_subscribed(&s->base.hub, channel))
		return CHAT_already_subscribed;
	if (!chat_take_room(s, &error))
		return error;
	hub_subscribe(&s->base.hub, channel, 0, has_since ? &since : NULL, limit, 0, on_subscribed,
	    chat_pending_new(s, r, channel));
	return CHAT_OK;
}

enum chat_error chat_do_unsubscribe(struct chat_session *s, const struct chat_request *r) {
	struct slice channel;
	struct buf *b;

	if (!chat_request_text(r, CHAT_MEMBER_channel, &channel) || !chat_check_channel(channel))
		return CHAT_bad_channel;
	if (!hub_unsubscribe(&s->base.hub, channel))
		return CHAT_not_subscribed;
	chat_drop_rooms(s);
	b = chat_answer_begin(s, "unsubscribe_ok");
	json_write_member_text(b, "channel", channel);
	chat_answer_send(s, b, r->ref);
	return CHAT_OK;
}

static void on_history(struct hub_client *client, void *cookie, const struct hub_snapshot *snapshot) {
	const struct chat_pending *p = cookie;
	struct chat_session *s = chat_pending_done(client, p);
	struct buf *b;

	if (snapshot->result != IPC_OK) {
		chat_fail(s, CHAT_unavailable, chat_pending_ref(p));
		return;
	}
	b = chat_answer_begin(s, "history");
	chat_form_place(snapshot->channel, b);
	chat_form_position(slice_text(snapshot->position.epoch), snapshot->position.offset, b);
	chat_answer_history(s, snapshot, p->is_before, b);
	if (snapshot->asked_since)
		json_write_member_bool(b, "recovered", snapshot->recovered);
	chat_answer_send(s, b, chat_pending_ref(p));
}

/* A channel that the session is subscribed to, or a room that it is in. */
static enum chat_error own_place(const struct chat_session *s, const struct chat_request *r, struct chat_channel *out) {
	struct slice channel;

	if (!chat_request_has(r, CHAT_MEMBER_channel))
		return chat_own_room(s, r, out);
	if (!chat_request_text(r, CHAT_MEMBER_channel, &channel) || !chat_check_channel(channel))
		return CHAT_bad_channel;
	memcpy(out->name, channel.ptr, channel.len);
	out->name[channel.len] = '\0';
	return hub_is_subscribed(&s->base.hub, channel) ? CHAT_OK : CHAT_not_subscribed;
}

enum chat_error chat_do_history(struct chat_session *s, const struct chat_request *r) {
	struct chat_channel channel;
	struct chat_pending *p;
	struct hub_position position;
	uint64_t before = 0;
	uint32_t limit = HISTORY_PAGE;
	bool has_since, has_before;
	enum chat_error error = own_place(s, r, &channel);

	if (error == CHAT_OK)
		error = chat_request_since(r, &has_since, &position);
	if (error == CHAT_OK)
		error = chat_request_before(r, &has_before, &before);
	if (error == CHAT_OK && has_since && has_before)
		error = CHAT_bad_since;
	if (error == CHAT_OK)
		error = chat_request_limit(r, &limit);
	if (error != CHAT_OK)
		return error;
	if (!has_since)
		position.offset = before;
	p = chat_pending_new(s, r, slice_text(channel.name));
	p->is_before = !has_since;
	hub_history(&s->base.hub, slice_text(channel.name), has_since ? IPC_SINCE : IPC_BEFORE, &position, limit, on_history, p);
	return CHAT_OK;
}
