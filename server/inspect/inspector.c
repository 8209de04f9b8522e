/* inspector - a worker's answers to what the admin process asks about its connections */
#include "server/inspect/inspector.h"

#include <stdio.h>

#include "common/base/mem.h"

enum { STEP = 256 /* connections */, USER_MAX = GRANT_USER_MAX };

/* A question; its texts are copies. */
struct inspect_task {
	struct list link;
	uint32_t on_link;	/* hub_link() */
	struct ipc_inspect question;
	char reason[INSPECT_REASON_MAX + 1];
	uint8_t bytes[];	/* subject, data */
};

/* Copied, because the connection may be gone when the walk is over. */
struct slow_reader {
	struct ipc_connection found;
	char id[ID_TEXT_LEN + 1], address[SOCK_TEXT_MAX];
	uint8_t user[USER_MAX];
};

static struct inspect_task *first_of(const struct inspector *i) {
	return list_entry(i->waiting.next, struct inspect_task, link);
}

/* --- what is found --- */

/* Fills *out, whose texts lie in the other two and in the connection. */
static void describe(const struct inspector *i, const struct conn *c, char id[ID_TEXT_LEN + 1], char address[SOCK_TEXT_MAX],
    struct ipc_connection *out) {
	struct conn_facts facts;

	conn_facts(c, &facts);
	conn_id_text(c, id);
	sock_peer_text(conn_peer(c), address);
	*out = (struct ipc_connection){ .id = slice_text(id), .user = facts.user, .address = slice_text(address),
		.protocol = slice_text(facts.protocol), .since_ms = facts.since_ms, .queued_bytes = facts.queued_bytes, .slot = i->slot,
		.rooms = facts.rooms, .stuck_ms = facts.stuck_ms };
}

static void list_one(struct inspector *i, const struct conn *c) {
	char id[ID_TEXT_LEN + 1], address[SOCK_TEXT_MAX];
	struct ipc_connection found;
	size_t before = i->found.len;

	describe(i, c, id, address, &found);
	ipc_put_connection(&i->found, &found);
	if (i->found.failed)
		i->found.len = before;
}

static struct slow_reader *least_slow(const struct inspector *i) {
	struct slow_reader *least = &i->slowest[0];

	for (size_t k = 1; k < i->slow_count; k++) {
		if (i->slowest[k].found.queued_bytes < least->found.queued_bytes)
			least = &i->slowest[k];
	}
	return least;
}

static void consider_slow(struct inspector *i, const struct conn *c) {
	size_t limit = first_of(i)->question.limit;
	struct slow_reader *place;

	limit = limit < INSPECT_SLOWEST_MAX ? limit : INSPECT_SLOWEST_MAX;
	if (limit == 0)
		return;
	if (i->slow_count < limit) {
		place = &i->slowest[i->slow_count++];
	} else {
		place = least_slow(i);
		if (conn_queued_bytes(c) <= place->found.queued_bytes)
			return;
	}
	describe(i, c, place->id, place->address, &place->found);
	if (place->found.user.len > USER_MAX)
		place->found.user.len = USER_MAX;
	if (place->found.user.len > 0)
		memcpy(place->user, place->found.user.ptr, place->found.user.len);
	place->found.user.ptr = place->user;
}

static bool act(struct conn *c, const struct inspect_task *t) {
	switch (t->question.act) {
	case IPC_ACT_CLOSE:
		/* Who is being closed already is not closed by this. */
		if (conn_is_ending(c))
			return false;
		conn_close_with(c, CLOSE_disconnected, t->question.code, t->reason[0] != '\0' ? t->reason : NULL);
		return true;
	case IPC_ACT_TELL:
		return conn_tell(c, t->question.data);
	default:
		return false;
	}
}

static void visit(struct conn *c, void *arg) {
	struct inspector *i = arg;
	const struct inspect_task *t = first_of(i);

	if (!who_is(&i->who, c))
		return;
	i->matched++;
	if (i->who.match == IPC_MATCH_SLOWEST)
		consider_slow(i, c);
	else if (i->matched <= t->question.limit)
		list_one(i, c);
	i->done += act(c, t);
}

