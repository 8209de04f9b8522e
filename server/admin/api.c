/* api - the server API: publish, broadcast, channels, history, presence */
#include "server/admin/admin_priv.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "server/proto/cursor.h"
#include "server/proto/json_read.h"
#include "server/proto/json_write.h"
#include "server/proto/proto.h"

enum { API_LIMIT_DEFAULT = 100, API_LIMIT_MAX = 1000, API_CHANNELS_MAX = 1000, API_KEY_MAX = 256, API_CURSOR_MAX = 255 };

/* --- publish and broadcast --- */

/* What jansson says, without the piece of the request that it quotes. */
static struct slice without_quotation(const char *text) {
	const char *quotation = strstr(text, " near ");

	return quotation != NULL ? slice_of(text, (size_t)(quotation - text)) : slice_text(text);
}

json_t *api_parse_body(struct conn *c, struct slice body) {
	/* Numbers as doubles, as in the chat: any integer is valid JSON, and the data is handed on as it stands anyway. */
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL;
	json_error_t error = { .text = "nested too deep" };
	json_t *json = NULL;
	char sentence[256];

	if (json_read(body, NULL, 0, NULL) != JSON_KIND_TOO_DEEP)
		json = json_loadb((const char *)body.ptr, body.len, flags, &error);

	if (json == NULL) {
		snprintf(sentence, sizeof(sentence), "the body is not valid JSON: line %d: %.*s", error.line,
		    SLICE_ARGS(without_quotation(error.text)));
		conn_refuse(c, 400, sentence, NULL);
		return NULL;
	}
	if (!json_is_object(json)) {
		json_decref(json);
		conn_refuse(c, 400, "the body is not a JSON object", NULL);
		return NULL;
	}
	return json;
}

struct slice api_text_of(const json_t *string) {
	return slice_of(json_string_value(string), json_string_length(string));
}

static bool is_channel(const json_t *name) {
	struct slice s;

	if (!json_is_string(name))
		return false;
	s = api_text_of(name);
	if (s.len == 0 || s.len > IPC_CHANNEL_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] <= ' ' || s.ptr[i] == 0x7f)
			return false;
	}
	/* "$users" is the hub's own; to everybody connected or to /broadcast may be published. */
	return s.ptr[0] != '$' || slice_eq_text(s, CHANNEL_EVERYBODY) || slice_eq_text(s, CHANNEL_BROADCAST);
}

bool api_read_key(struct conn *c, const json_t *json, struct slice *key) {
	const json_t *value = json_object_get(json, "idempotency_key");

	*key = SLICE_EMPTY;
	if (value == NULL)
		return true;
	if (!json_is_string(value) || json_string_length(value) == 0 || json_string_length(value) > API_KEY_MAX) {
		conn_refuse(c, 400, "idempotency_key is not a string of 1 to 256 bytes", NULL);
		return false;
	}
	*key = api_text_of(value);
	return true;
}

bool api_read_data(struct conn *c, struct slice body, struct slice *data) {
	static const struct slice name = { (const uint8_t *)"data", 4 };
	struct json_value value;

	(void)json_read(body, &name, 1, &value);
	*data = value.raw;
	if (value.kind == JSON_KIND_NONE)
		conn_refuse(c, 400, "data is missing", NULL);
	else if (data->len > (size_t)admin_of(c)->config->max_message_bytes)
		conn_refuse(c, 413, "data is larger than max_message_bytes", NULL);
	else
		return true;
	return false;
}

void api_hash_key(struct slice key, struct slice channel, uint8_t out[IPC_KEY_BYTES]) {
	uint8_t sum[SHA256_BYTES];
	struct buf b;

	buf_init(&b, SIZE_MAX);
	buf_add(&b, slice_of("api", 4));
	buf_add(&b, channel);
	buf_add_u8(&b, 0);
	buf_add(&b, key);
	digest_sha256(buf_slice(&b), sum);
	buf_fini(&b);
	memcpy(out, sum, IPC_KEY_BYTES);
}

