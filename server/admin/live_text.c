/* live_text - what was measured, as JSON */
#include "server/admin/live_text.h"

#include <math.h>

#include "common/svc/log.h"
#include "server/admin/admin_priv.h"
#include "server/admin/live_verdict.h"

/* Digits of a number that is not whole: more than anybody looks at. */
#define FORM (JSON_COMPACT | JSON_REAL_PRECISION(6))

static const struct {
	const char *name;
	enum stat_id id;
} gauges[] = {
	{ "connections", STAT_connections },
	{ "websockets", STAT_websockets },
	{ "waiting", STAT_client_queue_bytes },
	{ "slow_readers", STAT_slow_readers },
	{ "accept_queue", STAT_accept_queue },
	{ "rooms", STAT_rooms },
	{ "channels", STAT_channels },
	{ "users", STAT_users },
	{ "members", STAT_channel_members },
	{ "history_messages", STAT_history_messages },
	{ "history_bytes", STAT_history_bytes },
	{ "viewers", STAT_viewers },
}, rates[] = {
	{ "received", STAT_messages_received },
	{ "sent", STAT_messages_sent },
	{ "bytes_received", STAT_bytes_received },
	{ "bytes_sent", STAT_bytes_sent },
	{ "connects", STAT_connections_accepted },
	{ "upgrades", STAT_upgrades },
	{ "publications", STAT_publications },
	{ "deliveries", STAT_deliveries },
};

static int add_part(const char *text, size_t len, void *arg) {
	buf_add(arg, slice_of(text, len));
	return 0;
}

static void write_and_free(json_t *o, struct buf *out) {
	json_dump_callback(o, add_part, out, FORM);
	json_decref(o);
}

