/*
 * hub - this process's channels: who wants what, deliveries, recovery, presence, publishing
 *
 * Does:      one subscription per channel to the broker, however many clients want it; each publication is encoded once per wire form
 *            and shared; positions, gaps and re-synchronisation; answers exactly once.
 * Does not:  know chat, JSON, paths, or where channels live (behind the link).
 * Runs in:   workers and the admin process, over one link each.
 *
 * Deliveries of one turn to one channel are gathered into one buffer per wire form; at the end of the turn its subscribers get one
 * pointer each. A subscriber who joins or leaves in between sees exactly what it should, because the gathered part is handed
 * out first.
 */
#ifndef SERVER_HUB_HUB_H
#define SERVER_HUB_HUB_H

#include "common/base/ids.h"
#include "common/base/list.h"
#include "common/ipc/ipc_msg.h"
#include "common/svc/evloop.h"
#include "common/svc/sock.h"
#include "server/conn/conn.h"

struct hub;
struct hub_client;
struct channel;
struct request;

/* What the data of a publication is; opaque to the broker, known to all front ends. */
enum payload_kind {
	PAYLOAD_JSON = 0,	/* any JSON value, from `publish` or the server API */
	PAYLOAD_CHAT = 1,	/* members of a JSON object, without braces: "type":"chat",... */
	PAYLOAD_TEXT = 2,	/* UTF-8 text, byte for byte (/broadcast) */
	PAYLOAD_BINARY = 3,	/* bytes */
};

struct hub_position {
	char epoch[EPOCH_TEXT_MAX + 1];
	uint64_t offset;
};

/* --- wire forms: how publications reach the clients of a front end --- */

struct hub_publication {
	struct slice channel, epoch, data;
	uint64_t offset, time_ms;
	uint8_t kind;
};
struct hub_member_event {
	struct slice channel, member, info;
	uint32_t member_count;
	bool is_join;
};

/* The opcode of the message, or HUB_SKIP: nothing for these clients. With HUB_VERBATIM, a bit beside the opcode, nothing is written,
 * because the payload is the publication's data as it is: a large one is not copied then. */
enum { HUB_SKIP = 0, HUB_VERBATIM = 0x80 };

struct hub_form {
	const char *name;
	/* Append the payload of ONE WebSocket message to `out`. Of a publication it may be HUB_VERBATIM instead. */
	uint8_t (*publication)(const struct hub_publication *p, struct buf *out, void *arg);
	/* May be called for 0, 1, .. until it returns HUB_SKIP: an event can be several messages. Sets *count_later when the
	 * room is too large to announce each: then member_count() follows within a second, or later in a very large one. */
	uint8_t (*member_event)(const struct hub_member_event *m, unsigned part, bool *count_later, struct buf *out, void *arg);
	uint8_t (*member_count)(struct slice channel, uint32_t count, struct buf *out, void *arg);
	/* Offsets were lost: positions from before are worth nothing. */
	uint8_t (*reset)(struct slice channel, const struct hub_position *p, struct buf *out, void *arg);
	void *arg;
};

enum { HUB_FORMS_MAX = 4 };

/* --- the hub of a process --- */

struct hub_settings {
	struct sock_addr broker;		/* where the link connects to */
	enum { HUB_WORKER, HUB_ADMIN } role;
	uint32_t slot;
	size_t link_queue_bytes, link_message_bytes;
	uint64_t broker_timeout_ms, linger_ms;
	struct ws_deflate_settings deflate;
};

/* Returns owned. `forms` is an array of `form_count` forms that outlives the hub; hub_client.form is an index into it. */
struct hub *hub_new(struct evloop *loop, const struct hub_settings *settings, const struct hub_form *forms, size_t form_count)
    MUST_CHECK;
void hub_free(struct hub **h);
/* End of a turn, before the connections are flushed: hands out what was gathered, flushes the link. */
void hub_turn_end(struct hub *h);
bool hub_is_linked(const struct hub *h);
/* Which link to the broker this is, counted from 1; 0 while there is none. */
uint32_t hub_link(const struct hub *h);

