/* test_forwarded - whom a list of proxies leads to */
#include <check.h>

#include "server/net/forwarded.h"

static struct nets trusted;

static void setup(void) {
	char *text[] = { (char[]){ "10.0.0.0/8" }, (char[]){ "fd00::/8" }, (char[]){ "unix" } };
	struct errbuf e;

	ck_assert(nets_init(&trusted, text, ARRAY_LEN(text), &e));
}

static void teardown(void) {
	nets_fini(&trusted);
}

static const struct {
	const char *value, *client;
	bool goes_on;
} lists[] = {
	{ "203.0.113.7", "203.0.113.7", false },
	{ " 203.0.113.7\t", "203.0.113.7", false },
	{ "203.0.113.7:4711", "203.0.113.7:4711", false },
	{ "2001:db8::7", "2001:db8::7", false },
	{ "[2001:db8::7]", "2001:db8::7", false },
	{ "[2001:db8::7]:4711", "[2001:db8::7]:4711", false },
	/* What is left of the first untrusted one may be invented. */
	{ "192.0.2.66, 203.0.113.7", "203.0.113.7", false },
	{ "10.0.0.66,203.0.113.7", "203.0.113.7", false },
	{ "192.0.2.66, 203.0.113.7, 10.0.0.2", "203.0.113.7", false },
	{ "192.0.2.66, 203.0.113.7,10.0.0.2 ,  fd00::2,unix:", "203.0.113.7", false },
	/* Nobody but proxies: the first of them asked for itself. */
	{ "10.0.0.3", "10.0.0.3", true },
	{ "10.0.0.4, 10.0.0.3", "10.0.0.4", true },
	/* Malformed entries stop the walk. */
	{ "203.0.113.7, x, 10.0.0.2", "10.0.0.2", false },
	{ "203.0.113.7, , 10.0.0.2", "10.0.0.2", false },
	{ "203.0.113.7,", "10.9.9.9:9", false },
	{ "unknown", "10.9.9.9:9", false },
	{ "_hidden", "10.9.9.9:9", false },
	{ "203.0.113.7:65536", "10.9.9.9:9", false },
	{ "203.0.113.7:", "10.9.9.9:9", false },
	{ "203.0.113.7:x", "10.9.9.9:9", false },
	{ "203.0.113", "10.9.9.9:9", false },
	{ "[203.0.113.7]", "10.9.9.9:9", false },
	{ "[2001:db8::7", "10.9.9.9:9", false },
	{ "[2001:db8::7]4711", "10.9.9.9:9", false },
	{ "2001:db8::7%eth0", "10.9.9.9:9", false },
	{ "203.0.113.7 10.0.0.2", "10.9.9.9:9", false },
	{ ",", "10.9.9.9:9", false },
	{ ",10.0.0.2", "10.0.0.2", false },
	{ "", "10.9.9.9:9", false },
};

START_TEST(walks) {
	char text[SOCK_TEXT_MAX];
	struct sock_peer client;

	ck_assert(sock_peer_parse(slice_text("10.9.9.9:9"), &client));
	ck_assert_msg(forwarded_walk(slice_text(lists[_i].value), &trusted, &client) == lists[_i].goes_on, "%s", lists[_i].value);
	sock_peer_text(&client, text);
	ck_assert_msg(strcmp(text, lists[_i].client) == 0, "\"%s\" leads to %s", lists[_i].value, text);
}
END_TEST

Suite *suite_forwarded(void);
Suite *suite_forwarded(void) {
	Suite *s = suite_create("forwarded");
	TCase *t = tcase_create("forwarded");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, walks, 0, (int)ARRAY_LEN(lists));
	suite_add_tcase(s, t);
	return s;
}
