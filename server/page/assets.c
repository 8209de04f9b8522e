/* assets - embeds the pages' files and finds them by page and path */
#include "server/page/assets.h"

#include "common/base/codec.h"
#include "common/base/digest.h"

/* The assembler reads the file: paths are relative to the root of the repository, where make runs. */
#define ASSET(page, symbol, path, file, content_type) \
	__asm__(".pushsection .rodata\n" \
		"asset_" #symbol "_begin:\n" \
		".incbin \"" file "\"\n" \
		"asset_" #symbol "_end:\n" \
		".byte 0\n" \
		".popsection\n"); \
	extern const uint8_t asset_##symbol##_begin[], asset_##symbol##_end[];
#include "server/page/assets.tbl"

enum {
#define ASSET(page, symbol, path, file, content_type) ASSET_##symbol,
#include "server/page/assets.tbl"
	ASSET_COUNT
};

static struct asset assets[ASSET_COUNT] = {
#define ASSET(page, symbol, path, file, content_type) [ASSET_##symbol] = { PAGE_##page, path, content_type, { NULL, 0 }, "" },
#include "server/page/assets.tbl"
};

static void asset_set(struct asset *a, const uint8_t *begin, const uint8_t *end) {
	uint8_t digest[SHA256_BYTES];

	a->body = slice_of(begin, (size_t)(end - begin));
	digest_sha256(a->body, digest);
	a->etag[0] = '"';
	hex_encode(slice_of(digest, ASSET_ETAG_DIGITS / 2), a->etag + 1);
	memcpy(a->etag + 1 + ASSET_ETAG_DIGITS, "\"", 2);
}

void assets_init(void) {
#define ASSET(page, symbol, path, file, content_type) \
	asset_set(&assets[ASSET_##symbol], asset_##symbol##_begin, asset_##symbol##_end);
#include "server/page/assets.tbl"
}

const struct asset *asset_find(enum asset_page page, struct slice path) {
	for (size_t i = 0; i < ASSET_COUNT; i++) {
		if (assets[i].page == page && slice_eq_text(path, assets[i].path))
			return &assets[i];
	}
	return NULL;
}
