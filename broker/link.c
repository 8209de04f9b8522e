/* link - one connected worker (or admin process) */
#include "broker/link.h"

#include <unistd.h>

#define LOG_AREA LOG_AREA_link
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "common/svc/trace.h"

struct link {
	struct ipc_peer *peer;
	const struct link_settings *settings;	/* the broker's */
	uint64_t id;
	uint64_t start_ms, behind_since_ms;
	uint32_t slot, pid;
	uint8_t role;
	bool has_said_hello, is_lost;
	bool is_paused;	/* by the broker */
	bool is_held;	/* it asks faster than it takes the answers */
};

static const char *role_text(const struct link *l) {
	return l->role == PROCESS_ADMIN ? "admin" : l->role == PROCESS_WORKER ? "worker" : "unknown";
}

static void mark_lost(struct link *l, enum log_level level, const char *why) {
	l->is_lost = true;
	trace_event(link_down, l->id, l->slot, l->pid);
	log_line(level, "link lost", LF_U("link", l->id), LF_TEXT("role", role_text(l)), LF_U("slot", l->slot),
	    LF_U("link_pid", l->pid), LF_TEXT("why", why));
}

void link_lose(struct link *l, const char *why) {
	if (l->is_lost)
		return;
	/* The peer lives until the end of the turn; what it still has is of no interest. */
	ipc_peer_pause(l->peer, true);
	mark_lost(l, LOG_WARN, why);
}

void link_lose_bad(struct link *l, const char *why) {
	if (l->is_lost)
		return;
	stat_add(STAT_link_bad_messages, 1);
	link_lose(l, why);
}

static void on_lost(struct ipc_peer *p, const char *why, void *arg) {
	struct link *l = arg;

	if (l->is_lost)
		return;
	if (ipc_peer_is_bad(p))
		stat_add(STAT_link_bad_messages, 1);
	mark_lost(l, ipc_peer_is_bad(p) ? LOG_WARN : LOG_INFO, why);
}

static void take_hello(struct link *l, const struct ipc_hello *hello) {
	if (l->has_said_hello) {
		link_lose_bad(l, "hello was said twice");
		return;
	}
	l->role = hello->role;
	l->slot = hello->slot;
	l->pid = hello->pid;
	if (hello->version != IPC_VERSION) {
		link_lose_bad(l, "it speaks another version of the link");
		return;
	}
	if (hello->role != PROCESS_WORKER && hello->role != PROCESS_ADMIN) {
		link_lose_bad(l, "it is neither a worker nor the admin process");
		return;
	}
	l->has_said_hello = true;
	trace_event(link_up, l->id, l->slot, l->pid);
	log_line(LOG_INFO, "link open", LF_U("link", l->id), LF_TEXT("role", role_text(l)), LF_U("slot", l->slot),
	    LF_U("link_pid", l->pid));
	l->settings->on_open(l, l->settings->arg);
}

/* Answers fill the queue as deliveries do, but for these the worker can wait: it is not listened to while half of the queue
 * is taken. Otherwise one that has much to catch up with would be cut off for what it asked for, again and again. */
static void hold(struct link *l) {
	size_t queued = ipc_peer_queued_bytes(l->peer);

	if (!l->is_held && queued > l->settings->queue_max_bytes / 2)
		l->is_held = true;
	else if (l->is_held && queued <= l->settings->queue_max_bytes / 4)
		l->is_held = false;
	ipc_peer_pause(l->peer, l->is_paused || l->is_held);
}

static void on_message(struct ipc_peer *p UNUSED, enum ipc_type type, const union ipc_any *message, void *arg) {
	struct link *l = arg;

	if (l->is_lost)
		return;
	trace_serving(l->id);
	if (type == IPC_hello)
		take_hello(l, &message->hello);
	else if (!l->has_said_hello)
		link_lose_bad(l, "the first message was not hello");
	else
		l->settings->on_message(l, type, message, l->settings->arg);
	if (!l->is_lost)
		hold(l);
	trace_serving(0);
}

static const struct ipc_peer_ops peer_ops = { .on_message = on_message, .on_lost = on_lost };

struct link *link_new(struct evloop *loop, int fd, uint64_t id, const struct link_settings *settings) {
	struct ipc_hello hello = { .version = IPC_VERSION, .role = PROCESS_BROKER, .pid = (uint32_t)getpid() };
	struct link *l = mem_zalloc(sizeof(*l));

	l->id = id;
	l->settings = settings;
	l->start_ms = evloop_now_ms(loop);
	l->peer = ipc_peer_new(loop, fd, settings->message_max_bytes, settings->queue_max_bytes, &peer_ops, l);
	link_send(l, IPC_hello, &hello);
	return l;
}

void link_free(struct link **l) {
	if (*l == NULL)
		return;
	ipc_peer_free(&(*l)->peer);
	mem_free(*l);
	*l = NULL;
}

uint64_t link_id(const struct link *l) {
	return l->id;
}

bool link_has_said_hello(const struct link *l) {
	return l->has_said_hello;
}

uint8_t link_role(const struct link *l) {
	return l->role;
}

bool link_is_lost(const struct link *l) {
	return l->is_lost;
}

uint64_t link_start_ms(const struct link *l) {
	return l->start_ms;
}

static void check_queued(struct link *l, bool is_queued) {
	if (is_queued || l->is_lost)
		return;
	stat_add(STAT_link_resets, 1);
	link_lose(l, "it is too far behind (link_queue_bytes)");
}

void link_send(struct link *l, enum ipc_type type, const void *message) {
	if (!l->is_lost)
		check_queued(l, ipc_peer_send(l->peer, type, message));
}

void link_send_shared(struct link *l, const struct ipc_encoded *message) {
	if (!l->is_lost)
		check_queued(l, ipc_peer_send_shared(l->peer, message));
}

void link_send_late(struct link *l, enum ipc_type type, const void *message) {
	if (!l->is_lost)
		check_queued(l, ipc_peer_send_late(l->peer, type, message));
}

void link_pause(struct link *l, bool is_paused) {
	if (l->is_lost)
		return;
	l->is_paused = is_paused;
	hold(l);
}

void link_flush(struct link *l, uint64_t now_ms) {
	if (l->is_lost)
		return;
	ipc_peer_flush(l->peer);
	hold(l);
	if (ipc_peer_queued_total(l->peer) == ipc_peer_written_total(l->peer))
		l->behind_since_ms = 0;
	else if (l->behind_since_ms == 0)
		l->behind_since_ms = now_ms;
}

void link_flush_late(struct link *l) {
	if (!l->is_lost)
		ipc_peer_flush_late(l->peer);
}

uint64_t link_behind_since(const struct link *l) {
	return l->is_lost ? 0 : l->behind_since_ms;
}

size_t link_queued_bytes(const struct link *l) {
	return ipc_peer_queued_bytes(l->peer);
}