json_t *api_result_json(const struct hub_result *r) {
	return json_pack("{s:s, s:I, s:b}", "epoch", r->position.epoch, "offset", (json_int_t)r->position.offset, "repeated",
	    r->result == IPC_REPEATED);
}

static void publish(struct admin_call *call, struct slice channel, struct slice key, struct slice data, hub_result_fn fn,
    void *cookie) {
	uint8_t hash[IPC_KEY_BYTES];
	/* Clients of /broadcast get bare text: the JSON as it came. */
	uint8_t kind = slice_eq_text(channel, CHANNEL_BROADCAST) ? PAYLOAD_TEXT : PAYLOAD_JSON;
	/* What goes to everybody is for those who are there. */
	uint8_t flags = channel.ptr[0] == '$' ? IPC_NO_HISTORY : 0;

	if (key.len > 0)
		api_hash_key(key, channel, hash);
	call->waiting++;
	hub_publish(&call->client, channel, key.len > 0 ? hash : NULL, flags, kind, data, fn, cookie);
}

static void on_published(struct hub_client *client, void *cookie, const struct hub_result *r) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	struct conn *c = call->conn;

	(void)cookie;
	admin_call_end(call);
	if (r->result == IPC_OK || r->result == IPC_REPEATED)
		admin_respond_json(c, 200, api_result_json(r));
	else
		admin_refuse_result(c, r->result);
}

void api_publish(struct conn *c, const struct http_request *r, struct slice body) {
	json_t *json = api_parse_body(c, body);
	struct slice key, data;

	(void)r;
	if (json == NULL)
		return;
	if (!is_channel(json_object_get(json, "channel")))
		conn_refuse(c, 400, "channel is missing, or not a channel's name", NULL);
	else if (api_read_data(c, body, &data) && api_read_key(c, json, &key))
		publish(admin_call_new(c), api_text_of(json_object_get(json, "channel")), key, data, on_published, NULL);
	json_decref(json);
}

static void on_broadcast_part(struct hub_client *client, void *cookie, const struct hub_result *r) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	struct conn *c = call->conn;
	const char *channel = cookie;
	json_t *result;

	if (r->result == IPC_OK || r->result == IPC_REPEATED)
		result = api_result_json(r);
	else
		result = json_pack("{s:s}", "error", r->result == IPC_UNCERTAIN ? "uncertain" : "unavailable");
	json_object_set_new(call->answer, channel, result);
	if (--call->waiting > 0)
		return;
	result = json_pack("{s:O}", "channels", call->answer);
	admin_call_end(call);
	admin_respond_json(c, 200, result);
}

/* Each name once: the answer has one result for it. */
static bool are_channels(const json_t *channels) {
	json_t *seen = json_object(), *name;
	bool is_good;
	size_t i;

	is_good = json_is_array(channels) && json_array_size(channels) > 0 && json_array_size(channels) <= API_CHANNELS_MAX;
	json_array_foreach(channels, i, name) {
		is_good = is_good && is_channel(name) && json_object_get(seen, json_string_value(name)) == NULL;
		if (!is_good)
			break;
		json_object_set_new(seen, json_string_value(name), json_null());
	}
	json_decref(seen);
	return is_good;
}

static void broadcast(struct conn *c, const json_t *channels, struct slice key, struct slice data) {
	struct admin_call *call = admin_call_new(c);
	size_t i;
	json_t *name;

	call->answer = json_object();
	json_array_foreach(channels, i, name)
		publish(call, api_text_of(name), key, data, on_broadcast_part, slice_dup_text(api_text_of(name)));
}

void api_broadcast(struct conn *c, const struct http_request *r, struct slice body) {
	json_t *json = api_parse_body(c, body);
	struct slice key, data;

	(void)r;
	if (json == NULL)
		return;
	if (!are_channels(json_object_get(json, "channels")))
		conn_refuse(c, 400, "channels is not a list of 1 to 1000 names of channels, each once", NULL);
	else if (api_read_data(c, body, &data) && api_read_key(c, json, &key))
		broadcast(c, json_object_get(json, "channels"), key, data);
	json_decref(json);
}

/* --- channels, history, presence --- */

