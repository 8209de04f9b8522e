/* test_load - what the load generator counts with: shares, pace, times, stamps, who has heard what, and its URLs */
#include <check.h>
#include <stdio.h>

#include "tests/load/chat_json.h"
#include "tests/load/heard.h"
#include "tests/load/histogram.h"
#include "tests/load/pace.h"
#include "tests/load/plain.h"
#include "tests/load/share.h"
#include "tests/load/stamp.h"
#include "tests/load/target.h"
#include "tests/load/verdict.h"
#include "tests/load/waiting.h"

Suite *suite_load(void);

static const struct {
	const char *url, *host, *path;
	uint16_t port;
	bool is_tls;
} urls[] = {
	{ "ws://127.0.0.1:8080", "127.0.0.1", "", 8080, false },
	{ "ws://127.0.0.1:8080/echo?token=a", "127.0.0.1", "/echo?token=a", 8080, false },
	{ "ws://example.org/", "example.org", "/", 80, false },
	{ "wss://example.org", "example.org", "", 443, true },
	{ "wss://[::1]:8443/ws", "::1", "/ws", 8443, true },
	{ "ws://[fe80::1]", "fe80::1", "", 80, false },
	{ "ws://h?a=b", "h", "/?a=b", 80, false },
};

START_TEST(urls_are_taken_apart) {
	struct target t;
	struct errbuf err;

	ck_assert_msg(target_parse(&t, urls[_i].url, &err), "%s: %s", urls[_i].url, err.text);
	ck_assert_str_eq(t.host, urls[_i].host);
	ck_assert_str_eq(t.path, urls[_i].path);
	ck_assert_uint_eq(t.port, urls[_i].port);
	ck_assert(t.is_tls == urls[_i].is_tls);
}
END_TEST

static const struct {
	const char *url, *why;
} bad_urls[] = {
	{ "http://127.0.0.1:8080", "begins with ws:// or wss://" },
	{ "127.0.0.1:8080", "begins with ws:// or wss://" },
	{ "ws://", "no host" },
	{ "ws://:8080/", "no host" },
	{ "ws://[]:8080/", "no host" },
	{ "ws://h:0", "no port" },
	{ "ws://h:65536", "no port" },
	{ "ws://h:", "no port" },
	{ "ws://h:80a", "no port" },
	{ "ws://::1:8080", "in brackets" },
	{ "ws://[::1", "in brackets" },
	{ "ws://[::1]8080", "in brackets" },
	{ "ws://u:p@h", "--token" },
	{ "ws://h/#a", "fragment" },
	{ "ws://h/a b", "percent-encoded" },
	{ "ws://h/\r\nX: y", "percent-encoded" },
};

START_TEST(urls_that_are_refused) {
	struct target t;
	struct errbuf err;

	ck_assert(!target_parse(&t, bad_urls[_i].url, &err));
	ck_assert_msg(strstr(err.text, bad_urls[_i].why) != NULL, "%s: %s", bad_urls[_i].url, err.text);
}
END_TEST

START_TEST(long_urls_are_refused) {
	char url[TARGET_PATH_MAX + TARGET_HOST_MAX + 100];
	struct target t;
	struct errbuf err;

	snprintf(url, sizeof(url), "ws://%0*d/", TARGET_HOST_MAX, 0);
	ck_assert(target_parse(&t, url, &err));
	snprintf(url, sizeof(url), "ws://%0*d/", TARGET_HOST_MAX + 1, 0);
	ck_assert(!target_parse(&t, url, &err));
	snprintf(url, sizeof(url), "ws://h/%0*d", TARGET_PATH_MAX - 1, 0);
	ck_assert(target_parse(&t, url, &err));
	ck_assert_uint_eq(strlen(t.path), TARGET_PATH_MAX);
	snprintf(url, sizeof(url), "ws://h/%0*d", TARGET_PATH_MAX, 0);
	ck_assert(!target_parse(&t, url, &err));
}
END_TEST

START_TEST(shares_are_the_whole) {
	static const uint64_t wholes[] = { 0, 1, 7, 16, 1000, 1000000 }, parts[] = { 1, 2, 3, 54, 1024 };

	for (size_t w = 0; w < ARRAY_LEN(wholes); w++) {
		for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
			uint64_t sum = 0;

			for (uint64_t i = 0; i < parts[p]; i++) {
				ck_assert_uint_eq(share_first(wholes[w], parts[p], i), sum);
				sum += share_count(wholes[w], parts[p], i);
				ck_assert_uint_le(share_count(wholes[w], parts[p], i), share_count(wholes[w], parts[p], 0));
			}
			ck_assert_uint_eq(sum, wholes[w]);
		}
	}
}
END_TEST

