/* redis_server - the command link's way to being of use, and what its errors mean; the pub/sub link follows it */
#include "broker/redis/redis_server.h"

#define LOG_AREA LOG_AREA_redis
#include "broker/redis/redis_backoff.h"
#include "broker/redis/redis_check.h"
#include "broker/redis/redis_conn.h"
#include "broker/redis/redis_listener.h"
#include "broker/redis/redis_probe.h"
#include "broker/redis/redis_sentinel.h"
#include "broker/redis/redis_tls.h"
#include "broker/redis/redis_trouble.h"
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "common/svc/trace.h"

enum {
	GENERATION_MAX = 64,
	NAME_MAX_BYTES = 128,
	SENTENCE_MAX = 400,
};

#define CONNECTING "it is being connected to"

/* A server's life, again and again: found, connected, checked (INFO, scripts, generation), up. */
struct redis_server {
	struct redis_server_settings settings;
	const struct redis_server_ops *ops;
	void *arg;
	struct evloop *loop;
	struct resolver *resolver;
	struct redis_sentinel *sentinel;	/* NULL: none */
	struct redis_conn *command;
	struct redis_listener *listener;
	struct redis_check check;
	struct redis_probe probe;
	struct redis_trouble trouble;
	struct redis_backoff backoff;
	struct evloop_timer retry;
	bool is_up;
	bool has_warned;		/* of an evicting server */
	uint64_t up_ms;
	char command_name[NAME_MAX_BYTES], listener_name[NAME_MAX_BYTES];	/* in the server's list of clients */
	struct buf own_key, probe_channel;	/* P g, P p:N */
	char generation[GENERATION_MAX];	/* empty before the first */
	struct slice *argv;		/* room for a call */
	size_t argv_room;
	char *master_host;		/* owned; from a Sentinel */
	char *listener_host;		/* owned; numeric */
	char command_why[SENTENCE_MAX], listener_why[SENTENCE_MAX];	/* the last loss's; empty: stands */
	char sentence[2 * SENTENCE_MAX + 64];
};

static void on_command_up(void *arg);
static void on_command_lost(void *arg, const char *why);
static void on_heard(void *arg);
static void on_listening(void *arg);
static void on_listener_lost(void *arg, const char *why, bool was_listening);
static void on_subscribed(void *arg, struct slice channel);
static void on_message(void *arg, struct slice channel, struct slice payload);
static void on_probe(void *arg, struct slice payload);
static void on_probe_lost(void *arg);
static void on_master(void *arg, const char *host, uint16_t port, const char *why);
static void on_passed(void *arg, struct slice generation);
static void on_failed(void *arg, struct slice why);
static void on_info(void *arg, const struct redis_info *info);
static void find(void *arg);

static const struct redis_conn_ops command_ops = { .up = on_command_up, .lost = on_command_lost };
static const struct redis_check_ops check_ops = { .passed = on_passed, .failed = on_failed, .info = on_info };
static const struct redis_listener_ops listener_ops = {
	.heard = on_heard,
	.listening = on_listening,
	.lost = on_listener_lost,
	.subscribed = on_subscribed,
	.message = on_message,
	.probe = on_probe,
};

/* --- the object --- */

bool redis_server_check(const struct redis_server_settings *settings, struct errbuf *e) {
	if (settings->url.is_tls && !redis_tls_is_built())
		return errbuf_set(e, "rediss:// needs a hiredis with TLS, which this program was not built with");
	return true;
}

struct redis_server *redis_server_new(struct evloop *loop, const struct redis_server_settings *settings,
    const struct redis_server_ops *ops, void *arg) {
	struct redis_server *s = mem_zalloc(sizeof(*s));
	struct redis_conn_settings conn = { loop, NULL, settings->connect_timeout_ms, settings->command_timeout_ms };
	int node_len = (int)(settings->node.len < 64 ? settings->node.len : 64);

	stat_add(STAT_redis_servers, 1);
	s->settings = *settings;
	s->backoff.most_ms = settings->retry_ms;
	s->ops = ops;
	s->arg = arg;
	s->loop = loop;
	s->resolver = conn.resolver = resolver_new(loop);
	snprintf(s->command_name, sizeof(s->command_name), "herold:%.*s:commands", node_len, (const char *)settings->node.ptr);
	snprintf(s->listener_name, sizeof(s->listener_name), "herold:%.*s:listener", node_len, (const char *)settings->node.ptr);
	snprintf(s->command_why, sizeof(s->command_why), CONNECTING);
	buf_init(&s->own_key, SIZE_MAX);
	buf_init(&s->probe_channel, SIZE_MAX);
	redis_key(&s->own_key, settings->prefix, 'g', SLICE_EMPTY);
	redis_key(&s->probe_channel, settings->prefix, 'p', settings->node);
	if (settings->sentinels != NULL && settings->sentinels->count > 0)
		s->sentinel = redis_sentinel_new(&conn, settings->sentinels, settings->master_name, s->command_name, on_master, s);
	s->command = redis_conn_new(&conn, &command_ops, s);
	s->listener = redis_listener_new(&conn, settings->prefix, buf_slice(&s->probe_channel), &listener_ops, s);
	redis_check_init(&s->check, s->command, buf_slice(&s->own_key), &check_ops, s);
	redis_probe_init(&s->probe, loop, s->command, buf_slice(&s->probe_channel), settings->probe_ms, on_probe_lost, s);
	evloop_timer_init(loop, &s->retry, find, s);
	evloop_timer_start(&s->retry, 0);
	return s;
}

