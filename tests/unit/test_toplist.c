/* test_toplist - of the channels that are shown, the largest, in their order */
#include "broker/toplist.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum { MANY = 1000, ROOM = 1 << 20 };

static struct toplist list;
static struct buf told;

static void on_channel_list(void *arg, struct ticket t, struct ipc_channel_list *l) {
	struct slice rest = l->channels;
	struct ipc_channel c;

	ck_assert_ptr_eq(arg, &list);
	ck_assert_uint_eq(l->result, IPC_OK);
	buf_addf(&told, "%u:", t.request);
	while (ipc_next_channel(&rest, &c))
		buf_addf(&told, " %.*s=%u", SLICE_ARGS(c.channel), c.member_count);
	buf_add_text(&told, "; ");
}

static const struct engine_events events = { .channel_list = on_channel_list };

static void set_up(void) {
	toplist_init(&list);
	buf_init(&told, ROOM);
}

static void tear_down(void) {
	toplist_fini(&list);
	buf_fini(&told);
}

static void ask(uint32_t request, const char *prefix, uint32_t limit) {
	ck_assert(toplist_ask(&list, (struct ticket){ 1, request }, &(struct ipc_top_rooms){ .prefix = slice_text(prefix), .limit = limit }));
}

static void show(const char *name, uint32_t members) {
	toplist_show(&list, &(struct ipc_channel){ slice_text(name), slice_text("e"), 5, members });
}

static void expect(const char *text) {
	toplist_answer(&list, &events, &list, ROOM);
	ck_assert_msg(slice_eq_text(buf_slice(&told), text), "\"%.*s\"", SLICE_ARGS(buf_slice(&told)));
	buf_reset(&told);
}

START_TEST(the_largest_in_order) {
	ask(1, "", 3);
	ck_assert(toplist_is_asked(&list));
	for (uint32_t i = 0; i < 5; i++)
		show((const char *[]){ "b", "a", "d", "c", "e" }[i], (uint32_t[]){ 2, 7, 3, 7, 1 }[i]);
	expect("1: a=7 c=7 d=3; ");
	ck_assert(!toplist_is_asked(&list));
}
END_TEST

START_TEST(empty_ones_and_others_are_not_listed) {
	ask(1, "room:", 10);
	show("room:a", 0);
	show("other", 9);
	show("room", 9);
	show("room:", 1);
	show("room:b", 2);
	expect("1: room:b=2 room:=1; ");
	ask(2, "", 0);
	show("a", 9);
	expect("2:; ");
}
END_TEST

START_TEST(shown_again_it_counts_as_shown_last) {
	ask(1, "", 3);
	show("a", 5);
	show("b", 4);
	show("a", 6);
	show("a", 3);
	show("c", 1);
	show("b", 9);
	expect("1: b=9 a=3 c=1; ");
}
END_TEST

START_TEST(one_question_after_the_other) {
	ask(1, "", 1);
	ask(2, "", 2);
	show("a", 1);
	expect("1: a=1; ");
	ck_assert(toplist_is_asked(&list) && !list.has_begun);
	show("b", 1);
	show("c", 2);
	expect("2: c=2 b=1; ");
	for (uint32_t i = 0; i < TOP_WAITING_MAX; i++)
		ask(i, "x", TOP_LIMIT_MAX);
	ck_assert(!toplist_ask(&list, (struct ticket){ 1, 99 }, &(struct ipc_top_rooms){ .limit = 1 }));
}
END_TEST

/* Names as long as they may be, one of them longer; more asked for than anybody gets. */
START_TEST(bounds) {
	char name[IPC_CHANNEL_MAX + 2], wanted[64];

	memset(name, 'n', sizeof(name));
	ask(1, "", MANY);
	toplist_show(&list, &(struct ipc_channel){ slice_of(name, IPC_CHANNEL_MAX + 1), SLICE_EMPTY, 1, 1 });
	toplist_show(&list, &(struct ipc_channel){ slice_text("epoch"), slice_of(name, 32), 1, 1 });
	toplist_answer(&list, &events, &list, ROOM);
	ck_assert(slice_eq_text(buf_slice(&told), "1:; "));
	buf_reset(&told);
	ask(2, "", MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%0*d", IPC_CHANNEL_MAX, i);
		toplist_show(&list, &(struct ipc_channel){ slice_of(name, IPC_CHANNEL_MAX), SLICE_EMPTY, 1, (uint32_t)i + 1 });
	}
	toplist_answer(&list, &events, &list, ROOM);
	snprintf(wanted, sizeof(wanted), "%d; ", MANY - TOP_LIMIT_MAX + 1);
	ck_assert(told.len > TOP_LIMIT_MAX * IPC_CHANNEL_MAX && told.len < (TOP_LIMIT_MAX + 1) * (IPC_CHANNEL_MAX + 6));
	ck_assert(memcmp(told.data + told.len - strlen(wanted), wanted, strlen(wanted)) == 0);
	buf_reset(&told);
	/* And in a small answer those that fit. */
	ask(3, "", 3);
	show("a", 1);
	show("b", 2);
	toplist_answer(&list, &events, &list, 2 * IPC_CHANNEL_MAX + 1);
	ck_assert(slice_eq_text(buf_slice(&told), "3: b=2; "));
}
END_TEST

static int by_size(const void *a, const void *b) {
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x < y) - (x > y);
}

/* Against sorting all. */
START_TEST(random_sizes) {
	unsigned seed = (unsigned)_i + 7;
	uint32_t size[MANY];
	struct buf wanted;
	char name[16];

	buf_init(&wanted, ROOM);
	buf_add_text(&wanted, "9:");
	ask(9, "", 20);
	for (int i = 0; i < MANY; i++) {
		size[i] = (uint32_t)rand_r(&seed) / 8 * MANY + (uint32_t)i + 1;
		snprintf(name, sizeof(name), "%u", size[i]);
		show(name, size[i]);
	}
	qsort(size, MANY, sizeof(size[0]), by_size);
	for (int i = 0; i < 20; i++)
		buf_addf(&wanted, " %u=%u", size[i], size[i]);
	buf_add_text(&wanted, "; ");
	buf_add_u8(&wanted, '\0');
	expect((const char *)wanted.data);
	buf_fini(&wanted);
}
END_TEST

Suite *suite_toplist(void);

Suite *suite_toplist(void) {
	Suite *s = suite_create("toplist");
	TCase *t = tcase_create("shown");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, the_largest_in_order);
	tcase_add_test(t, empty_ones_and_others_are_not_listed);
	tcase_add_test(t, shown_again_it_counts_as_shown_last);
	tcase_add_test(t, one_question_after_the_other);
	tcase_add_test(t, bounds);
	tcase_add_loop_test(t, random_sizes, 0, 10);
	suite_add_tcase(s, t);
	return s;
}
