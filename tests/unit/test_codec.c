/* test_codec - the vectors of RFC 4648, strictness, and digests known from their standards */
#include <check.h>

#include "common/base/codec.h"
#include "common/base/digest.h"
#include "common/base/mem.h"

static const struct {
	const char *bytes, *text, *url;
} vectors[] = {
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xff\xef\xbe", "/+++", "_---" },
	{ "\xfb\xff", "+/8=", "-_8" },
};

START_TEST(base64_vectors) {
	struct slice bytes = slice_text(vectors[_i].bytes);
	char text[32];
	uint8_t back[32];
	size_t len;

	base64_encode(bytes, text);
	ck_assert_str_eq(text, vectors[_i].text);
	ck_assert_uint_eq(strlen(text), BASE64_LEN(bytes.len));
	ck_assert(base64_decode(slice_text(text), back, &len));
	ck_assert(slice_eq(slice_of(back, len), bytes));
	base64url_encode(bytes, text);
	ck_assert_str_eq(text, vectors[_i].url);
	ck_assert_uint_eq(strlen(text), BASE64URL_LEN(bytes.len));
}
END_TEST

/* The room that the header promises is enough: checked by the sanitizer. */
START_TEST(exact_room) {
	uint8_t bytes[40];

	random_bytes(bytes, sizeof(bytes));
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		char *text = mem_alloc(BASE64_LEN(n) + 1);
		uint8_t *back;
		size_t len;

		base64_encode(slice_of(bytes, n), text);
		back = mem_alloc(BASE64_LEN(n) * 3 / 4);
		ck_assert(base64_decode(slice_text(text), back, &len));
		ck_assert(slice_eq(slice_of(back, len), slice_of(bytes, n)));
		mem_free(back);
		mem_free(text);
		text = mem_alloc(BASE64URL_LEN(n) + 1);
		base64url_encode(slice_of(bytes, n), text);
		ck_assert_uint_eq(strlen(text), BASE64URL_LEN(n));
		mem_free(text);
	}
}
END_TEST

static const char *const bad_base64[] = { "Z", "Zg", "Zg=", "Zm8", "Zh==", "Zm9=", "====", "=", "Z===", "Zg==Zg==", "Zm9v\n",
	"Zm 9v", "Zm9-", "Zg=a", "\xc3\xa4\xc3\xa4" };

START_TEST(base64_is_strict) {
	uint8_t out[32];
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(bad_base64); i++)
		ck_assert_msg(!base64_decode(slice_text(bad_base64[i]), out, &len), "%s", bad_base64[i]);
}
END_TEST

static const char *const bad_base64url[] = { "A", "AAAAA", "Zh", "Zm9", "Zg==", "Zg=", "Zm8=", "a+b/", "Zm 8", "Zm9v\n", "\xc3\xa4" };

START_TEST(base64url_back) {
	uint8_t bytes[64], back[64];
	char text[BASE64URL_LEN(sizeof(bytes)) + 1];
	size_t len;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(255 - 3 * i);
	for (size_t i = 0; i <= sizeof(bytes); i++) {
		base64url_encode(slice_of(bytes, i), text);
		ck_assert(base64url_decode(slice_text(text), back, &len));
		ck_assert(slice_eq(slice_of(back, len), slice_of(bytes, i)));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_base64url); i++)
		ck_assert_msg(!base64url_decode(slice_text(bad_base64url[i]), back, &len), "%s", bad_base64url[i]);
}
END_TEST

START_TEST(hexadecimal_back) {
	static const char *const bad[] = { "0", "0g", "g0", "00 ", "0x00" };
	uint8_t out[8];

	ck_assert(hex_decode(slice_text("007f80FFa9"), out) && memcmp(out, "\x00\x7f\x80\xff\xa9", 5) == 0);
	ck_assert(hex_decode(SLICE_EMPTY, out));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!hex_decode(slice_text(bad[i]), out), "%s", bad[i]);
	ck_assert(digest_is_equal(out, out, sizeof(out)));
	ck_assert(!digest_is_equal((const uint8_t *)"abc", (const uint8_t *)"abd", 3));
}
END_TEST

START_TEST(hexadecimal) {
	char text[16];

	hex_encode(slice_of("\x00\x7f\x80\xff\xa9", 5), text);
	ck_assert_str_eq(text, "007f80ffa9");
	hex_encode(SLICE_EMPTY, text);
	ck_assert_str_eq(text, "");
}
END_TEST

static const struct {
	const char *text;
	bool form;
	const char *decoded;	/* NULL: refused */
} percents[] = {
	{ "", false, "" },
	{ "a+b%20c", false, "a+b c" },
	{ "a+b%20c%2B", true, "a b c+" },
	{ "%C3%a4%41", false, "\xc3\xa4" "A" },
	{ "%2541", false, "%41" },
	{ "%", false, NULL },
	{ "%4", false, NULL },
	{ "abc%4", true, NULL },
	{ "%G0", false, NULL },
	{ "%0g", false, NULL },
	{ "%%41", false, NULL },
	{ "% 1", false, NULL },
};

START_TEST(percent) {
	struct slice text = slice_text(percents[_i].text);
	uint8_t *exact = mem_dup(text.ptr, text.len);
	struct buf out;
	bool ok;

	buf_init(&out, 100);
	ok = percent_decode(slice_of(exact, text.len), percents[_i].form, &out);
	ck_assert_int_eq(ok, percents[_i].decoded != NULL);
	if (ok)
		ck_assert(slice_eq_text(buf_slice(&out), percents[_i].decoded));
	buf_fini(&out);
	mem_free(exact);
}
END_TEST

static const struct {
	const char *text, *sha1, *sha256;
} digests[] = {
	{ "", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
};

START_TEST(digest_vectors) {
	uint8_t sum[SHA256_BYTES];
	char text[2 * SHA256_BYTES + 1];

	digest_sha1(slice_text(digests[_i].text), sum);
	hex_encode(slice_of(sum, SHA1_BYTES), text);
	ck_assert_str_eq(text, digests[_i].sha1);
	digest_sha256(slice_text(digests[_i].text), sum);
	hex_encode(slice_of(sum, SHA256_BYTES), text);
	ck_assert_str_eq(text, digests[_i].sha256);
}
END_TEST

START_TEST(random_is_random) {
	uint8_t a[32], b[32];

	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	ck_assert_int_ne(memcmp(a, b, sizeof(a)), 0);
}
END_TEST

Suite *suite_codec(void);
Suite *suite_codec(void) {
	Suite *s = suite_create("codec");
	TCase *tc = tcase_create("codec");

	tcase_add_loop_test(tc, base64_vectors, 0, ARRAY_LEN(vectors));
	tcase_add_test(tc, exact_room);
	tcase_add_test(tc, base64_is_strict);
	tcase_add_test(tc, hexadecimal);
	tcase_add_test(tc, hexadecimal_back);
	tcase_add_test(tc, base64url_back);
	tcase_add_loop_test(tc, percent, 0, ARRAY_LEN(percents));
	tcase_add_loop_test(tc, digest_vectors, 0, ARRAY_LEN(digests));
	tcase_add_test(tc, random_is_random);
	suite_add_tcase(s, tc);
	return s;
}
