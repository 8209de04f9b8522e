/* utf8 - validation by the table of well-formed byte sequences (RFC 3629, section 4) */
#include "common/base/utf8.h"

/* How many bytes at the front are ASCII, as far as that shows eight at a time. */
static size_t ascii_run(const uint8_t *ptr, size_t len) {
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		uint64_t word;

		memcpy(&word, ptr + i, sizeof(word));
		if ((word & 0x8080808080808080) != 0)
			break;
	}
	return i;
}

static bool begin_character(struct utf8_state *state, uint8_t c) {
	if (c < 0xc2 || c > 0xf4)
		return false;
	state->need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	state->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	state->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return true;
}

bool utf8_feed(struct utf8_state *state, struct slice s) {
	struct utf8_state now = *state;
	size_t i = 0;

	while (i < s.len) {
		uint8_t c = s.ptr[i];

		if (now.need > 0) {
			if (c < now.low || c > now.high)
				return false;
			now.need--;
			now.low = 0x80;
			now.high = 0xbf;
			i++;
		} else if (c < 0x80) {
			i += 1 + ascii_run(s.ptr + i + 1, s.len - i - 1);
		} else {
			if (!begin_character(&now, c))
				return false;
			i++;
		}
	}
	*state = now;
	return true;
}

bool utf8_is_valid(struct slice s) {
	struct utf8_state state = { 0 };

	return utf8_feed(&state, s) && utf8_is_complete(&state);
}
