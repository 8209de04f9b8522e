/* test_conn_memory - who is let go when memory is short, and who is not let in; the kernel's part is a file that the test writes */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/svc/log.h"
#include "tests/unit/conn_world.h"

enum { BOUND = 8 << 20, MANY = 600, CLIENTS_MAX = MANY };

static struct memory_watch watch;
static FILE *sockstat;
static struct conn *conns[CLIENTS_MAX];
static int ends[CLIENTS_MAX];
static int client_count;

static void kernel_has(uint64_t bytes) {
	rewind(sockstat);
	fprintf(sockstat, "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem %-20llu\n", (unsigned long long)(bytes / (uint64_t)sysconf(_SC_PAGESIZE)));
	fflush(sockstat);
}

static void setup(void) {
	struct conn_settings settings = {
		.heartbeat_ms = 60000,
		.handshake_ms = 60000,
		.send_timeout_ms = 60000,
		.client_queue_bytes = 4 << 20,
		.memory = &watch,
		.memory_bytes = BOUND,
	};

	sockstat = tmpfile();
	ck_assert_ptr_nonnull(sockstat);
	watch = (struct memory_watch){ .fd = fileno(sockstat) };
	kernel_has(0);
	client_count = 0;
	world_setup_with(&settings);
}

/* Every byte that was counted is taken off again. */
static void teardown(void) {
	for (int i = 0; i < client_count; i++)
		close(ends[i]);
	ck_assert(w.client < 0);
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	world_run(NULL, 1);
	ck_assert_uint_eq(stat_get(stats_own, STAT_client_input_bytes), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_client_queue_bytes), 0);
	world_teardown();
	fclose(sockstat);
}

static uint64_t input_bytes(void) {
	world_run(NULL, 1);
	return stat_get(stats_own, STAT_client_input_bytes);
}

static bool is_upgraded(void) {
	return w.opened != NULL;
}

/* Another WebSocket: its number. */
static int client(void) {
	int mine = w.client >= 0 ? w.client : world_open_one(4096);

	ck_assert_int_lt(client_count, CLIENTS_MAX);
	/* A new connection may lie where one was that is gone. */
	w.opened = NULL;
	world_look_at(mine);
	world_send_text("GET /ws HTTP/1.1\r\n" HANDSHAKE);
	ck_assert(world_run(is_upgraded, GIVE_UP_MS));
	world_expect("\r\n\r\n");
	w.client = -1;
	conns[client_count] = w.opened;
	ends[client_count] = mine;
	return client_count++;
}

/* Reads nothing of so many bytes. */
static int stalled(size_t bytes) {
	uint8_t *data = mem_zalloc(bytes);
	int i = client();

	conn_send(conns[i], WS_BINARY, slice_of(data, bytes));
	mem_free(data);
	world_run(NULL, 1);
	return i;
}

/* Its connection has not been ended. */
static bool is_in(int i) {
	struct pollfd p = { .fd = ends[i], .events = POLLRDHUP };

	return poll(&p, 1, 0) == 0;
}

