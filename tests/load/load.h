/*
 * load - one of the processes that make the load: its clients, and which of them publish
 */
#ifndef TESTS_LOAD_LOAD_H
#define TESTS_LOAD_LOAD_H

#include "tests/load/client.h"
#include "tests/load/pace.h"

struct load {
	const struct options *o;
	struct shared *shared;
	struct process *me;
	uint32_t at;		/* which of the processes */
	uint32_t process_count;
	uint32_t publisher_first, publisher_count; /* those here, among all */
	uint32_t staying;	/* clients among which publishers stand: all but the last ones, which are cut off */
	uint32_t under_way;	/* messages under way at a time, of this process */
	uint64_t drain_until_ns;
	struct clients clients;
	struct pace pace;	/* open loop; what a scenario has set up */
};

/* Ends when the coordinator says so. */
NORETURN void load_process(const struct options *o, struct shared *s, uint32_t at);

/* The k-th publisher of this process. They stand evenly among the others: neither the first nor the last whom a server gets to. */
static inline struct client *load_publisher(struct load *l, uint32_t k) {
	return &l->clients.client[(uint64_t)k * l->staying / l->publisher_count];
}

/* Marks them; their `number` is that among all publishers. */
void load_mark_publishers(struct load *l);

/* Of what the publishers here send, once all began. */
struct pace load_pace(const struct load *l);
/* Open loop: publishes what is due, and notes how late; who is gone is passed over. Returns when more is due. */
uint64_t load_publish_due(struct load *l, uint64_t now, void (*publish)(struct load *l, struct client *c, uint64_t due_ns));

/* Does this time count? */
static inline bool load_measures(const struct load *l, uint64_t at_ns) {
	return at_ns >= atomic_load_explicit(&l->shared->from_ns, memory_order_relaxed) &&
	       at_ns < atomic_load_explicit(&l->shared->until_ns, memory_order_relaxed);
}

/* Notes that one of our messages came. Is it one of those that are measured? Closed loop: by when it came, open loop: by when it was due;
 * the rates of an open loop are of all that come, from the beginning of measuring to the last, so that what comes late has its time. */
static inline bool load_heard(struct load *l, uint64_t sent_ns) {
	uint64_t now = l->clients.now;

	if (!l->o->has_rate)
		return load_measures(l, now);
	if (now >= l->shared->from_ns) {
		l->me->n.arrived++;
		l->me->n.after_end += now >= l->shared->until_ns;
		l->me->last_ns = now;
	}
	return load_measures(l, sent_ns);
}

/* May messages still be sent? */
static inline bool load_goes_on(const struct load *l, uint64_t now) {
	return now < atomic_load_explicit(&l->shared->until_ns, memory_order_relaxed);
}

#endif