/* --- questions --- */

static void answer(struct inspector *i) {
	struct inspect_task *t = first_of(i);
	struct ipc_inspected m = { .request = t->question.request, .matched = i->matched, .done = i->done };

	for (size_t k = 0; k < i->slow_count; k++)
		ipc_put_connection(&i->found, &i->slowest[k].found);
	m.connections = buf_slice(&i->found);
	hub_answer_inspect(i->hub, t->on_link, &m);
	list_remove(&t->link);
	i->waiting_count--;
	mem_free(t);
	who_fini(&i->who);
	buf_fini(&i->found);
	mem_free(i->slowest);
	i->slowest = NULL;
}

/* The first question's turn has come. */
static void begin(struct inspector *i) {
	const struct ipc_inspect *q = &first_of(i)->question;

	i->matched = i->done = 0;
	i->slow_count = 0;
	buf_init(&i->found, INSPECT_ANSWER_BYTES);
	if (q->match == IPC_MATCH_SLOWEST)
		i->slowest = mem_alloc(INSPECT_SLOWEST_MAX * sizeof(i->slowest[0]));
	/* What is no question of this version means nobody here. */
	if (!who_init(&i->who, (enum ipc_match)q->match, q->subject, i->conns))
		i->who = (struct who){ .match = IPC_MATCH_ID, .is_nobody = true };
	conns_walk_begin(i->conns, &i->walk);
}

static void on_step(void *arg) {
	struct inspector *i = arg;

	if (list_is_empty(&i->waiting))
		return;
	if (i->walk.conns == NULL)
		begin(i);
	/* Who is looked for by an id is looked for in one process, and is there once. */
	if (i->who.is_nobody || !conns_walk_step(&i->walk, STEP, visit, i) || (i->who.match == IPC_MATCH_ID && i->matched > 0)) {
		conns_walk_end(&i->walk);
		answer(i);
	}
	if (!list_is_empty(&i->waiting))
		evloop_timer_start(&i->step, 0);
}

static void on_question(const struct ipc_inspect *q, void *arg) {
	struct inspector *i = arg;
	struct inspect_task *t;

	/* More than a broker asks at a time: it does not wait for the answer for long. */
	if (i->waiting_count == INSPECT_WAITING_MAX)
		return;
	t = mem_try_alloc(sizeof(*t) + q->subject.len + q->data.len);
	if (t == NULL)
		return;
	t->on_link = hub_link(i->hub);
	t->question = *q;
	if (q->subject.len > 0)
		memcpy(t->bytes, q->subject.ptr, q->subject.len);
	if (q->data.len > 0)
		memcpy(t->bytes + q->subject.len, q->data.ptr, q->data.len);
	t->question.subject = slice_of(t->bytes, q->subject.len);
	t->question.data = slice_of(t->bytes + q->subject.len, q->data.len);
	snprintf(t->reason, sizeof(t->reason), "%.*s", SLICE_ARGS(q->reason));
	list_add_tail(&i->waiting, &t->link);
	i->waiting_count++;
	evloop_timer_start(&i->step, 0);
}

/* --- life --- */

void inspector_start(struct inspector *i, struct hub *hub, struct conns *conns, uint32_t slot) {
	*i = (struct inspector){ .hub = hub, .conns = conns, .slot = slot };
	list_init(&i->waiting);
	evloop_timer_init(conns_loop(conns), &i->step, on_step, i);
	hub_on_inspect(hub, on_question, i);
}

void inspector_stop(struct inspector *i) {
	hub_on_inspect(i->hub, NULL, NULL);
	evloop_timer_stop(&i->step);
	conns_walk_end(&i->walk);
	while (!list_is_empty(&i->waiting)) {
		struct inspect_task *t = first_of(i);

		list_remove(&t->link);
		mem_free(t);
	}
	who_fini(&i->who);
	buf_fini(&i->found);
	mem_free(i->slowest);
}

