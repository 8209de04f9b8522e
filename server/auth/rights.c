/* rights - names of rights; patterns of names */
#include "server/auth/rights.h"

static const struct {
	const char *name;
	uint8_t bit;
} rights[] = {
#define AUTH_RIGHT(name, bit) { #name, RIGHT_##name },
#include "server/auth/rights.tbl"
};

uint8_t right_find(struct slice name) {
	for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
		if (slice_eq_text(name, rights[i].name))
			return rights[i].bit;
	}
	return 0;
}

bool pattern_matches(struct slice pattern, struct slice text) {
	size_t p = 0, t = 0, star = SIZE_MAX, taken = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			taken = t;
		} else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			/* The latest star takes one more; the ones before it need not, whatever they take. */
			p = star + 1;
			t = ++taken;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}
