/* bus - the worker's end of the broker link */
#include "server/hub/bus.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_AREA LOG_AREA_link
#include "common/base/mem.h"
#include "common/ipc/ipc_peer.h"
#include "common/svc/log.h"

/* A link that ended sooner than BUS_STEADY_MS after its hello counts as a failed attempt. */
enum { BUS_RETRY_MIN_MS = 10, BUS_RETRY_MAX_MS = 500, BUS_STEADY_MS = 1000 };
/* What bus_tell() may use beyond the bound for questions. */
enum { BUS_TELL_RESERVE_BYTES = 1 << 20 };
/* bus_is_busy(): enough for one sendmsg() to be worth it, little beside the smallest link_queue_bytes. */
enum { BUS_BUSY_BYTES = 256 << 10 };
/* An id is a slot of the table and how often it was used, so that a late answer meets nobody else's question. Free
 * slots are used again in turn, which makes 4,096 uses of one slot within a late answer's life impossible. */
enum { SLOT_BITS = 20, SLOT_MAX = 1 << SLOT_BITS, SLOT_FIRST_COUNT = 64 };

enum bus_state {
	BUS_DOWN = 0,	/* the timer runs until the next attempt */
	BUS_GREETING,	/* connected, hello sent; the timer limits the wait for theirs */
	BUS_UP,
	BUS_BROKEN,	/* until bus_report() has cleared it away */
};

struct slot {
	struct bus_request *request;	/* NULL: free */
	uint32_t uses;
	uint32_t next_free;
};

struct bus {
	struct evloop *loop;
	struct bus_settings settings;
	const struct bus_ops *ops;
	void *arg;
	struct ipc_peer *peer;
	int reserve;		/* stands for the connection while there is none: clients can take all other descriptors; or -1 */
	enum bus_state state;
	bool was_up;		/* this connection */
	bool is_flush_due;
	bool is_failure_logged;
	uint32_t link;		/* number of the present or last link */
	uint64_t retry_ms, up_since_ms;
	struct evloop_timer link_timer, due_timer;
	char why[160];

	struct slot *slots;
	uint32_t slot_count;
	uint32_t free_first, free_last;	/* SLOT_MAX: none */
	struct list waiting;	/* by due_ms */
	struct list overdue;	/* reported as timed out, kept for their answer */
	struct list failed;	/* to be reported */
};

static void bus_connect(struct bus *b);

/* --- the table of questions --- */

static void slot_release(struct bus *b, uint32_t i) {
	b->slots[i].request = NULL;
	b->slots[i].next_free = SLOT_MAX;
	if (b->free_first == SLOT_MAX)
		b->free_first = i;
	else
		b->slots[b->free_last].next_free = i;
	b->free_last = i;
}

static bool slots_grow(struct bus *b) {
	uint32_t old = b->slot_count, count = old > 0 ? old * 2 : SLOT_FIRST_COUNT;

	if (count > SLOT_MAX)
		return false;
	b->slots = mem_realloc(b->slots, count * sizeof(b->slots[0]));
	b->slot_count = count;
	for (uint32_t i = old; i < count; i++) {
		b->slots[i].uses = 0;
		slot_release(b, i);
	}
	return true;
}

static bool request_register(struct bus *b, struct bus_request *r) {
	struct slot *s;
	uint32_t i;

	if (b->free_first == SLOT_MAX && !slots_grow(b))
		return false;
	i = b->free_first;
	s = &b->slots[i];
	b->free_first = s->next_free;
	s->request = r;
	s->uses++;
	r->id = s->uses << SLOT_BITS | i;
	if (r->id == 0) {	/* 0 means that no answer is wanted */
		s->uses++;
		r->id = s->uses << SLOT_BITS | i;
	}
	return true;
}

static void request_deregister(struct bus *b, struct bus_request *r) {
	if (r->id != 0)
		slot_release(b, r->id % SLOT_MAX);
	r->id = 0;
}

static struct bus_request *request_find(const struct bus *b, uint32_t id) {
	uint32_t i = id % SLOT_MAX;

	if (id == 0 || i >= b->slot_count || b->slots[i].request == NULL || b->slots[i].request->id != id)
		return NULL;
	return b->slots[i].request;
}

