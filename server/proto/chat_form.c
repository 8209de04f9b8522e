/* chat_form - the chat's messages as they go over the wire to everybody who is concerned */
#include "server/proto/chat_form.h"

#include "server/proto/chat_texts.h"
#include "server/proto/json_read.h"
#include "server/proto/json_write.h"
#include "server/proto/proto.h"

static bool is_room(struct slice channel) {
	return slice_starts_with(channel, CHANNEL_ROOM_PREFIX);
}

static struct slice room_of(struct slice channel) {
	return slice_skip(channel, sizeof(CHANNEL_ROOM_PREFIX) - 1);
}

/* Nobody comes back to the server's own channels with a position. */
static bool has_positions(struct slice channel) {
	return channel.len > 0 && channel.ptr[0] != '$';
}

void chat_form_place(struct slice channel, struct buf *out) {
	if (is_room(channel))
		json_write_member_text(out, "room", room_of(channel));
	else
		json_write_member_text(out, "channel", channel);
}

void chat_form_position(struct slice epoch, uint64_t offset, struct buf *out) {
	json_write_member_text(out, "epoch", epoch);
	json_write_member_u64(out, "offset", offset);
}

uint8_t chat_form_publication(const struct hub_publication *p, struct buf *out, void *unused UNUSED) {
	switch (p->kind) {
	case PAYLOAD_CHAT:
		buf_add_u8(out, '{');
		buf_add(out, p->data);
		break;
	case PAYLOAD_JSON:
		buf_add_text(out, "{\"type\":\"publication\"");
		json_write_member_text(out, "channel", p->channel);
		if (is_room(p->channel))
			json_write_member_text(out, "room", room_of(p->channel));
		json_write_member_raw(out, "data", p->data);
		break;
	default:
		return HUB_SKIP;
	}
	if (has_positions(p->channel))
		chat_form_position(p->epoch, p->offset, out);
	json_write_member_u64(out, "time", p->time_ms);
	buf_add_u8(out, '}');
	return WS_TEXT;
}

/* The name of a member, escaped, without quotes. Members of other front ends may have none: then it is the id. */
static void write_name(struct slice member, struct slice info, struct buf *out) {
	static const struct slice name = { (const uint8_t *)"name", 4 };
	struct json_value value;

	if (json_read(info, &name, 1, &value) == JSON_KIND_OBJECT && value.kind == JSON_KIND_TEXT)
		buf_add(out, json_inside(&value));
	else
		json_write_escaped(out, member);
}

static void write_who(struct slice member, struct slice info, struct buf *out) {
	buf_add_text(out, "\"userId\":");
	json_write_text(out, member);
	buf_add_text(out, ",\"name\":\"");
	write_name(member, info, out);
	buf_add_u8(out, '"');
}

void chat_form_member(struct slice member, struct slice info, struct buf *out) {
	buf_add_u8(out, '{');
	write_who(member, info, out);
	buf_add_u8(out, '}');
}

static void write_event(const struct hub_member_event *m, struct buf *out) {
	buf_add_text(out, m->is_join ? "{\"type\":\"user_joined\"," : "{\"type\":\"user_left\",");
	write_who(m->member, m->info, out);
	json_write_member_text(out, "room", room_of(m->channel));
	json_write_member_u64(out, "count", m->member_count);
	buf_add_u8(out, '}');
}

static void write_event_text(const struct hub_member_event *m, int locale, struct buf *out) {
	buf_add_text(out, "{\"type\":\"system\",\"message\":\"");
	write_name(m->member, m->info, out);
	buf_add_text(out, m->is_join ? chat_text_joined(locale) : chat_text_left(locale));
	buf_add_u8(out, '"');
	json_write_member_text(out, "room", room_of(m->channel));
	buf_add_u8(out, '}');
}

static uint8_t form_member_event(const struct hub_member_event *m, unsigned part, bool *count_later, struct buf *out, void *arg) {
	const struct config *config = arg;

	if (!is_room(m->channel))
		return HUB_SKIP;
	if (m->member_count > config->room_announce_limit) {
		*count_later = true;
		return HUB_SKIP;
	}
	switch (part) {
	case 0:
		write_event(m, out);
		return WS_TEXT;
	case 1:
		write_event_text(m, config->locale, out);
		return WS_TEXT;
	default:
		return HUB_SKIP;
	}
}

static uint8_t form_member_count(struct slice channel, uint32_t count, struct buf *out, void *unused UNUSED) {
	if (!is_room(channel))
		return HUB_SKIP;
	buf_add_text(out, "{\"type\":\"count\"");
	json_write_member_text(out, "room", room_of(channel));
	json_write_member_u64(out, "count", count);
	buf_add_u8(out, '}');
	return WS_TEXT;
}

static uint8_t form_reset(struct slice channel, const struct hub_position *p, struct buf *out, void *unused UNUSED) {
	if (!has_positions(channel))
		return HUB_SKIP;
	buf_add_text(out, "{\"type\":\"reset\"");
	chat_form_place(channel, out);
	chat_form_position(slice_text(p->epoch), p->offset, out);
	buf_add_text(out, ",\"recovered\":false}");
	return WS_TEXT;
}

void chat_form_init(struct hub_form *form, const struct config *config) {
	*form = (struct hub_form){
		.name = "chat",
		.publication = chat_form_publication,
		.member_event = form_member_event,
		.member_count = form_member_count,
		.reset = form_reset,
		/* The slot is shared with forms that write to their argument; this one only reads. */
		.arg = (void *)(uintptr_t)config,
	};
}
