/* commands_clients - find, disconnect, message; publish and rooms */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

/* "data", as it is given: a text, or any JSON. */
static enum ctl_exit add_data(const struct ctl *c, struct buf *body, const char *given) {
	enum ctl_exit status = CTL_DONE;
	struct buf data;
	struct errbuf e;
	json_t *json;

	buf_init(&data, CTL_BODY_MAX);
	if (strcmp(given, "-") != 0)
		buf_add_text(&data, given);
	else if (!ctl_read_file("-", &data, &e))
		status = ctl_say(c, CTL_USAGE, e.text);
	if (status == CTL_DONE && ctl_has(c, OPTION_text)) {
		json = json_stringn((const char *)data.data, data.len);
		if (json != NULL)
			ctl_add_json(body, "data", json);
		else
			status = ctl_say(c, CTL_USAGE, "the text is not UTF-8");
	} else if (status == CTL_DONE) {
		json = json_loadb((const char *)data.data, data.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES, NULL);
		buf_addf(body, "%c\"data\":", body->len == 0 ? '{' : ',');
		buf_add(body, buf_slice(&data));
		if (json == NULL)
			status = ctl_say(c, CTL_USAGE, "DATA is no JSON: a text is '\"text\"', or comes with --text");
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

static bool is_complete(const json_t *answer) {
	return ctl_number(answer, "workers_answered") == ctl_number(answer, "workers");
}

static enum ctl_exit show_found(const struct ctl *c, const json_t *answer) {
	const json_t *list = json_object_get(answer, "connections");

	if (!ctl_has(c, OPTION_json) && json_array_size(list) > 0)
		ctl_show(list);
	if (!is_complete(answer))
		return ctl_say(c, json_array_size(list) > 0 ? CTL_DONE : CTL_NOT_NOW, "not all workers have answered in time");
	if (ctl_number(answer, "matched") == 0)
		return ctl_say(c, CTL_REFUSED, "there is no such connection on this host");
	return CTL_DONE;
}

enum ctl_exit ctl_do_find(const struct ctl *c) {
	enum ctl_exit status;
	json_t *answer;
	struct buf path;

	if (who_count(c) + ctl_has(c, OPTION_slowest) != 1)
		return ctl_say(c, CTL_USAGE, "one of --user, --address, --id and --slowest is wanted");
	buf_init(&path, 1 << 16);
	buf_add_text(&path, "/api/connections");
	for (size_t i = 0; i < ARRAY_LEN(who); i++)
		ctl_add_query(&path, who[i].name, c->value[who[i].option]);
	ctl_add_query(&path, "slowest", c->value[OPTION_slowest]);
	ctl_add_query(&path, "limit", c->value[OPTION_limit]);
	status = ctl_ask(c, ctl_path(&path), NULL, &answer);
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
	status = ctl_ask(c, path, body, &answer);
	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json))
		printf("%lld connection%s %s\n", (long long)ctl_number(answer, "done"), ctl_number(answer, "done") == 1 ? "" : "s", done);
	if (!is_complete(answer))
		status = ctl_say(c, CTL_NOT_NOW, "not all workers have answered in time");
	json_decref(answer);
	return status;
}

/* Who is meant. */
static enum ctl_exit add_who(const struct ctl *c, struct buf *body) {
	if (who_count(c) != 1)
		return ctl_say(c, CTL_USAGE, "one of --user, --address and --id is wanted");
	for (size_t i = 0; i < ARRAY_LEN(who); i++) {
		if (!ctl_add_text(body, who[i].name, c->value[who[i].option]))
			return ctl_say(c, CTL_USAGE, "a value is not UTF-8");
	}
	return CTL_DONE;
}

enum ctl_exit ctl_do_disconnect(const struct ctl *c) {
	const char *code = c->value[OPTION_code];
	enum ctl_exit status;
	uint64_t number = 0;
	struct buf body;

	if (code != NULL && (!slice_to_u64(slice_text(code), &number) || number > UINT16_MAX))
		return ctl_say(c, CTL_USAGE, "--code is not a number of four digits");
	buf_init(&body, CTL_BODY_MAX);
	status = add_who(c, &body);
	if (status == CTL_DONE && !ctl_add_text(&body, "reason", c->value[OPTION_reason]))
		status = ctl_say(c, CTL_USAGE, "--reason is not UTF-8");
	if (code != NULL)
		ctl_add_json(&body, "code", json_integer((json_int_t)number));
	if (status == CTL_DONE)
		status = act(c, "/api/disconnect", &body, "ended");
	buf_fini(&body);
	return status;
}

enum ctl_exit ctl_do_message(const struct ctl *c) {
	enum ctl_exit status;
	struct buf body;

	buf_init(&body, CTL_BODY_MAX);
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

	buf_init(&body, CTL_BODY_MAX);
	if (!ctl_add_text(&body, "channel", c->argument[0]) || !ctl_add_text(&body, "idempotency_key", c->value[OPTION_key]))
		status = ctl_say(c, CTL_USAGE, "a value is not UTF-8");
	if (status == CTL_DONE)
		status = add_data(c, &body, c->argument[1]);
	buf_add_u8(&body, '}');
	if (status == CTL_DONE)
		status = ctl_ask_and_show(c, "/api/publish", &body);
	buf_fini(&body);
	return status;
}

enum ctl_exit ctl_do_rooms(const struct ctl *c) {
	enum ctl_exit status;
	struct buf path;
	json_t *answer;

	buf_init(&path, 1 << 16);
	buf_add_text(&path, "/api/rooms");
	ctl_add_query(&path, "top", c->value[OPTION_top]);
	status = ctl_ask(c, ctl_path(&path), NULL, &answer);
	buf_fini(&path);
	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json) && json_array_size(json_object_get(answer, "rooms")) > 0)
		ctl_show(json_object_get(answer, "rooms"));
	json_decref(answer);
	return CTL_DONE;
}
