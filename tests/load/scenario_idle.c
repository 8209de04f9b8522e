/* scenario_idle - many connections that have nothing to say */
#include "tests/load/chat.h"

static void on_open(struct clients *all, struct client *c) {
	const struct load *l = all->arg;

	if (l->o->bytes > 0)
		client_send(all, c, NULL);
	else
		client_ready(all, c);
}

static void on_message(struct clients *all, struct client *c, struct slice text) {
	(void)text;
	client_ready(all, c);
}

static bool check(const struct options *o, struct errbuf *err) {
	return !o->chat || chat_check(o, err);
}

static void begin(struct load *l) {
	if (l->o->chat) {
		chat_begin(l, (struct chat_events){ 0 });
		return;
	}
	l->clients.on = (struct client_events){ .on_open = on_open, .on_message = on_message, .compares = true };
	clients_set_message(&l->clients, (size_t)l->o->bytes, l->o->binary);
}

static void finish(struct load *l) {
	if (l->o->chat)
		chat_fini(l);
}

const struct scenario scenario_idle = {
	.id = IDLE,
	.name = "idle",
	.path = "/echo",
	.summary = "Every connection echoes one message (--chat: logs in to a room), then answers pings and does nothing. \"ready\" is printed when "
		   "all have, and at the end how many were lost.",
	.defaults = { .connections = 10000, .bytes = 102400, .at_once = 32, .rooms = 1 },
	.check = check,
	.begin = begin,
	.finish = finish,
};
