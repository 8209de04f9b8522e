/*
 * json_read - a JSON text taken apart in one pass, strictly (RFC 8259). The input is hostile.
 *
 * What others are handed on is not parsed and written again: that costs time, and it changes numbers, escapes and the order of
 * members. So values are what they are in the text: borrowed from it, byte for byte.
 * Takes no memory and no stack in the depth of the text, and time in proportion to its length.
 * Stricter than the grammar: \u0000, halves of surrogate pairs and numbers beyond a double are no JSON here.
 * Does not: check UTF-8, nor whether a name that nobody asked for, or one in a nested object, comes twice. Pure.
 */
#ifndef SERVER_PROTO_JSON_READ_H
#define SERVER_PROTO_JSON_READ_H

#include "common/base/slice.h"

/* Nested arrays and objects of a text. */
enum { JSON_DEPTH_MAX = 64 };

enum json_kind {
	JSON_KIND_NONE = 0,	/* of a member: it is missing; of a text: it is no JSON, or a name that was asked for comes twice */
	JSON_KIND_TOO_DEEP,	/* of a text: no JSON up to there would be another kind */
	JSON_KIND_NULL,
	JSON_KIND_BOOL,
	JSON_KIND_NUMBER,
	JSON_KIND_TEXT,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT,
};

struct json_value {
	struct slice raw;	/* as it stands in the text, text with its quotes; borrowed */
	uint8_t kind;		/* enum json_kind */
	bool has_escapes;	/* text only */
};

/* The kind of the whole text. If that is an object, values[i] is its member names[i] (plain ASCII; in the text it may be written
 * with escapes), all of them are set in any case. The most frequent names first: they are searched in this order. */
enum json_kind json_read(struct slice text, const struct slice *names, size_t count, struct json_value *values);

/* --- of values that json_read() has given --- */

/* What stands between the quotes of a text: what it says, if it has no escapes. */
struct slice json_inside(const struct json_value *text);
/* What a text with escapes says, into `out` with room for as much as stands between the quotes. Returns how much it is. */
size_t json_unescape(const struct json_value *text, uint8_t *out);
/* A number, a member of an object, that is whole and exact for readers whose numbers are doubles: 0 to 2^53 - 1, also as 1e3 or 5.0. */
bool json_whole_number(const struct json_value *value, uint64_t *out) MUST_CHECK;
/* Any value without the blanks between its parts, into `out` if it takes at most `max` bytes. */
bool json_compact(const struct json_value *value, uint8_t *out, size_t max, size_t *len) MUST_CHECK;

#endif
