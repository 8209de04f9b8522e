/* scenario_echo - every connection sends, and gets it back */
#include "tests/load/load.h"

/* Of a client here: mark, when the message was sent that comes back next (closed loop), or which of all it is (open loop); position,
 * how many are under way. */
static uint64_t under_way;

static void on_open(struct clients *all, struct client *c) {
	client_ready(all, c);
}

static void send_one(struct clients *all, struct client *c) {
	c->position++;
	under_way++;
	client_send(all, c, NULL);
}

static void on_message(struct clients *all, struct client *c, struct slice text) {
	struct load *l = all->arg;
	bool is_open_loop = l->o->has_rate;
	uint64_t sent = is_open_loop ? pace_due_ns(&l->pace, c->mark) : c->mark;

	(void)text;
	if (c->position == 0) {
		client_fail(all, c, "other bytes", "a message that nobody sent");
		return;
	}
	c->position--;
	under_way--;
	if (load_heard(l, sent)) {
		l->me->n.messages++;
		histogram_add(&l->me->times[HISTOGRAM_TIMES], all->now - sent);
	}
	if (is_open_loop) {
		c->mark += l->pace.senders;
	} else if (load_goes_on(l, all->now)) {
		c->mark = now_ns();
		send_one(all, c);
	}
}

static void on_gone(struct clients *all, struct client *c) {
	(void)all;
	under_way -= c->position;
	c->position = 0;
}

static void begin(struct load *l) {
	l->clients.on = (struct client_events){ .on_open = on_open, .on_message = on_message, .on_gone = on_gone, .compares = true };
	clients_set_message(&l->clients, (size_t)l->o->bytes, l->o->binary);
}

static void run(struct load *l) {
	struct clients *all = &l->clients;

	l->pace = (struct pace){ .began_ns = l->shared->began_ns, .rate = (uint64_t)l->o->rate, .senders = (uint64_t)l->o->connections,
		.first = all->first, .count = all->count };
	for (uint32_t i = 0; i < all->count; i++) {
		struct client *c = &all->client[i];

		c->mark = l->o->has_rate ? client_number(all, c) : now_ns();
		if (!l->o->has_rate && c->state == CLIENT_OPEN)
			send_one(all, c);
	}
}

static uint64_t turn(struct load *l, uint64_t now) {
	struct clients *all = &l->clients;
	uint64_t due;

	if (!l->o->has_rate)
		return UINT64_MAX;
	for (; (due = pace_next_ns(&l->pace)) <= now && load_goes_on(l, due); now = now_ns()) {
		struct client *c = &all->client[l->pace.at];

		pace_advance(&l->pace);
		if (load_measures(l, due))
			histogram_add(&l->me->times[HISTOGRAM_LATE], now - due);
		if (c->state == CLIENT_OPEN)
			send_one(all, c);
		else
			l->me->n.unsent++;
	}
	return due;
}

static bool has_all(struct load *l) {
	(void)l;
	return under_way == 0;
}

static void finish(struct load *l) {
	l->me->n.missing += under_way;
}

const struct scenario scenario_echo = {
	.id = ECHO,
	.name = "echo",
	.path = "/echo",
	.summary = "Every connection sends a message and waits until it is back, again and again; with --rate the connections take turns. "
		   "Every byte that comes back is compared.",
	.defaults = { .connections = 64, .bytes = 64, .at_once = 256 },
	.begin = begin,
	.run = run,
	.turn = turn,
	.has_all = has_all,
	.finish = finish,
};
