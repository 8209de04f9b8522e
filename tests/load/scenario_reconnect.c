/* scenario_reconnect - many users are cut off at once and come back, while the others go on */
#include "tests/load/chat.h"
#include "tests/load/share.h"
#include "tests/load/waiting.h"

/* STEP: connections that are cut off, or begun, between two looks at what else is due. */
enum { CUT_AFTER_SECONDS = 5, BACKOFF_MOST_MS = 20000, STEP = 64 };

/* The last clients of each process are cut off. Of such a client: number, how often it has tried to come back. Of a publisher: mark, how many
 * of his messages have no answer. */
static struct {
	uint64_t due_ns; /* of the cut */
	uint32_t next;	 /* client to be cut off */
	uint32_t cut, back;
	struct waiting waiting;
	uint64_t dice, under_way;
} storm;

/* Up to `most`. */
static uint64_t random_up_to(uint64_t most) {
	storm.dice = storm.dice * 6364136223846793005 + 1442695040888963407;
	return (storm.dice >> 33) * most >> 31;
}

/* As herold.js does: a random time, up to twice as much after each failure. A server that said when, is believed. */
static void come_back_later(struct load *l, struct client *c) {
	uint64_t most_ms = (uint64_t)l->o->backoff_ms << (c->number < 16 ? c->number : 16), retry_ms = 1000 * (uint64_t)l->clients.retry_after;
	uint64_t ns = random_up_to((most_ms < BACKOFF_MOST_MS ? most_ms : BACKOFF_MOST_MS) * MILLISECOND_NS);

	if (retry_ms > 0)
		ns = (retry_ms + random_up_to(1000)) * MILLISECOND_NS;
	l->clients.retry_after = 0;
	c->number++;
	waiting_add(&storm.waiting, now_ns() + ns, client_index(&l->clients, c));
}

static void on_gone(struct clients *all, struct client *c) {
	if (c->is_publisher) {
		storm.under_way -= c->mark;
		c->mark = 0;
	} else if (c->comes_back) {
		come_back_later(all->arg, c);
	}
}

static void on_login(struct load *l, struct client *c) {
	if (!c->comes_back)
		return;
	c->comes_back = false;
	storm.back++;
	atomic_fetch_add(&l->shared->back, 1);
	histogram_add(&l->me->times[HISTOGRAM_BACK], l->clients.now - storm.due_ns);
}

/* The others' messages: of those who were cut off, some are recovered, and have no time. */
static void on_delivery(struct load *l, struct client *c, const struct stamp *s, uint64_t sent_ns) {
	uint64_t time = l->clients.now - sent_ns;

	(void)s;
	if (!load_heard(l, sent_ns))
		return;
	l->me->n.messages++;
	if (client_index(&l->clients, c) >= l->staying)
		return;
	histogram_add(&l->me->times[HISTOGRAM_TIMES], time);
	if (sent_ns < storm.due_ns)
		histogram_add(&l->me->times[HISTOGRAM_BEFORE], time);
	else if (atomic_load_explicit(&l->shared->back, memory_order_relaxed) < (uint32_t)l->o->cut)
		histogram_add(&l->me->times[HISTOGRAM_DURING], time);
}

static void on_ack(struct load *l, struct client *c, const struct stamp *s, uint64_t sent_ns) {
	(void)s;
	c->mark--;
	storm.under_way--;
	if (!load_measures(l, sent_ns))
		return;
	l->me->n.publications++;
	histogram_add(&l->me->times[HISTOGRAM_ACK], l->clients.now - sent_ns);
}

static bool check(const struct options *o, struct errbuf *err) {
	long parts = o->processes > 0 ? o->processes : 1;

	if (o->cut >= o->connections)
		return errbuf_set(err, "--cut=%ld: of %ld connections, some have to stay", o->cut, o->connections);
	if (o->publishers + parts > o->connections - o->cut)
		return errbuf_set(err, "%ld connections that stay are too few for %ld publishers", o->connections - o->cut, o->publishers);
	return chat_check(o, err);
}

static void begin(struct load *l) {
	if (l->publisher_count > l->staying)
		die(l->shared, "a process has more publishers than connections that stay: fewer --processes, or a smaller --cut");
	chat_begin(l, (struct chat_events){ .on_login = on_login, .on_delivery = on_delivery, .on_ack = on_ack });
	l->clients.on.on_gone = on_gone;
	l->clients.on.counts_retransmits = true;
	waiting_init(&storm.waiting, l->clients.count);
	storm.next = l->staying;
	storm.dice = (uint64_t)l->shared->run << 32 | l->at;
}

static void run(struct load *l) {
	uint64_t quarter = (uint64_t)l->o->seconds * SECOND_NS / 4, most = CUT_AFTER_SECONDS * SECOND_NS;

	storm.due_ns = l->shared->from_ns + (quarter < most ? quarter : most);
	l->pace = load_pace(l);
}

static void publish(struct load *l, struct client *c, uint64_t due_ns) {
	c->mark++;
	storm.under_way++;
	chat_publish(l, c, due_ns);
}

static void cut_some(struct load *l) {
	for (int i = 0; i < STEP && storm.next < l->clients.count; i++) {
		struct client *c = &l->clients.client[storm.next++];

		if (c->state != CLIENT_OPEN)
			continue;
		client_close(c);
		c->comes_back = true;
		c->number = 0;
		storm.cut++;
		come_back_later(l, c);
	}
}

static uint64_t turn(struct load *l, uint64_t now) {
	uint64_t next = load_publish_due(l, now, publish), next_back;

	if (now >= storm.due_ns && storm.next < l->clients.count) {
		cut_some(l);
		return now;
	}
	for (int i = 0; i < STEP && waiting_next(&storm.waiting) <= now; i++)
		client_start(&l->clients, &l->clients.client[waiting_take(&storm.waiting)]);
	next_back = waiting_next(&storm.waiting);
	next = storm.next < l->clients.count && storm.due_ns < next ? storm.due_ns : next;
	return next_back < next ? next_back : next;
}

static bool has_all(struct load *l) {
	return storm.under_way == 0 && chat_lacking(l) == 0;
}

static void finish(struct load *l) {
	l->me->n.cut = storm.cut;
	l->me->n.not_back = storm.cut - storm.back;
	l->me->n.unanswered = storm.under_way;
	l->me->n.missing += chat_lacking(l);
	waiting_fini(&storm.waiting);
	chat_fini(l);
}

const struct scenario scenario_reconnect = {
	.id = RECONNECT,
	.name = "reconnect",
	.path = "/ws",
	.summary = "A storm: users of the chat are cut off at once (reset), after a quarter of the time or 5 s, and come back with their positions as "
		   "herold.js does, while the others go on publishing at --rate. Nothing may be missing. Times: of those who stay.",
	.defaults = { .connections = 2000, .bytes = 128, .publishers = 16, .at_once = 256, .rooms = 100, .rate = 100 },
	.check = check,
	.begin = begin,
	.run = run,
	.turn = turn,
	.has_all = has_all,
	.finish = finish,
};
