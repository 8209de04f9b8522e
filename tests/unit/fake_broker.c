/* fake_broker - the other end of the link, under a test's control */
#include "tests/unit/fake_broker.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"

enum { WAIT_MAX_MS = 3000 };

static void on_message(struct ipc_peer *p, enum ipc_type type, const union ipc_any *message, void *arg) {
	struct fake_broker *f = arg;
	size_t i = f->count++;

	ck_assert_uint_lt(i, ARRAY_LEN(f->kept));
	f->kept[i].type = type;
	f->kept[i].bytes = ipc_encode(type, message);
	ck_assert(ipc_decode(type, slice_skip(rcbuf_slice(f->kept[i].bytes), IPC_HEADER_BYTES), NULL, &f->kept[i].message));
	if (type == IPC_hello && !f->is_mute) {
		struct ipc_hello hello = { f->version, PROCESS_BROKER, 0, 1 };

		ck_assert(ipc_peer_send(p, IPC_hello, &hello));
	}
}

static void on_lost(struct ipc_peer *p UNUSED, const char *why UNUSED, void *arg) {
	struct fake_broker *f = arg;

	f->is_lost = true;
}

static const struct ipc_peer_ops ops = { on_message, on_lost };

static void on_accept(int fd, short ready UNUSED, void *arg) {
	struct fake_broker *f = arg;
	struct sock_peer peer;
	int client = sock_accept(fd, &peer);

	if (client < 0)
		return;
	ipc_peer_free(&f->peer);
	f->is_lost = false;
	f->peer = ipc_peer_new(f->loop, client, 64 << 20, 64 << 20, &ops, f);
	f->links++;
}

static void on_turn_end(void *arg) {
	struct fake_broker *f = arg;

	f->turn_end(f->arg);
	if (f->is_lost) {
		ipc_peer_free(&f->peer);
		f->is_lost = false;
	}
	if (f->peer != NULL)
		ipc_peer_flush(f->peer);
	evloop_stop(f->loop);
}

static void on_deadline(void *arg) {
	struct fake_broker *f = arg;

	f->is_due = true;
}

void fake_broker_listen(struct fake_broker *f) {
	struct errbuf e;

	f->listener = sock_listen(&f->address, 16, &e);
	ck_assert_msg(f->listener >= 0, "%s", e.text);
	evloop_io_start(f->loop, &f->io, f->listener, EVLOOP_READ, on_accept, f);
}

void fake_broker_stop_listening(struct fake_broker *f) {
	if (f->listener < 0)
		return;
	evloop_io_stop(&f->io);
	close(f->listener);
	f->listener = -1;
}

void fake_broker_init(struct fake_broker *f, struct evloop *loop, void (*turn_end)(void *arg), void *arg) {
	static unsigned number;
	struct errbuf e;
	char name[64];

	memset(f, 0, sizeof(*f));
	f->loop = loop;
	f->turn_end = turn_end;
	f->arg = arg;
	f->version = IPC_VERSION;
	snprintf(name, sizeof(name), "unix:@herold-test-%d-%u", getpid(), number++);
	ck_assert_msg(sock_parse(name, &f->address, &e), "%s", e.text);
	evloop_on_turn_end(loop, on_turn_end, f);
	evloop_timer_init(loop, &f->deadline, on_deadline, f);
	fake_broker_listen(f);
}

void fake_broker_fini(struct fake_broker *f) {
	fake_broker_stop_listening(f);
	ipc_peer_free(&f->peer);
	evloop_timer_stop(&f->deadline);
	for (size_t i = 0; i < f->count; i++)
		rcbuf_unref(&f->kept[i].bytes);
}

void fake_broker_cut(struct fake_broker *f) {
	ipc_peer_free(&f->peer);
}

static bool has_message(void *arg) {
	struct fake_broker *f = arg;

	return f->count > f->taken;
}

void fake_broker_restart(struct fake_broker *f) {
	fake_broker_stop_listening(f);
	fake_broker_cut(f);
	fake_broker_turns(f, 2);
	fake_broker_listen(f);
	fake_broker_wait(f, has_message, f);
	fake_broker_take(f, IPC_hello);
}

void fake_broker_wait(struct fake_broker *f, bool (*is_true)(void *arg), void *arg) {
	f->is_due = false;
	evloop_timer_start(&f->deadline, WAIT_MAX_MS);
	while (!is_true(arg)) {
		ck_assert_msg(!f->is_due, "waited in vain");
		evloop_run(f->loop);
	}
	evloop_timer_stop(&f->deadline);
}

void fake_broker_turns(struct fake_broker *f, unsigned turns) {
	while (turns-- > 0) {
		evloop_do_not_wait(f->loop);
		evloop_run(f->loop);
	}
}

void fake_broker_wait_ms(struct fake_broker *f, uint64_t ms) {
	f->is_due = false;
	evloop_timer_start(&f->deadline, ms);
	while (!f->is_due)
		evloop_run(f->loop);
}

const union ipc_any *fake_broker_take(struct fake_broker *f, enum ipc_type type) {
	size_t i;

	fake_broker_wait(f, has_message, f);
	i = f->taken++;
	ck_assert_msg(f->kept[i].type == type, "message %zu is %s, not %s", i, ipc_type_name(f->kept[i].type), ipc_type_name(type));
	return &f->kept[i].message;
}

void fake_broker_expect_silence(struct fake_broker *f) {
	fake_broker_turns(f, 6);
	ck_assert_msg(f->count == f->taken, "unexpected %s", ipc_type_name(f->kept[f->taken].type));
}

void fake_broker_send(struct fake_broker *f, enum ipc_type type, const void *message) {
	ck_assert_ptr_nonnull(f->peer);
	ck_assert(ipc_peer_send(f->peer, type, message));
	ipc_peer_flush(f->peer);
}
