/* test_conn_grant - connections end when their grant does */
#include "tests/unit/conn_world.h"

static struct auth_grant *grant_for(uint64_t expires_s) {
	return grant_new(&(struct grant_parts){ .user = slice_text("u1"), .name = slice_text("Ada"), .expires_s = expires_s });
}

static uint64_t now_s(void) {
	return evloop_wall_ms(w.loop) / 1000;
}

/* Shows that it lives, or the heartbeat would end it; until that time, or its end. */
static void live_until(uint64_t wall_ms) {
	while (conn_is_open(w.opened) && evloop_wall_ms(w.loop) < wall_ms) {
		world_send_frame(WS_FIN | WS_PONG, "", 0);
		world_run(NULL, 50);
	}
}

START_TEST(expired) {
	uint64_t end = now_s() + 2;

	world_upgrade();
	conn_set_grant(w.opened, grant_for(end));
	ck_assert(slice_eq_text(grant_user(conn_grant(w.opened)), "u1"));
	world_send_message("hello");
	world_expect_frame(WS_FIN | WS_TEXT, "hello");
	live_until(end * 1000 + GIVE_UP_MS);
	ck_assert(!conn_is_open(w.opened));
	ck_assert_uint_ge(evloop_wall_ms(w.loop), end * 1000);
	ck_assert_uint_eq(world_closed_with(CLOSE_token_expired), 1);
	ck_assert_int_eq(w.by_server_count, 1);
}
END_TEST

START_TEST(expired_before_it_began) {
	world_upgrade();
	conn_set_grant(w.opened, grant_for(1));
	world_expect_close(4401, "token expired");
	ck_assert_uint_eq(world_closed_with(CLOSE_token_expired), 1);
}
END_TEST

START_TEST(renewed_and_without_end) {
	world_upgrade();
	conn_set_grant(w.opened, grant_for(now_s() + 1));
	conn_set_grant(w.opened, grant_for(now_s() + 100));
	live_until(evloop_wall_ms(w.loop) + 1500);
	ck_assert(conn_is_open(w.opened));
	conn_set_grant(w.opened, grant_for(UINT64_MAX / 1000));
	conn_set_grant(w.opened, grant_for(0));
	live_until(evloop_wall_ms(w.loop) + 300);
	ck_assert(conn_is_open(w.opened));
	conn_set_grant(w.opened, NULL);
	ck_assert_ptr_null(conn_grant(w.opened));
}
END_TEST

/* Those with this grant are to go. */
static enum close_reason judge(const struct conn *c, void *arg, const char **detail) {
	if (arg == NULL || conn_grant(c) != arg)
		return CLOSE_NONE;
	*detail = "spam";
	return CLOSE_kicked;
}

START_TEST(reviewed) {
	struct auth_grant *grant = grant_for(0);

	world_upgrade();
	conns_review(w.conns, judge, NULL);
	conn_set_grant(w.opened, grant);
	conns_review(w.conns, judge, NULL);
	ck_assert(conn_is_open(w.opened));
	conns_review(w.conns, judge, grant);
	ck_assert(!conn_is_open(w.opened));
	world_expect_close(4403, "kicked by a moderator: spam");
	ck_assert_uint_eq(world_closed_with(CLOSE_kicked), 1);
	conns_review(w.conns, judge, grant);
	ck_assert_uint_eq(world_closed_with(CLOSE_kicked), 1);
}
END_TEST

Suite *suite_conn_grant(void);
Suite *suite_conn_grant(void) {
	Suite *s = suite_create("conn_grant");
	TCase *t = tcase_create("conn_grant");

	tcase_add_checked_fixture(t, world_setup_beating, world_teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, expired);
	tcase_add_test(t, expired_before_it_began);
	tcase_add_test(t, renewed_and_without_end);
	tcase_add_test(t, reviewed);
	suite_add_tcase(s, t);
	return s;
}
