/* redis_listener - subscriptions: what is wanted, what the server was told, what it has confirmed */
#include "broker/redis/redis_listener.h"

#include "broker/redis/redis_backoff.h"
#include "broker/redis/redis_scripts.h"
#include "common/base/htab.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/svc/stats.h"

/* Channels in one command; and what may wait for a server that does not read. 100,000 of the longest names are half of it. */
enum { BATCH_MAX = 500, WAITING_MAX_BYTES = 64 << 20 };

struct sub {
	struct htab_node node;
	struct list changed;	/* on the list of those about which the server is told at the end of the turn */
	bool is_wanted;
	bool is_asked;		/* subscribed to since the server was told last */
	bool is_told;		/* the server takes it for subscribed, once it has read what was sent */
	uint32_t unconfirmed;	/* subscriptions sent */
	size_t len;
	uint8_t key[];		/* with prefix */
};

/* A command that grows until it is full. */
struct batch {
	struct slice argv[1 + BATCH_MAX];
	size_t argc;
};

struct redis_listener {
	const struct redis_listener_ops *ops;
	void *arg;
	struct evloop *loop;
	struct redis_conn *conn;
	struct slice probe_channel;
	struct buf key;			/* of the channel that is looked for; begins with the prefix */
	size_t prefix_len;
	struct htab subs;
	struct list changed;
	struct redis_target target;
	char *host, *tls_host;		/* owned; the target's */
	bool may_connect, is_listening;
	struct redis_backoff backoff;
	struct evloop_timer retry;
};

static void on_up(void *arg);
static void on_lost(void *arg, const char *why);
static void on_push(void *arg, const struct redis_reply *reply);

static const struct redis_conn_ops conn_ops = { .up = on_up, .lost = on_lost, .push = on_push };

static struct slice sub_key(const struct htab_node *node) {
	const struct sub *s = htab_entry(node, struct sub, node);

	return slice_of(s->key, s->len);
}

static void open_link(void *arg) {
	struct redis_listener *l = arg;

	if (l->may_connect && redis_conn_is_closed(l->conn))
		redis_conn_open(l->conn, &l->target);
}

struct redis_listener *redis_listener_new(const struct redis_conn_settings *settings, const char *prefix, struct slice probe_channel,
    const struct redis_listener_ops *ops, void *arg) {
	struct redis_listener *l = mem_zalloc(sizeof(*l));

	l->ops = ops;
	l->arg = arg;
	l->loop = settings->loop;
	l->probe_channel = probe_channel;
	l->conn = redis_conn_new(settings, &conn_ops, l);
	buf_init(&l->key, SIZE_MAX);
	redis_key(&l->key, prefix, 'c', slice_text("x"));
	l->prefix_len = --l->key.len;
	htab_init(&l->subs, sub_key);
	list_init(&l->changed);
	evloop_timer_init(settings->loop, &l->retry, open_link, l);
	return l;
}

static void sub_free(struct redis_listener *l, struct sub *s) {
	htab_remove(&l->subs, &s->node);
	list_remove(&s->changed);
	mem_free(s);
}

void redis_listener_free(struct redis_listener **l) {
	struct htab_node *node, *next;

	if (*l == NULL)
		return;
	redis_conn_free(&(*l)->conn);
	evloop_timer_stop(&(*l)->retry);
	for (node = htab_next(&(*l)->subs, NULL); node != NULL; node = next) {
		next = htab_next(&(*l)->subs, node);
		sub_free(*l, htab_entry(node, struct sub, node));
	}
	htab_fini(&(*l)->subs);
	buf_fini(&(*l)->key);
	mem_free((*l)->host);
	mem_free((*l)->tls_host);
	mem_free(*l);
	*l = NULL;
}

/* --- the link --- */