/* Two processes with three senders, 4 per second: together each message once, a quarter of a second after the other. */
START_TEST(paces_fit_together) {
	struct pace a = { .began_ns = 1000, .rate = 4, .senders = 3, .first = 0, .count = 2 };
	struct pace b = { .began_ns = 1000, .rate = 4, .senders = 3, .first = 2, .count = 1 };

	for (uint64_t m = 0; m < 300; m++) {
		struct pace *next = pace_next_ns(&a) < pace_next_ns(&b) ? &a : &b;

		ck_assert_uint_eq(pace_next_ns(next), 1000 + m * 250000000);
		ck_assert_uint_eq(next->first + next->at, m % 3);
		ck_assert_uint_eq(pace_message(next, m % 3, m / 3), m);
		pace_advance(next);
	}
}
END_TEST

/* Neither rounding nor overflow: ten million per second, for an hour. */
START_TEST(paces_are_exact) {
	struct pace p = { .rate = 10000000, .senders = 1, .count = 1 };

	ck_assert_uint_eq(pace_due_ns(&p, (uint64_t)36000000000), (uint64_t)3600 * 1000000000);
	p.rate = 3;
	ck_assert_uint_eq(pace_due_ns(&p, 4), 1333333333);
}
END_TEST

START_TEST(histograms_are_near) {
	static struct histogram h, other;

	ck_assert_uint_eq(histogram_at(&h, 0.5), 0);
	for (uint64_t v = 1; v <= 100000; v++)
		histogram_add(v % 2 == 0 ? &h : &other, v);
	histogram_merge(&h, &other);
	ck_assert_uint_eq(h.count, 100000);
	ck_assert_uint_eq(h.max, 100000);
	for (int percent = 1; percent < 100; percent++) {
		double exact = percent * 1000 + 1, found = (double)histogram_at(&h, percent / 100.0);

		ck_assert_msg(found >= exact && found < exact * 1.016, "%d %%: %.0f", percent, found);
	}
	ck_assert_uint_eq(histogram_at(&h, 0.9999999), 100000);
	histogram_add(&h, UINT64_MAX);
	ck_assert_uint_eq(h.max, UINT64_MAX);
	ck_assert_uint_eq(histogram_at(&h, 0.9999999), UINT64_MAX);
}
END_TEST

START_TEST(stamps_are_read_as_written) {
	static const struct stamp stamps[] = { { 0 }, { 0xfffff, 0xfffff, 0xffffffffff, 0xffffffffff },
		{ 0x12345, 0xabcde, 0x0123456789, 0xfedcba9876 } };
	uint8_t bytes[STAMP_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(stamps); i++) {
		struct stamp got;

		stamp_write(&stamps[i], bytes);
		for (size_t k = 0; k < sizeof(bytes); k++)
			ck_assert(bytes[k] >= '<' && bytes[k] <= '[');
		got = stamp_read(bytes);
		ck_assert_uint_eq(got.run, stamps[i].run);
		ck_assert_uint_eq(got.publisher, stamps[i].publisher);
		ck_assert_uint_eq(got.message, stamps[i].message);
		ck_assert_uint_eq(got.time, stamps[i].time);
	}
}
END_TEST

/* Seen from up to 19 hours later, also when the stamp's time has begun anew between. */
START_TEST(stamps_have_their_time) {
	uint64_t wrap = (uint64_t)1 << 46, times[] = { 0, 64, 12345 * 64, wrap - 64, wrap, wrap + 640, 100 * wrap };

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct stamp s = { .time = stamp_time(times[i]) };

		ck_assert_uint_eq(stamp_ns(&s, times[i]), times[i]);
		ck_assert_uint_eq(stamp_ns(&s, times[i] + 1000000), times[i]);
		ck_assert_uint_eq(stamp_ns(&s, times[i] + wrap - 64), times[i]);
	}
}
END_TEST

#define LOGIN_OK \
	"{\"type\":\"login_ok\",\"name\":\"a\\\"offset\\\":7\",\"epoch\":\"5s\\\\\",\"offset\":41,\"users\":[{\"offset\":3,\"type\":\"x\"},[]]," \
	"\"count\":2,\"messages\":[{\"type\":\"chat\",\"offset\":40},{\"type\":\"chat\",\"message\":\"{\\\"type\\\":\\\"chat\\\"\"}],\"recovered\":true}"

