/* redis_sentinel - one question, put to the Sentinels in turn until one answers it */
#include "broker/redis/redis_sentinel.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "common/svc/redis_url.h"

enum { HOST_TEXT_MAX = 256 };

struct redis_sentinel {
	const struct text_list *sentinels;
	const char *master_name, *client_name;
	redis_sentinel_fn fn;
	void *arg;
	struct redis_conn *conn;
	char *host;		/* of the one that is asked */
	size_t at, tries;
	char master_host[HOST_TEXT_MAX];	/* empty: not found */
	uint16_t master_port;
};

static void on_up(void *arg);
static void on_lost(void *arg, const char *why);

static const struct redis_conn_ops conn_ops = { .up = on_up, .lost = on_lost };

struct redis_sentinel *redis_sentinel_new(const struct redis_conn_settings *settings, const struct text_list *sentinels,
    const char *master_name, const char *client_name, redis_sentinel_fn fn, void *arg) {
	struct redis_sentinel *s = mem_zalloc(sizeof(*s));

	s->sentinels = sentinels;
	s->master_name = master_name;
	s->client_name = client_name;
	s->fn = fn;
	s->arg = arg;
	s->conn = redis_conn_new(settings, &conn_ops, s);
	return s;
}

void redis_sentinel_free(struct redis_sentinel **s) {
	if (*s == NULL)
		return;
	redis_conn_free(&(*s)->conn);
	mem_free((*s)->host);
	mem_free(*s);
	*s = NULL;
}

static void ask_one(struct redis_sentinel *s) {
	struct redis_target target = { .name = s->client_name };
	struct errbuf e;

	mem_free(s->host);
	s->host = NULL;
	/* The configuration has been checked. */
	BUG_ON(!redis_url_parse_host(slice_text(s->sentinels->item[s->at]), REDIS_SENTINEL_PORT, &s->host, &target.port, &e));
	target.host = s->host;
	redis_conn_open(s->conn, &target);
}

void redis_sentinel_ask(struct redis_sentinel *s) {
	s->tries = 0;
	s->master_host[0] = '\0';
	ask_one(s);
}

static void on_answer(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct redis_sentinel *s = arg;
	struct slice host = redis_reply_text(redis_reply_at(reply, 0)), error = redis_reply_error(reply);
	uint64_t port = redis_reply_number(redis_reply_at(reply, 1));
	char why[200];

	if (outcome != REDIS_DONE)
		return;
	if (error.len > 0) {
		snprintf(why, sizeof(why), "%.*s", (int)(error.len < 150 ? error.len : 150), (const char *)error.ptr);
	} else if (host.len == 0 || host.len >= sizeof(s->master_host) || port == 0 || port > UINT16_MAX) {
		snprintf(why, sizeof(why), "it knows no master \"%.100s\"", s->master_name);
	} else {
		snprintf(s->master_host, sizeof(s->master_host), "%.*s", SLICE_ARGS(host));
		s->master_port = (uint16_t)port;
		snprintf(why, sizeof(why), "it has answered");
	}
	redis_conn_close(s->conn, why);
}

static void on_up(void *arg) {
	struct redis_sentinel *s = arg;
	struct slice argv[] = { slice_text("SENTINEL"), slice_text("get-master-addr-by-name"), slice_text(s->master_name) };

	redis_conn_command(s->conn, argv, ARRAY_LEN(argv), on_answer, s);
	redis_conn_flush(s->conn);
}

static void on_lost(void *arg, const char *why) {
	struct redis_sentinel *s = arg;
	char text[400];

	if (s->master_host[0] != '\0') {
		s->fn(s->arg, s->master_host, s->master_port, NULL);
		return;
	}
	snprintf(text, sizeof(text), "Sentinel %.150s: %s", s->sentinels->item[s->at], why);
	s->at = (s->at + 1) % s->sentinels->count;
	if (++s->tries < s->sentinels->count)
		ask_one(s);
	else
		s->fn(s->arg, NULL, 0, text);
}
