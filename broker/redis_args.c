/* redis_args - keys and arguments of a script's call, put together without allocating for each */
#include "broker/redis_args.h"

#include "common/base/mem.h"

void redis_args_init(struct redis_args *a, const char *prefix, redis_server_call_fn call) {
	memset(a, 0, sizeof(*a));
	a->prefix = prefix;
	a->call = call;
	buf_init(&a->text, SIZE_MAX);
}

void redis_args_fini(struct redis_args *a) {
	buf_fini(&a->text);
	mem_free(a->keys);
	a->keys = NULL;
}

/* What has been appended since `start`. The text may still move: the pointer follows with the call. */
static struct slice own_part(const struct redis_args *a, size_t start) {
	return (struct slice){ NULL, a->text.len - start };
}

static void key_end(struct redis_args *a, size_t start) {
	if (a->key_count == a->key_room) {
		a->key_room = a->key_room > 0 ? 2 * a->key_room : REDIS_ARGS_MAX;
		a->keys = mem_realloc(a->keys, a->key_room * sizeof(*a->keys));
	}
	a->keys[a->key_count++] = own_part(a, start);
}

void redis_args_key(struct redis_args *a, char kind, struct slice name) {
	size_t start = a->text.len;

	BUG_ON(a->arg_count > 0);
	redis_key(&a->text, a->prefix, kind, name);
	key_end(a, start);
}

void redis_args_keys(struct redis_args *a, const char *kinds, struct slice channel) {
	for (; *kinds != '\0'; kinds++)
		redis_args_key(a, *kinds, channel);
}

void redis_args_key_of_publication(struct redis_args *a, struct slice channel, struct slice key) {
	size_t start = a->text.len;

	redis_key(&a->text, a->prefix, 'i', channel);
	buf_add_u8(&a->text, ':');
	buf_add(&a->text, key);
	key_end(a, start);
}

static void arg_end(struct redis_args *a, struct slice s) {
	BUG_ON(a->arg_count == REDIS_ARGS_MAX);
	a->arg[a->arg_count++] = s;
}

void redis_args_add(struct redis_args *a, struct slice text) {
	arg_end(a, text.len > 0 ? text : slice_text(""));
}

void redis_args_number(struct redis_args *a, uint64_t n) {
	size_t start = a->text.len;

	buf_add_u64_text(&a->text, n);
	arg_end(a, own_part(a, start));
}

void redis_args_pubsub(struct redis_args *a, struct slice channel) {
	size_t start = a->text.len;

	redis_key(&a->text, a->prefix, 'c', channel);
	arg_end(a, own_part(a, start));
}

/* Own parts lie in the text one behind the other. */
static const uint8_t *place(struct slice *parts, size_t count, const uint8_t *at) {
	for (size_t i = 0; i < count; i++) {
		if (parts[i].ptr != NULL)
			continue;
		parts[i].ptr = at;
		at += parts[i].len;
	}
	return at;
}

void redis_args_call(struct redis_args *a, struct redis_server *s, enum redis_script script, redis_call_fn fn, void *arg) {
	if (a->text.failed)
		mem_exhausted(a->text.len);
	place(a->arg, a->arg_count, place(a->keys, a->key_count, a->text.data));
	a->call(s, script, a->keys, a->key_count, a->arg, a->arg_count, fn, arg);
	buf_reset(&a->text);
	a->key_count = a->arg_count = 0;
}