void redis_server_free(struct redis_server **server) {
	struct redis_server *s = *server;

	if (s == NULL)
		return;
	stat_sub(STAT_redis_servers, 1);
	redis_probe_stop(&s->probe);
	redis_conn_free(&s->command);
	redis_listener_free(&s->listener);
	redis_sentinel_free(&s->sentinel);
	resolver_free(&s->resolver);
	evloop_timer_stop(&s->retry);
	buf_fini(&s->own_key);
	buf_fini(&s->probe_channel);
	mem_free(s->argv);
	mem_free(s->master_host);
	mem_free(s->listener_host);
	mem_free(s);
	*server = NULL;
}

bool redis_server_is_up(const struct redis_server *s) {
	return s->is_up;
}

bool redis_server_is_listening(const struct redis_server *s) {
	return redis_listener_is_listening(s->listener);
}

struct slice redis_server_address(const struct redis_server *s) {
	return slice_text(redis_conn_address(s->command));
}

/* Where it is, or where it was looked for. */
static void place_text(const struct redis_server *s, char *out, size_t size) {
	const char *address = redis_conn_address(s->command);

	if (address[0] != '\0')
		snprintf(out, size, "%s", address);
	else if (s->sentinel != NULL)
		snprintf(out, size, "%s", s->settings.master_name);
	else
		redis_url_name(&s->settings.url, out, size);
}

const char *redis_server_trouble(const struct redis_server *server) {
	struct redis_server *s = (struct redis_server *)(uintptr_t)server;
	char place[SENTENCE_MAX];

	place_text(s, place, sizeof(place));
	if (!s->is_up)
		snprintf(s->sentence, sizeof(s->sentence), "Redis %s cannot be used: %s", place, s->command_why);
	else if (!redis_listener_is_listening(s->listener))
		snprintf(s->sentence, sizeof(s->sentence), "Redis %s is not heard: %s", place,
		    s->listener_why[0] != '\0' ? s->listener_why : CONNECTING);
	else if (s->trouble.open > 0)
		snprintf(s->sentence, sizeof(s->sentence), "Redis %s refuses calls: %s", place, s->trouble.text);
	else
		return NULL;
	return s->sentence;
}

/* --- finding it --- */

static void schedule(struct redis_server *s) {
	evloop_timer_start(&s->retry, redis_backoff_next(&s->backoff));
}

/* Said once for each reason, not at each attempt. */
static void note_loss(struct redis_server *s, char *last, const char *why, const char *sentence) {
	char place[SENTENCE_MAX];

	if (strcmp(last, why) == 0)
		return;
	snprintf(last, SENTENCE_MAX, "%s", why);
	place_text(s, place, sizeof(place));
	log_line(LOG_WARN, sentence, LF_TEXT("address", place), LF_TEXT("why", why));
}

static void connect_command(struct redis_server *s, const char *host, uint16_t port) {
	const struct redis_url *url = &s->settings.url;
	struct redis_target target = {
		.host = host,
		.path = url->path,
		.user = url->user,
		.password = url->password,
		.name = s->command_name,
		.port = port,
		.database = url->database,
		.is_tls = url->is_tls,
	};

	redis_conn_open(s->command, &target);
}

static void find(void *arg) {
	struct redis_server *s = arg;

	if (s->sentinel != NULL)
		redis_sentinel_ask(s->sentinel);
	else
		connect_command(s, s->settings.url.host, s->settings.url.port);
}

