/* json_raw - parts of a JSON text as they came, byte for byte */
#include "server/proto/json_raw.h"

static bool is_blank(uint8_t c) {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice skip_blanks(struct slice s) {
	while (s.len > 0 && is_blank(s.ptr[0]))
		s = slice_skip(s, 1);
	return s;
}

/* Length of the string that s begins with, quotes included; 0 when it does not end. */
static size_t string_len(struct slice s) {
	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Of an array or object, brackets included; 0 when it does not end. */
static size_t nested_len(struct slice s) {
	size_t depth = 0, len;

	for (size_t i = 0; i < s.len; i++) {
		switch (s.ptr[i]) {
		case '"':
			len = string_len(slice_skip(s, i));
			if (len == 0)
				return 0;
			i += len - 1;
			break;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return i + 1;
			break;
		}
	}
	return 0;
}

/* Of a number, true, false or null: up to what ends it. */
static size_t word_len(struct slice s) {
	size_t i = 0;

	while (i < s.len && !is_blank(s.ptr[i]) && memchr(",]}:[{\"", s.ptr[i], 7) == NULL)
		i++;
	return i;
}

/* 0: there is no value, or it does not end. */
static size_t value_len(struct slice s) {
	if (s.len == 0)
		return 0;
	if (s.ptr[0] == '"')
		return string_len(s);
	if (s.ptr[0] == '{' || s.ptr[0] == '[')
		return nested_len(s);
	return word_len(s);
}

bool json_raw_depth_within(struct slice text, unsigned max) {
	size_t depth = 0, len;

	for (size_t i = 0; i < text.len; i++) {
		switch (text.ptr[i]) {
		case '"':
			len = string_len(slice_skip(text, i));
			if (len == 0)
				return true;
			i += len - 1;
			break;
		case '{':
		case '[':
			if (++depth > max)
				return false;
			break;
		case '}':
		case ']':
			if (depth > 0)
				depth--;
			break;
		}
	}
	return true;
}

static unsigned hex_digit(uint8_t c) {
	if (c >= '0' && c <= '9')
		return c - (unsigned)'0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - (unsigned)'a' + 10 : 0xFFFF;
}

/* The next character of a string's inside, cut off its front, as far as it can be one of an ASCII name: others give a number
 * above 0x7F. */
static unsigned next_char(struct slice *s) {
	static const char escaped[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	unsigned c = s->ptr[0];
	const char *found;

	*s = slice_skip(*s, 1);
	if (c != '\\' || s->len == 0)
		return c;
	c = s->ptr[0];
	*s = slice_skip(*s, 1);
	if (c == 'u') {
		c = 0;
		for (int i = 0; i < 4 && s->len > 0; i++) {
			c = c << 4 | hex_digit(s->ptr[0]);
			*s = slice_skip(*s, 1);
		}
		return c;
	}
	found = c != '\0' ? strchr(escaped, (int)c) : NULL;
	return found != NULL ? (unsigned char)meant[found - escaped] : 0xFFFF;
}

/* inside: of the quotes */
static bool is_name(struct slice inside, const char *name) {
	for (; *name != '\0'; name++) {
		if (inside.len == 0 || next_char(&inside) != (unsigned char)*name)
			return false;
	}
	return inside.len == 0;
}

bool json_raw_member(struct slice text, const char *name, struct slice *value) {
	struct slice s = skip_blanks(text);

	if (s.len == 0 || s.ptr[0] != '{')
		return false;
	for (;;) {
		size_t len;
		bool is_it;

		/* Behind '{' or ',': a name. */
		s = skip_blanks(slice_skip(s, 1));
		if (s.len == 0 || s.ptr[0] != '"' || (len = string_len(s)) == 0)
			return false;
		is_it = is_name(slice_of(s.ptr + 1, len - 2), name);
		s = skip_blanks(slice_skip(s, len));
		if (s.len == 0 || s.ptr[0] != ':')
			return false;
		s = skip_blanks(slice_skip(s, 1));
		len = value_len(s);
		if (len == 0)
			return false;
		if (is_it) {
			*value = slice_of(s.ptr, len);
			return true;
		}
		s = skip_blanks(slice_skip(s, len));
		if (s.len == 0 || s.ptr[0] != ',')
			return false;
	}
}

void json_raw_compact(struct slice value, struct buf *out) {
	while (value.len > 0) {
		size_t len = 1;

		if (value.ptr[0] == '"' && (len = string_len(value)) == 0)
			len = value.len;
		if (!is_blank(value.ptr[0]))
			buf_add(out, slice_of(value.ptr, len));
		value = slice_skip(value, len);
	}
}
