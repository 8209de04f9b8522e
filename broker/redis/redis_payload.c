/* redis_payload - reads what the scripts publish and keep; whoever may write into Redis may have written it */
#include "broker/redis/redis_scripts.h"

#include "common/base/wire.h"

/* Lua's numbers are exact up to here: no script writes a larger one, and whoever adds to it does not overflow. */
#define NUMBER_MAX (UINT64_C(1) << 53)

/* Clients get epochs as they are. */
static bool is_plain(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-' || c == '_'))
			return false;
	}
	return s.len > 0;
}

static void read_publication(struct wire_reader *r, struct redis_payload *out) {
	struct slice key;

	out->time_ms = wire_get_u64(r);
	out->kind = wire_get_u8(r);
	key = wire_get_fixed(r, IPC_KEY_BYTES);
	if (!r->failed)
		memcpy(out->key, key.ptr, IPC_KEY_BYTES);
}

static void read_member(struct wire_reader *r, struct redis_payload *out) {
	out->member_count = wire_get_u32(r);
	out->member = wire_get_str16(r);
	if (out->member.len == 0)
		r->failed = true;
}

bool redis_payload_read(struct slice bytes, struct redis_payload *out) {
	struct wire_reader r = wire_reader_of(bytes);

	*out = (struct redis_payload){ .type = (enum redis_payload_type)wire_get_u8(&r) };
	out->epoch = wire_get_str8(&r);
	out->offset = wire_get_u64(&r);
	if (out->type == REDIS_PUBLICATION)
		read_publication(&r, out);
	else if (out->type == REDIS_JOINED || out->type == REDIS_LEFT)
		read_member(&r, out);
	else
		return false;
	out->data = r.rest;
	return !r.failed && is_plain(out->epoch) && out->offset > 0 && out->offset <= NUMBER_MAX;
}
