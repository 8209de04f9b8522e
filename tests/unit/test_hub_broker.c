/*
 * test_hub_broker - two hubs and a real broker that keeps dying
 *
 * The words of the promise are counted: acknowledged = on both sides exactly once, uncertain = at most once until it is sent again,
 * unavailable = never. Everything that was not acknowledged is sent again with its key, so in the end each message must have
 * reached both hubs exactly once, in one order within each epoch.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/base/mem.h"
#include "common/base/outq.h"
#include "common/svc/log.h"
#include "common/svc/sock.h"
#include "server/hub/hub.h"

enum { HUBS = 2, MESSAGES = 1500, DEATHS = 25, UNDER_WAY = 4 };

struct side {
	struct hub *hub;
	struct hub_client client;
	struct hub_form form;
	unsigned seen[HUBS * MESSAGES];
	struct hub_position at;
	unsigned resets, next, under_way, acknowledged, uncertain, unavailable;
	bool is_in;
};

struct try {
	unsigned side, message;
};

static struct evloop *loop;
static struct broker *broker;
static struct sock_addr address;
static struct side sides[HUBS];
static struct evloop_timer deadline;
static unsigned deaths;

static void send_try(unsigned side, unsigned message);

/* --- what arrives --- */

static uint8_t on_publication(const struct hub_publication *p, struct buf *out UNUSED, void *arg) {
	struct side *s = arg;
	uint64_t n;

	ck_assert(slice_to_u64(p->data, &n));
	ck_assert_uint_lt(n, HUBS * MESSAGES);
	s->seen[n]++;
	ck_assert_msg(slice_eq_text(p->epoch, s->at.epoch), "another epoch without a word");
	ck_assert_uint_gt(p->offset, s->at.offset);
	s->at.offset = p->offset;
	return HUB_SKIP;
}

static uint8_t on_member_event(const struct hub_member_event *m UNUSED, unsigned part UNUSED, bool *count_later UNUSED,
    struct buf *out UNUSED, void *arg UNUSED) {
	return HUB_SKIP;
}

static uint8_t on_member_count(struct slice channel UNUSED, uint32_t count UNUSED, struct buf *out UNUSED, void *arg UNUSED) {
	return HUB_SKIP;
}

static uint8_t on_reset(struct slice channel UNUSED, const struct hub_position *p, struct buf *out UNUSED, void *arg) {
	struct side *s = arg;

	s->resets++;
	s->at = *p;
	return HUB_SKIP;
}

static void on_subscribed(struct hub_client *c, void *cookie UNUSED, const struct hub_snapshot *snapshot) {
	struct side *s = container_of(c, struct side, client);

	ck_assert_int_eq(snapshot->result, IPC_OK);
	s->at = snapshot->position;
	s->is_in = true;
}

/* --- what is sent --- */

static void on_published(struct hub_client *c, void *cookie, const struct hub_result *r) {
	struct side *s = container_of(c, struct side, client);
	const struct try *t = cookie;

	if (r->result <= IPC_REPEATED) {
		s->acknowledged++;
		s->under_way--;
		return;
	}
	if (r->result == IPC_UNCERTAIN)
		s->uncertain++;
	else
		s->unavailable++;
	send_try(t->side, t->message);
}

static void send_try(unsigned side, unsigned message) {
	struct try *t = mem_alloc(sizeof(*t));
	unsigned n = side * MESSAGES + message;
	uint8_t key[IPC_KEY_BYTES] = { 1, (uint8_t)(n >> 8), (uint8_t)n };
	char text[16];

	*t = (struct try){ side, message };
	snprintf(text, sizeof(text), "%u", n);
	hub_publish(&sides[side].client, slice_text("c"), key, 0, PAYLOAD_TEXT, slice_text(text), on_published, t);
}

/* --- the processes --- */

static void broker_start(void) {
	struct broker_settings settings = {
		.engine = &engine_memory,
		.limits = { .history_count = 1000, .history_bytes = 1 << 20, .history_total_bytes = 1 << 24,
		    .idempotency_total_bytes = 1 << 24, .history_ms = 60000, .idempotency_ms = 60000, .reply_max_bytes = 1 << 20 },
		.message_max_bytes = 4 << 20,
		.queue_max_bytes = 4 << 20,
		.crash_grace_ms = 1000,
		.expected_links = HUBS,
	};
	struct errbuf e;
	int fd = sock_listen(&address, 16, &e);

	ck_assert_msg(fd >= 0, "%s", e.text);
	broker = broker_new(loop, fd, &settings);
}

