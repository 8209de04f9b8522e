/* test_grant - patterns, and grants that are shared */
#include <check.h>

#include "server/auth/grant.h"

static const struct {
	const char *pattern, *text;
	bool is_match;
} patterns[] = {
	{ "lobby", "lobby", true }, { "lobby", "lobb", false }, { "lobby", "lobbyy", false }, { "lobby", "Lobby", false },
	{ "*", "", true }, { "*", "anything", true }, { "**", "x", true }, { "", "", true }, { "", "x", false },
	{ "team.*", "team.a", true }, { "team.*", "team.", true }, { "team.*", "team", false }, { "team.*", "ateam.b", false },
	{ "*.log", "a.log", true }, { "*.log", "a.log.log", true }, { "*.log", "a.logs", false }, { "*.log", ".log", true },
	{ "a*b*c", "abc", true }, { "a*b*c", "aXbYbc", true }, { "a*b*c", "acb", false }, { "a*bc", "abbc", true },
	{ "*a*", "xxaxx", true }, { "*a*", "xxxx", false }, { "a*", "*a", false }, { "?", "x", false }, { "*x", "x*", false },
};

START_TEST(pattern) {
	ck_assert_msg(pattern_matches(slice_text(patterns[_i].pattern), slice_text(patterns[_i].text)) == patterns[_i].is_match, "%s %s",
	    patterns[_i].pattern, patterns[_i].text);
}
END_TEST

/* As bad as it gets: 128 by 128, and not exponential. */
START_TEST(worst_pattern) {
	char stars[PATTERN_MAX + 1] = { 0 }, text[129] = { 0 };

	for (size_t i = 0; i < PATTERN_MAX; i++)
		stars[i] = i % 2 == 0 ? '*' : 'a';
	stars[PATTERN_MAX - 1] = 'b';
	memset(text, 'a', sizeof(text) - 1);
	ck_assert(!pattern_matches(slice_text(stars), slice_text(text)));
}
END_TEST

START_TEST(rights) {
	ck_assert_int_eq(right_find(slice_text("chat")), RIGHT_chat);
	ck_assert_int_eq(right_find(slice_text("publish")), RIGHT_publish);
	ck_assert_int_eq(right_find(slice_text("system")), RIGHT_system);
	ck_assert_int_eq(right_find(slice_text("moderate")), RIGHT_moderate);
	ck_assert_int_eq(right_find(slice_text("Chat")), 0);
	ck_assert_int_eq(right_find(SLICE_EMPTY), 0);
}
END_TEST

START_TEST(lists) {
	struct grant_parts parts = { .user = slice_text("u"), .name = slice_text("U"), .rooms = slice_of("a*\0b", 5), .rights = RIGHT_chat };
	struct auth_grant *g = grant_new(&parts), *same = grant_new(&parts), *second = grant_hold(g);

	ck_assert(grant_has_room(g, slice_text("abc")) && grant_has_room(g, slice_text("b")));
	ck_assert(!grant_has_room(g, slice_text("bc")) && !grant_has_room(g, SLICE_EMPTY));
	ck_assert(!grant_has_channel(g, slice_text("a")));
	ck_assert(grant_is_same(g, same));
	grant_drop(&same);
	ck_assert_ptr_null(same);
	grant_drop(&g);
	ck_assert(slice_eq_text(grant_user(second), "u") && second->holders == 1);
	parts.rights = 0;
	same = grant_new(&parts);
	ck_assert(!grant_is_same(second, same));
	grant_drop(&same);
	grant_drop(&second);
	grant_drop(&second);
	ck_assert_ptr_null(grant_hold(NULL));
}
END_TEST

Suite *suite_grant(void);
Suite *suite_grant(void) {
	Suite *s = suite_create("grant");
	TCase *c = tcase_create("grant");

	tcase_add_loop_test(c, pattern, 0, ARRAY_LEN(patterns));
	tcase_add_test(c, worst_pattern);
	tcase_add_test(c, rights);
	tcase_add_test(c, lists);
	suite_add_tcase(s, c);
	return s;
}
