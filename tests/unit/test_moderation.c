/* test_moderation - orders that come as a history in pages, and live: what is obeyed, and when */
#include "server/moderation/moderation.h"

#include <check.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/outq.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "server/moderation/order.h"
#include "tests/unit/fake_broker.h"

enum { DAY = 86400 };

static struct evloop *loop;
static struct fake_broker broker;
static struct hub *hub;
static struct conns *conns;
static struct hub_form form;
static struct moderation moderation;
static struct config config;
static struct limits *limits;
static struct buf page;		/* the publications of the next answer */
static uint64_t started_ms;	/* wall clock */

static void turn_end(void *arg UNUSED) {
	hub_turn_end(hub);
	conns_turn_end(conns);
}

static void on_request(struct conn *c UNUSED, const struct http_request *r UNUSED, struct slice body UNUSED) {
}

static void on_gone(struct conn *c UNUSED) {
}

static size_t body_max(const struct http_request *r UNUSED, void *arg UNUSED) {
	return 0;
}

static const struct conn_host host = { .on_request = on_request, .on_gone = on_gone, .body_max = body_max };

static void setup(void) {
	struct conn_settings conn_settings = { .heartbeat_ms = 60000, .handshake_ms = 60000, .send_timeout_ms = 60000, .client_queue_bytes = 1 << 20 };
	struct hub_settings settings = { .role = HUB_WORKER, .link_queue_bytes = 4 << 20, .link_message_bytes = 8 << 20, .broker_timeout_ms = 3000 };
	struct errbuf err;

	log_set_level(LOG_ERROR);
	config_init(&config);
	ck_assert(config_set(&config, slice_text("limit_entries"), slice_text("1024"), &err));
	limits = limits_new(&config, 1, &err);
	ck_assert_ptr_nonnull(limits);
	limits_sit(limits, 0);
	loop = evloop_new();
	started_ms = evloop_wall_ms(loop);
	fake_broker_init(&broker, loop, turn_end, NULL);
	settings.broker = broker.address;
	conns = conns_new(loop, &conn_settings, &host);
	moderation_form_init(&form, &moderation);
	hub = hub_new(loop, &settings, &form, 1);
	moderation_start(&moderation, hub, 0, conns, limits);
	buf_init(&page, 4 << 20);
	fake_broker_take(&broker, IPC_hello);
	fake_broker_take(&broker, IPC_synced);
}

static void teardown(void) {
	moderation_stop(&moderation);
	conns_free(&conns);
	hub_free(&hub);
	fake_broker_fini(&broker);
	evloop_free(&loop);
	outq_free_spare();
	limits_free(&limits);
	config_fini(&config);
	buf_fini(&page);
}

/* --- the broker's side --- */

static struct slice encoded(enum order_action action, const char *user, uint32_t seconds, struct order_bytes *out) {
	struct order o = { .action = action, .seconds = seconds, .user = slice_text(user) };

	order_encode(&o, out);
	return slice_of(out->bytes, out->len);
}

/* Said so long after the start as its offset says: the clock of the test stands before all of them. */
static void history_has(uint64_t offset, enum order_action action, const char *user, uint32_t seconds) {
	struct ipc_publication p = { .offset = offset, .time_ms = started_ms + 1000 * offset, .kind = PAYLOAD_BINARY };
	struct order_bytes bytes;

	memcpy(p.key, &offset, sizeof(offset));
	p.data = encoded(action, user, seconds, &bytes);
	ipc_put_publication(&page, &p);
}

static void say_live(uint64_t offset, enum order_action action, const char *user, uint32_t seconds) {
	struct ipc_deliver d = { .channel = slice_text(IPC_MODERATION_CHANNEL), .epoch = slice_text("e"), .offset = offset,
		.time_ms = started_ms + 1000 * offset, .kind = PAYLOAD_BINARY };
	struct order_bytes bytes;

	memcpy(d.key, &offset, sizeof(offset));
	d.data = encoded(action, user, seconds, &bytes);
	fake_broker_send(&broker, IPC_deliver, &d);
	fake_broker_turns(&broker, 3);
}

static void answer(uint32_t request, uint8_t flags, const char *epoch, uint64_t top) {
	struct ipc_snapshot s = { .request = request, .flags = flags, .channel = slice_text(IPC_MODERATION_CHANNEL), .epoch = slice_text(epoch),
		.offset = top, .publications = buf_slice(&page) };

	fake_broker_send(&broker, IPC_snapshot, &s);
	page.len = 0;
	fake_broker_turns(&broker, 3);
}

