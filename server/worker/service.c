/* service - the life of a process that serves connections, from fork to drain */
#include "server/worker/service.h"

#include <errno.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/proc.h"
#include "common/svc/sandbox.h"
#include "common/svc/trace.h"
#include "common/base/bundle.h"
#include "server/worker/control.h"
#include "server/ws/ws_deflate.h"

/* Without the broker only those could be served who need none of it; but not for ever nobody. */
enum { MS = 1000, LINK_PATIENCE_MS = 1000 };

bool service_prepare(const struct heritage *h, int *status) {
	struct errbuf e;

	usage_open_as_root();
	if (!proc_drop_root(h->config->user, &e)) {
		log_line(LOG_ERROR, "cannot drop root", LF_TEXT("error", e.text));
		*status = HEROLD_EXIT_CONFIG;
		return false;
	}
	proc_set_core_dumps(h->config->core_dumps == SWITCH_ON);
	return true;
}

static void on_accept(int fd, const struct sock_peer *peer, void *arg) {
	const struct gate *g = arg;
	struct service *s = g->service;
	struct tls *tls = (g->kind & LISTEN_TLS) != 0 ? s->tls : NULL;

	if ((g->kind & LISTEN_PROXY) != 0)
		conn_accept_proxy(s->conns, fd, peer, tls);
	else if (tls != NULL)
		conn_accept_tls(s->conns, fd, peer, tls);
	else
		conn_accept(s->conns, fd, peer);
}

static void open_gates(struct service *s) {
	for (uint8_t kind = 0; kind < LISTEN_KINDS; kind++) {
		struct gate *g = &s->gates[kind];

		*g = (struct gate){ s, listener_new(s->loop, on_accept, g), kind };
		if ((kind & LISTEN_TLS) != 0)
			listener_refuse_silently(g->listener);
	}
}

static void open_doors(void *arg) {
	struct service *s = arg;

	if (s->doors == NULL)
		return;
	evloop_timer_stop(&s->patience);
	for (int i = 0; i < s->door_count; i++)
		listener_add(s->gates[s->door_kinds != NULL ? s->door_kinds[i] : LISTEN_PLAIN].listener, s->doors[i]);
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
	trace_event(drain, 0, 0, 0);
	log_line(LOG_INFO, "draining", LF_U("connections", conns_count(s->conns)), LF_U("spread_ms", spread_ms));
	for (int kind = 0; kind < LISTEN_KINDS; kind++)
		listener_close(s->gates[kind].listener);
	conns_drain(s->conns, spread_ms);
}

static void set_borrowed(struct service *s, int slot, bool is_borrowed) {
	const struct heritage *h = s->heritage;

	if (slot < 0 || slot >= h->slots || s->is_draining)
		return;
	for (int i = 0; i < h->listeners_per_slot; i++) {
		struct listener *l = s->gates[h->listener_kinds[i]].listener;
		int fd = h->listeners[slot * h->listeners_per_slot + i];

		/* A unix socket is every slot's, so neither lent nor taken back. */
		if (fd == h->listeners[h->slot * h->listeners_per_slot + i])
			continue;
		if (is_borrowed)
			listener_add(l, fd);
		else
			listener_remove(l, fd);
	}
	log_line(LOG_INFO, is_borrowed ? "accepting for another slot" : "no longer accepting for another slot", LF_I("slot", slot));
}

static bool read_bundle(int fd, struct buf *out, struct errbuf *e) {
	ssize_t n = 1;

	while (n > 0) {
		uint8_t *at = buf_reserve(out, 65536);

		if (at == NULL)
			return errbuf_set(e, "too long");
		n = pread(fd, at, 65536, (off_t)out->len);
		out->len += n > 0 ? (size_t)n : 0;
	}
	return n == 0 || errbuf_set(e, "%s", strerror(errno));
}

/* The master has tried them before. */
static void replace_certificates(struct service *s, struct slice bundle) {
	struct errbuf e;

	if (s->tls != NULL && !tls_replace(s->tls, bundle, &e))
		log_line(LOG_ERROR, "new certificates cannot be used; the old ones stay", LF_TEXT("error", e.text));
}

