/*
 * fuzz_ipc - messages of the link, and the records inside them: what can be read is written again as the same bytes
 *
 * Input: the type of the message, then what follows the header; the latter is read as records, too.
 */
#include "tests/fuzz/fuzz.h"

#include "common/ipc/ipc_msg.h"

static void check_message(enum ipc_type type, struct slice body) {
	union ipc_any message;
	struct rcbuf *again;

	memset(&message, 0xa5, sizeof(message));
	if (type <= IPC_NONE || type >= IPC_TYPE_COUNT) {
		BUG_ON(ipc_decode(type, body, NULL, &message) || ipc_size(type, &message) != 0 || ipc_encode(type, &message) != NULL);
		return;
	}
	BUG_ON(strlen(ipc_type_name(type)) == 0);
	if (!ipc_decode(type, body, NULL, &message))
		return;
	BUG_ON(ipc_size(type, &message) != IPC_HEADER_BYTES + body.len);
	again = ipc_encode(type, &message);
	BUG_ON(again == NULL || again->len != IPC_HEADER_BYTES + body.len || again->data[4] != type);
	BUG_ON(!slice_eq(slice_skip(rcbuf_slice(again), IPC_HEADER_BYTES), body));
	rcbuf_unref(&again);
}

static void check_publications(struct slice rest, struct buf *again) {
	struct ipc_publication p;

	while (ipc_next_publication(&rest, &p))
		ipc_put_publication(again, &p);
}

static void check_members(struct slice rest, struct buf *again) {
	struct ipc_member m;

	while (ipc_next_member(&rest, &m))
		ipc_put_member(again, &m);
}

static void check_channels(struct slice rest, struct buf *again) {
	struct ipc_channel c;

	while (ipc_next_channel(&rest, &c))
		ipc_put_channel(again, &c);
}

static void check_connections(struct slice rest, struct buf *again) {
	struct ipc_connection c;

	while (ipc_next_connection(&rest, &c))
		ipc_put_connection(again, &c);
}

/* The fields that no record has. */
static void check_fields(struct slice rest, struct buf *again) {
	struct wire_reader r = wire_reader_of(rest);
	struct slice text = wire_get_str8(&r);
	uint16_t number = wire_get_u16(&r);

	if (r.failed)
		return;
	wire_put_str8(again, text);
	wire_put_u16(again, number);
}

/* What is longer than its length field can say is refused. */
static void check_too_long(struct slice body) {
	struct buf out;

	buf_init(&out, SIZE_MAX);
	wire_put_str8(&out, body);
	BUG_ON(out.failed != (body.len > UINT8_MAX));
	buf_fini(&out);
}

static void check_records(struct slice body, void (*check)(struct slice rest, struct buf *again)) {
	struct buf again;

	buf_init(&again, SIZE_MAX);
	check(body, &again);
	BUG_ON(again.failed || again.len > body.len || (again.len > 0 && memcmp(again.data, body.ptr, again.len) != 0));
	buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice body = slice_of(data, size);
	enum ipc_type type = (enum ipc_type)fuzz_u8(&body);

	check_message(type, body);
	check_records(body, check_publications);
	check_records(body, check_members);
	check_records(body, check_channels);
	check_records(body, check_connections);
	check_records(body, check_fields);
	check_too_long(body);
	return 0;
}
