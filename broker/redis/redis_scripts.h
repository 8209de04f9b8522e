/*
 * redis_scripts - what is kept in Redis, and the server-side scripts that alone change it
 *
 * Keys, all with the configured prefix P (default "herold:"), C a channel, N a node (a broker's life):
 *   P g            hash    the generation of this server: t (random text), r (replication id it belongs to), a (address),
 *                          p (1: that server keeps all it has answered)
 *   P m:C          hash    meta: e (epoch, 8 characters), o (top offset), b (bytes of all data ever), l (of those that are gone),
 *                          x (when expiries were renewed)
 *   P s:C          stream  history: entry id OFFSET-0, field d: the payload as it was published, field b: meta's b after it
 *   P i:C:KEY      text    "EPOCH OFFSET" of the publication with this idempotency key; meta's epoch
 *   P w:C          hash    who: member -> packed {number, token, info, nodes}; field "": packed {life, last event number, last
 *                          arrival number}; these rise by one each, but not every arrival is an event
 *   P z:C          zset    members by the number of their arrival
 *   P v:C          stream  latest arrivals and departures: entry id NUMBER-0, field d: the payload as it was published
 *   P n            zset    names of channels, all with score 0 (lists by name); those that have expired go when they are met
 *   P l            zset    leases: node -> server time in ms when it ends; 0: it has, and the node's holds are being ended
 *   P h:N          set     what a node holds: u16 length of C, C, MEMBER
 *   P j:N          text    what a node says of itself (JSON), with the lease's expiry
 *   P y            hash    beats: last (server time of the last beat of anybody), quiet (nobody is reaped before)
 * Pub/sub channels:
 *   P c:C          payloads of channel C
 *   P p:N          probes of a node
 *
 * Epochs that are reported: meta's e, a dot, the generation's t. Offsets rise by one; meta, stream and names live as long as history
 * and idempotency keys may, and a minute; a channel's meta that is made anew deletes a stale stream first. Times are the server's (TIME).
 *
 * Every script has KEYS[1] = P g and ARGV[1] = the generation that the caller believes in, and fails with the error STALE when
 * it is another one. All others follow behind these two. Numbers are decimal texts unless a length is given; none is above 2^53.
 */
#ifndef BROKER_REDIS_REDIS_SCRIPTS_H
#define BROKER_REDIS_REDIS_SCRIPTS_H

#include "common/base/buf.h"
#include "common/ipc/ipc_msg.h"

enum redis_script {
#define REDIS_SCRIPT(name) REDIS_SCRIPT_##name,
#include "broker/redis/redis_scripts.tbl"
	REDIS_SCRIPT_COUNT
};

const char *redis_script_name(enum redis_script s);
/* The Lua text; static. */
struct slice redis_script_text(enum redis_script s);
/* Its SHA1 in hexadecimal, as EVALSHA wants it; static. */
const char *redis_script_sha(enum redis_script s);

/* --- payloads: what is published, and what streams keep --- */

enum redis_payload_type {
	REDIS_PUBLICATION = 'P',
	REDIS_JOINED = 'J',
	REDIS_LEFT = 'L',
};

/* Big endian. P: u8 type, u8 length and text of the epoch (with generation), u64 offset, u64 time in ms, u8 kind, 16 bytes key, data.
 * J, L: u8 type, u8 length and text of the life, u64 number, u32 members now, u16 length and text of the member, info. */
struct redis_payload {
	enum redis_payload_type type;
	struct slice epoch;	/* of a publication; the life of who is there otherwise */
	uint64_t offset;	/* or the event's number */
	uint64_t time_ms;	/* of a publication */
	uint8_t kind;
	uint8_t key[IPC_KEY_BYTES];
	uint32_t member_count;
	struct slice member;
	struct slice data;	/* or info */
};

/* Slices are borrowed from `bytes`. False: not one of ours, or another version's. */
bool redis_payload_read(struct slice bytes, struct redis_payload *out) MUST_CHECK;

/* Appends a key: prefix, kind and ':' and name ("" of the keys without a name). */
void redis_key(struct buf *out, const char *prefix, char kind, struct slice name);

#endif
