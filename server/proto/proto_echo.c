/* proto_echo - /echo: every message back, byte for byte */
#include "server/proto/proto_session.h"

/* No session: the connection's user pointer is the context, so that an idle connection costs nothing here. */
static void echo_on_open(struct conn *c UNUSED) {
}

static void echo_on_message(struct conn *c, bool is_text, struct slice data) {
	struct proto_context *context = conn_user(c);
	const char *prefix = context->config->echo_prefix;
	struct buf *out;

	if (!is_text || prefix[0] == '\0') {
		conn_send_back(c, is_text ? WS_TEXT : WS_BINARY, data);
		return;
	}
	out = proto_scratch(context);
	buf_add_text(out, prefix);
	buf_add(out, data);
	if (out->failed)
		conn_close(c, CLOSE_internal_error, NULL);
	else
		conn_send(c, WS_TEXT, buf_slice(out));
}

static void echo_on_limited(struct conn *c, bool is_text UNUSED, struct slice data UNUSED, uint64_t wait_ms) {
	proto_send_wait(conn_user(c), c, CHAT_rate_limited, wait_ms);
}

static void echo_on_closed(struct conn *c UNUSED, bool by_server UNUSED) {
}

static void echo_on_told(struct conn *c, struct slice json) {
	conn_send(c, WS_TEXT, json);
}

static const struct conn_ops echo_ops = {
	.name = "echo",
	.on_open = echo_on_open,
	.on_message = echo_on_message,
	.on_limited = echo_on_limited,
	.on_closed = echo_on_closed,
	.on_told = echo_on_told,
};

void echo_upgrade(struct proto_context *context, struct conn *c, const struct http_request *r) {
	conn_upgrade(c, r, &echo_ops, context, (uint32_t)context->config->max_message_bytes);
}
