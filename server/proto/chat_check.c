/* chat_check - what the chat accepts as names, rooms, channels and texts */
#include "server/proto/chat_check.h"

#include "common/base/ids.h"

#define BAD_CHARACTER UINT32_MAX

/* Cuts one character off the front. The texts come from a parser that has checked their UTF-8; a broken one is bad, not fatal. */
static uint32_t next_character(struct slice *s) {
	uint32_t c = s->ptr[0];
	size_t more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;

	*s = slice_skip(*s, 1);
	if (more == 0)
		return c;
	if (more > s->len) {
		*s = SLICE_EMPTY;
		return BAD_CHARACTER;
	}
	c &= 0x3Fu >> more;
	for (size_t i = 0; i < more; i++)
		c = c << 6 | (s->ptr[i] & 0x3Fu);
	*s = slice_skip(*s, more);
	return c;
}

static bool is_control(uint32_t c) {
	return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == BAD_CHARACTER;
}

/* Line and paragraph separators; embeddings, overrides and isolates of the bidirectional algorithm. */
static bool is_format_control(uint32_t c) {
	return c == 0x2028 || c == 0x2029 || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* Shows as nothing: white space, and the characters without width that are used to look like somebody else. */
static bool is_blank(uint32_t c) {
	return c == ' ' || c == '\t' || c == '\n' || c == 0xA0 || c == 0xAD || c == 0x1680 || c == 0x180E ||
	       (c >= 0x2000 && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x2060 ||
	       c == 0x2800 || c == 0x3000 || c == 0x3164 || c == 0xFEFF;
}

/* Something to see, and nothing that may not be in a name. *characters: how many. */
static bool is_plain(struct slice s, size_t *characters) {
	bool is_visible = false;

	for (*characters = 0; s.len > 0; (*characters)++) {
		uint32_t c = next_character(&s);

		if (is_control(c) || is_format_control(c))
			return false;
		is_visible = is_visible || !is_blank(c);
	}
	return is_visible;
}

bool chat_check_user(struct slice s) {
	size_t characters;

	return s.len <= CHAT_USER_MAX && is_plain(s, &characters);
}

bool chat_check_name(struct slice s) {
	size_t characters;

	return s.len <= CHAT_NAME_MAX * 4 && is_plain(s, &characters) && characters <= CHAT_NAME_MAX;
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
		uint32_t c = next_character(&s);

		if (is_control(c) || is_format_control(c) || is_blank(c))
			return false;
	}
	return true;
}

bool chat_check_text(struct slice s) {
	size_t characters = 0;
	bool is_visible = false;

	if (s.len > CHAT_TEXT_MAX * 4)
		return false;
	for (; s.len > 0; characters++) {
		uint32_t c = next_character(&s);

		if (is_control(c) && c != '\t' && c != '\n')
			return false;
		is_visible = is_visible || !is_blank(c);
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
