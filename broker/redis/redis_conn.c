/* redis_conn - a connection's states, deadlines and the queue of commands that wait for an answer */
#include "broker/redis/redis_conn.h"

#include <hiredis/hiredis.h>

#include "broker/redis/redis_dial.h"
#include "broker/redis/redis_tls.h"
#include "common/base/list.h"
#include "common/base/mem.h"

/* How much hiredis reads at once, and how often in a turn. */
enum { READ_BYTES = 16 * 1024, READS_MAX = 8 };
/* By so much of it a password is known in a text that may be cut. */
enum { SECRET_PART = 8 };

enum conn_state {
	CONN_CLOSED = 0,
	CONN_DIALLING,
	CONN_LOGIN,
	CONN_UP,
	CONN_ENDING,	/* the timer ends it */
};

struct command {
	struct list link;
	redis_conn_fn fn;
	void *arg;
	uint64_t begin;		/* of its bytes in all that this connection has sent and will send */
	uint64_t called_ms;
};

struct redis_conn {
	struct redis_conn_settings settings;
	const struct redis_conn_ops *ops;
	void *arg;
	enum conn_state state;
	struct redis_target target;
	struct redis_dial dial;
	redisContext *context;		/* once it is connected */
	struct ssl_st *tls;		/* the context's; NULL: none */
	struct evloop_io io;
	struct evloop_timer timer;	/* the deadline; while ending, the end */
	bool is_timing;			/* the answers' deadline */
	struct list commands;		/* oldest first; each waits for an answer */
	struct list refused;		/* called when there was no connection */
	struct evloop_timer refusal;	/* which is said to them later than in the call */
	uint64_t taken, sent;		/* bytes; sent <= taken */
	uint64_t heard_ms;		/* when the last answer came */
	size_t login_open;		/* answers */
	const char **argv;		/* room for a command */
	size_t *argv_len, argv_room;
	char why[256];
};

static void on_timer(void *arg);
static void on_refusal(void *arg);
static void on_dialled(void *arg, int fd, const char *why);
static void on_io(int fd, short ready, void *arg);

struct redis_conn *redis_conn_new(const struct redis_conn_settings *settings, const struct redis_conn_ops *ops, void *arg) {
	struct redis_conn *c = mem_zalloc(sizeof(*c));

	c->settings = *settings;
	c->ops = ops;
	c->arg = arg;
	list_init(&c->commands);
	list_init(&c->refused);
	evloop_timer_init(settings->loop, &c->timer, on_timer, c);
	evloop_timer_init(settings->loop, &c->refusal, on_refusal, c);
	redis_dial_init(&c->dial, settings->loop, settings->resolver, on_dialled, c);
	return c;
}

/* --- the end --- */

/* From here on nothing is read or sent; the rest comes with the timer. */
static void fail(struct redis_conn *c, const char *why) {
	if (c->state == CONN_CLOSED || c->state == CONN_ENDING)
		return;
	if (c->state != CONN_UP)
		redis_dial_next(&c->dial);
	snprintf(c->why, sizeof(c->why), "%s", why);
	c->state = CONN_ENDING;
	redis_dial_stop(&c->dial);
	evloop_io_stop(&c->io);
	evloop_timer_start(&c->timer, 0);
}

static void release(struct redis_conn *c) {
	evloop_io_stop(&c->io);
	evloop_timer_stop(&c->timer);
	redis_dial_stop(&c->dial);
	if (c->context != NULL)
		redisFree(c->context);
	c->context = NULL;
	c->tls = NULL;
	c->is_timing = false;
}

static void answer(struct list *first, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct command *k = list_entry(first, struct command, link);
	redis_conn_fn fn = k->fn;
	void *arg = k->arg;

	list_remove(&k->link);
	mem_free(k);
	fn(arg, outcome, reply);
}

/* Callbacks may call again: that is refused another time. */
static void refuse_all(struct redis_conn *c) {
	struct list all;

	list_init(&all);
	list_splice_tail(&all, &c->refused);
	while (!list_is_empty(&all))
		answer(all.next, REDIS_REFUSED, NULL);
}

