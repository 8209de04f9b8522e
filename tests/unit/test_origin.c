/* origin - tables of lists and headers */
#include <check.h>

#include "server/auth/origin.h"

#define ANOTHER_HOST \
	"pages of another host may not connect here: their Origin is not this Host (option origins; a proxy has to pass Host on)"
#define NOT_LISTED "pages of this Origin may not connect here (option origins)"
#define NO_ORIGIN "pages without an origin of their own (Origin: null) may not connect here (option origins)"
#define MALFORMED "the Origin header is malformed"
#define NOT_OUR_NAME "this server does not go by the name in the Host header (option hosts)"

enum { ENTRIES_MAX = 4 };

static size_t count_of(const char *const *entry) {
	size_t n = 0;

	while (n < ENTRIES_MAX && entry[n] != NULL)
		n++;
	return n;
}

static const struct {
	const char *list[ENTRIES_MAX], *origin, *host, *want;	/* origin NULL: none; want NULL: welcome */
} origins[] = {
	/* Nothing is listed: the same host. */
	{ { NULL }, NULL, "a.example", NULL },
	{ { NULL }, "http://a.example", "a.example", NULL },
	{ { NULL }, "https://a.example", "a.example", NULL },
	{ { NULL }, "http://a.example:8080", "a.example:8080", NULL },
	{ { NULL }, "http://A.Example", "a.eXample", NULL },
	{ { NULL }, "http://a.example", "a.example:80", NULL },
	{ { NULL }, "https://a.example", "a.example:443", NULL },
	{ { NULL }, "https://a.example:443", "a.example", NULL },
	{ { NULL }, "http://[::1]:8080", "[::1]:8080", NULL },
	{ { NULL }, "http://127.0.0.1:8080", "127.0.0.1:8080", NULL },
	{ { NULL }, "http://b.example", "a.example", ANOTHER_HOST },
	{ { NULL }, "http://a.example.evil", "a.example", ANOTHER_HOST },
	{ { NULL }, "http://evil.a.example", "a.example", ANOTHER_HOST },
	{ { NULL }, "http://a.example:8081", "a.example:8080", ANOTHER_HOST },
	{ { NULL }, "http://a.example:8080", "a.example", ANOTHER_HOST },
	{ { NULL }, "http://a.example", "a.example:8080", ANOTHER_HOST },
	{ { NULL }, "https://a.example", "a.example:80", ANOTHER_HOST },
	{ { NULL }, "http://a.example", "", ANOTHER_HOST },
	{ { NULL }, "ftp://a.example", "a.example", ANOTHER_HOST },
	{ { NULL }, "http://a.example@b.example", "a.example", MALFORMED },
	{ { NULL }, "http://a.example/", "a.example", MALFORMED },
	{ { NULL }, "http://a.example http://b.example", "a.example", MALFORMED },
	{ { NULL }, "http://a.example:port", "a.example", MALFORMED },
	{ { NULL }, "http://a.example:", "a.example", MALFORMED },
	{ { NULL }, "http://a.example:0", "a.example", MALFORMED },
	{ { NULL }, "http://a.example:65536", "a.example", MALFORMED },
	{ { NULL }, "http://", "", MALFORMED },
	{ { NULL }, "http:a.example", "a.example", MALFORMED },
	{ { NULL }, "a.example", "a.example", MALFORMED },
	{ { NULL }, "", "", MALFORMED },
	{ { NULL }, "http://[::1", "[::1", MALFORMED },
	{ { NULL }, "http://[::1]x", "[::1]", MALFORMED },
	{ { NULL }, "http://*.example", "*.example", MALFORMED },
	{ { NULL }, "://a.example", "a.example", MALFORMED },
	{ { NULL }, "null", "null", NO_ORIGIN },
	/* Listed ones, and then only these. */
	{ { "https://a.example" }, NULL, "x", NULL },
	{ { "https://a.example" }, "https://a.example", "x", NULL },
	{ { "https://a.example:443" }, "https://a.example", "x", NULL },
	{ { "https://a.example" }, "https://a.example:443", "x", NULL },
	{ { "https://b.example", "HTTPS://A.example" }, "https://a.Example", "x", NULL },
	{ { "capacitor://localhost" }, "capacitor://localhost", "x", NULL },
	{ { "https://a.example" }, "http://a.example", "x", NOT_LISTED },
	{ { "https://a.example" }, "https://a.example:8443", "x", NOT_LISTED },
	{ { "https://a.example" }, "https://x", "x", NOT_LISTED },
	{ { "https://a.example" }, "null", "x", NO_ORIGIN },
	{ { "https://a.example" }, "https://a.example/path", "x", MALFORMED },
	{ { "https://*.a.example" }, "https://b.a.example", "x", NULL },
	{ { "https://*.a.example" }, "https://c.b.A.example", "x", NULL },
	{ { "https://*.a.example:8443" }, "https://b.a.example:8443", "x", NULL },
	{ { "https://*.a.example" }, "https://a.example", "x", NOT_LISTED },
	{ { "https://*.a.example" }, "https://.a.example", "x", NOT_LISTED },
	{ { "https://*.a.example" }, "https://ba.example", "x", NOT_LISTED },
	{ { "https://*.a.example" }, "https://b.a.example:8443", "x", NOT_LISTED },
	{ { "https://*.a.example" }, "http://b.a.example", "x", NOT_LISTED },
	{ { "https://*.a.example" }, "https://b.a.example.evil", "x", NOT_LISTED },
	{ { "*" }, "http://anybody", "x", NULL },
	{ { "*" }, "null", "x", NULL },
	{ { "*" }, "anything at all", "x", NULL },
	{ { "null" }, "null", "x", NULL },
	{ { "null" }, "http://x", "x", NOT_LISTED },
};

