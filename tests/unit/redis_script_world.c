/* redis_script_world - the scripts in a real redis-server */
#include "tests/unit/redis_script_world.h"

#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/wire.h"
#include "tests/unit/redis_fixture.h"

enum { PARTS_MAX = 64, TEXT_MAX = 64 * 1024 };

#define PREFIX "t:"
#define NO_KEY slice_of("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", IPC_KEY_BYTES)

struct rw rw;

static struct redis_fixture server;
static redisContext *link, *ears;
static redisReply *asked, *answer;
static struct buf parts[PARTS_MAX];
static size_t part_count;

void rw_setup(void) {
	redis_fixture_init(&server);
	redis_fixture_start(&server);
}

void rw_teardown(void) {
	if (link != NULL)
		redisFree(link);
	link = NULL;
	redis_fixture_fini(&server);
}

static redisReply *keep(redisReply **kept, redisReply *reply) {
	ck_assert_msg(reply != NULL, "%s", link->errstr);
	if (*kept != NULL)
		freeReplyObject(*kept);
	*kept = reply;
	return reply;
}

static redisReply *ask(const char *format, va_list args) {
	redisReply *reply = keep(&asked, redisvCommand(link, format, args));

	ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", format, reply->str);
	return reply;
}

redisReply *rw_do(const char *format, ...) {
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = ask(format, args);
	va_end(args);
	return reply;
}

int64_t rw_number(const char *format, ...) {
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = ask(format, args);
	va_end(args);
	ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
	return reply->integer;
}

const char *rw_text(const char *format, ...) {
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = ask(format, args);
	va_end(args);
	return reply->type == REDIS_REPLY_NIL ? "" : reply->str;
}

void rw_reset(void) {
	if (link == NULL)
		link = redis_fixture_connect(&server);
	/* Whatever a test before that failed has left. */
	rw_do("CONFIG SET maxmemory 0");
	rw_do("FLUSHALL");
	rw_do("HSET " PREFIX "g t G1 r R1 a A1");
	for (int s = 0; s < REDIS_SCRIPT_COUNT; s++) {
		struct slice text = redis_script_text((enum redis_script)s);

		ck_assert_str_eq(rw_text("SCRIPT LOAD %b", text.ptr, text.len), redis_script_sha((enum redis_script)s));
	}
	publishing = (struct publishing){ .count = 1000, .bytes = 1 << 20, .history_ms = 60000, .key_ms = 30000, .kind = 3 };
	rw = (struct rw){ slice_text("room"), slice_text("n1"), NO_KEY, "G1" };
}

uint64_t rw_now_ms(void) {
	const redisReply *r = rw_do("TIME");

	return strtoull(r->element[0]->str, NULL, 10) * 1000 + strtoull(r->element[1]->str, NULL, 10) / 1000;
}