static void replace_secrets(struct service *s, const struct control_message *m) {
	struct errbuf e;
	struct buf bundle;

	if (m->fd < 0)
		return;
	buf_init(&bundle, BUNDLE_MAX + 65536);
	if (!read_bundle(m->fd, &bundle, &e))
		log_line(LOG_ERROR, "new secrets cannot be read; the old ones stay", LF_TEXT("error", e.text));
	else if (m->what == CONTROL_CERTIFICATES)
		replace_certificates(s, buf_slice(&bundle));
	else if (s->on_auth != NULL)
		s->on_auth(buf_slice(&bundle), s->callback_arg);
	bundle_fini(&bundle);
}

static void obey(struct service *s, const struct control_message *m) {
	switch (m->what) {
	case CONTROL_REFUSE:
		conns_refuse_new(s->conns, true);
		break;
	case CONTROL_DRAIN:
		drain(s, (uint64_t)s->heritage->config->drain_seconds * MS);
		break;
	case CONTROL_LEND:
	case CONTROL_TAKE_BACK:
		set_borrowed(s, m->slot, m->what == CONTROL_LEND);
		break;
	case CONTROL_CERTIFICATES:
	case CONTROL_AUTH:
		replace_secrets(s, m);
		break;
	case CONTROL_RELOADED:
		if (s->on_reloaded != NULL)
			s->on_reloaded(m->slot != 0, s->callback_arg);
		break;
	case CONTROL_RELOAD:
		break;
	}
}

static void on_control(int fd, short ready, void *arg) {
	struct control_message m;
	struct service *s = arg;

	(void)ready;
	switch (control_receive(fd, &m)) {
	case CONTROL_AGAIN:
		return;
	case CONTROL_GONE:
		log_text(LOG_ERROR, "the master is gone");
		evloop_io_stop(&s->control);
		drain(s, 0);
		return;
	case CONTROL_GOT:
		break;
	}
	obey(s, &m);
	if (m.fd >= 0)
		close(m.fd);
}

/* The order matters: the hub's deliveries and answers join the connections' queues before these are flushed. */
static void on_turn_end(void *arg) {
	struct service *s = arg;

	hub_turn_end(s->hub);
	if (s->doors != NULL && hub_is_linked(s->hub))
		open_doors(s);
	conns_turn_end(s->conns);
	if (s->after_turn != NULL)
		s->after_turn(s->callback_arg);
	stat_set(STAT_allocated_bytes, mem_in_use());
	if (s->is_draining && conns_count(s->conns) == 0 && hub_pending(s->hub) == 0)
		evloop_stop(s->loop);
}

/* What it takes, each second. */
static void count_usage(void *arg) {
	struct service *s = arg;

	usage_count(&s->usage, conns_count(s->conns));
	evloop_timer_start(&s->usage_timer, USAGE_MS);
}

static struct ws_deflate_settings deflate_settings(const struct config *config) {
	static const enum ws_deflate_mode modes[] = {
		[COMPRESSION_OFF] = WS_DEFLATE_OFF,
		[COMPRESSION_SHARED] = WS_DEFLATE_SHARED,
		[COMPRESSION_DEDICATED] = WS_DEFLATE_DEDICATED,
	};

	return (struct ws_deflate_settings){
		.mode = modes[config->compression],
		.level = (int)config->compression_level,
		.min_bytes = (size_t)config->compression_min_bytes,
		.memory = (size_t)config->compression_memory,
	};
}

