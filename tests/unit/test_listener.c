/* test_listener - accepting, lending, closing, and what happens when no descriptor is free */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "server/net/listener.h"

enum { ACCEPTED_MAX = 512 };

static struct evloop *loop;
static struct listener *listener;
static struct sock_addr address;
static int listening;
static int accepted[ACCEPTED_MAX], accepted_count, most_in_a_turn, in_this_turn, turns;
static int remove_after;

static void on_accept(int fd, const struct sock_peer *peer, void *arg) {
	ck_assert_ptr_eq(arg, &accepted);
	ck_assert_int_eq(peer->is_unix, 0);
	ck_assert_int_lt(accepted_count, ACCEPTED_MAX);
	accepted[accepted_count++] = fd;
	in_this_turn++;
	if (accepted_count == remove_after)
		listener_remove(listener, listening);
}

static void on_turn_end(void *arg) {
	(void)arg;
	if (in_this_turn > most_in_a_turn)
		most_in_a_turn = in_this_turn;
	in_this_turn = 0;
	if (--turns <= 0)
		evloop_stop(loop);
	else
		evloop_do_not_wait(loop);
}

static void run_turns(int n) {
	turns = n;
	evloop_do_not_wait(loop);
	evloop_run(loop);
}

static int listen_anywhere(struct sock_addr *a) {
	struct errbuf e;
	int fd;

	ck_assert(sock_parse("127.0.0.1:0", a, &e));
	fd = sock_listen(a, 511, &e);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void setup(void) {
	accepted_count = most_in_a_turn = in_this_turn = 0;
	remove_after = -1;
	loop = evloop_new();
	evloop_on_turn_end(loop, on_turn_end, NULL);
	listening = listen_anywhere(&address);
	listener = listener_new(loop, on_accept, &accepted);
	listener_add(listener, listening);
	listener_add(listener, listening);
	ck_assert_uint_eq(listener_count(listener), 1);
}

static void teardown(void) {
	listener_free(&listener);
	evloop_free(&loop);
	close(listening);
	for (int i = 0; i < accepted_count; i++)
		close(accepted[i]);
}

static int connect_to(const struct sock_addr *a) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, &a->u.sa, a->len), 0);
	return fd;
}