void rw_wait_ms(uint64_t ms) {
	uint64_t end = rw_now_ms() + ms;

	while (rw_now_ms() < end)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

void rw_check_expiry(const char *key, int64_t least, int64_t most) {
	int64_t ms = rw_number("PTTL %s", key);

	ck_assert_msg(ms >= least && ms <= most, "%s expires in %" PRId64 " ms", key, ms);
}

static struct buf *part_new(void) {
	ck_assert(part_count < PARTS_MAX);
	buf_fini(&parts[part_count]);
	buf_init(&parts[part_count], SIZE_MAX);
	return &parts[part_count++];
}

static void add_key(char kind) {
	struct buf name;

	buf_init(&name, SIZE_MAX);
	if (strchr("mswzvic", kind) != NULL)
		buf_add(&name, rw.channel);
	if (strchr("hj", kind) != NULL)
		buf_add(&name, rw.node);
	if (kind == 'i') {
		buf_add_u8(&name, ':');
		buf_add(&name, rw.key);
	}
	redis_key(part_new(), PREFIX, kind, buf_slice(&name));
	buf_fini(&name);
}

void call_begin(enum redis_script script, const char *kinds) {
	part_count = 0;
	call_text("EVALSHA");
	call_text(redis_script_sha(script));
	call_number(strlen(kinds) + 1);
	add_key('g');
	for (; *kinds != '\0'; kinds++)
		add_key(*kinds);
	if (script != REDIS_SCRIPT_generation)
		call_text(rw.generation);
}

void call_bytes(struct slice s) {
	buf_add(part_new(), s);
}

void call_text(const char *text) {
	call_bytes(slice_text(text));
}

void call_number(uint64_t n) {
	buf_add_u64_text(part_new(), n);
}

void call_pubsub(void) {
	add_key('c');
}

static redisReply *call(void) {
	const char *argv[PARTS_MAX];
	size_t lengths[PARTS_MAX];

	for (size_t i = 0; i < part_count; i++) {
		argv[i] = parts[i].len > 0 ? (const char *)parts[i].data : "";
		lengths[i] = parts[i].len;
	}
	return keep(&answer, redisCommandArgv(link, (int)part_count, argv, lengths));
}

const redisReply *call_end(void) {
	const redisReply *r = call();

	ck_assert_msg(r->type != REDIS_REPLY_ERROR, "%s", r->str);
	return r;
}

const char *call_end_error(void) {
	const redisReply *r = call();

	ck_assert_int_eq(r->type, REDIS_REPLY_ERROR);
	return r->str;
}

static const redisReply *at(const redisReply *r, size_t i) {
	ck_assert(r->type == REDIS_REPLY_ARRAY && i < r->elements);
	return r->element[i];
}

int64_t number_at(const redisReply *r, size_t i) {
	ck_assert_int_eq(at(r, i)->type, REDIS_REPLY_INTEGER);
	return at(r, i)->integer;
}

const char *text_at(const redisReply *r, size_t i) {
	ck_assert_int_eq(at(r, i)->type, REDIS_REPLY_STRING);
	return at(r, i)->str;
}

struct publishing publishing;

const redisReply *rw_publish(const char *data) {
	call_begin(REDIS_SCRIPT_publish, "msin");
	call_text("epoch-01");
	call_bytes(rw.channel);
	call_bytes(rw.key);
	call_bytes(slice_of(&publishing.kind, 1));
	call_text(data);
	call_number(!publishing.is_dropped);
	call_number(publishing.count);
	call_number(publishing.bytes);
	call_number(publishing.history_ms);
	call_number(publishing.key_ms);
	call_pubsub();
	return call_end();
}

void rw_age(uint64_t ms) {
	redisReply *entries = redisCommand(link, "XRANGE " PREFIX "s:%b - +", rw.channel.ptr, rw.channel.len);

	ck_assert(entries != NULL && entries->type == REDIS_REPLY_ARRAY);
	/* With it goes what the stream remembers of entries that are gone. */
	rw_do("DEL " PREFIX "s:%b", rw.channel.ptr, rw.channel.len);
	for (size_t i = 0; i < entries->elements; i++) {
		redisReply **fields = entries->element[i]->element[1]->element;
		uint8_t *time = (uint8_t *)fields[1]->str + 2 + (uint8_t)fields[1]->str[1] + sizeof(uint64_t);
		struct wire_reader old = wire_reader_of(slice_of(time, sizeof(uint64_t)));
		uint64_t time_ms = wire_get_u64(&old) - ms;

		for (int n = 0; n < 8; n++)
			time[n] = (uint8_t)(time_ms >> (56 - 8 * n));
		rw_do("XADD " PREFIX "s:%b %s d %b b %s", rw.channel.ptr, rw.channel.len, entries->element[i]->element[0]->str, fields[1]->str,
		    fields[1]->len, fields[3]->str);
	}
	freeReplyObject(entries);
}

/* One text for each function that returns one. */
struct text {
	char bytes[TEXT_MAX];
	size_t len;
};

static void text_add(struct text *t, const char *format, ...) {
	va_list args;

	va_start(args, format);
	t->len += (size_t)vsnprintf(t->bytes + t->len, sizeof(t->bytes) - t->len, format, args);
	va_end(args);
	ck_assert(t->len < sizeof(t->bytes));
}

static void add_payload(struct text *t, const redisReply *r) {
	struct redis_payload p;

	ck_assert_int_eq(r->type, REDIS_REPLY_STRING);
	ck_assert(redis_payload_read(slice_of(r->str, r->len), &p));
	if (t->len > 0)
		text_add(t, " ");
	if (p.type == REDIS_PUBLICATION)
		text_add(t, "%" PRIu64 ":%.*s", p.offset, SLICE_ARGS(p.data));
	else
		text_add(t, "%c%" PRIu64 ":%.*s=%.*s/%" PRIu32, p.type == REDIS_JOINED ? '+' : '-', p.offset, SLICE_ARGS(p.member),
		    SLICE_ARGS(p.data), p.member_count);
}

const char *payloads_at(const redisReply *r, size_t i) {
	static struct text t;
	const redisReply *list = at(r, i);

	t = (struct text){ .len = 0 };
	ck_assert_int_eq(list->type, REDIS_REPLY_ARRAY);
	for (size_t n = 0; n < list->elements; n++)
		add_payload(&t, list->element[n]);
	return t.bytes;
}

const char *members_at(const redisReply *r, size_t i) {
	static struct text t;
	const redisReply *list = at(r, i);
	int64_t last = 0;

	t = (struct text){ .len = 0 };
	ck_assert(list->type == REDIS_REPLY_ARRAY && list->elements % 3 == 0);
	for (size_t n = 0; n < list->elements; n += 3) {
		ck_assert_int_gt(number_at(list, n), last);
		last = number_at(list, n);
		text_add(&t, "%s%s=%s", n > 0 ? " " : "", text_at(list, n + 1), text_at(list, n + 2));
	}
	return t.bytes;
}

void rw_listen(void) {
	redisReply *reply;

	ears = redis_fixture_connect(&server);
	reply = redisCommand(ears, "SUBSCRIBE " PREFIX "c:%b end", rw.channel.ptr, rw.channel.len);
	ck_assert_ptr_nonnull(reply);
	freeReplyObject(reply);
	ck_assert_int_eq(redisGetReply(ears, (void **)&reply), REDIS_OK);
	freeReplyObject(reply);
}

const char *rw_heard(void) {
	static struct text t;
	redisReply *reply;

	/* Whatever was published before comes before this. */
	rw_do("PUBLISH end x");
	t = (struct text){ .len = 0 };
	for (;;) {
		ck_assert_int_eq(redisGetReply(ears, (void **)&reply), REDIS_OK);
		if (strcmp(text_at(reply, 1), "end") == 0)
			break;
		add_payload(&t, reply->element[2]);
		freeReplyObject(reply);
	}
	freeReplyObject(reply);
	return t.bytes;
}
