/* proto_broadcast - /broadcast: every message to everybody who is connected there, on every worker, the sender too */
#include "common/base/mem.h"
#include "server/proto/proto_session.h"

/* Messages of one client that the broker has not confirmed. There is no answer here in which to say "too many", so whoever goes
 * past it is closed; the bound keeps one client from filling the link for all. */
enum { UNCONFIRMED_MESSAGES = 16384, UNCONFIRMED_BYTES = 16 * 1024 * 1024 };

struct broadcast_session {
	struct proto_session base;
	size_t unconfirmed_bytes;
	uint32_t unconfirmed;
};

static void on_subscribed(struct hub_client *client, void *cookie UNUSED, const struct hub_snapshot *snapshot) {
	if (snapshot->result != IPC_OK)
		conn_close(client->conn, CLOSE_internal_error, "broadcast is not available, try again");
}

static void broadcast_on_open(struct conn *c) {
	struct broadcast_session *s = conn_user(c);

	hub_subscribe(&s->base.hub, slice_text(CHANNEL_BROADCAST), 0, NULL, 0, 0, on_subscribed, NULL);
}

static void on_published(struct hub_client *client, void *cookie, const struct hub_result *result) {
	struct broadcast_session *s = container_of(client, struct broadcast_session, base.hub);
	const size_t *bytes = cookie;

	s->unconfirmed--;
	s->unconfirmed_bytes -= *bytes;
	/* The only way to tell the sender that a message is lost. */
	if (result->result != IPC_OK)
		conn_close(client->conn, CLOSE_internal_error, "a message could not be delivered");
}

static void broadcast_on_message(struct conn *c, bool is_text, struct slice data) {
	struct broadcast_session *s = conn_user(c);
	uint8_t kind = is_text ? PAYLOAD_TEXT : PAYLOAD_BINARY;
	const struct auth_grant *grant = conn_grant(c);
	uint64_t muted_ms = proto_muted_ms(s->base.context, c);
	struct rcbuf *whole;

	if (grant != NULL && (grant->rights & RIGHT_publish) == 0) {
		conn_close(c, CLOSE_policy, "the token does not allow to publish");
		return;
	}
	if (muted_ms > 0) {
		proto_send_wait(s->base.context, c, CHAT_muted, muted_ms);
		return;
	}
	/* A single message always goes, however large the largest one may be. */
	if (s->unconfirmed > 0 &&
	    (s->unconfirmed == UNCONFIRMED_MESSAGES || s->unconfirmed_bytes + data.len > UNCONFIRMED_BYTES)) {
		conn_close(c, CLOSE_policy, "too many messages under way");
		return;
	}
	s->unconfirmed++;
	s->unconfirmed_bytes += data.len;
	whole = conn_take_message(c);
	hub_publish_from(&s->base.hub, slice_text(CHANNEL_BROADCAST), IPC_NO_HISTORY, kind, data, whole, on_published,
	    mem_dup(&data.len, sizeof(data.len)));
	rcbuf_unref(&whole);
}

static void broadcast_on_limited(struct conn *c, bool is_text UNUSED, struct slice data UNUSED, uint64_t wait_ms) {
	struct broadcast_session *s = conn_user(c);

	proto_send_wait(s->base.context, c, CHAT_rate_limited, wait_ms);
}

static void broadcast_on_closed(struct conn *c, bool by_server UNUSED) {
	struct broadcast_session *s = conn_user(c);

	proto_session_end(&s->base, 0);
}

static void broadcast_on_told(struct conn *c, struct slice json) {
	conn_send(c, WS_TEXT, json);
}

static const struct conn_ops broadcast_ops = {
	.name = "broadcast",
	.on_open = broadcast_on_open,
	.on_message = broadcast_on_message,
	.on_limited = broadcast_on_limited,
	.on_closed = broadcast_on_closed,
	.on_told = broadcast_on_told,
};

void broadcast_upgrade(struct proto_context *context, struct conn *c, const struct http_request *r) {
	struct broadcast_session *s = proto_session_new(context, c, sizeof(*s), FORM_RAW);

	conn_upgrade(c, r, &broadcast_ops, s, (uint32_t)context->config->max_message_bytes);
}

/* --- the form: the data as it came --- */

static uint8_t raw_publication(const struct hub_publication *p, struct buf *out UNUSED, void *unused UNUSED) {
	switch (p->kind) {
	case PAYLOAD_TEXT:
	case PAYLOAD_JSON:
		return HUB_VERBATIM | WS_TEXT;
	case PAYLOAD_BINARY:
		return HUB_VERBATIM | WS_BINARY;
	default:
		return HUB_SKIP;
	}
}

static uint8_t raw_member_event(const struct hub_member_event *m UNUSED, unsigned part UNUSED, bool *count_later UNUSED,
    struct buf *out UNUSED, void *unused UNUSED) {
	return HUB_SKIP;
}

static uint8_t raw_member_count(struct slice channel UNUSED, uint32_t count UNUSED, struct buf *out UNUSED, void *unused UNUSED) {
	return HUB_SKIP;
}

static uint8_t raw_reset(struct slice channel UNUSED, const struct hub_position *p UNUSED, struct buf *out UNUSED,
    void *unused UNUSED) {
	return HUB_SKIP;
}

void broadcast_form_init(struct hub_form *form) {
	*form = (struct hub_form){
		.name = "raw",
		.publication = raw_publication,
		.member_event = raw_member_event,
		.member_count = raw_member_count,
		.reset = raw_reset,
	};
}