void service_init(struct service *s, const struct heritage *h, int role, const struct hub_form *forms, size_t form_count,
    const struct conn_host *host) {
	const struct config *config = h->config;
	struct conn_settings conn_settings = {
		.heartbeat_ms = (uint64_t)config->heartbeat_seconds * MS,
		.handshake_ms = (uint64_t)config->handshake_seconds * MS,
		.send_timeout_ms = (uint64_t)config->send_timeout_seconds * MS,
		.client_queue_bytes = (size_t)config->client_queue_bytes,
		.deflate = deflate_settings(config),
		.trusted_proxies = &s->trusted_proxies,
		/* The admin listener is its operator's. */
		.limits = role == PROCESS_WORKER ? h->limits : NULL,
		/* The admin listener is for the operator, and answers when memory is short, too. */
		.memory = role == PROCESS_WORKER ? h->memory : NULL,
		.memory_bytes = atomic_load(&h->stats->host.memory_bytes),
	};
	struct hub_settings hub_settings = {
		.broker = h->broker,
		.role = role == PROCESS_ADMIN ? HUB_ADMIN : HUB_WORKER,
		.slot = (uint32_t)h->slot,
		.link_queue_bytes = (size_t)config->link_queue_bytes,
		.link_message_bytes = config_link_message_bytes(config),
		.broker_timeout_ms = (uint64_t)config->broker_timeout_ms,
		.linger_ms = (uint64_t)config->channel_linger_seconds * MS,
		.deflate = deflate_settings(config),
	};
	struct errbuf e;

	*s = (struct service){ .heritage = h };
	s->loop = evloop_new();
	evloop_on_turn_end(s->loop, on_turn_end, s);
	/* The option's value was checked when it was set. */
	BUG_ON(!nets_init(&s->trusted_proxies, config->trusted_proxies.item, config->trusted_proxies.count, &e));
	s->conns = conns_new(s->loop, &conn_settings, host);
	s->hub = hub_new(s->loop, &hub_settings, forms, form_count);
	open_gates(s);
	evloop_timer_init(s->loop, &s->patience, open_doors, s);
	evloop_timer_init(s->loop, &s->usage_timer, count_usage, s);
	if (role == PROCESS_WORKER)
		evloop_count_turns(s->loop, STAT_loop_turn, STAT_loop_turn_longest);
	evloop_io_start(s->loop, &s->control, h->control_fd, EVLOOP_READ, on_control, s);
}

bool service_use_tls(struct service *s) {
	const struct heritage *h = s->heritage;
	const struct config *config = h->config;
	struct tls_settings settings = { .tickets = h->tickets,
		.ticket_seconds = (uint32_t)config->tls_ticket_seconds,
		.handshakes_max = (size_t)config->tls_handshakes_max,
		.is_client_required = config->tls_client_certificate == TLS_CLIENT_REQUIRED,
		.use_kernel = config->tls_kernel == TLS_KERNEL_AUTO };
	struct errbuf e;

	if (h->certificates.len == 0)
		return true;
	s->tls = tls_new(h->certificates, &settings, &e);
	if (s->tls == NULL)
		log_line(LOG_ERROR, "the certificates cannot be used", LF_TEXT("error", e.text));
	return s->tls != NULL;
}

void service_run(struct service *s, const int *listeners, int listener_count, const uint8_t *kinds) {
	s->doors = listeners;
	s->door_count = listener_count;
	s->door_kinds = kinds;
	usage_open(&s->usage);
	count_usage(s);
	/* Everything is open, and libcrypto has read its configuration. */
	sandbox_start(s->heritage->config->sandbox == SWITCH_ON, SANDBOX_LOCAL);
	evloop_timer_start(&s->patience, LINK_PATIENCE_MS);
	evloop_run(s->loop);
}

void service_fini(struct service *s) {
	evloop_timer_stop(&s->patience);
	evloop_timer_stop(&s->usage_timer);
	usage_count(&s->usage, 0);
	usage_close(&s->usage);
	for (int kind = 0; kind < LISTEN_KINDS; kind++)
		listener_free(&s->gates[kind].listener);
	conns_free(&s->conns);
	nets_fini(&s->trusted_proxies);
	tls_free(&s->tls);
	hub_free(&s->hub);
	evloop_io_stop(&s->control);
	evloop_free(&s->loop);
	outq_free_spare();
	ws_deflate_free_shared();
}
