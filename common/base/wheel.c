/* wheel - deadlines in slots of ticks */
#include "common/base/wheel.h"

/* The first tick that is not before `ms`; tick 1 is start_ms. */
static uint32_t tick_at_or_after(const struct wheel *w, uint64_t ms) {
	uint64_t ticks;

	if (ms <= w->start_ms)
		return 1;
	ticks = (ms - w->start_ms - 1) / WHEEL_TICK_MS + 2;
	return ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

void wheel_init(struct wheel *w, uint64_t now_ms) {
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w->slot[i]);
	w->start_ms = now_ms;
	w->now = 1;
}

void deadline_init(struct deadline *d) {
	list_init(&d->link);
	d->tick = 0;
}

static void link_in(struct wheel *w, struct deadline *d) {
	list_add_tail(&w->slot[d->tick % WHEEL_SLOTS], &d->link);
}

/*
 * The promise that makes this work: the slot a deadline is linked in is visited at its tick or before. Postponing keeps the
 * promise, so it need not move; the visit finds it not due yet and links it where it belongs.
 */
void deadline_set(struct wheel *w, struct deadline *d, uint64_t at_ms) {
	uint32_t tick = tick_at_or_after(w, at_ms);
	bool stays;

	if (tick <= w->now)
		tick = w->now + 1;
	stays = deadline_is_set(d) && tick >= d->tick;
	d->tick = tick;
	if (stays)
		return;
	list_remove(&d->link);
	link_in(w, d);
}

void deadline_clear(struct deadline *d) {
	list_remove(&d->link);
	d->tick = 0;
}

static void visit(struct wheel *w, wheel_fn fn, void *arg) {
	struct list met;

	list_init(&met);
	list_splice_tail(&met, &w->slot[w->now % WHEEL_SLOTS]);
	while (!list_is_empty(&met)) {
		struct deadline *d = list_entry(met.next, struct deadline, link);

		list_remove(&d->link);
		if (d->tick > w->now) {
			link_in(w, d);
			continue;
		}
		d->tick = 0;
		fn(d, arg);
	}
}

void wheel_run(struct wheel *w, uint64_t now_ms, wheel_fn fn, void *arg) {
	uint64_t ticks = now_ms > w->start_ms ? (now_ms - w->start_ms) / WHEEL_TICK_MS + 1 : 1;
	uint32_t until = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX - 1;

	/* After a long pause one turn of the wheel meets everything. */
	if (until > w->now && until - w->now > WHEEL_SLOTS)
		w->now = until - WHEEL_SLOTS;
	while (w->now < until) {
		w->now++;
		visit(w, fn, arg);
	}
}