static void set_u64(json_t *o, const char *name, uint64_t value) {
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

static json_t *verdict_json(const struct admin *a, const struct live_series *s) {
	struct live_signs signs = { .not_ready = admin_not_ready_because(a),
		.memory = (enum memory_level)atomic_load(&a->stats->host.memory.level),
		.redis_queue_bytes = (uint64_t)a->config->redis_queue_bytes };
	json_t *because = json_array();
	struct live_verdict v;

	live_judge(s, &signs, &v);
	for (unsigned i = 0; i < v.count; i++)
		json_array_append_new(because, json_string(v.because[i]));
	return json_pack("{s:s, s:o}", "state", live_state_name(v.state), "because", because);
}

/* A number that is not known is null. */
static json_t *number_json(double value) {
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *figures_json(const struct live_series *s) {
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
		set_u64(o, gauges[i].name, live_now(s, gauges[i].id));
	for (size_t i = 0; i < ARRAY_LEN(rates); i++)
		json_object_set_new(o, rates[i].name, json_real(live_rate(s, rates[i].id)));
	json_object_set_new(o, "latency_p50", number_json(live_quantile(s, STAT_delivery_latency, LIVE_RATE_S, 0.5, 1)));
	json_object_set_new(o, "latency_p99", number_json(live_quantile(s, STAT_delivery_latency, LIVE_RATE_S, 0.99, 1)));
	set_u64(o, "recoveries", live_risen(s, STAT_recoveries, LIVE_MINUTE_S));
	set_u64(o, "recoveries_failed", live_risen(s, STAT_recoveries_failed, LIVE_MINUTE_S));
	return o;
}

/* What never happened is left out. help: or NULL. */
static void add_count(json_t *list, const char *what, const char *help, const struct live_series *s, enum stat_id id) {
	uint64_t all = live_now(s, id);

	if (all > 0)
		json_array_append_new(list, json_pack("{s:s, s:s?, s:I, s:I}", "what", what, "help", help, "minute",
		                                (json_int_t)live_risen(s, id, LIVE_MINUTE_S), "all", (json_int_t)all));
}

static json_t *refusals_json(const struct live_series *s) {
	size_t count;
	const struct stat_row *rows = live_cases("refusals", &count);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		add_count(list, rows[i].value, rows[i].help, s, (enum stat_id)rows[i].first);
	return list;
}

static json_t *ends_json(const struct live_series *s) {
	json_t *list = json_array();

	for (unsigned i = 1; i < CLOSE_REASON_COUNT; i++) {
		enum stat_id id = (enum stat_id)(STAT_closed + i);

		/* Requests that were answered are no news. */
		if (i != CLOSE_http_done && i != CLOSE_http_idle)
			add_count(list, close_reason_name((enum close_reason)i), NULL, s, id);
	}
	return list;
}

static json_t *process_json(const struct live_process *p, const struct stats_block *b, uint64_t wall_ms) {
	static const char *const kinds[] = { [PROCESS_MASTER] = "master", [PROCESS_BROKER] = "broker", [PROCESS_WORKER] = "worker",
		[PROCESS_ADMIN] = "admin" };
	uint64_t start = atomic_load(&b->start_wall_ms);
	enum process_kind kind = stats_kind(b);
	json_t *o = json_pack("{s:s, s:i, s:i, s:b, s:b, s:I, s:f}", "kind", kinds[kind], "slot", atomic_load(&b->slot), "pid", atomic_load(&b->pid),
	    "ready", atomic_load(&b->is_ready), "draining", atomic_load(&b->is_draining), "uptime",
	    (json_int_t)(wall_ms > start ? (wall_ms - start) / 1000 : 0), "cpu", (double)p->cpu_rate / 1e6);

	set_u64(o, "resident", stat_get(b, STAT_resident_bytes));
	if (kind != PROCESS_WORKER)
		return o;
	set_u64(o, "connections", stat_get(b, STAT_connections));
	json_object_set_new(o, "received", json_real((double)p->received_rate));
	json_object_set_new(o, "sent", json_real((double)p->sent_rate));
	json_object_set_new(o, "longest", json_real((double)stat_get(b, STAT_loop_turn_longest) / 1e6));
	return o;
}

static json_t *processes_json(const struct live_series *s, uint64_t wall_ms) {
	json_t *list = json_array();
	const struct stats_block *b;
	int i = 0;

	while ((b = stats_next(s->stats, &i)) != NULL)
		json_array_append_new(list, process_json(&s->process[i], b, wall_ms));
	return list;
}

static json_t *restarts_json(const struct stats_map *m) {
	json_t *o = json_object();

	set_u64(o, "worker", atomic_load(&m->host.restarts[PROCESS_WORKER]));
	set_u64(o, "broker", atomic_load(&m->host.restarts[PROCESS_BROKER]));
	set_u64(o, "admin", atomic_load(&m->host.restarts[PROCESS_ADMIN]));
	return o;
}

/* redis_url has one for each, but with Sentinels they are found by name. */
static json_t *redis_json(const struct admin *a, const struct live_series *s) {
	json_t *o = json_object();

	set_u64(o, "servers", a->config->redis_url.count);
	set_u64(o, "up", live_now(s, STAT_redis_up));
	set_u64(o, "listening", live_now(s, STAT_redis_listening));
	set_u64(o, "waiting", live_now(s, STAT_redis_waiting));
	set_u64(o, "queue_bytes", live_now(s, STAT_redis_queue_bytes));
	set_u64(o, "queue_bound", (uint64_t)a->config->redis_queue_bytes);
	json_object_set_new(o, "calls", json_real(live_rate(s, STAT_redis_calls)));
	json_object_set_new(o, "messages", json_real(live_rate(s, STAT_redis_messages)));
	json_object_set_new(o, "call_p50", number_json(live_quantile(s, STAT_redis_call, LIVE_MINUTE_S, 0.5, 1)));
	json_object_set_new(o, "call_p99", number_json(live_quantile(s, STAT_redis_call, LIVE_MINUTE_S, 0.99, 1)));
	set_u64(o, "losses", live_now(s, STAT_redis_losses));
	set_u64(o, "errors", live_now(s, STAT_redis_errors));
	return o;
}

/* What the parts of the server hold, of those that hold anything. */
static json_t *memory_parts_json(const struct admin *a, const struct live_series *s) {
	size_t count;
	const struct stat_row *rows = live_cases("memory_bytes", &count);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		bool is_view = rows[i].kind == STAT_IS_VIEW_CASE;
		uint64_t bytes = is_view ? view_value(a, rows[i].name) : live_now(s, (enum stat_id)rows[i].first);

		if (bytes > 0)
			json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "what", rows[i].value, "help", rows[i].help, "bytes", (json_int_t)bytes));
	}
	return list;
}

