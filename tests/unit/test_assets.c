/* test_assets - the pages' files are in the program and are found */
#include <check.h>

#include "server/page/assets.h"

static const struct {
	enum asset_page page;
	const char *path, *content_type, *begins;
} expected[] = {
	{ PAGE_CHAT, "/", "text/html; charset=utf-8", "<!doctype html>" },
	{ PAGE_CHAT, "/chat.css", "text/css; charset=utf-8", "/* chat" },
	{ PAGE_CHAT, "/chat.js", "text/javascript; charset=utf-8", "/* chat" },
	{ PAGE_CHAT, "/view.js", "text/javascript; charset=utf-8", "/* view" },
	{ PAGE_CHAT, "/herold.js", "text/javascript; charset=utf-8", "/**" },
	{ PAGE_CHAT, "/icon.svg", "image/svg+xml", "<svg" },
	{ PAGE_STATUS, "/", "text/html; charset=utf-8", "<!doctype html>" },
	{ PAGE_STATUS, "/status.css", "text/css; charset=utf-8", "/* status" },
	{ PAGE_STATUS, "/status.js", "text/javascript; charset=utf-8", "/* status" },
	{ PAGE_STATUS, "/link.js", "text/javascript; charset=utf-8", "/* link" },
	{ PAGE_STATUS, "/contents.js", "text/javascript; charset=utf-8", "/* contents" },
	{ PAGE_STATUS, "/chart.js", "text/javascript; charset=utf-8", "/* chart" },
	{ PAGE_STATUS, "/words.js", "text/javascript; charset=utf-8", "/* words" },
	{ PAGE_STATUS, "/icon.svg", "image/svg+xml", "<svg" },
};

START_TEST(test_found) {
	const struct asset *a = asset_find(expected[_i].page, slice_text(expected[_i].path));

	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->path, expected[_i].path);
	ck_assert_str_eq(a->content_type, expected[_i].content_type);
	ck_assert(slice_starts_with(a->body, expected[_i].begins));
	ck_assert_uint_eq(a->body.ptr[a->body.len - 1], '\n');
	ck_assert_uint_eq(strlen(a->etag), ASSET_ETAG_DIGITS + 2);
	ck_assert_uint_eq(strspn(a->etag + 1, "0123456789abcdef"), ASSET_ETAG_DIGITS);
	ck_assert(a->etag[0] == '"' && a->etag[ASSET_ETAG_DIGITS + 1] == '"');
}
END_TEST

START_TEST(test_etags_differ) {
	ck_assert_str_ne(asset_find(PAGE_CHAT, slice_text("/chat.js"))->etag, asset_find(PAGE_CHAT, slice_text("/herold.js"))->etag);
	ck_assert_str_ne(asset_find(PAGE_CHAT, slice_text("/"))->etag, asset_find(PAGE_STATUS, slice_text("/"))->etag);
}
END_TEST

START_TEST(test_not_found) {
	static const char *const paths[] = { "", "chat.js", "/chat.js/", "/Chat.js", "/chat.j", "/../chat.js", "//" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		ck_assert_ptr_null(asset_find(PAGE_CHAT, slice_text(paths[i])));
	ck_assert_ptr_null(asset_find(PAGE_STATUS, slice_text("/chat.js")));
	ck_assert_ptr_null(asset_find(PAGE_CHAT, slice_text("/status.js")));
}
END_TEST

Suite *suite_assets(void);
Suite *suite_assets(void) {
	Suite *s = suite_create("assets");
	TCase *c = tcase_create("find");

	tcase_add_checked_fixture(c, assets_init, NULL);
	tcase_add_loop_test(c, test_found, 0, (int)ARRAY_LEN(expected));
	tcase_add_test(c, test_etags_differ);
	tcase_add_test(c, test_not_found);
	suite_add_tcase(s, c);
	return s;
}
