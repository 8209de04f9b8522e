/* reads - questions with long answers: only some under way at a time, and the clients in turn */
#include "server/hub/reads.h"

#include "server/hub/request.h"

void reads_init(struct reads *r) {
	list_init(&r->clients);
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
	if (has_room(reads) && list_is_empty(&reads->clients)) {
		take_turn(r);
		return true;
	}
	list_add_tail(&c->reads, &r->waiting);
	if (!list_is_linked(&c->in_turn))
		list_add_tail(&reads->clients, &c->in_turn);
	return false;
}

void reads_leave(struct request *r) {
	if (!list_is_linked(&r->waiting))
		return;
	list_remove(&r->waiting);
	if (list_is_empty(&r->client->reads))
		list_remove(&r->client->in_turn);
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

	while (has_room(reads) && !list_is_empty(&reads->clients)) {
		struct hub_client *c = list_entry(reads->clients.next, struct hub_client, in_turn);
		struct request *r = list_entry(c->reads.next, struct request, waiting);

		list_remove(&c->in_turn);
		list_remove(&r->waiting);
		if (!list_is_empty(&c->reads))
			list_add_tail(&reads->clients, &c->in_turn);
		take_turn(r);
		r->ask(r);
	}
}
