/* commands_server - drain, reload, log-level, trace, version, status */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

/* --- orders --- */

static enum ctl_exit order(const struct ctl *c, const char *path) {
	struct buf none;

	buf_init(&none, 0);
	return ctl_ask_and_show(c, path, &none);
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
		return ctl_say(c, CTL_USAGE, "--area is for setting a level");
	if (c->argument_count == 0)
		return ctl_ask_and_show_part(c, "/api/log-level", NULL, "levels");
	buf_init(&body, CTL_BODY_MAX);
	if (!ctl_add_text(&body, "level", c->argument[0]) || !ctl_add_text(&body, "area", c->value[OPTION_area])) {
		status = ctl_say(c, CTL_USAGE, "a value is not UTF-8");
	} else {
		buf_add_u8(&body, '}');
		status = ctl_ask_and_show_part(c, "/api/log-level", &body, "levels");
	}
	buf_fini(&body);
	return status;
}

/* --- the last events --- */

/* Events have different members: those that all have, and the others as one text. Returns owned. */
static json_t *event_row(json_t *event) {
	json_t *row = json_object(), *value;
	struct buf rest;
	const char *name;

	buf_init(&rest, SIZE_MAX);
	json_object_foreach(event, name, value) {
		bool is_column = strcmp(name, "time") == 0 || strcmp(name, "event") == 0;

		if (is_column) {
			json_object_set(row, name, value);
			continue;
		}
		buf_addf(&rest, "%s%s=", rest.len > 0 ? " " : "", name);
		if (json_is_string(value))
			buf_add_text(&rest, json_string_value(value));
		else
			json_dump_callback(value, ctl_add_part, &rest, JSON_ENCODE_ANY | JSON_COMPACT);
	}
	json_object_set_new(row, "details", json_stringn((const char *)rest.data, rest.len));
	buf_fini(&rest);
	return row;
}

static void show_events(const json_t *process) {
	const json_t *slot = json_object_get(process, "slot"), *pid = json_object_get(process, "pid");
	const char *name = json_string_value(json_object_get(process, "process"));
	const char *serving = json_string_value(json_object_get(process, "serving"));
	json_t *rows = json_array(), *event;
	char heading[128];
	size_t i;

	snprintf(heading, sizeof(heading), "%s %lld, pid %lld%s%s", name != NULL ? name : "?", (long long)json_integer_value(slot),
	    (long long)json_integer_value(pid), serving != NULL ? ", serving " : "", serving != NULL ? serving : "");
	json_array_foreach(json_object_get(process, "events"), i, event)
		json_array_append_new(rows, event_row(event));
	ctl_show_under(heading, rows);
	json_decref(rows);
}

enum ctl_exit ctl_do_trace(const struct ctl *c) {
	enum ctl_exit status;
	json_t *answer, *process;
	const json_t *all;
	struct buf path;
	size_t i;

	buf_init(&path, 1 << 16);
	buf_add_text(&path, "/api/trace");
	ctl_add_query(&path, "process", c->value[OPTION_process]);
	ctl_add_query(&path, "slot", c->value[OPTION_slot]);
	status = ctl_ask(c, ctl_path(&path), NULL, &answer);
	buf_fini(&path);
	if (status != CTL_DONE)
		return status;
	all = json_object_get(answer, "processes");
	if (!ctl_has(c, OPTION_json)) {
		json_array_foreach((json_t *)(uintptr_t)all, i, process)
			show_events(process);
	}
	if (json_array_size(all) == 0)
		status = ctl_say(c, CTL_REFUSED, "there is no such process");
	json_decref(answer);
	return status;
}

enum ctl_exit ctl_do_version(const struct ctl *c) {
	enum ctl_exit status;
	struct ctl plain = *c;
	json_t *answer, *versions;

	plain.value[OPTION_json] = NULL;
	status = ctl_ask(&plain, "/status", NULL, &answer);
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
		sum += ctl_number(worker, name);
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
	json_object_set_new(out, "clients_take_bytes", json_integer(ctl_number(memory, "used")));
	json_object_set_new(out, "of_at_most_bytes", json_integer(ctl_number(memory, "memory_bytes")));
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
	enum ctl_exit status = ctl_ask(c, "/status", NULL, &answer);

	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json))
		show_status(answer);
	json_decref(answer);
	return CTL_DONE;
}
