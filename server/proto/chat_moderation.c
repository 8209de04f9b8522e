/* chat_moderation - kick, ban and mute: orders of those who may, and what they mean for those who are meant */
#include "server/moderation/order.h"
#include "server/proto/chat_session.h"

STATIC_ASSERT((int)ORDER_USER_MAX == (int)CHAT_USER_MAX, "whoever can log in can be told to go");

static uint64_t wall_ms(const struct chat_session *s) {
	return evloop_wall_ms(conns_loop(conn_conns(s->base.hub.conn)));
}

/* --- orders --- */

static void on_ordered(struct hub_client *client, void *cookie, const struct hub_result *result) {
	const struct chat_pending *p = cookie;
	struct chat_session *s = chat_pending_done(client, p);
	enum chat_error error = chat_error_of(result->result);

	/* The order itself stands where others have their channel. */
	order_log_doubt(chat_pending_channel(p), result->result);
	if (error != CHAT_OK)
		chat_fail(s, error, chat_pending_ref(p));
	else if (p->ref_len > 0)
		chat_answer_send(s, chat_answer_begin(s, "ack"), chat_pending_ref(p));
}

static enum chat_error read_order(const struct chat_request *r, struct order *o) {
	if (!chat_request_text(r, CHAT_MEMBER_userId, &o->user) || !chat_check_user(o->user))
		return CHAT_bad_user;
	if (chat_request_has(r, CHAT_MEMBER_reason) && (!chat_request_text(r, CHAT_MEMBER_reason, &o->reason) || !order_is_reason(o->reason)))
		return CHAT_bad_reason;
	return o->action == ORDER_KICK ? CHAT_OK : chat_request_seconds(r, ORDER_SECONDS_MAX, &o->seconds);
}

static enum chat_error order(struct chat_session *s, const struct chat_request *r, enum order_action action) {
	const struct auth_grant *grant = conn_grant(s->base.hub.conn);
	struct slice channel = slice_text(IPC_MODERATION_CHANNEL);
	struct order o = { .action = action };
	uint8_t digest[SHA256_BYTES], key[IPC_KEY_BYTES];
	char id[ID_TEXT_LEN + 1];
	struct order_bytes bytes;
	struct slice text;
	enum chat_error error;

	/* Where everybody is who he says, nobody is a moderator. */
	if (grant == NULL || (grant->rights & RIGHT_moderate) == 0)
		return CHAT_not_allowed;
	error = read_order(r, &o);
	if (error != CHAT_OK)
		return error;
	o.by = grant_user(grant);
	order_encode(&o, &bytes);
	text = slice_of(bytes.bytes, bytes.len);
	if (r->ref.len > 0) {
		chat_publication_digest(s, r, channel, digest);
		order_key(digest, &o, key);
	}
	conn_id_text(s->base.hub.conn, id);
	order_log(&o, id, wall_ms(s));
	hub_publish(&s->base.hub, channel, r->ref.len > 0 ? key : NULL, 0, PAYLOAD_BINARY, text, on_ordered, chat_pending_new(s, r, text));
	return CHAT_OK;
}

enum chat_error chat_do_kick(struct chat_session *s, const struct chat_request *r) {
	return order(s, r, ORDER_KICK);
}

enum chat_error chat_do_ban(struct chat_session *s, const struct chat_request *r) {
	return order(s, r, ORDER_BAN);
}

enum chat_error chat_do_mute(struct chat_session *s, const struct chat_request *r) {
	return order(s, r, ORDER_MUTE);
}

/* --- those who are meant --- */

bool chat_is_banned(const struct chat_session *s, struct slice user) {
	return limits_sanction_of(s->base.context->limits, user, LIMIT_BANNED, wall_ms(s) / 1000) != 0;
}

bool chat_is_muted(const struct chat_session *s) {
	struct proto_context *context = s->base.context;

	context->retry_after_ms = proto_muted_ms(context, s->base.hub.conn);
	return context->retry_after_ms > 0;
}
