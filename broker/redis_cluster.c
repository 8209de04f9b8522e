/* redis_cluster - what nodes say of themselves with every beat, and whether they have the same list of servers */
#include <stdio.h>
#include <unistd.h>

#include "broker/redis_parts.h"
#include "common/base/mem.h"
#include "common/svc/stats.h"

enum { SAID_MAX_BYTES = 2048, HOST_NAME_MAX_BYTES = 64 };

/* As it stands in JSON: what could end a text is left out. */
static void add_host_name(struct buf *out) {
	char name[HOST_NAME_MAX_BYTES + 1] = "";

	(void)gethostname(name, sizeof(name) - 1);
	for (const char *c = name; *c != '\0'; c++) {
		if ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '-' || *c == '.' || *c == '_')
			buf_add_u8(out, (uint8_t)*c);
	}
}

/* By what nodes compare their lists. A single one is the same for all who meet there, by whatever name they call it. */
static const char *list_of(const struct engine *e) {
	return e->shard_count > 1 ? e->ring.digest : "one";
}

void cluster_describe(void *engine, struct buf *out) {
	const struct engine *e = engine;
	uint64_t start = stats_shared != NULL ? atomic_load(&stats_shared->host.start_wall_ms) : e->start_wall_ms;
	uint64_t connections = stats_shared != NULL ? stats_sum(stats_shared, STAT_connections) : 0;

	buf_addf(out, "{\"node\":\"%s\",\"host\":\"", e->node);
	add_host_name(out);
	buf_addf(out, "\",\"version\":\"%s\",\"uptime_seconds\":%llu,\"connections\":%llu,\"servers\":\"%s\"}", HEROLD_VERSION,
	    (unsigned long long)(e->wall_ms > start ? (e->wall_ms - start) / 1000 : 0), (unsigned long long)connections, list_of(e));
}

/* The value of a member that cluster_describe() has written; empty: there is none. A text is without its quotes. */
static struct slice value_of(const char *said, const char *name) {
	char wanted[32];
	const char *at, *end;

	snprintf(wanted, sizeof(wanted), "\"%s\":", name);
	at = strstr(said, wanted);
	if (at == NULL)
		return SLICE_EMPTY;
	at += strlen(wanted);
	at += *at == '"';
	end = at + strcspn(at, "\",}");
	return slice_of(at, (size_t)(end - at));
}

/* A text without escapes, or a number. False: it is neither. */
static bool skip_value(const char **at) {
	const char *c = *at;

	if (*c == '"') {
		for (c++; *c != '"'; c++) {
			if (*c < ' ' || *c > '~' || *c == '\\')
				return false;
		}
		*at = c + 1;
		return true;
	}
	*at += strspn(c, "0123456789");
	return *at > c && (*c != '0' || *at == c + 1);
}

/* As cluster_describe() writes it: what stands there goes to others as it is, and newer nodes may say more. */
static bool is_description(const char *said) {
	const char *at = said;

	do {
		if (*at != (at == said ? '{' : ',') || *++at != '"' || !skip_value(&at) || *at++ != ':' || !skip_value(&at))
			return false;
	} while (*at != '}');
	return at[1] == '\0';
}

static struct shard *shard_of(const struct engine *e, const struct redis_server *server) {
	for (size_t i = 0; i < e->shard_count; i++) {
		if (e->shards[i].server == server)
			return &e->shards[i];
	}
	return NULL;
}

static void forget(struct shard *s) {
	for (size_t i = 0; i < s->said_count; i++)
		mem_free(s->said[i]);
	mem_free(s->said);
	s->said = NULL;
	s->said_count = 0;
}

void cluster_on_nodes(void *engine, const struct redis_server *server, const struct redis_reply *nodes) {
	struct shard *s = shard_of(engine, server);
	size_t count = redis_reply_count(nodes);

	if (s == NULL)
		return;
	forget(s);
	s->said = mem_alloc((count + 1) * sizeof(*s->said));
	for (size_t i = 0; i < count; i++) {
		struct slice said = redis_reply_text(redis_reply_at(nodes, i));

		char *text;

		if (said.len > SAID_MAX_BYTES)
			continue;
		/* Whoever may write into Redis may have written it. */
		text = slice_dup_text(said);
		if (strlen(text) == said.len && is_description(text))
			s->said[s->said_count++] = text;
		else
			mem_free(text);
	}
}

void cluster_fini(struct shard *s) {
	forget(s);
}

/* All servers say the same, but one that is down says it no more. */
static const struct shard *best_shard(const struct engine *e) {
	const struct shard *best = &e->shards[0];

	for (size_t i = 1; i < e->shard_count; i++) {
		const struct shard *s = &e->shards[i];

		if (redis_server_is_up(s->server) > redis_server_is_up(best->server) ||
		    (redis_server_is_up(s->server) == redis_server_is_up(best->server) && s->said_count > best->said_count))
			best = s;
	}
	return best;
}

void cluster_nodes(const struct engine *e, struct buf *out) {
	const struct shard *s = best_shard(e);
	size_t start = out->len;

	buf_add_text(out, "[");
	for (size_t i = 0; i < s->said_count && out->max - out->len > 2 * SAID_MAX_BYTES; i++) {
		if (out->len > start + 1)
			buf_add_text(out, ",");
		buf_add_text(out, s->said[i]);
	}
	buf_add_text(out, "]");
}

struct slice cluster_opponent(const struct engine *e) {
	for (size_t i = 0; i < e->shard_count; i++) {
		const struct shard *s = &e->shards[i];

		for (size_t k = 0; k < s->said_count; k++) {
			struct slice list = value_of(s->said[k], "servers");

			if (list.len > 0 && !slice_eq_text(list, list_of(e)))
				return value_of(s->said[k], "node");
		}
	}
	return SLICE_EMPTY;
}
