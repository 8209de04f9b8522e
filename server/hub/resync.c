/*
 * resync - positions after a link loss or a gap
 *
 * When the link has come up: identities first, so that nobody else can claim them; then each channel is subscribed
 * again with its position, RESYNC_WINDOW questions at a time; then the memberships; then `synced`. The list of members
 * is walked with a node of our own in it, so members may come and go meanwhile; said_on tells what this link has heard
 * already.
 */

#define LOG_AREA LOG_AREA_link
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "server/hub/hub_parts.h"

enum {
	RESYNC_WINDOW = 64,
	RESYNC_RETRY_MS = 500,	/* after a question that the broker could not answer */
};

struct resync_question {
	struct bus_request bus;
	struct list link;
	struct hub *hub;
	/* The channel may be gone when the answer comes: it is found by name. */
	char *name;
	size_t name_len;
};

/* --- one channel --- */

void resync_channel(struct hub *h, struct channel *ch) {
	ch->state = CHANNEL_BEHIND;
	if (!list_is_linked(&ch->behind) && !ch->is_asked)
		list_add_tail(&h->resync.behind, &ch->behind);
	evloop_do_not_wait(h->loop);
}

/* All that was missed has come: as if it came now. */
static void resync_fill(struct hub *h, struct channel *ch, const struct ipc_snapshot *s) {
	struct slice rest = s->publications;
	struct ipc_publication p;
	bool was_behind = ch->offset != s->offset;

	while (ipc_next_publication(&rest, &p)) {
		if (p.offset > ch->offset)
			hub_take_publication(h, ch, &p);
	}
	if (rest.len > 0) {
		resync_channel(h, ch);
		hub_bad_message(h, "publications of a snapshot that cannot be read");
		return;
	}
	ch->offset = s->offset;
	ch->state = CHANNEL_LIVE;
	if (was_behind) {
		h->resync.filled++;
		stat_add(STAT_link_gaps_filled, 1);
	}
}

/* History does not reach back. In a new epoch everything is news: what the broker says is, or, when it does not know, what is there
 * from its start, which is asked for. */
static void resync_jump(struct hub *h, struct channel *ch, const struct ipc_snapshot *s) {
	struct slice rest = s->publications;
	struct ipc_publication first;
	bool has_news = ipc_next_publication(&rest, &first) && first.offset > 0;
	bool is_known = has_news || (s->flags & IPC_SNAPSHOT_NEWS) != 0;
	bool is_from_start = !is_known && s->offset > 0 && !slice_eq(channel_epoch(ch), s->epoch);

	if (!channel_set_position(ch, s->epoch, has_news ? first.offset - 1 : is_from_start ? 0 : s->offset)) {
		resync_channel(h, ch);
		hub_bad_message(h, "a snapshot with an epoch that is none");
		return;
	}
	h->resync.lost++;
	stat_add(STAT_link_gaps_lost, 1);
	delivery_reset(&h->delivery, ch);
	if (has_news)
		resync_fill(h, ch, s);
	else if (is_from_start)
		resync_channel(h, ch);
	else
		ch->state = CHANNEL_LIVE;
}

static void resync_on_retry(void *arg) {
	struct hub *h = arg;

	/* The end of this turn asks. */
	list_splice_tail(&h->resync.behind, &h->resync.later);
}

static void resync_retry_later(struct hub *h, struct channel *ch) {
	if (list_is_linked(&ch->behind))
		return;
	if (list_is_empty(&h->resync.later))
		evloop_timer_start(&h->resync.retry, RESYNC_RETRY_MS);
	list_add_tail(&h->resync.later, &ch->behind);
}

static void resync_question_free(struct resync_question *q) {
	list_remove(&q->link);
	mem_free(q->name);
	mem_free(q);
}

static void resync_on_answer(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct resync_question *q = container_of(b, struct resync_question, bus);
	struct hub *h = q->hub;
	struct channel *ch = channels_find(&h->channels, slice_of(q->name, q->name_len));
	const struct ipc_snapshot *s;

	resync_question_free(q);
	h->resync.question_count--;
	if (ch == NULL || !ch->is_asked)
		return;
	ch->is_asked = false;
	if (ch->state != CHANNEL_BEHIND)
		return;
	if (outcome != BUS_ANSWERED || (answer->snapshot.flags & IPC_SNAPSHOT_UNAVAILABLE) != 0) {
		resync_retry_later(h, ch);
		return;
	}
	s = &answer->snapshot;
	if ((s->flags & IPC_SNAPSHOT_RECOVERED) != 0 && slice_eq(channel_epoch(ch), s->epoch))
		resync_fill(h, ch, s);
	else
		resync_jump(h, ch, s);
}

