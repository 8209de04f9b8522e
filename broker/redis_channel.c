/* redis_channel - one channel as this host hears it: from pub/sub, streams and snapshots to one order */
#include "broker/redis_channel.h"

#include "common/base/mem.h"
#include "common/svc/stats.h"

/* A payload that waits; owned by the list of a lane. The slices of p point into bytes. */
struct held {
	struct list in_lane;
	struct redis_payload p;
	uint32_t fills;	/* asked before it was heard */
	size_t size;
	uint8_t bytes[];
};

/* --- positions --- */

bool redis_position_set(struct redis_position *p, struct slice epoch, uint64_t number) {
	if (epoch.len > EPOCH_TEXT_MAX)
		return false;
	memset(p->epoch, 0, sizeof(p->epoch));
	if (epoch.len > 0)
		memcpy(p->epoch, epoch.ptr, epoch.len);
	p->number = number;
	return true;
}

static bool is_same_epoch(const struct redis_position *a, const struct redis_position *b) {
	return strcmp(a->epoch, b->epoch) == 0;
}

static bool is_of_lane(const struct redis_lane *l, const struct redis_payload *p) {
	return slice_eq(p->epoch, slice_text(l->at.epoch));
}

static uint64_t earlier(uint64_t a, uint64_t b) {
	return a < b ? a : b;
}

/* --- what waits --- */

static uint8_t *keep(uint8_t *at, struct slice *s) {
	if (s->len > 0)
		memcpy(at, s->ptr, s->len);
	s->ptr = at;
	return at + s->len;
}

static struct held *held_new(struct redis_channel *ch, const struct redis_payload *p) {
	size_t size = sizeof(struct held) + p->epoch.len + p->member.len + p->data.len;
	struct held *h = mem_alloc(size);

	list_init(&h->in_lane);
	h->p = *p;
	h->fills = ch->fills_asked;
	h->size = size;
	keep(keep(keep(h->bytes, &h->p.epoch), &h->p.member), &h->p.data);
	ch->held_bytes += size;
	ch->hold->bytes += size;
	return h;
}

static void held_free(struct redis_channel *ch, struct held *h) {
	list_remove(&h->in_lane);
	ch->held_bytes -= h->size;
	ch->hold->bytes -= h->size;
	mem_free(h);
}

static struct held *first_held(const struct redis_lane *l) {
	return list_is_empty(&l->held) ? NULL : list_entry(l->held.next, struct held, in_lane);
}

static void drop_list(struct redis_channel *ch, struct list *from) {
	while (!list_is_empty(from))
		held_free(ch, list_entry(from->next, struct held, in_lane));
}

static void drop_all(struct redis_channel *ch) {
	for (int i = 0; i < REDIS_LANES; i++) {
		drop_list(ch, &ch->lane[i].held);
		drop_list(ch, &ch->lane[i].strange);
		ch->lane[i].covered = 0;
	}
}

/* Takes h: in its place, looked for from `before` (a node of the list or its head) towards the front. Returns that place; h is
 * freed when its number is there already. */
static struct list *held_insert(struct redis_channel *ch, struct redis_lane *l, struct list *before, struct held *h) {
	struct list *it = before->prev;

	while (it != &l->held && list_entry(it, struct held, in_lane)->p.offset > h->p.offset)
		it = it->prev;
	if (it != &l->held && list_entry(it, struct held, in_lane)->p.offset == h->p.offset) {
		held_free(ch, h);
		return it;
	}
	list_add_head(it, &h->in_lane);
	return &h->in_lane;
}

/* --- handing up --- */

