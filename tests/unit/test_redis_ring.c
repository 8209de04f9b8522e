/* test_redis_ring - channels are spread evenly, everywhere the same, and move only when they have to */
#include "broker/redis_ring.h"

#include <stdlib.h>

#include "tests/unit/model.h"

enum { CHANNELS = 40000, SERVERS_MAX = 8 };

static const char *const names[SERVERS_MAX] = { "redis-0:6379/0", "redis-1:6379/0", "redis-2:6379/0", "redis-3:6379/0", "10.0.0.1:6379/0",
	"10.0.0.1:6380/0", "10.0.0.1:6380/1", "/run/redis.sock/0" };

static void open_ring(struct redis_ring *r, const char *const *list, size_t count) {
	struct errbuf e;

	MUST(redis_ring_init(r, list, count, &e));
}

static size_t find(const struct redis_ring *r, int channel) {
	char name[32];

	return redis_ring_find(r, slice_of(name, (size_t)snprintf(name, sizeof(name), "room-%d", channel)));
}

START_TEST(spread) {
	for (size_t count = 1; count <= SERVERS_MAX; count++) {
		size_t of[SERVERS_MAX] = { 0 };
		struct redis_ring r;

		open_ring(&r, names, count);
		for (int i = 0; i < CHANNELS; i++)
			of[find(&r, i)]++;
		for (size_t i = 0; i < count; i++) {
			double share = (double)of[i] * (double)count / CHANNELS;

			ck_assert_msg(share > 0.85 && share < 1.15, "%s of %zu has %.3f of its share", names[i], count, share);
		}
		redis_ring_fini(&r);
	}
}
END_TEST

START_TEST(order_of_the_list_does_not_matter) {
	const char *turned[SERVERS_MAX];
	struct redis_ring a, b, c;

	for (size_t i = 0; i < SERVERS_MAX; i++)
		turned[i] = names[(i * 3 + 5) % SERVERS_MAX];
	open_ring(&a, names, SERVERS_MAX);
	open_ring(&b, turned, SERVERS_MAX);
	open_ring(&c, names, SERVERS_MAX - 1);
	for (int i = 0; i < CHANNELS; i++)
		MUST(names[find(&a, i)] == turned[find(&b, i)]);
	ck_assert_uint_eq(strlen(a.digest), RING_DIGEST_LEN);
	ck_assert_str_eq(a.digest, b.digest);
	ck_assert_str_ne(a.digest, c.digest);
	redis_ring_fini(&a);
	redis_ring_fini(&b);
	redis_ring_fini(&c);
}
END_TEST

/* Hosts of different versions share one Redis. */
START_TEST(stays_what_it_is) {
	static const size_t wanted[] = { 1, 2, 2, 1, 0, 2, 0, 1 };
	struct redis_ring r;

	open_ring(&r, names, 3);
	for (int i = 0; i < (int)ARRAY_LEN(wanted); i++)
		ck_assert_uint_eq(find(&r, i), wanted[i]);
	ck_assert_str_eq(r.digest, "ed921f4c0abdef7d");
	redis_ring_fini(&r);
}
END_TEST

START_TEST(one_server_more_takes_its_share_only) {
	for (size_t count = 1; count < SERVERS_MAX; count++) {
		struct redis_ring before, after;
		int moved = 0;

		open_ring(&before, names, count);
		open_ring(&after, names, count + 1);
		for (int i = 0; i < CHANNELS; i++) {
			size_t from = find(&before, i), to = find(&after, i);

			MUST(to == from || to == count);
			moved += to != from;
		}
		ck_assert_int_lt(moved, (int)(CHANNELS * 1.15 / (double)(count + 1)));
		redis_ring_fini(&before);
		redis_ring_fini(&after);
	}
}
END_TEST

START_TEST(the_same_server_twice) {
	const char *const list[] = { "b:1/0", "a:1/0", "b:1/0" };
	struct redis_ring r;
	struct errbuf e;

	ck_assert(!redis_ring_init(&r, list, 3, &e));
	ck_assert_str_eq(e.text, "b:1/0 stands there twice");
}
END_TEST

Suite *suite_redis_ring(void);

Suite *suite_redis_ring(void) {
	Suite *s = suite_create("redis_ring");
	TCase *t = tcase_create("ring");

	tcase_add_test(t, spread);
	tcase_add_test(t, order_of_the_list_does_not_matter);
	tcase_add_test(t, stays_what_it_is);
	tcase_add_test(t, one_server_more_takes_its_share_only);
	tcase_add_test(t, the_same_server_twice);
	suite_add_tcase(s, t);
	return s;
}
