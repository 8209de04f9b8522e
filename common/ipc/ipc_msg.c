/* ipc_msg - sizes, bytes and names of the link's messages, all made from ipc_msg.tbl */
#include "common/ipc/ipc_msg.h"

#include <endian.h>

#include "common/base/buf.h"

static const char *const type_names[IPC_TYPE_COUNT] = {
	[IPC_NONE] = "none",
#define U8(n)
#define U16(n)
#define U32(n)
#define U64(n)
#define STR(n)
#define BYTES(n)
#define KEY(n)
#define BULK(n)
#define IPC_MSG(name, fields) [IPC_##name] = #name,
#include "common/ipc/ipc_msg.tbl"
};

const char *ipc_type_name(enum ipc_type type) {
	return (unsigned)type < IPC_TYPE_COUNT ? type_names[type] : "unknown";
}

struct bulk {
	struct slice data;
	struct rcbuf *in;	/* or NULL */
};

/* Each length is checked before it is added, so the sum cannot wrap. */
#define U8(n) bytes += 1;
#define U16(n) bytes += 2;
#define U32(n) bytes += 4;
#define U64(n) bytes += 8;
#define STR(n) \
	if (m->n.len > UINT16_MAX) \
		return 0; \
	bytes += 2 + m->n.len;
#define BYTES(n) \
	if (m->n.len > UINT32_MAX) \
		return 0; \
	bytes += 4 + m->n.len;
#define KEY(n) bytes += IPC_KEY_BYTES;
#define BULK(n) \
	BYTES(n) \
	*bulk = (struct bulk){ m->n, m->n##_in };
#define IPC_MSG(name, fields) \
	static size_t size_##name(const struct ipc_##name *m UNUSED, struct bulk *bulk UNUSED) { \
		size_t bytes = IPC_HEADER_BYTES; \
\
		fields return bytes <= UINT32_MAX ? bytes : 0; \
	}
#include "common/ipc/ipc_msg.tbl"

/* Inline, so that the number of bytes is known: 1 to 8. */
static inline uint8_t *put_number(uint8_t *at, uint64_t value, unsigned bytes) {
	uint64_t big = htobe64(value << (64 - 8 * bytes));

	memcpy(at, &big, bytes);
	return at + bytes;
}

static uint8_t *put_raw(uint8_t *at, const uint8_t *ptr, size_t len) {
	if (len > 0)
		memcpy(at, ptr, len);
	return at + len;
}

#define U8(n) at = put_number(at, m->n, 1);
#define U16(n) at = put_number(at, m->n, 2);
#define U32(n) at = put_number(at, m->n, 4);
#define U64(n) at = put_number(at, m->n, 8);
#define STR(n) at = put_raw(put_number(at, m->n.len, 2), m->n.ptr, m->n.len);
#define BYTES(n) at = put_raw(put_number(at, m->n.len, 4), m->n.ptr, m->n.len);
#define KEY(n) at = put_raw(at, m->n, IPC_KEY_BYTES);
/* Its bytes follow, written by whoever wants them there. */
#define BULK(n) \
	at = put_number(at, m->n.len, 4); \
	*bulk = (struct bulk){ m->n, m->n##_in };
#define IPC_MSG(name, fields) \
	static uint8_t *write_##name(const struct ipc_##name *m, uint8_t *at, struct bulk *bulk UNUSED) { \
		fields return at; \
	}
#include "common/ipc/ipc_msg.tbl"

static void get_key(struct wire_reader *r, uint8_t out[IPC_KEY_BYTES]) {
	struct slice key = wire_get_fixed(r, IPC_KEY_BYTES);

	if (key.len == IPC_KEY_BYTES)
		memcpy(out, key.ptr, IPC_KEY_BYTES);
	else
		memset(out, 0, IPC_KEY_BYTES);
}

#define U8(n) m->n = wire_get_u8(r);
#define U16(n) m->n = wire_get_u16(r);
#define U32(n) m->n = wire_get_u32(r);
#define U64(n) m->n = wire_get_u64(r);
#define STR(n) m->n = wire_get_str16(r);
#define BYTES(n) m->n = wire_get_bytes(r);
#define KEY(n) get_key(r, m->n);
#define BULK(n) \
	m->n = wire_get_bytes(r); \
	m->n##_in = in;
#define IPC_MSG(name, fields) \
	static void read_##name(struct wire_reader *r, struct rcbuf *in UNUSED, struct ipc_##name *m) { \
		fields \
	}
#include "common/ipc/ipc_msg.tbl"

static size_t message_size(enum ipc_type type, const void *message, struct bulk *bulk) {
	switch (type) {
#define U8(n)
#define U16(n)
#define U32(n)
#define U64(n)
#define STR(n)
#define BYTES(n)
#define KEY(n)
#define BULK(n)
#define IPC_MSG(name, fields) \
	case IPC_##name: \
		return size_##name(message, bulk);
#include "common/ipc/ipc_msg.tbl"
	case IPC_NONE:
	case IPC_TYPE_COUNT:
		break;
	}
	return 0;
}

/* Without BULK's bytes, which its length counts. */
static uint8_t *message_write(enum ipc_type type, const void *message, uint8_t *out, struct bulk *bulk) {
	uint8_t *end = out;

	switch (type) {
#define U8(n)
#define U16(n)
#define U32(n)
#define U64(n)
#define STR(n)
#define BYTES(n)
#define KEY(n)
#define BULK(n)
#define IPC_MSG(name, fields) \
	case IPC_##name: \
		end = write_##name(message, out + IPC_HEADER_BYTES, bulk); \
		break;
#include "common/ipc/ipc_msg.tbl"
	case IPC_NONE:
	case IPC_TYPE_COUNT:
		break;
	}
	BUG_ON(end == out);
	/* The length does not count itself. */
	put_number(out, (size_t)(end - out) + bulk->data.len - 4, 4);
	out[4] = (uint8_t)type;
	return end;
}