static void on_master(void *arg, const char *host, uint16_t port, const char *why) {
	struct redis_server *s = arg;

	if (host == NULL) {
		note_loss(s, s->command_why, why, "Redis cannot be found");
		schedule(s);
		return;
	}
	mem_free(s->master_host);
	s->master_host = mem_dup(host, strlen(host) + 1);
	connect_command(s, s->master_host, port);
}

/* --- checking it --- */

static void leave(struct redis_server *s, struct slice why) {
	char text[SENTENCE_MAX];

	snprintf(text, sizeof(text), "%.*s", (int)(why.len < 300 ? why.len : 300), (const char *)why.ptr);
	redis_conn_close(s->command, text);
}

static void on_failed(void *arg, struct slice why) {
	leave(arg, why);
}

static void on_info(void *arg, const struct redis_info *info) {
	struct redis_server *s = arg;

	if (s->has_warned || !redis_info_is_evicting(info))
		return;
	s->has_warned = true;
	log_line(LOG_WARN, "Redis evicts keys when its memory is full, and with them history: set maxmemory-policy noeviction",
	    LF_TEXT("address", redis_conn_address(s->command)), LF_SLICE("maxmemory_policy", info->policy));
}

/* The pub/sub link goes to where the command link is, whatever a name or a Sentinel says by then. */
static void follow(struct redis_server *s) {
	const struct redis_url *url = &s->settings.url;
	struct redis_target target = {
		.path = url->path,
		.user = url->user,
		.password = url->password,
		.name = s->listener_name,
		.is_tls = url->is_tls,
		.tls_host = !url->is_tls ? NULL : s->master_host != NULL ? s->master_host : url->host,
	};
	struct errbuf e;

	if (url->host != NULL || s->sentinel != NULL) {
		mem_free(s->listener_host);
		s->listener_host = NULL;
		BUG_ON(!redis_url_parse_host(redis_server_address(s), 0, &s->listener_host, &target.port, &e));
		target.host = s->listener_host;
	}
	redis_listener_follow(s->listener, &target);
}

static void come_up(struct redis_server *s) {
	s->is_up = true;
	s->up_ms = evloop_now_ms(s->loop);
	s->command_why[0] = '\0';
	stat_add(STAT_redis_up, 1);
	trace_event(redis_up, 0, 0, 0);
	log_line(LOG_INFO, "Redis is up", LF_TEXT("address", redis_conn_address(s->command)), LF_TEXT("generation", s->generation));
	follow(s);
	if (redis_listener_is_listening(s->listener))
		redis_probe_start(&s->probe);
}

static void on_passed(void *arg, struct slice generation) {
	struct redis_server *s = arg;
	bool is_other = !slice_eq_text(generation, s->generation), is_first = s->generation[0] == '\0';

	if (generation.len >= sizeof(s->generation)) {
		leave(s, slice_text("its generation is none"));
		return;
	}
	snprintf(s->generation, sizeof(s->generation), "%.*s", SLICE_ARGS(generation));
	if (is_other && !is_first) {
		stat_add(STAT_redis_generations, 1);
		log_line(LOG_WARN, "Redis may have lost history: all epochs change", LF_TEXT("address", redis_conn_address(s->command)),
		    LF_TEXT("generation", s->generation));
	}
	if (s->is_up && !is_other)
		return;
	if (!s->is_up)
		come_up(s);
	s->ops->up(s->arg, slice_text(s->generation));
}

static void on_command_up(void *arg) {
	struct redis_server *s = arg;

	stat_add(STAT_redis_connects, 1);
	redis_check_forget_scripts(&s->check);
	redis_check_begin(&s->check);
}

/* A server that is up and lost in turns is not hurried after. */
static void on_command_lost(void *arg, const char *why) {
	struct redis_server *s = arg;
	bool was_up = s->is_up;

	if (was_up && evloop_now_ms(s->loop) - s->up_ms > REDIS_BACKOFF_MAX_MS)
		s->backoff.ms = 0;
	s->is_up = false;
	redis_probe_stop(&s->probe);
	redis_listener_hold(s->listener);
	redis_trouble_forget(&s->trouble);
	note_loss(s, s->command_why, why, was_up ? "Redis is lost" : "Redis cannot be used");
	schedule(s);
	if (!was_up)
		return;
	stat_add(STAT_redis_losses, 1);
	stat_sub(STAT_redis_up, 1);
	trace_event(redis_down, 0, 0, 0);
	s->ops->down(s->arg);
}

/* --- calls --- */

struct call {
	struct redis_server *server;
	enum redis_script script;
	uint64_t start_us;
	redis_call_fn fn;
	void *arg;
};