static void hand_up(struct redis_channel *ch, struct redis_lane *l, const struct redis_payload *p) {
	const struct redis_channel_ops *ops = ch->hold->ops;
	struct redis_payload out = *p;

	if (p->offset > l->at.number + 1)
		stat_add(STAT_redis_gaps_lost, 1);
	l->at.number = p->offset;
	out.epoch = slice_text(l->at.epoch);
	if (p->type == REDIS_PUBLICATION) {
		l->time_ms = p->time_ms;
		ops->publication(ch->hold->arg, ch, &out);
	} else if (p->type == REDIS_JOINED) {
		ops->joined(ch->hold->arg, ch, &out);
	} else {
		ops->left(ch->hold->arg, ch, &out);
	}
}

static struct redis_fence *first_fence(const struct redis_channel *ch) {
	return list_is_empty(&ch->fences) ? NULL : list_entry(ch->fences.next, struct redis_fence, in_channel);
}

/* How far the first fence lets a lane go. False: nowhere. */
static bool lane_limit(const struct redis_channel *ch, int i, uint64_t *limit) {
	const struct redis_fence *f = first_fence(ch);

	*limit = f == NULL ? UINT64_MAX : f->top[i].number;
	return ch->is_known && (f == NULL || (f->is_answered && is_same_epoch(&ch->lane[i].at, &f->top[i])));
}

/* One step: the next one that waits, or over what will not come any more. */
static bool lane_step(struct redis_channel *ch, struct redis_lane *l, uint64_t limit) {
	bool may_skip = l->covered > l->at.number && ch->hold->now_ms >= l->skip_ms;
	uint64_t given_up = may_skip ? l->covered : l->at.number;
	struct held *h = first_held(l);

	if (h != NULL && h->p.offset <= limit && (h->p.offset <= given_up || h->p.offset <= l->at.number + 1)) {
		if (h->p.offset > l->at.number)
			hand_up(ch, l, &h->p);
		held_free(ch, h);
		return true;
	}
	given_up = earlier(given_up, limit);
	if (given_up <= l->at.number)
		return false;
	stat_add(STAT_redis_gaps_lost, 1);
	l->at.number = given_up;
	return true;
}

static void lane_pump(struct redis_channel *ch, int i) {
	uint64_t limit;

	if (!lane_limit(ch, i, &limit))
		return;
	while (lane_step(ch, &ch->lane[i], limit))
		continue;
}

/* A lane of another epoch than the snapshot's has left that epoch again when a fill that was asked behind the snapshot says so. */
static bool is_reached(const struct redis_channel *ch, const struct redis_fence *f) {
	if (!ch->is_known)
		return false;
	for (int i = 0; i < REDIS_LANES; i++) {
		const struct redis_lane *l = &ch->lane[i];

		if (is_same_epoch(&l->at, &f->top[i]) ? l->at.number < f->top[i].number : ch->fills_answered <= f->fills)
			return false;
	}
	return true;
}

static void pump(struct redis_channel *ch) {
	struct redis_fence *f;

	for (;;) {
		for (int i = 0; i < REDIS_LANES; i++)
			lane_pump(ch, i);
		f = first_fence(ch);
		if (f == NULL || !f->is_answered || !is_reached(ch, f))
			return;
		list_remove(&f->in_channel);
		ch->hold->ops->released(ch->hold->arg, f);
	}
}

/* --- epochs --- */

/* What was heard of the lane's own epoch among the strange ones takes its place. */
static void adopt(struct redis_channel *ch, struct redis_lane *l) {
	list_for_each_safe(it, &l->strange) {
		struct held *h = list_entry(it, struct held, in_lane);

		if (!is_of_lane(l, &h->p))
			continue;
		list_remove(&h->in_lane);
		if (h->p.offset > l->at.number)
			held_insert(ch, l, &l->held, h);
		else
			held_free(ch, h);
	}
}

/* Heard before the fill that has just been answered was asked, and of no epoch that the fill knows: of one that is over. */
static void drop_over(struct redis_channel *ch, struct redis_lane *l) {
	list_for_each_safe(it, &l->strange) {
		struct held *h = list_entry(it, struct held, in_lane);

		if (h->fills < ch->fills_asked && !is_of_lane(l, &h->p))
			held_free(ch, h);
	}
}

