/* reads - questions with long answers: only some under way at a time, and the clients in turn */
#include "server/hub/reads.h"

#include "server/hub/request.h"

void reads_init(struct reads *r) {
	list_init(&r->turns);
	r->under_way = 0;
	/* Nothing is known yet: rather few. */
	r->usual_bytes = READS_BYTES / READS_MIN;
}

static bool has_room(const struct reads *r) {
	size_t room = READS_BYTES / (r->usual_bytes + 1);

	return r->under_way < READS_MIN || (r->under_way < READS_MAX && r->under_way < room);
}

static void take_turn(struct request *r) {
	r->has_turn = true;
	r->hub->reads.under_way++;
}

bool reads_begin(struct request *r) {
	struct reads *reads = &r->hub->reads;
	struct hub_client *c = r->client;

	if (r->has_turn)
		return true;
	if (has_room(reads) && list_is_empty(&reads->turns)) {
		take_turn(r);
		return true;
	}
	r->is_waiting = true;
	if (!c->is_in_turn)
		list_add_tail(&reads->turns, &r->waiting);
	c->is_in_turn = true;
	return false;
}

/* r waits no more. The next one of its client does instead, before the turn that is given. */
static void pass_on(struct request *r, struct list *before) {
	struct hub_client *c = r->client;

	r->is_waiting = c->is_in_turn = false;
	for (struct request *next = c->requests; next != NULL; next = request_next(next)) {
		if (next->is_waiting) {
			c->is_in_turn = true;
			list_add_tail(before, &next->waiting);
			break;
		}
	}
}

void reads_leave(struct request *r) {
	if (list_is_linked(&r->waiting))
		pass_on(r, &r->waiting);
	list_remove(&r->waiting);
	r->is_waiting = false;
}

/* Long answers are believed at once, short ones by and by. */
void reads_note(struct request *r, size_t bytes) {
	size_t *usual = &r->hub->reads.usual_bytes;

	if (!r->has_turn)
		return;
	if (bytes > *usual)
		*usual += (bytes - *usual) / 2;
	else
		*usual -= (*usual - bytes) / 16;
}

void reads_end(struct request *r) {
	if (r->has_turn)
		r->hub->reads.under_way--;
	r->has_turn = false;
}

void reads_turn_end(struct hub *h) {
	struct reads *reads = &h->reads;

	while (has_room(reads) && !list_is_empty(&reads->turns)) {
		struct request *r = list_entry(reads->turns.next, struct request, waiting);

		list_remove(&r->waiting);
		pass_on(r, &reads->turns);
		take_turn(r);
		r->ask(r);
	}
}