/* In a worker: what the admin process asks about its connections is handed to fn, the message borrowed until it returns. */
typedef void (*hub_inspect_fn)(const struct ipc_inspect *question, void *arg);
void hub_on_inspect(struct hub *h, hub_inspect_fn fn, void *arg);
/* The answer, if it is still the link (hub_link) on which the question came. */
void hub_answer_inspect(struct hub *h, uint32_t link, const struct ipc_inspected *answer);

/* What the broker has said of its engine; in the admin process. */
struct hub_engine {
	struct slice name;	/* empty: nothing yet */
	struct slice trouble;	/* why it cannot work now; empty: it can */
	struct slice nodes;	/* JSON array of the cluster's nodes; empty: one host */
};
/* Borrowed until the end of the turn. */
struct hub_engine hub_engine(const struct hub *h);
/* Requests still without an answer. */
size_t hub_pending(const struct hub *h);

/* --- a client of the hub: embedded in a front end's session --- */

/* One client on one channel. */
struct sub {
	struct sub *next;	/* of the client */
	struct list on_channel;	/* subs or waiting */
	struct hub_client *client;	/* NULL: a free one of hub_client.own */
	struct channel *channel;
	uint32_t said_on;	/* the link on which its member_add was sent; 0: on none */
	bool is_live;
	bool is_present;
	uint8_t wire;	/* once it is live */
};

/* A user of the chat hears everybody, and a room. */
enum { HUB_OWN_SUBS = 2 };

struct hub_client {
	struct hub *hub;
	struct conn *conn;	/* borrowed; NULL for a client that only asks (server API) */
	struct sub *subs;	/* its channels, in the order of their coming */
	struct request *requests;	/* the first of its unanswered ones; NULL: there is none */
	struct list link;	/* on the hub's list of members, when it has an identity; its owner's after hub_client_fini() */
	struct hub_identity *identity;	/* owned; NULL until hub_identify() succeeded */
	uint32_t sub_count;
	uint8_t form;
	bool is_in_turn;	/* some of its requests wait for their turn to be asked */
	struct sub own[HUB_OWN_SUBS];	/* the first; the others are allocated */
};

struct hub_result {
	enum ipc_result result;
	struct hub_position position;	/* publish: OK and REPEATED */
};

/* Borrowed until the callback returns. */
struct hub_snapshot {
	enum ipc_result result;		/* OK; or UNAVAILABLE, FULL (subscribe, HUB_PRESENT): then nothing else is valid */
	struct slice channel;
	struct hub_position position;	/* where the client stands now; history(): the channel's top */
	bool asked_since, recovered, more;
	struct slice publications;	/* ipc_next_publication() */
	uint32_t member_count;
	struct slice members;		/* ipc_next_member() */
};

/* Where a page of members ended. */
struct hub_cursor {
	uint64_t number;	/* of the last member on it; 0: from the start */
	struct slice member;
};
struct hub_members {
	enum ipc_result result;
	uint32_t member_count;
	bool more;
	struct slice members;
};
struct hub_channels {
	enum ipc_result result;
	bool more;
	struct slice channels;
};

/* What workers of this host have said within a second. */
struct hub_inspection {
	enum ipc_result result;
	uint32_t asked, answered;	/* workers */
	uint32_t matched;		/* connections that do, listed or not */
	uint32_t done;			/* of these, those that were acted upon */
	struct slice connections;	/* ipc_next_connection(), in no order */
};

/* Callbacks fire exactly once, never inside the call itself, unless the client is finished first: then they never fire. `cookie` is
 * heap memory or NULL; the hub takes it and frees it afterwards in any case. */
typedef void (*hub_result_fn)(struct hub_client *c, void *cookie, const struct hub_result *r);
typedef void (*hub_snapshot_fn)(struct hub_client *c, void *cookie, const struct hub_snapshot *s);
typedef void (*hub_members_fn)(struct hub_client *c, void *cookie, const struct hub_members *m);
typedef void (*hub_channels_fn)(struct hub_client *c, void *cookie, const struct hub_channels *m);
typedef void (*hub_inspection_fn)(struct hub_client *c, void *cookie, const struct hub_inspection *i);

