/* commands - what each command asks the admin listener, and what it shows of the answer */
#include <stdio.h>
#include <string.h>

#include "common/base/codec.h"
#include "common/base/mem.h"
#include "ctl/ctl.h"

enum { TIMEOUT_S = 10, TIMEOUT_MAX_S = 3600, BODY_BYTES_MAX = 64 << 20, LOG_LEVEL_MAX = 64 };

/* --- asking --- */

static enum ctl_exit say(const struct ctl *c, enum ctl_exit status, const char *text) {
	struct buf out;

	buf_init(&out, SIZE_MAX);
	ctl_add_visible(&out, slice_text(text));
	fprintf(stderr, "%s: %.*s\n", c->program, SLICE_ARGS(buf_slice(&out)));
	buf_fini(&out);
	return status;
}

static enum ctl_exit exit_of(unsigned status) {
	switch (status) {
	case 200:
		return CTL_DONE;
	case 400:
	case 413:
		return CTL_USAGE;
	default:
		return status >= 500 ? CTL_NOT_NOW : CTL_REFUSED;
	}
}

/* The sentence that every refusal has. */
static enum ctl_exit say_refusal(const struct ctl *c, const struct ctl_answer *answer) {
	json_t *json = json_loadb((const char *)answer->body.data, answer->body.len, 0, NULL);
	const char *sentence = json_string_value(json_object_get(json, "error"));
	char text[400];

	snprintf(text, sizeof(text), "status %u%s%s", answer->status, sentence != NULL ? ": " : "", sentence != NULL ? sentence : "");
	json_decref(json);
	return say(c, exit_of(answer->status), text);
}

static enum ctl_exit take_answer(const struct ctl *c, const struct ctl_answer *answer, json_t **out) {
	json_error_t error;

	if (answer->status != 200)
		return say_refusal(c, answer);
	*out = json_loadb((const char *)answer->body.data, answer->body.len, JSON_DECODE_ANY, &error);
	if (*out == NULL)
		return say(c, CTL_UNREACHABLE, "the answer is no JSON: is this the admin listener of a Herold?");
	if (ctl_has(c, OPTION_json))
		fwrite(answer->body.data, 1, answer->body.len, stdout);
	return CTL_DONE;
}

/* body: NULL: GET. *out: owned, if it is CTL_DONE; with --json it is printed already. */
static enum ctl_exit ask(const struct ctl *c, const char *path, const struct buf *body, json_t **out) {
	struct slice bytes = body != NULL ? buf_slice(body) : SLICE_EMPTY;
	struct ctl_answer answer = { .status = 0 };
	uint64_t seconds = TIMEOUT_S;
	struct ctl_server server;
	enum ctl_exit status;
	struct errbuf e;

	if (ctl_has(c, OPTION_timeout) && (!slice_to_u64(slice_text(c->value[OPTION_timeout]), &seconds) || seconds == 0 || seconds > TIMEOUT_MAX_S))
		return say(c, CTL_USAGE, "--timeout is not a number of seconds from 1 to 3600");
	if (!ctl_find_server(c, &server, &e))
		return say(c, CTL_USAGE, e.text);
	if (ctl_request(&server, path, body != NULL ? &bytes : NULL, (unsigned)seconds * 1000, &answer, &e))
		status = take_answer(c, &answer, out);
	else
		status = say(c, CTL_UNREACHABLE, e.text);
	buf_fini(&answer.body);
	explicit_bzero(&server, sizeof(server));
	return status;
}

/* The same, for what is shown as it is. */
static enum ctl_exit ask_and_show(const struct ctl *c, const char *path, const struct buf *body) {
	json_t *answer;
	enum ctl_exit status = ask(c, path, body, &answer);

	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json))
		ctl_show(answer);
	json_decref(answer);
	return CTL_DONE;
}

/* --- building questions --- */

/* ?name=value or &name=value, if the option is given. */
static void add_query(struct buf *path, const char *name, const char *value) {
	static const char digits[] = "0123456789ABCDEF";

	if (value == NULL)
		return;
	buf_addf(path, "%c%s=", memchr(path->data, '?', path->len) == NULL ? '?' : '&', name);
	for (const char *at = value; *at != '\0'; at++) {
		unsigned char byte = (unsigned char)*at;

		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~", byte) != NULL) {
			buf_add_u8(path, byte);
		} else {
			buf_add_u8(path, '%');
			buf_add_u8(path, (uint8_t)digits[byte >> 4]);
			buf_add_u8(path, (uint8_t)digits[byte & 15]);
		}
	}
}

