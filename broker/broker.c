/* broker - accepted links, dispatch, settling, the end of a turn */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_AREA LOG_AREA_link
#include "broker/link.h"
#include "broker/router.h"
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/sock.h"
#include "common/svc/stats.h"

enum {
	TICK_MS = 100,
	SETTLE_MS = 1000,
	LATE_HOLD_MS = 100,
	HELLO_MS = 10000,	/* a link that has not said hello by then is ended */
	ACCEPTS_PER_TURN = 32,	/* anybody of this host can connect, and workers must not wait for that */
	REFUSED_LOG_MS = 1000,	/* nor may it fill the log */
	LINKS_MAX = 1024,	/* far above the number of processes; stops a worker that connects in a loop */
};

struct held_link {
	struct list in_broker;
	struct link *link;	/* owned */
	bool is_synced;
};

struct broker {
	struct evloop *loop;
	struct broker_settings settings;
	struct link_settings link_settings;
	struct router *router;
	int listen_fd;
	struct evloop_io listener;
	struct evloop_timer timer;
	struct list links;
	size_t link_count;
	uint64_t next_link_id, start_ms, ticked_ms;
	uint64_t refused, refused_logged_ms;	/* since then not logged */
	bool is_settling, is_listener_tired;
};

/* --- settling --- */

static void settle_end(struct broker *b) {
	b->is_settling = false;
	list_for_each(it, &b->links)
		link_pause(list_entry(it, struct held_link, in_broker)->link, false);
	log_line(LOG_INFO, "settled", LF_U("links", b->link_count), LF_U("ms", evloop_now_ms(b->loop) - b->start_ms));
}

static void settle_check(struct broker *b) {
	unsigned synced = 0;

	if (!b->is_settling)
		return;
	list_for_each(it, &b->links) {
		const struct held_link *h = list_entry(it, struct held_link, in_broker);

		if (h->is_synced && !link_is_lost(h->link))
			synced++;
	}
	if (synced >= b->settings.expected_links || evloop_now_ms(b->loop) >= b->start_ms + SETTLE_MS)
		settle_end(b);
}

static void take_synced(struct broker *b, struct link *l) {
	list_for_each(it, &b->links) {
		struct held_link *h = list_entry(it, struct held_link, in_broker);

		if (h->link == l)
			h->is_synced = true;
	}
	if (b->is_settling)
		link_pause(l, true);
	settle_check(b);
}

/* --- time --- */

/* The engine's clock moves at the start of a turn. */
static void tick_once_a_turn(struct broker *b) {
	uint64_t now = evloop_now_ms(b->loop);

	if (now == b->ticked_ms)
		return;
	b->ticked_ms = now;
	router_tick(b->router, now, evloop_wall_ms(b->loop));
}

static void on_timer(void *arg) {
	struct broker *b = arg;
	uint64_t now = evloop_now_ms(b->loop);

	tick_once_a_turn(b);
	settle_check(b);
	list_for_each(it, &b->links) {
		struct link *l = list_entry(it, struct held_link, in_broker)->link;

		if (!link_has_said_hello(l) && now >= link_start_ms(l) + HELLO_MS)
			link_lose(l, "it did not say hello");
	}
	if (b->is_listener_tired) {
		b->is_listener_tired = false;
		evloop_io_want(&b->listener, EVLOOP_READ);
	}
	evloop_timer_start(&b->timer, TICK_MS);
}

/* --- links --- */

static void on_message(struct link *l, enum ipc_type type, const union ipc_any *message, void *arg) {
	struct broker *b = arg;

	tick_once_a_turn(b);
	if (type == IPC_synced)
		take_synced(b, l);
	else
		router_on_message(b->router, l, type, message);
}

static void on_open(struct link *l, void *arg) {
	struct broker *b = arg;

	router_on_open(b->router, l);
}

static void note_refused(struct broker *b, const char *why, const struct ucred *peer) {
	uint64_t now = evloop_now_ms(b->loop);

	b->refused++;
	if (b->refused_logged_ms != 0 && now < b->refused_logged_ms + REFUSED_LOG_MS)
		return;
	log_line(LOG_WARN, "link refused", LF_TEXT("why", why), LF_U("uid", peer->uid), LF_I("link_pid", peer->pid),
	    LF_U("refused", b->refused), LF_U("links", b->link_count));
	b->refused = 0;
	b->refused_logged_ms = now;
}

/* Only our own user and root: the socket is abstract, so nothing else stands before it. */
static bool is_welcome(struct broker *b, int fd) {
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || (peer.uid != geteuid() && peer.uid != 0))
		note_refused(b, "another user", &peer);
	else if (b->link_count >= LINKS_MAX)
		note_refused(b, "too many", &peer);
	else
		return true;
	return false;
}

