/* Names, rooms, channels and texts: the edges of what is taken. */
#include <check.h>

#include "common/base/mem.h"
#include "common/base/visible.h"
#include "server/proto/chat_check.h"

enum { USER = 1, NAME = 2, ROOM = 4, CHANNEL = 8, TEXT = 16 };

#define T(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static const struct {
	struct slice s;
	unsigned good_as;
} cases[] = {
	{ T(""), 0 },
	{ T(" "), 0 },
	{ T(" \xc2\xa0\xe3\x80\x80"), 0 },
	{ T("\xe2\x80\x8b"), 0 },	/* zero width space */
	{ T("a"), USER | NAME | ROOM | CHANNEL | TEXT },
	{ T("Anna-1_x.y:z"), USER | NAME | ROOM | CHANNEL | TEXT },
	{ T("a b"), USER | NAME | TEXT },
	{ T("a/b"), USER | NAME | CHANNEL | TEXT },
	{ T("B\xc3\xbcro"), USER | NAME | CHANNEL | TEXT },
	{ T("\xf0\x9f\x98\x80"), USER | NAME | CHANNEL | TEXT },
	{ T("a\nb\tc"), TEXT },
	{ T("\n\t"), 0 },
	{ T("a\rb"), 0 },
	{ T("a\0b"), 0 },
	{ T("a\x07"), 0 },
	{ T("a\x7f"), 0 },
	{ T("a\xc2\x80"), 0 },
	{ T("a\xc2\x9f"), 0 },
	{ T("a\xe2\x80\xa8"), TEXT },	/* line separator */
	{ T("a\xe2\x80\xa9"), TEXT },
	{ T("a\xe2\x80\xaa"), TEXT },	/* bidi embedding */
	{ T("a\xe2\x80\xae"), TEXT },
	{ T("a\xe2\x81\xa6"), TEXT },	/* bidi isolate */
	{ T("a\xe2\x81\xa9"), TEXT },
	{ T("a\xe2\x81\xaa"), USER | NAME | CHANNEL | TEXT },
	{ T("$all"), USER | NAME | TEXT },
	{ T("room:lobby"), USER | NAME | ROOM | TEXT },
	{ T("a\xc3"), 0 },		/* broken UTF-8 never comes from the parser, and is refused all the same */
};

static unsigned good_as(struct slice s) {
	return (chat_check_user(s) ? USER : 0u) | (chat_check_name(s) ? NAME : 0u) | (chat_check_room(s) ? ROOM : 0u) |
	       (chat_check_channel(s) ? CHANNEL : 0u) | (chat_check_text(s) ? TEXT : 0u);
}

START_TEST(takes_what_is_plain) {
	struct slice s = cases[_i].s;
	uint8_t *exact = mem_dup(s.ptr, s.len);

	ck_assert_uint_eq(good_as(slice_of(exact, s.len)), cases[_i].good_as);
	mem_free(exact);
}
END_TEST

static struct slice repeated(char *out, const char *unit, size_t times) {
	size_t len = strlen(unit);

	for (size_t i = 0; i < times; i++)
		memcpy(out + i * len, unit, len);
	return slice_of(out, len * times);
}

START_TEST(has_limits) {
	static char text[20000];

	ck_assert(chat_check_user(repeated(text, "a", 128)));
	ck_assert(!chat_check_user(repeated(text, "a", 129)));
	ck_assert(chat_check_user(repeated(text, "\xc3\xa4", 64)));
	ck_assert(!chat_check_user(repeated(text, "\xc3\xa4", 65)));
	ck_assert(chat_check_name(repeated(text, "\xf0\x9f\x98\x80", 64)));
	ck_assert(!chat_check_name(repeated(text, "\xf0\x9f\x98\x80", 65)));
	ck_assert(!chat_check_name(repeated(text, "a", 65)));
	ck_assert(chat_check_room(repeated(text, "a", 64)));
	ck_assert(!chat_check_room(repeated(text, "a", 65)));
	ck_assert(chat_check_channel(repeated(text, "a", 128)));
	ck_assert(!chat_check_channel(repeated(text, "a", 129)));
	ck_assert(chat_check_text(repeated(text, "\xf0\x9f\x98\x80", 4096)));
	ck_assert(!chat_check_text(repeated(text, "\xf0\x9f\x98\x80", 4097)));
	ck_assert(!chat_check_text(repeated(text, "a", 4097)));
}
END_TEST