static void go_over(struct redis_channel *ch, struct redis_lane *l, const struct redis_position *to) {
	if (l == &ch->lane[REDIS_LANE_PUBLICATIONS]) {
		if (l->at.epoch[0] != '\0')
			memcpy(ch->old_epoch, l->at.epoch, sizeof(ch->old_epoch));
		ch->news_from = to->number;
	}
	l->had_epoch = l->had_epoch || l->at.epoch[0] != '\0';
	l->at = *to;
	l->covered = l->want = 0;
	l->is_asked = false;
	list_splice_tail(&l->strange, &l->held);
	adopt(ch, l);
}

/* Where a new epoch begins for us: before the first news of it, be they in the stream, heard, or behind a snapshot. */
static struct redis_position start_of(const struct redis_channel *ch, enum redis_lane_kind kind, const struct redis_position *top,
    uint64_t first_filled) {
	struct redis_position start = *top;

	start.number = earlier(start.number, first_filled - 1);
	list_for_each(it, &ch->lane[kind].strange) {
		const struct held *h = list_entry(it, const struct held, in_lane);

		if (slice_eq(h->p.epoch, slice_text(top->epoch)))
			start.number = earlier(start.number, h->p.offset - 1);
	}
	list_for_each(it, &ch->fences) {
		const struct redis_fence *f = list_entry(it, const struct redis_fence, in_channel);

		if (f->is_answered && is_same_epoch(&f->top[kind], top))
			start.number = earlier(start.number, f->top[kind].number);
	}
	return start;
}

/* --- pub/sub --- */

/* Of a channel that was not there. If it had been there before, what comes may be of that time. */
static bool is_first_ever(const struct redis_lane *l, const struct redis_payload *p) {
	return l->at.epoch[0] == '\0' && !l->had_epoch && p->offset == 1 && list_is_empty(&l->strange);
}

static bool has_room(const struct redis_channel *ch, const struct redis_payload *p) {
	size_t bytes = sizeof(struct held) + p->epoch.len + p->member.len + p->data.len;

	return ch->held_bytes + bytes <= ch->hold->channel_bytes_max && ch->hold->bytes + bytes <= ch->hold->bytes_max;
}

static void hold_payload(struct redis_channel *ch, struct redis_lane *l, const struct redis_payload *p) {
	if (!has_room(ch, p)) {
		drop_all(ch);
		ch->stale_ms = ch->hold->now_ms;
	} else if (ch->is_known && is_of_lane(l, p)) {
		held_insert(ch, l, &l->held, held_new(ch, p));
	} else {
		list_add_tail(&l->strange, &held_new(ch, p)->in_lane);
	}
}

void redis_channel_heard(struct redis_channel *ch, const struct redis_payload *p) {
	struct redis_lane *l = &ch->lane[p->type == REDIS_PUBLICATION ? REDIS_LANE_PUBLICATIONS : REDIS_LANE_WHO];
	struct redis_position start;

	if (p->offset == 0 || p->epoch.len == 0 || !redis_position_set(&start, p->epoch, 0))
		return;
	/* Nobody has a snapshot behind which it would come. */
	if (!ch->is_known && first_fence(ch) == NULL)
		return;
	if (ch->is_known && is_first_ever(l, p))
		go_over(ch, l, &start);
	if (ch->is_known && is_of_lane(l, p)) {
		if (p->offset <= l->at.number)
			return;
		if (p->offset == l->at.number + 1 && first_fence(ch) == NULL && list_is_empty(&l->held)) {
			hand_up(ch, l, p);
			return;
		}
	}
	hold_payload(ch, l, p);
	pump(ch);
}

void redis_channel_confirmed(struct redis_channel *ch) {
	if (ch->is_known || first_fence(ch) != NULL)
		ch->stale_ms = ch->hold->now_ms;
}

/* --- streams --- */