bool api_query_text(struct conn *c, const struct http_request *r, const char *name, char *out, size_t out_size) {
	char sentence[128];

	if (http_query_find(r->query, name, out, out_size) || !http_query_has(r->query, name))
		return true;
	snprintf(sentence, sizeof(sentence), "%s is longer than %zu bytes, or has a wrong escape", name, out_size - 1);
	conn_refuse(c, 400, sentence, NULL);
	return false;
}

bool api_query_number(struct conn *c, const struct http_request *r, const char *name, uint64_t max, uint64_t *value) {
	char text[32], sentence[128];

	if (!http_query_has(r->query, name))
		return true;
	if (http_query_find(r->query, name, text, sizeof(text)) && slice_to_u64(slice_text(text), value) && *value <= max)
		return true;
	snprintf(sentence, sizeof(sentence), "%s is not a number from 0 to %llu", name, (unsigned long long)max);
	conn_refuse(c, 400, sentence, NULL);
	return false;
}

static bool query_channel(struct conn *c, const struct http_request *r, char out[IPC_CHANNEL_MAX + 1]) {
	if (!api_query_text(c, r, "channel", out, IPC_CHANNEL_MAX + 1))
		return false;
	if (out[0] != '\0')
		return true;
	conn_refuse(c, 400, "channel is missing", NULL);
	return false;
}

static void on_channels(struct hub_client *client, void *cookie, const struct hub_channels *m) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	struct conn *c = call->conn;
	json_t *list = json_array();
	struct slice rest = m->channels;
	struct ipc_channel ch;

	(void)cookie;
	if (m->result != IPC_OK) {
		json_decref(list);
		admin_call_end(call);
		admin_refuse_result(c, m->result);
		return;
	}
	while (ipc_next_channel(&rest, &ch))
		json_array_append_new(list, json_pack("{s:s%, s:s%, s:I, s:i}", "channel", ch.channel.ptr, ch.channel.len, "epoch",
						ch.epoch.ptr, ch.epoch.len, "offset", (json_int_t)ch.offset, "members",
						(int)ch.member_count));
	admin_call_end(call);
	admin_respond_json(c, 200, json_pack("{s:o, s:b}", "channels", list, "more", m->more));
}

void api_channels(struct conn *c, const struct http_request *r, struct slice body) {
	char prefix[IPC_CHANNEL_MAX + 1], after[IPC_CHANNEL_MAX + 1];
	uint64_t limit = API_LIMIT_DEFAULT;

	(void)body;
	if (!api_query_number(c, r, "limit", API_LIMIT_MAX, &limit) || !api_query_text(c, r, "prefix", prefix, sizeof(prefix)) ||
	    !api_query_text(c, r, "after", after, sizeof(after)))
		return;
	hub_channel_list(&admin_call_new(c)->client, slice_text(prefix), slice_text(after), (uint32_t)limit, on_channels, NULL);
}

/* Byte for byte as it came; chat payloads lack their braces; anything else is no JSON. */
static void write_data(const struct ipc_publication *p, struct buf *b) {
	switch (p->kind) {
	case PAYLOAD_JSON:
		buf_add(b, p->data);
		break;
	case PAYLOAD_CHAT:
		buf_add_u8(b, '{');
		buf_add(b, p->data);
		buf_add_u8(b, '}');
		break;
	default:
		buf_add_text(b, "null");
		break;
	}
}

static void write_history(const struct hub_snapshot *s, struct buf *b) {
	struct slice rest = s->publications;
	struct ipc_publication p;
	bool is_first = true;

	buf_add_text(b, "{\"epoch\":");
	json_write_text(b, slice_text(s->position.epoch));
	json_write_member_u64(b, "offset", s->position.offset);
	json_write_member_bool(b, "more", s->more);
	if (s->asked_since)
		json_write_member_bool(b, "recovered", s->recovered);
	buf_add_text(b, ",\"publications\":[");
	for (; ipc_next_publication(&rest, &p); is_first = false) {
		buf_add_text(b, is_first ? "\n{\"offset\":" : ",\n{\"offset\":");
		buf_add_u64_text(b, p.offset);
		json_write_member_u64(b, "time", p.time_ms);
		buf_add_text(b, ",\"data\":");
		write_data(&p, b);
		buf_add_u8(b, '}');
	}
	buf_add_text(b, "]}\n");
}

