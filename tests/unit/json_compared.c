/* json_compared - two readers of JSON, one text */
#include "tests/unit/json_compared.h"

#include <jansson.h>

#include "common/base/mem.h"
#include "common/base/utf8.h"
#include "server/proto/json_read.h"

#define NAME(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static const struct slice names[] = { NAME("data"), NAME("type"), NAME("a"), NAME("") };

static json_t *load(struct slice text, size_t flags) {
	return json_loadb((const char *)text.ptr, text.len, flags | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
}

static unsigned depth_of(json_t *value) {
	unsigned most = 0, depth;
	const char *key;
	json_t *part;
	size_t i;

	if (!json_is_array(value) && !json_is_object(value))
		return 0;
	json_array_foreach(value, i, part) {
		depth = depth_of(part);
		most = depth > most ? depth : most;
	}
	json_object_foreach(value, key, part) {
		depth = depth_of(part);
		most = depth > most ? depth : most;
	}
	return most + 1;
}

static enum json_kind kind_of(const json_t *value) {
	if (value == NULL)
		return JSON_KIND_NONE;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return JSON_KIND_OBJECT;
	case JSON_ARRAY:
		return JSON_KIND_ARRAY;
	case JSON_STRING:
		return JSON_KIND_TEXT;
	case JSON_INTEGER:
	case JSON_REAL:
		return JSON_KIND_NUMBER;
	case JSON_NULL:
		return JSON_KIND_NULL;
	default:
		return JSON_KIND_BOOL;
	}
}

static void compare_text(const struct json_value *value, const json_t *expected) {
	struct slice inside = json_inside(value), says = slice_of(json_string_value(expected), json_string_length(expected));
	uint8_t *out;

	BUG_ON(value->has_escapes != (inside.len > 0 && memchr(inside.ptr, '\\', inside.len) != NULL));
	BUG_ON(!value->has_escapes && !slice_eq(inside, says));
	out = mem_alloc(inside.len + 1);
	BUG_ON(!slice_eq(slice_of(out, json_unescape(value, out)), says));
	mem_free(out);
}

static void compare_number(const struct json_value *value, double expected) {
	bool is_whole = expected >= 0 && expected < 0x1p53 && (double)(uint64_t)expected == expected;
	uint64_t number;

	BUG_ON(json_whole_number(value, &number) != is_whole || (is_whole && (double)number != expected));
}

static void compare_compact(const struct json_value *value, json_t *expected) {
	size_t len, again, max = value->raw.len;
	uint8_t *out = mem_alloc(max);
	struct json_value compact = *value;
	json_t *loaded;

	BUG_ON(!json_compact(value, out, max, &len));
	BUG_ON(json_compact(value, out, len - 1, &again));
	BUG_ON(!json_compact(value, out, len, &again) || again != len);
	compact.raw = slice_of(out, len);
	loaded = load(compact.raw, 0);
	BUG_ON(!json_equal(loaded, expected));
	BUG_ON(kind_of(expected) != JSON_KIND_TEXT && len < max && memchr(out, '\n', len) != NULL);
	json_decref(loaded);
	mem_free(out);
}

static void compare_member(struct slice text, const struct json_value *value, json_t *expected) {
	uint64_t number;
	json_t *loaded;

	BUG_ON(value->kind != kind_of(expected));
	BUG_ON(value->kind != JSON_KIND_NUMBER && json_whole_number(value, &number));
	if (expected == NULL)
		return;
	BUG_ON(value->raw.ptr <= text.ptr || value->raw.ptr + value->raw.len >= text.ptr + text.len);
	loaded = load(value->raw, 0);
	BUG_ON(!json_equal(loaded, expected));
	json_decref(loaded);
	if (value->kind == JSON_KIND_TEXT)
		compare_text(value, expected);
	if (value->kind == JSON_KIND_NUMBER)
		compare_number(value, json_real_value(expected));
	compare_compact(value, expected);
}

static void compare(struct slice text, enum json_kind kind, const struct json_value *values) {
	json_t *root = load(text, 0), *unique = load(text, JSON_REJECT_DUPLICATES);

	/* A bare number is not asked how large it is. */
	if (root == NULL)
		BUG_ON(kind > JSON_KIND_TOO_DEEP && kind != JSON_KIND_NUMBER);
	else if (depth_of(root) > JSON_DEPTH_MAX)
		BUG_ON(kind != JSON_KIND_TOO_DEEP && unique != NULL);
	else
		BUG_ON(kind != kind_of(root) && (kind != JSON_KIND_NONE || unique != NULL));
	if (kind == JSON_KIND_OBJECT) {
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			compare_member(text, &values[i], json_object_get(root, (const char *)names[i].ptr));
	}
	json_decref(unique);
	json_decref(root);
}

void json_compare(struct slice text) {
	struct json_value values[ARRAY_LEN(names)];
	enum json_kind kind = json_read(text, names, ARRAY_LEN(names), values);

	/* A NUL behind a number is nothing to jansson. */
	if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
		BUG_ON(kind > JSON_KIND_TOO_DEEP);
	else if (utf8_is_valid(text))
		compare(text, kind, values);
}
