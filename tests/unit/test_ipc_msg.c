/* test_ipc_msg - every message of the link survives its bytes; no other bytes are taken */
#include "common/ipc/ipc_msg.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/mem.h"

static unsigned seed = 20240607;
static uint8_t noise[600];

static uint64_t any_number(void) {
	return (uint64_t)rand_r(&seed) << 42 ^ (uint64_t)rand_r(&seed) << 21 ^ (uint64_t)rand_r(&seed);
}

static struct slice any_bytes(void) {
	size_t len = (size_t)rand_r(&seed) % 40;

	if (rand_r(&seed) % 8 == 0)
		len = sizeof(noise) / 2;
	return slice_of(noise + (size_t)rand_r(&seed) % (sizeof(noise) / 2), len);
}

static void any_key(uint8_t key[IPC_KEY_BYTES]) {
	for (size_t i = 0; i < IPC_KEY_BYTES; i++)
		key[i] = (uint8_t)rand_r(&seed);
}

#define U8(n) m->n = (uint8_t)any_number();
#define U16(n) m->n = (uint16_t)any_number();
#define U32(n) m->n = (uint32_t)any_number();
#define U64(n) m->n = any_number();
#define STR(n) m->n = any_bytes();
#define BYTES(n) m->n = any_bytes();
#define KEY(n) any_key(m->n);
#define BULK(n) BYTES(n)
#define IPC_MSG(name, fields) \
	static void fill_##name(struct ipc_##name *m) { \
		fields \
	}
#include "common/ipc/ipc_msg.tbl"

#define U8(n) ck_assert_uint_eq(a->n, b->n);
#define U16(n) ck_assert_uint_eq(a->n, b->n);
#define U32(n) ck_assert_uint_eq(a->n, b->n);
#define U64(n) ck_assert_uint_eq(a->n, b->n);
#define STR(n) ck_assert(slice_eq(a->n, b->n));
#define BYTES(n) ck_assert(slice_eq(a->n, b->n));
#define KEY(n) ck_assert(memcmp(a->n, b->n, IPC_KEY_BYTES) == 0);
#define BULK(n) BYTES(n)
#define IPC_MSG(name, fields) \
	static void same_##name(const struct ipc_##name *a, const struct ipc_##name *b) { \
		fields \
	}
#include "common/ipc/ipc_msg.tbl"

/* Each body is a heap block of its exact size, so that a sanitizer sees a read past its end. */
static bool decode_exact(enum ipc_type type, const uint8_t *body, size_t len, union ipc_any *out) {
	uint8_t *copy = mem_dup(body, len);
	bool is_ok = ipc_decode(type, slice_of(copy, len), NULL, out);

	mem_free(copy);
	return is_ok;
}

static void refuse_all_others(enum ipc_type type, const struct rcbuf *r) {
	size_t len = r->len - IPC_HEADER_BYTES;
	uint8_t *longer = mem_zalloc(len + 1);
	union ipc_any out;

	for (size_t cut = 0; cut < len; cut++)
		ck_assert_msg(!decode_exact(type, r->data + IPC_HEADER_BYTES, cut, &out), "%s of %zu bytes", ipc_type_name(type), cut);
	memcpy(longer, r->data + IPC_HEADER_BYTES, len);
	ck_assert(!decode_exact(type, longer, len + 1, &out));
	mem_free(longer);
}

static struct rcbuf *encode_checked(enum ipc_type type, const void *message) {
	struct rcbuf *r = ipc_encode(type, message);

	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(r->len, ipc_size(type, message));
	ck_assert_uint_eq((size_t)r->data[2] << 8 | r->data[3], r->len - 4);
	ck_assert_uint_eq(r->data[4], type);
	return r;
}

#define U8(n)
#define U16(n)
#define U32(n)
#define U64(n)
#define STR(n)
#define BYTES(n)
#define KEY(n)
#define BULK(n)
#define IPC_MSG(name, fields) \
	static void round_##name(void) { \
		struct ipc_##name m = { 0 }; \
		union ipc_any out; \
		struct rcbuf *r; \