/* After so many acknowledgements each time, now before and now after what it has done in this turn went out. */
static void die_now_and_then(bool is_after_flush) {
	if (deaths >= DEATHS || sides[0].acknowledged + sides[1].acknowledged < (deaths + 1) * HUBS * MESSAGES / (DEATHS + 1) ||
	    is_after_flush != (deaths % 2 == 0))
		return;
	broker_free(&broker);
	broker_start();
	deaths++;
}

static void on_deadline(void *arg UNUSED) {
	ck_abort_msg("not done in time");
}

static bool is_done(void) {
	for (unsigned i = 0; i < HUBS; i++) {
		if (sides[i].acknowledged < MESSAGES)
			return false;
	}
	return deaths >= DEATHS;
}

static void on_turn_end(void *arg UNUSED) {
	for (unsigned i = 0; i < HUBS; i++) {
		struct side *s = &sides[i];

		while (sides[0].is_in && sides[1].is_in && s->under_way < UNDER_WAY && s->next < MESSAGES) {
			s->under_way++;
			send_try(i, s->next++);
		}
		hub_turn_end(s->hub);
	}
	die_now_and_then(false);
	broker_turn_end(broker);
	die_now_and_then(true);
	if (is_done())
		evloop_stop(loop);
}

static void side_open(struct side *s) {
	struct hub_settings settings = {
		.broker = address,
		.link_queue_bytes = 4 << 20,
		.link_message_bytes = 4 << 20,
		.broker_timeout_ms = 5000,
		.linger_ms = 1000,
	};

	memset(s, 0, sizeof(*s));
	s->form = (struct hub_form){ "test", on_publication, on_member_event, on_member_count, on_reset, s };
	s->hub = hub_new(loop, &settings, &s->form, 1);
	hub_client_init(s->hub, &s->client, NULL, 0);
}

static bool are_linked(void) {
	return hub_is_linked(sides[0].hub) && hub_is_linked(sides[1].hub);
}

static void turn_once(void *arg) {
	on_turn_end(arg);
	evloop_stop(loop);
}

START_TEST(no_message_is_lost_or_doubled) {
	struct errbuf e;
	char name[64];

	log_set_level(LOG_ERROR);
	loop = evloop_new();
	deaths = 0;
	snprintf(name, sizeof(name), "unix:@herold-test-hub-broker-%d", getpid());
	ck_assert(sock_parse(name, &address, &e));
	broker_start();
	for (unsigned i = 0; i < HUBS; i++)
		side_open(&sides[i]);
	evloop_timer_init(loop, &deadline, on_deadline, NULL);
	evloop_timer_start(&deadline, 20000);
	evloop_on_turn_end(loop, turn_once, NULL);
	while (!are_linked())
		evloop_run(loop);
	for (unsigned i = 0; i < HUBS; i++)
		hub_subscribe(&sides[i].client, slice_text("c"), 0, NULL, 0, 0, on_subscribed, NULL);
	evloop_on_turn_end(loop, on_turn_end, NULL);
	evloop_run(loop);
	/* What was acknowledged last is on its way to the other hub. */
	evloop_on_turn_end(loop, turn_once, NULL);
	for (int i = 0; i < 50; i++) {
		evloop_do_not_wait(loop);
		evloop_run(loop);
	}
	for (unsigned i = 0; i < HUBS; i++) {
		ck_assert_uint_ge(sides[i].resets, DEATHS / 2);
		for (unsigned n = 0; n < HUBS * MESSAGES; n++)
			ck_assert_msg(sides[i].seen[n] == 1, "hub %u saw message %u %u times", i, n, sides[i].seen[n]);
	}
	ck_assert_uint_gt(sides[0].uncertain + sides[1].uncertain, 0);
	ck_assert_uint_gt(sides[0].unavailable + sides[1].unavailable, 0);
	for (unsigned i = 0; i < HUBS; i++) {
		hub_client_fini(&sides[i].client, 0);
		hub_free(&sides[i].hub);
	}
	evloop_timer_stop(&deadline);
	broker_free(&broker);
	evloop_free(&loop);
	outq_free_spare();
}
END_TEST

Suite *suite_hub_broker(void);

Suite *suite_hub_broker(void) {
	Suite *s = suite_create("hub_broker");
	TCase *t = tcase_create("deaths");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, no_message_is_lost_or_doubled);
	suite_add_tcase(s, t);
	return s;
}
