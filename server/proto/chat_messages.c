/* chat_messages - what users say: chat, system and publish */
#include "common/base/codec.h"
#include "common/base/digest.h"
#include "server/proto/chat_form.h"
#include "server/proto/chat_session.h"
#include "server/proto/json_write.h"

/* What the digest of a publication gives: its idempotency key and, for chat, the id of the message. */
enum { KEY_BYTES = IPC_KEY_BYTES, MESSAGE_ID_BYTES = 12 };
STATIC_ASSERT(BASE64URL_LEN(MESSAGE_ID_BYTES) <= ID_TEXT_LEN, "a message id fits where ids go");

void chat_publication_digest(const struct chat_session *s, const struct chat_request *r, struct slice channel,
    uint8_t digest[SHA256_BYTES]) {
	const struct slice parts[] = { r->type, chat_user_id(s), channel, r->ref };
	uint8_t text[16 + CHAT_USER_MAX + sizeof(struct chat_channel) + CHAT_REF_MAX + ARRAY_LEN(parts)];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		BUG_ON(len + parts[i].len + 1 > sizeof(text));
		memcpy(text + len, parts[i].ptr, parts[i].len);
		len += parts[i].len;
		text[len++] = '\0';
	}
	/* No NUL behind the last part; in none of them is one, so the parts cannot run together. */
	digest_sha256(slice_of(text, len - 1), digest);
}

static void on_published(struct hub_client *client, void *cookie, const struct hub_result *result) {
	const struct chat_pending *p = cookie;
	struct chat_session *s = chat_pending_done(client, p);
	enum chat_error error = chat_error_of(result->result);
	struct slice channel = chat_pending_channel(p);
	struct buf *b;

	if (error != CHAT_OK) {
		chat_fail(s, error, chat_pending_ref(p));
		return;
	}
	if (p->ref_len == 0)
		return;
	b = chat_answer_begin(s, "ack");
	/* Messages for everybody have no room and no place in an order. */
	if (channel.ptr[0] != '$') {
		chat_form_place(channel, b);
		if (p->id[0] != '\0')
			json_write_member_text(b, "id", slice_text(p->id));
		chat_form_position(slice_text(result->position.epoch), result->position.offset, b);
	}
	chat_answer_send(s, b, chat_pending_ref(p));
}

enum chat_error chat_do_chat(struct chat_session *s, const struct chat_request *r) {
	struct chat_channel channel;
	struct chat_pending *p;
	struct id_source *ids = conns_ids(conn_conns(s->base.hub.conn));
	uint8_t digest[SHA256_BYTES];
	struct slice message;
	enum chat_error error;
	struct buf *b;

	if (!chat_may(s, RIGHT_chat))
		return CHAT_not_allowed;
	if (chat_is_muted(s))
		return CHAT_muted;
	if (!chat_request_text(r, CHAT_MEMBER_message, &message) || !chat_check_text(message))
		return CHAT_bad_message;
	error = chat_own_room(s, r, &channel);
	if (error != CHAT_OK)
		return error;
	p = chat_pending_new(s, r, slice_text(channel.name));
	if (r->ref.len > 0) {
		chat_publication_digest(s, r, slice_text(channel.name), digest);
		base64url_encode(slice_of(digest + KEY_BYTES, MESSAGE_ID_BYTES), p->id);
	} else {
		id_text(ids, id_next(ids), p->id);
	}
	b = proto_scratch(s->base.context);
	buf_add_text(b, "\"type\":\"chat\",");
	chat_write_user(s, b);
	json_write_member_text(b, "message", message);
	chat_form_place(slice_text(channel.name), b);
	json_write_member_text(b, "id", slice_text(p->id));
	hub_publish(&s->base.hub, slice_text(channel.name), r->ref.len > 0 ? digest : NULL, 0, PAYLOAD_CHAT, buf_slice(b),
	    on_published, p);
	return CHAT_OK;
}

static bool is_system_user(const struct chat_session *s) {
	const struct text_list *users = &s->base.context->config->system_users;

	if (conn_grant(s->base.hub.conn) != NULL)
		return chat_may(s, RIGHT_system);
	for (size_t i = 0; i < users->count; i++) {
		if (slice_eq_text(chat_user_id(s), users->item[i]))
			return true;
	}
	return false;
}

enum chat_error chat_do_system(struct chat_session *s, const struct chat_request *r) {
	struct chat_channel channel = { CHANNEL_EVERYBODY };
	bool has_room = chat_request_has(r, CHAT_MEMBER_room);
	uint8_t digest[SHA256_BYTES];
	struct slice message, room;
	struct buf *b;

	if (!is_system_user(s))
		return CHAT_not_allowed;
	if (chat_is_muted(s))
		return CHAT_muted;
	if (!chat_request_text(r, CHAT_MEMBER_message, &message) || !chat_check_text(message))
		return CHAT_bad_message;
	if (has_room) {
		if (!chat_request_text(r, CHAT_MEMBER_room, &room) || !chat_check_room(room))
			return CHAT_bad_room;
		if (!chat_may_enter(s, room))
			return CHAT_not_allowed;
		chat_channel_of_room(&channel, room);
	}
	if (r->ref.len > 0)
		chat_publication_digest(s, r, slice_text(channel.name), digest);
	b = proto_scratch(s->base.context);
	buf_add_text(b, "\"type\":\"system\"");
	json_write_member_text(b, "message", message);
	if (has_room)
		json_write_member_text(b, "room", room);
	hub_publish(&s->base.hub, slice_text(channel.name), r->ref.len > 0 ? digest : NULL, has_room ? 0 : IPC_NO_HISTORY,
	    PAYLOAD_CHAT, buf_slice(b), on_published, chat_pending_new(s, r, slice_text(channel.name)));
	return CHAT_OK;
}

enum chat_error chat_do_publish(struct chat_session *s, const struct chat_request *r) {
	uint8_t digest[SHA256_BYTES];
	struct slice channel, data;

	if (!chat_request_text(r, CHAT_MEMBER_channel, &channel) || !chat_check_channel(channel))
		return CHAT_bad_channel;
	if (!chat_may(s, RIGHT_publish) || !chat_may_use(s, channel))
		return CHAT_not_allowed;
	if (chat_is_muted(s))
		return CHAT_muted;
	if (!chat_request_raw(r, CHAT_MEMBER_data, &data))
		return CHAT_bad_data;
	if (r->ref.len > 0)
		chat_publication_digest(s, r, channel, digest);
	hub_publish(&s->base.hub, channel, r->ref.len > 0 ? digest : NULL, 0, PAYLOAD_JSON, data, on_published,
	    chat_pending_new(s, r, channel));
	return CHAT_OK;
}