/* The latest first. */
static json_t *log_json(const struct stats_map *m) {
	struct log_recent line[LOG_RECENT];
	size_t count = log_recent(&m->host.log, line);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:s}", "time", (json_int_t)line[i].wall_ms, "level",
		                                log_level_name((enum log_level)line[i].level), "area",
		                                log_area_name((enum log_area)line[i].area), "process", line[i].process, "text", line[i].text));
	}
	return list;
}

static json_t *point_json(const struct live_point *p) {
	json_t *list = json_array();

	json_array_append_new(list, json_integer((json_int_t)p->wall_ms));
	for (int i = 0; i < LIVE_COLUMNS; i++)
		json_array_append_new(list, number_json((double)p->value[i]));
	return list;
}

static size_t points_kept(const struct live_series *s) {
	return s->points < LIVE_POINTS ? (size_t)s->points : LIVE_POINTS;
}

void live_text_now(const struct admin *a, const struct live_series *s, const struct live_ask *asked, bool is_point, struct buf *out) {
	const struct live_second *newest = live_newest(s);
	uint64_t start = atomic_load(&a->stats->host.start_wall_ms), wall_ms = newest->wall_ms;
	struct hub_engine engine = hub_engine(a->hub);
	json_t *o = json_pack("{s:s, s:I, s:s, s:I, s:i, s:s, s:o}", "type", "now", "time", (json_int_t)wall_ms, "version", HEROLD_VERSION, "uptime",
	    (json_int_t)(wall_ms > start ? (wall_ms - start) / 1000 : 0), "workers_wanted", atomic_load(&a->stats->host.workers), "engine",
	    admin_engine_name(a), "verdict", verdict_json(a, s));

	json_object_set_new(o, "figures", figures_json(s));
	json_object_set_new(o, "processes", processes_json(s, wall_ms));
	json_object_set_new(o, "restarts", restarts_json(a->stats));
	json_object_set_new(o, "refusals", refusals_json(s));
	json_object_set_new(o, "ends", ends_json(s));
	json_object_set_new(o, "memory", admin_memory_json(a));
	json_object_set_new(o, "memory_parts", memory_parts_json(a, s));
	json_object_set_new(o, "log", log_json(a->stats));
	json_object_set(o, "rooms", asked->rooms.answer);
	json_object_set(o, "readers", asked->readers.answer);
	if (a->config->engine == ENGINE_REDIS)
		json_object_set_new(o, "redis", redis_json(a, s));
	if (engine.nodes.len > 0)
		json_object_set_new(o, "nodes", json_loadb((const char *)engine.nodes.ptr, engine.nodes.len, 0, NULL));
	if (is_point)
		json_object_set_new(o, "point", point_json(live_point_at(s, points_kept(s) - 1)));
	write_and_free(o, out);
}

void live_text_history(const struct live_series *s, struct buf *out) {
	json_t *columns = json_array(), *points = json_array();
	const struct live_point *p;

	json_array_append_new(columns, json_string("time"));
	for (int i = 0; i < LIVE_COLUMNS; i++)
		json_array_append_new(columns, json_string(live_column_name((enum live_column)i)));
	for (size_t i = 0; (p = live_point_at(s, i)) != NULL; i++)
		json_array_append_new(points, point_json(p));
	write_and_free(json_pack("{s:s, s:i, s:i, s:o, s:o}", "type", "history", "step", LIVE_POINT_S * 1000, "span",
	                   LIVE_POINTS * LIVE_POINT_S * 1000, "columns", columns, "points", points), out);
}