void hub_client_init(struct hub *h, struct hub_client *c, struct conn *conn, uint8_t form);
/* Leaves everything; a member is gone for good if not back within grace_ms. Forgets unanswered requests. May be called twice; all
 * calls with a finished client do nothing, because any message sent to a slow client may finish it. */
void hub_client_fini(struct hub_client *c, uint32_t grace_ms);

/* What others are told of it; borrowed. Empty: it has no identity. */
struct slice hub_client_info(const struct hub_client *c);
/* What nobody is told of it. */
struct slice hub_client_note(const struct hub_client *c);
/* The member id that it has, or is about to get; empty: neither. */
struct slice hub_client_member(const struct hub_client *c);

/* Claims a member id for this client on all hosts: OK, TAKEN (somebody lives who has another token) or UNAVAILABLE. info: what others
 * are told of the member; note: what its front end wants to know again. Once per client. Released by hub_client_fini(). */
void hub_identify(struct hub_client *c, struct slice member, const uint8_t token[IPC_KEY_BYTES], struct slice info, struct slice note,
    hub_result_fn fn, void *cookie);

enum hub_subscribe_flags {
	HUB_PRESENT = 1 << 0,	/* the client becomes a member of the channel, if it is one already or has a place (needs an identity) */
};
/* since: NULL, or the last position seen. limit: missed publications at most. The callback comes at the very moment from which on
 * every later publication is delivered to the client: what it sends there stands before them all. Who has become a member by it gets the
 * event of that right behind. The client must not be subscribed to it (hub_is_subscribed), nor be waiting for it.
 * member_limit: members at most, and with HUB_PRESENT only HUB_FEW_MEMBERS of a channel that has more than that. */
enum { HUB_FEW_MEMBERS = 50 };
void hub_subscribe(struct hub_client *c, struct slice channel, unsigned flags, const struct hub_position *since, uint32_t limit,
    uint32_t member_limit, hub_snapshot_fn fn, void *cookie);
/* Subscribed, or waiting for it. */
bool hub_is_subscribed(const struct hub_client *c, struct slice channel);
/* False: it was not. A member leaves at once. */
bool hub_unsubscribe(struct hub_client *c, struct slice channel);

/* key: NULL, or all that makes the publication the same one (already hashed). flags: IPC_NO_HISTORY or 0. */
void hub_publish(struct hub_client *c, struct slice channel, const uint8_t *key, uint8_t flags, uint8_t kind, struct slice data,
    hub_result_fn fn, void *cookie);
/* The same without a key; data lies in `in` (borrowed, may be NULL), which the link shares when it is large. */
void hub_publish_from(struct hub_client *c, struct slice channel, uint8_t flags, uint8_t kind, struct slice data, struct rcbuf *in,
    hub_result_fn fn, void *cookie);
/* flags: IPC_SINCE (after `position`), IPC_BEFORE (before its offset; 0: the newest). */
void hub_history(struct hub_client *c, struct slice channel, uint8_t flags, const struct hub_position *position, uint32_t limit,
    hub_snapshot_fn fn, void *cookie);
void hub_member_list(struct hub_client *c, struct slice channel, const struct hub_cursor *after, uint32_t limit, hub_members_fn fn,
    void *cookie);
void hub_channel_list(struct hub_client *c, struct slice prefix, struct slice after, uint32_t limit, hub_channels_fn fn,
    void *cookie);
/* Those with most members, largest first, at most HUB_TOP_ROOMS_MAX (top_rooms in ipc_msg.tbl). */
enum { HUB_TOP_ROOMS_MAX = 100 };
void hub_top_rooms(struct hub_client *c, struct slice prefix, uint32_t limit, hub_channels_fn fn, void *cookie);
/* Admin process: asks all workers of this host about connections, or does something to them (inspect in ipc_msg.tbl); request is
 * filled in. Of each worker at most HUB_INSPECT_MAX connections are listed. */
enum { HUB_INSPECT_MAX = 1000 };
void hub_inspect(struct hub_client *c, const struct ipc_inspect *question, hub_inspection_fn fn, void *cookie);

#endif
