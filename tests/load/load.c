/* load - opening connections, running the scenario, draining: the loop of a process */
#include "tests/load/load.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/load/share.h"

enum { DRAIN_SECONDS = 15, DRAIN_LOOK_MS = 10 };

void load_mark_publishers(struct load *l) {
	for (uint32_t k = 0; k < l->publisher_count; k++) {
		load_publisher(l, k)->is_publisher = true;
		load_publisher(l, k)->number = l->publisher_first + k;
	}
}

struct pace load_pace(const struct load *l) {
	return (struct pace){ .began_ns = l->shared->began_ns, .rate = (uint64_t)l->o->rate, .senders = (uint64_t)l->o->publishers,
		.first = l->publisher_first, .count = l->publisher_count };
}

uint64_t load_publish_due(struct load *l, uint64_t now, void (*publish)(struct load *l, struct client *c, uint64_t due_ns)) {
	uint64_t due;

	if (l->publisher_count == 0)
		return UINT64_MAX;
	for (; (due = pace_next_ns(&l->pace)) <= now && load_goes_on(l, due); now = now_ns()) {
		struct client *c = load_publisher(l, (uint32_t)l->pace.at);

		pace_advance(&l->pace);
		if (load_measures(l, due))
			histogram_add(&l->me->times[HISTOGRAM_LATE], now - due);
		if (c->state == CLIENT_OPEN)
			publish(l, c, due);
		else
			l->me->n.unsent++;
	}
	return due;
}

static void set_up(struct load *l, const struct options *o, struct shared *s, uint32_t at) {
	uint32_t parts = s->process_count, publishing;
	uint64_t connections = (uint64_t)o->connections;

	*l = (struct load){ .o = o, .shared = s, .me = &s->process[at], .at = at, .process_count = parts };
	l->clients = (struct clients){ .o = o, .shared = s, .me = l->me, .arg = l };
	/* Where there are fewer publishers than processes, only some have one, and those divide what is under way. */
	publishing = (uint32_t)o->publishers < parts ? (uint32_t)o->publishers : parts;
	l->publisher_first = (uint32_t)share_first((uint64_t)o->publishers, parts, at);
	l->publisher_count = (uint32_t)share_count((uint64_t)o->publishers, parts, at);
	l->under_way = l->publisher_count > 0 ? (uint32_t)share_count((uint64_t)o->under_way, publishing, at) : 0;
	clients_init(&l->clients, (uint32_t)share_first(connections, parts, at), (uint32_t)share_count(connections, parts, at));
	l->staying = l->clients.count - (uint32_t)share_count((uint64_t)o->cut, parts, at);
	o->scenario->begin(l);
	if (l->publisher_count > 0)
		load_mark_publishers(l);
	for (uint32_t i = 0; i < l->clients.count; i++)
		l->clients.client[i].offers_deflate = o->compress && !l->clients.client[i].is_publisher;
}

/* Connects as many more as may be under way, and are due. Returns when more are. */
static uint64_t open_more(struct load *l, uint64_t now) {
	struct clients *all = &l->clients;
	uint64_t at_once = share_count((uint64_t)l->o->at_once, l->process_count, l->at);
	uint64_t rate = (uint64_t)l->o->connect_rate, due;

	at_once = at_once > 0 ? at_once : 1;
	while (all->started < all->count && all->started - l->me->settled < at_once) {
		/* The processes take turns. */
		due = rate == 0 ? 0 : l->shared->opening_ns + (all->started * (uint64_t)l->process_count + l->at) * SECOND_NS / rate;
		if (due > now)
			return due;
		client_start(all, &all->client[all->started++]);
	}
	return UINT64_MAX;
}

static uint64_t run(struct load *l, uint64_t now) {
	const struct scenario *s = l->o->scenario;
	uint64_t until = atomic_load(&l->shared->until_ns), next = until;

	if (l->me->has_stopped)
		return UINT64_MAX;
	if (now < until && !(s->is_done != NULL && s->is_done(l))) {
		if (s->turn != NULL)
			next = s->turn(l, now);
		return next < until ? next : until;
	}
	/* What was due before the end goes, however late this process is. */
	if (l->o->has_rate && !s->connects_in_run)
		s->turn(l, now);
	l->me->stopped_ns = now_ns();
	l->me->has_stopped = true;
	return UINT64_MAX;
}

/* What is late must not be missing. */
static uint64_t drain(struct load *l, uint64_t now) {
	const struct scenario *s = l->o->scenario;

	if (l->me->has_drained)
		return UINT64_MAX;
	if (l->drain_until_ns == 0)
		l->drain_until_ns = now + DRAIN_SECONDS * SECOND_NS;
	if (s->has_all != NULL && !s->has_all(l) && now < l->drain_until_ns)
		return now + DRAIN_LOOK_MS * MILLISECOND_NS;
	if (s->finish != NULL)
		s->finish(l);
	l->me->has_drained = true;
	return UINT64_MAX;
}

void load_process(const struct options *o, struct shared *s, uint32_t at) {
	static struct load load;
	struct load *l = &load;
	bool has_begun = false;
	int phase;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have ended before that. */
	if (getppid() != s->coordinator)
		exit(EXIT_FAILURE);
	/* The coordinator has heard it, too, and says what is to be done. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	set_up(l, o, s, at);
	while ((phase = atomic_load(&s->phase)) != PHASE_END) {
		uint64_t now = now_ns(), next = UINT64_MAX;

		if (phase == PHASE_OPEN && !o->scenario->connects_in_run)
			next = open_more(l, now);
		if (phase >= PHASE_RUN && !has_begun) {
			has_begun = true;
			if (o->scenario->run != NULL)
				o->scenario->run(l);
		}
		if (phase == PHASE_RUN)
			next = run(l, now);
		if (phase == PHASE_DRAIN)
			next = drain(l, now);
		clients_turn(&l->clients, next < now + SECOND_NS ? next : now + SECOND_NS);
	}
	clients_fini(&l->clients);
	exit(EXIT_SUCCESS);
}
