/* chat - logging in, publishing, and checking that nothing is missing */
#include "tests/load/chat.h"

#include <stdio.h>

#include "common/base/codec.h"
#include "common/base/mem.h"
#include "tests/load/chat_json.h"
#include "tests/load/payload.h"

/* Where the room stood that clients of this process are in; asked for by those who come back. */
struct room {
	char *epoch; /* NULL: not known yet */
};

static struct {
	struct chat_events on;
	struct room *rooms;
	uint32_t count;
} chat;

static uint32_t room_of(const struct load *l, const struct client *c) {
	return client_number(&l->clients, c) % chat.count;
}

bool chat_check(const struct options *o, struct errbuf *err) {
	if (o->rooms > o->connections)
		return errbuf_set(err, "there are more rooms (%ld) than connections (%ld)", o->rooms, o->connections);
	if (o->binary || o->compress)
		return errbuf_set(err, "the chat is spoken in texts, and read: neither --binary nor --compress");
	for (const char *p = o->room_prefix; *p != '\0'; p++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:", *p) == NULL || p - o->room_prefix >= 56)
			return errbuf_set(err, "--room-prefix=%s: at most 56 of the characters A-Z a-z 0-9 - _ . :", o->room_prefix);
	}
	if (o->publishers > 0 && (o->bytes < STAMP_BYTES || o->bytes > CHAT_TEXT_MAX))
		return errbuf_set(err, "--bytes=%ld: a message of the chat has %d to %d here", o->bytes, STAMP_BYTES, CHAT_TEXT_MAX);
	return true;
}

/* The one message, in which the stamp stands twice: in the ref, for the ack, and in the text. */
static void set_message(struct load *l) {
	static const char begin[] = "{\"type\":\"chat\",\"ref\":\"", middle[] = "\",\"message\":\"", end[] = "\"}";
	size_t bytes = (size_t)l->o->bytes, ref = sizeof(begin) - 1, text = ref + STAMP_BYTES + sizeof(middle) - 1;
	size_t offsets[] = { ref, text };
	struct buf b;
	uint8_t filling[CHAT_TEXT_MAX];

	payload_fill(filling, bytes);
	for (size_t i = 0; i < bytes; i++)
		filling[i] = filling[i] == '"' ? '\'' : filling[i];
	buf_init(&b, CHAT_TEXT_MAX + 256);
	buf_add_text(&b, begin);
	buf_add(&b, slice_of(filling, STAMP_BYTES));
	buf_add_text(&b, middle);
	buf_add(&b, slice_of(filling, bytes));
	buf_add_text(&b, end);
	clients_set_text(&l->clients, buf_slice(&b), offsets, ARRAY_LEN(offsets));
	buf_fini(&b);
}

/* The same user has the same secret each time, so that the next load is not taken for somebody else. */
static void add_who(struct buf *b, uint32_t number) {
	uint8_t secret[16] = "herold-load";
	char text[25];

	memcpy(secret + 12, &number, sizeof(number));
	base64url_encode(slice_of(secret, sizeof(secret)), text);
	buf_addf(b, ",\"userId\":\"load-%u\",\"name\":\"load-%u\",\"resume\":\"%s\"", number, number, text);
}

static void log_in(struct clients *all, struct client *c) {
	struct load *l = all->arg;
	const struct room *r = &chat.rooms[room_of(l, c)];
	struct buf b;

	buf_init(&b, 4096);
	buf_addf(&b, "{\"type\":\"login\",\"room\":\"%s%u\"", l->o->room_prefix, room_of(l, c));
	if (l->o->token == NULL)
		add_who(&b, client_number(all, c));
	if (c->comes_back && r->epoch != NULL)
		buf_addf(&b, ",\"since\":{\"epoch\":\"%s\",\"offset\":%llu}", r->epoch, (unsigned long long)c->position);
	buf_add_text(&b, "}");
	client_send_text(all, c, buf_slice(&b));
	buf_fini(&b);
}

static void not_recovered(struct load *l, struct client *c) {
	l->me->n.resets++;
	shared_set_problem(l->shared, "connection %u: the server says that what it missed is not recovered", client_number(&l->clients, c));
}

/* Of those who come back: all that was missed is in the answer, or it says that it is not. */
static void recover(struct load *l, struct client *c, struct slice text, uint64_t offset) {
	uint64_t missed = chat_json_count(chat_json_member(text, "messages"), "chat");

	if (!slice_eq_text(chat_json_member(text, "recovered"), "true")) {
		not_recovered(l, c);
		return;
	}
	l->me->n.recovered++;
	l->me->n.recovered_messages += missed;
	if (c->position + missed < offset)
		l->me->n.missing += offset - c->position - missed;
	else
		l->me->n.duplicates += c->position + missed - offset;
}

static void set_epoch(struct room *r, struct slice epoch) {
	if (r->epoch != NULL && slice_eq_text(epoch, r->epoch))
		return;
	mem_free(r->epoch);
	r->epoch = slice_dup_text(epoch);
}

static void logged_in(struct load *l, struct client *c, struct slice text) {
	struct room *r = &chat.rooms[room_of(l, c)];
	uint64_t offset = chat_json_number(chat_json_member(text, "offset"));

	if (c->comes_back && r->epoch != NULL)
		recover(l, c, text, offset);
	set_epoch(r, chat_json_member(text, "epoch"));
	c->position = offset;
	c->is_in = true;
	client_ready(&l->clients, c);
	if (chat.on.on_login != NULL)
		chat.on.on_login(l, c);
}