/* Has sent so many bytes of a message that is longer. */
static int half_sent(size_t bytes) {
	uint8_t *frame = mem_alloc(MESSAGE_MAX + WS_HEADER_MAX), *payload = mem_zalloc(MESSAGE_MAX);
	int i = client();

	world_put_frame(frame, WS_FIN | WS_BINARY, payload, MESSAGE_MAX);
	for (size_t done = 0; done < bytes;) {
		ssize_t n = send(ends[i], frame + done, bytes - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		done += n > 0 ? (size_t)n : 0;
		world_run(NULL, 1);
	}
	mem_free(payload);
	mem_free(frame);
	return i;
}

static bool is_enough_again(void) {
	return stat_get(stats_own, STAT_memory_held_bytes) == 0;
}

static bool was_weighed(void) {
	return stat_get(stats_own, STAT_memory_held_bytes) > 0;
}

static uint64_t let_go(void) {
	return world_closed_with(CLOSE_memory_pressure);
}

static bool has_let_go(void) {
	return let_go() > 0;
}

/* Lets several looks pass. */
static void look_on(void) {
	world_run(NULL, 900);
}

START_TEST(input_is_counted) {
	uint64_t one;

	ck_assert_uint_eq(input_bytes(), 0);
	client();
	ck_assert_uint_eq(input_bytes(), 0);
	half_sent(100000);
	one = input_bytes();
	ck_assert_uint_ge(one, 100000);
	ck_assert_uint_lt(one, 300000);
	half_sent(100000);
	ck_assert_uint_eq(input_bytes(), 2 * one);
	w.client = world_open_one(0);
	world_send_text("GET /path HTTP/1.1\r\nHost: a\r\n");
	ck_assert_uint_ge(input_bytes(), 2 * one + 28);
	ck_assert_uint_lt(input_bytes(), 2 * one + 1000);
	world_send_text("\r\n");
	world_expect("/path");
	ck_assert_uint_eq(input_bytes(), 2 * one);
	world_leave();
	close(ends[--client_count]);
	while (input_bytes() != one)
		;
}
END_TEST

START_TEST(a_whole_message_is_not_counted) {
	uint8_t part[1000] = { 0 };
	int i = client();

	w.client = ends[i];
	for (int n = 0; n < 5; n++)
		world_send_frame(n == 0 ? WS_BINARY : WS_CONTINUATION, part, sizeof(part));
	ck_assert_uint_ge(input_bytes(), 5000);
	world_send_frame(WS_FIN | WS_CONTINUATION, part, sizeof(part));
	world_run(NULL, 20);
	ck_assert_uint_eq(input_bytes(), 0);
	ck_assert_int_eq(w.message_count, 1);
	w.client = -1;
}
END_TEST

START_TEST(there_is_enough) {
	stalled(1 << 20);
	half_sent(100000);
	kernel_has(BOUND / 2);
	look_on();
	ck_assert_uint_eq(let_go(), 0);
	ck_assert(!was_weighed());
}
END_TEST

/* 5.7 MiB are held, and the kernel has 3.2: to come down to 6, 2.9 have to go. */
START_TEST(who_holds_most_goes) {
	int idle = client(), small = stalled(512 << 10), big = stalled(3 << 20), middle = stalled(2 << 20), half = half_sent(MESSAGE_MAX);

	kernel_has(BOUND / 5 * 2);
	ck_assert(world_run(has_let_go, GIVE_UP_MS));
	ck_assert(!is_in(big));
	look_on();
	ck_assert_uint_eq(let_go(), 1);
	ck_assert(is_in(idle) && is_in(small) && is_in(middle) && is_in(half));
	ck_assert_int_eq(w.by_server_count, 1);
	ck_assert(world_run(is_enough_again, GIVE_UP_MS));
}
END_TEST

START_TEST(who_holds_nothing_stays) {
	int idle = client(), little = half_sent(1000), stuck = stalled(200000);

	kernel_has(10 * (uint64_t)BOUND);
	ck_assert(world_run(has_let_go, GIVE_UP_MS));
	look_on();
	ck_assert_uint_eq(let_go(), 1);
	ck_assert(!is_in(stuck));
	ck_assert(is_in(idle) && is_in(little));
	kernel_has(0);
}
END_TEST

/* One has stood still for seconds; the other, who holds more, has just got it. */
START_TEST(who_stands_still_goes_first) {
	int still = stalled(2 << 20), fresh;

	world_run(NULL, 3200);
	fresh = stalled(5 << 19);
	kernel_has(BOUND - (20 << 18));
	ck_assert(world_run(has_let_go, GIVE_UP_MS));
	ck_assert(!is_in(still));
	ck_assert(is_in(fresh));
	kernel_has(0);
}
END_TEST

/* Its input is free at once, and what it sends on is no reason for anything. */
START_TEST(half_messages_end_with_a_reason) {
	int i = half_sent(150000);
	uint8_t rest[50000] = { 0 };

	kernel_has(2 * (uint64_t)BOUND);
	world_look_at(ends[i]);
	world_expect_close(1013, "the server is short of memory, reconnect to recover");
	ck_assert_uint_eq(input_bytes(), 0);
	world_send_bytes(rest, sizeof(rest));
	world_run(NULL, 20);
	ck_assert_uint_eq(input_bytes(), 0);
	client_count--;
	world_expect_end();
	ck_assert_uint_eq(let_go(), 1);
	kernel_has(0);
}
END_TEST

START_TEST(half_requests_end_with_a_status) {
	char head[6000];

	memset(head, 'x', sizeof(head));
	memcpy(head, "GET /", 5);
	world_send_bytes(head, sizeof(head));
	ck_assert_uint_ge(input_bytes(), sizeof(head));
	kernel_has(2 * (uint64_t)BOUND);
	world_expect("HTTP/1.1 503 ");
	world_expect("Retry-After: ");
	world_expect("{\"status\":503,\"error\":\"The server is short of memory; try again.\"}\n");
	ck_assert_uint_eq(input_bytes(), 0);
	world_expect_end();
	ck_assert_uint_eq(let_go(), 1);
	kernel_has(0);
}
END_TEST

/* Whoever is in stays, and pages are there. In between, what was decided stands. */
START_TEST(newcomers_are_refused) {
	static const struct {
		unsigned percent;
		bool is_refused;
	} steps[] = { { 94, false }, { 96, true }, { 92, true }, { 89, false }, { 92, false } };
	uint64_t refused = stat_get(stats_own, STAT_upgrades_refused_memory);
	int idle = client();

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		kernel_has((uint64_t)BOUND / 100 * steps[i].percent);
		look_on();
		world_look_at(world_open_one(0));
		world_send_text(GET("/page"));
		world_expect("/page");
		world_forget();
		world_send_text("GET /ws HTTP/1.1\r\n" HANDSHAKE);
		world_expect(steps[i].is_refused ? "HTTP/1.1 503 " : "HTTP/1.1 101 ");
		world_expect(steps[i].is_refused ? "try again.\"}\n" : "\r\n\r\n");
		refused += steps[i].is_refused;
		ck_assert_uint_eq(stat_get(stats_own, STAT_upgrades_refused_memory), refused);
		world_leave();
		ck_assert(is_in(idle));
	}
	ck_assert_uint_eq(let_go(), 0);
}
END_TEST