static const struct {
	const char *object, *name, *value;
} members[] = {
	{ LOGIN_OK, "type", "login_ok" },
	{ LOGIN_OK, "epoch", "5s\\\\" },
	{ LOGIN_OK, "offset", "41" },
	{ LOGIN_OK, "count", "2" },
	{ LOGIN_OK, "recovered", "true" },
	{ LOGIN_OK, "nothing", "" },
	{ "{}", "a", "" },
	{ "", "a", "" },
	{ "{\"a", "a", "" },
	{ "{\"a\"", "a", "" },
	{ "{\"a\":", "a", "" },
	{ "{\"a\":1", "a", "1" },
	{ "{\"b\":[[}", "a", "" },
	{ "{\"b\":]]},\"a\":2}", "a", "" },
	{ "[1,2]", "a", "" },
};

START_TEST(members_of_the_chat) {
	struct slice got = chat_json_member(slice_text(members[_i].object), members[_i].name);

	ck_assert_msg(slice_eq_text(got, members[_i].value), "%s of %s: %.*s", members[_i].name, members[_i].object, SLICE_ARGS(got));
}
END_TEST

START_TEST(flat_members_of_the_chat) {
	struct slice chat = slice_text("{\"type\":\"chat\",\"message\":\"\\\"offset\\\":1 \",\"offset\":42}");

	ck_assert_uint_eq(chat_json_number(chat_json_flat(chat, "\"offset\":")), 42);
	ck_assert(slice_eq_text(chat_json_flat(chat, "\"message\":"), "\\\"offset\\\":1 "));
	ck_assert_uint_eq(chat_json_flat(chat, "\"ref\":").len, 0);
	ck_assert_uint_eq(chat_json_number(slice_text("x")), 0);
	ck_assert_uint_eq(chat_json_count(chat_json_member(slice_text(LOGIN_OK), "messages"), "chat"), 2);
}
END_TEST

/* Each of them is enough, whatever is allowed of the others. */
static const struct counters bad_counts[] = {
	{ .refused = 3 },
	{ .lost = 3 },
	{ .refused = 1, .lost = 2 },
	{ .resets = 2 },
	{ .missing = 1 },
	{ .duplicates = 1 },
	{ .errors = 1 },
	{ .unanswered = 1 },
	{ .not_back = 1 },
};

START_TEST(verdicts_that_are_bad) {
	struct counters n = bad_counts[_i];

	ck_assert(!verdict_is_good(&n, 2, 1));
	n.lost += n.lost == 0 ? 1 : 0;
	ck_assert(!verdict_is_good(&n, 2, 1));
}
END_TEST

START_TEST(verdicts_that_are_good) {
	struct counters n = { .opened = 9, .lost = 1, .refused = 1, .resets = 1, .out_of_order = 1, .others = 1, .retries = 1, .after_end = 1 };

	ck_assert(verdict_is_good(&n, 2, 1));
	n = (struct counters){ .messages = 5 };
	ck_assert(verdict_is_good(&n, 0, 0));
}
END_TEST

START_TEST(texts_become_plain) {
	char text[] = "a\x1b[2J\"\\\x7f\xc3\xa4~ \n";

	plain_text(text, "");
	ck_assert_str_eq(text, "a?[2J\"\\???~ ?");
	plain_text(text, "\"\\");
	ck_assert_str_eq(text, "a?[2J?????~ ?");
}
END_TEST

/* In whatever order they come, they go by time. */
START_TEST(who_waits_goes_by_time) {
	struct waiting w;
	uint32_t dice = 1, before = 0;

	waiting_init(&w, 1000);
	ck_assert_uint_eq(waiting_next(&w), UINT64_MAX);
	for (uint32_t i = 0; i < 1000; i++) {
		dice = dice * 1664525 + 1013904223;
		waiting_add(&w, dice >> 20, dice >> 20);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t due = waiting_next(&w);

		ck_assert_uint_ge(due, before);
		before = waiting_take(&w);
		ck_assert_uint_eq(before, due);
	}
	ck_assert_uint_eq(w.count, 0);
	waiting_fini(&w);
}
END_TEST

