/* fake_redis - a Redis server that answers by hand */
#include "tests/unit/fake_redis.h"

#include <hiredis/hiredis.h>

#include "common/base/mem.h"

void fake_redis_init(struct fake_redis *f) {
	memset(f, 0, sizeof(*f));
	list_init(&f->calls);
}

static void call_free(struct fake_redis *f, struct fake_call *c) {
	list_remove(&c->link);
	f->call_count--;
	for (size_t i = 0; i < c->arg_count; i++)
		mem_free((void *)(uintptr_t)c->arg[i].ptr);
	mem_free(c);
}

void fake_redis_fini(struct fake_redis *f) {
	while (!list_is_empty(&f->calls))
		call_free(f, fake_redis_first(f));
}

struct redis_server *fake_redis_server(struct fake_redis *f) {
	return (struct redis_server *)f;
}

bool fake_redis_is_up(const struct redis_server *s) {
	return ((const struct fake_redis *)s)->is_up;
}

void fake_redis_call(struct redis_server *s, enum redis_script script, const struct slice *keys, size_t key_count,
    const struct slice *args, size_t arg_count, redis_call_fn fn, void *arg) {
	struct fake_redis *f = (struct fake_redis *)s;
	struct fake_call *c = mem_zalloc(sizeof(*c));

	BUG_ON(!f->is_up || arg_count > FAKE_ARGS || key_count == 0);
	for (size_t i = 0; i < key_count; i++)
		BUG_ON(!slice_starts_with(keys[i], "p:"));
	c->script = script;
	c->arg_count = arg_count;
	for (size_t i = 0; i < arg_count; i++)
		c->arg[i] = slice_of(args[i].len > 0 ? mem_dup(args[i].ptr, args[i].len) : NULL, args[i].len);
	c->fn = fn;
	c->fn_arg = arg;
	list_add_tail(&f->calls, &c->link);
	f->call_count++;
	f->calls_ever++;
}

struct fake_call *fake_redis_first(const struct fake_redis *f) {
	BUG_ON(list_is_empty(&f->calls));
	return list_entry(f->calls.next, struct fake_call, link);
}

void fake_redis_answer(struct fake_redis *f, enum redis_outcome outcome, const long long reply[FAKE_REPLY]) {
	struct fake_call *c = fake_redis_first(f);
	char json[] = "{}";
	redisReply text = { .type = REDIS_REPLY_STRING, .str = json, .len = 2 }, number[FAKE_REPLY], list, all;
	redisReply *texts[] = { &text }, *numbers[FAKE_REPLY];
	redis_call_fn fn = c->fn;
	void *arg = c->fn_arg;

	memset(number, 0, sizeof(number));
	memset(&list, 0, sizeof(list));
	list.type = REDIS_REPLY_ARRAY;
	list.elements = 1;
	list.element = texts;
	all = list;
	all.elements = FAKE_REPLY;
	all.element = numbers;
	for (int i = 0; i < FAKE_REPLY; i++) {
		number[i].type = REDIS_REPLY_INTEGER;
		number[i].integer = reply != NULL ? reply[i] : 0;
		numbers[i] = &number[i];
	}
	if (c->script == REDIS_SCRIPT_beat)
		numbers[2] = &list;
	call_free(f, c);
	fn(arg, outcome, outcome == REDIS_DONE ? (const struct redis_reply *)&all : NULL);
}
