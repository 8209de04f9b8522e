/* test_ipc_peer - messages over a socket pair: split anywhere, large, paused, late, too many */
#include "common/ipc/ipc_peer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/outq.h"

enum { MAX_BYTES = 4 << 20 };

/* What one end has seen. */
struct end {
	struct ipc_peer *peer;
	struct buf log;		/* "type:channel|" of each message, or the request of those without a channel */
	size_t count, data_bytes;
	uint64_t next_offset;
	char lost[300];
	int lost_count;
	bool pauses;	/* itself, at every message */
	struct rcbuf *kept;	/* the first large one */
};

static struct evloop *loop;
static struct end a, b;

static void on_message(struct ipc_peer *p, enum ipc_type type, const union ipc_any *m, void *arg) {
	struct end *e = arg;

	e->count++;
	buf_add_text(&e->log, ipc_type_name(type));
	if (type == IPC_unsubscribe)
		buf_add(&e->log, m->unsubscribe.channel);
	if (type == IPC_published)
		buf_add_u64_text(&e->log, m->published.request);
	buf_add_u8(&e->log, '|');
	if (type == IPC_deliver) {
		if (m->deliver.data_in != NULL && e->kept == NULL)
			e->kept = rcbuf_part(m->deliver.data_in, m->deliver.data);
		/* The message has some bytes more than its data. */
		ck_assert(m->deliver.data.len > 65536 ? m->deliver.data_in != NULL : m->deliver.data.len > 65400 || m->deliver.data_in == NULL);
		ck_assert_uint_eq(m->deliver.offset, ++e->next_offset);
		e->data_bytes += m->deliver.data.len;
		for (size_t i = 0; i < m->deliver.data.len; i += 997)
			ck_assert_uint_eq(m->deliver.data.ptr[i], (uint8_t)(i + m->deliver.offset));
	}
	if (e->pauses)
		ipc_peer_pause(p, true);
}

static void on_lost(struct ipc_peer *p UNUSED, const char *why, void *arg) {
	struct end *e = arg;

	e->lost_count++;
	snprintf(e->lost, sizeof(e->lost), "%s", why);
}

static const struct ipc_peer_ops ops = { on_message, on_lost };

static void end_open(struct end *e, int fd, size_t queue_bytes) {
	*e = (struct end){ 0 };
	buf_init(&e->log, 1 << 24);
	if (fd >= 0)
		e->peer = ipc_peer_new(loop, fd, MAX_BYTES, queue_bytes, &ops, e);
}

static void end_close(struct end *e) {
	ipc_peer_free(&e->peer);
	buf_fini(&e->log);
	rcbuf_unref(&e->kept);
}

/* Opens both ends, or b alone: then the other descriptor comes back. */
static int open_pair(bool both, size_t queue_bytes) {
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	loop = evloop_new();
	end_open(&a, both ? fd[0] : -1, queue_bytes);
	end_open(&b, fd[1], queue_bytes);
	return fd[0];
}

static void close_pair(void) {
	end_close(&a);
	end_close(&b);
	evloop_free(&loop);
	outq_free_spare();
}

/* One turn, which never waits. */
static void stop_now(void *arg UNUSED) {
	evloop_stop(loop);
}

static void turn(void) {
	evloop_on_turn_end(loop, stop_now, NULL);
	evloop_do_not_wait(loop);
	evloop_run(loop);
}

static void turns(unsigned n) {
	while (n-- > 0)
		turn();
}

static void write_all(int fd, const uint8_t *bytes, size_t len) {
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
}

static bool send_text(struct end *e, const char *channel) {
	return ipc_peer_send(e->peer, IPC_unsubscribe, &(struct ipc_unsubscribe){ slice_text(channel) });
}

static bool send_late(struct end *e, uint32_t request) {
	return ipc_peer_send_late(e->peer, IPC_published, &(struct ipc_published){ .request = request });
}

