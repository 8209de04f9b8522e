/* chat_answers - what the answers of the chat have in common */
#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "server/proto/chat_form.h"
#include "server/proto/chat_session.h"
#include "server/proto/json_write.h"

/* --- requests without an answer --- */

struct chat_pending *chat_pending_new(struct chat_session *s, const struct chat_request *r, struct slice channel) {
	struct chat_pending *p = mem_zalloc(sizeof(*p) + r->ref.len + channel.len);

	p->cost = 1 + (uint32_t)(r->text.len / 1024);
	p->ref_len = (uint16_t)r->ref.len;
	p->channel_len = (uint16_t)channel.len;
	if (r->ref.len > 0)
		memcpy(p->bytes, r->ref.ptr, r->ref.len);
	memcpy(p->bytes + r->ref.len, channel.ptr, channel.len);
	s->pending_cost = (uint16_t)(s->pending_cost + p->cost);
	return p;
}

struct chat_pending *chat_pending_again(struct chat_session *s, const struct chat_pending *p) {
	s->pending_cost = (uint16_t)(s->pending_cost + p->cost);
	return mem_dup(p, sizeof(*p) + p->ref_len + p->channel_len);
}

struct chat_session *chat_pending_done(struct hub_client *client, const struct chat_pending *p) {
	struct chat_session *s = container_of(client, struct chat_session, base.hub);

	s->pending_cost = (uint16_t)(s->pending_cost - p->cost);
	return s;
}

/* --- answers --- */

void chat_write_user(const struct chat_session *s, struct buf *b) {
	struct slice info = hub_client_info(&s->base.hub);

	buf_add_text(b, "\"userId\":");
	json_write_text(b, chat_user_id(s));
	/* An object with its name; none, if the session has ended meanwhile. */
	if (info.len > 2) {
		buf_add_u8(b, ',');
		buf_add(b, slice_of(info.ptr + 1, info.len - 2));
	}
}

struct buf *chat_answer_begin(struct chat_session *s, const char *type) {
	struct buf *b = proto_scratch(s->base.context);

	buf_add_text(b, "{\"type\":\"");
	buf_add_text(b, type);
	buf_add_u8(b, '"');
	return b;
}

void chat_answer_send(struct chat_session *s, struct buf *b, struct slice ref) {
	if (ref.len > 0)
		json_write_member_raw(b, "ref", ref);
	buf_add_u8(b, '}');
	if (b->failed)
		conn_close(s->base.hub.conn, CLOSE_internal_error, NULL);
	else
		conn_send(s->base.hub.conn, WS_TEXT, buf_slice(b));
}

enum chat_error chat_error_of(enum ipc_result result) {
	switch (result) {
	case IPC_OK:
	case IPC_REPEATED:
		return CHAT_OK;
	case IPC_TAKEN:
		return CHAT_user_taken;
	case IPC_FULL:
		return CHAT_room_full;
	case IPC_UNCERTAIN:
		return CHAT_uncertain;
	case IPC_UNAVAILABLE:
		break;
	}
	return CHAT_unavailable;
}

void chat_fail(struct chat_session *s, enum chat_error error, struct slice ref) {
	chat_fail_with(s, error, NULL, ref);
}

/* Else it is the state of things, and asking again is right. */
static bool is_clients_fault(enum chat_error error) {
	switch (error) {
	case CHAT_busy:
	case CHAT_unavailable:
	case CHAT_uncertain:
	case CHAT_rate_limited:
	case CHAT_room_full:
	case CHAT_muted:
		return false;
	default:
		return true;
	}
}

void chat_fail_with(struct chat_session *s, enum chat_error error, const char *detail, struct slice ref) {
	struct buf *b = chat_answer_begin(s, "error");

	stat_add_in(STAT_chat_errors, error);
	json_write_member_text(b, "code", slice_text(chat_error_code(error)));
	json_write_member_text(b, "message", slice_text(chat_error_sentence(error)));
	if (detail != NULL)
		json_write_member_text(b, "detail", slice_text(detail));
	if (s->base.context->retry_after_ms > 0)
		json_write_member_seconds(b, "retry_after", s->base.context->retry_after_ms);
	s->base.context->retry_after_ms = 0;
	chat_answer_send(s, b, ref);
	if (is_clients_fault(error) && ++s->errors >= s->base.context->config->client_errors)
		conn_close(s->base.hub.conn, CLOSE_policy, NULL);
}

/* Lists together take at most 7/8 of what may wait for a client, so an answer alone never closes a client that reads. */
size_t chat_messages_budget(const struct chat_session *s) {
	return (size_t)s->base.context->config->client_queue_bytes / 4 * 3;
}

size_t chat_members_budget(const struct chat_session *s) {
	return (size_t)s->base.context->config->client_queue_bytes / 8;
}