static void resync_ask(struct hub *h, struct channel *ch) {
	struct resync_question *q = mem_zalloc(sizeof(*q));
	struct ipc_subscribe m = {
		.channel = channel_name(ch),
		.flags = IPC_WANT_DELIVER | IPC_SINCE,
		.epoch = channel_epoch(ch),
		.offset = ch->offset,
		.limit = UINT32_MAX,
	};

	list_remove(&ch->behind);
	ch->is_asked = true;
	ch->said_on = bus_link(h->bus);
	q->hub = h;
	q->name = mem_dup(ch->name, ch->name_len);
	q->name_len = ch->name_len;
	list_add_tail(&h->resync.questions, &q->link);
	h->resync.question_count++;
	h->resync.channels++;
	bus_ask(h->bus, &q->bus, IPC_subscribe, &m, resync_on_answer);
}

void resync_channel_first(struct hub *h, struct channel *ch) {
	if (ch->state == CHANNEL_BEHIND && !ch->is_asked && bus_link(h->bus) != 0)
		resync_ask(h, ch);
}

/* --- the whole link --- */

void resync_on_up(struct hub *h) {
	struct resync *r = &h->resync;

	r->channels = r->filled = r->lost = 0;
	list_splice_tail(&r->behind, &r->later);
	list_remove(&r->cursor);
	list_add_head(&h->members, &r->cursor);
	r->phase = RESYNC_IDENTITIES;
}

void resync_on_down(struct hub *h) {
	struct resync *r = &h->resync;

	r->phase = RESYNC_IDLE;
	list_remove(&r->cursor);
	for (struct channel *ch = channels_next(&h->channels, NULL); ch != NULL; ch = channels_next(&h->channels, ch)) {
		if (!list_is_empty(&ch->subs)) {
			resync_channel(h, ch);
		} else {
			/* Nobody there has a position to keep; who waits gets no answer. */
			ch->state = CHANNEL_NEW;
			list_remove(&ch->behind);
		}
	}
}

/* Says something of each member; true when it has reached the end. */
static bool resync_walk(struct hub *h, void (*tell)(struct hub *h, struct hub_client *c)) {
	struct list *cursor = &h->resync.cursor;

	while (cursor->next != &h->members) {
		struct hub_client *c = list_entry(cursor->next, struct hub_client, link);

		if (bus_is_busy(h->bus))
			return false;
		tell(h, c);
		list_remove(cursor);
		list_add_head(&c->link, cursor);
	}
	list_remove(cursor);
	return true;
}

static void resync_ask_next(struct hub *h) {
	struct resync *r = &h->resync;

	while (!list_is_empty(&r->behind) && r->question_count < RESYNC_WINDOW && !bus_is_busy(h->bus)) {
		struct channel *ch = list_entry(r->behind.next, struct channel, behind);

		if (channel_is_used(ch)) {
			resync_ask(h, ch);
		} else {
			list_remove(&ch->behind);
			ch->state = CHANNEL_NEW;
		}
	}
}

void resync_turn_end(struct hub *h) {
	struct resync *r = &h->resync;
	struct ipc_synced synced = { 0 };

	if (bus_link(h->bus) == 0)
		return;
	if (r->phase == RESYNC_IDENTITIES && resync_walk(h, client_tell_identity))
		r->phase = RESYNC_CHANNELS;
	if (r->phase != RESYNC_IDENTITIES)
		resync_ask_next(h);
	if (r->phase == RESYNC_CHANNELS && list_is_empty(&r->behind)) {
		list_add_head(&h->members, &r->cursor);
		r->phase = RESYNC_MEMBERS;
	}
	if (r->phase == RESYNC_MEMBERS && resync_walk(h, client_tell_memberships) &&
	    bus_tell(h->bus, IPC_synced, &synced))
		r->phase = RESYNC_ANSWERS;
	if (r->phase == RESYNC_ANSWERS && r->question_count == 0) {
		r->phase = RESYNC_IDLE;
		log_line(LOG_INFO, "in step with the broker", LF_U("link", bus_link(h->bus)),
		    LF_U("channels", r->channels), LF_U("filled", r->filled), LF_U("lost", r->lost));
	}
}

bool resync_is_hurried(const struct hub *h) {
	const struct resync *r = &h->resync;
	bool is_walking = r->phase == RESYNC_IDENTITIES || r->phase == RESYNC_MEMBERS;
	bool is_asking = !list_is_empty(&r->behind) && r->question_count < RESYNC_WINDOW;

	return !bus_is_busy(h->bus) && (is_walking || is_asking);
}

void resync_init(struct hub *h) {
	struct resync *r = &h->resync;

	list_init(&r->behind);
	list_init(&r->later);
	list_init(&r->questions);
	list_init(&r->cursor);
	evloop_timer_init(h->loop, &r->retry, resync_on_retry, h);
}

void resync_fini(struct hub *h) {
	evloop_timer_stop(&h->resync.retry);
	list_for_each_safe(it, &h->resync.questions)
		resync_question_free(list_entry(it, struct resync_question, link));
}