static struct rcbuf *make_deliver(uint64_t offset, size_t bytes) {
	uint8_t *data = mem_alloc(bytes);
	struct ipc_deliver d = { .offset = offset, .data = slice_of(data, bytes) };
	struct rcbuf *r;

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i + offset);
	r = ipc_encode(IPC_deliver, &d);
	ck_assert_ptr_nonnull(r);
	mem_free(data);
	return r;
}

static void assert_log(const struct end *e, const char *wanted) {
	ck_assert_msg(slice_eq_text(buf_slice(&e->log), wanted), "got %.*s, not %s", SLICE_ARGS(buf_slice(&e->log)), wanted);
}

START_TEST(split_at_every_byte) {
	struct rcbuf *one = ipc_encode(IPC_unsubscribe, &(struct ipc_unsubscribe){ slice_text("lobby") });
	struct rcbuf *two = ipc_encode(IPC_synced, &(struct ipc_synced){ 0 });
	struct rcbuf *both = rcbuf_try_new(one->len + two->len);

	rcbuf_add(both, rcbuf_slice(one));
	rcbuf_add(both, rcbuf_slice(two));
	for (size_t cut = 0; cut <= both->len; cut++) {
		int fd = open_pair(false, 1000);

		write_all(fd, both->data, cut);
		turns(2);
		write_all(fd, both->data + cut, both->len - cut);
		turns(2);
		assert_log(&b, "unsubscribelobby|synced|");
		close(fd);
		turns(2);
		ck_assert_str_eq(b.lost, "closed by the other side");
		ck_assert_int_eq(b.lost_count, 1);
		ck_assert(!ipc_peer_is_bad(b.peer));
		ck_assert(!send_text(&b, "x"));
		close_pair();
	}
	rcbuf_unref(&one);
	rcbuf_unref(&two);
	rcbuf_unref(&both);
}
END_TEST

START_TEST(byte_by_byte) {
	struct rcbuf *r = ipc_encode(IPC_unsubscribe, &(struct ipc_unsubscribe){ slice_text("lobby") });
	int fd = open_pair(false, 1000);

	for (size_t i = 0; i < r->len; i++) {
		ck_assert_uint_eq(b.count, 0);
		write_all(fd, r->data + i, 1);
		turns(2);
	}
	assert_log(&b, "unsubscribelobby|");
	rcbuf_unref(&r);
	close(fd);
	close_pair();
}
END_TEST

static const struct {
	const char *name, *why;
	uint8_t bytes[12];
	size_t len;
} bad_rows[] = {
	{ "empty", "a message announced 0 bytes", { 0, 0, 0, 0, 1 }, 5 },
	{ "too long", "a message announced 16777216 bytes", { 1, 0, 0, 0, 1 }, 5 },
	{ "unknown type", "a message of type unknown (200) could not be read", { 0, 0, 0, 1, 200 }, 5 },
	{ "type 0", "a message of type none (0) could not be read", { 0, 0, 0, 1, 0 }, 5 },
	{ "short body", "a message of type synced", { 0, 0, 0, 1, IPC_synced }, 5 },
	{ "long body", "a message of type synced", { 0, 0, 0, 3, IPC_synced, 0, 0 }, 7 },
};

START_TEST(bad_messages_cut_the_link) {
	int fd = open_pair(false, 1000);

	write_all(fd, bad_rows[_i].bytes, bad_rows[_i].len);
	turns(3);
	ck_assert_int_eq(b.lost_count, 1);
	ck_assert_msg(strncmp(b.lost, bad_rows[_i].why, strlen(bad_rows[_i].why)) == 0, "%s: %s", bad_rows[_i].name, b.lost);
	ck_assert(ipc_peer_is_bad(b.peer));
	ck_assert_uint_eq(b.count, 0);
	close(fd);
	close_pair();
}
END_TEST

