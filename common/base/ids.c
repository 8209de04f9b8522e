/* ids - identifiers from a random prefix and a counter */
#include "common/base/ids.h"

#include "common/base/codec.h"
#include "common/base/digest.h"

enum { ID_COUNTER_BYTES = 6 };

STATIC_ASSERT(BASE64URL_LEN(sizeof(((struct id_source *)0)->prefix) + ID_COUNTER_BYTES) == ID_TEXT_LEN,
	"an id is as long as ids.h says");

void id_source_init(struct id_source *s) {
	random_bytes(s->prefix, sizeof(s->prefix));
	s->next = 1;
}

void id_text(const struct id_source *s, uint64_t id, char out[ID_TEXT_LEN + 1]) {
	uint8_t bytes[sizeof(s->prefix) + ID_COUNTER_BYTES];

	memcpy(bytes, s->prefix, sizeof(s->prefix));
	for (size_t i = sizeof(bytes); i > sizeof(s->prefix); i--) {
		bytes[i - 1] = (uint8_t)id;
		id >>= 8;
	}
	base64url_encode(slice_of(bytes, sizeof(bytes)), out);
}
