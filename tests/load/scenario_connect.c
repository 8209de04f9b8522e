/* scenario_connect - a storm of handshakes */
#include "tests/load/load.h"
#include "tests/load/share.h"

/* Of a client here: mark, when its connecting began or was due. */
static uint64_t under_way, settled;

static void on_open(struct clients *all, struct client *c) {
	struct load *l = all->arg;

	l->me->n.messages++;
	histogram_add(&l->me->times[HISTOGRAM_TIMES], all->now - c->mark);
	client_ready(all, c);
	under_way--;
	settled++;
	if (!l->o->keep)
		client_close(c);
}

static void on_gone(struct clients *all, struct client *c) {
	(void)all;
	if (c->was_open)
		return;
	under_way--;
	settled++;
}

static void on_message(struct clients *all, struct client *c, struct slice text) {
	(void)all;
	(void)c;
	(void)text;
}

static void begin(struct load *l) {
	l->clients.on = (struct client_events){ .on_open = on_open, .on_message = on_message, .on_gone = on_gone,
		.counts_retransmits = true };
}

static void run(struct load *l) {
	l->pace = (struct pace){ .began_ns = l->shared->began_ns, .rate = (uint64_t)l->o->rate, .senders = l->process_count, .first = l->at,
		.count = 1 };
}

static uint64_t turn(struct load *l, uint64_t now) {
	struct clients *all = &l->clients;
	uint64_t at_once = share_count((uint64_t)l->o->at_once, l->process_count, l->at), due = 0;

	at_once = at_once > 0 ? at_once : 1;
	while (all->started < all->count && under_way < at_once) {
		struct client *c = &all->client[all->started];

		now = now_ns();
		if (l->o->has_rate && (due = pace_next_ns(&l->pace)) > now)
			return due;
		pace_advance(&l->pace);
		all->started++;
		under_way++;
		c->mark = l->o->has_rate ? due : now;
		client_start(all, c);
	}
	return UINT64_MAX;
}

static bool is_done(struct load *l) {
	return settled == l->clients.count;
}

static void finish(struct load *l) {
	if (under_way > 0)
		cause_add(l->me->causes, "no answer", under_way);
	l->me->n.refused += under_way;
}

const struct scenario scenario_connect = {
	.id = CONNECT_ONLY,
	.name = "connect",
	.path = "/echo",
	.summary = "A storm: connections are made as fast as --at-once allows, or at --rate, and closed (reset) when they are open. Times are "
		   "from the connect to the end of the server's answer, with --rate from when it was due.",
	.connects_in_run = true,
	.defaults = { .connections = 10000, .at_once = 256 },
	.begin = begin,
	.run = run,
	.turn = turn,
	.is_done = is_done,
	.finish = finish,
};
