/* slice - comparing, trimming and splitting borrowed bytes */
#include "common/base/slice.h"

#include "common/base/mem.h"

static uint8_t ascii_lower(uint8_t c) {
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool slice_eq_nocase(struct slice a, const char *text) {
	/* Names of headers begin alike, and differ in length. */
	if (strlen(text) != a.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (ascii_lower(a.ptr[i]) != ascii_lower((uint8_t)text[i]))
			return false;
	}
	return true;
}

struct slice slice_trim(struct slice s) {
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
		s = slice_skip(s, 1);
	while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool slice_next_part(struct slice *rest, uint8_t separator, struct slice *part) {
	const uint8_t *end;

	if (rest->ptr == NULL)
		return false;
	end = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
	if (end == NULL) {
		*part = *rest;
		*rest = SLICE_EMPTY;
		return true;
	}
	*part = slice_of(rest->ptr, (size_t)(end - rest->ptr));
	*rest = slice_skip(*rest, part->len + 1);
	return true;
}

bool slice_to_u64(struct slice s, uint64_t *out) {
	uint64_t value = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)s.ptr[i] - '0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

char *slice_dup_text(struct slice s) {
	char *text = mem_alloc(s.len + 1);

	if (s.len > 0)
		memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return text;
}