static void on_refused(struct redis_server *s, enum redis_script script, struct slice error) {
	stat_add(STAT_redis_errors, 1);
	redis_trouble_refused(&s->trouble, script, error, redis_conn_address(s->command), evloop_now_ms(s->loop));
	switch (redis_error_remedy(redis_error_of(error))) {
	case REDIS_KEEP:
		break;
	case REDIS_LOAD:
		redis_check_forget_scripts(&s->check);
		redis_check_begin(&s->check);
		break;
	case REDIS_CHECK:
		redis_check_begin(&s->check);
		break;
	case REDIS_LEAVE:
		leave(s, error);
		break;
	}
}

static void on_answer(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct call *call = arg, c = *call;
	struct slice error = redis_reply_error(reply);

	mem_free(call);
	if (outcome == REDIS_DONE)
		stat_observe(STAT_redis_call, evloop_now_us(c.server->loop) - c.start_us);
	if (error.len > 0) {
		on_refused(c.server, c.script, error);
		outcome = REDIS_REFUSED;
		reply = NULL;
	} else if (outcome == REDIS_DONE && c.server->trouble.open > 0) {
		redis_trouble_done(&c.server->trouble, c.script, redis_conn_address(c.server->command), evloop_now_ms(c.server->loop));
	}
	c.fn(c.arg, outcome, reply);
}

static struct slice *argv_room(struct redis_server *s, size_t argc) {
	if (argc > s->argv_room) {
		s->argv = mem_realloc(s->argv, argc * sizeof(*s->argv));
		s->argv_room = argc;
	}
	return s->argv;
}

void redis_server_call(struct redis_server *s, enum redis_script script, const struct slice *keys, size_t key_count,
    const struct slice *args, size_t arg_count, redis_call_fn fn, void *arg) {
	struct call *call = mem_alloc(sizeof(*call));
	struct slice *argv = argv_room(s, 5 + key_count + arg_count);
	char count[24];
	size_t argc = 0;

	*call = (struct call){ s, script, evloop_now_us(s->loop), fn, arg };
	argv[argc++] = slice_text("EVALSHA");
	argv[argc++] = slice_text(redis_script_sha(script));
	argv[argc++] = slice_of(count, (size_t)snprintf(count, sizeof(count), "%zu", 1 + key_count));
	argv[argc++] = buf_slice(&s->own_key);
	for (size_t i = 0; i < key_count; i++)
		argv[argc++] = keys[i];
	argv[argc++] = slice_text(s->generation);
	for (size_t i = 0; i < arg_count; i++)
		argv[argc++] = args[i];
	stat_add(STAT_redis_calls, 1);
	redis_conn_command(s->command, argv, argc, on_answer, call);
}

void redis_server_subscribe(struct redis_server *s, struct slice channel) {
	redis_listener_subscribe(s->listener, channel);
}

void redis_server_unsubscribe(struct redis_server *s, struct slice channel) {
	redis_listener_unsubscribe(s->listener, channel);
}

void redis_server_flush(struct redis_server *s) {
	redis_conn_flush(s->command);
	redis_listener_flush(s->listener);
}

/* --- pub/sub --- */

static void on_heard(void *arg) {
	struct redis_server *s = arg;

	redis_probe_alive(&s->probe);
}

static void on_listening(void *arg) {
	struct redis_server *s = arg;

	if (s->listener_why[0] != '\0')
		log_line(LOG_INFO, "Redis is heard again", LF_TEXT("address", redis_conn_address(s->command)));
	s->listener_why[0] = '\0';
	if (s->is_up)
		redis_probe_start(&s->probe);
	s->ops->listening(s->arg);
}

static void on_listener_lost(void *arg, const char *why, bool was_listening) {
	struct redis_server *s = arg;

	redis_probe_stop(&s->probe);
	note_loss(s, s->listener_why, why, "Redis is not heard");
	if (was_listening)
		s->ops->deaf(s->arg);
}

static void on_subscribed(void *arg, struct slice channel) {
	struct redis_server *s = arg;

	s->ops->subscribed(s->arg, channel);
}

static void on_message(void *arg, struct slice channel, struct slice payload) {
	struct redis_server *s = arg;

	s->ops->message(s->arg, channel, payload);
}

static void on_probe(void *arg, struct slice payload) {
	struct redis_server *s = arg;

	redis_probe_heard(&s->probe, payload);
}

static void on_probe_lost(void *arg) {
	struct redis_server *s = arg;

	stat_add(STAT_redis_probes_lost, 1);
	redis_listener_renew(s->listener, "a message to oneself did not come back");
}
