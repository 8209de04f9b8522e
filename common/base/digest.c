/* digest - the only file that knows libcrypto */
#include "common/base/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/mem.h"

/* --- libcrypto's memory --- */

static void *take(size_t bytes, const char *file UNUSED, int line UNUSED) {
	return bytes > 0 ? mem_try_alloc(bytes) : NULL;
}

static void give(void *ptr, const char *file UNUSED, int line UNUSED) {
	mem_free(ptr);
}

static void *resize(void *ptr, size_t bytes, const char *file, int line) {
	if (bytes > 0)
		return mem_try_realloc(ptr, bytes);
	give(ptr, file, line);
	return NULL;
}

void digest_init(void) {
	/* Too late, it would go on with its own, uncounted. */
	BUG_ON(CRYPTO_set_mem_functions(take, resize, give) != 1);
}

/* --- digests --- */

/* Looked up at its first use and kept: looking it up costs more than a digest of few bytes. */
struct algorithm {
	const char *name;
	EVP_MD *found;
	EVP_MD_CTX *context;
};

static bool algorithm_find(struct algorithm *a) {
	if (a->context == NULL) {
		a->found = EVP_MD_fetch(NULL, a->name, NULL);
		a->context = EVP_MD_CTX_new();
	}
	return a->found != NULL && a->context != NULL;
}

static void digest_with(struct algorithm *a, struct slice s, uint8_t *out) {
	/* A NULL of length 0 would be handed on to memcpy(). */
	if (!algorithm_find(a) || EVP_DigestInit_ex2(a->context, a->found, NULL) != 1 ||
	    EVP_DigestUpdate(a->context, s.len > 0 ? (const void *)s.ptr : "", s.len) != 1 || EVP_DigestFinal_ex(a->context, out, NULL) != 1)
		abort_because("libcrypto refuses a digest");
}

void digest_sha1(struct slice s, uint8_t out[SHA1_BYTES]) {
	static struct algorithm sha1 = { .name = "SHA1" };

	digest_with(&sha1, s, out);
}

void digest_sha256(struct slice s, uint8_t out[SHA256_BYTES]) {
	static struct algorithm sha256 = { .name = "SHA256" };

	digest_with(&sha256, s, out);
}

bool digest_is_equal(const uint8_t *a, const uint8_t *b, size_t len) {
	return CRYPTO_memcmp(a, b, len) == 0;
}

void random_bytes(void *out, size_t len) {
	uint8_t *at = out;

	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			abort_because("getrandom: %s", strerror(errno));
		}
		at += got;
		len -= (size_t)got;
	}
}
