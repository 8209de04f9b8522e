/* bundle - secrets in one run of bytes */
#include "common/base/bundle.h"

#include <string.h>

enum { HEAD_BYTES = 5 };

void bundle_add(struct buf *bundle, uint8_t kind, struct slice bytes) {
	uint8_t head[HEAD_BYTES] = { kind, (uint8_t)(bytes.len >> 24), (uint8_t)(bytes.len >> 16),
		(uint8_t)(bytes.len >> 8), (uint8_t)bytes.len };

	buf_add(bundle, slice_of(head, sizeof(head)));
	buf_add(bundle, bytes);
}

bool bundle_next(struct slice *rest, uint8_t *kind, struct slice *bytes) {
	const uint8_t *p = rest->ptr;
	size_t len;

	if (rest->len < HEAD_BYTES)
		return false;
	len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (len > rest->len - HEAD_BYTES)
		return false;
	*kind = p[0];
	*bytes = slice_of(p + HEAD_BYTES, len);
	*rest = slice_skip(*rest, HEAD_BYTES + len);
	return true;
}

void bundle_fini(struct buf *bundle) {
	if (bundle->data != NULL)
		explicit_bzero(bundle->data, bundle->cap);
	buf_fini(bundle);
}
