/* redis_trouble - counts the errors of a server by kind, and says when a kind begins and ends */
#include "broker/redis/redis_trouble.h"

#include <stdio.h>

#define LOG_AREA LOG_AREA_redis
#include "common/svc/log.h"

enum { FORGET_MS = 10000, SAY_AGAIN_MS = 10000 };

static const struct {
	const char *code;
	enum redis_remedy remedy;
} kinds[REDIS_ERROR_COUNT] = {
#define REDIS_ERROR(code, remedy) { #code, REDIS_##remedy },
#include "broker/redis/redis_errors.tbl"
};

enum redis_error redis_error_of(struct slice text) {
	struct slice code = SLICE_EMPTY;

	slice_next_part(&text, ' ', &code);
	for (size_t i = 0; i < REDIS_ERROR_COUNT; i++) {
		if (slice_eq_text(code, kinds[i].code))
			return (enum redis_error)i;
	}
	return REDIS_ERROR_ERR;
}

enum redis_remedy redis_error_remedy(enum redis_error kind) {
	return kinds[kind].remedy;
}

/* What comes and goes with every other call is said now and then. */
static bool is_worth_saying(const struct redis_trouble *t, enum redis_error kind, uint64_t now_ms) {
	return !t->kind[kind].is_said && (t->kind[kind].said_ms == 0 || now_ms - t->kind[kind].said_ms >= SAY_AGAIN_MS);
}

void redis_trouble_refused(struct redis_trouble *t, enum redis_script script, struct slice text, const char *address, uint64_t now_ms) {
	enum redis_error kind = redis_error_of(text);

	snprintf(t->text, sizeof(t->text), "%.*s", (int)(text.len < sizeof(t->text) ? text.len : sizeof(t->text) - 1),
	    (const char *)text.ptr);
	if (t->kind[kind].count++ == 0)
		t->open++;
	if (is_worth_saying(t, kind, now_ms)) {
		t->kind[kind].is_said = true;
		t->kind[kind].said_ms = now_ms;
		log_line(LOG_WARN, "Redis refuses calls", LF_TEXT("address", address), LF_TEXT("script", redis_script_name(script)),
		    LF_TEXT("error", t->text));
	}
	t->kind[kind].last_ms = now_ms;
	t->kind[kind].script = script;
}

static void end(struct redis_trouble *t, size_t kind, const char *address) {
	if (t->kind[kind].is_said)
		log_line(LOG_INFO, "Redis takes calls again", LF_TEXT("address", address), LF_TEXT("error", kinds[kind].code),
		    LF_U("refused", t->kind[kind].count));
	t->kind[kind].is_said = false;
	t->kind[kind].count = 0;
	t->open--;
}

void redis_trouble_done(struct redis_trouble *t, enum redis_script script, const char *address, uint64_t now_ms) {
	for (size_t i = 0; i < REDIS_ERROR_COUNT && t->open > 0; i++) {
		if (t->kind[i].count > 0 && (t->kind[i].script == script || now_ms - t->kind[i].last_ms > FORGET_MS))
			end(t, i, address);
	}
}

void redis_trouble_forget(struct redis_trouble *t) {
	memset(t, 0, sizeof(*t));
}