static bool is_same_text(const char *a, const char *b) {
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_target(const struct redis_target *a, const struct redis_target *b) {
	return is_same_text(a->name, b->name) && is_same_text(a->host, b->host) && is_same_text(a->path, b->path) && a->port == b->port &&
	    is_same_text(a->tls_host, b->tls_host);
}

static char *copy_of(const char *text) {
	return text != NULL ? mem_dup(text, strlen(text) + 1) : NULL;
}

static void set_target(struct redis_listener *l, const struct redis_target *target) {
	mem_free(l->host);
	mem_free(l->tls_host);
	l->host = copy_of(target->host);
	l->tls_host = copy_of(target->tls_host);
	l->target = *target;
	l->target.host = l->host;
	l->target.tls_host = l->tls_host;
}

void redis_listener_follow(struct redis_listener *l, const struct redis_target *target) {
	/* What a connection has been given is its own until it is lost. */
	if (!is_same_target(&l->target, target)) {
		redis_conn_close(l->conn, "the server is elsewhere now");
		set_target(l, target);
	}
	l->may_connect = true;
	l->backoff.ms = 0;
	evloop_timer_start(&l->retry, 0);
}

void redis_listener_hold(struct redis_listener *l) {
	l->may_connect = false;
	evloop_timer_stop(&l->retry);
}

void redis_listener_renew(struct redis_listener *l, const char *why) {
	redis_conn_close(l->conn, why);
}

bool redis_listener_is_listening(const struct redis_listener *l) {
	return l->is_listening;
}

/* --- telling the server --- */

static void batch_send(struct redis_listener *l, struct batch *b) {
	if (b->argc > 1)
		redis_conn_command(l->conn, b->argv, b->argc, NULL, NULL);
	b->argc = 1;
}

static void batch_add(struct redis_listener *l, struct batch *b, const struct sub *s) {
	b->argv[b->argc++] = slice_of(s->key, s->len);
	if (b->argc == ARRAY_LEN(b->argv))
		batch_send(l, b);
}

static void tell_subscribe(struct redis_listener *l, struct batch *b, struct sub *s) {
	s->is_asked = false;
	s->is_told = true;
	s->unconfirmed++;
	batch_add(l, b, s);
}

/* A channel is in one batch at most, so their order does not matter. */
void redis_listener_flush(struct redis_listener *l) {
	struct batch in = { .argv = { slice_text("SUBSCRIBE") }, .argc = 1 };
	struct batch out = { .argv = { slice_text("UNSUBSCRIBE") }, .argc = 1 };

	if (!l->is_listening)
		return;
	list_for_each_safe(it, &l->changed) {
		struct sub *s = list_entry(it, struct sub, changed);

		list_remove(&s->changed);
		if (s->is_wanted && s->is_asked) {
			tell_subscribe(l, &in, s);
		} else if (!s->is_wanted && s->is_told) {
			s->is_told = false;
			batch_add(l, &out, s);
		} else if (!s->is_wanted && s->unconfirmed == 0) {
			sub_free(l, s);
		}
	}
	batch_send(l, &in);
	batch_send(l, &out);
	redis_conn_flush(l->conn);
	if (redis_conn_waiting_bytes(l->conn) > WAITING_MAX_BYTES)
		redis_conn_close(l->conn, "it does not read what it is sent");
}

static void renew_all(struct redis_listener *l) {
	struct batch in = { .argv = { slice_text("SUBSCRIBE") }, .argc = 1 };

	for (struct htab_node *node = htab_next(&l->subs, NULL); node != NULL; node = htab_next(&l->subs, node)) {
		struct sub *s = htab_entry(node, struct sub, node);

		if (!s->is_wanted)
			continue;
		list_remove(&s->changed);
		tell_subscribe(l, &in, s);
	}
	batch_send(l, &in);
	redis_conn_flush(l->conn);
}

/* On a link that is gone nothing is subscribed, and nothing comes of what was sent. */
static void forget_all(struct redis_listener *l) {
	struct htab_node *node, *next;

	for (node = htab_next(&l->subs, NULL); node != NULL; node = next) {
		struct sub *s = htab_entry(node, struct sub, node);

		next = htab_next(&l->subs, node);
		s->is_told = false;
		s->unconfirmed = 0;
		if (!s->is_wanted)
			sub_free(l, s);
	}
}

/* --- what comes --- */

static void on_listening(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct redis_listener *l = arg;
	struct slice error = redis_reply_error(reply);
	char why[200];

	if (outcome != REDIS_DONE)
		return;
	if (error.len > 0) {
		snprintf(why, sizeof(why), "%.*s", (int)(error.len < 150 ? error.len : 150), (const char *)error.ptr);
		redis_conn_close(l->conn, why);
		return;
	}
	l->is_listening = true;
	l->backoff.ms = 0;
	stat_add(STAT_redis_connects, 1);
	stat_add(STAT_redis_listening, 1);
	l->ops->listening(l->arg);
	renew_all(l);
}

static void on_up(void *arg) {
	struct redis_listener *l = arg;
	struct slice argv[] = { slice_text("SUBSCRIBE"), l->probe_channel };

	redis_conn_command(l->conn, argv, ARRAY_LEN(argv), on_listening, l);
	redis_conn_flush(l->conn);
}

static void on_lost(void *arg, const char *why) {
	struct redis_listener *l = arg;
	bool was_listening = l->is_listening;

	l->is_listening = false;
	if (was_listening) {
		stat_add(STAT_redis_losses, 1);
		stat_sub(STAT_redis_listening, 1);
	}
	forget_all(l);
	if (l->may_connect)
		evloop_timer_start(&l->retry, redis_backoff_next(&l->backoff));
	l->ops->lost(l->arg, why, was_listening);
}

static struct sub *sub_find(const struct redis_listener *l, struct slice key) {
	struct htab_node *node = htab_find(&l->subs, key);

	return node != NULL ? htab_entry(node, struct sub, node) : NULL;
}

static struct slice channel_of(const struct redis_listener *l, struct slice key) {
	return slice_skip(key, l->prefix_len);
}

static void on_message(struct redis_listener *l, struct slice key, struct slice payload) {
	const struct sub *s;

	if (slice_eq(key, l->probe_channel)) {
		l->ops->probe(l->arg, payload);
		return;
	}
	stat_add(STAT_redis_messages, 1);
	s = sub_find(l, key);
	if (s != NULL && s->is_wanted)
		l->ops->message(l->arg, channel_of(l, key), payload);
}

static void on_subscribed(struct redis_listener *l, struct slice key) {
	struct sub *s = sub_find(l, key);

	if (s == NULL || s->unconfirmed == 0 || --s->unconfirmed > 0)
		return;
	if (s->is_wanted && !s->is_asked)
		l->ops->subscribed(l->arg, channel_of(l, key));
}

static void on_unsubscribed(struct redis_listener *l, struct slice key) {
	struct sub *s = sub_find(l, key);

	if (s != NULL && !s->is_wanted && !s->is_told && s->unconfirmed == 0)
		sub_free(l, s);
}

static void on_push(void *arg, const struct redis_reply *reply) {
	struct redis_listener *l = arg;
	struct slice kind = redis_reply_text(redis_reply_at(reply, 0)), key = redis_reply_text(redis_reply_at(reply, 1));
	struct slice error = redis_reply_error(reply);
	char why[200];

	l->ops->heard(l->arg);
	if (slice_eq_text(kind, "message")) {
		on_message(l, key, redis_reply_text(redis_reply_at(reply, 2)));
	} else if (slice_eq_text(kind, "subscribe")) {
		on_subscribed(l, key);
	} else if (slice_eq_text(kind, "unsubscribe")) {
		on_unsubscribed(l, key);
	} else {
		snprintf(why, sizeof(why), "%.*s", (int)(error.len < 150 ? error.len : 150), (const char *)error.ptr);
		redis_conn_close(l->conn, error.len > 0 ? why : "what came is not pub/sub");
	}
}

/* --- what is wanted --- */

static void changed(struct redis_listener *l, struct sub *s) {
	list_remove(&s->changed);
	list_add_tail(&l->changed, &s->changed);
}

static struct slice key_of(struct redis_listener *l, struct slice channel) {
	l->key.len = l->prefix_len;
	buf_add(&l->key, channel);
	return buf_slice(&l->key);
}

void redis_listener_subscribe(struct redis_listener *l, struct slice channel) {
	struct slice key = key_of(l, channel);
	struct sub *s = sub_find(l, key);

	if (s == NULL) {
		s = mem_zalloc(sizeof(*s) + key.len);
		s->len = key.len;
		memcpy(s->key, key.ptr, key.len);
		list_init(&s->changed);
		htab_add(&l->subs, &s->node);
	}
	s->is_wanted = true;
	s->is_asked = true;
	changed(l, s);
}

void redis_listener_unsubscribe(struct redis_listener *l, struct slice channel) {
	struct sub *s = sub_find(l, key_of(l, channel));

	if (s == NULL)
		return;
	s->is_wanted = false;
	s->is_asked = false;
	if (l->is_listening)
		changed(l, s);
	else
		sub_free(l, s);
}
