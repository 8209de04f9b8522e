/*
 * redis_link - a redis_server with a loop around it, for tests: what comes up is written down
 */
#ifndef TESTS_UNIT_REDIS_LINK_H
#define TESTS_UNIT_REDIS_LINK_H

#include "broker/redis/redis_server.h"
#include "common/svc/stats.h"
#include "tests/unit/redis_fixture.h"

struct redis_link {
	struct evloop *loop;
	struct redis_server *server;
	struct redis_server_settings settings;
	struct evloop_timer late;
	bool is_late;
	struct buf heard;		/* messages: CHANNEL=PAYLOAD, one after the other with a blank */
	int ups, downs, listenings, deafs, subscribed, messages;
	int done, refused, lost;	/* outcomes of calls */
	char generation[64];		/* the latest */
	char order[64];			/* u d l D: up, down, listening, deaf, as they came */
};

/* Settings for a server on this port, with timeouts that fit tests; they may be changed before redis_link_start(). */
void redis_link_init(struct redis_link *k, uint16_t port);
void redis_link_start(struct redis_link *k);
void redis_link_fini(struct redis_link *k);
/* Turns until it holds; the test fails when it takes longer than 20 s. */
void redis_link_until(struct redis_link *k, bool (*condition)(const struct redis_link *k));
/* Turns for so long. */
void redis_link_run(struct redis_link *k, uint64_t ms);
/* Calls `channels`, which only reads. */
void redis_link_call(struct redis_link *k);
/* Calls `publish` for channel "a". */
void redis_link_call_writing(struct redis_link *k);
bool redis_link_is_ready(const struct redis_link *k);
uint64_t redis_link_stat(enum stat_id id);

#endif
