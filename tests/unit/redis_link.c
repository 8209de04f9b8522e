/* redis_link - runs a redis_server's loop until something has happened */
#include "tests/unit/redis_link.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>

enum { LATE_MS = 20000, STEP_MS = 5 };

static void note(struct redis_link *k, char what) {
	size_t len = strlen(k->order);

	if (len + 1 < sizeof(k->order))
		k->order[len] = what;
}

static void on_up(void *arg, struct slice generation) {
	struct redis_link *k = arg;

	k->ups++;
	note(k, 'u');
	ck_assert(redis_server_is_up(k->server));
	snprintf(k->generation, sizeof(k->generation), "%.*s", SLICE_ARGS(generation));
}

static void on_down(void *arg) {
	struct redis_link *k = arg;

	k->downs++;
	note(k, 'd');
	ck_assert(!redis_server_is_up(k->server));
}

static void on_listening(void *arg) {
	struct redis_link *k = arg;

	k->listenings++;
	note(k, 'l');
	ck_assert(redis_server_is_listening(k->server));
}

static void on_deaf(void *arg) {
	struct redis_link *k = arg;

	k->deafs++;
	note(k, 'D');
	ck_assert(!redis_server_is_listening(k->server));
}

static void on_subscribed(void *arg, struct slice channel) {
	struct redis_link *k = arg;

	ck_assert(channel.len > 0);
	k->subscribed++;
}

static void on_message(void *arg, struct slice channel, struct slice payload) {
	struct redis_link *k = arg;

	k->messages++;
	buf_addf(&k->heard, "%.*s=%.*s ", SLICE_ARGS(channel), SLICE_ARGS(payload));
}

static const struct redis_server_ops ops = {
	.up = on_up,
	.down = on_down,
	.listening = on_listening,
	.deaf = on_deaf,
	.subscribed = on_subscribed,
	.message = on_message,
};

static void on_turn_end(void *arg) {
	struct redis_link *k = arg;

	redis_server_flush(k->server);
}

static void on_late(void *arg) {
	struct redis_link *k = arg;

	k->is_late = true;
	evloop_stop(k->loop);
}

void redis_link_init(struct redis_link *k, uint16_t port) {
	static char host[] = "127.0.0.1";

	signal(SIGPIPE, SIG_IGN);
	memset(k, 0, sizeof(*k));
	for (int id = 0; id < STAT_COUNT; id++)
		stat_set((enum stat_id)id, 0);
	k->loop = evloop_new();
	evloop_timer_init(k->loop, &k->late, on_late, k);
	buf_init(&k->heard, 64 << 20);
	k->settings = (struct redis_server_settings){
		.url = { .host = host, .port = port },
		.master_name = "mymaster",
		.prefix = "herold:",
		.node = slice_text("node1"),
		.connect_timeout_ms = 2000,
		.command_timeout_ms = 5000,
		.probe_ms = 200,
	};
}

void redis_link_start(struct redis_link *k) {
	k->server = redis_server_new(k->loop, &k->settings, &ops, k);
	evloop_on_turn_end(k->loop, on_turn_end, k);
}

void redis_link_fini(struct redis_link *k) {
	redis_server_free(&k->server);
	evloop_timer_stop(&k->late);
	evloop_free(&k->loop);
	buf_fini(&k->heard);
}

void redis_link_run(struct redis_link *k, uint64_t ms) {
	redis_server_flush(k->server);
	evloop_timer_start(&k->late, ms);
	evloop_run(k->loop);
}

void redis_link_until(struct redis_link *k, bool (*condition)(const struct redis_link *k)) {
	for (int ms = 0; !condition(k); ms += STEP_MS) {
		ck_assert_msg(ms < LATE_MS, "it did not come about: %s", redis_server_trouble(k->server));
		redis_link_run(k, STEP_MS);
	}
}

static void on_outcome(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct redis_link *k = arg;

	ck_assert((outcome == REDIS_DONE) == (reply != NULL));
	k->done += outcome == REDIS_DONE;
	k->refused += outcome == REDIS_REFUSED;
	k->lost += outcome == REDIS_LOST;
}

void redis_link_call(struct redis_link *k) {
	struct slice keys[] = { slice_text("herold:n") };
	struct slice args[] = { SLICE_EMPTY, SLICE_EMPTY, slice_text("10"), slice_text("herold:") };

	redis_server_call(k->server, REDIS_SCRIPT_channels, keys, ARRAY_LEN(keys), args, ARRAY_LEN(args), on_outcome, k);
}

void redis_link_call_writing(struct redis_link *k) {
	static const uint8_t no_key[IPC_KEY_BYTES];
	struct slice keys[] = { slice_text("herold:m:a"), slice_text("herold:s:a"), slice_text("herold:i:a:"), slice_text("herold:n") };
	struct slice args[] = { slice_text("epoch123"), slice_text("a"), slice_of(no_key, sizeof(no_key)), slice_text("1"),
		slice_text("data"), slice_text("1"), slice_text("10"), slice_text("1000"), slice_text("60000"), slice_text("60000"),
		slice_text("herold:c:a") };

	redis_server_call(k->server, REDIS_SCRIPT_publish, keys, ARRAY_LEN(keys), args, ARRAY_LEN(args), on_outcome, k);
}

bool redis_link_is_ready(const struct redis_link *k) {
	return redis_server_is_up(k->server) && redis_server_is_listening(k->server);
}

uint64_t redis_link_stat(enum stat_id id) {
	return stat_get(stats_own, id);
}