size_t ipc_size(enum ipc_type type, const void *message) {
	struct bulk bulk;

	return message_size(type, message, &bulk);
}

void ipc_write(enum ipc_type type, const void *message, uint8_t *out) {
	struct bulk bulk = { 0 };
	uint8_t *end = message_write(type, message, out, &bulk);

	put_raw(end, bulk.data.ptr, bulk.data.len);
}

struct rcbuf *ipc_encode(enum ipc_type type, const void *message) {
	size_t bytes = ipc_size(type, message);
	struct rcbuf *r;

	if (bytes == 0 || (r = rcbuf_try_new(bytes)) == NULL)
		return NULL;
	ipc_write(type, message, r->data);
	r->len = (uint32_t)bytes;
	return r;
}

struct ipc_encoded ipc_encode_shared(enum ipc_type type, const void *message) {
	struct bulk bulk = { 0 };
	size_t bytes = message_size(type, message, &bulk);
	struct ipc_encoded e = { 0 };

	if (bytes == 0 || bulk.in == NULL || bulk.data.len < IPC_BULK_BYTES) {
		e.head = ipc_encode(type, message);
		return e;
	}
	e.head = rcbuf_try_new(bytes - bulk.data.len);
	if (e.head == NULL)
		return e;
	message_write(type, message, e.head->data, &bulk);
	e.head->len = e.head->cap;
	e.bulk = rcbuf_part(bulk.in, bulk.data);
	return e;
}

void ipc_encoded_drop(struct ipc_encoded *e) {
	rcbuf_unref(&e->head);
	rcbuf_unref(&e->bulk);
}

bool ipc_decode(enum ipc_type type, struct slice body, struct rcbuf *in, union ipc_any *out) {
	struct wire_reader r = wire_reader_of(body);

	switch (type) {
#define U8(n)
#define U16(n)
#define U32(n)
#define U64(n)
#define STR(n)
#define BYTES(n)
#define KEY(n)
#define BULK(n)
#define IPC_MSG(name, fields) \
	case IPC_##name: \
		read_##name(&r, in, &out->name); \
		return wire_reader_done(&r);
#include "common/ipc/ipc_msg.tbl"
	case IPC_NONE:
	case IPC_TYPE_COUNT:
		break;
	}
	return false;
}

static void put_key(struct buf *b, const uint8_t key[IPC_KEY_BYTES]) {
	buf_add(b, slice_of(key, IPC_KEY_BYTES));
}

void ipc_put_publication(struct buf *b, const struct ipc_publication *p) {
	wire_put_u64(b, p->offset);
	wire_put_u64(b, p->time_ms);
	wire_put_u8(b, p->kind);
	put_key(b, p->key);
	wire_put_bytes(b, p->data);
}

void ipc_put_member(struct buf *b, const struct ipc_member *m) {
	wire_put_u64(b, m->number);
	wire_put_str16(b, m->member);
	wire_put_bytes(b, m->info);
}

void ipc_put_channel(struct buf *b, const struct ipc_channel *c) {
	wire_put_str16(b, c->channel);
	wire_put_str16(b, c->epoch);
	wire_put_u64(b, c->offset);
	wire_put_u32(b, c->member_count);
}

void ipc_put_connection(struct buf *b, const struct ipc_connection *c) {
	wire_put_str16(b, c->id);
	wire_put_str16(b, c->user);
	wire_put_str16(b, c->address);
	wire_put_str16(b, c->protocol);
	wire_put_u64(b, c->since_ms);
	wire_put_u64(b, c->queued_bytes);
	wire_put_u32(b, c->slot);
	wire_put_u32(b, c->rooms);
	wire_put_u32(b, c->stuck_ms);
}

/* *rest moves on only over a record that is whole. */
static bool next_done(struct slice *rest, const struct wire_reader *r) {
	if (r->failed)
		return false;
	*rest = r->rest;
	return true;
}

bool ipc_next_publication(struct slice *rest, struct ipc_publication *out) {
	struct wire_reader r = wire_reader_of(*rest);

	out->offset = wire_get_u64(&r);
	out->time_ms = wire_get_u64(&r);
	out->kind = wire_get_u8(&r);
	get_key(&r, out->key);
	out->data = wire_get_bytes(&r);
	out->data_in = NULL;
	return next_done(rest, &r);
}

bool ipc_next_member(struct slice *rest, struct ipc_member *out) {
	struct wire_reader r = wire_reader_of(*rest);

	out->number = wire_get_u64(&r);
	out->member = wire_get_str16(&r);
	out->info = wire_get_bytes(&r);
	return next_done(rest, &r);
}

bool ipc_next_channel(struct slice *rest, struct ipc_channel *out) {
	struct wire_reader r = wire_reader_of(*rest);

	out->channel = wire_get_str16(&r);
	out->epoch = wire_get_str16(&r);
	out->offset = wire_get_u64(&r);
	out->member_count = wire_get_u32(&r);
	return next_done(rest, &r);
}

bool ipc_next_connection(struct slice *rest, struct ipc_connection *out) {
	struct wire_reader r = wire_reader_of(*rest);

	out->id = wire_get_str16(&r);
	out->user = wire_get_str16(&r);
	out->address = wire_get_str16(&r);
	out->protocol = wire_get_str16(&r);
	out->since_ms = wire_get_u64(&r);
	out->queued_bytes = wire_get_u64(&r);
	out->slot = wire_get_u32(&r);
	out->rooms = wire_get_u32(&r);
	out->stuck_ms = wire_get_u32(&r);
	return next_done(rest, &r);
}
