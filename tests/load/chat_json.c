/* chat_json - finding members without taking the rest apart */
#include "tests/load/chat_json.h"

#include <stdio.h>

/* The end of the text whose first quote is at `at`: its last quote, or s.len. */
static size_t text_end(struct slice s, size_t at) {
	for (at++; at < s.len && s.ptr[at] != '"'; at++)
		at += s.ptr[at] == '\\' ? 1 : 0;
	return at < s.len ? at : s.len;
}

/* Behind the value that begins at `at`. */
static size_t value_end(struct slice s, size_t at) {
	size_t depth = 0;

	for (; at < s.len; at++) {
		uint8_t c = s.ptr[at];

		if (c == '"')
			at = text_end(s, at);
		else if (c == '{' || c == '[')
			depth++;
		else if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			return at;
		else if (c == '}' || c == ']')
			depth--;
	}
	return s.len;
}

static struct slice without_quotes(struct slice s) {
	return s.len >= 2 && s.ptr[0] == '"' ? slice_of(s.ptr + 1, s.len - 2) : s;
}

struct slice chat_json_member(struct slice object, const char *name) {
	size_t at = 1;

	while (at < object.len && object.ptr[at] == '"') {
		size_t end = text_end(object, at), value = end + 2, behind;

		if (value >= object.len)
			return SLICE_EMPTY;
		behind = value_end(object, value);
		if (slice_eq_text(slice_of(object.ptr + at + 1, end - at - 1), name))
			return without_quotes(slice_of(object.ptr + value, behind - value));
		at = behind + 1;
	}
	return SLICE_EMPTY;
}

struct slice chat_json_flat(struct slice object, const char *quoted_name_and_colon) {
	size_t len = strlen(quoted_name_and_colon);
	const uint8_t *at = memmem(object.ptr, object.len, quoted_name_and_colon, len);
	size_t value;

	if (at == NULL)
		return SLICE_EMPTY;
	value = (size_t)(at - object.ptr) + len;
	return without_quotes(slice_of(object.ptr + value, value_end(object, value) - value));
}

uint64_t chat_json_number(struct slice value) {
	uint64_t number;

	return slice_to_u64(value, &number) ? number : 0;
}

uint64_t chat_json_count(struct slice array, const char *type) {
	char begins[64];
	size_t len = (size_t)snprintf(begins, sizeof(begins), "{\"type\":\"%s\"", type);
	uint64_t count = 0;
	const uint8_t *at;

	while ((at = memmem(array.ptr, array.len, begins, len)) != NULL) {
		count++;
		array = slice_skip(array, (size_t)(at - array.ptr) + len);
	}
	return count;
}