/* What one listener hears of one talker, from message `first` on, who has sent 8. */
static const struct {
	uint32_t first, count, message[10];
	uint64_t missing, twice, out_of_order, lacks;
} hearings[] = {
	{ 0, 8, { 0, 1, 2, 3, 4, 5, 6, 7 }, 0, 0, 0, 0 },
	{ 0, 7, { 0, 1, 2, 3, 4, 5, 6 }, 0, 0, 0, 1 },
	{ 0, 7, { 0, 1, 3, 4, 5, 6, 7 }, 1, 0, 0, 0 },
	{ 0, 7, { 1, 2, 3, 4, 5, 6, 7 }, 1, 0, 0, 0 },
	{ 0, 9, { 0, 1, 2, 2, 3, 4, 5, 6, 7 }, 0, 1, 0, 0 },
	{ 0, 8, { 0, 2, 1, 3, 4, 5, 7, 6 }, 0, 0, 2, 0 },
	{ 0, 9, { 0, 2, 1, 1, 3, 4, 5, 6, 7 }, 0, 1, 1, 0 },
	/* Before the first that is asked for, it does not matter what came. */
	{ 5, 3, { 5, 6, 7 }, 0, 0, 0, 0 },
	{ 5, 4, { 4, 5, 6, 7 }, 0, 0, 0, 0 },
	{ 5, 2, { 6, 7 }, 1, 0, 0, 0 },
	{ 5, 0, { 0 }, 0, 0, 0, 3 },
	/* Nothing is asked for yet: whoever comes in the middle has missed nothing. */
	{ UINT32_MAX, 3, { 5, 6, 7 }, 0, 0, 0, 0 },
	{ UINT32_MAX, 2, { 5, 7 }, 1, 0, 0, 0 },
};

START_TEST(what_is_heard) {
	uint32_t first = hearings[_i].first;
	struct heard h;

	heard_init(&h, 2, 3);
	for (uint32_t k = 0; k < hearings[_i].count; k++) {
		uint64_t twice = h.twice;

		ck_assert(heard_note(&h, 1, 2, hearings[_i].message[k], first) == (h.twice == twice));
	}
	ck_assert_uint_eq(h.missing, hearings[_i].missing);
	ck_assert_uint_eq(h.twice, hearings[_i].twice);
	ck_assert_uint_eq(h.out_of_order, hearings[_i].out_of_order);
	ck_assert_uint_eq(first == UINT32_MAX ? 0 : heard_lacks(&h, 1, 2, first, 8), hearings[_i].lacks);
	/* The others have heard nothing of it. */
	ck_assert_uint_eq(heard_lacks(&h, 0, 2, 0, 8), 8);
	ck_assert_uint_eq(heard_lacks(&h, 1, 1, 0, 8), 8);
	heard_fini(&h);
}
END_TEST

START_TEST(long_gaps_are_counted) {
	struct heard h;

	heard_init(&h, 1, 1);
	ck_assert(heard_note(&h, 0, 0, 0, 0));
	ck_assert(heard_note(&h, 0, 0, 100, 0));
	ck_assert_uint_eq(h.missing, 99);
	ck_assert(heard_note(&h, 0, 0, 69, 0));
	ck_assert_uint_eq(h.missing, 98);
	/* Too late to be told from what came twice. */
	ck_assert(!heard_note(&h, 0, 0, 68, 0));
	ck_assert_uint_eq(h.missing, 98);
	heard_fini(&h);
}
END_TEST

Suite *suite_load(void) {
	Suite *s = suite_create("load");
	TCase *t = tcase_create("load");

	tcase_add_loop_test(t, urls_are_taken_apart, 0, ARRAY_LEN(urls));
	tcase_add_loop_test(t, urls_that_are_refused, 0, ARRAY_LEN(bad_urls));
	tcase_add_test(t, long_urls_are_refused);
	tcase_add_test(t, shares_are_the_whole);
	tcase_add_test(t, paces_fit_together);
	tcase_add_test(t, paces_are_exact);
	tcase_add_test(t, histograms_are_near);
	tcase_add_test(t, stamps_are_read_as_written);
	tcase_add_test(t, stamps_have_their_time);
	tcase_add_loop_test(t, verdicts_that_are_bad, 0, ARRAY_LEN(bad_counts));
	tcase_add_test(t, verdicts_that_are_good);
	tcase_add_test(t, texts_become_plain);
	tcase_add_test(t, who_waits_goes_by_time);
	tcase_add_loop_test(t, members_of_the_chat, 0, ARRAY_LEN(members));
	tcase_add_test(t, flat_members_of_the_chat);
	tcase_add_loop_test(t, what_is_heard, 0, ARRAY_LEN(hearings));
	tcase_add_test(t, long_gaps_are_counted);
	suite_add_tcase(s, t);
	return s;
}
