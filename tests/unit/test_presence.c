/* test_presence - members, their holders and graces */
#include "broker/presence.h"

#include <check.h>
#include <stdlib.h>

static struct presence_store store;
static struct presence room, other;
static struct buf events;
static uint64_t now;
static uint32_t room_max;

static void on_left(struct presence *p, struct slice member, struct slice info, void *arg UNUSED) {
	buf_addf(&events, "%.*s/%.*s left %s, %u;", SLICE_ARGS(member), SLICE_ARGS(info), p == &room ? "room" : "other", p->count);
}

static void open_store(void) {
	now = 5000;
	room_max = 0;
	buf_init(&events, 1 << 20);
	presence_store_init(&store, 100, 40, on_left, NULL, now);
	presence_init(&room, 1);
	presence_init(&other, 2);
}

static void close_store(void) {
	presence_fini(&store, &room);
	presence_fini(&store, &other);
	presence_store_fini(&store);
	buf_fini(&events);
}

static bool is_new;

static enum ipc_result add(struct presence *p, uint64_t holder, const char *name, uint8_t token) {
	struct ipc_member_add m = { .member = slice_text(name), .token = { token }, .info = slice_text("i") };

	return presence_add(&store, p, holder, &m, room_max, &is_new);
}

static void remove_one(uint64_t holder, const char *name, uint32_t grace_ms) {
	presence_remove(&store, &room, holder, slice_text(name), grace_ms, now);
}

static void pass(uint64_t ms) {
	now += ms;
	presence_tick(&store, now);
}

/* What happened since the last call. */
static void assert_left(const char *wanted) {
	ck_assert_msg(slice_eq_text(buf_slice(&events), wanted), "got %.*s, not %s", SLICE_ARGS(buf_slice(&events)), wanted);
	buf_reset(&events);
}

static void assert_list(uint64_t number, const char *after, uint32_t limit, size_t bytes, const char *wanted, bool more) {
	struct ipc_member m;
	struct buf out, names;
	struct slice rest;

	buf_init(&out, bytes);
	buf_init(&names, 10000);
	ck_assert_int_eq(presence_list(&store, &room, number, slice_text(after), limit, &out), more);
	ck_assert(!out.failed);
	for (rest = buf_slice(&out); ipc_next_member(&rest, &m);)
		buf_add(&names, m.member);
	ck_assert_msg(slice_eq_text(buf_slice(&names), wanted), "got %.*s, not %s", SLICE_ARGS(buf_slice(&names)), wanted);
	buf_fini(&out);
	buf_fini(&names);
}

START_TEST(first_in_last_out) {
	open_store();
	ck_assert(add(&room, 1, "anna", 1) == IPC_OK && is_new && room.count == 1);
	ck_assert(add(&room, 1, "anna", 1) == IPC_OK && !is_new);
	ck_assert(add(&room, 2, "anna", 1) == IPC_OK && !is_new && room.count == 1);
	ck_assert(add(&other, 2, "anna", 9) == IPC_OK && is_new);
	ck_assert(add(&room, 2, "anna", 2) == IPC_TAKEN && !is_new);
	remove_one(1, "anna", 0);
	remove_one(3, "anna", 0);
	remove_one(2, "bert", 0);
	remove_one(1, "anna", 0);
	remove_one(1, "anna", 0);
	assert_left("");
	remove_one(2, "anna", 0);
	assert_left("anna/i left room, 0;");
	ck_assert(add(&room, 1, "anna", 2) == IPC_OK && is_new);
	close_store();
}
END_TEST

START_TEST(full) {
	open_store();
	room_max = 2;
	ck_assert(add(&room, 1, "anna", 1) == IPC_OK && add(&room, 1, "bert", 1) == IPC_OK);
	ck_assert(add(&room, 1, "carl", 1) == IPC_FULL && !is_new && room.count == 2);
	ck_assert(add(&other, 1, "carl", 1) == IPC_OK);
	ck_assert(add(&room, 2, "anna", 1) == IPC_OK && !is_new);
	ck_assert(add(&room, 2, "anna", 2) == IPC_TAKEN);
	/* In its grace a place is held; nobody else gets it before. */
	remove_one(1, "bert", 3000);
	ck_assert(add(&room, 1, "carl", 1) == IPC_FULL);
	ck_assert(add(&room, 2, "bert", 1) == IPC_OK && !is_new);
	remove_one(2, "bert", 3000);
	pass(3200);
	assert_left("bert/i left room, 1;");
	ck_assert(add(&room, 1, "carl", 1) == IPC_OK && is_new);
	ck_assert(add(&room, 1, "bert", 1) == IPC_FULL);
	/* What the refused one takes back is nothing. */
	remove_one(1, "bert", 0);
	assert_left("");
	/* Who has not to ask. */
	room_max = 0;
	ck_assert(add(&room, 1, "bert", 1) == IPC_OK && room.count == 3);
	room_max = 2;
	remove_one(1, "carl", 0);
	ck_assert(add(&room, 1, "dora", 1) == IPC_FULL);
	assert_left("carl/i left room, 2;");
	close_store();
}
END_TEST

