/* api_connections - the server API: finding connections of this host, ending them, telling them something; the largest rooms */
#define LOG_AREA LOG_AREA_admin

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/svc/log.h"
#include "server/admin/admin_priv.h"
#include "server/inspect/inspector.h"
#include "server/inspect/who.h"
#include "server/moderation/order.h"
#include "server/proto/proto.h"

enum {
	SUBJECT_MAX = 255,
	LIST_DEFAULT = 100,
	TOP_DEFAULT = 10,
	MESSAGE_MAX = 64 << 10,	/* each of those who are meant gets a copy */
};

static const struct {
	const char *name;
	const char *sentence;
} matches[] = {
	[IPC_MATCH_ID] = { "id", "id is not 1 to 255 bytes" },
	[IPC_MATCH_USER] = { "user", "user is not 1 to 255 bytes" },
	[IPC_MATCH_ADDRESS] = { "address", "address is not IPV4, IPV4:PORT, IPV4/BITS, IPV6, [IPV6]:PORT, IPV6/BITS or unix" },
};

/* --- whom a request is about --- */

static bool is_subject(enum ipc_match match, struct slice subject) {
	struct who who;
	bool is_good = who_init(&who, match, subject, NULL);

	who_fini(&who);
	return is_good;
}

/* False, after a refusal. */
static bool check_subject(struct conn *c, const struct ipc_inspect *q, unsigned given) {
	if (given != 1)
		conn_refuse(c, 400, "one of id, user and address is wanted", NULL);
	else if (!is_subject((enum ipc_match)q->match, q->subject))
		conn_refuse(c, 400, matches[q->match].sentence, NULL);
	else
		return true;
	return false;
}

/* The same. Borrowed from the JSON. */
static bool read_subject(struct conn *c, const json_t *json, struct ipc_inspect *q) {
	unsigned given = 0;

	for (size_t i = 0; i < ARRAY_LEN(matches); i++) {
		const json_t *value = json_object_get(json, matches[i].name);

		if (value == NULL)
			continue;
		given++;
		q->match = (uint8_t)i;
		q->subject = json_is_string(value) ? api_text_of(value) : SLICE_EMPTY;
	}
	return check_subject(c, q, given);
}

/* The same; q->subject is in `text`. */
static bool query_subject(struct conn *c, const struct http_request *r, struct ipc_inspect *q, char text[SUBJECT_MAX + 1]) {
	unsigned given = 0;

	for (size_t i = 0; i < ARRAY_LEN(matches); i++) {
		if (!http_query_has(r->query, matches[i].name))
			continue;
		given++;
		q->match = (uint8_t)i;
		if (!api_query_text(c, r, matches[i].name, text, SUBJECT_MAX + 1))
			return false;
	}
	q->subject = slice_text(text);
	return check_subject(c, q, given);
}

/* --- finding --- */

static json_t *text_json(struct slice s) {
	json_t *json = s.len > 0 ? json_stringn((const char *)s.ptr, s.len) : NULL;

	return json != NULL ? json : json_null();
}

static json_t *connection_json(const struct ipc_connection *i) {
	return json_pack("{s:o, s:i, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "id", text_json(i->id), "worker", (int)i->slot, "user",
	    text_json(i->user), "address", text_json(i->address), "protocol", text_json(i->protocol), "since", (json_int_t)i->since_ms,
	    "queued_bytes", (json_int_t)i->queued_bytes, "stuck_ms", (json_int_t)i->stuck_ms, "rooms", (json_int_t)i->rooms);
}

static int by_queued(const void *a, const void *b) {
	const struct ipc_connection *x = a, *y = b;

	return (x->queued_bytes < y->queued_bytes) - (x->queued_bytes > y->queued_bytes);
}

static int by_since(const void *a, const void *b) {
	const struct ipc_connection *x = a, *y = b;

	return (x->since_ms > y->since_ms) - (x->since_ms < y->since_ms);
}

