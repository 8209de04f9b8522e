/* ask - a question to the admin listener: its path or body, and what becomes of a refusal */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

enum { TIMEOUT_S = 10, TIMEOUT_MAX_S = 3600 };

/* --- asking --- */

enum ctl_exit ctl_say(const struct ctl *c, enum ctl_exit status, const char *text) {
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
	return ctl_say(c, exit_of(answer->status), text);
}

static enum ctl_exit take_answer(const struct ctl *c, const struct ctl_answer *answer, json_t **out) {
	json_error_t error;

	if (answer->status != 200)
		return say_refusal(c, answer);
	*out = json_loadb((const char *)answer->body.data, answer->body.len, JSON_DECODE_ANY, &error);
	if (*out == NULL)
		return ctl_say(c, CTL_UNREACHABLE, "the answer is no JSON: is this the admin listener of a Herold?");
	if (ctl_has(c, OPTION_json))
		fwrite(answer->body.data, 1, answer->body.len, stdout);
	return CTL_DONE;
}

enum ctl_exit ctl_ask(const struct ctl *c, const char *path, const struct buf *body, json_t **out) {
	struct slice bytes = body != NULL ? buf_slice(body) : SLICE_EMPTY;
	struct ctl_answer answer = { .status = 0 };
	uint64_t seconds = TIMEOUT_S;
	struct ctl_server server;
	enum ctl_exit status;
	struct errbuf e;

	if (ctl_has(c, OPTION_timeout) && (!slice_to_u64(slice_text(c->value[OPTION_timeout]), &seconds) || seconds == 0 || seconds > TIMEOUT_MAX_S))
		return ctl_say(c, CTL_USAGE, "--timeout is not a number of seconds from 1 to 3600");
	if (!ctl_find_server(c, &server, &e))
		return ctl_say(c, CTL_USAGE, e.text);
	if (ctl_request(&server, path, body != NULL ? &bytes : NULL, (unsigned)seconds * 1000, &answer, &e))
		status = take_answer(c, &answer, out);
	else
		status = ctl_say(c, CTL_UNREACHABLE, e.text);
	buf_fini(&answer.body);
	explicit_bzero(&server, sizeof(server));
	return status;
}

enum ctl_exit ctl_ask_and_show(const struct ctl *c, const char *path, const struct buf *body) {
	json_t *answer;
	enum ctl_exit status = ctl_ask(c, path, body, &answer);

	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json))
		ctl_show(answer);
	json_decref(answer);
	return CTL_DONE;
}

enum ctl_exit ctl_ask_and_show_part(const struct ctl *c, const char *path, const struct buf *body, const char *part) {
	json_t *answer;
	enum ctl_exit status = ctl_ask(c, path, body, &answer);

	if (status != CTL_DONE)
		return status;
	if (!ctl_has(c, OPTION_json))
		ctl_show(json_object_get(answer, part));
	json_decref(answer);
	return CTL_DONE;
}

/* --- building questions --- */

void ctl_add_query(struct buf *path, const char *name, const char *value) {
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

const char *ctl_path(struct buf *path) {
	buf_add_u8(path, '\0');
	return (const char *)path->data;
}

int ctl_add_part(const char *text, size_t len, void *arg) {
	buf_add(arg, slice_of(text, len));
	return 0;
}

void ctl_add_json(struct buf *body, const char *name, json_t *value) {
	buf_addf(body, "%c\"%s\":", body->len == 0 ? '{' : ',', name);
	json_dump_callback(value, ctl_add_part, body, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(value);
}

bool ctl_add_text(struct buf *body, const char *name, const char *text) {
	json_t *json = text != NULL ? json_string(text) : NULL;

	if (json != NULL)
		ctl_add_json(body, name, json);
	return json != NULL || text == NULL;
}

json_int_t ctl_number(const json_t *answer, const char *name) {
	return json_integer_value(json_object_get(answer, name));
}
