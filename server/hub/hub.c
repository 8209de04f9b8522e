/* hub - this process's channels, put together: what the broker says, what a turn's end does */
#include "server/hub/hub.h"

#define LOG_AREA LOG_AREA_link
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/trace.h"
#include "server/hub/request.h"

/* How long handing out may wait for the broker. */
enum { HOLD_MS = 1 };

/* --- what the broker says --- */

void hub_bad_message(struct hub *h, const char *why) {
	stat_add(STAT_link_bad_messages, 1);
	bus_cut(h->bus, why);
}

void hub_take_publication(struct hub *h, struct channel *ch, const struct ipc_publication *p) {
	ch->offset = p->offset;
	if (recent_is_repeated(&h->recent, channel_name(ch), channel_epoch(ch), p->key, evloop_now_ms(h->loop)))
		stat_add(STAT_deliveries_duplicate, 1);
	else
		delivery_publication(&h->delivery, ch, p);
}

/* Negative, when the clock was set or is another machine's, is nothing. */
static void note_latency(const struct hub *h, uint64_t sent_us) {
	uint64_t now = evloop_wall_us(h->loop);

	stat_observe(STAT_delivery_latency, now > sent_us ? now - sent_us : 0);
}

static void hub_on_deliver(struct hub *h, const struct ipc_deliver *m) {
	struct channel *ch = channels_find(&h->channels, m->channel);
	struct ipc_publication p = { .offset = m->offset, .time_ms = m->time_ms, .kind = m->kind, .data = m->data,
		.data_in = m->data_in };

	stat_add(STAT_deliveries, 1);
	/* Before the snapshot of a channel, everything that comes is in it or older. */
	if (ch == NULL || ch->state != CHANNEL_LIVE)
		return;
	if (slice_eq(channel_epoch(ch), m->epoch)) {
		if (m->offset <= ch->offset) {
			stat_add(STAT_deliveries_duplicate, 1);
			return;
		}
		if (m->offset == ch->offset + 1) {
			note_latency(h, m->sent_us);
			memcpy(p.key, m->key, sizeof(p.key));
			hub_take_publication(h, ch, &p);
			return;
		}
	}
	resync_channel(h, ch);
}

static void hub_on_member(struct hub *h, const struct hub_member_event *event) {
	struct channel *ch = channels_find(&h->channels, event->channel);

	if (ch != NULL)
		delivery_member_event(&h->delivery, ch, event);
}

static void hub_on_engine(struct hub *h, const struct ipc_engine_state *m) {
	size_t size = ipc_size(IPC_engine_state, m);
	uint8_t *bytes;

	buf_reset(&h->engine);
	bytes = buf_reserve(&h->engine, size);
	if (bytes == NULL)
		return;
	ipc_write(IPC_engine_state, m, bytes);
	h->engine.len = size;
}

struct hub_engine hub_engine(const struct hub *h) {
	struct slice body = slice_skip(buf_slice(&h->engine), IPC_HEADER_BYTES);
	union ipc_any m;

	if (h->engine.len == 0 || !ipc_decode(IPC_engine_state, body, NULL, &m))
		return (struct hub_engine){ .name = SLICE_EMPTY };
	return (struct hub_engine){ m.engine_state.engine, m.engine_state.trouble, m.engine_state.nodes };
}

static void hub_take_question(struct hub *h, const struct ipc_inspect *m) {
	if (h->on_inspect != NULL)
		h->on_inspect(m, h->on_inspect_arg);
	else
		hub_bad_message(h, "a question that is for workers");
}

void hub_on_inspect(struct hub *h, hub_inspect_fn fn, void *arg) {
	h->on_inspect = fn;
	h->on_inspect_arg = arg;
}

void hub_answer_inspect(struct hub *h, uint32_t link, const struct ipc_inspected *answer) {
	if (link != 0 && link == bus_link(h->bus))
		bus_tell(h->bus, IPC_inspected, answer);
}

static void hub_on_message(enum ipc_type type, const union ipc_any *m, void *arg) {
	struct hub *h = arg;

	if (type == IPC_inspect) {
		hub_take_question(h, &m->inspect);
		return;
	}
	h->has_heard = true;
	if (type == IPC_deliver) {
		hub_on_deliver(h, &m->deliver);
	} else if (type == IPC_joined) {
		hub_on_member(h, &(struct hub_member_event){ .channel = m->joined.channel, .member = m->joined.member,
		    .info = m->joined.info, .member_count = m->joined.member_count, .is_join = true });
	} else if (type == IPC_engine_state) {
		hub_on_engine(h, &m->engine_state);
	} else {
		hub_on_member(h, &(struct hub_member_event){ .channel = m->left.channel, .member = m->left.member,
		    .info = m->left.info, .member_count = m->left.member_count });
	}
}

