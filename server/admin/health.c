/* health - is it alive, is it ready, how is it: /healthz, /readyz, /status */
#include "server/admin/admin_priv.h"

#include "common/base/mem.h"
#include "server/admin/metrics.h"
#include "server/proto/proto.h"

void admin_healthz(struct conn *c, const struct http_request *r, struct slice body) {
	(void)r;
	(void)body;
	admin_respond_json(c, 200, json_pack("{s:s}", "status", "ok"));
}

static const struct stats_block *find_block(const struct stats_map *m, enum process_kind kind, int slot) {
	const struct stats_block *b;
	int index = 0;

	while ((b = stats_next(m, &index)) != NULL) {
		if (atomic_load(&b->kind) == (int)kind && atomic_load(&b->slot) == slot)
			return b;
	}
	return NULL;
}

static bool is_ready(const struct stats_map *m, enum process_kind kind, int slot) {
	const struct stats_block *b = find_block(m, kind, slot);

	return b != NULL && atomic_load(&b->is_ready);
}

struct slice admin_not_ready_because(const struct admin *a) {
	int workers = atomic_load(&a->stats->host.workers);
	struct slice trouble = hub_engine(a->hub).trouble;

	if (atomic_load(&a->stats->host.is_draining))
		return slice_text("the server is going away");
	if (trouble.len > 0)
		return trouble;
	if (!is_ready(a->stats, PROCESS_BROKER, 0))
		return slice_text("the broker is not ready");
	if (!hub_is_linked(a->hub))
		return slice_text("the broker cannot be reached");
	for (int slot = 0; slot < workers && slot < STATS_SLOTS; slot++) {
		if (!is_ready(a->stats, PROCESS_WORKER, slot))
			return slice_text("a worker is not ready");
	}
	return SLICE_EMPTY;
}

void admin_readyz(struct conn *c, const struct http_request *r, struct slice body) {
	struct slice why = admin_not_ready_because(admin_of(c));

	(void)r;
	(void)body;
	if (why.len == 0)
		admin_respond_json(c, 200, json_pack("{s:s}", "status", "ready"));
	else
		admin_respond_json(c, 503, json_pack("{s:s, s:s%}", "status", "not ready", "reason", why.ptr, why.len));
}

static json_t *process_json(const struct stats_block *b, uint64_t wall_ms) {
	uint64_t start = atomic_load(&b->start_wall_ms);

	return json_pack("{s:i, s:i, s:b, s:b, s:I}", "slot", atomic_load(&b->slot), "pid", atomic_load(&b->pid), "ready",
	    atomic_load(&b->is_ready), "draining", atomic_load(&b->is_draining), "uptime_seconds",
	    (json_int_t)(wall_ms > start ? (wall_ms - start) / 1000 : 0));
}

static void set_stat(json_t *o, const struct stats_block *b, const char *name, enum stat_id id) {
	json_object_set_new(o, name, json_integer((json_int_t)stat_get(b, id)));
}

static void add_process(json_t *status, const struct stats_block *b, uint64_t wall_ms) {
	json_t *p = process_json(b, wall_ms);

	switch (stats_kind(b)) {
	case PROCESS_WORKER:
		set_stat(p, b, "connections", STAT_connections);
		set_stat(p, b, "websockets", STAT_websockets);
		set_stat(p, b, "allocated_bytes", STAT_allocated_bytes);
		set_stat(p, b, "messages_received", STAT_messages_received);
		set_stat(p, b, "messages_sent", STAT_messages_sent);
		json_array_append_new(json_object_get(status, "workers"), p);
		break;
	case PROCESS_BROKER:
		set_stat(p, b, "allocated_bytes", STAT_allocated_bytes);
		set_stat(p, b, "channels", STAT_channels);
		set_stat(p, b, "users", STAT_users);
		set_stat(p, b, "members", STAT_channel_members);
		set_stat(p, b, "history_messages", STAT_history_messages);
		set_stat(p, b, "history_bytes", STAT_history_bytes);
		json_object_set_new(status, "broker", p);
		break;
	case PROCESS_ADMIN:
		json_object_set_new(status, "admin", p);
		break;
	case PROCESS_MASTER:
		json_object_set_new(status, "master", p);
		break;
	default:
		json_decref(p);
	}
}

static json_t *family_json(const struct stats_sums *sums, enum stat_id first) {
	const struct family *f = family_of(first);
	json_t *o = json_object();

	for (unsigned i = f->begin; i < f->end; i++) {
		if (family_has(f, i))
			json_object_set_new(o, f->name_at(i), json_integer((json_int_t)sums->all[first + i]));
	}
	return o;
}

/* How many were observed. */
static uint64_t observed(const struct stats_sums *sums, enum stat_id histogram) {
	uint64_t sum = 0;
	unsigned count;

	(void)stat_bounds(histogram, &count);
	for (unsigned i = 0; i <= count; i++)
		sum += sums->all[histogram + i];
	return sum;
}

