/* api_log - the server API: levels of the log, and the last events of every process */
#define LOG_AREA LOG_AREA_admin
#include "common/svc/log.h"
#include "server/admin/admin_priv.h"

static const char *const process_names[PROCESS_KINDS] = { [PROCESS_MASTER] = "master", [PROCESS_BROKER] = "broker",
	[PROCESS_WORKER] = "worker", [PROCESS_ADMIN] = "admin" };

/* --- levels --- */

static enum log_level level_of(const struct log_shared *log, int area) {
	int level = atomic_load(&log->level[area]);

	return level < LOG_ERROR ? LOG_ERROR : level > LOG_DEBUG ? LOG_DEBUG : (enum log_level)level;
}

static void answer_levels(struct conn *c, const struct log_shared *log) {
	json_t *levels = json_object();

	for (int i = 0; i < LOG_AREAS; i++)
		json_object_set_new(levels, log_area_name((enum log_area)i), json_string(log_level_name(level_of(log, i))));
	admin_respond_json(c, 200, json_pack("{s:o}", "levels", levels));
}

void api_log_levels(struct conn *c, const struct http_request *r UNUSED, struct slice body UNUSED) {
	answer_levels(c, &admin_of(c)->stats->host.log);
}

/* False, after a refusal. No area: all. */
static bool read_level(struct conn *c, const json_t *json, enum log_level *level, enum log_area *area, bool *is_all) {
	const json_t *level_json = json_object_get(json, "level"), *area_json = json_object_get(json, "area");

	*is_all = area_json == NULL;
	if (!json_is_string(level_json) || !log_level_find(api_text_of(level_json), level))
		conn_refuse(c, 400, "level is none of error, warn, info, debug", NULL);
	else if (!*is_all && (!json_is_string(area_json) || !log_area_find(api_text_of(area_json), area)))
		conn_refuse(c, 400, "the log has no such area; GET of this address names them", NULL);
	else
		return true;
	return false;
}

void api_set_log_level(struct conn *c, const struct http_request *r UNUSED, struct slice body) {
	struct log_shared *log = &stats_shared->host.log;
	json_t *json = api_parse_body(c, body);
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];
	enum log_area area = LOG_AREA_process;
	enum log_level level;
	bool is_all;

	if (json != NULL && read_level(c, json, &level, &area, &is_all)) {
		for (int i = 0; i < LOG_AREAS; i++) {
			if (is_all || i == (int)area)
				atomic_store(&log->level[i], (int)level);
		}
		conn_id_text(c, id);
		sock_peer_text(conn_peer(c), peer);
		/* Written whatever the level is now: who looks into the log has to know why it is as it is. */
		log_write(&(struct log_kind){ 0 }, LOG_AREA, LOG_INFO, "the level of the log was changed",
		    (const struct log_field[]){ LF_TEXT("audit", "admin"), LF_TEXT("conn", id), LF_TEXT("peer", peer),
			LF_TEXT("log_level", log_level_name(level)), LF_TEXT("log_area", is_all ? "all" : log_area_name(area)), { 0 } });
		answer_levels(c, log);
	}
	json_decref(json);
}

/* --- traces --- */

static json_t *event_json(const struct trace_ring *ring, const struct trace_seen *e) {
	json_t *o = json_pack("{s:I, s:s}", "time", (json_int_t)e->wall_ms, "event", trace_kind_name(e->kind));
	uint64_t reason = e->kind == TRACE_close ? e->a : e->b;
	char conn[ID_TEXT_LEN + 2];

	trace_conn_text(ring, e->conn, conn);
	if (conn[0] != '\0')
		json_object_set_new(o, trace_conn_key(ring), json_string(conn));
	if (trace_kind_a(e->kind)[0] != '\0')
		json_object_set_new(o, trace_kind_a(e->kind), json_integer((json_int_t)e->a));
	if (trace_kind_b(e->kind)[0] != '\0')
		json_object_set_new(o, trace_kind_b(e->kind), json_integer((json_int_t)e->b));
	if ((e->kind == TRACE_close || e->kind == TRACE_refuse) && reason < CLOSE_REASON_COUNT)
		json_object_set_new(o, "reason", json_string(close_reason_name((enum close_reason)reason)));
	return o;
}

static json_t *process_json(enum process_kind kind, const struct stats_block *b, const struct trace_ring *ring) {
	struct trace_seen seen[TRACE_EVENTS];
	size_t count = trace_read(ring, seen);
	uint64_t serving = trace_get(&ring->serving);
	char conn[ID_TEXT_LEN + 2];
	json_t *events = json_array();
	json_t *o = json_pack("{s:s, s:i, s:i}", "process", process_names[kind], "slot", atomic_load(&b->slot), "pid",
	    atomic_load(&b->pid));

	for (size_t i = 0; i < count; i++)
		json_array_append_new(events, event_json(ring, &seen[i]));
	trace_conn_text(ring, serving, conn);
	if (conn[0] != '\0')
		json_object_set_new(o, "serving", json_string(conn));
	json_object_set_new(o, "events", events);
	return o;
}

/* False, after a refusal. kind NONE: every one; slot UINT64_MAX: every one. */
static bool read_choice(struct conn *c, const struct http_request *r, int *kind, uint64_t *slot) {
	char text[16];

	*kind = PROCESS_NONE;
	*slot = UINT64_MAX;
	if (http_query_has(r->query, "process")) {
		if (http_query_find(r->query, "process", text, sizeof(text))) {
			for (int i = PROCESS_MASTER; i < PROCESS_KINDS; i++)
				*kind = strcmp(text, process_names[i]) == 0 ? i : *kind;
		}
		if (*kind == PROCESS_NONE) {
			conn_refuse(c, 400, "process is none of master, broker, worker, admin", NULL);
			return false;
		}
	}
	if (!http_query_has(r->query, "slot") ||
	    (http_query_find(r->query, "slot", text, sizeof(text)) && slice_to_u64(slice_text(text), slot)))
		return true;
	conn_refuse(c, 400, "slot is not a number", NULL);
	return false;
}

void api_trace(struct conn *c, const struct http_request *r, struct slice body UNUSED) {
	const struct stats_map *m = admin_of(c)->stats;
	const struct stats_block *b;
	json_t *processes;
	uint64_t slot;
	int kind, index = -1;

	if (!read_choice(c, r, &kind, &slot))
		return;
	processes = json_array();
	while ((b = stats_next(m, &index)) != NULL) {
		enum process_kind is = stats_kind(b);

		/* It may have died since. */
		if (is != PROCESS_NONE && (kind == PROCESS_NONE || (int)is == kind) && (slot == UINT64_MAX || (uint64_t)atomic_load(&b->slot) == slot))
			json_array_append_new(processes, process_json(is, b, &m->trace[index]));
	}
	admin_respond_json(c, 200, json_pack("{s:o}", "processes", processes));
}
