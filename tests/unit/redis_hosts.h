/*
 * redis_hosts - two hosts on one Redis: two engines on one loop, each with subscribers that do what a worker's hub does
 *
 * Everything that comes up is checked at once: publications without repeats and in one order, snapshots exactly behind what they
 * contain, answers once. What was published is in the books, which are closed at the end.
 */
#ifndef TESTS_UNIT_REDIS_HOSTS_H
#define TESTS_UNIT_REDIS_HOSTS_H

#include "broker/engine.h"
#include "broker/redis_channel.h"
#include "tests/unit/redis_fixture.h"

enum { HOSTS = 2, HOST_CHANNELS = 4, NUMBERS_MAX = 40000, HOST_MEMBERS = 8 };

/* One channel on one host. */
struct host_channel {
	struct redis_position at;
	bool is_subscribed, is_live, is_asked;
	unsigned resets, peeks;
	uint8_t seen[NUMBERS_MAX];	/* how often each publication came */
	uint32_t *order;	/* owned; their numbers as they came */
	size_t count;
	bool has[HOST_MEMBERS];	/* member "0" .., as told by joined and left */
	unsigned joined, left;
};

struct host {
	struct engine *engine;
	struct host_channel channel[HOST_CHANNELS];
	/* The last answers. */
	unsigned unavailable_reads, lists, results;
	struct { uint8_t flags; uint32_t member_count; uint64_t offset; char epoch[EPOCH_TEXT_MAX + 1]; uint32_t numbers[64]; size_t count; } history;
	char list[2048];	/* members or channels as "NAME NAME " */
	uint8_t list_result, more, member_result, is_new;
};

/* In the books. */
struct host_publication {
	uint8_t channel;
	uint8_t answers, result;	/* enum ipc_result */
	uint64_t offset;
	char epoch[EPOCH_TEXT_MAX + 1];
};

struct hosts {
	struct evloop *loop;
	struct host host[HOSTS];
	struct host_publication book[NUMBERS_MAX];
	uint32_t published;
	unsigned answered, rate;	/* rate: publications a turn while it runs */
	unsigned peek_rate;	/* snapshots a turn */
	bool is_in_turn;
};

extern struct hosts hosts;
extern const char *const host_channel_names[HOST_CHANNELS];

/* Options besides redis_url: "name=value", NULL ends them. */
void hosts_start(const char *urls, const char *const *options);
void hosts_end(void);
void hosts_run(uint64_t ms);
/* Fails the test when it does not come about. */
void hosts_until(bool (*condition)(void));
void hosts_subscribe(int host, int channel);
void hosts_unsubscribe(int host, int channel);
void hosts_subscribe_all(void);
bool hosts_all_live(void);
bool hosts_all_answered(void);
bool hosts_all_ready(void);
/* Returns its number. key: NULL: none. */
uint32_t hosts_publish(int host, int channel, const char *key);
/* Until answered. Ticket 1. */
void hosts_history(int host, int channel, uint8_t flags, const char *epoch, uint64_t offset, uint32_t limit);
void hosts_members(int host, int channel, uint32_t limit);
void hosts_channels(int host, const char *prefix, const char *after, uint32_t limit);
void hosts_member_add(int host, int channel, int member);
void hosts_member_remove(int host, int channel, int member);
/* All that was published has its one answer; acknowledged: came once to every live subscriber that was there all the time; unavailable:
 * never; and all hosts have one order. Waits until all subscribers have come to where Redis stands. */
void hosts_close_books(void);
unsigned hosts_count(enum ipc_result result);

#endif
