/* proto_chat - the chat: connections, and which message is whose business */
#include "common/svc/stats.h"
#include "server/proto/chat_form.h"
#include "server/proto/chat_session.h"

enum { ANYBODY, USERS };

static const struct {
	const char *type;
	int who;
	enum chat_error (*run)(struct chat_session *s, const struct chat_request *r);
} commands[] = {
#define CHAT_COMMAND(type, who) { #type, who, chat_do_##type },
#include "server/proto/chat_commands.tbl"
};

static void on_hearing(struct hub_client *client UNUSED, void *cookie UNUSED, const struct hub_snapshot *snapshot UNUSED) {
	/* Without the broker there is nothing to hear; the next login asks again. */
}

void chat_hear_everybody(struct chat_session *s) {
	struct slice channel = slice_text(CHANNEL_EVERYBODY);

	if (!hub_is_subscribed(&s->base.hub, channel))
		hub_subscribe(&s->base.hub, channel, 0, NULL, 0, 0, on_hearing, NULL);
}

static void chat_on_open(struct conn *c) {
	struct chat_session *s = conn_user(c);
	struct buf *b = chat_answer_begin(s, "connection");
	char id[ID_TEXT_LEN + 1];

	conn_id_text(c, id);
	buf_add_text(b, ",\"id\":\"");
	buf_add_text(b, id);
	buf_add_u8(b, '"');
	chat_answer_send(s, b, SLICE_EMPTY);
	if (conn_is_open(c))
		chat_hear_everybody(s);
}

static enum chat_error run_command(struct chat_session *s, const struct chat_request *r) {
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!slice_eq_text(r->type, commands[i].type))
			continue;
		if (commands[i].who == USERS && s->state != CHAT_USER)
			return CHAT_not_logged_in;
		return s->pending_cost >= CHAT_PENDING_MAX ? CHAT_busy : commands[i].run(s, r);
	}
	return CHAT_bad_type;
}

static void chat_on_message(struct conn *c, bool is_text, struct slice data) {
	struct chat_session *s = conn_user(c);
	struct chat_request r;
	enum chat_error error;

	if (!is_text) {
		conn_close(c, CLOSE_bad_data, "the chat takes text only");
		return;
	}
	s->base.context->detail = NULL;
	error = chat_request_init(&r, data);
	if (error == CHAT_OK)
		error = run_command(s, &r);
	if (error != CHAT_OK)
		chat_fail_with(s, error, s->base.context->detail, r.ref);
	/* Before the login, only its success is something correct: else userIds could be tried without end. */
	else if (s->state == CHAT_USER)
		s->errors = 0;
	chat_request_fini(&r);
}

/* Not done, but its ref says which one it was. */
static void chat_on_limited(struct conn *c, bool is_text, struct slice data, uint64_t wait_ms) {
	struct chat_session *s = conn_user(c);
	struct chat_request r = { .unescaped = NULL };

	if (is_text && data.len > 0)
		(void)chat_request_init(&r, data);
	s->base.context->retry_after_ms = wait_ms;
	chat_fail(s, CHAT_rate_limited, r.ref);
	chat_request_fini(&r);
}

static void chat_on_closed(struct conn *c, bool by_server) {
	struct chat_session *s = conn_user(c);
	const struct config *config = s->base.context->config;
	int64_t seconds = by_server ? config->crash_grace_seconds : config->leave_grace_seconds;

	proto_session_end(&s->base, (uint32_t)seconds * 1000);
	chat_drop_rooms(s);
}

static struct slice chat_id_of(const struct conn *c) {
	const struct chat_session *s = conn_user(c);

	return chat_user_id(s);
}

static uint32_t chat_room_count(const struct conn *c) {
	const struct chat_session *s = conn_user(c);

	return s->rooms;
}

/* As everything that is published by the server API. */
static void chat_on_told(struct conn *c, struct slice json) {
	struct chat_session *s = conn_user(c);
	struct hub_publication p = { .channel = slice_text(CHANNEL_DIRECT), .data = json, .kind = PAYLOAD_JSON,
		.time_ms = evloop_wall_ms(conns_loop(conn_conns(c))) };
	struct buf *b = proto_scratch(s->base.context);

	chat_form_publication(&p, b, NULL);
	conn_send(c, WS_TEXT, buf_slice(b));
}

static const struct conn_ops chat_ops = {
	.name = "chat",
	.on_open = chat_on_open,
	.on_message = chat_on_message,
	.on_limited = chat_on_limited,
	.on_closed = chat_on_closed,
	.user_id = chat_id_of,
	.room_count = chat_room_count,
	.on_told = chat_on_told,
};

void chat_upgrade(struct proto_context *context, struct conn *c, const struct http_request *r) {
	struct chat_session *s = proto_session_new(context, c, sizeof(*s), FORM_CHAT);

	conn_upgrade(c, r, &chat_ops, s, (uint32_t)context->config->chat_message_bytes);
}