static const char *path_text(struct buf *path) {
	buf_add_u8(path, '\0');
	return (const char *)path->data;
}

static int add_part(const char *text, size_t len, void *arg) {
	buf_add(arg, slice_of(text, len));
	return 0;
}

/* ,"name":value of a JSON body; takes `value`. */
static void add_json(struct buf *body, const char *name, json_t *value) {
	buf_addf(body, "%c\"%s\":", body->len == 0 ? '{' : ',', name);
	json_dump_callback(value, add_part, body, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(value);
}

/* False: it is not UTF-8. NULL: not given, and so nothing is added. */
static bool add_text(struct buf *body, const char *name, const char *text) {
	json_t *json = text != NULL ? json_string(text) : NULL;

	if (json != NULL)
		add_json(body, name, json);
	return json != NULL || text == NULL;
}

/* "data", as it is given: a text, or any JSON. */
static enum ctl_exit add_data(const struct ctl *c, struct buf *body, const char *given) {
	enum ctl_exit status = CTL_DONE;
	struct buf data;
	struct errbuf e;
	json_t *json;

	buf_init(&data, BODY_BYTES_MAX);
	if (strcmp(given, "-") != 0)
		buf_add_text(&data, given);
	else if (!ctl_read_file("-", &data, &e))
		status = say(c, CTL_USAGE, e.text);
	if (status == CTL_DONE && ctl_has(c, OPTION_text)) {
		json = json_stringn((const char *)data.data, data.len);
		if (json != NULL)
			add_json(body, "data", json);
		else
			status = say(c, CTL_USAGE, "the text is not UTF-8");
	} else if (status == CTL_DONE) {
		json = json_loadb((const char *)data.data, data.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES, NULL);
		buf_addf(body, "%c\"data\":", body->len == 0 ? '{' : ',');
		buf_add(body, buf_slice(&data));
		if (json == NULL)
			status = say(c, CTL_USAGE, "DATA is no JSON: a text is '\"text\"', or comes with --text");
		json_decref(json);
	}
	buf_fini(&data);
	return status;
}

static const struct {
	enum ctl_option option;
	const char *name;
} who[] = { { OPTION_user, "user" }, { OPTION_address, "address" }, { OPTION_id, "id" } };

static size_t who_count(const struct ctl *c) {
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(who); i++)
		count += ctl_has(c, who[i].option);
	return count;
}

/* --- connections --- */

static json_int_t number_of(const json_t *answer, const char *name) {
	return json_integer_value(json_object_get(answer, name));
}

static bool is_complete(const json_t *answer) {
	return number_of(answer, "workers_answered") == number_of(answer, "workers");
}

static enum ctl_exit show_found(const struct ctl *c, const json_t *answer) {
	const json_t *list = json_object_get(answer, "connections");

	if (!ctl_has(c, OPTION_json) && json_array_size(list) > 0)
		ctl_show(list);
	if (!is_complete(answer))
		return say(c, json_array_size(list) > 0 ? CTL_DONE : CTL_NOT_NOW, "not all workers have answered in time");
	if (number_of(answer, "matched") == 0)
		return say(c, CTL_REFUSED, "there is no such connection on this host");
	return CTL_DONE;
}

enum ctl_exit ctl_do_find(const struct ctl *c) {
	enum ctl_exit status;
	json_t *answer;
	struct buf path;

	if (who_count(c) + ctl_has(c, OPTION_slowest) != 1)
		return say(c, CTL_USAGE, "one of --user, --address, --id and --slowest is wanted");
	buf_init(&path, 1 << 16);
	buf_add_text(&path, "/api/connections");
	for (size_t i = 0; i < ARRAY_LEN(who); i++)
		add_query(&path, who[i].name, c->value[who[i].option]);
	add_query(&path, "slowest", c->value[OPTION_slowest]);
	add_query(&path, "limit", c->value[OPTION_limit]);
	status = ask(c, path_text(&path), NULL, &answer);
	buf_fini(&path);
	if (status != CTL_DONE)
		return status;
	status = show_found(c, answer);
	json_decref(answer);
	return status;
}

