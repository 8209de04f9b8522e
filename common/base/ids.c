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

bool id_parse(const struct id_source *s, struct slice text, uint64_t *id) {
	uint8_t bytes[ID_TEXT_LEN * 3 / 4];
	size_t len;

	if (text.len != ID_TEXT_LEN || !base64url_decode(text, bytes, &len) || memcmp(bytes, s->prefix, sizeof(s->prefix)) != 0)
		return false;
	*id = 0;
	for (size_t i = sizeof(s->prefix); i < len; i++)
		*id = *id << 8 | bytes[i];
	return true;
}
