/* json_read - JSON taken apart */
#include "server/proto/json_read.h"

#include <math.h>
#include <stdlib.h>

#include "server/proto/json_scan.h"

/* A number of so many digits is surely a double's. A name that is asked for has at most 16 characters, each of which may be written as
 * six bytes. */
enum { DOUBLE_DIGITS = 308, ESCAPED_NAME_MAX = 6 * 16 };
#define WHOLE_NUMBER_MAX 9007199254740991.0
/* Beyond what an exponent could make up for. */
#define EXPONENT_MAX INT64_C(1000000000000)

struct reader {
	const uint8_t *at, *end;
	bool is_too_deep;
};

/* --- characters --- */

/* Of what comes behind blanks; 0, which stands nowhere outside of strings, at the end. */
static inline uint8_t peek(struct reader *r) {
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
		r->at++;
	return r->at < r->end ? *r->at : 0;
}

static bool is_digit(uint8_t c) {
	return c >= '0' && c <= '9';
}

static bool read_hex(const uint8_t **at, const uint8_t *end, uint32_t *out) {
	*out = 0;
	if (end - *at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		uint8_t c = *(*at)++, letter = c | 0x20;

		if (!is_digit(c) && !(letter >= 'a' && letter <= 'f'))
			return false;
		*out = *out << 4 | (uint32_t)(is_digit(c) ? c - '0' : letter - 'a' + 10);
	}
	return true;
}

