/* redis_check - INFO, then the scripts, then `generation` with what INFO has proven */
#include "broker/redis/redis_check.h"

#include <stdio.h>

#include "common/base/codec.h"
#include "common/base/digest.h"

enum { NEW_GENERATION_BYTES = 6 };	/* 8 characters */

void redis_check_init(struct redis_check *k, struct redis_conn *conn, struct slice own_key, const struct redis_check_ops *ops, void *arg) {
	memset(k, 0, sizeof(*k));
	k->conn = conn;
	k->own_key = own_key;
	k->ops = ops;
	k->arg = arg;
}

void redis_check_forget_scripts(struct redis_check *k) {
	k->has_scripts = false;
}

/* False: the check has ended here. */
static bool go_on(struct redis_check *k, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct slice error = redis_reply_error(reply);

	k->is_running = outcome == REDIS_DONE && error.len == 0;
	if (error.len > 0)
		k->ops->failed(k->arg, error);
	return k->is_running;
}

static void on_generation(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct redis_check *k = arg;
	struct slice text = redis_reply_text(reply);

	if (!go_on(k, outcome, reply))
		return;
	k->is_running = false;
	if (text.len > 0)
		k->ops->passed(k->arg, text);
	else
		k->ops->failed(k->arg, slice_text("it has no generation"));
}

static void on_appendfsync(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct redis_check *k = arg;
	uint8_t random[NEW_GENERATION_BYTES];
	char fresh[BASE64URL_LEN(NEW_GENERATION_BYTES) + 1];

	if (outcome != REDIS_DONE) {
		k->is_running = false;
		return;
	}
	/* To ask may be forbidden: that proves nothing, and is no trouble. */
	k->is_proven = k->is_proven && slice_eq_text(redis_reply_text(redis_reply_at(reply, 1)), "always");
	random_bytes(random, sizeof(random));
	base64url_encode(slice_of(random, sizeof(random)), fresh);
	struct slice argv[] = { slice_text("EVALSHA"), slice_text(redis_script_sha(REDIS_SCRIPT_generation)), slice_text("1"), k->own_key,
		slice_text(k->replication_id), slice_text(redis_conn_address(k->conn)), slice_text(k->is_proven ? "1" : "0"),
		slice_text(fresh) };
	redis_conn_command(k->conn, argv, ARRAY_LEN(argv), on_generation, k);
	redis_conn_flush(k->conn);
}

static void on_script(void *arg, enum redis_outcome outcome UNUSED, const struct redis_reply *reply) {
	struct redis_check *k = arg;
	struct slice error = redis_reply_error(reply);

	if (error.len > 0)
		k->ops->failed(k->arg, error);
}

static void load_scripts(struct redis_check *k) {
	if (k->has_scripts)
		return;
	k->has_scripts = true;
	for (int i = 0; i < REDIS_SCRIPT_COUNT; i++) {
		struct slice argv[] = { slice_text("SCRIPT"), slice_text("LOAD"), redis_script_text((enum redis_script)i) };

		redis_conn_command(k->conn, argv, ARRAY_LEN(argv), on_script, k);
	}
}

static void on_info(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct redis_check *k = arg;
	struct slice argv[] = { slice_text("CONFIG"), slice_text("GET"), slice_text("appendfsync") };
	struct redis_info info;
	struct errbuf e;

	if (!go_on(k, outcome, reply))
		return;
	if (!redis_info_read(redis_reply_text(reply), &info, &e)) {
		k->is_running = false;
		k->ops->failed(k->arg, slice_text(e.text));
		return;
	}
	k->ops->info(k->arg, &info);
	snprintf(k->replication_id, sizeof(k->replication_id), "%.*s",
	    (int)(info.replication_id.len < sizeof(k->replication_id) ? info.replication_id.len : sizeof(k->replication_id) - 1),
	    (const char *)info.replication_id.ptr);
	k->is_proven = info.has_log && !info.was_replica;
	load_scripts(k);
	redis_conn_command(k->conn, argv, ARRAY_LEN(argv), on_appendfsync, k);
	redis_conn_flush(k->conn);
}

void redis_check_begin(struct redis_check *k) {
	struct slice argv[] = { slice_text("INFO") };

	if (k->is_running)
		return;
	k->is_running = true;
	redis_conn_command(k->conn, argv, ARRAY_LEN(argv), on_info, k);
	redis_conn_flush(k->conn);
}
