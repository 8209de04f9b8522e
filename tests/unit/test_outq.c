/* test_outq - counted buffers, and the queue against a flat array of bytes */
#include <check.h>

#include "common/base/mem.h"
#include "common/base/outq.h"
#include "tests/unit/model.h"

enum { STEPS = 20000, MODEL_MAX = 1 << 20 };

struct model {
	struct outq q;
	uint8_t *bytes;
	size_t len;
	size_t front;	/* bytes left of the first buffer when it is partly sent, else 0 */
};

static uint8_t next_byte;

static struct rcbuf *some_buffer(size_t len) {
	struct rcbuf *r = rcbuf_try_new(len);

	MUST(r != NULL);
	for (size_t i = 0; i < len; i++) {
		next_byte = (uint8_t)(next_byte * 5 + 1);
		rcbuf_add(r, slice_of(&next_byte, 1));
	}
	return r;
}

static void check_same(const struct model *m) {
	static struct iovec iov[MODEL_MAX / 16];
	size_t n = outq_iovec(&m->q, iov, ARRAY_LEN(iov));
	size_t at = 0;

	MUST(m->q.bytes == m->len);
	MUST(outq_is_empty(&m->q) == (m->len == 0));
	MUST((m->q.first == NULL) == (m->len == 0));
	for (size_t i = 0; i < n; i++) {
		MUST(at + iov[i].iov_len <= m->len);
		MUST(memcmp(iov[i].iov_base, m->bytes + at, iov[i].iov_len) == 0);
		at += iov[i].iov_len;
	}
	MUST(at == m->len);
}

static void model_add(struct model *m, struct rcbuf *r) {
	MUST(m->len + r->len < MODEL_MAX);
	memcpy(m->bytes + m->len, r->data, r->len);
	m->len += r->len;
}

static void consume(struct model *m, size_t n) {
	size_t left = n;
	struct iovec iov;

	/* What will be left of the buffer in which the sending stops. */
	while (left > 0) {
		outq_iovec(&m->q, &iov, 1);
		if (left < iov.iov_len) {
			m->front = iov.iov_len - left;
			outq_consume(&m->q, left);
			break;
		}
		m->front = 0;
		left -= iov.iov_len;
		outq_consume(&m->q, iov.iov_len);
	}
	memmove(m->bytes, m->bytes + n, m->len - n);
	m->len -= n;
}

static void add_some(struct model *m, uint64_t *seed) {
	uint32_t how_many = 1 + random_below(seed, 40);

	for (uint32_t i = 0; i < how_many; i++) {
		struct rcbuf *r = some_buffer(random_below(seed, 20));

		model_add(m, r);
		if (random_below(seed, 2) == 0) {
			outq_take(&m->q, r);
		} else {
			outq_add(&m->q, r);
			rcbuf_unref(&r);
		}
	}
}

static void step(struct model m[2], uint64_t *seed) {
	struct model *one = &m[random_below(seed, 2)];
	struct model *other = one == &m[0] ? &m[1] : &m[0];

	switch (random_below(seed, 8)) {
	case 0:
		if (other->front > 0 && one->len > 0)
			break;
		memcpy(one->bytes + one->len, other->bytes, other->len);
		one->len += other->len;
		one->front = one->front > 0 ? one->front : other->front;
		other->len = other->front = 0;
		outq_append(&one->q, &other->q);
		break;
	case 1:
		if (random_below(seed, 4) > 0)
			break;
		outq_drop_unstarted(&one->q);
		one->len = one->front;
		break;
	case 2:
	case 3:
		add_some(one, seed);
		break;
	default:
		consume(one, one->len > 0 ? random_below(seed, (uint32_t)(one->len < 400 ? one->len : 400) + 1) : 0);
	}
	check_same(one);
	check_same(other);
}

START_TEST(model) {
	uint64_t seed = 77 + (uint64_t)_i;
	struct model m[2];

	for (int i = 0; i < 2; i++) {
		m[i] = (struct model){ .bytes = mem_alloc(MODEL_MAX) };
		outq_init(&m[i].q);
	}
	for (int i = 0; i < STEPS; i++)
		step(m, &seed);
	for (int i = 0; i < 2; i++) {
		outq_fini(&m[i].q);
		ck_assert(outq_is_empty(&m[i].q));
		ck_assert_ptr_null(m[i].q.first);
		mem_free(m[i].bytes);
	}
	outq_free_spare();
}
END_TEST

START_TEST(shares_one_buffer) {
	struct rcbuf *r = rcbuf_copy(slice_text("hello"));
	struct outq q[3];

	for (int i = 0; i < 3; i++) {
		outq_init(&q[i]);
		outq_add(&q[i], r);
		outq_add(&q[i], r);
	}
	ck_assert_uint_eq(r->refs, 7);
	outq_consume(&q[0], 7);
	ck_assert_uint_eq(r->refs, 6);
	outq_drop_unstarted(&q[0]);
	ck_assert_uint_eq(q[0].bytes, 3);
	outq_drop_unstarted(&q[1]);
	ck_assert_uint_eq(q[1].bytes, 0);
	ck_assert_uint_eq(r->refs, 4);
	for (int i = 0; i < 3; i++)
		outq_fini(&q[i]);
	ck_assert_uint_eq(r->refs, 1);
	rcbuf_unref(&r);
	ck_assert_ptr_null(r);
	rcbuf_unref(&r);
	outq_free_spare();
}
END_TEST

