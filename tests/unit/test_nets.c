/* test_nets - networks of both kinds, and who is in them */
#include <check.h>

#include "common/svc/nets.h"

static struct errbuf err;

static const struct {
	const char *net, *peer;
	bool is_in;
} members[] = {
	{ "10.0.0.4", "10.0.0.4", true },
	{ "10.0.0.4", "10.0.0.5", false },
	{ "10.0.0.4/32", "10.0.0.4:1234", true },
	{ "10.0.0.0/8", "10.255.1.2", true },
	{ "10.0.0.0/8", "11.0.0.0", false },
	{ "10.9.9.9/8", "10.1.1.1", true },
	{ "192.168.4.0/22", "192.168.7.255", true },
	{ "192.168.4.0/22", "192.168.8.0", false },
	{ "192.168.4.0/23", "192.168.6.0", false },
	{ "0.0.0.0/0", "203.0.113.9", true },
	{ "0.0.0.0/0", "2001:db8::1", false },
	{ "::/0", "2001:db8::1", true },
	{ "::/0", "10.0.0.1", false },
	{ "::1", "::1", true },
	{ "::1", "::2", false },
	{ "fd00::/8", "fdff::1", true },
	{ "fd00::/8", "fe00::1", false },
	{ "2001:db8::/33", "2001:db8:7fff::", true },
	{ "2001:db8::/33", "2001:db8:8000::", false },
	{ "::ffff:10.0.0.0/104", "10.1.2.3", true },
	{ "10.0.0.0/8", "::ffff:10.1.2.3", true },
	{ "unix", "unix:", true },
	{ "unix", "0.0.0.0", false },
	{ "0.0.0.0/0", "unix:", false },
	{ "::/0", "unix:", false },
};

START_TEST(membership) {
	char *text[] = { (char[64]){ "" } };
	struct sock_peer peer;
	struct nets n;

	snprintf(text[0], 64, "%s", members[_i].net);
	ck_assert_msg(nets_init(&n, text, 1, &err), "%s", err.text);
	ck_assert(sock_peer_parse(slice_text(members[_i].peer), &peer));
	ck_assert_msg(nets_has(&n, &peer) == members[_i].is_in, "%s in %s", members[_i].peer, members[_i].net);
	nets_fini(&n);
}
END_TEST

START_TEST(of_several_any_counts) {
	char *text[] = { (char[]){ "10.0.0.4" }, (char[]){ "unix" }, (char[]){ "fd00::/8" } };
	struct sock_peer peer;
	struct nets n;

	ck_assert(nets_init(&n, text, ARRAY_LEN(text), &err));
	ck_assert(sock_peer_parse(slice_text("fd12::1"), &peer) && nets_has(&n, &peer));
	ck_assert(sock_peer_parse(slice_text("unix:"), &peer) && nets_has(&n, &peer));
	ck_assert(sock_peer_parse(slice_text("10.0.0.5"), &peer) && !nets_has(&n, &peer));
	nets_fini(&n);
	ck_assert(nets_init(&n, text, 0, &err));
	ck_assert(!nets_has(&n, &peer));
	nets_fini(&n);
}
END_TEST

static const char *const refused[] = { "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.0/-1", "/8", "", "::/129", "fe80::1%lo", "[::1]",
	"10.0.0.4:80", "localhost", "Unix", "unix:", "1111111111111111111111111111111111111111111111111111111111" };

START_TEST(refusals) {
	char *text[] = { (char[]){ "10.0.0.4" }, (char[80]){ "" } };
	struct nets n;

	snprintf(text[1], 80, "%s", refused[_i]);
	ck_assert_msg(!nets_init(&n, text, 2, &err), "%s", refused[_i]);
	ck_assert_ptr_null(n.item);
	ck_assert_ptr_nonnull(strstr(err.text, "is no address or network: want IPV4, IPV4/BITS, IPV6, IPV6/BITS or unix"));
}
END_TEST

Suite *suite_nets(void);
Suite *suite_nets(void) {
	Suite *s = suite_create("nets");
	TCase *t = tcase_create("nets");

	tcase_add_loop_test(t, membership, 0, (int)ARRAY_LEN(members));
	tcase_add_test(t, of_several_any_counts);
	tcase_add_loop_test(t, refusals, 0, (int)ARRAY_LEN(refused));
	suite_add_tcase(s, t);
	return s;
}
