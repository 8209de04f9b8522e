/* admin - which request goes where, who may ask, and what all answers have in common */
#include "server/admin/admin_priv.h"

#include "common/base/mem.h"
#include "server/page/asset_serve.h"

enum { API_ENVELOPE_BYTES = 320 * 1024 };

static const struct admin_route routes[] = {
	{ HTTP_GET, "/healthz", ADMIT_ALL, admin_healthz },
	{ HTTP_GET, "/readyz", ADMIT_ALL, admin_readyz },
	{ HTTP_GET, "/status", ADMIT_TOKEN, admin_status },
	{ HTTP_GET, "/metrics", ADMIT_TOKEN, admin_metrics },
	{ HTTP_GET, "/live", ADMIT_PAGE, admin_live },
	{ HTTP_POST, "/api/publish", ADMIT_TOKEN, api_publish },
	{ HTTP_POST, "/api/broadcast", ADMIT_TOKEN, api_broadcast },
	{ HTTP_GET, "/api/channels", ADMIT_TOKEN, api_channels },
	{ HTTP_GET, "/api/history", ADMIT_TOKEN, api_history },
	{ HTTP_GET, "/api/presence", ADMIT_TOKEN, api_presence },
	{ HTTP_POST, "/api/kick", ADMIT_TOKEN, api_kick },
	{ HTTP_POST, "/api/ban", ADMIT_TOKEN, api_ban },
	{ HTTP_POST, "/api/mute", ADMIT_TOKEN, api_mute },
	{ HTTP_GET, "/api/connections", ADMIT_TOKEN, api_connections },
	{ HTTP_POST, "/api/disconnect", ADMIT_TOKEN, api_disconnect },
	{ HTTP_POST, "/api/message", ADMIT_TOKEN, api_message },
	{ HTTP_GET, "/api/rooms", ADMIT_TOKEN, api_rooms },
	{ HTTP_POST, "/api/drain", ADMIT_TOKEN, api_drain },
	{ HTTP_POST, "/api/reload", ADMIT_TOKEN, api_reload },
	{ HTTP_GET, "/api/log-level", ADMIT_TOKEN, api_log_levels },
	{ HTTP_POST, "/api/log-level", ADMIT_TOKEN, api_set_log_level },
	{ HTTP_GET, "/api/trace", ADMIT_TOKEN, api_trace },
};

struct admin *admin_of(struct conn *c) {
	return conns_arg(conn_conns(c));
}

static bool method_fits(enum http_method wanted, enum http_method got) {
	return wanted == got || (wanted == HTTP_GET && got == HTTP_HEAD);
}

/* False: refused. Only what the status page asks for may come from a page, and only from that one: browsers say so of its WebSocket, and
 * some of its scripts. */
static bool admit_origin(struct conn *c, const struct http_request *r, enum admin_admission asked) {
	static const struct origin_list only_own = { .count = 0 };
	const char *why = "the admin listener does not answer web pages of other origins";
	size_t origins;
	struct slice origin = http_header_find(r, "Origin", &origins);

	if (asked == ADMIT_FILE || asked == ADMIT_PAGE)
		why = origin_refusal(&only_own, origin, origins, http_header_find(r, "Host", NULL));
	if (origins == 0 || why == NULL)
		return true;
	stat_add(STAT_admin_origins_refused, 1);
	conn_refuse(c, 403, why, NULL);
	return false;
}

/* False: refused. Who comes by a unix socket is no browser, and may call us anything. */
static bool admit_host(const struct admin *a, struct conn *c, const struct http_request *r) {
	struct slice host = http_header_find(r, "Host", NULL);

	if (a->token.is_set || conn_peer(c)->is_unix || host_is_own(host) ||
	    (a->hosts.count > 0 && host_refusal(&a->hosts, host) == NULL))
		return true;
	stat_add(STAT_hosts_refused, 1);
	conn_refuse(c, 421, "without an admin_token the admin listener is asked by an address, localhost, or one of the option hosts", NULL);
	return false;
}

/* False: refused. */
static bool admit_token(const struct admin *a, struct conn *c, const struct http_request *r, bool is_page) {
	static const char challenge[] = "WWW-Authenticate: Bearer realm=\"herold admin\"\r\n";
	static const char bad_challenge[] = "WWW-Authenticate: Bearer realm=\"herold admin\", error=\"invalid_token\"\r\n";

	switch (is_page ? admin_token_check_websocket(&a->token, r) :
	                  admin_token_check(&a->token, http_header_find(r, "Authorization", NULL))) {
	case ADMIN_TOKEN_GOOD:
		return true;
	case ADMIN_TOKEN_MISSING:
		conn_refuse(c, 401, "the admin listener wants Authorization: Bearer with the admin_token", challenge);
		break;
	case ADMIN_TOKEN_WRONG:
		conn_refuse(c, 401, "this is not the admin_token", bad_challenge);
		break;
	}
	stat_add(STAT_admin_refused, 1);
	return false;
}