START_TEST(origin) {
	const char *text = origins[_i].origin, *why;
	struct origin_list list;
	struct errbuf e;

	ck_assert(origins_init(&list, (char *const *)(uintptr_t)origins[_i].list, count_of(origins[_i].list), &e));
	why = origin_refusal(&list, text != NULL ? slice_text(text) : SLICE_EMPTY, text != NULL, slice_text(origins[_i].host));
	if (origins[_i].want == NULL)
		ck_assert_msg(why == NULL, "row %d: %s", _i, why);
	else
		ck_assert_msg(why != NULL && strcmp(why, origins[_i].want) == 0, "row %d: %s", _i, why);
	origin_list_fini(&list);
}
END_TEST

START_TEST(two_origins) {
	const char *any[] = { "*" };
	struct origin_list list;
	struct errbuf e;

	ck_assert(origins_init(&list, (char *const *)(uintptr_t)any, 1, &e));
	ck_assert_str_eq(origin_refusal(&list, SLICE_EMPTY, 2, slice_text("a")), "there is more than one Origin header");
	origin_list_fini(&list);
}
END_TEST

static const struct {
	const char *list[ENTRIES_MAX], *host;
	bool is_welcome;
} hosts[] = {
	{ { NULL }, "anything", true },
	{ { NULL }, "", true },
	{ { "a.example" }, "a.example", true },
	{ { "a.example" }, "A.EXAMPLE", true },
	{ { "a.example" }, "a.example:8080", true },
	{ { "a.example:8080" }, "a.example:8080", true },
	{ { "b.example", "a.example" }, "a.example", true },
	{ { "*.a.example" }, "b.a.example", true },
	{ { "*.a.example:80" }, "b.a.example:80", true },
	{ { "[::1]" }, "[::1]:8080", true },
	{ { "127.0.0.1" }, "127.0.0.1", true },
	{ { "a.example" }, "b.example", false },
	{ { "a.example" }, "b.a.example", false },
	{ { "a.example" }, "a.example.evil", false },
	{ { "a.example" }, "a.example.", false },
	{ { "a.example" }, "127.0.0.1", false },
	{ { "a.example" }, "", false },
	{ { "a.example:8080" }, "a.example", false },
	{ { "a.example:8080" }, "a.example:8081", false },
	{ { "*.a.example" }, "a.example", false },
	{ { "*.a.example" }, ".a.example", false },
	{ { "*.a.example:80" }, "b.a.example", false },
};

