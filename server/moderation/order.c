/* order - what a moderator has ordered: codec and audit */
#include "server/moderation/order.h"

#include "common/base/visible.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"

enum { ORDER_VERSION = 1 };

void order_encode(const struct order *o, struct order_bytes *out) {
	struct buf b;

	BUG_ON(o->user.len == 0 || o->user.len > ORDER_USER_MAX || o->by.len > ORDER_USER_MAX || o->reason.len > ORDER_REASON_MAX);
	buf_init(&b, sizeof(out->bytes));
	wire_put_u8(&b, ORDER_VERSION);
	wire_put_u8(&b, (uint8_t)o->action);
	wire_put_u32(&b, o->seconds);
	wire_put_str8(&b, o->user);
	wire_put_str8(&b, o->by);
	wire_put_str8(&b, o->reason);
	out->len = (uint16_t)b.len;
	memcpy(out->bytes, b.data, b.len);
	buf_fini(&b);
}

bool order_decode(struct slice bytes, struct order *out) {
	struct wire_reader r = wire_reader_of(bytes);
	uint8_t version = wire_get_u8(&r), action = wire_get_u8(&r);

	out->action = (enum order_action)action;
	out->seconds = wire_get_u32(&r);
	out->user = wire_get_str8(&r);
	out->by = wire_get_str8(&r);
	out->reason = wire_get_str8(&r);
	return wire_reader_done(&r) && version == ORDER_VERSION && action >= ORDER_KICK && action <= ORDER_MUTE &&
	    out->seconds <= ORDER_SECONDS_MAX && out->user.len > 0 && out->user.len <= ORDER_USER_MAX && out->by.len <= ORDER_USER_MAX &&
	    out->reason.len <= ORDER_REASON_MAX;
}

bool order_is_reason(struct slice text) {
	size_t characters;

	return text.len == 0 || (text.len <= ORDER_REASON_MAX && visible_is_plain(text, &characters));
}

static const char *name_of(const struct order *o) {
	switch (o->action) {
	case ORDER_KICK:
		return "kick";
	case ORDER_BAN:
		return o->seconds > 0 ? "ban" : "unban";
	case ORDER_MUTE:
		break;
	}
	return o->seconds > 0 ? "mute" : "unmute";
}

void order_log(struct slice bytes, enum ipc_result result, uint64_t wall_ms) {
	struct log_field fields[8] = { 0 };
	struct order o;
	size_t n = 0;

	/* A repeated one has had its line, and what was surely not done is none. */
	if ((result != IPC_OK && result != IPC_UNCERTAIN) || !order_decode(bytes, &o))
		return;
	stat_add(STAT_moderation_orders, 1);
	fields[n++] = LF_TEXT("action", name_of(&o));
	fields[n++] = LF_SLICE("user", o.user);
	if (o.by.len > 0)
		fields[n++] = LF_SLICE("by", o.by);
	else
		fields[n++] = LF_TEXT("through", "the server API");
	if (o.seconds > 0)
		fields[n++] = LF_U("until", wall_ms / 1000 + o.seconds);
	if (o.reason.len > 0)
		fields[n++] = LF_SLICE("reason", o.reason);
	if (result == IPC_UNCERTAIN)
		fields[n++] = LF_TEXT("outcome", "uncertain");
	log_emit(LOG_INFO, "moderation", fields);
}