/* Is known to be there; pub/sub has some time for it. */
static void want(struct redis_channel *ch, struct redis_lane *l, uint64_t number, uint64_t late_ms) {
	uint64_t due = ch->hold->now_ms + late_ms;

	if (number <= l->at.number)
		return;
	l->want_ms = l->want > l->at.number ? earlier(l->want_ms, due) : due;
	if (number > l->want)
		l->want = number;
}

static bool is_wanting(const struct redis_lane *l) {
	return l->want > l->at.number && l->covered <= l->at.number && list_is_empty(&l->held);
}

static bool lane_needs_fill(const struct redis_channel *ch, const struct redis_lane *l) {
	const struct held *h = first_held(l);

	if (!list_is_empty(&l->strange))
		return true;
	/* Goes on soon by itself. */
	if (l->covered > l->at.number)
		return false;
	return (h != NULL && h->p.offset > l->at.number + 1) || (is_wanting(l) && ch->hold->now_ms >= l->want_ms);
}

static bool fence_needs_fill(const struct redis_channel *ch, const struct redis_fence *f) {
	for (int i = 0; i < REDIS_LANES; i++) {
		if (!is_same_epoch(&ch->lane[i].at, &f->top[i]) && ch->fills_answered <= f->fills)
			return true;
	}
	return false;
}

bool redis_channel_needs_fill(const struct redis_channel *ch) {
	const struct redis_fence *f = first_fence(ch);

	/* Until the fence is answered nothing goes up anyway. */
	if (!ch->is_known || ch->is_filling || (f != NULL && !f->is_answered))
		return false;
	if (ch->hold->now_ms >= ch->stale_ms || (f != NULL && fence_needs_fill(ch, f)))
		return true;
	for (int i = 0; i < REDIS_LANES; i++) {
		if (lane_needs_fill(ch, &ch->lane[i]))
			return true;
	}
	return false;
}

void redis_channel_fill_begin(struct redis_channel *ch, struct redis_fill *out) {
	BUG_ON(ch->is_filling || !ch->is_known);
	for (int i = 0; i < REDIS_LANES; i++) {
		out->from[i] = ch->lane[i].at;
		ch->lane[i].is_asked = true;
	}
	out->time_ms = ch->lane[REDIS_LANE_PUBLICATIONS].time_ms;
	ch->is_filling = true;
	ch->fills_asked++;
	ch->stale_ms = UINT64_MAX;
}

/* From the last one on, so that each looks for its place only before the one before it. */
static void put_filled(struct redis_channel *ch, struct redis_lane *l, const struct redis_payload *payloads, size_t count) {
	struct list *place = &l->held;
	uint64_t above = UINT64_MAX;
	bool has_news = false;

	for (size_t i = count; i > 0; i--) {
		uint64_t number = payloads[i - 1].offset;

		if (number <= l->at.number || number >= above)
			continue;
		place = held_insert(ch, l, place, held_new(ch, &payloads[i - 1]));
		above = number;
		has_news = true;
	}
	if (has_news)
		stat_add(STAT_redis_gaps_filled, 1);
}

void redis_channel_filled(struct redis_channel *ch, enum redis_lane_kind kind, const struct redis_position *top,
    const struct redis_payload *payloads, size_t count) {
	struct redis_lane *l = &ch->lane[kind];
	bool is_whole = true;

	BUG_ON(!ch->is_filling);
	if (!l->is_asked) {
		/* Has gone over meanwhile to what was heard, which is younger. */
		ch->stale_ms = ch->hold->now_ms;
		return;
	}
	if (!is_same_epoch(&l->at, top)) {
		struct redis_position start;
		uint64_t first;

		/* Heard since it was asked for. */
		while (kind == REDIS_LANE_PUBLICATIONS && count > 0 && payloads->time_ms <= l->time_ms)
			payloads++, count--;
		first = count > 0 ? payloads[0].offset : top->number + 1;
		start = start_of(ch, kind, top, first);
		go_over(ch, l, &start);
		is_whole = start.number + 1 >= first;
	}
	drop_over(ch, l);
	/* Else there may be news before the first: asked for in the new epoch. */
	if (is_whole) {
		put_filled(ch, l, payloads, count);
		l->covered = count > 0 ? payloads[count - 1].offset : top->number;
		l->skip_ms = ch->hold->now_ms + REDIS_LATE_MS;
	}
	want(ch, l, top->number, 0);
}

