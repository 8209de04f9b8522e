/* order - what a moderator has ordered: codec and audit */
#include "server/moderation/order.h"

#define LOG_AREA LOG_AREA_moderation
#include "common/base/digest.h"
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

void order_key(const uint8_t given[IPC_KEY_BYTES], const struct order *o, uint8_t key[IPC_KEY_BYTES]) {
	uint8_t sum[SHA256_BYTES];
	struct buf b;

	buf_init(&b, IPC_KEY_BYTES + 1 + 4 + ORDER_USER_MAX);
	buf_add(&b, slice_of(given, IPC_KEY_BYTES));
	wire_put_u8(&b, (uint8_t)o->action);
	wire_put_u32(&b, o->seconds);
	buf_add(&b, o->user);
	digest_sha256(buf_slice(&b), sum);
	buf_fini(&b);
	memcpy(key, sum, IPC_KEY_BYTES);
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

/* Who, and whom: of fields[] the first three. */
static size_t add_parties(const struct order *o, struct log_field *fields) {
	fields[0] = LF_TEXT("action", name_of(o));
	fields[1] = LF_SLICE("user", o->user);
	fields[2] = o->by.len > 0 ? LF_SLICE("by", o->by) : LF_TEXT("through", "the server API");
	return 3;
}

void order_log(const struct order *o, const char *conn, uint64_t wall_ms) {
	struct log_field fields[8] = { 0 };
	size_t n = add_parties(o, fields);

	stat_add(STAT_moderation_orders, 1);
	if (o->seconds > 0)
		fields[n++] = LF_U("until", wall_ms / 1000 + o->seconds);
	if (o->reason.len > 0)
		fields[n++] = LF_SLICE("reason", o->reason);
	fields[n++] = LF_TEXT("conn", conn);
	fields[n++] = LF_TEXT("audit", "moderation");
	log_emit(LOG_INFO, "moderation ordered", fields);
}

void order_log_doubt(struct slice bytes, enum ipc_result result) {
	struct log_field fields[6] = { 0 };
	struct order o;
	size_t n;

	if (result == IPC_OK || result == IPC_REPEATED || !order_decode(bytes, &o))
		return;
	n = add_parties(&o, fields);
	fields[n++] = LF_TEXT("outcome", result == IPC_UNCERTAIN ? "uncertain" : "not done");
	fields[n] = LF_TEXT("audit", "moderation");
	log_emit(LOG_WARN, "moderation not confirmed", fields);
}
