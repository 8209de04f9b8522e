/* test_stream_plain - what one call of send takes, and what it leaves */
#include <check.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "server/net/stream.h"

enum { SHARE_BYTES = 256 << 10, SOCKET_BYTES = 4 * SHARE_BYTES };

static struct stream stream;
static int peer;

/* A socket with room for more than a share, and so many buffers in the queue. */
static void setup_with(size_t count, size_t bytes) {
	uint8_t *zeros = mem_zalloc(bytes);
	struct rcbuf *r = rcbuf_copy(slice_of(zeros, bytes));
	int pair[2];

	mem_free(zeros);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){ SOCKET_BYTES }, sizeof(int)), 0);
	stream_plain_init(&stream, pair[0]);
	peer = pair[1];
	for (size_t i = 0; i < count; i++)
		outq_add(&stream.out, r);
	rcbuf_unref(&r);
}

static void teardown(void) {
	outq_fini(&stream.out);
	outq_free_spare();
	stream_ops(&stream)->close(&stream);
	close(peer);
}

static const struct {
	size_t count, bytes;
} queues[] = { { 1, 5 << 20 }, { 50, 100000 }, { 5000, 1000 } };

START_TEST(no_more_than_a_share) {
	size_t sent;

	setup_with(queues[_i].count, queues[_i].bytes);
	ck_assert_int_eq(stream_ops(&stream)->send(&stream, &sent), STREAM_AGAIN);
	ck_assert_uint_eq(sent, SHARE_BYTES);
	ck_assert_uint_eq(stream.out.bytes, queues[_i].count * queues[_i].bytes - SHARE_BYTES);
	/* The socket would have taken more. */
	ck_assert_int_eq(stream_ops(&stream)->send(&stream, &sent), STREAM_AGAIN);
	ck_assert_uint_gt(sent, 0);
	teardown();
}
END_TEST

START_TEST(all_that_is_less) {
	size_t sent;

	setup_with(1000, 100);
	ck_assert_int_eq(stream_ops(&stream)->send(&stream, &sent), STREAM_OK);
	ck_assert_uint_eq(sent, 100000);
	ck_assert(outq_is_empty(&stream.out));
	ck_assert_int_eq(stream_ops(&stream)->send(&stream, &sent), STREAM_OK);
	ck_assert_uint_eq(sent, 0);
	teardown();
}
END_TEST

START_TEST(exactly_a_share) {
	size_t sent;

	setup_with(1, SHARE_BYTES);
	ck_assert_int_eq(stream_ops(&stream)->send(&stream, &sent), STREAM_OK);
	ck_assert_uint_eq(sent, SHARE_BYTES);
	teardown();
}
END_TEST

Suite *suite_stream_plain(void);
Suite *suite_stream_plain(void) {
	Suite *s = suite_create("stream_plain");
	TCase *t = tcase_create("send");

	tcase_add_loop_test(t, no_more_than_a_share, 0, ARRAY_LEN(queues));
	tcase_add_test(t, all_that_is_less);
	tcase_add_test(t, exactly_a_share);
	suite_add_tcase(s, t);
	return s;
}