static void hub_on_up(void *arg) {
	struct hub *h = arg;

	trace_event(broker_up, 0, bus_link(h->bus), 0);
	log_line(LOG_INFO, "linked to the broker", LF_U("link", bus_link(h->bus)));
	resync_on_up(h);
}

static void hub_on_down(const char *why, void *arg) {
	struct hub *h = arg;

	trace_event(broker_down, 0, bus_link(h->bus), 0);
	log_line(LOG_WARN, "the link to the broker is lost", LF_TEXT("why", why), LF_U("unanswered", h->pending),
	    LF_U("channels", h->channels.table.count));
	buf_reset(&h->engine);
	resync_on_down(h);
}

static const struct bus_ops hub_bus_ops = {
	.on_up = hub_on_up,
	.on_down = hub_on_down,
	.on_message = hub_on_message,
};

/* Nobody has been on the channel for a while. */
static void hub_on_drop(struct channel *ch, void *arg) {
	struct hub *h = arg;
	struct ipc_unsubscribe m = { .channel = channel_name(ch) };

	delivery_discard(ch);
	if (ch->said_on != 0 && ch->said_on == bus_link(h->bus))
		bus_tell(h->bus, IPC_unsubscribe, &m);
}

/* Ends the wait for the next turn. */
static void hub_on_hold_timer(void *arg) {
	struct hub *h = arg;

	h->has_heard = true;
}

/* --- public --- */

struct hub *hub_new(struct evloop *loop, const struct hub_settings *settings, const struct hub_form *forms,
    size_t form_count) {
	struct hub *h = mem_zalloc(sizeof(*h));
	struct bus_settings bus = {
		.broker = settings->broker,
		.role = settings->role == HUB_ADMIN ? PROCESS_ADMIN : PROCESS_WORKER,
		.slot = settings->slot,
		.queue_bytes = settings->link_queue_bytes,
		.message_bytes = settings->link_message_bytes,
		.timeout_ms = settings->broker_timeout_ms,
	};

	h->loop = loop;
	h->settings = *settings;
	list_init(&h->members);
	list_init(&h->answerable);
	list_init(&h->orphans);
	buf_init(&h->engine, SIZE_MAX);
	channels_init(&h->channels, loop, settings->linger_ms, hub_on_drop, h);
	delivery_init(&h->delivery, loop, forms, form_count, settings->link_message_bytes,
	    &settings->deflate);
	recent_init(&h->recent);
	resync_init(h);
	reads_init(&h->reads);
	evloop_timer_init(loop, &h->hold_timer, hub_on_hold_timer, h);
	h->bus = bus_new(loop, &bus, &hub_bus_ops, h);
	return h;
}

void hub_free(struct hub **hp) {
	struct hub *h = *hp;

	if (h == NULL)
		return;
	*hp = NULL;
	bus_free(&h->bus);
	evloop_timer_stop(&h->hold_timer);
	requests_fini(h);
	resync_fini(h);
	for (struct channel *ch = channels_next(&h->channels, NULL); ch != NULL; ch = channels_next(&h->channels, ch))
		delivery_discard(ch);
	channels_fini(&h->channels);
	delivery_fini(&h->delivery);
	recent_fini(&h->recent);
	buf_fini(&h->engine);
	mem_free(h);
}

/*
 * What is published here comes back from the broker in microseconds, and handing out to thousands takes milliseconds. So what is
 * gathered waits for it, once: otherwise two crowds of messages go round in turns, and everybody is sent to twice.
 */
static bool hub_holds(struct hub *h) {
	bool was_holding = h->is_holding;

	if (was_holding)
		h->is_holding = !h->has_heard;
	else
		h->is_holding = h->is_publishing && delivery_has_gathered(&h->delivery);
	if (h->is_holding && !was_holding)
		evloop_timer_start(&h->hold_timer, HOLD_MS);
	else if (!h->is_holding && was_holding)
		evloop_timer_stop(&h->hold_timer);
	h->is_publishing = h->has_heard = false;
	return h->is_holding;
}

void hub_turn_end(struct hub *h) {
	bus_report(h->bus);
	requests_turn_end(h);
	resync_turn_end(h);
	reads_turn_end(h);
	if (!hub_holds(h))
		delivery_turn_end(&h->delivery);
	bus_flush(h->bus);
	if (resync_is_hurried(h))
		evloop_do_not_wait(h->loop);
}

bool hub_is_linked(const struct hub *h) {
	return hub_link(h) != 0;
}

uint32_t hub_link(const struct hub *h) {
	return bus_link(h->bus);
}

size_t hub_pending(const struct hub *h) {
	return h->pending;
}