START_TEST(iovec_stops_at_max) {
	struct rcbuf *r = rcbuf_copy(slice_text("x"));
	struct iovec iov[100];
	struct outq q;

	outq_init(&q);
	ck_assert_uint_eq(outq_iovec(&q, iov, 100), 0);
	for (int i = 0; i < 50; i++)
		outq_add(&q, r);
	ck_assert_uint_eq(outq_iovec(&q, iov, 0), 0);
	ck_assert_uint_eq(outq_iovec(&q, iov, 37), 37);
	ck_assert_uint_eq(outq_iovec(&q, iov, 100), 50);
	outq_fini(&q);
	rcbuf_unref(&r);
	outq_free_spare();
}
END_TEST

START_TEST(buffer_grows) {
	struct rcbuf *r = rcbuf_try_new(0);

	ck_assert_ptr_nonnull(r);
	for (int i = 0; i < 1000; i++) {
		ck_assert(rcbuf_try_grow(&r, 3));
		rcbuf_add(r, slice_of("abc", 3));
	}
	ck_assert_uint_eq(r->len, 3000);
	ck_assert_uint_le(r->cap, 4600);
	ck_assert_mem_eq(r->data + 2997, "abc", 3);
	ck_assert(!rcbuf_try_grow(&r, SIZE_MAX));
	ck_assert(!rcbuf_try_grow(&r, UINT32_MAX));
	ck_assert_uint_eq(r->len, 3000);
	ck_assert_uint_eq(r->refs, 1);
	rcbuf_unref(&r);
	ck_assert_ptr_null(rcbuf_try_new((size_t)UINT32_MAX + 1));
	r = rcbuf_copy(SLICE_EMPTY);
	ck_assert_uint_eq(rcbuf_slice(r).len, 0);
	rcbuf_unref(&r);
}
END_TEST

START_TEST(buf_becomes_one) {
	struct rcbuf *r;
	struct buf b;

	buf_init(&b, RCBUF_ROOM + 1000);
	rcbuf_make_room(&b);
	buf_add_text(&b, "hello");
	r = rcbuf_of(&b);
	ck_assert(slice_eq_text(rcbuf_slice(r), "hello"));
	ck_assert_uint_eq(r->refs, 1);
	ck_assert(b.data == NULL && b.len == 0 && b.cap == 0 && b.max == RCBUF_ROOM + 1000);
	/* Its capacity is what there is. */
	while (r->len < r->cap)
		rcbuf_add(r, slice_of("x", 1));
	rcbuf_unref(&r);
	rcbuf_make_room(&b);
	r = rcbuf_of(&b);
	ck_assert_uint_eq(r->len, 0);
	rcbuf_unref(&r);
	buf_init(&b, RCBUF_ROOM - 1);
	rcbuf_make_room(&b);
	ck_assert(b.failed && b.len == 0);
	buf_fini(&b);
}
END_TEST

START_TEST(parts_share_a_whole) {
	size_t in_use = mem_in_use();
	struct rcbuf *whole = rcbuf_copy(slice_text("head and body")), *body, *all, *inner;

	body = rcbuf_part(whole, slice_skip(rcbuf_slice(whole), 5));
	ck_assert(slice_eq_text(rcbuf_slice(body), "and body"));
	ck_assert_ptr_eq(body->data, whole->data + 5);
	ck_assert_uint_eq(body->cap, body->len);
	all = rcbuf_part(whole, rcbuf_slice(whole));
	ck_assert_ptr_eq(all, whole);
	/* Of a part of a part the bytes are the whole's, and the part need not stay. */
	inner = rcbuf_part(body, slice_skip(rcbuf_slice(body), 4));
	ck_assert_ptr_eq(inner->whole, whole);
	ck_assert_uint_eq(whole->refs, 4);
	rcbuf_unref(&body);
	rcbuf_unref(&all);
	rcbuf_unref(&whole);
	ck_assert(slice_eq_text(rcbuf_slice(inner), "body"));
	ck_assert_uint_eq(inner->whole->refs, 1);
	rcbuf_unref(&inner);
	ck_assert_uint_eq(mem_in_use(), in_use);
}
END_TEST

/* How much of "one", then head and tail, then "last" is left to send, if so much was sent before all the rest is dropped. */
START_TEST(a_tail_stays_with_its_head) {
	static const size_t left[] = { 0, 2, 1, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0, 3, 2, 1, 0 };
	struct rcbuf *parts[] = { rcbuf_copy(slice_text("one")), rcbuf_copy(slice_text("hea")), rcbuf_copy(slice_text("tail!!")),
		rcbuf_copy(slice_text("last")) };

	parts[2]->is_tail = true;
	for (size_t sent = 0; sent < ARRAY_LEN(left); sent++) {
		struct outq q;

		outq_init(&q);
		for (size_t i = 0; i < ARRAY_LEN(parts); i++)
			outq_add(&q, parts[i]);
		outq_consume(&q, sent);
		outq_drop_unstarted(&q);
		ck_assert_msg(q.bytes == left[sent], "%zu sent, %zu left", sent, (size_t)q.bytes);
		outq_fini(&q);
	}
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		ck_assert_uint_eq(parts[i]->refs, 1);
		rcbuf_unref(&parts[i]);
	}
}
END_TEST

Suite *suite_outq(void);
Suite *suite_outq(void) {
	Suite *s = suite_create("outq");
	TCase *tc = tcase_create("outq");

	tcase_add_loop_test(tc, model, 0, 2);
	tcase_add_test(tc, shares_one_buffer);
	tcase_add_test(tc, iovec_stops_at_max);
	tcase_add_test(tc, buffer_grows);
	tcase_add_test(tc, buf_becomes_one);
	tcase_add_test(tc, parts_share_a_whole);
	tcase_add_test(tc, a_tail_stays_with_its_head);
	tcase_set_timeout(tc, 30);
	suite_add_tcase(s, tc);
	return s;
}