static void request_fail(struct bus *b, struct bus_request *r, enum bus_outcome outcome) {
	list_remove(&r->link);
	r->outcome = (uint8_t)outcome;
	if (outcome != BUS_TIMED_OUT || !r->is_kept)
		request_deregister(b, r);
	list_add_tail(&b->failed, &r->link);
	evloop_do_not_wait(b->loop);
}

/* --- deadlines: all of one length, so a queue is in order by itself --- */

static void bus_on_due(void *arg) {
	struct bus *b = arg;
	uint64_t now = evloop_now_ms(b->loop);

	while (!list_is_empty(&b->waiting)) {
		struct bus_request *r = list_entry(b->waiting.next, struct bus_request, link);

		if (r->due_ms > now) {
			evloop_timer_start(&b->due_timer, r->due_ms - now);
			return;
		}
		request_fail(b, r, BUS_TIMED_OUT);
	}
}

static void request_wait(struct bus *b, struct bus_request *r) {
	r->due_ms = evloop_now_ms(b->loop) + b->settings.timeout_ms;
	/* A timer that is running already is early for this one; bus_on_due() then starts it again. */
	if (list_is_empty(&b->waiting))
		evloop_timer_start(&b->due_timer, b->settings.timeout_ms);
	list_add_tail(&b->waiting, &r->link);
}

/* --- messages --- */

static enum ipc_type answer_type_of(enum ipc_type question) {
	switch (question) {
	case IPC_subscribe:
	case IPC_history:
		return IPC_snapshot;
	case IPC_publish:
		return IPC_published;
	case IPC_member_add:
		return IPC_member_result;
	case IPC_members:
		return IPC_member_list;
	case IPC_channels:
	case IPC_top_rooms:
		return IPC_channel_list;
	case IPC_inspect:
		return IPC_inspection;
	default:
		return IPC_NONE;
	}
}

static void bus_on_hello(struct bus *b, const struct ipc_hello *hello) {
	if (hello->version != IPC_VERSION || hello->role != PROCESS_BROKER) {
		bus_cut(b, "the other side is no broker of this version");
		return;
	}
	evloop_timer_stop(&b->link_timer);
	b->state = BUS_UP;
	b->was_up = true;
	b->is_failure_logged = false;
	b->up_since_ms = evloop_now_ms(b->loop);
	b->link++;
	b->ops->on_up(b->arg);
}

static void bus_on_answer(struct bus *b, enum ipc_type type, uint32_t id, const union ipc_any *answer) {
	struct bus_request *r = request_find(b, id);

	if (r == NULL)	/* given up meanwhile */
		return;
	if (r->answer_type != (uint8_t)type) {
		stat_add(STAT_link_bad_messages, 1);
		bus_cut(b, "an answer does not fit its question");
		return;
	}
	request_deregister(b, r);
	list_remove(&r->link);
	r->fn(r, BUS_ANSWERED, answer);
}

static void bus_on_message(struct ipc_peer *p UNUSED, enum ipc_type type, const union ipc_any *message, void *arg) {
	struct bus *b = arg;

	if (b->state == BUS_GREETING && type == IPC_hello) {
		bus_on_hello(b, &message->hello);
		return;
	}
	if (b->state == BUS_BROKEN)
		return;
	if (b->state == BUS_UP) {
		switch (type) {
		case IPC_deliver:
		case IPC_joined:
		case IPC_left:
		case IPC_engine_state:
		case IPC_inspect:
			b->ops->on_message(type, message, b->arg);
			return;
		case IPC_snapshot:
			bus_on_answer(b, type, message->snapshot.request, message);
			return;
		case IPC_published:
			bus_on_answer(b, type, message->published.request, message);
			return;
		case IPC_member_result:
			bus_on_answer(b, type, message->member_result.request, message);
			return;
		case IPC_member_list:
			bus_on_answer(b, type, message->member_list.request, message);
			return;
		case IPC_channel_list:
			bus_on_answer(b, type, message->channel_list.request, message);
			return;
		case IPC_inspection:
			bus_on_answer(b, type, message->inspection.request, message);
			return;
		default:
			break;
		}
	}
	stat_add(STAT_link_bad_messages, 1);
	bus_cut(b, "a message that belongs to nobody here");
}

static void bus_on_lost(struct ipc_peer *p, const char *why, void *arg) {
	if (ipc_peer_is_bad(p))
		stat_add(STAT_link_bad_messages, 1);
	bus_cut(arg, why);
}

