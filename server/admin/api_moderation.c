/* api_moderation - the server API: kick, ban, mute */
#include "common/base/mem.h"
#include "server/admin/admin_priv.h"
#include "server/moderation/order.h"
#include "server/proto/chat_check.h"

static void on_ordered(struct hub_client *client, void *cookie, const struct hub_result *r) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	const struct order_bytes *order = cookie;
	struct conn *c = call->conn;

	order_log_doubt(slice_of(order->bytes, order->len), r->result);
	admin_call_end(call);
	if (r->result == IPC_OK || r->result == IPC_REPEATED)
		admin_respond_json(c, 200, api_result_json(r));
	else
		admin_refuse_result(c, r->result);
}

/* False, after a refusal. Borrowed from the JSON. */
static bool read_order(struct conn *c, const json_t *json, struct order *o) {
	const json_t *user = json_object_get(json, "user"), *reason = json_object_get(json, "reason");
	double seconds = json_real_value(json_object_get(json, "seconds"));
	bool has_seconds = json_is_real(json_object_get(json, "seconds")), has_reason = reason != NULL && !json_is_null(reason);

	if (json_is_string(user))
		o->user = api_text_of(user);
	if (json_is_string(reason))
		o->reason = api_text_of(reason);
	if (!json_is_string(user) || !chat_check_user(o->user)) {
		conn_refuse(c, 400, "user is not 1 to 128 bytes of visible text", NULL);
	} else if (o->action != ORDER_KICK && !(has_seconds && seconds >= 0 && seconds <= ORDER_SECONDS_MAX && seconds == (uint32_t)seconds)) {
		conn_refuse(c, 400, "seconds is not a whole number from 0 to 2592000", NULL);
	} else if (has_reason && (!json_is_string(reason) || !order_is_reason(o->reason))) {
		conn_refuse(c, 400, "reason is not at most 96 bytes of visible text", NULL);
	} else {
		o->seconds = o->action != ORDER_KICK ? (uint32_t)seconds : 0;
		return true;
	}
	return false;
}

static void publish(struct conn *c, const struct order *o, struct slice key) {
	struct slice channel = slice_text(IPC_MODERATION_CHANNEL);
	struct admin_call *call = admin_call_new(c);
	uint8_t hash[IPC_KEY_BYTES];
	char id[ID_TEXT_LEN + 1];
	struct order_bytes order;

	order_encode(o, &order);
	if (key.len > 0) {
		api_hash_key(key, channel, hash);
		order_key(hash, o, hash);
	}
	conn_id_text(c, id);
	order_log(o, id, evloop_wall_ms(conns_loop(conn_conns(c))));
	hub_publish(&call->client, channel, key.len > 0 ? hash : NULL, 0, PAYLOAD_BINARY,
	    slice_of(order.bytes, order.len), on_ordered, mem_dup(&order, sizeof(order)));
}

static void give(struct conn *c, struct slice body, enum order_action action) {
	json_t *json = api_parse_body(c, body);
	struct order o = { .action = action };
	struct slice key;

	if (json != NULL && read_order(c, json, &o) && api_read_key(c, json, &key))
		publish(c, &o, key);
	json_decref(json);
}

void api_kick(struct conn *c, const struct http_request *r UNUSED, struct slice body) {
	give(c, body, ORDER_KICK);
}

void api_ban(struct conn *c, const struct http_request *r UNUSED, struct slice body) {
	give(c, body, ORDER_BAN);
}

void api_mute(struct conn *c, const struct http_request *r UNUSED, struct slice body) {
	give(c, body, ORDER_MUTE);
}