/* Everything up to the server's end; turns the loop meanwhile. */
static void read_all(int fd, char *out, size_t size) {
	size_t len = 0;

	for (int i = 0; i < 500; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		run_turns(1);
		if (poll(&p, 1, 10) == 0)
			continue;
		n = read(fd, out + len, size - 1 - len);
		ck_assert_int_ge(n, 0);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	out[len] = '\0';
}

START_TEST(accepts_with_a_budget) {
	int clients[100];

	for (int i = 0; i < 100; i++)
		clients[i] = connect_to(&address);
	run_turns(10);
	ck_assert_int_eq(accepted_count, 100);
	ck_assert_int_eq(most_in_a_turn, 64);
	for (int i = 0; i < 100; i++)
		close(clients[i]);
}
END_TEST

START_TEST(takes_sockets_and_gives_them_back) {
	struct sock_addr lent_address;
	int lent = listen_anywhere(&lent_address), clients[3];

	listener_add(listener, lent);
	clients[0] = connect_to(&lent_address);
	clients[1] = connect_to(&address);
	run_turns(5);
	ck_assert_int_eq(accepted_count, 2);
	listener_remove(listener, lent);
	listener_remove(listener, lent);
	clients[2] = connect_to(&lent_address);
	run_turns(5);
	ck_assert_int_eq(accepted_count, 2);
	ck_assert_uint_eq(listener_count(listener), 1);
	/* It was only lent: what waits there is still there. */
	listener_add(listener, lent);
	run_turns(5);
	ck_assert_int_eq(accepted_count, 3);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	listener_remove(listener, lent);
	close(lent);
}
END_TEST

START_TEST(removed_in_the_callback) {
	int clients[3];

	remove_after = 2;
	for (int i = 0; i < 3; i++)
		clients[i] = connect_to(&address);
	run_turns(5);
	ck_assert_int_eq(accepted_count, 2);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
}
END_TEST

START_TEST(close_answers_who_waits) {
	int copy = dup(listening), client = connect_to(&address), late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t before = stat_get(stats_own, STAT_connections_refused_drain);
	char answer[1024];

	listener_close(listener);
	ck_assert_uint_eq(listener_count(listener), 0);
	ck_assert_int_eq(fcntl(listening, F_GETFD), -1);
	read_all(client, answer, sizeof(answer));
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 503 "));
	ck_assert_ptr_nonnull(strstr(answer, "Retry-After: "));
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nThe server is going away.\n"));
	ck_assert_uint_eq(stat_get(stats_own, STAT_connections_refused_drain), before + 1);
	/* Another process holds the socket too, as the master does; nobody may wait in its queue for an answer that never comes. */
	ck_assert_int_eq(connect(late, &address.u.sa, address.len), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(client);
	close(late);
	listening = copy;
}
END_TEST

/* --- no descriptor is free --- */

static char log_path[] = "/tmp/test_listener.XXXXXX";

/* Adds to those already taken. */
static void use_up_descriptors(int *taken, int *count, int most) {
	for (; *count < most; (*count)++) {
		taken[*count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (taken[*count] < 0)
			break;
	}
	ck_assert_int_lt(*count, most);
	ck_assert_int_eq(errno, EMFILE);
}

static void expect_full_answer(int client) {
	char answer[1024];

	ck_assert_int_eq(write(client, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	read_all(client, answer, sizeof(answer));
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 503 Service Unavailable\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, "Retry-After: 5\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, "Content-Length: 44\r\n"));
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nThe server has as many clients as it takes.\n"));
	close(client);
}

static int lines_logged(int fd) {
	char text[8192];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
	int count = 0;

	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	for (const char *at = text; (at = strstr(at, "no descriptor is free")) != NULL; at++)
		count++;
	return count;
}

/* A second without refusals makes the next one news again. */
static void wait_ms(int ms) {
	ck_assert_int_eq(poll(NULL, 0, ms), 0);
}

START_TEST(no_descriptor_is_free) {
	int taken[256], count = 0, clients[6], log_fd = mkstemp(log_path), saved = dup(STDERR_FILENO);
	uint64_t before = stat_get(stats_own, STAT_connections_refused_full);
	struct rlimit limit, small;

	ck_assert_int_ge(log_fd, 0);
	unlink(log_path);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	small = (struct rlimit){ .rlim_cur = 64, .rlim_max = limit.rlim_max };
	for (int i = 0; i < 6; i++)
		clients[i] = connect_to(&address);
	run_turns(3); /* the first six are taken while there is room */
	ck_assert_int_eq(accepted_count, 6);
	for (int i = 0; i < 6; i++)
		close(clients[i]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &small), 0);
	for (int i = 0; i < 6; i++)
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	use_up_descriptors(taken, &count, 256);

	dup2(log_fd, STDERR_FILENO);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(connect(clients[i], &address.u.sa, address.len), 0);
		if (i == 3)
			wait_ms(1100);
		expect_full_answer(clients[i]);
		use_up_descriptors(taken, &count, 256);
	}
	dup2(saved, STDERR_FILENO);
	ck_assert_int_eq(accepted_count, 6);
	ck_assert_uint_eq(stat_get(stats_own, STAT_connections_refused_full), before + 4);
	ck_assert_int_eq(lines_logged(log_fd), 2);

	/* There is room again: the next client is served. */
	for (int i = 0; i < count; i++)
		close(taken[i]);
	ck_assert_int_eq(connect(clients[4], &address.u.sa, address.len), 0);
	run_turns(3);
	ck_assert_int_eq(accepted_count, 7);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(clients[4]);
	close(clients[5]);
	close(saved);
	close(log_fd);
}
END_TEST

Suite *suite_listener(void);
Suite *suite_listener(void) {
	Suite *s = suite_create("listener");
	TCase *t = tcase_create("listener");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, accepts_with_a_budget);
	tcase_add_test(t, takes_sockets_and_gives_them_back);
	tcase_add_test(t, removed_in_the_callback);
	tcase_add_test(t, close_answers_who_waits);
	tcase_add_test(t, no_descriptor_is_free);
	suite_add_tcase(s, t);
	return s;
}