void redis_channel_fill_end(struct redis_channel *ch) {
	ch->is_filling = false;
	ch->fills_answered = ch->fills_asked;
	pump(ch);
}

void redis_channel_fill_failed(struct redis_channel *ch) {
	ch->is_filling = false;
	ch->stale_ms = ch->hold->now_ms;
}

void redis_channel_tops(struct redis_channel *ch, const struct redis_position top[REDIS_LANES]) {
	if (!ch->is_known)
		return;
	for (int i = 0; i < REDIS_LANES; i++) {
		if (is_same_epoch(&ch->lane[i].at, &top[i]))
			want(ch, &ch->lane[i], top[i].number, REDIS_TOP_LATE_MS);
		else
			ch->stale_ms = earlier(ch->stale_ms, ch->hold->now_ms + REDIS_TOP_LATE_MS);
	}
}

/* --- fences --- */

void redis_fence_init(struct redis_fence *f) {
	memset(f, 0, sizeof(*f));
	list_init(&f->in_channel);
}

void redis_channel_fence(struct redis_channel *ch, struct redis_fence *f) {
	f->is_answered = false;
	list_add_tail(&ch->fences, &f->in_channel);
}

/* The first snapshot is where the channel begins for this host. */
static void begin_at(struct redis_channel *ch, const struct redis_fence *f) {
	ch->is_known = true;
	for (int i = 0; i < REDIS_LANES; i++) {
		ch->lane[i].at = f->top[i];
		ch->lane[i].time_ms = ch->hold->wall_ms;
		adopt(ch, &ch->lane[i]);
	}
}

void redis_channel_fence_answered(struct redis_channel *ch, struct redis_fence *f) {
	f->is_answered = true;
	f->fills = ch->fills_asked;
	if (!ch->is_known)
		begin_at(ch, f);
	for (int i = 0; i < REDIS_LANES; i++) {
		if (is_same_epoch(&ch->lane[i].at, &f->top[i]))
			want(ch, &ch->lane[i], f->top[i].number, REDIS_LATE_MS);
	}
	pump(ch);
}

void redis_channel_fence_lost(struct redis_channel *ch, struct redis_fence *f) {
	list_remove(&f->in_channel);
	if (!ch->is_known && first_fence(ch) == NULL)
		drop_all(ch);
	pump(ch);
}

/* --- life --- */

void redis_channel_tick(struct redis_channel *ch) {
	pump(ch);
}

uint64_t redis_channel_due_ms(const struct redis_channel *ch) {
	uint64_t due = ch->is_filling ? UINT64_MAX : ch->stale_ms;

	for (int i = 0; i < REDIS_LANES; i++) {
		const struct redis_lane *l = &ch->lane[i];

		if (l->covered > l->at.number)
			due = earlier(due, l->skip_ms);
		else if (is_wanting(l) && !ch->is_filling)
			due = earlier(due, l->want_ms);
	}
	return due;
}

void redis_channel_init(struct redis_channel *ch, struct redis_hold *hold) {
	memset(ch, 0, sizeof(*ch));
	ch->hold = hold;
	ch->stale_ms = UINT64_MAX;
	list_init(&ch->fences);
	for (int i = 0; i < REDIS_LANES; i++) {
		list_init(&ch->lane[i].held);
		list_init(&ch->lane[i].strange);
	}
}

void redis_channel_fini(struct redis_channel *ch) {
	BUG_ON(first_fence(ch) != NULL);
	drop_all(ch);
}
