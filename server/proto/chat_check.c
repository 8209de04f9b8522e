/* chat_check - what the chat accepts as names, rooms, channels and texts */
#include "server/proto/chat_check.h"

#include "common/base/ids.h"
#include "common/base/visible.h"

bool chat_check_user(struct slice s) {
	size_t characters;

	return s.len <= CHAT_USER_MAX && visible_is_plain(s, &characters);
}

bool chat_check_name(struct slice s) {
	size_t characters;

	return s.len <= CHAT_NAME_MAX * 4 && visible_is_plain(s, &characters) && characters <= CHAT_NAME_MAX;
}

static bool is_base64url(uint8_t c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool chat_check_room(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		if (!is_base64url(s.ptr[i]) && s.ptr[i] != '.' && s.ptr[i] != ':')
			return false;
	}
	return s.len > 0 && s.len <= CHAT_ROOM_MAX;
}

bool chat_check_channel(struct slice s) {
	if (s.len == 0 || s.len > CHAT_CHANNEL_MAX || s.ptr[0] == '$' || slice_starts_with(s, "room:"))
		return false;
	while (s.len > 0) {
		uint32_t c = visible_next(&s);

		if (visible_is_control(c) || visible_is_format_control(c) || visible_is_blank(c))
			return false;
	}
	return true;
}

bool chat_check_text(struct slice s) {
	size_t characters = 0;
	bool is_visible = false;

	if (s.len > CHAT_TEXT_MAX * 4)
		return false;
	while (s.len > 0) {
		size_t run = visible_ascii_run(s, &is_visible);
		uint32_t c;

		characters += run;
		s = slice_skip(s, run);
		if (s.len == 0)
			break;
		c = visible_next(&s);
		if (visible_is_control(c) && c != '\t' && c != '\n')
			return false;
		is_visible = is_visible || !visible_is_blank(c);
		characters++;
	}
	return is_visible && characters <= CHAT_TEXT_MAX;
}

bool chat_check_resume(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		if (!is_base64url(s.ptr[i]))
			return false;
	}
	return s.len == CHAT_RESUME_LEN;
}

bool chat_check_epoch(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7F)
			return false;
	}
	return s.len > 0 && s.len <= EPOCH_TEXT_MAX;
}