json_t *api_connections_json(struct slice records, size_t limit, bool is_slowest) {
	struct ipc_connection *all, one;
	json_t *list = json_array();
	struct slice rest = records;
	size_t count = 0;

	while (ipc_next_connection(&rest, &one))
		count++;
	all = mem_alloc((count + 1) * sizeof(*all));
	for (size_t i = 0; i < count; i++)
		ipc_next_connection(&records, &all[i]);
	qsort(all, count, sizeof(*all), is_slowest ? by_queued : by_since);
	for (size_t i = 0; i < count && i < limit; i++)
		json_array_append_new(list, connection_json(&all[i]));
	mem_free(all);
	return list;
}

static void refuse(struct conn *c, enum ipc_result result, bool is_order) {
	if (result == IPC_UNCERTAIN)
		conn_refuse(c, 504, is_order ? "the broker did not answer: what was asked for is perhaps done" : "the broker did not answer", NULL);
	else
		conn_refuse(c, 503, is_order ? "the workers cannot be asked just now: nothing was done" : "the workers cannot be asked just now",
		    "Retry-After: 1\r\n");
}

/* What was asked for, as far as the answer depends on it. */
struct wanted {
	size_t limit;
	bool is_slowest;
};

static json_t *counts_json(const struct hub_inspection *i) {
	return json_pack("{s:I, s:I, s:I}", "matched", (json_int_t)i->matched, "workers", (json_int_t)i->asked, "workers_answered",
	    (json_int_t)i->answered);
}

static void on_found(struct hub_client *client, void *cookie, const struct hub_inspection *i) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	const struct wanted *wanted = cookie;
	struct conn *c = call->conn;
	json_t *answer;

	admin_call_end(call);
	if (i->result != IPC_OK) {
		refuse(c, i->result, false);
		return;
	}
	answer = counts_json(i);
	json_object_set_new(answer, "connections", api_connections_json(i->connections, wanted->limit, wanted->is_slowest));
	admin_respond_json(c, 200, answer);
}

void api_connections(struct conn *c, const struct http_request *r, struct slice body UNUSED) {
	struct ipc_inspect q = { .act = IPC_ACT_NONE };
	bool is_slowest = http_query_has(r->query, "slowest");
	uint64_t limit = LIST_DEFAULT;
	char text[SUBJECT_MAX + 1];
	struct wanted wanted;

	if (is_slowest) {
		q.match = IPC_MATCH_SLOWEST;
		if (!api_query_number(c, r, "slowest", INSPECT_SLOWEST_MAX, &limit))
			return;
	} else if (!api_query_number(c, r, "limit", HUB_INSPECT_MAX, &limit) || !query_subject(c, r, &q, text)) {
		return;
	}
	q.limit = (uint32_t)limit;
	wanted = (struct wanted){ limit, is_slowest };
	hub_inspect(&admin_call_new(c)->client, &q, on_found, mem_dup(&wanted, sizeof(wanted)));
}

/* --- doing something to them --- */

static void on_done(struct hub_client *client, void *cookie UNUSED, const struct hub_inspection *i) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	struct conn *c = call->conn;
	json_t *answer;

	admin_call_end(call);
	if (i->result != IPC_OK) {
		refuse(c, i->result, true);
		return;
	}
	if (i->done == 0 && i->answered == i->asked) {
		conn_refuse(c, 404, i->matched == 0 ? "there is no such connection on this host" :
						      "there is one, but it is no open WebSocket", NULL);
		return;
	}
	answer = counts_json(i);
	json_object_set_new(answer, "done", json_integer((json_int_t)i->done));
	admin_respond_json(c, 200, answer);
}

/* The line of the audit, when it is ordered: whoever ordered it may be gone before there is an answer. */
static void order(struct conn *c, const struct ipc_inspect *q, const char *what) {
	struct log_field fields[7] = { 0 };
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];
	size_t n = 0;

	conn_id_text(c, id);
	sock_peer_text(conn_peer(c), peer);
	fields[n++] = LF_TEXT("audit", "admin");
	fields[n++] = LF_TEXT("conn", id);
	fields[n++] = LF_TEXT("peer", peer);
	fields[n++] = LF_SLICE(matches[q->match].name, q->subject);
	if (q->act == IPC_ACT_CLOSE) {
		fields[n++] = LF_U("code", q->code);
		if (q->reason.len > 0)
			fields[n++] = LF_SLICE("reason", q->reason);
	} else {
		fields[n++] = LF_U("bytes", q->data.len);
	}
	log_emit(LOG_INFO, what, fields);
	hub_inspect(&admin_call_new(c)->client, q, on_done, NULL);
}

