/* visible - which characters of a text can be seen */
#include "common/base/visible.h"

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

	for (*characters = 0; s.len > 0; (*characters)++) {
		uint32_t c = visible_next(&s);

		if (visible_is_control(c) || visible_is_format_control(c))
			return false;
		is_visible = is_visible || !visible_is_blank(c);
	}
	return is_visible;
}