START_TEST(large_and_small_in_order) {
	static const size_t sizes[] = { 10, 5000, 3000, 3000, 1 << 20, 0, 60000, 64, 3 << 20, 7 };
	size_t total = 0;

	open_pair(true, 1 << 30);
	for (uint64_t i = 0; i < 200; i++) {
		size_t bytes = sizes[i % ARRAY_LEN(sizes)] / (i > 20 ? 100 : 1);
		struct rcbuf *r = make_deliver(i + 1, bytes);

		total += bytes;
		ck_assert(ipc_peer_send_shared(a.peer, &(struct ipc_encoded){ .head = r }));
		rcbuf_unref(&r);
		if (i % 7 == 0)
			ipc_peer_flush(a.peer);
	}
	ipc_peer_flush(a.peer);
	for (unsigned n = 0; n < 10000 && b.count < 200; n++)
		turn();
	ck_assert_uint_eq(b.count, 200);
	ck_assert_uint_eq(b.data_bytes, total);
	ck_assert_uint_eq(ipc_peer_queued_bytes(a.peer), 0);
	ck_assert_uint_eq(ipc_peer_queued_total(a.peer), ipc_peer_written_total(a.peer));
	close_pair();
}
END_TEST

enum { LARGE = 3 << 20 };

static struct rcbuf *large_data(uint64_t offset) {
	struct rcbuf *data = rcbuf_try_new(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		data->data[i] = (uint8_t)(i + offset);
	data->len = LARGE;
	return data;
}

static bool send_data(struct end *e, uint64_t offset, struct rcbuf *data) {
	struct ipc_deliver d = { .channel = slice_text("c"), .offset = offset, .data = rcbuf_slice(data), .data_in = data };

	return ipc_peer_send(e->peer, IPC_deliver, &d);
}

/* It is neither copied where it is sent, nor is more than it is received into, nor does it go with the message. */
START_TEST(large_ones_are_shared) {
	struct rcbuf *data = large_data(1);
	size_t in_use;

	open_pair(true, 1 << 30);
	in_use = mem_in_use();
	ck_assert(send_text(&a, "before") && send_data(&a, 1, data) && send_text(&a, "behind"));
	ck_assert_uint_lt(mem_in_use(), in_use + 10000);
	ck_assert_uint_eq(data->refs, 2);
	ck_assert_uint_eq(ipc_peer_queued_bytes(a.peer), ipc_peer_queued_total(a.peer));
	ck_assert_uint_gt(ipc_peer_queued_bytes(a.peer), LARGE);
	ck_assert_uint_lt(ipc_peer_queued_bytes(a.peer), LARGE + 200);
	for (unsigned n = 0; n < 10000 && b.count < 3; n++) {
		uint64_t before = ipc_peer_written_total(a.peer);

		ipc_peer_flush(a.peer);
		ck_assert_uint_le(ipc_peer_written_total(a.peer) - before, 256 << 10);
		turn();
	}
	assert_log(&b, "unsubscribebefore|deliver|unsubscribebehind|");
	ck_assert_uint_eq(data->refs, 1);
	ck_assert(slice_eq(rcbuf_slice(b.kept), rcbuf_slice(data)));
	ck_assert_uint_eq(b.kept->whole->refs, 1);
	ck_assert_uint_lt(b.kept->whole->cap, LARGE + 100);
	rcbuf_unref(&data);
	close_pair();
}
END_TEST

/* With a socket that would take more at once. */
START_TEST(sends_a_share_of_a_turn) {
	struct rcbuf *data = large_data(1);
	int fds[2], bytes = 4 << 20;
	uint64_t written;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	loop = evloop_new();
	end_open(&a, fds[0], 1 << 30);
	end_open(&b, fds[1], 1 << 30);
	ck_assert(send_data(&a, 1, data));
	ipc_peer_flush(a.peer);
	written = ipc_peer_written_total(a.peer);
	ck_assert_uint_eq(written, 256 << 10);
	/* The rest goes by itself. */
	for (unsigned n = 0; n < 10000 && b.count < 1; n++)
		turn();
	ck_assert_uint_eq(b.data_bytes, LARGE);
	rcbuf_unref(&data);
	close_pair();
}
END_TEST

/* What is announced takes memory when it comes, and not before. */
START_TEST(announced_is_not_yet_there) {
	static const uint8_t head[] = { 0, MAX_BYTES / 0x10000 - 1, 0, 0, IPC_deliver };
	static uint8_t some[1 << 20];
	int fd = open_pair(false, 1000);
	size_t in_use = mem_in_use();

	write_all(fd, head, sizeof(head));
	turns(2);
	ck_assert_uint_le(mem_in_use(), in_use + (1 << 20) + (80 << 10));
	for (size_t sent = 0; sent < sizeof(some); sent += 65536) {
		write_all(fd, some, 65536);
		turns(2);
	}
	ck_assert_uint_le(mem_in_use(), in_use + (2 << 20) + (80 << 10));
	ck_assert_int_eq(b.lost_count, 0);
	close(fd);
	turns(3);
	ck_assert_int_eq(b.lost_count, 1);
	close_pair();
	ck_assert_uint_lt(mem_in_use(), in_use);
}
END_TEST

START_TEST(pause_amid_a_large_one) {
	struct rcbuf *data[] = { large_data(1), large_data(2) };

	open_pair(true, 1 << 30);
	b.pauses = true;
	ck_assert(send_data(&a, 1, data[0]) && send_data(&a, 2, data[1]));
	for (unsigned n = 0; n < 10000 && b.count < 2; n++) {
		ipc_peer_pause(b.peer, n % 3 != 0);
		ipc_peer_flush(a.peer);
		turn();
	}
	ck_assert_uint_eq(b.count, 2);
	ck_assert_uint_eq(b.data_bytes, 2 * LARGE);
	for (size_t i = 0; i < ARRAY_LEN(data); i++)
		rcbuf_unref(&data[i]);
	close_pair();
}
END_TEST

START_TEST(late_messages_follow_all_others) {
	open_pair(true, 1 << 20);
	ck_assert(send_text(&a, "1") && send_late(&a, 8) && send_text(&a, "2"));
	ipc_peer_flush(a.peer);
	turns(2);
	assert_log(&b, "unsubscribe1|unsubscribe2|");
	ck_assert(send_late(&a, 9) && send_text(&a, "3"));
	ck_assert_uint_gt(ipc_peer_queued_bytes(a.peer), 0);
	ipc_peer_flush_late(a.peer);
	ck_assert_uint_eq(ipc_peer_queued_bytes(a.peer), 0);
	turns(2);
	assert_log(&b, "unsubscribe1|unsubscribe2|unsubscribe3|published8|published9|");
	close_pair();
}
END_TEST

START_TEST(pause_keeps_what_waits) {
	char wanted[4000] = "";

	open_pair(true, 1 << 20);
	b.pauses = true;
	for (int i = 0; i < 100; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%d", i);
		ck_assert(send_text(&a, text));
	}
	ipc_peer_flush(a.peer);
	for (size_t i = 0; i < 100; i++) {
		turns(3);
		ck_assert_uint_eq(b.count, i + 1);
		snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), "unsubscribe%zu|", i);
		ipc_peer_pause(b.peer, false);
	}
	turns(3);
	assert_log(&b, wanted);
	close_pair();
}
END_TEST

