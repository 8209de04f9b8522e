/* live_ask - questions and their answers */
#include "server/admin/live_ask.h"

#include "server/admin/admin_priv.h"
#include "server/proto/proto.h"

enum {
	LISTED = 10,
	PAUSE_MS = 5000,
	PAUSE_SHARE = 20,	/* so many times what the last answer took */
};

void live_ask_init(struct live_ask *a, struct hub *hub, struct evloop *loop) {
	*a = (struct live_ask){ .loop = loop };
	hub_client_init(hub, &a->client, NULL, 0);
}

static void forget(struct live_question *q) {
	json_decref(q->answer);
	q->answer = NULL;
	q->next_ms = 0;
}

void live_ask_forget(struct live_ask *a) {
	a->is_wanted = false;
	forget(&a->rooms);
	forget(&a->readers);
}

void live_ask_fini(struct live_ask *a) {
	hub_client_fini(&a->client, 0);
	live_ask_forget(a);
}

/* False: it is not the time. */
static bool begin(struct live_ask *a, struct live_question *q) {
	uint64_t now_ms = evloop_now_ms(a->loop);

	if (q->is_asked || now_ms < q->next_ms)
		return false;
	q->is_asked = true;
	q->asked_ms = now_ms;
	return true;
}

/* Takes the answer. */
static void answered(struct live_ask *a, struct live_question *q, json_t *answer) {
	uint64_t now_ms = evloop_now_ms(a->loop), pause_ms = (now_ms - q->asked_ms) * PAUSE_SHARE;

	forget(q);
	q->is_asked = false;
	if (!a->is_wanted) {
		json_decref(answer);
		return;
	}
	q->answer = answer;
	q->next_ms = now_ms + (pause_ms > PAUSE_MS ? pause_ms : PAUSE_MS);
}

static void on_rooms(struct hub_client *client, void *cookie UNUSED, const struct hub_channels *m) {
	struct live_ask *a = container_of(client, struct live_ask, client);

	answered(a, &a->rooms, m->result == IPC_OK ? api_rooms_json(m->channels) : NULL);
}

static void on_readers(struct hub_client *client, void *cookie UNUSED, const struct hub_inspection *i) {
	struct live_ask *a = container_of(client, struct live_ask, client);

	answered(a, &a->readers, i->result == IPC_OK ? api_connections_json(i->connections, LISTED, true) : NULL);
}

void live_ask_again(struct live_ask *a, bool is_somebody_slow) {
	struct ipc_inspect slowest = { .act = IPC_ACT_NONE, .match = IPC_MATCH_SLOWEST, .limit = LISTED };

	a->is_wanted = true;
	if (begin(a, &a->rooms))
		hub_top_rooms(&a->client, slice_text(CHANNEL_ROOM_PREFIX), LISTED, on_rooms, NULL);
	if (!is_somebody_slow && !a->readers.is_asked) {
		forget(&a->readers);
		a->readers.answer = json_array();
	} else if (is_somebody_slow && begin(a, &a->readers)) {
		hub_inspect(&a->client, &slowest, on_readers, NULL);
	}
}
