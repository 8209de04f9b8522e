/* test_control - the master's messages, with and without a descriptor */
#include <check.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/worker/control.h"

static int pair[2];

static void setup(void) {
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static void teardown(void) {
	close(pair[0]);
	close(pair[1]);
}

START_TEST(messages) {
	struct control_message lend = { CONTROL_LEND, 255, -1 }, drain = { CONTROL_DRAIN, 0, -1 }, m;

	ck_assert_int_eq(control_receive(pair[1], &m), CONTROL_AGAIN);
	ck_assert(control_send(pair[0], &lend) && control_send(pair[0], &drain));
	ck_assert_int_eq(control_receive(pair[1], &m), CONTROL_GOT);
	ck_assert(m.what == CONTROL_LEND && m.slot == 255 && m.fd == -1);
	ck_assert_int_eq(control_receive(pair[1], &m), CONTROL_GOT);
	ck_assert(m.what == CONTROL_DRAIN && m.slot == 0 && m.fd == -1);
	close(pair[0]);
	pair[0] = -1;
	ck_assert_int_eq(control_receive(pair[1], &m), CONTROL_GONE);
}
END_TEST

START_TEST(a_descriptor_comes_along) {
	struct control_message m = { CONTROL_CERTIFICATES, 3, -1 };
	int ends[2];
	char byte;

	ck_assert_int_eq(pipe(ends), 0);
	m.fd = ends[1];
	ck_assert(control_send(pair[0], &m));
	close(ends[1]);
	ck_assert_int_eq(control_receive(pair[1], &m), CONTROL_GOT);
	ck_assert(m.what == CONTROL_CERTIFICATES && m.slot == 3 && m.fd >= 0);
	ck_assert_int_eq(write(m.fd, "x", 1), 1);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	close(m.fd);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}
END_TEST

Suite *suite_control(void);
Suite *suite_control(void) {
	Suite *s = suite_create("control");
	TCase *t = tcase_create("control");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, messages);
	tcase_add_test(t, a_descriptor_comes_along);
	suite_add_tcase(s, t);
	return s;
}