\
		fill_##name(&m); \
		r = encode_checked(IPC_##name, &m); \
		ck_assert(ipc_decode(IPC_##name, slice_skip(rcbuf_slice(r), IPC_HEADER_BYTES), NULL, &out)); \
		same_##name(&m, &out.name); \
		refuse_all_others(IPC_##name, r); \
		rcbuf_unref(&r); \
	}
#include "common/ipc/ipc_msg.tbl"

/* In two parts they are the bytes that they are in one. */
static void check_shared(struct rcbuf *in, size_t at, size_t len, bool is_apart) {
	struct ipc_publish m = { .request = 7, .channel = slice_text("lobby"), .data = slice_of(in->data + at, len), .data_in = in };
	struct rcbuf *whole = ipc_encode(IPC_publish, &m);
	struct ipc_encoded e = ipc_encode_shared(IPC_publish, &m);
	struct slice head = rcbuf_slice(e.head), bulk = e.bulk != NULL ? rcbuf_slice(e.bulk) : SLICE_EMPTY;

	ck_assert(e.bulk == NULL ? !is_apart : is_apart);
	ck_assert_uint_eq(head.len + bulk.len, whole->len);
	ck_assert(slice_eq(head, slice_of(whole->data, head.len)));
	ck_assert(slice_eq(bulk, slice_skip(rcbuf_slice(whole), head.len)));
	ck_assert(!is_apart || bulk.ptr == in->data + at);
	rcbuf_unref(&whole);
	ipc_encoded_drop(&e);
	ck_assert_uint_eq(in->refs, 1);
}

START_TEST(large_data_is_shared) {
	struct rcbuf *in = rcbuf_try_new(IPC_BULK_BYTES + 100);
	struct ipc_publish alone = { .channel = slice_text("lobby"), .data = slice_of(in->data, IPC_BULK_BYTES) };
	struct ipc_encoded e;

	memset(in->data, 'x', in->cap);
	in->len = in->cap;
	check_shared(in, 0, IPC_BULK_BYTES + 100, true);
	check_shared(in, 50, IPC_BULK_BYTES + 50, true);
	check_shared(in, 100, IPC_BULK_BYTES, true);
	check_shared(in, 100, IPC_BULK_BYTES - 1, false);
	check_shared(in, 100, 0, false);
	/* Nobody counts it. */
	e = ipc_encode_shared(IPC_publish, &alone);
	ck_assert(e.head != NULL && e.bulk == NULL);
	ipc_encoded_drop(&e);
	rcbuf_unref(&in);
}
END_TEST

/* Whoever decodes is told in which buffer it lies. */
START_TEST(decoded_in_a_buffer) {
	struct ipc_deliver d = { .channel = slice_text("lobby"), .data = slice_text("data") };
	struct rcbuf *r = ipc_encode(IPC_deliver, &d);
	union ipc_any out;

	ck_assert(ipc_decode(IPC_deliver, slice_skip(rcbuf_slice(r), IPC_HEADER_BYTES), r, &out));
	ck_assert_ptr_eq(out.deliver.data_in, r);
	ck_assert(ipc_decode(IPC_deliver, slice_skip(rcbuf_slice(r), IPC_HEADER_BYTES), NULL, &out));
	ck_assert_ptr_null(out.deliver.data_in);
	rcbuf_unref(&r);
}
END_TEST

START_TEST(round_trips) {
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)rand_r(&seed);
	for (int i = 0; i < 20; i++) {
#define U8(n)
#define U16(n)
#define U32(n)
#define U64(n)
#define STR(n)
#define BYTES(n)
#define KEY(n)
#define BULK(n)
#define IPC_MSG(name, fields) round_##name();
#include "common/ipc/ipc_msg.tbl"
	}
}
END_TEST

START_TEST(one_message_byte_by_byte) {
	struct ipc_published m = { 0x01020304, IPC_REPEATED, slice_text("ab"), 5 };
	static const uint8_t wanted[] = { 0, 0, 0, 18, IPC_published, 1, 2, 3, 4, 1, 0, 2, 'a', 'b', 0, 0, 0, 0, 0, 0, 0, 5 };
	struct rcbuf *r = ipc_encode(IPC_published, &m);

	ck_assert(slice_eq(rcbuf_slice(r), slice_of(wanted, sizeof(wanted))));
	rcbuf_unref(&r);
}
END_TEST

START_TEST(unknown_types_and_long_texts_are_refused) {
	static uint8_t text[UINT16_MAX + 1];
	struct ipc_unsubscribe m = { slice_of(text, UINT16_MAX) };
	union ipc_any out;

	for (unsigned type = 0; type < 256; type++) {
		if (type == IPC_NONE || type >= IPC_TYPE_COUNT)
			ck_assert(!ipc_decode((enum ipc_type)type, SLICE_EMPTY, NULL, &out));
		ck_assert_uint_gt(strlen(ipc_type_name((enum ipc_type)type)), 0);
	}
	ck_assert_uint_eq(ipc_size(IPC_NONE, &m), 0);
	ck_assert_uint_eq(ipc_size(IPC_unsubscribe, &m), IPC_HEADER_BYTES + 2 + UINT16_MAX);
	m.channel.len++;
	ck_assert_uint_eq(ipc_size(IPC_unsubscribe, &m), 0);
	ck_assert_ptr_null(ipc_encode(IPC_unsubscribe, &m));
}
END_TEST

START_TEST(records) {
	struct ipc_publication p = { 7, 8, 9, { 1, 2, 3 }, slice_text("data"), NULL }, p2;
	struct ipc_member m = { 1ull << 40, slice_text("anna"), slice_text("{}") }, m2;
	struct ipc_channel c = { slice_text("lobby"), slice_text("e1"), 3, 4 }, c2;
	struct ipc_connection i = { slice_text("id"), slice_text("anna"), slice_text("[::1]:5"), slice_text("chat"), 5, 6, 7, 8, 9 }, i2;
	struct slice rest;
	struct buf b;

	buf_init(&b, 1000);
	ipc_put_publication(&b, &p);
	ipc_put_publication(&b, &p);
	rest = buf_slice(&b);
	ck_assert(ipc_next_publication(&rest, &p2) && p2.offset == 7 && p2.time_ms == 8 && p2.kind == 9 && p2.key[2] == 3);
	ck_assert(slice_eq_text(p2.data, "data"));
	rest.len--;
	ck_assert(!ipc_next_publication(&rest, &p2) && rest.len == b.len / 2 - 1);
	buf_reset(&b);
	ipc_put_member(&b, &m);
	rest = buf_slice(&b);
	ck_assert(ipc_next_member(&rest, &m2) && slice_eq(m.member, m2.member) && slice_eq(m.info, m2.info));
	ck_assert_uint_eq(m2.number, m.number);
	ck_assert(!ipc_next_member(&rest, &m2) && rest.len == 0);
	buf_reset(&b);
	ipc_put_channel(&b, &c);
	rest = buf_slice(&b);
	ck_assert(ipc_next_channel(&rest, &c2) && slice_eq(c.channel, c2.channel) && slice_eq(c.epoch, c2.epoch));
	ck_assert(c2.offset == 3 && c2.member_count == 4 && !ipc_next_channel(&rest, &c2) && rest.len == 0);
	buf_reset(&b);
	ipc_put_connection(&b, &i);
	rest = buf_slice(&b);
	ck_assert(ipc_next_connection(&rest, &i2) && slice_eq(i.id, i2.id) && slice_eq(i.user, i2.user) && slice_eq(i.address, i2.address));
	ck_assert(slice_eq(i.protocol, i2.protocol) && i2.since_ms == 5 && i2.queued_bytes == 6 && i2.slot == 7 && i2.rooms == 8);
	ck_assert(i2.stuck_ms == 9 && !ipc_next_connection(&rest, &i2) && rest.len == 0);
	for (rest = slice_of(b.data, b.len - 1); rest.len > 0; rest.len--)
		ck_assert(!ipc_next_connection(&rest, &i2));
	buf_fini(&b);
}
END_TEST

Suite *suite_ipc_msg(void);

Suite *suite_ipc_msg(void) {
	Suite *s = suite_create("ipc_msg");
	TCase *t = tcase_create("messages");

	tcase_add_test(t, round_trips);
	tcase_add_test(t, large_data_is_shared);
	tcase_add_test(t, decoded_in_a_buffer);
	tcase_add_test(t, one_message_byte_by_byte);
	tcase_add_test(t, unknown_types_and_long_texts_are_refused);
	tcase_add_test(t, records);
	suite_add_tcase(s, t);
	return s;
}