/* What the log said meanwhile, a letter for each line: Tight, or Enough. */
static const char *lines_of(void (*what)(void)) {
	static char shown[32];
	char got[8192];
	int pipe_ends[2], saved = dup(STDERR_FILENO);
	size_t count = 0;
	ssize_t len;

	ck_assert_int_eq(pipe2(pipe_ends, O_NONBLOCK), 0);
	dup2(pipe_ends[1], STDERR_FILENO);
	log_set_level(LOG_INFO);
	what();
	log_set_level(LOG_ERROR);
	dup2(saved, STDERR_FILENO);
	len = read(pipe_ends[0], got, sizeof(got) - 1);
	got[len > 0 ? len : 0] = '\0';
	for (const char *at = got; (at = strstr(at, "message=\"")) != NULL && count + 1 < sizeof(shown);) {
		at += strlen("message=\"");
		shown[count++] = *at == 'm' ? 'T' : *at == 't' ? 'E' : '?';
	}
	shown[count] = '\0';
	close(saved);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	return shown;
}

static void kernel_has_part(unsigned percent) {
	kernel_has((uint64_t)BOUND / 100 * percent);
	look_on();
}

/* As in an attack: who comes fills it, and goes for it. */
static void back_and_forth(void) {
	for (int i = 0; i < 4; i++) {
		kernel_has_part(86);
		kernel_has_part(97);
		kernel_has_part(79);
	}
}

static void calm(void) {
	world_run(NULL, 6000);
}

/* Tight is said once, and that it is over only when it lasts: also when nobody is there any more. */
START_TEST(the_log_is_calm) {
	client();
	kernel_has_part(84);
	ck_assert_str_eq(lines_of(look_on), "");
	ck_assert_str_eq(lines_of(back_and_forth), "T");
	close(ends[--client_count]);
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_str_eq(lines_of(calm), "E");
	ck_assert_str_eq(lines_of(calm), "");
	client();
	ck_assert_str_eq(lines_of(back_and_forth), "T");
	kernel_has(0);
	ck_assert_str_eq(lines_of(calm), "E");
}
END_TEST

/* Nobody has looked since all were gone, and there is enough now. */
START_TEST(not_refused_for_what_was) {
	client();
	kernel_has(BOUND / 100 * 97);
	look_on();
	close(ends[--client_count]);
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	kernel_has(0);
	look_on();
	client();
}
END_TEST

/* More than one step, with some that end on their own meanwhile. 6 MB wait, and the kernel has 4. */
START_TEST(many) {
	for (int i = 0; i < MANY; i++)
		stalled(i % 3 == 0 ? 30000 : 12000);
	ck_assert_uint_eq(let_go(), 0);
	kernel_has(BOUND / 2);
	for (int i = 0; i < MANY; i += 29) {
		close(ends[i]);
		ends[i] = world_open_one(0);
		world_run(NULL, 20);
	}
	ck_assert_uint_gt(let_go(), 50);
	ck_assert_uint_le(stat_get(stats_own, STAT_client_queue_bytes), BOUND / 2);
	for (int i = 0; i < MANY; i++)
		ck_assert(i % 3 == 0 || i % 29 == 0 || is_in(i));
}
END_TEST

Suite *suite_conn_memory(void);
Suite *suite_conn_memory(void) {
	Suite *s = suite_create("conn_memory");
	TCase *t = tcase_create("conn_memory");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, input_is_counted);
	tcase_add_test(t, a_whole_message_is_not_counted);
	tcase_add_test(t, there_is_enough);
	tcase_add_test(t, who_holds_most_goes);
	tcase_add_test(t, who_holds_nothing_stays);
	tcase_add_test(t, who_stands_still_goes_first);
	tcase_add_test(t, half_messages_end_with_a_reason);
	tcase_add_test(t, half_requests_end_with_a_status);
	tcase_add_test(t, newcomers_are_refused);
	tcase_add_test(t, the_log_is_calm);
	tcase_add_test(t, not_refused_for_what_was);
	tcase_add_test(t, many);
	suite_add_tcase(s, t);
	return s;
}