START_TEST(host) {
	struct origin_list list;
	const char *why;
	struct errbuf e;

	ck_assert(hosts_init(&list, (char *const *)(uintptr_t)hosts[_i].list, count_of(hosts[_i].list), &e));
	why = host_refusal(&list, slice_text(hosts[_i].host));
	ck_assert_msg((why == NULL) == hosts[_i].is_welcome, "row %d: %s", _i, hosts[_i].host);
	if (why != NULL)
		ck_assert_str_eq(why, NOT_OUR_NAME);
	origin_list_fini(&list);
}
END_TEST

static const struct {
	const char *entry;
	bool is_origin, is_host;
} entries[] = {
	{ "https://a.example", true, false },
	{ "https://*.a.example:8443", true, false },
	{ "app+x-1.0://a_b", true, false },
	{ "*", true, false },
	{ "null", true, true },
	{ "a.example", false, true },
	{ "*.a.example:80", false, true },
	{ "[2001:db8::1]:80", false, true },
	{ "", false, false },
	{ "https://", false, false },
	{ "https://*", false, false },
	{ "https://*.", false, false },
	{ "https://a.*.example", false, false },
	{ "https://*.[::1]", false, false },
	{ "https://a.example/", false, false },
	{ "https://u@a.example", false, false },
	{ "https://a.example:", false, false },
	{ "https://a.example:99999", false, false },
	{ "https://a b", false, false },
	{ "*.", false, false },
	{ "**.a", false, false },
	{ "a/b", false, false },
	{ "[]", false, false },
};

START_TEST(entry) {
	char *text[] = { (char *)(uintptr_t)entries[_i].entry };
	struct origin_list list;
	struct errbuf e = { "" };
	bool is_origin = origins_init(&list, text, 1, &e);

	if (is_origin)
		origin_list_fini(&list);
	else
		ck_assert_ptr_nonnull(strstr(e.text, " is no origin: want SCHEME://HOST[:PORT]"));
	ck_assert_msg(is_origin == entries[_i].is_origin, "origin %s", entries[_i].entry);
	if (hosts_init(&list, text, 1, &e)) {
		ck_assert_msg(entries[_i].is_host, "host %s", entries[_i].entry);
		origin_list_fini(&list);
	} else {
		ck_assert_msg(!entries[_i].is_host, "host %s", entries[_i].entry);
		ck_assert_ptr_nonnull(strstr(e.text, " is no host: want HOST[:PORT]"));
	}
}
END_TEST

START_TEST(own_hosts) {
	static const char *const own[] = { "localhost", "LocalHost:8081", "127.0.0.1", "10.1.2.3:80", "[::1]", "[fd00::1]:8081" };
	static const char *const others[] = { "", "a.example", "localhost.evil", "1.2.3", "1.2.3.4.evil", "127.0.0.1.nip.io", "[::1", "1.2.3.4:x" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		ck_assert_msg(host_is_own(slice_text(own[i])), "%s", own[i]);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ck_assert_msg(!host_is_own(slice_text(others[i])), "%s", others[i]);
}
END_TEST

Suite *suite_origin(void);

Suite *suite_origin(void) {
	Suite *s = suite_create("origin");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, origin, 0, ARRAY_LEN(origins));
	tcase_add_test(t, two_origins);
	tcase_add_loop_test(t, host, 0, ARRAY_LEN(hosts));
	tcase_add_loop_test(t, entry, 0, ARRAY_LEN(entries));
	tcase_add_test(t, own_hosts);
	suite_add_tcase(s, t);
	return s;
}