/* What a server may send (RFC 6455, 7.4; RFC 8441's registry), and applications' own. */
static bool is_close_code(double code) {
	static const uint16_t good[] = { 1000, 1001, 1008, 1011, 1012, 1013 };

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (code == good[i])
			return true;
	}
	return code >= 3000 && code <= 4999 && code == (uint16_t)code;
}

/* False, after a refusal. Borrowed from the JSON. */
static bool read_close(struct conn *c, const json_t *json, struct ipc_inspect *q) {
	const json_t *code = json_object_get(json, "code"), *reason = json_object_get(json, "reason");

	q->code = close_reason_code(CLOSE_disconnected);
	if (json_is_string(reason))
		q->reason = api_text_of(reason);
	if (code != NULL && !is_close_code(json_real_value(code))) {
		conn_refuse(c, 400, "code is not 1000, 1001, 1008, 1011, 1012, 1013, or 3000 to 4999", NULL);
	} else if (reason != NULL && !json_is_null(reason) && (!json_is_string(reason) || !order_is_reason(q->reason))) {
		conn_refuse(c, 400, "reason is not at most 96 bytes of visible text", NULL);
	} else {
		if (code != NULL)
			q->code = (uint16_t)json_real_value(code);
		return true;
	}
	return false;
}

void api_disconnect(struct conn *c, const struct http_request *r UNUSED, struct slice body) {
	struct ipc_inspect q = { .act = IPC_ACT_CLOSE };
	json_t *json = api_parse_body(c, body);

	if (json != NULL && read_subject(c, json, &q) && read_close(c, json, &q))
		order(c, &q, "the operator ends connections");
	json_decref(json);
}

void api_message(struct conn *c, const struct http_request *r UNUSED, struct slice body) {
	struct ipc_inspect q = { .act = IPC_ACT_TELL };
	json_t *json = api_parse_body(c, body);

	if (json != NULL && read_subject(c, json, &q) && api_read_data(c, body, &q.data)) {
		if (q.data.len > MESSAGE_MAX)
			conn_refuse(c, 413, "data is larger than 64 KiB", NULL);
		else
			order(c, &q, "the operator tells connections something");
	}
	json_decref(json);
}

/* --- the largest rooms --- */

static void on_rooms(struct hub_client *client, void *cookie UNUSED, const struct hub_channels *m) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	struct conn *c = call->conn;

	admin_call_end(call);
	if (m->result == IPC_OK)
		admin_respond_json(c, 200, json_pack("{s:o}", "rooms", api_rooms_json(m->channels)));
	else
		conn_refuse(c, 503, "the broker cannot be asked just now", "Retry-After: 1\r\n");
}

json_t *api_rooms_json(struct slice channels) {
	json_t *list = json_array();
	struct ipc_channel ch;

	while (ipc_next_channel(&channels, &ch)) {
		struct slice name = slice_skip(ch.channel, strlen(CHANNEL_ROOM_PREFIX));

		json_array_append_new(list, json_pack("{s:o, s:I, s:I}", "room", text_json(name), "members", (json_int_t)ch.member_count,
						"offset", (json_int_t)ch.offset));
	}
	return list;
}

void api_rooms(struct conn *c, const struct http_request *r, struct slice body UNUSED) {
	uint64_t top = TOP_DEFAULT;

	if (api_query_number(c, r, "top", HUB_TOP_ROOMS_MAX, &top))
		hub_top_rooms(&admin_call_new(c)->client, slice_text(CHANNEL_ROOM_PREFIX), (uint32_t)top, on_rooms, NULL);
}