START_TEST(full_buffer_survives_a_pause) {
	open_pair(true, 1 << 30);
	b.pauses = true;
	for (uint64_t i = 1; i <= 300; i++) {
		struct rcbuf *r = make_deliver(i, 3000);

		ck_assert(ipc_peer_send_shared(a.peer, &(struct ipc_encoded){ .head = r }));
		rcbuf_unref(&r);
	}
	ipc_peer_flush(a.peer);
	for (unsigned n = 0; n < 10000 && b.count < 300; n++) {
		ipc_peer_pause(b.peer, false);
		turn();
	}
	ck_assert_uint_eq(b.count, 300);
	ck_assert_int_eq(b.lost_count, 0);
	close_pair();
}
END_TEST

START_TEST(queue_is_bounded_and_drains) {
	size_t sent = 0;

	open_pair(true, 1 << 20);
	ipc_peer_pause(b.peer, true);
	for (;;) {
		struct rcbuf *r = make_deliver(sent + 1, 10000);
		bool is_queued = ipc_peer_send_shared(a.peer, &(struct ipc_encoded){ .head = r });

		rcbuf_unref(&r);
		if (!is_queued)
			break;
		sent++;
		ipc_peer_flush(a.peer);
		turn();
	}
	ck_assert_uint_ge(ipc_peer_queued_bytes(a.peer), 1 << 20);
	ck_assert_uint_lt(ipc_peer_queued_bytes(a.peer), (1 << 20) + 11000);
	ck_assert(!send_text(&a, "x") && !send_late(&a, 1));
	ipc_peer_pause(b.peer, false);
	for (unsigned n = 0; n < 10000 && b.count < sent; n++)
		turn();
	ck_assert_uint_eq(b.count, sent);
	ck_assert(send_text(&a, "x"));
	close_pair();
}
END_TEST