/* Ends and sends the body. done: what was done to them. */
static enum ctl_exit act(const struct ctl *c, const char *path, struct buf *body, const char *done) {
	enum ctl_exit status;
	json_t *answer;

	buf_add_u8(body, '}');
	status = ask(c, path, body, &answer);
	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json))
		printf("%lld connection%s %s\n", (long long)number_of(answer, "done"), number_of(answer, "done") == 1 ? "" : "s", done);
	if (!is_complete(answer))
		status = say(c, CTL_NOT_NOW, "not all workers have answered in time");
	json_decref(answer);
	return status;
}

/* Who is meant. */
static enum ctl_exit add_who(const struct ctl *c, struct buf *body) {
	if (who_count(c) != 1)
		return say(c, CTL_USAGE, "one of --user, --address and --id is wanted");
	for (size_t i = 0; i < ARRAY_LEN(who); i++) {
		if (!add_text(body, who[i].name, c->value[who[i].option]))
			return say(c, CTL_USAGE, "a value is not UTF-8");
	}
	return CTL_DONE;
}

enum ctl_exit ctl_do_disconnect(const struct ctl *c) {
	const char *code = c->value[OPTION_code];
	enum ctl_exit status;
	uint64_t number = 0;
	struct buf body;

	if (code != NULL && (!slice_to_u64(slice_text(code), &number) || number > UINT16_MAX))
		return say(c, CTL_USAGE, "--code is not a number of four digits");
	buf_init(&body, BODY_BYTES_MAX);
	status = add_who(c, &body);
	if (status == CTL_DONE && !add_text(&body, "reason", c->value[OPTION_reason]))
		status = say(c, CTL_USAGE, "--reason is not UTF-8");
	if (code != NULL)
		add_json(&body, "code", json_integer((json_int_t)number));
	if (status == CTL_DONE)
		status = act(c, "/api/disconnect", &body, "ended");
	buf_fini(&body);
	return status;
}

enum ctl_exit ctl_do_message(const struct ctl *c) {
	enum ctl_exit status;
	struct buf body;

	buf_init(&body, BODY_BYTES_MAX);
	status = add_who(c, &body);
	if (status == CTL_DONE)
		status = add_data(c, &body, c->argument[0]);
	if (status == CTL_DONE)
		status = act(c, "/api/message", &body, "told");
	buf_fini(&body);
	return status;
}

/* --- channels --- */

enum ctl_exit ctl_do_publish(const struct ctl *c) {
	enum ctl_exit status = CTL_DONE;
	struct buf body;

	buf_init(&body, BODY_BYTES_MAX);
	if (!add_text(&body, "channel", c->argument[0]) || !add_text(&body, "idempotency_key", c->value[OPTION_key]))
		status = say(c, CTL_USAGE, "a value is not UTF-8");
	if (status == CTL_DONE)
		status = add_data(c, &body, c->argument[1]);
	buf_add_u8(&body, '}');
	if (status == CTL_DONE)
		status = ask_and_show(c, "/api/publish", &body);
	buf_fini(&body);
	return status;
}

enum ctl_exit ctl_do_rooms(const struct ctl *c) {
	enum ctl_exit status;
	struct buf path;
	json_t *answer;

	buf_init(&path, 1 << 16);
	buf_add_text(&path, "/api/rooms");
	add_query(&path, "top", c->value[OPTION_top]);
	status = ask(c, path_text(&path), NULL, &answer);
	buf_fini(&path);
	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json) && json_array_size(json_object_get(answer, "rooms")) > 0)
		ctl_show(json_object_get(answer, "rooms"));
	json_decref(answer);
	return CTL_DONE;
}

/* --- the server --- */

static enum ctl_exit order(const struct ctl *c, const char *path) {
	struct buf none;

	buf_init(&none, 0);
	return ask_and_show(c, path, &none);
}

enum ctl_exit ctl_do_drain(const struct ctl *c) {
	return order(c, "/api/drain");
}

enum ctl_exit ctl_do_reload(const struct ctl *c) {
	return order(c, "/api/reload");
}

