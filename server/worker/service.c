/* service - the life of a process that serves connections, from fork to drain */
#include "server/worker/service.h"

#include <errno.h>
#include <unistd.h>

#include "common/svc/log.h"
#include "common/svc/proc.h"

/* Without the broker only those could be served who need none of it; but not for ever nobody. */
enum { MS = 1000, LINK_PATIENCE_MS = 1000 };

bool service_prepare(const struct heritage *h, int *status) {
	struct errbuf e;

	if (!proc_drop_root(h->config->user, &e)) {
		log_line(LOG_ERROR, "cannot drop root", LF_TEXT("error", e.text));
		*status = HEROLD_EXIT_CONFIG;
		return false;
	}
	return true;
}

static void on_accept(int fd, const struct sock_peer *peer, void *arg) {
	struct service *s = arg;

	conn_accept(s->conns, fd, peer);
}

static void open_doors(void *arg) {
	struct service *s = arg;

	if (s->doors == NULL)
		return;
	evloop_timer_stop(&s->patience);
	for (int i = 0; i < s->door_count; i++)
		listener_add(s->listener, s->doors[i]);
	s->doors = NULL;
	atomic_store(&stats_own->is_ready, 1);
}

static void drain(struct service *s, uint64_t spread_ms) {
	if (s->is_draining)
		return;
	/* Who waits there is told. */
	open_doors(s);
	s->is_draining = true;
	atomic_store(&stats_own->is_draining, 1);
	log_line(LOG_INFO, "draining", LF_U("connections", conns_count(s->conns)), LF_U("spread_ms", spread_ms));
	listener_close(s->listener);
	conns_drain(s->conns, spread_ms);
}

static void set_borrowed(struct service *s, int slot, bool is_borrowed) {
	const struct heritage *h = s->heritage;

	if (slot < 0 || slot >= h->slots || s->is_draining)
		return;
	for (int i = 0; i < h->listeners_per_slot; i++) {
		int fd = h->listeners[slot * h->listeners_per_slot + i];

		/* A unix socket is every slot's, so neither lent nor taken back. */
		if (fd == h->listeners[h->slot * h->listeners_per_slot + i])
			continue;
		if (is_borrowed)
			listener_add(s->listener, fd);
		else
			listener_remove(s->listener, fd);
	}
	log_line(LOG_INFO, is_borrowed ? "accepting for another slot" : "no longer accepting for another slot", LF_I("slot", slot));
}

static void on_control(int fd, short ready, void *arg) {
	struct service *s = arg;
	uint8_t message[2];
	ssize_t got = recv(fd, message, sizeof(message), MSG_DONTWAIT);

	(void)ready;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got < (ssize_t)sizeof(message)) {
		log_text(LOG_ERROR, "the master is gone");
		evloop_io_stop(&s->control);
		drain(s, 0);
		return;
	}
	switch (message[0]) {
	case CONTROL_REFUSE:
		conns_refuse_new(s->conns, true);
		break;
	case CONTROL_DRAIN:
		drain(s, (uint64_t)s->heritage->config->drain_seconds * MS);
		break;
	case CONTROL_LEND:
	case CONTROL_TAKE_BACK:
		set_borrowed(s, message[1], message[0] == CONTROL_LEND);
		break;
	}
}

/* The order matters: the hub's deliveries and answers join the connections' queues before these are flushed. */
static void on_turn_end(void *arg) {
	struct service *s = arg;

	hub_turn_end(s->hub);
	if (s->doors != NULL && hub_is_linked(s->hub))
		open_doors(s);
	conns_turn_end(s->conns);
	if (s->after_turn != NULL)
		s->after_turn(s->after_turn_arg);
	if (s->is_draining && conns_count(s->conns) == 0 && hub_pending(s->hub) == 0)
		evloop_stop(s->loop);
}

void service_init(struct service *s, const struct heritage *h, int role, const struct hub_form *forms, size_t form_count,
    const struct conn_host *host) {
	const struct config *config = h->config;
	struct conn_settings conn_settings = {
		.heartbeat_ms = (uint64_t)config->heartbeat_seconds * MS,
		.handshake_ms = (uint64_t)config->handshake_seconds * MS,
		.send_timeout_ms = (uint64_t)config->send_timeout_seconds * MS,
		.client_queue_bytes = (size_t)config->client_queue_bytes,
	};
	struct hub_settings hub_settings = {
		.broker = h->broker,
		.role = role == PROCESS_ADMIN ? HUB_ADMIN : HUB_WORKER,
		.slot = (uint32_t)h->slot,
		.link_queue_bytes = (size_t)config->link_queue_bytes,
		.link_message_bytes = config_link_message_bytes(config),
		.broker_timeout_ms = (uint64_t)config->broker_timeout_ms,
		.linger_ms = (uint64_t)config->channel_linger_seconds * MS,
	};

	*s = (struct service){ .heritage = h };
	s->loop = evloop_new();
	evloop_on_turn_end(s->loop, on_turn_end, s);
	s->conns = conns_new(s->loop, &conn_settings, host);
	s->hub = hub_new(s->loop, &hub_settings, forms, form_count);
	s->listener = listener_new(s->loop, on_accept, s);
	evloop_timer_init(s->loop, &s->patience, open_doors, s);
	evloop_io_start(s->loop, &s->control, h->control_fd, EVLOOP_READ, on_control, s);
}

void service_run(struct service *s, const int *listeners, int listener_count) {
	s->doors = listeners;
	s->door_count = listener_count;
	evloop_timer_start(&s->patience, LINK_PATIENCE_MS);
	evloop_run(s->loop);
}

void service_fini(struct service *s) {
	evloop_timer_stop(&s->patience);
	listener_free(&s->listener);
	conns_free(&s->conns);
	hub_free(&s->hub);
	evloop_io_stop(&s->control);
	evloop_free(&s->loop);
	outq_free_spare();
}