static void link_open(struct broker *b, int fd) {
	struct held_link *h;

	if (!is_welcome(b, fd)) {
		close(fd);
		return;
	}
	h = mem_zalloc(sizeof(*h));
	h->link = link_new(b->loop, fd, b->next_link_id++, &b->link_settings);
	list_add_tail(&b->links, &h->in_broker);
	b->link_count++;
	router_add_link(b->router, h->link);
}

static void link_close(struct broker *b, struct held_link *h) {
	list_remove(&h->in_broker);
	b->link_count--;
	router_remove_link(b->router, h->link);
	link_free(&h->link);
	mem_free(h);
}

static void on_connection(int fd, short ready UNUSED, void *arg) {
	struct broker *b = arg;
	struct sock_peer peer;
	int accepted = -1;

	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		accepted = sock_accept(fd, &peer);
		if (accepted < 0)
			break;
		link_open(b, accepted);
	}
	if (accepted >= 0 || errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	log_line(LOG_ERROR, "cannot accept a link", LF_TEXT("error", strerror(errno)));
	b->is_listener_tired = true;
	evloop_io_want(&b->listener, 0);
}

struct broker *broker_new(struct evloop *loop, int listen_fd, const struct broker_settings *settings) {
	struct engine_setup setup = { settings->limits, loop, settings->config };
	uint64_t now = evloop_now_ms(loop);
	struct router *router = router_new(settings->engine, &setup, settings->crash_grace_ms, now, evloop_wall_ms(loop));
	struct broker *b;

	if (router == NULL) {
		close(listen_fd);
		return NULL;
	}
	b = mem_zalloc(sizeof(*b));
	b->loop = loop;
	b->router = router;
	b->settings = *settings;
	b->link_settings.message_max_bytes = settings->message_max_bytes;
	b->link_settings.queue_max_bytes = settings->queue_max_bytes;
	b->link_settings.on_message = on_message;
	b->link_settings.on_open = on_open;
	b->link_settings.arg = b;
	b->listen_fd = listen_fd;
	b->next_link_id = 1;
	b->start_ms = b->ticked_ms = now;
	b->is_settling = true;
	list_init(&b->links);
	fcntl(listen_fd, F_SETFL, fcntl(listen_fd, F_GETFL) | O_NONBLOCK);
	evloop_io_start(loop, &b->listener, listen_fd, EVLOOP_READ, on_connection, b);
	evloop_timer_init(loop, &b->timer, on_timer, b);
	evloop_timer_start(&b->timer, TICK_MS);
	return b;
}

void broker_free(struct broker **broker) {
	struct broker *b = *broker;

	if (b == NULL)
		return;
	*broker = NULL;
	evloop_io_stop(&b->listener);
	evloop_timer_stop(&b->timer);
	close(b->listen_fd);
	while (!list_is_empty(&b->links))
		link_close(b, list_entry(b->links.next, struct held_link, in_broker));
	router_free(&b->router);
	mem_free(b);
}

size_t broker_links(const struct broker *b) {
	return b->link_count;
}

/* --- the end of a turn --- */

/* What a lost link leaves behind (members who are gone at once) may fill the queue of another one: hence again, until all is
 * well. */
static void reap(struct broker *b) {
	bool again;

	do {
		again = false;
		list_for_each_safe(it, &b->links) {
			struct held_link *h = list_entry(it, struct held_link, in_broker);

			if (link_is_lost(h->link)) {
				link_close(b, h);
				again = true;
			}
		}
	} while (again);
}

/* True: somebody has not taken what he was sent, and not for long. */
static bool flush_all(struct broker *b) {
	uint64_t now = evloop_now_ms(b->loop);
	bool is_awaited = false;

	list_for_each(it, &b->links) {
		struct link *l = list_entry(it, struct held_link, in_broker)->link;
		uint64_t since;

		link_flush(l, now);
		since = link_behind_since(l);
		if (since > 0 && now < since + LATE_HOLD_MS)
			is_awaited = true;
	}
	return is_awaited;
}

void broker_turn_end(struct broker *b) {
	bool is_awaited;
	size_t queued = 0;

	reap(b);
	router_turn_end(b->router);
	is_awaited = flush_all(b);
	list_for_each(it, &b->links) {
		struct link *l = list_entry(it, struct held_link, in_broker)->link;

		if (!is_awaited)
			link_flush_late(l);
		queued += link_queued_bytes(l);
		if (link_is_lost(l))
			evloop_do_not_wait(b->loop);
	}
	stat_set(STAT_link_queue_bytes, queued);
	stat_set(STAT_allocated_bytes, mem_in_use());
}