/* The row of this address, for this method if there is one. */
static const struct admin_route *find_route(const struct http_request *r) {
	const struct admin_route *found = NULL;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!slice_eq_text(r->path, routes[i].path))
			continue;
		found = &routes[i];
		if (method_fits(found->method, r->method))
			break;
	}
	return found;
}

/* What is not there asks for the token, too. The files of the page say nothing of this server, and ask the user for it. */
static enum admin_admission admission_of(const struct http_request *r) {
	const struct admin_route *route = find_route(r);

	if (route != NULL)
		return route->admission;
	return asset_find(PAGE_STATUS, r->path) != NULL ? ADMIT_FILE : ADMIT_TOKEN;
}

bool admin_on_head(struct conn *c, const struct http_request *r) {
	enum admin_admission asked = admission_of(r);
	const struct admin *a = admin_of(c);

	return admit_origin(c, r, asked) && (asked == ADMIT_ALL || admit_host(a, c, r)) &&
	    (asked == ADMIT_ALL || asked == ADMIT_FILE || admit_token(a, c, r, asked == ADMIT_PAGE));
}

void admin_on_request(struct conn *c, const struct http_request *r, struct slice body) {
	const struct admin_route *route = find_route(r);
	const struct asset *asset = route == NULL ? asset_find(PAGE_STATUS, r->path) : NULL;

	if (route == NULL && asset == NULL) {
		stat_add(STAT_paths_refused, 1);
		conn_refuse(c, 404, "there is nothing at this address", NULL);
	} else if (!method_fits(route != NULL ? route->method : HTTP_GET, r->method)) {
		stat_add(STAT_methods_refused, 1);
		conn_refuse(c, 405, "this address does not answer that method",
		    route != NULL && route->method == HTTP_POST ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n");
	} else if (asset != NULL) {
		asset_serve(c, r, asset);
	} else {
		route->handle(c, r, body);
	}
}

size_t admin_body_max(const struct http_request *r, void *arg) {
	const struct admin *admin = arg;

	/* The data and some room for what is around it (a thousand channel names). */
	return r->method == HTTP_POST ? (size_t)admin->config->max_message_bytes + API_ENVELOPE_BYTES : 0;
}

struct admin_call *admin_call_new(struct conn *c) {
	struct admin_call *call = mem_zalloc(sizeof(*call));

	hub_client_init(admin_of(c)->hub, &call->client, NULL, 0);
	list_init(&call->in_reloading);
	call->conn = c;
	conn_set_user(c, call);
	return call;
}

void admin_call_end(struct admin_call *call) {
	conn_set_user(call->conn, NULL);
	list_remove(&call->in_reloading);
	hub_client_fini(&call->client, 0);
	json_decref(call->answer);
	mem_free(call);
}

void admin_on_gone(struct conn *c) {
	admin_call_end(conn_user(c));
}

static int add_part(const char *text, size_t len, void *arg) {
	buf_add(arg, slice_of(text, len));
	return 0;
}

void admin_respond_text(struct conn *c, unsigned status, struct slice json) {
	conn_respond(c, &(struct http_response){ .status = status,
			    .content_type = "application/json",
			    .extra_headers = ADMIN_HEADERS,
			    .body = json });
}

static void respond_json(struct conn *c, unsigned status, json_t *json, size_t form) {
	struct buf body;

	buf_init(&body, SIZE_MAX);
	json_dump_callback(json, add_part, &body, form);
	json_decref(json);
	buf_add_u8(&body, '\n');
	admin_respond_text(c, status, buf_slice(&body));
	buf_fini(&body);
}

void admin_respond_json(struct conn *c, unsigned status, json_t *json) {
	respond_json(c, status, json, JSON_COMPACT);
}

void admin_respond_readable(struct conn *c, json_t *json) {
	respond_json(c, 200, json, JSON_INDENT(1));
}

void admin_refuse_result(struct conn *c, enum ipc_result result) {
	if (result == IPC_UNCERTAIN)
		conn_refuse(c, 504, "the broker did not answer: it may be published or not; ask again with the same idempotency_key",
		    NULL);
	else
		conn_refuse(c, 503, "the broker cannot be reached just now: nothing was published", "Retry-After: 1\r\n");
}