static const struct ipc_peer_ops bus_peer_ops = {
	.on_message = bus_on_message,
	.on_lost = bus_on_lost,
};

/* --- the connection --- */

static void reserve_open(struct bus *b) {
	if (b->reserve < 0)
		b->reserve = eventfd(0, EFD_CLOEXEC);
}

static void reserve_close(struct bus *b) {
	if (b->reserve >= 0)
		close(b->reserve);
	b->reserve = -1;
}

static void bus_retry_later(struct bus *b) {
	b->state = BUS_DOWN;
	reserve_open(b);
	b->retry_ms = b->retry_ms == 0 ? BUS_RETRY_MIN_MS : b->retry_ms * 2;
	if (b->retry_ms > BUS_RETRY_MAX_MS)
		b->retry_ms = BUS_RETRY_MAX_MS;
	evloop_timer_start(&b->link_timer, b->retry_ms);
	if (!b->is_failure_logged && b->retry_ms == BUS_RETRY_MAX_MS) {
		b->is_failure_logged = true;
		log_line(LOG_WARN, "the broker cannot be reached", LF_TEXT("why", b->why));
	}
}

static void bus_on_link_timer(void *arg) {
	struct bus *b = arg;

	if (b->state == BUS_GREETING)
		bus_cut(b, "no hello from the broker");
	else if (b->state == BUS_DOWN)
		bus_connect(b);
}

static void bus_connect(struct bus *b) {
	struct ipc_hello hello = { IPC_VERSION, (uint8_t)b->settings.role, b->settings.slot, (uint32_t)getpid() };
	int fd;

	reserve_close(b);
	fd = sock_connect(&b->settings.broker);
	if (fd < 0) {
		snprintf(b->why, sizeof(b->why), "%s", strerror(errno));
		bus_retry_later(b);
		return;
	}
	b->peer = ipc_peer_new(b->loop, fd, b->settings.message_bytes, b->settings.queue_bytes + BUS_TELL_RESERVE_BYTES,
	    &bus_peer_ops, b);
	b->state = BUS_GREETING;
	b->was_up = false;
	evloop_timer_start(&b->link_timer, b->settings.timeout_ms);
	if (!ipc_peer_send(b->peer, IPC_hello, &hello))
		bus_cut(b, "hello cannot be sent");
	b->is_flush_due = true;
	evloop_do_not_wait(b->loop);
}

void bus_cut(struct bus *b, const char *why) {
	if (b->state == BUS_BROKEN || b->state == BUS_DOWN)
		return;
	b->state = BUS_BROKEN;
	snprintf(b->why, sizeof(b->why), "%s", why);
	evloop_do_not_wait(b->loop);
}

/* What the kernel never took was surely not read by the broker. */
static void bus_clear_away(struct bus *b) {
	uint64_t written = ipc_peer_written_total(b->peer);
	struct list questions;

	list_init(&questions);
	/* Kept ones that have timed out in this very turn are among the failed. */
	list_for_each_safe(it, &b->failed) {
		if (list_entry(it, struct bus_request, link)->id != 0) {
			list_remove(it);
			list_add_tail(&questions, it);
		}
	}
	list_splice_tail(&questions, &b->overdue);
	list_splice_tail(&questions, &b->waiting);
	while (!list_is_empty(&questions)) {
		struct bus_request *r = list_entry(questions.next, struct bus_request, link);

		request_fail(b, r, r->end <= written ? BUS_LOST : BUS_NOT_SENT);
	}
	ipc_peer_free(&b->peer);
	evloop_timer_stop(&b->link_timer);
	b->is_flush_due = false;
	b->state = BUS_DOWN;
	if (b->was_up) {
		stat_add(STAT_link_losses, 1);
		b->ops->on_down(b->why, b->arg);
	}
	if (b->was_up && evloop_now_ms(b->loop) - b->up_since_ms >= BUS_STEADY_MS) {
		b->retry_ms = 0;
		bus_connect(b);
	} else {
		bus_retry_later(b);
	}
}

/* --- public --- */

struct bus *bus_new(struct evloop *loop, const struct bus_settings *settings, const struct bus_ops *ops, void *arg) {
	struct bus *b = mem_zalloc(sizeof(*b));

