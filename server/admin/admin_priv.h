/* admin_priv - shared by the files of this folder */
#ifndef SERVER_ADMIN_ADMIN_PRIV_H
#define SERVER_ADMIN_ADMIN_PRIV_H

#include <jansson.h>

#include "server/admin/admin.h"

/* A request whose answer waits for the broker: the connection's user pointer until it is answered or gone. */
struct admin_call {
	struct hub_client client;
	struct conn *conn;	/* borrowed: admin_on_gone() ends the call */
	struct list in_reloading;	/* on admin.reloading, or on none */
	uint32_t waiting;	/* answers still to come */
	json_t *answer;		/* owned; under construction */
};

struct admin *admin_of(struct conn *c);

/* Returns owned by the connection: ended by admin_call_end() or admin_on_gone(). */
struct admin_call *admin_call_new(struct conn *c);
/* Forgets what is unanswered and frees the call; answer first. */
void admin_call_end(struct admin_call *call);
/* json: the body, written by hand. Copies. */
void admin_respond_text(struct conn *c, unsigned status, struct slice json);
/* Takes `json`. */
void admin_respond_json(struct conn *c, unsigned status, json_t *json);
/* 200, for people's eyes too. Takes `json`. */
void admin_respond_readable(struct conn *c, json_t *json);
/* 503 with Retry-After when surely not done, 504 when perhaps done. */
void admin_refuse_result(struct conn *c, enum ipc_result result);

/* Of answers that are for this moment only. */
#define ADMIN_HEADERS "Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"

const char *admin_engine_name(const struct admin *a);
/* Of the row STAT_VIEW or STAT_VIEW_CASE of this name. */
uint64_t view_value(const struct admin *a, const char *name);

/* --- what the parts of the API share --- */

/* NULL, after a refusal, when the body is not a JSON object. Returns owned. */
json_t *api_parse_body(struct conn *c, struct slice body);
/* Of a string; borrowed from it. */
struct slice api_text_of(const json_t *string);
/* The idempotency_key, borrowed; empty: none. False, after a refusal, when it is not a string of a fair length. */
bool api_read_key(struct conn *c, const json_t *json, struct slice *key);
/* False, after a refusal: missing, or too long. Borrowed from the body, as it stands there. */
bool api_read_data(struct conn *c, struct slice body, struct slice *data);
/* Of the query. False, after a refusal. Missing: empty. */
bool api_query_text(struct conn *c, const struct http_request *r, const char *name, char *out, size_t out_size);
/* The same. Missing: `value` stays. */
bool api_query_number(struct conn *c, const struct http_request *r, const char *name, uint64_t max, uint64_t *value);
/* Everything that makes two calls the same publication. */
void api_hash_key(struct slice key, struct slice channel, uint8_t out[IPC_KEY_BYTES]);
/* Returns owned. */
json_t *api_result_json(const struct hub_result *r);

/* What is asked of a request before anything else. */
enum admin_admission {
	ADMIT_ALL,	/* that it comes from no page of a browser */
	ADMIT_TOKEN,	/* that, and the token; without one, a name that is ours */
	ADMIT_PAGE,	/* the same of the status page's WebSocket: it may have our own Origin, and the token in another place */
	ADMIT_FILE,	/* the same of the status page's files, but no token: they say nothing of this server */
};

/* --- of connections and rooms, for whoever shows them; owned by the caller --- */

/* Records of a hub_inspection: `limit` at most, those for whom most waits first (is_slowest), or those who came first. */
json_t *api_connections_json(struct slice records, size_t limit, bool is_slowest);
/* Of hub_top_rooms(), in its order. */
json_t *api_rooms_json(struct slice channels);

struct admin_route {
	enum http_method method;
	const char *path;
	enum admin_admission admission;
	void (*handle)(struct conn *c, const struct http_request *r, struct slice body);
};

/* Empty: ready. Else what is missing, borrowed until the end of the turn. */
struct slice admin_not_ready_because(const struct admin *a);
/* What memory_bytes bounds, now. Returns owned. */
json_t *admin_memory_json(const struct admin *a);

void admin_healthz(struct conn *c, const struct http_request *r, struct slice body);
void admin_readyz(struct conn *c, const struct http_request *r, struct slice body);
void admin_status(struct conn *c, const struct http_request *r, struct slice body);
void admin_live(struct conn *c, const struct http_request *r, struct slice body);
void admin_metrics(struct conn *c, const struct http_request *r, struct slice body);
void api_publish(struct conn *c, const struct http_request *r, struct slice body);
void api_broadcast(struct conn *c, const struct http_request *r, struct slice body);
void api_channels(struct conn *c, const struct http_request *r, struct slice body);
void api_history(struct conn *c, const struct http_request *r, struct slice body);
void api_presence(struct conn *c, const struct http_request *r, struct slice body);
void api_kick(struct conn *c, const struct http_request *r, struct slice body);
void api_ban(struct conn *c, const struct http_request *r, struct slice body);
void api_mute(struct conn *c, const struct http_request *r, struct slice body);
void api_connections(struct conn *c, const struct http_request *r, struct slice body);
void api_disconnect(struct conn *c, const struct http_request *r, struct slice body);
void api_message(struct conn *c, const struct http_request *r, struct slice body);
void api_rooms(struct conn *c, const struct http_request *r, struct slice body);
void api_drain(struct conn *c, const struct http_request *r, struct slice body);
void api_reload(struct conn *c, const struct http_request *r, struct slice body);
void api_log_levels(struct conn *c, const struct http_request *r, struct slice body);
void api_set_log_level(struct conn *c, const struct http_request *r, struct slice body);
void api_trace(struct conn *c, const struct http_request *r, struct slice body);

#endif
