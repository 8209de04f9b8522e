/* codec - bytes as text and back (RFC 4648; RFC 3986, 2.1) */
#include "common/base/codec.h"

enum { NO_DIGIT = 0xff };

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode64(struct slice s, const char *digits, char *out) {
	for (; s.len >= 3; s = slice_skip(s, 3)) {
		*out++ = digits[s.ptr[0] >> 2];
		*out++ = digits[(s.ptr[0] & 0x03) << 4 | s.ptr[1] >> 4];
		*out++ = digits[(s.ptr[1] & 0x0f) << 2 | s.ptr[2] >> 6];
		*out++ = digits[s.ptr[2] & 0x3f];
	}
	if (s.len == 0)
		return out;
	*out++ = digits[s.ptr[0] >> 2];
	if (s.len == 1) {
		*out++ = digits[(s.ptr[0] & 0x03) << 4];
		return out;
	}
	*out++ = digits[(s.ptr[0] & 0x03) << 4 | s.ptr[1] >> 4];
	*out++ = digits[(s.ptr[1] & 0x0f) << 2];
	return out;
}

void base64_encode(struct slice s, char *out) {
	char *end = encode64(s, base64_digits, out);

	while ((end - out) % 4 != 0)
		*end++ = '=';
	*end = '\0';
}

void base64url_encode(struct slice s, char *out) {
	*encode64(s, base64url_digits, out) = '\0';
}

static uint8_t digit64(uint8_t c, const char *digits) {
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint8_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0' + 52);
	/* The two in which the alphabets differ. */
	return c == digits[62] ? 62 : c == digits[63] ? 63 : NO_DIGIT;
}

/* Without padding; bits that are left over must be zero. */
static bool decode64(struct slice s, const char *digits, uint8_t *out, size_t *out_len) {
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t digit = digit64(s.ptr[i], digits);

		if (digit == NO_DIGIT)
			return false;
		bits = bits << 6 | digit;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[n++] = (uint8_t)(bits >> held);
			bits &= (1U << held) - 1;
		}
	}
	*out_len = n;
	return bits == 0;
}

bool base64_decode(struct slice s, uint8_t *out, size_t *out_len) {
	if (s.len % 4 != 0)
		return false;
	for (int i = 0; i < 2 && s.len > 0 && s.ptr[s.len - 1] == '='; i++)
		s.len--;
	return decode64(s, base64_digits, out, out_len);
}

bool base64url_decode(struct slice s, uint8_t *out, size_t *out_len) {
	/* A single digit of four is less than a byte. */
	return s.len % 4 != 1 && decode64(s, base64url_digits, out, out_len);
}

void hex_encode(struct slice s, char *out) {
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.len; i++) {
		*out++ = digits[s.ptr[i] >> 4];
		*out++ = digits[s.ptr[i] & 0x0f];
	}
	*out = '\0';
}

static uint8_t hex_digit(uint8_t c) {
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 10) : NO_DIGIT;
}

bool hex_decode(struct slice s, uint8_t *out) {
	if (s.len % 2 != 0)
		return false;
	for (size_t i = 0; i < s.len; i += 2) {
		uint8_t high = hex_digit(s.ptr[i]), low = hex_digit(s.ptr[i + 1]);

		if (high == NO_DIGIT || low == NO_DIGIT)
			return false;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool percent_decode(struct slice s, bool form, struct buf *out) {
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i], high, low;

		if (c == '+' && form)
			c = ' ';
		if (c == '%') {
			if (s.len - i < 3)
				return false;
			high = hex_digit(s.ptr[i + 1]);
			low = hex_digit(s.ptr[i + 2]);
			if (high == NO_DIGIT || low == NO_DIGIT)
				return false;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		buf_add_u8(out, c);
	}
	return true;
}
