/* scenario_chat - members of rooms who write, and all the others who read it */
#include "tests/load/chat.h"

static uint32_t next_publisher; /* closed loop: of those here */
static uint64_t under_way;	/* without an answer */

/* Publishers send in turn; those that are gone are passed over. Of a publisher here: mark, how many of his are under way. */
static void publish_next(struct load *l) {
	for (uint32_t tries = 0; tries < l->publisher_count; tries++) {
		struct client *c = load_publisher(l, next_publisher++ % l->publisher_count);

		if (c->state != CLIENT_OPEN || !c->is_in)
			continue;
		c->mark++;
		under_way++;
		chat_publish(l, c, now_ns());
		return;
	}
}

static void on_delivery(struct load *l, struct client *c, const struct stamp *s, uint64_t sent_ns) {
	uint64_t now = l->clients.now;

	(void)c;
	(void)s;
	if (!load_heard(l, sent_ns))
		return;
	l->me->n.messages++;
	histogram_add(&l->me->times[HISTOGRAM_TIMES], now - sent_ns);
}

static void on_ack(struct load *l, struct client *c, const struct stamp *s, uint64_t sent_ns) {
	uint64_t now = l->clients.now;

	(void)s;
	c->mark--;
	under_way--;
	if (load_measures(l, l->o->has_rate ? sent_ns : now)) {
		l->me->n.publications++;
		histogram_add(&l->me->times[HISTOGRAM_ACK], now - sent_ns);
	}
	if (!l->o->has_rate && load_goes_on(l, now))
		publish_next(l);
}

static void on_gone(struct clients *all, struct client *c) {
	(void)all;
	if (!c->is_publisher)
		return;
	under_way -= c->mark;
	c->mark = 0;
}

static void begin(struct load *l) {
	chat_begin(l, (struct chat_events){ .on_delivery = on_delivery, .on_ack = on_ack });
	l->clients.on.on_gone = on_gone;
}

static void run(struct load *l) {
	l->pace = load_pace(l);
	for (uint32_t i = 0; i < l->under_way; i++)
		publish_next(l);
}

static void publish(struct load *l, struct client *c, uint64_t due_ns) {
	c->mark++;
	under_way++;
	chat_publish(l, c, due_ns);
}

static uint64_t turn(struct load *l, uint64_t now) {
	return l->o->has_rate ? load_publish_due(l, now, publish) : UINT64_MAX;
}

static bool has_all(struct load *l) {
	return under_way == 0 && chat_lacking(l) == 0;
}

static void finish(struct load *l) {
	l->me->n.unanswered = under_way;
	l->me->n.missing += chat_lacking(l);
	chat_fini(l);
}

const struct scenario scenario_chat = {
	.id = CHAT,
	.name = "chat",
	.path = "/ws",
	.summary = "Herold's chat: all log in and are in one of --rooms, some publish, everybody in the room gets it. Deliveries are counted and timed, "
		   "and acknowledgements; offsets tell whether a message is missing. Without --rate, a message that is acknowledged lets the "
		   "next publisher send.",
	.defaults = { .connections = 1000, .bytes = 128, .publishers = 16, .under_way = 16, .at_once = 256, .rooms = 1 },
	.check = chat_check,
	.begin = begin,
	.run = run,
	.turn = turn,
	.has_all = has_all,
	.finish = finish,
};
