/*
 * fuzz_payload - what Redis publishes and keeps: what can be read is written again as the same bytes
 *
 * Input: a payload.
 */
#include "tests/fuzz/fuzz.h"

#include "broker/redis/redis_scripts.h"
#include "common/base/wire.h"

static void write_again(const struct redis_payload *p, struct buf *out) {
	wire_put_u8(out, (uint8_t)p->type);
	wire_put_str8(out, p->epoch);
	wire_put_u64(out, p->offset);
	if (p->type == REDIS_PUBLICATION) {
		wire_put_u64(out, p->time_ms);
		wire_put_u8(out, p->kind);
		buf_add(out, slice_of(p->key, IPC_KEY_BYTES));
	} else {
		wire_put_u32(out, p->member_count);
		wire_put_str16(out, p->member);
	}
	buf_add(out, p->data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice bytes = slice_of(data, size);
	struct redis_payload p;
	struct buf again;

	memset(&p, 0xa5, sizeof(p));
	if (!redis_payload_read(bytes, &p))
		return 0;
	BUG_ON(p.epoch.len == 0 || p.offset == 0 || p.offset > UINT64_C(1) << 53);
	BUG_ON(!fuzz_is_inside(p.epoch, bytes) || !fuzz_is_inside(p.member, bytes) || !fuzz_is_inside(p.data, bytes));
	/* What a type has not is zero. */
	BUG_ON(p.type == REDIS_PUBLICATION ? p.member.len > 0 || p.member_count > 0 : p.member.len == 0 || p.time_ms > 0 || p.kind > 0);
	buf_init(&again, SIZE_MAX);
	write_again(&p, &again);
	BUG_ON(again.failed || !slice_eq(buf_slice(&again), bytes));
	buf_fini(&again);
	return 0;
}