	b->loop = loop;
	b->settings = *settings;
	b->ops = ops;
	b->arg = arg;
	b->reserve = -1;
	b->free_first = SLOT_MAX;
	list_init(&b->waiting);
	list_init(&b->overdue);
	list_init(&b->failed);
	evloop_timer_init(loop, &b->link_timer, bus_on_link_timer, b);
	evloop_timer_init(loop, &b->due_timer, bus_on_due, b);
	bus_connect(b);
	return b;
}

void bus_free(struct bus **bp) {
	struct bus *b = *bp;

	if (b == NULL)
		return;
	*bp = NULL;
	if (b->peer != NULL && b->state == BUS_UP)
		ipc_peer_flush(b->peer);
	ipc_peer_free(&b->peer);
	reserve_close(b);
	evloop_timer_stop(&b->link_timer);
	evloop_timer_stop(&b->due_timer);
	mem_free(b->slots);
	mem_free(b);
}

uint32_t bus_link(const struct bus *b) {
	return b->state == BUS_UP ? b->link : 0;
}

bool bus_is_busy(const struct bus *b) {
	return b->state != BUS_UP || ipc_peer_queued_bytes(b->peer) >= BUS_BUSY_BYTES;
}

static void bus_flush_later(struct bus *b) {
	/* Something said after this turn's flush must not wait for the next event. */
	if (!b->is_flush_due)
		evloop_do_not_wait(b->loop);
	b->is_flush_due = true;
}

void bus_ask(struct bus *b, struct bus_request *r, enum ipc_type type, void *message, bus_answer_fn fn) {
	list_init(&r->link);
	r->fn = fn;
	r->outcome = BUS_ANSWERED;
	r->answer_type = (uint8_t)answer_type_of(type);
	BUG_ON(r->answer_type == IPC_NONE);
	r->id = 0;
	if (b->state != BUS_UP || ipc_peer_queued_bytes(b->peer) >= b->settings.queue_bytes ||
	    !request_register(b, r)) {
		request_fail(b, r, BUS_NOT_SENT);
		return;
	}
	/* The first field of every question. */
	memcpy(message, &r->id, sizeof(r->id));
	if (!ipc_peer_send(b->peer, type, message)) {
		request_fail(b, r, BUS_NOT_SENT);
		return;
	}
	r->end = ipc_peer_queued_total(b->peer);
	request_wait(b, r);
	bus_flush_later(b);
}
STATIC_ASSERT(offsetof(struct ipc_subscribe, request) == 0 && offsetof(struct ipc_history, request) == 0 &&
	offsetof(struct ipc_publish, request) == 0 && offsetof(struct ipc_member_add, request) == 0 &&
	offsetof(struct ipc_members, request) == 0 && offsetof(struct ipc_channels, request) == 0 &&
	offsetof(struct ipc_inspect, request) == 0 && offsetof(struct ipc_top_rooms, request) == 0,
    "bus_ask() writes the id there");

void bus_forget(struct bus *b, struct bus_request *r) {
	request_deregister(b, r);
	list_remove(&r->link);
}

bool bus_tell(struct bus *b, enum ipc_type type, const void *message) {
	if (b->state != BUS_UP)
		return false;
	if (!ipc_peer_send(b->peer, type, message)) {
		bus_cut(b, "the queue to the broker is full");
		return false;
	}
	bus_flush_later(b);
	return true;
}

void bus_report(struct bus *b) {
	struct list failed;

	if (b->state == BUS_BROKEN)
		bus_clear_away(b);
	/* What fails meanwhile is reported in the next turn: a user who asks again at once cannot hold this one up. */
	list_init(&failed);
	list_splice_tail(&failed, &b->failed);
	while (!list_is_empty(&failed)) {
		struct bus_request *r = list_entry(failed.next, struct bus_request, link);
		enum bus_outcome outcome = r->outcome;

		list_remove(&r->link);
		if (outcome == BUS_TIMED_OUT && r->is_kept)
			list_add_tail(&b->overdue, &r->link);
		r->fn(r, outcome, NULL);
	}
}

void bus_flush(struct bus *b) {
	if (b->peer == NULL || b->state == BUS_BROKEN)
		return;
	if (b->is_flush_due)
		ipc_peer_flush(b->peer);
	b->is_flush_due = false;
	stat_set(STAT_link_queue_bytes, ipc_peer_queued_bytes(b->peer));
}