static void on_refusal(void *arg) {
	refuse_all(arg);
}

/* What was never given to the kernel was surely not done. */
static void give_outcomes(struct redis_conn *c) {
	while (!list_is_empty(&c->commands)) {
		const struct command *k = list_entry(c->commands.next, struct command, link);

		answer(c->commands.next, k->begin >= c->sent ? REDIS_REFUSED : REDIS_LOST, NULL);
	}
	refuse_all(c);
}

static void end(struct redis_conn *c) {
	release(c);
	give_outcomes(c);
	c->state = CONN_CLOSED;
	c->ops->lost(c->arg, c->why);
}

void redis_conn_free(struct redis_conn **c) {
	if (*c == NULL)
		return;
	release(*c);
	(*c)->state = CONN_ENDING;
	give_outcomes(*c);
	refuse_all(*c);
	evloop_timer_stop(&(*c)->refusal);
	mem_free((*c)->argv);
	mem_free((*c)->argv_len);
	mem_free(*c);
	*c = NULL;
}

void redis_conn_close(struct redis_conn *c, const char *why) {
	fail(c, why);
}

bool redis_conn_is_up(const struct redis_conn *c) {
	return c->state == CONN_UP;
}

bool redis_conn_is_closed(const struct redis_conn *c) {
	return c->state == CONN_CLOSED;
}

const char *redis_conn_address(const struct redis_conn *c) {
	return c->dial.address;
}

/* --- deadlines --- */

static void fail_late(struct redis_conn *c, const char *what, uint64_t ms) {
	char text[96];

	snprintf(text, sizeof(text), "%s within %llu ms", what, (unsigned long long)ms);
	fail(c, text);
}

static uint64_t answer_due_ms(const struct redis_conn *c) {
	const struct command *oldest = list_entry(c->commands.next, struct command, link);
	uint64_t since = oldest->called_ms > c->heard_ms ? oldest->called_ms : c->heard_ms;

	return since + c->settings.command_ms;
}

/* Looked at when it may have passed, not moved at every answer. */
static void watch_answers(struct redis_conn *c) {
	uint64_t now = evloop_now_ms(c->settings.loop), due;

	c->is_timing = false;
	if (list_is_empty(&c->commands))
		return;
	due = answer_due_ms(c);
	if (now >= due) {
		fail_late(c, "no answer", c->settings.command_ms);
		return;
	}
	evloop_timer_start(&c->timer, due - now);
	c->is_timing = true;
}

static void receive(struct redis_conn *c);

static void on_timer(void *arg) {
	struct redis_conn *c = arg;

	switch (c->state) {
	case CONN_CLOSED:
		break;
	case CONN_ENDING:
		end(c);
		break;
	case CONN_DIALLING:
		fail_late(c, c->dial.question != NULL ? "the name was not resolved" : "no connection", c->settings.connect_ms);
		break;
	case CONN_LOGIN:
		fail_late(c, "no connection", c->settings.connect_ms);
		break;
	case CONN_UP:
		/* After a stop of this process the answer may be there already. */
		receive(c);
		if (c->state == CONN_UP)
			watch_answers(c);
		break;
	}
}

/* --- connecting --- */

void redis_conn_open(struct redis_conn *c, const struct redis_target *target) {
	BUG_ON(c->state != CONN_CLOSED);
	c->target = *target;
	c->taken = c->sent = 0;
	c->login_open = 0;
	c->state = CONN_DIALLING;
	evloop_timer_start(&c->timer, c->settings.connect_ms);
	redis_dial_start(&c->dial, target->host, target->port, target->path);
}

/* Who does not know AUTH says back what it was sent, or how that begins: of this only the code is told. */
static struct slice without_secret(const struct redis_conn *c, struct slice error) {
	size_t len = c->target.password != NULL ? strnlen(c->target.password, SECRET_PART) : 0;
	struct slice code = error, rest = error;