START_TEST(grace) {
	open_store();
	ck_assert(add(&room, 1, "anna", 1) == IPC_OK);
	remove_one(1, "anna", 3000);
	pass(2900);
	assert_left("");
	ck_assert(add(&room, 2, "anna", 2) == IPC_TAKEN);
	ck_assert(add(&room, 2, "anna", 1) == IPC_OK && !is_new);
	pass(10000);
	assert_left("");
	remove_one(2, "anna", 3000);
	pass(3200);
	assert_left("anna/i left room, 0;");
	close_store();
}
END_TEST

START_TEST(lost_holders) {
	open_store();
	ck_assert(add(&room, 1, "anna", 1) == IPC_OK && add(&room, 1, "bert", 1) == IPC_OK);
	ck_assert(add(&room, 2, "anna", 1) == IPC_OK && add(&room, 2, "carl", 1) == IPC_OK);
	presence_holder_lost(&store, 7, 1000, now);
	presence_holder_lost(&store, 1, 30000, now);
	pass(29900);
	assert_left("");
	ck_assert_uint_eq(room.count, 3);
	pass(300);
	assert_left("bert/i left room, 2;");
	presence_holder_lost(&store, 2, 0, now);
	assert_left("anna/i left room, 1;carl/i left room, 0;");
	close_store();
}
END_TEST

START_TEST(finds) {
	const uint8_t *token;
	struct slice info;

	open_store();
	ck_assert(add(&room, 1, "anna", 7) == IPC_OK);
	ck_assert(presence_find(&store, &room, slice_text("anna"), &token, &info));
	ck_assert(token[0] == 7 && slice_eq_text(info, "i"));
	ck_assert(!presence_find(&store, &other, slice_text("anna"), &token, &info));
	remove_one(1, "anna", 1000);
	ck_assert(presence_find(&store, &room, slice_text("anna"), &token, &info));
	pass(1200);
	ck_assert(!presence_find(&store, &room, slice_text("anna"), &token, &info));
	close_store();
}
END_TEST

START_TEST(lists) {
	open_store();
	assert_list(0, "", 10, 1000, "", false);
	for (const char *name = "a\0b\0c\0d\0"; *name != '\0'; name += 2)
		ck_assert(add(&room, 1, name, 1) == IPC_OK);
	assert_list(0, "", 10, 1000, "abcd", false);
	assert_list(0, "", 4, 1000, "abcd", false);
	assert_list(0, "", 2, 1000, "ab", true);
	assert_list(0, "", 0, 1000, "", true);
	assert_list(42, "b", 10, 1000, "cd", false);
	assert_list(44, "d", 10, 1000, "", false);
	assert_list(0, "", 10, 3 * 16, "abc", true);
	close_store();
}
END_TEST

/* Of an earlier life of the store the numbers are lower: from the start, rather than leave somebody out. */
START_TEST(lists_go_on_behind_who_has_left) {
	open_store();
	for (const char *name = "a\0b\0c\0d\0"; *name != '\0'; name += 2)
		ck_assert(add(&room, 1, name, 1) == IPC_OK);
	remove_one(1, "b", 0);
	assert_list(42, "b", 10, 1000, "cd", false);
	ck_assert(add(&room, 1, "b", 1) == IPC_OK);
	assert_list(42, "b", 10, 1000, "cdb", false);
	assert_list(45, "b", 10, 1000, "", false);
	assert_list(46, "e", 10, 1000, "", false);
	assert_list(17, "c", 10, 1000, "acdb", false);
	assert_list(UINT64_MAX, "", 10, 1000, "", false);
	close_store();
}
END_TEST

START_TEST(what_is_too_long) {
	static char name[PRESENCE_NAME_MAX + 2];
	struct ipc_member_add m = { .member = slice_of(name, 4), .info = slice_of(name, 101) };

	open_store();
	memset(name, 'x', sizeof(name) - 1);
	ck_assert(add(&room, 1, "", 1) == IPC_UNAVAILABLE && add(&room, 1, name, 1) == IPC_UNAVAILABLE);
	ck_assert(presence_add(&store, &room, 1, &m, 0, &is_new) == IPC_UNAVAILABLE);
	remove_one(1, name, 0);
	name[PRESENCE_NAME_MAX] = '\0';
	ck_assert(add(&room, 1, name, 1) == IPC_OK && room.count == 1);
	close_store();
}
END_TEST

Suite *suite_presence(void);

Suite *suite_presence(void) {
	Suite *s = suite_create("presence");
	TCase *t = tcase_create("members");

	tcase_add_test(t, first_in_last_out);
	tcase_add_test(t, full);
	tcase_add_test(t, grace);
	tcase_add_test(t, lost_holders);
	tcase_add_test(t, finds);
	tcase_add_test(t, lists);
	tcase_add_test(t, lists_go_on_behind_who_has_left);
	tcase_add_test(t, what_is_too_long);
	suite_add_tcase(s, t);
	return s;
}