static void answer_subscribe(uint64_t top) {
	answer(fake_broker_take(&broker, IPC_subscribe)->subscribe.request, 0, "e", top);
}

/* The question for the page behind this offset. */
static uint32_t asked_since(uint64_t offset) {
	const union ipc_any *m = fake_broker_take(&broker, IPC_history);

	ck_assert_uint_eq(m->history.offset, offset);
	return m->history.request;
}

static bool is_under(enum limit_sanction what, const char *user) {
	return limits_sanction_of(limits, slice_text(user), what, started_ms / 1000) != 0;
}

/* --- pages --- */

/* Who was banned on one page, and unbanned on a later one, is never banned in between. */
START_TEST(taken_back_on_a_later_page) {
	answer_subscribe(6);
	history_has(1, ORDER_BAN, "ada", DAY);
	history_has(2, ORDER_MUTE, "ada", DAY);
	history_has(3, ORDER_BAN, "bob", 0);
	answer(asked_since(0), IPC_SNAPSHOT_MORE, "e", 6);
	ck_assert(!is_under(LIMIT_BANNED, "ada"));
	history_has(4, ORDER_MUTE, "eve", DAY);
	history_has(5, ORDER_BAN, "bob", DAY);
	answer(asked_since(3), IPC_SNAPSHOT_MORE, "e", 6);
	ck_assert(!is_under(LIMIT_BANNED, "ada") && !is_under(LIMIT_BANNED, "bob"));
	history_has(6, ORDER_BAN, "ada", 0);
	answer(asked_since(5), 0, "e", 6);
	ck_assert(!is_under(LIMIT_BANNED, "ada") && is_under(LIMIT_MUTED, "ada"));
	ck_assert(is_under(LIMIT_BANNED, "bob") && is_under(LIMIT_MUTED, "eve"));
	fake_broker_expect_silence(&broker);
}
END_TEST

/* What is said live is done at once, and stands against what a page of the past says. */
START_TEST(live_between_pages) {
	answer_subscribe(4);
	history_has(1, ORDER_BAN, "ada", DAY);
	history_has(2, ORDER_BAN, "bob", 0);
	answer(asked_since(0), IPC_SNAPSHOT_MORE, "e", 4);
	say_live(5, ORDER_BAN, "ada", 0);
	say_live(6, ORDER_BAN, "bob", DAY);
	say_live(7, ORDER_MUTE, "eve", DAY);
	say_live(8, ORDER_MUTE, "eve", 0);
	ck_assert(is_under(LIMIT_BANNED, "bob") && !is_under(LIMIT_MUTED, "eve"));
	history_has(3, ORDER_BAN, "ada", DAY);
	history_has(4, ORDER_MUTE, "eve", DAY);
	answer(asked_since(2), 0, "e", 4);
	ck_assert(!is_under(LIMIT_BANNED, "ada") && is_under(LIMIT_BANNED, "bob") && !is_under(LIMIT_MUTED, "eve"));
	say_live(9, ORDER_BAN, "ada", DAY);
	ck_assert(is_under(LIMIT_BANNED, "ada"));
}
END_TEST

/* A page that cannot be had is asked for again; what was on those before is not forgotten. */
START_TEST(page_that_fails) {
	answer_subscribe(2);
	history_has(1, ORDER_BAN, "ada", DAY);
	answer(asked_since(0), IPC_SNAPSHOT_MORE, "e", 2);
	answer(asked_since(1), IPC_SNAPSHOT_UNAVAILABLE, "e", 0);
	ck_assert(!is_under(LIMIT_BANNED, "ada"));
	history_has(2, ORDER_BAN, "bob", DAY);
	answer(asked_since(1), 0, "e", 2);
	ck_assert(is_under(LIMIT_BANNED, "ada") && is_under(LIMIT_BANNED, "bob"));
}
END_TEST

/* In another epoch everything is read from the start. */
START_TEST(another_epoch_amid_pages) {
	answer_subscribe(2);
	history_has(1, ORDER_BAN, "ada", DAY);
	answer(asked_since(0), IPC_SNAPSHOT_MORE, "e", 2);
	answer(asked_since(1), 0, "f", 1);
	history_has(1, ORDER_BAN, "bob", DAY);
	answer(asked_since(0), 0, "f", 1);
	ck_assert(!is_under(LIMIT_BANNED, "ada") && is_under(LIMIT_BANNED, "bob"));
}
END_TEST