	if (len == 0 || error.len == 0 || memmem(error.ptr, error.len, c->target.password, len) == NULL)
		return error;
	slice_next_part(&rest, ' ', &code);
	return code;
}

static void on_login(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct redis_conn *c = arg;
	struct slice error = without_secret(c, redis_reply_error(reply));
	char text[200];

	if (outcome != REDIS_DONE || c->state != CONN_LOGIN)
		return;
	if (error.len > 0) {
		snprintf(text, sizeof(text), "login refused: %.*s", (int)(error.len < 150 ? error.len : 150), (const char *)error.ptr);
		fail(c, text);
		return;
	}
	if (--c->login_open > 0)
		return;
	c->state = CONN_UP;
	evloop_timer_stop(&c->timer);
	watch_answers(c);
	c->ops->up(c->arg);
}

/* A name in the list of clients is a help for people, whom an ACL or an old Sentinel may not grant it. Anything else that is said
 * here is meant for the connection. */
static void on_named(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct slice error = redis_reply_error(reply);
	bool is_harmless = slice_starts_with(error, "NOPERM") || slice_starts_with(error, "ERR unknown");

	on_login(arg, outcome, is_harmless ? NULL : reply);
}

static void log_in(struct redis_conn *c) {
	const struct redis_target *t = &c->target;
	char number[8];
	struct slice auth[3] = { slice_text("AUTH") }, pick[2] = { slice_text("SELECT") };
	struct slice name[3] = { slice_text("CLIENT"), slice_text("SETNAME"), slice_text(t->name) };
	size_t argc = 1;

	c->login_open = 1 + (t->password != NULL) + (t->database != 0);
	if (t->user != NULL)
		auth[argc++] = slice_text(t->user);
	if (t->password != NULL) {
		auth[argc++] = slice_text(t->password);
		redis_conn_command(c, auth, argc, on_login, c);
	}
	if (t->database != 0) {
		snprintf(number, sizeof(number), "%u", t->database);
		pick[1] = slice_text(number);
		redis_conn_command(c, pick, 2, on_login, c);
	}
	redis_conn_command(c, name, 3, on_named, c);
	redis_conn_flush(c);
}

static void on_dialled(void *arg, int fd, const char *why) {
	struct redis_conn *c = arg;
	const char *tls_host = c->target.tls_host != NULL ? c->target.tls_host : c->target.host;
	struct errbuf e;

	if (fd < 0) {
		fail(c, why);
		return;
	}
	c->context = redisConnectFd(fd);
	if (c->context == NULL)
		mem_exhausted(sizeof(*c->context));
	c->context->flags &= ~REDIS_BLOCK;
	c->state = CONN_LOGIN;
	if (c->target.is_tls) {
		c->tls = redis_tls_start(c->context, tls_host, &e);
		if (c->tls == NULL) {
			fail(c, e.text);
			return;
		}
	}
	evloop_io_start(c->settings.loop, &c->io, fd, EVLOOP_READ, on_io, c);
	log_in(c);
}

/* --- commands and answers --- */

/* hiredis has met an error; of a certificate it only says that nothing could be read. */
static void fail_by_error(struct redis_conn *c) {
	const char *refusal = c->tls != NULL ? redis_tls_refusal(c->tls) : NULL;
	char text[200];

	if (refusal == NULL) {
		fail(c, c->context->errstr);
		return;
	}
	snprintf(text, sizeof(text), "certificate refused: %s", refusal);
	fail(c, text);
}

static bool is_talking(const struct redis_conn *c) {
	return c->state == CONN_LOGIN || c->state == CONN_UP;
}

static void make_room(struct redis_conn *c, size_t argc) {
	if (argc <= c->argv_room)
		return;
	c->argv = mem_realloc(c->argv, argc * sizeof(*c->argv));
	c->argv_len = mem_realloc(c->argv_len, argc * sizeof(*c->argv_len));
	c->argv_room = argc;
}

/* The bytes that wait to be sent. */
static size_t output_bytes(const struct redis_conn *c) {
	return sdslen(c->context->obuf);
}

