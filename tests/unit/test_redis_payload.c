/* test_redis_payload - what the scripts publish, and what somebody else may have written instead; the scripts as they are embedded */
#include <check.h>

#include "broker/redis/redis_scripts.h"
#include "common/base/mem.h"
#include "common/base/wire.h"

static const char key[] = "0123456789abcdef";

static struct buf publication_bytes(const char *epoch, uint64_t offset) {
	struct buf b;

	buf_init(&b, SIZE_MAX);
	wire_put_u8(&b, 'P');
	wire_put_str8(&b, slice_text(epoch));
	wire_put_u64(&b, offset);
	wire_put_u64(&b, 1700000000123);
	wire_put_u8(&b, 7);
	buf_add_text(&b, key);
	buf_add_text(&b, "data");
	return b;
}

static struct buf member_bytes(char type, const char *member) {
	struct buf b;

	buf_init(&b, SIZE_MAX);
	wire_put_u8(&b, (uint8_t)type);
	wire_put_str8(&b, slice_text("life"));
	wire_put_u64(&b, 9);
	wire_put_u32(&b, 3);
	wire_put_str16(&b, slice_text(member));
	buf_add_text(&b, "info");
	return b;
}

static bool is_readable(struct buf b) {
	struct redis_payload p;
	bool is = redis_payload_read(buf_slice(&b), &p);

	buf_fini(&b);
	return is;
}

START_TEST(publications) {
	struct buf b = publication_bytes("epoch-01.G_1", 5);
	struct redis_payload p;

	ck_assert(redis_payload_read(buf_slice(&b), &p));
	ck_assert(p.type == REDIS_PUBLICATION && p.offset == 5 && p.time_ms == 1700000000123 && p.kind == 7);
	ck_assert(slice_eq_text(p.epoch, "epoch-01.G_1") && slice_eq_text(p.data, "data"));
	ck_assert_mem_eq(p.key, key, IPC_KEY_BYTES);
	ck_assert(p.member.len == 0 && p.member_count == 0);
	buf_fini(&b);
}
END_TEST

START_TEST(members) {
	struct buf b = member_bytes('J', "ann");
	struct redis_payload p;

	ck_assert(redis_payload_read(buf_slice(&b), &p));
	ck_assert(p.type == REDIS_JOINED && p.offset == 9 && p.member_count == 3);
	ck_assert(slice_eq_text(p.epoch, "life") && slice_eq_text(p.member, "ann") && slice_eq_text(p.data, "info"));
	b.data[0] = 'L';
	ck_assert(redis_payload_read(buf_slice(&b), &p) && p.type == REDIS_LEFT);
	buf_fini(&b);
}
END_TEST

/* Without data or info it is whole, with less it is not. */
START_TEST(every_way_of_being_cut_short) {
	struct buf whole[2] = { publication_bytes("e.g", 5), member_bytes('L', "ann") };
	struct redis_payload p;

	for (size_t i = 0; i < 2; i++) {
		for (size_t len = 0; len <= whole[i].len; len++) {
			uint8_t *exact = mem_alloc(len + 1);

			memcpy(exact, whole[i].data, len);
			ck_assert_int_eq(redis_payload_read(slice_of(exact, len), &p), len + 4 >= whole[i].len);
			mem_free(exact);
		}
		buf_fini(&whole[i]);
	}
}
END_TEST

START_TEST(what_no_script_writes) {
	ck_assert(is_readable(publication_bytes("e.g", UINT64_C(1) << 53)));
	ck_assert(!is_readable(publication_bytes("e.g", (UINT64_C(1) << 53) + 1)));
	ck_assert(!is_readable(publication_bytes("e.g", UINT64_MAX)));
	ck_assert(!is_readable(publication_bytes("e.g", 0)));
	ck_assert(!is_readable(publication_bytes("", 1)));
	ck_assert(!is_readable(publication_bytes("e\".g", 1)));
	ck_assert(!is_readable(publication_bytes("e\xc3\xa4.g", 1)));
	ck_assert(is_readable(member_bytes('J', "m")));
	ck_assert(!is_readable(member_bytes('J', "")));
	ck_assert(!is_readable(member_bytes('p', "m")));
	ck_assert(!is_readable(member_bytes('\0', "m")));
}
END_TEST

START_TEST(keys) {
	struct buf b;

	buf_init(&b, SIZE_MAX);
	redis_key(&b, "herold:", 'n', SLICE_EMPTY);
	buf_add_text(&b, " ");
	redis_key(&b, "", 'm', slice_of("a:\0b", 4));
	ck_assert(slice_eq(buf_slice(&b), slice_of("herold:n m:a:\0b", 15)));
	buf_fini(&b);
}
END_TEST

START_TEST(scripts_are_embedded) {
	for (int s = 0; s < REDIS_SCRIPT_COUNT; s++) {
		struct slice text = redis_script_text((enum redis_script)s);
		const char *sha = redis_script_sha((enum redis_script)s);

		ck_assert(text.len > 100 && slice_starts_with(text, "-- ") && text.ptr[text.len - 1] == '\n');
		ck_assert_uint_eq(strlen(sha), 40);
		ck_assert_ptr_eq(redis_script_sha((enum redis_script)s), sha);
	}
	ck_assert_str_eq(redis_script_name(REDIS_SCRIPT_publish), "publish");
	ck_assert_str_eq(redis_script_name(REDIS_SCRIPT_generation), "generation");
	ck_assert_str_ne(redis_script_sha(REDIS_SCRIPT_read), redis_script_sha(REDIS_SCRIPT_fill));
}
END_TEST

Suite *suite_redis_payload(void);
Suite *suite_redis_payload(void) {
	Suite *s = suite_create("redis_payload");
	TCase *t = tcase_create("redis_payload");

	tcase_add_test(t, publications);
	tcase_add_test(t, members);
	tcase_add_test(t, every_way_of_being_cut_short);
	tcase_add_test(t, what_no_script_writes);
	tcase_add_test(t, keys);
	tcase_add_test(t, scripts_are_embedded);
	suite_add_tcase(s, t);
	return s;
}