/* The channel may jump while a page is under way: that page is not one of those that are read then. */
START_TEST(jump_amid_pages) {
	uint32_t late;

	answer_subscribe(4);
	history_has(1, ORDER_BAN, "ada", DAY);
	history_has(2, ORDER_BAN, "bob", DAY);
	answer(asked_since(0), IPC_SNAPSHOT_MORE, "e", 4);
	late = asked_since(2);
	/* A gap, which the broker cannot fill. */
	say_live(9, ORDER_MUTE, "eve", DAY);
	answer(fake_broker_take(&broker, IPC_subscribe)->subscribe.request, 0, "e", 9);
	history_has(3, ORDER_BAN, "ada", 0);
	answer(late, 0, "e", 9);
	history_has(1, ORDER_BAN, "ada", DAY);
	history_has(2, ORDER_BAN, "bob", DAY);
	history_has(3, ORDER_BAN, "ada", 0);
	history_has(9, ORDER_MUTE, "eve", DAY);
	answer(asked_since(0), 0, "e", 9);
	ck_assert(!is_under(LIMIT_BANNED, "ada") && is_under(LIMIT_BANNED, "bob") && is_under(LIMIT_MUTED, "eve"));
	fake_broker_expect_silence(&broker);
}
END_TEST

/* More than is kept of a history: the oldest is obeyed early. */
START_TEST(endless_pages) {
	char user[16];

	answer_subscribe(2 * LAST_ORDERS_MAX);
	for (unsigned i = 1; i <= LAST_ORDERS_MAX + 1; i++) {
		snprintf(user, sizeof(user), "u%u", i);
		history_has(i, ORDER_MUTE, user, DAY);
	}
	answer(asked_since(0), IPC_SNAPSHOT_MORE, "e", 2 * LAST_ORDERS_MAX);
	asked_since(LAST_ORDERS_MAX + 1);
	ck_assert_uint_eq(moderation.last.by_key.count, LAST_ORDERS_MAX);
	ck_assert(is_under(LIMIT_MUTED, "u1") && !is_under(LIMIT_MUTED, "u2"));
}
END_TEST

/* --- lines of the log --- */

static size_t lines_of(int fd, const char *text) {
	static char got[1 << 20];
	ssize_t len = pread(fd, got, sizeof(got) - 1, 0);
	size_t n = 0;

	ck_assert_int_ge(len, 0);
	got[len] = '\0';
	for (const char *at = strstr(got, text); at != NULL; at = strstr(at + 1, text))
		n++;
	return n;
}

static bool is_read(void *arg UNUSED) {
	return !moderation.is_reading;
}

/* Each is counted; of a flood the first has its line. */
START_TEST(no_room) {
	uint64_t before = stat_get(stats_own, STAT_sanctions_dropped);
	int saved = dup(STDERR_FILENO), file = memfd_create("lines", MFD_CLOEXEC);
	char user[16];

	answer_subscribe(3000);
	for (unsigned i = 1; i <= 3000; i++) {
		snprintf(user, sizeof(user), "u%u", i);
		history_has(i, i % 3 > 0 ? ORDER_BAN : ORDER_MUTE, user, DAY);
	}
	dup2(file, STDERR_FILENO);
	answer(asked_since(0), 0, "e", 3000);
	fake_broker_wait(&broker, is_read, NULL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	ck_assert_uint_ge(stat_get(stats_own, STAT_sanctions_dropped), before + 3000 - 1024);
	ck_assert_uint_eq(lines_of(file, "no room for bans"), 1);
	ck_assert_uint_eq(lines_of(file, "no room for mutes"), 1);
	ck_assert_uint_eq(lines_of(file, "no room"), 2);
	close(file);
}
END_TEST

Suite *suite_moderation(void);

Suite *suite_moderation(void) {
	Suite *s = suite_create("moderation");
	TCase *t = tcase_create("moderation");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, taken_back_on_a_later_page);
	tcase_add_test(t, live_between_pages);
	tcase_add_test(t, page_that_fails);
	tcase_add_test(t, another_epoch_amid_pages);
	tcase_add_test(t, jump_amid_pages);
	tcase_add_test(t, endless_pages);
	tcase_add_test(t, no_room);
	suite_add_tcase(s, t);
	return s;
}
