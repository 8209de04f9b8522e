/* visible - which characters of a text can be seen */
#include "common/base/visible.h"

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

enum { WORD_BYTES = sizeof(uint64_t) };

/* All bytes from 0x20 to 0x7E? Below, the subtraction sets the highest bit, and 0x7F gets it by the sum. */
static bool read_ascii(const uint8_t *ptr, uint64_t *seen) {
	uint64_t word;

	memcpy(&word, ptr, sizeof(word));
	*seen |= word ^ EACH_BYTE(' ');
	return ((word | (word - EACH_BYTE(0x20)) | (word + EACH_BYTE(1))) & EACH_BYTE(0x80)) == 0;
}

size_t visible_ascii_run(struct slice s, bool *is_visible) {
	uint64_t all = 0, seen = 0;
	size_t i = 0;

	for (; s.len - i >= WORD_BYTES && read_ascii(s.ptr + i, &seen); i += WORD_BYTES)
		all = seen;
	/* The rest, with some of what has been seen. */
	if (i > 0 && s.len - i < WORD_BYTES && read_ascii(s.ptr + s.len - WORD_BYTES, &seen)) {
		all = seen;
		i = s.len;
	}
	*is_visible = *is_visible || all != 0;
	return i;
}

uint32_t visible_next(struct slice *s) {
	uint32_t c = s->ptr[0];
	size_t more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;

	*s = slice_skip(*s, 1);
	if (more == 0)
		return c;
	if (more > s->len) {
		*s = SLICE_EMPTY;
		return VISIBLE_BAD_CHARACTER;
	}
	c &= 0x3Fu >> more;
	for (size_t i = 0; i < more; i++)
		c = c << 6 | (s->ptr[i] & 0x3Fu);
	*s = slice_skip(*s, more);
	return c;
}

bool visible_is_control(uint32_t c) {
	return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == VISIBLE_BAD_CHARACTER;
}

bool visible_is_format_control(uint32_t c) {
	return c == 0x2028 || c == 0x2029 || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

bool visible_is_blank(uint32_t c) {
	return c == ' ' || c == '\t' || c == '\n' || c == 0xA0 || c == 0xAD || c == 0x1680 || c == 0x180E ||
	       (c >= 0x2000 && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x2060 ||
	       c == 0x2800 || c == 0x3000 || c == 0x3164 || c == 0xFEFF;
}

bool visible_is_plain(struct slice s, size_t *characters) {
	bool is_visible = false;

	*characters = 0;
	while (s.len > 0) {
		size_t run = visible_ascii_run(s, &is_visible);
		uint32_t c;

		*characters += run;
		s = slice_skip(s, run);
		if (s.len == 0)
			break;
		c = visible_next(&s);
		if (visible_is_control(c) || visible_is_format_control(c))
			return false;
		is_visible = is_visible || !visible_is_blank(c);
		(*characters)++;
	}
	return is_visible;
}