/* --- members --- */

static bool has_member(struct slice members, struct slice id) {
	struct ipc_member m;

	while (ipc_next_member(&members, &m)) {
		if (slice_eq(m.member, id))
			return true;
	}
	return false;
}

void chat_answer_members(const struct chat_session *s, const struct hub_snapshot *snapshot, struct buf *b) {
	int64_t announce_limit = s->base.context->config->room_announce_limit;
	size_t start = b->len, listed = 0, max = SIZE_MAX;
	struct slice members = snapshot->members;
	uint32_t count = snapshot->member_count;
	struct ipc_member m;
	bool has_self;

	/* A room that is too large to announce each arrival is too large to be listed at once. */
	if (count > announce_limit)
		max = HUB_FEW_MEMBERS;
	has_self = has_member(members, chat_user_id(s));
	buf_add_text(b, ",\"users\":[");
	while (listed < max && b->len - start < chat_members_budget(s) && ipc_next_member(&members, &m)) {
		if (listed++ > 0)
			buf_add_u8(b, ',');
		chat_form_member(m.member, m.info, b);
	}
	/* The room does not know of this user yet: the list was made before its arrival. */
	if (!has_self && listed == count) {
		buf_add_text(b, listed > 0 ? ",{" : "{");
		chat_write_user(s, b);
		buf_add_u8(b, '}');
		count++;
	}
	buf_add_u8(b, ']');
	json_write_member_u64(b, "count", count);
}

/* --- messages --- */

static struct hub_publication publication_of(const struct hub_snapshot *snapshot, const struct ipc_publication *p) {
	return (struct hub_publication){
		.channel = snapshot->channel,
		.epoch = slice_text(snapshot->position.epoch),
		.data = p->data,
		.offset = p->offset,
		.time_ms = p->time_ms,
		.kind = p->kind,
	};
}

/* The first `skip` are left out; stops when the budget is used up. Returns how many it has looked at. */
static size_t write_messages(const struct hub_snapshot *snapshot, size_t skip, size_t budget, struct buf *b) {
	struct slice rest = snapshot->publications;
	struct ipc_publication p;
	size_t start, seen = 0;
	bool is_first = true;

	buf_add_text(b, ",\"messages\":[");
	start = b->len;
	while (b->len - start < budget && ipc_next_publication(&rest, &p)) {
		struct hub_publication publication = publication_of(snapshot, &p);
		size_t comma = b->len;

		if (seen++ < skip)
			continue;
		if (!is_first)
			buf_add_u8(b, ',');
		if (chat_form_publication(&publication, b, NULL) == HUB_SKIP)
			b->len = comma;
		else
			is_first = false;
	}
	buf_add_u8(b, ']');
	return seen;
}

/* About what write_messages() makes of it. */
static size_t message_size(const struct hub_snapshot *snapshot, const struct ipc_publication *p) {
	return p->data.len + 2 * snapshot->channel.len + strlen(snapshot->position.epoch) + 120;
}

/* How many there are, and how many of the newest fit into the budget (one at least). */
static size_t count_messages(const struct hub_snapshot *snapshot, size_t budget, size_t *fitting) {
	struct slice rest = snapshot->publications;
	struct ipc_publication p;
	size_t count = 0, all = 0, dropped = 0;

	while (ipc_next_publication(&rest, &p)) {
		all += message_size(snapshot, &p);
		count++;
	}
	rest = snapshot->publications;
	for (; all > budget && dropped + 1 < count && ipc_next_publication(&rest, &p); dropped++)
		all -= message_size(snapshot, &p);
	*fitting = count - dropped;
	return count;
}

void chat_answer_missed(const struct chat_session *s, const struct hub_snapshot *snapshot, struct buf *b) {
	size_t budget = chat_messages_budget(s), fitting = 0;
	bool recovered = snapshot->asked_since && snapshot->recovered;

	/* All that was missed, or none of it: a part would be a gap that nobody is told of. */
	if (recovered)
		recovered = count_messages(snapshot, budget, &fitting) == fitting;
	if (recovered)
		write_messages(snapshot, 0, SIZE_MAX, b);
	else
		buf_add_text(b, ",\"messages\":[]");
	if (snapshot->asked_since)
		json_write_member_bool(b, "recovered", recovered);
}

void chat_answer_history(const struct chat_session *s, const struct hub_snapshot *snapshot, bool newest, struct buf *b) {
	size_t budget = chat_messages_budget(s), fitting, count, seen;

	count = count_messages(snapshot, budget, &fitting);
	seen = newest ? write_messages(snapshot, count - fitting, SIZE_MAX, b) : write_messages(snapshot, 0, budget, b);
	json_write_member_bool(b, "more", snapshot->more || (newest ? fitting : seen) < count);
}