/* What is escaped at `at`, which stands behind the backslash and is moved on. */
static bool read_escape(const uint8_t **at, const uint8_t *end, uint32_t *out) {
	static const char escaped[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t low;

	if (*at == end)
		return false;
	if (**at != 'u') {
		found = memchr(escaped, **at, sizeof(escaped) - 1);
		*out = found != NULL ? (uint8_t)meant[found - escaped] : 0;
		(*at)++;
		return found != NULL;
	}
	(*at)++;
	if (!read_hex(at, end, out) || *out == 0 || (*out >= 0xDC00 && *out < 0xE000))
		return false;
	if (*out < 0xD800 || *out >= 0xE000)
		return true;
	if (end - *at < 2 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return false;
	*at += 2;
	if (!read_hex(at, end, &low) || low < 0xDC00 || low >= 0xE000)
		return false;
	*out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

static uint8_t *write_utf8(uint8_t *out, uint32_t c) {
	if (c < 0x80) {
		*out++ = (uint8_t)c;
		return out;
	}
	if (c < 0x800) {
		*out++ = (uint8_t)(0xC0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*out++ = (uint8_t)(0xE0 | c >> 12);
		} else {
			*out++ = (uint8_t)(0xF0 | c >> 18);
			*out++ = (uint8_t)(0x80 | (c >> 12 & 0x3F));
		}
		*out++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
	}
	*out++ = (uint8_t)(0x80 | (c & 0x3F));
	return out;
}

/* --- values without parts --- */

/* At the quote. */
static bool read_text(struct reader *r, bool *has_escapes) {
	uint32_t character;

	*has_escapes = false;
	r->at++;
	for (;;) {
		r->at += json_plain_len(slice_of(r->at, (size_t)(r->end - r->at)));
		if (r->at == r->end)
			return false;
		switch (*r->at++) {
		case '"':
			return true;
		case '\\':
			*has_escapes = true;
			if (!read_escape(&r->at, r->end, &character))
				return false;
			break;
		default:
			return false;
		}
	}
}

static size_t read_digits(struct reader *r) {
	const uint8_t *start = r->at;

	while (r->at < r->end && is_digit(*r->at))
		r->at++;
	return (size_t)(r->at - start);
}

/* Behind the e. */
static bool read_exponent(struct reader *r, int64_t *exponent) {
	bool is_negative = r->at < r->end && *r->at == '-';
	const uint8_t *digit;

	if (is_negative || (r->at < r->end && *r->at == '+'))
		r->at++;
	digit = r->at;
	if (read_digits(r) == 0)
		return false;
	for (*exponent = 0; digit < r->at && *exponent < EXPONENT_MAX; digit++)
		*exponent = *exponent * 10 + (*digit - '0');
	if (is_negative)
		*exponent = -*exponent;
	return true;
}

/* Something stands behind it in the text, where it ends for strtod(), too. */
static double number_at(const uint8_t *number) {
	return strtod((const char *)number, NULL);
}

static bool read_number(struct reader *r) {
	const uint8_t *start = r->at;
	int64_t exponent = 0;
	size_t digits;

	if (*r->at == '-')
		r->at++;
	if (r->at < r->end && *r->at == '0') {
		r->at++;
		digits = 1;
	} else {
		digits = read_digits(r);
	}
	if (digits == 0)
		return false;
	if (r->at < r->end && *r->at == '.') {
		r->at++;
		if (read_digits(r) == 0)
			return false;
	}
	if (r->at < r->end && (*r->at | 0x20) == 'e') {
		r->at++;
		if (!read_exponent(r, &exponent))
			return false;
	}
	/* At the end of the text it is no member of anything: nobody will ask how large it is. */
	return (int64_t)digits + exponent <= DOUBLE_DIGITS || r->at == r->end || isfinite(number_at(start));
}

static bool read_word(struct reader *r, const char *word, size_t len) {
	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return false;
	r->at += len;
	return true;
}

/* Begins with c; JSON_KIND_NONE: there is none. */
static enum json_kind read_simple(struct reader *r, uint8_t c, bool *has_escapes) {
	switch (c) {
	case '"':
		return read_text(r, has_escapes) ? JSON_KIND_TEXT : JSON_KIND_NONE;
	case 't':
		return read_word(r, "true", 4) ? JSON_KIND_BOOL : JSON_KIND_NONE;
	case 'f':
		return read_word(r, "false", 5) ? JSON_KIND_BOOL : JSON_KIND_NONE;
	case 'n':
		return read_word(r, "null", 4) ? JSON_KIND_NULL : JSON_KIND_NONE;
	default:
		return (c == '-' || is_digit(c)) && read_number(r) ? JSON_KIND_NUMBER : JSON_KIND_NONE;
	}
}

/* --- arrays and objects --- */

/* Of a member, with its quotes, and the colon. */
static bool read_name(struct reader *r, struct json_value *name) {
	if (peek(r) != '"')
		return false;
	name->raw.ptr = r->at;
	if (!read_text(r, &name->has_escapes))
		return false;
	name->raw.len = (size_t)(r->at - name->raw.ptr);
	if (peek(r) != ':')
		return false;
	r->at++;
	return true;
}

/* At the bracket. `objects` has a bit for each that is open, the innermost the lowest: is it an object? */
static bool read_nested(struct reader *r, unsigned may_open) {
	struct json_value name;
	uint64_t objects = 0;
	unsigned open = 0;

	for (;;) {
		uint8_t c = peek(r);

		if (c == '{' || c == '[') {
			if (open++ == may_open) {
				r->is_too_deep = true;
				return false;
			}
			objects = objects << 1 | (c == '{');
			r->at++;
			c = peek(r);
			if (c != '}' && c != ']') {
				if ((objects & 1) != 0 && !read_name(r, &name))
					return false;
				continue;
			}
		} else {
			if (read_simple(r, c, &name.has_escapes) == JSON_KIND_NONE)
				return false;
			c = peek(r);
		}
		for (; c == '}' || c == ']'; c = peek(r)) {
			if ((c == '}') != ((objects & 1) != 0))
				return false;
			r->at++;
			objects >>= 1;
			if (--open == 0)
				return true;
		}
		if (c != ',')
			return false;
		r->at++;
		if ((objects & 1) != 0 && !read_name(r, &name))
			return false;
	}
}

static bool read_value(struct reader *r, unsigned may_open, struct json_value *v) {
	uint8_t c = peek(r);

	v->raw.ptr = r->at;
	if (c == '{' || c == '[')
		v->kind = !read_nested(r, may_open) ? JSON_KIND_NONE : c == '{' ? JSON_KIND_OBJECT : JSON_KIND_ARRAY;
	else
		v->kind = (uint8_t)read_simple(r, c, &v->has_escapes);
	v->raw.len = (size_t)(r->at - v->raw.ptr);
	return v->kind != JSON_KIND_NONE;
}

/* --- the members of the outermost object --- */

struct asked {
	const struct slice *names;
	size_t count;
	struct json_value *values;
	struct json_value other;	/* of whatever has a name that is not among them */
};

static struct json_value *find(struct asked *a, const struct json_value *text) {
	uint8_t unescaped[ESCAPED_NAME_MAX];
	struct slice name = json_inside(text);

	a->other.kind = JSON_KIND_NONE;
	if (text->has_escapes) {
		if (name.len > sizeof(unescaped))
			return &a->other;
		name = slice_of(unescaped, json_unescape(text, unescaped));
	}
	for (size_t i = 0; i < a->count; i++) {
		if (a->names[i].len == name.len && memcmp(a->names[i].ptr, name.ptr, name.len) == 0)
			return &a->values[i];
	}
	return &a->other;
}

/* At the bracket. */
static bool read_members(struct reader *r, struct asked *a) {
	struct json_value name, *value;
	uint8_t c;

	r->at++;
	if (peek(r) == '}') {
		r->at++;
		return true;
	}
	for (;;) {
		if (!read_name(r, &name))
			return false;
		value = find(a, &name);
		if (value->kind != JSON_KIND_NONE || !read_value(r, JSON_DEPTH_MAX - 1, value))
			return false;
		c = peek(r);
		if (c != ',' && c != '}')
			return false;
		r->at++;
		if (c == '}')
			return true;
	}
}

enum json_kind json_read(struct slice text, const struct slice *names, size_t count, struct json_value *values) {
	/* Nothing may be added to the NULL of an empty slice. */
	struct reader r = { text.ptr, text.len > 0 ? text.ptr + text.len : text.ptr, false };
	struct asked asked = { names, count, values, { SLICE_EMPTY, JSON_KIND_NONE, false } };
	struct json_value whole = { SLICE_EMPTY, JSON_KIND_OBJECT, false };
	bool is_read;

	for (size_t i = 0; i < count; i++)
		values[i] = (struct json_value){ SLICE_EMPTY, JSON_KIND_NONE, false };
	is_read = peek(&r) == '{' ? read_members(&r, &asked) : read_value(&r, JSON_DEPTH_MAX, &whole);
	if (!is_read)
		return r.is_too_deep ? JSON_KIND_TOO_DEEP : JSON_KIND_NONE;
	/* A NUL would look like the end. */
	return peek(&r) == 0 && r.at == r.end ? (enum json_kind)whole.kind : JSON_KIND_NONE;
}

/* --- of values that have been read --- */

struct slice json_inside(const struct json_value *text) {
	return slice_of(text->raw.ptr + 1, text->raw.len - 2);
}

size_t json_unescape(const struct json_value *text, uint8_t *out) {
	struct slice inside = json_inside(text);
	const uint8_t *at = inside.ptr, *end = at + inside.len;
	uint8_t *start = out;
	uint32_t character;

	while (at < end) {
		size_t plain = json_plain_len(slice_of(at, (size_t)(end - at)));

		memcpy(out, at, plain);
		out += plain;
		at += plain;
		if (at == end)
			break;
		at++;
		BUG_ON(!read_escape(&at, end, &character));
		out = write_utf8(out, character);
	}
	return (size_t)(out - start);
}

bool json_whole_number(const struct json_value *value, uint64_t *out) {
	double number;

	if (value->kind != JSON_KIND_NUMBER)
		return false;
	number = number_at(value->raw.ptr);
	if (!(number >= 0 && number <= WHOLE_NUMBER_MAX))
		return false;
	*out = (uint64_t)number;
	return (double)*out == number;
}

bool json_compact(const struct json_value *value, uint8_t *out, size_t max, size_t *len) {
	struct reader r = { value->raw.ptr, value->raw.ptr + value->raw.len, false };

	*len = 0;
	while (peek(&r) != 0) {
		const uint8_t *start = r.at;
		bool has_escapes;
		size_t part;

		if (*r.at == '"')
			BUG_ON(!read_text(&r, &has_escapes));
		else
			r.at++;
		part = (size_t)(r.at - start);
		if (part > max - *len)
			return false;
		memcpy(out + *len, start, part);
		*len += part;
	}
	return true;
}
