/*
 * digest - SHA-1, SHA-256 (libcrypto stays in here), constant-time comparison, random bytes
 */
#ifndef COMMON_BASE_DIGEST_H
#define COMMON_BASE_DIGEST_H

#include "common/base/slice.h"

enum { SHA1_BYTES = 20, SHA256_BYTES = 32 };

/* At the start of a program, before anything else of libcrypto: its memory is counted with ours (mem_in_use). */
void digest_init(void);
void digest_sha1(struct slice s, uint8_t out[SHA1_BYTES]);
void digest_sha256(struct slice s, uint8_t out[SHA256_BYTES]);
/* In a time that does not depend on where they differ. */
bool digest_is_equal(const uint8_t *a, const uint8_t *b, size_t len) MUST_CHECK;
/* From the kernel; ends the process when there is none to be had. */
void random_bytes(void *out, size_t len);

#endif