/* The highest offset of a room that anybody was told of. */
static void raise_top(struct load *l, struct client *c, uint64_t offset) {
	_Atomic uint64_t *top = &l->shared->room_tops[room_of(l, c)];
	uint64_t before = atomic_load_explicit(top, memory_order_relaxed);

	while (before < offset && !atomic_compare_exchange_weak(top, &before, offset)) {
	}
}

static bool is_ours(const struct load *l, struct slice text, struct stamp *s) {
	if (text.len < STAMP_BYTES)
		return false;
	*s = stamp_read(text.ptr);
	return s->run == l->shared->run && s->publisher < (uint32_t)l->o->publishers;
}

static uint64_t sent_at(const struct load *l, const struct stamp *s) {
	return l->shared->opening_ns + stamp_ns(s, l->clients.now - l->shared->opening_ns);
}

static void delivered(struct load *l, struct client *c, struct slice text) {
	uint64_t offset = chat_json_number(chat_json_flat(text, "\"offset\":"));
	struct stamp s;

	if (offset <= c->position) {
		l->me->n.duplicates++;
		return;
	}
	l->me->n.missing += offset - c->position - 1;
	c->position = offset;
	if (!is_ours(l, chat_json_flat(text, "\"message\":"), &s)) {
		l->me->n.others++;
		return;
	}
	l->me->n.deliveries++;
	chat.on.on_delivery(l, c, &s, sent_at(l, &s));
}

static void acknowledged(struct load *l, struct client *c, struct slice text) {
	struct stamp s;

	if (!is_ours(l, chat_json_flat(text, "\"ref\":"), &s))
		return;
	l->me->n.acks++;
	raise_top(l, c, chat_json_number(chat_json_flat(text, "\"offset\":")));
	chat.on.on_ack(l, c, &s, sent_at(l, &s));
}

static void refused(struct load *l, struct client *c, struct slice text) {
	struct slice code = chat_json_member(text, "code"), why = chat_json_member(text, "message");
	char cause[CAUSE_TEXT];
	struct stamp s;

	snprintf(cause, sizeof(cause), "error %.*s", SLICE_ARGS(code));
	if (!c->is_in) {
		client_fail(&l->clients, c, cause, "the chat refuses the login: %.*s (%.*s)", SLICE_ARGS(code), SLICE_ARGS(why));
		return;
	}
	l->me->n.errors++;
	cause_add(l->me->causes, cause, 1);
	shared_set_problem(l->shared, "connection %u: the chat refuses a message: %.*s (%.*s)", client_number(&l->clients, c),
		SLICE_ARGS(code), SLICE_ARGS(why));
	if (is_ours(l, chat_json_member(text, "ref"), &s))
		chat.on.on_ack(l, c, &s, sent_at(l, &s));
}

/* The server has lost the room's past: numbers begin anew. */
static void reset(struct load *l, struct client *c, struct slice text) {
	c->position = chat_json_number(chat_json_member(text, "offset"));
	set_epoch(&chat.rooms[room_of(l, c)], chat_json_member(text, "epoch"));
	atomic_store(&l->shared->room_tops[room_of(l, c)], c->position);
	not_recovered(l, c);
}

static void on_message(struct clients *all, struct client *c, struct slice text) {
	struct load *l = all->arg;
	struct slice type = chat_json_member(text, "type");

	if (slice_eq_text(type, "chat") && c->is_in)
		delivered(l, c, text);
	else if (slice_eq_text(type, "ack"))
		acknowledged(l, c, text);
	else if (slice_eq_text(type, "connection"))
		log_in(all, c);
	else if (slice_eq_text(type, "login_ok"))
		logged_in(l, c, text);
	else if (slice_eq_text(type, "error"))
		refused(l, c, text);
	else if (slice_eq_text(type, "reset"))
		reset(l, c, text);
}

static void on_open(struct clients *all, struct client *c) {
	(void)all;
	c->is_in = false;
}

static void nothing(struct load *l, struct client *c, const struct stamp *s, uint64_t sent_ns) {
	(void)l;
	(void)c;
	(void)s;
	(void)sent_ns;
}

void chat_begin(struct load *l, struct chat_events events) {
	chat.on = events;
	if (chat.on.on_delivery == NULL)
		chat.on.on_delivery = nothing;
	if (chat.on.on_ack == NULL)
		chat.on.on_ack = nothing;
	chat.count = (uint32_t)l->o->rooms;
	chat.rooms = mem_zalloc(chat.count * sizeof(chat.rooms[0]));
	l->clients.on = (struct client_events){ .on_open = on_open, .on_message = on_message, .wants_text = true };
	if (l->o->publishers > 0)
		set_message(l);
}

void chat_fini(struct load *l) {
	(void)l;
	for (uint32_t i = 0; i < chat.count; i++)
		mem_free(chat.rooms[i].epoch);
	mem_free(chat.rooms);
}

void chat_publish(struct load *l, struct client *c, uint64_t time_ns) {
	struct publisher *p = &l->shared->publishers[c->number];
	struct stamp s = { .run = l->shared->run, .publisher = c->number, .message = p->sent, .time = stamp_time(time_ns - l->shared->opening_ns) };
	uint8_t bytes[STAMP_BYTES];

	p->sent++;
	stamp_write(&s, bytes);
	client_send(&l->clients, c, bytes);
}

uint64_t chat_lacking(const struct load *l) {
	uint64_t sum = 0;

	for (uint32_t i = 0; i < l->clients.count; i++) {
		const struct client *c = &l->clients.client[i];
		uint64_t top = l->shared->room_tops[room_of(l, c)];

		if (c->state == CLIENT_OPEN && c->is_in && c->position < top)
			sum += top - c->position;
	}
	return sum;
}