/* Everything that is counted, summed over all processes that live or have lived. */
static json_t *counters_json(const struct stats_map *m) {
	struct stats_sums *sums = mem_alloc(sizeof(*sums));
	json_t *o = json_object();
	size_t count;
	const struct stat_row *rows = stat_rows(&count);

	stats_take_sums(m, sums);
	for (size_t i = 0; i < count; i++) {
		enum stat_id id = (enum stat_id)rows[i].first;

		if (rows[i].kind == STAT_IS_FAMILY)
			json_object_set_new(o, rows[i].name, family_json(sums, id));
		else if (rows[i].kind == STAT_IS_HISTOGRAM)
			json_object_set_new(o, rows[i].name, json_integer((json_int_t)observed(sums, id)));
		else if (rows[i].first >= 0 && rows[i].kind != STAT_IS_BY_WORKER && rows[i].kind != STAT_IS_BY_ADMIN)
			json_object_set_new(o, rows[i].name, json_integer((json_int_t)sums->all[id]));
	}
	mem_free(sums);
	return o;
}

static json_t *limits_json(const struct limits *l) {
	struct limits_usage u;

	limits_usage(l, &u);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "entries", (json_int_t)u.entries, "used", (json_int_t)u.used, "connections",
	    (json_int_t)u.connections, "uncounted", (json_int_t)u.uncounted, "bytes", (json_int_t)u.bytes);
}

json_t *admin_memory_json(const struct admin *a) {
	struct memory_use use;

	int level = atomic_load(&a->stats->host.memory.level);

	memory_use_now(a->memory, &use);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "memory_bytes", (json_int_t)atomic_load(&a->stats->host.memory_bytes), "used",
	    (json_int_t)memory_use_sum(&use), "client_queues", (json_int_t)use.queues, "client_input", (json_int_t)use.input, "link_queues",
	    (json_int_t)use.links, "tcp_sockets", (json_int_t)use.sockets, "is_tight", level != MEMORY_ENOUGH, "is_short",
	    level == MEMORY_SHORT);
}

const char *admin_engine_name(const struct admin *a) {
	static const char *const engines[] = { [ENGINE_MEMORY] = "memory", [ENGINE_REDIS] = "redis" };

	return engines[a->config->engine];
}

static json_t *status_json(const struct admin *a, uint64_t wall_ms) {
	uint64_t start = atomic_load(&a->stats->host.start_wall_ms);
	struct slice why = admin_not_ready_because(a);
	struct hub_engine engine = hub_engine(a->hub);
	json_t *restarts = json_object();
	const struct stats_block *b;
	int index = 0;
	json_t *o = json_pack("{s:s, s:I, s:b, s:b, s:s, s:[], s:n}", "version", HEROLD_VERSION, "uptime_seconds",
	    (json_int_t)(wall_ms > start ? (wall_ms - start) / 1000 : 0), "ready", why.len == 0, "draining",
	    atomic_load(&a->stats->host.is_draining), "engine", admin_engine_name(a), "workers", "broker");

	if (why.len > 0)
		json_object_set_new(o, "not_ready_because", json_stringn((const char *)why.ptr, why.len));
	if (engine.nodes.len > 0)
		json_object_set_new(o, "nodes", json_loadb((const char *)engine.nodes.ptr, engine.nodes.len, 0, NULL));
	while ((b = stats_next(a->stats, &index)) != NULL)
		add_process(o, b, wall_ms);
	json_object_set_new(restarts, "broker", json_integer((json_int_t)atomic_load(&a->stats->host.restarts[PROCESS_BROKER])));
	json_object_set_new(restarts, "worker", json_integer((json_int_t)atomic_load(&a->stats->host.restarts[PROCESS_WORKER])));
	json_object_set_new(restarts, "admin", json_integer((json_int_t)atomic_load(&a->stats->host.restarts[PROCESS_ADMIN])));
	json_object_set_new(o, "restarts", restarts);
	json_object_set_new(o, "limits", limits_json(a->limits));
	json_object_set_new(o, "memory", admin_memory_json(a));
	json_object_set_new(o, "counters", counters_json(a->stats));
	return o;
}

static void on_rooms(struct hub_client *client, void *cookie, const struct hub_channels *m) {
	struct admin_call *call = container_of(client, struct admin_call, client);
	struct conn *c = call->conn;
	json_t *status = status_json(admin_of(c), evloop_wall_ms(conns_loop(conn_conns(c))));

	(void)cookie;
	if (m->result == IPC_OK) {
		json_t *rooms = json_array();
		struct slice rest = m->channels;
		struct ipc_channel ch;

		while (ipc_next_channel(&rest, &ch)) {
			struct slice name = slice_skip(ch.channel, strlen(CHANNEL_ROOM_PREFIX));

			json_array_append_new(rooms, json_pack("{s:s%, s:i, s:I}", "room", name.ptr, name.len, "members",
							 (int)ch.member_count, "offset", (json_int_t)ch.offset));
		}
		json_object_set_new(status, "rooms", rooms);
		json_object_set_new(status, "rooms_truncated", json_boolean(m->more));
	} else {
		json_object_set_new(status, "rooms", json_null());
	}
	admin_call_end(call);
	admin_respond_readable(c, status);
}

void admin_status(struct conn *c, const struct http_request *r, struct slice body) {
	struct admin_call *call = admin_call_new(c);

	(void)r;
	(void)body;
	hub_channel_list(&call->client, slice_text(CHANNEL_ROOM_PREFIX), SLICE_EMPTY, 100, on_rooms, NULL);
}