static bool is_right(struct slice s, uint8_t other, uint8_t c) {
	bool is_shown = c > ' ' && c < 0x7f, is_control = !is_shown && c != ' ', is_visible = is_shown || (other != ' ' && s.len > 1);
	size_t characters;

	if (visible_is_plain(s, &characters) != (is_visible && !is_control) || (!is_control && characters != s.len))
		return false;
	return chat_check_text(s) == (is_visible && (!is_control || c == '\t' || c == '\n'));
}

/* Many characters of ASCII are looked at together: each one at each place among others. */
START_TEST(sees_each_character) {
	for (size_t len = 1; len <= 40; len++) {
		uint8_t *text = mem_alloc(len);
		bool is_all_right = true;

		for (unsigned i = 0; i < 2 * len * 128; i++) {
			size_t at = i / 256;
			uint8_t other = i % 2 == 0 ? ' ' : 'x', c = (uint8_t)(i / 2 % 128);

			memset(text, other, len);
			text[at] = c;
			is_all_right = is_all_right && is_right(slice_of(text, len), other, c);
		}
		ck_assert(is_all_right);
		mem_free(text);
	}
}
END_TEST

START_TEST(counts_mixed_characters) {
	size_t characters;

	ck_assert(visible_is_plain(slice_text("Gr\xc3\xbc\xc3\x9f" "e aus K\xc3\xb6ln und anderswo \xf0\x9f\x98\x80!"), &characters));
	ck_assert_uint_eq(characters, 30);
	ck_assert(!visible_is_plain(slice_text("        \xc2\xa0        "), &characters));
	ck_assert(visible_is_plain(slice_text("        \xc2\xa0       x"), &characters));
	ck_assert_uint_eq(characters, 17);
	ck_assert(!visible_is_plain(slice_text("a name with a \xe2\x80\xae turn in it"), &characters));
}
END_TEST

START_TEST(knows_secrets_and_epochs) {
	ck_assert(chat_check_resume(slice_text("abcdefghijklmnopqrst-_")));
	ck_assert(!chat_check_resume(slice_text("abcdefghijklmnopqrst-")));
	ck_assert(!chat_check_resume(slice_text("abcdefghijklmnopqrst-_1")));
	ck_assert(!chat_check_resume(slice_text("abcdefghijklmnopqrst+/")));
	ck_assert(!chat_check_resume(slice_text("")));
	ck_assert(chat_check_epoch(slice_text("abc")));
	ck_assert(chat_check_epoch(slice_text("1234567890123456789012345678901")));
	ck_assert(!chat_check_epoch(slice_text("12345678901234567890123456789012")));
	ck_assert(!chat_check_epoch(slice_text("")));
	ck_assert(!chat_check_epoch(slice_text("a b")));
	ck_assert(!chat_check_epoch(slice_text("\xc3\xa4")));
}
END_TEST

Suite *suite_chat_check(void);

Suite *suite_chat_check(void) {
	Suite *s = suite_create("chat_check");
	TCase *t = tcase_create("chat_check");

	tcase_add_loop_test(t, takes_what_is_plain, 0, (int)ARRAY_LEN(cases));
	tcase_add_test(t, has_limits);
	tcase_add_test(t, sees_each_character);
	tcase_add_test(t, counts_mixed_characters);
	tcase_add_test(t, knows_secrets_and_epochs);
	suite_add_tcase(s, t);
	return s;
}