enum ctl_exit ctl_do_log_level(const struct ctl *c) {
	enum ctl_exit status;
	struct buf body;

	if (c->argument_count == 0 && ctl_has(c, OPTION_area))
		return say(c, CTL_USAGE, "--area is for setting a level");
	if (c->argument_count == 0)
		return ask_and_show(c, "/api/log-level", NULL);
	buf_init(&body, BODY_BYTES_MAX);
	if (!add_text(&body, "level", c->argument[0]) || !add_text(&body, "area", c->value[OPTION_area])) {
		status = say(c, CTL_USAGE, "a value is not UTF-8");
	} else {
		buf_add_u8(&body, '}');
		status = ask_and_show(c, "/api/log-level", &body);
	}
	buf_fini(&body);
	return status;
}

enum ctl_exit ctl_do_trace(const struct ctl *c) {
	enum ctl_exit status;
	struct buf path;

	buf_init(&path, 1 << 16);
	buf_add_text(&path, "/api/trace");
	add_query(&path, "process", ctl_has(c, OPTION_process) ? c->value[OPTION_process] : "worker");
	add_query(&path, "slot", ctl_has(c, OPTION_slot) ? c->value[OPTION_slot] : "0");
	status = ask_and_show(c, path_text(&path), NULL);
	buf_fini(&path);
	return status;
}

enum ctl_exit ctl_do_version(const struct ctl *c) {
	enum ctl_exit status;
	struct ctl plain = *c;
	json_t *answer, *versions;

	plain.value[OPTION_json] = NULL;
	status = ask(&plain, "/status", NULL, &answer);
	versions = json_pack("{s:s, s:o}", "herold-ctl", HEROLD_VERSION, "server",
	    status == CTL_DONE ? json_incref(json_object_get(answer, "version")) : json_null());
	if (status == CTL_DONE)
		json_decref(answer);
	if (ctl_has(c, OPTION_json))
		json_dumpf(versions, stdout, JSON_COMPACT);
	else
		ctl_show(versions);
	if (ctl_has(c, OPTION_json))
		printf("\n");
	json_decref(versions);
	return status;
}

/* --- status --- */

static json_t *sum_of(const json_t *workers, const char *name) {
	json_int_t sum = 0;
	json_t *worker;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)workers, i, worker)
		sum += number_of(worker, name);
	return json_integer(sum);
}

static void copy(json_t *to, const json_t *from, const char *name) {
	json_t *value = json_object_get(from, name);

	if (value != NULL)
		json_object_set(to, name, value);
}

/* The lines above the tables. */
static json_t *summary_of(const json_t *status) {
	const json_t *workers = json_object_get(status, "workers"), *memory = json_object_get(status, "memory");
	bool is_draining = json_is_true(json_object_get(status, "draining")), is_ready = json_is_true(json_object_get(status, "ready"));
	json_t *out = json_pack("{s:s}", "state", is_draining ? "going away" : is_ready ? "ready" : "not ready");

	copy(out, status, "not_ready_because");
	copy(out, status, "version");
	copy(out, status, "uptime_seconds");
	copy(out, status, "engine");
	json_object_set_new(out, "connections", sum_of(workers, "connections"));
	json_object_set_new(out, "websockets", sum_of(workers, "websockets"));
	json_object_set_new(out, "messages_received", sum_of(workers, "messages_received"));
	json_object_set_new(out, "messages_sent", sum_of(workers, "messages_sent"));
	json_object_set_new(out, "clients_take_bytes", json_integer(number_of(memory, "used")));
	json_object_set_new(out, "of_at_most_bytes", json_integer(number_of(memory, "memory_bytes")));
	return out;
}

static void show_status(const json_t *status) {
	static const char *const parts[] = { "workers", "broker", "restarts", "nodes" };
	json_t *summary = summary_of(status);

	ctl_show(summary);
	json_decref(summary);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const json_t *part = json_object_get(status, parts[i]);

		if (json_is_object(part) || json_array_size(part) > 0)
			ctl_show_under(parts[i], part);
	}
}

enum ctl_exit ctl_do_status(const struct ctl *c) {
	json_t *answer;
	enum ctl_exit status = ask(c, "/status", NULL, &answer);

	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json))
		show_status(answer);
	json_decref(answer);
	return CTL_DONE;
}