static void take_bytes(struct redis_conn *c, const struct slice *argv, size_t argc) {
	size_t before = output_bytes(c);

	make_room(c, argc);
	for (size_t i = 0; i < argc; i++) {
		c->argv[i] = argv[i].len > 0 ? (const char *)argv[i].ptr : "";
		c->argv_len[i] = argv[i].len;
	}
	if (redisAppendCommandArgv(c->context, (int)argc, c->argv, c->argv_len) != REDIS_OK)
		mem_exhausted(before);
	c->taken += output_bytes(c) - before;
}

void redis_conn_command(struct redis_conn *c, const struct slice *argv, size_t argc, redis_conn_fn fn, void *arg) {
	struct command *k = NULL;

	if (fn != NULL) {
		k = mem_alloc(sizeof(*k));
		*k = (struct command){ .fn = fn, .arg = arg, .begin = c->taken, .called_ms = evloop_now_ms(c->settings.loop) };
	}
	if (is_talking(c)) {
		take_bytes(c, argv, argc);
		if (k != NULL)
			list_add_tail(&c->commands, &k->link);
		if (c->state == CONN_UP && !c->is_timing)
			watch_answers(c);
	} else if (k != NULL) {
		list_add_tail(&c->refused, &k->link);
		evloop_timer_start(&c->refusal, 0);
	}
}

/* Without progress TLS waits for its peer's bytes (its own handshake), or for room: what comes next decides. */
static void send_output(struct redis_conn *c) {
	size_t before = output_bytes(c);
	int is_all = 0;
	bool is_stuck;

	if (redisBufferWrite(c->context, &is_all) != REDIS_OK) {
		c->sent = c->taken;
		fail_by_error(c);
		return;
	}
	/* Of what TLS was offered, it may have sent a part. */
	c->sent = c->target.is_tls ? c->taken : c->taken - output_bytes(c);
	is_stuck = c->target.is_tls && c->state == CONN_LOGIN && output_bytes(c) == before;
	evloop_io_want(&c->io, is_all || is_stuck ? EVLOOP_READ : EVLOOP_READ | EVLOOP_WRITE);
}

void redis_conn_flush(struct redis_conn *c) {
	if (is_talking(c) && output_bytes(c) > 0)
		send_output(c);
}

size_t redis_conn_waiting_bytes(const struct redis_conn *c) {
	return is_talking(c) ? output_bytes(c) : 0;
}

static void on_reply(struct redis_conn *c, const struct redis_reply *reply) {
	c->heard_ms = evloop_now_ms(c->settings.loop);
	if (!list_is_empty(&c->commands))
		answer(c->commands.next, REDIS_DONE, reply);
	else if (c->ops->push != NULL && c->state == CONN_UP)
		c->ops->push(c->arg, reply);
	else
		fail(c, "an answer came to nothing that was asked");
}

/* Callbacks may end the connection; what else came is not theirs any more then. */
static void take_replies(struct redis_conn *c) {
	void *reply = NULL;

	while (is_talking(c)) {
		if (redisGetReplyFromReader(c->context, &reply) != REDIS_OK) {
			fail(c, c->context->errstr);
			return;
		}
		if (reply == NULL)
			return;
		on_reply(c, reply);
		freeReplyObject(reply);
	}
}

static void receive(struct redis_conn *c) {
	for (int i = 0; i < READS_MAX && is_talking(c); i++) {
		size_t before = c->context->reader->len, got;

		if (redisBufferRead(c->context) != REDIS_OK) {
			fail_by_error(c);
			return;
		}
		got = c->context->reader->len - before;
		take_replies(c);
		if (got < READ_BYTES)
			return;
	}
}

static void on_io(int fd UNUSED, short ready, void *arg) {
	struct redis_conn *c = arg;

	if ((ready & EVLOOP_READ) != 0)
		receive(c);
	if (is_talking(c) && output_bytes(c) > 0 && ((ready & EVLOOP_WRITE) != 0 || c->state == CONN_LOGIN))
		send_output(c);
}
