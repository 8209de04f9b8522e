/* scenario_broadcast - the messages of a few go to all */
#include "tests/load/heard.h"
#include "tests/load/load.h"
#include "tests/load/stamp.h"

/* Eight bytes for each publisher that each connection listens to. */
static const uint64_t HEARD_BYTES_MAX = (uint64_t)8 << 30;

static struct heard heard;
static uint32_t next_publisher; /* closed loop: of those here */

static void on_open(struct clients *all, struct client *c) {
	client_ready(all, c);
}

static void publish(struct load *l, struct client *c, uint64_t time_ns) {
	struct publisher *p = &l->shared->publishers[c->number];
	struct stamp s = { .run = l->shared->run, .publisher = c->number, .message = p->sent, .time = stamp_time(time_ns - l->shared->opening_ns) };
	uint8_t bytes[STAMP_BYTES];

	if (p->first == 0 && load_measures(l, time_ns))
		p->first = p->sent + 1;
	p->sent++;
	stamp_write(&s, bytes);
	client_send(&l->clients, c, bytes);
}

/* Publishers send in turn; those that are gone are passed over. */
static void publish_next(struct load *l) {
	for (uint32_t tries = 0; tries < l->publisher_count; tries++) {
		struct client *c = load_publisher(l, next_publisher++ % l->publisher_count);

		if (c->state == CLIENT_OPEN) {
			publish(l, c, now_ns());
			return;
		}
	}
}

static void on_message(struct clients *all, struct client *c, struct slice text) {
	struct load *l = all->arg;
	struct stamp s;
	uint64_t sent;
	uint32_t first;

	/* Compressed: not looked at. */
	if (c->offers_deflate && text.len == 0) {
		l->me->n.messages += load_heard(l, all->now);
		return;
	}
	s = text.len == STAMP_BYTES ? stamp_read(text.ptr) : (struct stamp){ 0 };
	if (text.len < STAMP_BYTES || s.run != l->shared->run || s.publisher >= (uint32_t)l->o->publishers) {
		l->me->n.others++;
		return;
	}
	first = l->shared->publishers[s.publisher].first;
	if (!heard_note(&heard, client_index(all, c), s.publisher, (uint32_t)s.message, first > 0 ? first - 1 : UINT32_MAX))
		return;
	sent = l->shared->opening_ns + stamp_ns(&s, all->now - l->shared->opening_ns);
	if (load_heard(l, sent)) {
		l->me->n.messages++;
		histogram_add(&l->me->times[HISTOGRAM_TIMES], all->now - sent);
	}
	/* Back with its publisher: the next one may go. */
	if (!l->o->has_rate && c->is_publisher && c->number == s.publisher && load_goes_on(l, all->now))
		publish_next(l);
}

static bool check(const struct options *o, struct errbuf *err) {
	uint64_t bytes = (uint64_t)o->connections * (uint64_t)o->publishers * sizeof(struct heard_one);

	if (o->bytes < STAMP_BYTES)
		return errbuf_set(err, "--bytes=%ld: broadcast needs %d to tell its messages apart", o->bytes, STAMP_BYTES);
	if (bytes > HEARD_BYTES_MAX)
		return errbuf_set(err, "what each of %ld connections has of each of %ld publishers takes %llu MiB: fewer --publishers",
			o->connections, o->publishers, (unsigned long long)bytes >> 20);
	return true;
}

static void begin(struct load *l) {
	l->clients.on = (struct client_events){ .on_open = on_open, .on_message = on_message };
	clients_set_message(&l->clients, (size_t)l->o->bytes, l->o->binary);
	heard_init(&heard, l->clients.count, (uint32_t)l->o->publishers);
}

static void run(struct load *l) {
	l->pace = load_pace(l);
	for (uint32_t i = 0; i < l->under_way; i++)
		publish_next(l);
}

static uint64_t turn(struct load *l, uint64_t now) {
	return l->o->has_rate ? load_publish_due(l, now, publish) : UINT64_MAX;
}

static uint64_t lacking(struct load *l) {
	struct clients *all = &l->clients;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < all->count; i++) {
		if (all->client[i].state != CLIENT_OPEN || all->client[i].offers_deflate)
			continue;
		for (uint32_t k = 0; k < heard.talkers; k++) {
			const struct publisher *p = &l->shared->publishers[k];

			/* Of a publisher that sent nothing in the time that is measured, nothing is asked for. */
			if (p->first > 0)
				sum += heard_lacks(&heard, i, k, p->first - 1, p->sent);
		}
	}
	return sum;
}

static bool has_all(struct load *l) {
	return lacking(l) == 0;
}

static void finish(struct load *l) {
	l->me->n.missing = heard.missing + lacking(l);
	l->me->n.duplicates = heard.twice;
	l->me->n.out_of_order = heard.out_of_order;
	heard_fini(&heard);
}

const struct scenario scenario_broadcast = {
	.id = BROADCAST,
	.name = "broadcast",
	.path = "/broadcast",
	.summary = "The messages of a few publishers go to all connections, and each has to get each once; deliveries are counted. Without "
		   "--rate, a message that is back with its publisher lets the next publisher send.",
	.defaults = { .connections = 1000, .bytes = 128, .publishers = 16, .under_way = 16, .at_once = 256 },
	.check = check,
	.begin = begin,
	.run = run,
	.turn = turn,
	.has_all = has_all,
	.finish = finish,
};
