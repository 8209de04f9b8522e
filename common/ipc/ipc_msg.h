/*
 * ipc_msg - the messages between worker and broker, as structs and as bytes
 *
 * On the wire: u32 length of the rest, u8 type, fields in the order of ipc_msg.tbl. Pure; input may be hostile (another version
 * during an upgrade): a message that cannot be read is refused, never asserted.
 */
#ifndef COMMON_IPC_IPC_MSG_H
#define COMMON_IPC_IPC_MSG_H

#include "common/base/rcbuf.h"
#include "common/base/wire.h"

enum { IPC_VERSION = 4, IPC_KEY_BYTES = 16, IPC_HEADER_BYTES = 5, IPC_CHANNEL_MAX = 255 };

/* The channel by which workers learn what moderators have ordered. Its history says what is in force, so it is kept as long as that can be. */
#define IPC_MODERATION_CHANNEL "$moderation"
/* What the channels begin with that are rooms of the chat. */
#define IPC_ROOM_PREFIX "room:"
enum { IPC_MODERATION_SECONDS_MAX = 30 * 86400 };

enum ipc_type {
	IPC_NONE = 0,
#define U8(n)
#define U16(n)
#define U32(n)
#define U64(n)
#define STR(n)
#define BYTES(n)
#define KEY(n)
#define BULK(n)
#define IPC_MSG(name, fields) IPC_##name,
#include "common/ipc/ipc_msg.tbl"
	IPC_TYPE_COUNT
};

enum ipc_result {
	IPC_OK = 0,
	IPC_REPEATED,		/* publish: the key is known; epoch and offset are the first one's */
	IPC_TAKEN,		/* member_add: the member is there with another token */
	IPC_UNAVAILABLE,	/* surely not done */
	IPC_UNCERTAIN,		/* perhaps done */
	IPC_FULL,		/* member_add: not there, and no place left */
};

enum ipc_flags {
	IPC_WANT_DELIVER = 1 << 0,	/* subscribe */
	IPC_SINCE = 1 << 1,		/* subscribe, history */
	IPC_BEFORE = 1 << 2,		/* history */
	IPC_NO_HISTORY = 1 << 3,	/* publish: counted, delivered, not kept */
	IPC_RESYNC = 1 << 4,		/* member_add: not an arrival, said again after a link loss; nobody is told */
};

/* Which connections are meant. */
enum ipc_match {
	IPC_MATCH_ID = 0,	/* subject: as it stands in the log */
	IPC_MATCH_USER,		/* a user id */
	IPC_MATCH_ADDRESS,	/* an address, or a network as ADDRESS/BITS */
	IPC_MATCH_SLOWEST,	/* those for whom most bytes wait; subject: empty */
	IPC_MATCHES,
};

enum ipc_act {
	IPC_ACT_NONE = 0,	/* they are listed */
	IPC_ACT_CLOSE,		/* with code and reason */
	IPC_ACT_TELL,		/* data, JSON, is sent to them */
	IPC_ACTS,
};

enum ipc_snapshot_flags {
	IPC_SNAPSHOT_UNAVAILABLE = 1 << 0,	/* could not be read; nothing else is valid */
	IPC_SNAPSHOT_RECOVERED = 1 << 1,	/* asked with IPC_SINCE: publications are all that was missed */
	IPC_SNAPSHOT_MORE = 1 << 2,		/* history: there is more in that direction */
	IPC_SNAPSHOT_NEWS = 1 << 3,		/* asked with IPC_SINCE, in another epoch: publications are all news of it, perhaps none */
};

/* Slices are borrowed from what was decoded, and so is the counted buffer in which BULK lies. */
#define U8(n) uint8_t n;
#define U16(n) uint16_t n;
#define U32(n) uint32_t n;
#define U64(n) uint64_t n;
#define STR(n) struct slice n;
#define BYTES(n) struct slice n;
#define KEY(n) uint8_t n[IPC_KEY_BYTES];
#define BULK(n) struct slice n; struct rcbuf *n##_in;
#define IPC_MSG(name, fields) struct ipc_##name { fields };
#include "common/ipc/ipc_msg.tbl"

union ipc_any {
#define U8(n)
#define U16(n)
#define U32(n)
#define U64(n)
#define STR(n)
#define BYTES(n)
#define KEY(n)
#define BULK(n)
#define IPC_MSG(name, fields) struct ipc_##name name;
#include "common/ipc/ipc_msg.tbl"
};

const char *ipc_type_name(enum ipc_type type);
/* Bytes of the whole message with its header, 0 when it cannot be written (a STR too long, or 4 GiB in all). */
size_t ipc_size(enum ipc_type type, const void *message);
/* Writes ipc_size() bytes. */
void ipc_write(enum ipc_type type, const void *message, uint8_t *out);
/* Returns owned, one reference; NULL when memory is out or ipc_size() is 0. */
struct rcbuf *ipc_encode(enum ipc_type type, const void *message) MUST_CHECK;
/* The same in two: BULK of so many bytes that lies in a counted buffer is shared. Both owned; bulk is NULL when all is in head, head when
 * memory is out. */
enum { IPC_BULK_BYTES = 64 << 10 };
struct ipc_encoded {
	struct rcbuf *head, *bulk;
};
struct ipc_encoded ipc_encode_shared(enum ipc_type type, const void *message) MUST_CHECK;
void ipc_encoded_drop(struct ipc_encoded *e);
/* `body`: what follows the header. `in`: the counted buffer that it lies in, or NULL. False: too short, too long, unknown type. */
bool ipc_decode(enum ipc_type type, struct slice body, struct rcbuf *in, union ipc_any *out) MUST_CHECK;

/* Records inside BYTES fields. */
struct ipc_publication {
	uint64_t offset, time_ms;
	uint8_t kind;
	uint8_t key[IPC_KEY_BYTES];
	struct slice data;
	struct rcbuf *data_in;	/* borrowed: the counted buffer that data lies in; or NULL */
};
struct ipc_member {
	uint64_t number;	/* of its arrival: rising */
	struct slice member, info;
};
struct ipc_channel {
	struct slice channel, epoch;
	uint64_t offset;
	uint32_t member_count;
};

struct ipc_connection {
	struct slice id, user, address, protocol;
	uint64_t since_ms;	/* wall clock */
	uint64_t queued_bytes;	/* wait for it in its worker */
	uint32_t slot;		/* of the worker */
	uint32_t rooms;		/* and channels that it is in */
	uint32_t stuck_ms;	/* for so long its socket has taken nothing */
};

void ipc_put_publication(struct buf *b, const struct ipc_publication *p);
void ipc_put_member(struct buf *b, const struct ipc_member *m);
void ipc_put_channel(struct buf *b, const struct ipc_channel *c);
void ipc_put_connection(struct buf *b, const struct ipc_connection *c);
/* Cuts one off the front of *rest; false at the end and when it cannot be read (then rest->len > 0). */
bool ipc_next_publication(struct slice *rest, struct ipc_publication *out);
bool ipc_next_member(struct slice *rest, struct ipc_member *out);
bool ipc_next_channel(struct slice *rest, struct ipc_channel *out);
bool ipc_next_connection(struct slice *rest, struct ipc_connection *out);

#endif