static void on_history(struct hub_client *client, void *cookie, const struct hub_snapshot *s) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	struct conn *c = call->conn;
	struct buf b;

	(void)cookie;
	if (s->result != IPC_OK) {
		admin_call_end(call);
		admin_refuse_result(c, s->result);
		return;
	}
	buf_init(&b, SIZE_MAX);
	write_history(s, &b);
	admin_call_end(call);
	admin_respond_text(c, 200, buf_slice(&b));
	buf_fini(&b);
}

void api_history(struct conn *c, const struct http_request *r, struct slice body) {
	char channel[IPC_CHANNEL_MAX + 1];
	struct hub_position position = { "", 0 };
	uint64_t limit = API_LIMIT_DEFAULT, offset = 0;
	bool is_since = http_query_has(r->query, "epoch");

	(void)body;
	if (!query_channel(c, r, channel) || !api_query_number(c, r, "limit", API_LIMIT_MAX, &limit) ||
	    !api_query_text(c, r, "epoch", position.epoch, sizeof(position.epoch)))
		return;
	if (is_since != http_query_has(r->query, "offset")) {
		conn_refuse(c, 400, "epoch and offset belong together", NULL);
		return;
	}
	if (!api_query_number(c, r, is_since ? "offset" : "before", INT64_MAX, &offset))
		return;
	position.offset = offset;
	hub_history(&admin_call_new(c)->client, slice_text(channel), is_since ? IPC_SINCE : IPC_BEFORE, &position, (uint32_t)limit,
	    on_history, NULL);
}

static json_t *cursor_json(const struct hub_cursor *cursor) {
	struct buf text;
	json_t *json;

	buf_init(&text, SIZE_MAX);
	cursor_write(cursor, &text);
	json = json_stringn((const char *)text.data, text.len);
	buf_fini(&text);
	return json;
}

static void on_presence(struct hub_client *client, void *cookie, const struct hub_members *m) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	struct conn *c = call->conn;
	json_t *list = json_array();
	struct slice rest = m->members;
	struct hub_cursor last = { 0 };
	struct ipc_member member;
	json_t *answer;

	(void)cookie;
	if (m->result != IPC_OK) {
		json_decref(list);
		admin_call_end(call);
		admin_refuse_result(c, m->result);
		return;
	}
	while (ipc_next_member(&rest, &member)) {
		json_t *info = json_loadb((const char *)member.info.ptr, member.info.len, JSON_DECODE_ANY, NULL);

		json_array_append_new(list, json_pack("{s:s%, s:o}", "member", member.member.ptr, member.member.len, "info",
						info != NULL ? info : json_null()));
		last = (struct hub_cursor){ member.number, member.member };
	}
	answer = json_pack("{s:i, s:b, s:o}", "count", (int)m->member_count, "more", m->more, "members", list);
	if (m->more && last.number > 0)
		json_object_set_new(answer, "next", cursor_json(&last));
	admin_call_end(call);
	admin_respond_json(c, 200, answer);
}

void api_presence(struct conn *c, const struct http_request *r, struct slice body) {
	char channel[IPC_CHANNEL_MAX + 1], after[API_CURSOR_MAX + 1];
	struct hub_cursor cursor = { 0 };
	uint64_t limit = API_LIMIT_DEFAULT;

	(void)body;
	if (!query_channel(c, r, channel) || !api_query_number(c, r, "limit", API_LIMIT_MAX, &limit) ||
	    !api_query_text(c, r, "after", after, sizeof(after)))
		return;
	if (after[0] != '\0' && !cursor_parse(slice_text(after), &cursor)) {
		conn_refuse(c, 400, "after is not the next of another answer", NULL);
		return;
	}
	hub_member_list(&admin_call_new(c)->client, slice_text(channel), &cursor, (uint32_t)limit, on_presence, NULL);
}
