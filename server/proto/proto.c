/* proto - the front ends of a worker: paths, sessions */
#include "server/proto/proto.h"

#include "common/base/mem.h"
#include "server/proto/chat_errors.h"
#include "server/proto/chat_form.h"
#include "server/proto/json_write.h"
#include "server/proto/proto_session.h"

/* A scratch buffer that has grown beyond this is not kept. */
enum { SCRATCH_KEEP_BYTES = 256 * 1024 };
/* No message of any front end is larger: /echo with a prefix of its own. */
#define SCRATCH_MAX_BYTES ((size_t)128 * 1024 * 1024)

static const struct {
	const char *path;
	void (*upgrade)(struct proto_context *context, struct conn *c, const struct http_request *r);
} paths[] = {
	{ "/", chat_upgrade },
	{ "/ws", chat_upgrade },
	{ "/echo", echo_upgrade },
	{ "/broadcast", broadcast_upgrade },
};

void proto_init(struct proto_context *context, const struct config *config) {
	*context = (struct proto_context){ .config = config };
	chat_form_init(&context->forms[FORM_CHAT], config);
	broadcast_form_init(&context->forms[FORM_RAW]);
	buf_init(&context->scratch, SCRATCH_MAX_BYTES);
	list_init(&context->ended);
}

void proto_turn_end(struct proto_context *context) {
	while (!list_is_empty(&context->ended)) {
		struct proto_session *s = list_entry(context->ended.next, struct proto_session, hub.link);

		list_remove(&s->hub.link);
		mem_free(s);
	}
	if (context->scratch.cap > SCRATCH_KEEP_BYTES) {
		buf_fini(&context->scratch);
		buf_init(&context->scratch, SCRATCH_MAX_BYTES);
	}
}

void proto_fini(struct proto_context *context) {
	proto_turn_end(context);
	buf_fini(&context->scratch);
}

static size_t path_index(struct slice path) {
	size_t i = 0;

	while (i < ARRAY_LEN(paths) && !slice_eq_text(path, paths[i].path))
		i++;
	return i;
}

bool proto_is_path(struct slice path) {
	return path_index(path) < ARRAY_LEN(paths);
}

void proto_upgrade(struct proto_context *context, struct conn *c, const struct http_request *r) {
	size_t i = path_index(r->path);

	BUG_ON(i == ARRAY_LEN(paths));
	paths[i].upgrade(context, c, r);
}

void *proto_session_new(struct proto_context *context, struct conn *c, size_t size, uint8_t form) {
	struct proto_session *s = mem_zalloc(size);

	s->context = context;
	hub_client_init(context->hub, &s->hub, c, form);
	return s;
}

void proto_session_end(struct proto_session *s, uint32_t grace_ms) {
	hub_client_fini(&s->hub, grace_ms);
	list_add_tail(&s->context->ended, &s->hub.link);
}

void proto_send_wait(struct proto_context *context, struct conn *c, enum chat_error why, uint64_t wait_ms) {
	struct buf *b = proto_scratch(context);

	buf_add_text(b, "{\"type\":\"error\"");
	json_write_member_text(b, "code", slice_text(chat_error_code(why)));
	json_write_member_text(b, "message", slice_text(chat_error_sentence(why)));
	json_write_member_seconds(b, "retry_after", wait_ms);
	buf_add_u8(b, '}');
	conn_send(c, WS_TEXT, buf_slice(b));
}

uint64_t proto_muted_ms(const struct proto_context *context, const struct conn *c) {
	uint64_t now_ms = evloop_wall_ms(conns_loop(conn_conns(c)));
	limit_id counted = conn_user_limit(c);
	uint32_t until_s = 0;

	if (counted != 0) {
		until_s = limits_sanction_held(context->limits, counted, LIMIT_MUTED, now_ms / 1000);
	} else {
		struct slice user = conn_user_id(c);

		/* Who is exempt may be muted, too. */
		if (user.len > 0)
			until_s = limits_sanction_of(context->limits, user, LIMIT_MUTED, now_ms / 1000);
	}
	return until_s > 0 ? (uint64_t)until_s * 1000 - now_ms : 0;
}

struct buf *proto_scratch(struct proto_context *context) {
	buf_reset(&context->scratch);
	return &context->scratch;
}
