/* test_tls_tickets - keys that change while others read them */
#include <check.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "server/net/tls_tickets.h"
#include "tests/unit/model.h"

static struct tls_tickets *tickets;

static void setup(void) {
	struct errbuf e;

	tickets = tls_tickets_new(&e);
	ck_assert_ptr_nonnull(tickets);
}

static void teardown(void) {
	tls_tickets_free(&tickets);
}

START_TEST(the_one_before_is_kept) {
	struct tls_ticket_key first, second, third, found;
	bool is_first;

	ck_assert(!tls_tickets_find(tickets, NULL, &found, &is_first));
	tls_tickets_rotate(tickets);
	ck_assert(tls_tickets_find(tickets, NULL, &first, &is_first) && is_first);
	tls_tickets_rotate(tickets);
	ck_assert(tls_tickets_find(tickets, NULL, &second, &is_first) && is_first);
	ck_assert(memcmp(&first, &second, sizeof(first)) != 0);
	ck_assert(tls_tickets_find(tickets, first.name, &found, &is_first) && !is_first);
	ck_assert(memcmp(&first, &found, sizeof(first)) == 0);
	tls_tickets_rotate(tickets);
	ck_assert(tls_tickets_find(tickets, NULL, &third, &is_first));
	ck_assert(!tls_tickets_find(tickets, first.name, &found, &is_first));
	ck_assert(tls_tickets_find(tickets, second.name, &found, &is_first) && !is_first);
	ck_assert(tls_tickets_find(tickets, third.name, &found, &is_first) && is_first);
}
END_TEST

START_TEST(from_a_file) {
	uint8_t keys[(TLS_TICKET_KEYS_MAX + 1) * TLS_TICKET_KEY_BYTES];
	struct tls_ticket_key found;
	struct errbuf e;
	bool is_first;

	random_bytes(keys, sizeof(keys));
	for (size_t len = 0; len <= sizeof(keys); len++)
		ck_assert_int_eq(tls_tickets_check(slice_of(keys, len), &e), len > 0 && len % TLS_TICKET_KEY_BYTES == 0 && len < sizeof(keys));
	tls_tickets_set(tickets, slice_of(keys, TLS_TICKET_KEYS_MAX * TLS_TICKET_KEY_BYTES));
	for (size_t i = 0; i <= TLS_TICKET_KEYS_MAX; i++) {
		const uint8_t *key = keys + i * TLS_TICKET_KEY_BYTES;

		ck_assert_int_eq(tls_tickets_find(tickets, key, &found, &is_first), i < TLS_TICKET_KEYS_MAX);
		ck_assert(i == TLS_TICKET_KEYS_MAX || (memcmp(&found, key, sizeof(found)) == 0 && is_first == (i == 0)));
	}
}
END_TEST

/* Each key of the writer is 80 equal bytes: a torn one would show. */
START_TEST(readers_see_whole_keys) {
	uint8_t keys[2 * TLS_TICKET_KEY_BYTES];
	pid_t reader;
	int status;

	memset(keys, 0, sizeof(keys));
	tls_tickets_set(tickets, slice_of(keys, sizeof(keys)));
	reader = fork();
	if (reader == 0) {
		struct tls_ticket_key key;
		const uint8_t *bytes = (const uint8_t *)&key;
		bool is_first;

		do {
			if (!tls_tickets_find(tickets, NULL, &key, &is_first) || memcmp(bytes, bytes + 1, sizeof(key) - 1) != 0)
				_exit(1);
		} while (bytes[0] != 255);
		_exit(0);
	}
	for (int i = 0; i < 2000000; i++) {
		memset(keys, i % 255, sizeof(keys));
		tls_tickets_set(tickets, slice_of(keys, sizeof(keys)));
	}
	memset(keys, 255, sizeof(keys));
	tls_tickets_set(tickets, slice_of(keys, sizeof(keys)));
	ck_assert_int_eq(waitpid(reader, &status, 0), reader);
	ck_assert_int_eq(status, 0);
}
END_TEST

Suite *suite_tls_tickets(void);
Suite *suite_tls_tickets(void) {
	Suite *s = suite_create("tls_tickets");
	TCase *t = tcase_create("tickets");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_one_before_is_kept);
	tcase_add_test(t, from_a_file);
	tcase_add_test(t, readers_see_whole_keys);
	suite_add_tcase(s, t);
	return s;
}
