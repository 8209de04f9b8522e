/*
 * codec - base64, base64url, hexadecimal, percent encoding. Pure.
 */
#ifndef COMMON_BASE_CODEC_H
#define COMMON_BASE_CODEC_H

#include "common/base/buf.h"

#define BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)
/* without padding */
#define BASE64URL_LEN(bytes) (((bytes)*4 + 2) / 3)

/* `out` has room for the length above plus a NUL, which is written. */
void base64_encode(struct slice s, char *out);
void base64url_encode(struct slice s, char *out);
/* Strict: padding where needed, no blanks, unused bits zero. `out` has room for s.len * 3 / 4 bytes. */
bool base64_decode(struct slice s, uint8_t *out, size_t *out_len) MUST_CHECK;
/* The same without padding, which is refused. */
bool base64url_decode(struct slice s, uint8_t *out, size_t *out_len) MUST_CHECK;
/* `out` has room for 2 * s.len + 1. */
void hex_encode(struct slice s, char *out);
/* Both cases. `out` has room for s.len / 2 bytes. */
bool hex_decode(struct slice s, uint8_t *out) MUST_CHECK;
/* %XX, and + as a blank when `form` (query strings). Appends to `out`; false on a broken escape. */
bool percent_decode(struct slice s, bool form, struct buf *out) MUST_CHECK;

#endif