START_TEST(sending_to_nobody_is_a_loss) {
	int fd = open_pair(false, 1000);

	close(fd);
	ck_assert(send_text(&b, "x"));
	ipc_peer_flush(b.peer);
	turns(2);
	ck_assert_int_eq(b.lost_count, 1);
	turns(2);
	ck_assert_int_eq(b.lost_count, 1);
	close_pair();
}
END_TEST

/* A broker that is killed has handed its last publications to the kernel; whoever writes to it before reading must see them. */
START_TEST(last_words_are_heard) {
	int rest;

	open_pair(true, 1000);
	ck_assert(send_text(&a, "last") && send_text(&a, "words"));
	ipc_peer_flush(a.peer);
	ipc_peer_free(&a.peer);
	ck_assert(send_text(&b, "x"));
	ipc_peer_flush(b.peer);
	ck_assert_int_eq(b.lost_count, 0);
	ck_assert(send_text(&b, "y"));
	ipc_peer_flush(b.peer);
	ck_assert_uint_eq(ipc_peer_written_total(b.peer), 0);
	for (rest = 10; rest > 0 && b.lost_count == 0; rest--)
		turns(1);
	assert_log(&b, "unsubscribelast|unsubscribewords|");
	ck_assert_int_eq(b.lost_count, 1);
	close_pair();
}
END_TEST

Suite *suite_ipc_peer(void);

Suite *suite_ipc_peer(void) {
	Suite *s = suite_create("ipc_peer");
	TCase *t = tcase_create("link");

	tcase_add_test(t, split_at_every_byte);
	tcase_add_test(t, byte_by_byte);
	tcase_add_loop_test(t, bad_messages_cut_the_link, 0, (int)ARRAY_LEN(bad_rows));
	tcase_add_test(t, large_and_small_in_order);
	tcase_add_test(t, large_ones_are_shared);
	tcase_add_test(t, sends_a_share_of_a_turn);
	tcase_add_test(t, announced_is_not_yet_there);
	tcase_add_test(t, pause_amid_a_large_one);
	tcase_add_test(t, late_messages_follow_all_others);
	tcase_add_test(t, pause_keeps_what_waits);
	tcase_add_test(t, full_buffer_survives_a_pause);
	tcase_add_test(t, queue_is_bounded_and_drains);
	tcase_add_test(t, sending_to_nobody_is_a_loss);
	tcase_add_test(t, last_words_are_heard);
	suite_add_tcase(s, t);
	return s;
}
