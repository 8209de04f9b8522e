/*
 * chat_session - one connection of the chat, and what its files share
 *
 * States:  ANONYMOUS -> LOGGING_IN (identity and room are asked for) -> USER; a login that fails leads back to ANONYMOUS.
 * Answers: every request is answered once, at once or when the hub has answered; until then it is remembered in a struct
 *          chat_pending, whose cost counts towards the session's bound.
 * Files:   proto_chat (connection, dispatch), chat_login, chat_rooms, chat_channels (and history), chat_messages (publishing),
 *          chat_auth (what a token allows, and its renewal), chat_moderation, chat_answers (what several answers have in common).
 */
#ifndef SERVER_PROTO_CHAT_SESSION_H
#define SERVER_PROTO_CHAT_SESSION_H

#include "server/proto/chat_request.h"
#include "server/proto/proto_session.h"

/* A request costs 1 for itself and 1 for each KiB. Enough for a burst that fills a receive buffer with small messages; together with
 * chat_message_bytes it bounds what one client can put on the link. */
enum { CHAT_PENDING_MAX = 1024 };

enum chat_state { CHAT_ANONYMOUS = 0, CHAT_LOGGING_IN, CHAT_USER };

struct chat_session {
	struct proto_session base;	/* must be the first */
	uint16_t pending_cost;		/* <= CHAT_PENDING_MAX + cost of one message */
	uint16_t rooms;			/* and channels: held of what the client may have, see chat_take_room() */
	uint32_t state : 8;		/* enum chat_state */
	uint32_t errors : 24;		/* in a row */
};

struct chat_pending {
	uint32_t cost;
	uint16_t ref_len, channel_len;
	bool has_since, is_before, is_login;
	char id[ID_TEXT_LEN + 1];		/* chat: of the message; else empty */
	char resume[CHAT_RESUME_LEN + 1];	/* login: its secret; empty: a token says who it is */
	struct hub_position since;
	uint8_t bytes[];			/* ref; channel */
};

/* "room:NAME" or any other channel, with its NUL. */
struct chat_channel {
	char name[CHAT_CHANNEL_MAX + 16];
};

#define CHAT_COMMAND(type, who) enum chat_error chat_do_##type(struct chat_session *s, const struct chat_request *r);
#include "server/proto/chat_commands.tbl"

/* --- the user --- */

/* Of the login, from when it is asked for; empty: nobody. */
static inline struct slice chat_user_id(const struct chat_session *s) {
	return hub_client_member(&s->base.hub);
}

/* The room of the login, once it is done. */
static inline struct slice chat_user_room(const struct chat_session *s) {
	return hub_client_note(&s->base.hub);
}

/* "userId":"..","name":"..", once it is known to all. */
void chat_write_user(const struct chat_session *s, struct buf *b);

/* --- requests without an answer --- */

/* Returns owned, to be handed to the hub as a cookie. channel: or what else its answer needs. */
struct chat_pending *chat_pending_new(struct chat_session *s, const struct chat_request *r, struct slice channel) MUST_CHECK;
/* A copy, for the second question of one request. */
struct chat_pending *chat_pending_again(struct chat_session *s, const struct chat_pending *p) MUST_CHECK;
/* In the hub's callback, first of all: whose it was. */
struct chat_session *chat_pending_done(struct hub_client *client, const struct chat_pending *p);

static inline struct slice chat_pending_ref(const struct chat_pending *p) {
	return slice_of(p->bytes, p->ref_len);
}

static inline struct slice chat_pending_channel(const struct chat_pending *p) {
	return slice_of(p->bytes + p->ref_len, p->channel_len);
}

/* --- channels --- */

void chat_channel_of_room(struct chat_channel *out, struct slice room);
/* The room of the request, if it is missing that of the login; the session must be in it. */
enum chat_error chat_own_room(const struct chat_session *s, const struct chat_request *r, struct chat_channel *out);
/* May it go into another room or channel now? Then that is taken of the connection's, and held of the client's. Else *error is the
 * answer: CHAT_OK, if it is being closed for it. */
bool chat_take_room(struct chat_session *s, enum chat_error *error) MUST_CHECK;
/* Gives back what is held for those that it is not in any more, nor on the way to: after it has left, or did not get in. */
void chat_drop_rooms(struct chat_session *s);
/* Goes into a room; the answer is login_ok or join_ok. Takes p. */
void chat_enter_room(struct chat_session *s, struct chat_pending *p);
/* Messages for everybody reach this session. */
void chat_hear_everybody(struct chat_session *s);

/* --- what the token allows; everything, where none is asked for --- */

bool chat_may(const struct chat_session *s, enum auth_right right);
bool chat_may_enter(const struct chat_session *s, struct slice room);
bool chat_may_use(const struct chat_session *s, struct slice channel);
/* Adds when the token expires, if it does: ,"expires":1700000000000,"expires_in":3600 */
void chat_answer_expiry(const struct chat_session *s, struct buf *b);

/* --- moderation --- */

bool chat_is_banned(const struct chat_session *s, struct slice user);
/* The user of the session, who is logged in; then the error says how long. */
bool chat_is_muted(const struct chat_session *s);
/* All that makes a publication the same one: type, user, channel and ref. */
void chat_publication_digest(const struct chat_session *s, const struct chat_request *r, struct slice channel, uint8_t digest[SHA256_BYTES]);

/* --- answers --- */

/* {"type":"TYPE" in the scratch buffer. */
struct buf *chat_answer_begin(struct chat_session *s, const char *type);
/* Adds ref, if it is not empty, ends the object and sends it. */
void chat_answer_send(struct chat_session *s, struct buf *b, struct slice ref);
/* The error answer; closes when there were too many in a row. */
void chat_fail(struct chat_session *s, enum chat_error error, struct slice ref);
/* The same, with a sentence that says more (or NULL). */
void chat_fail_with(struct chat_session *s, enum chat_error error, const char *detail, struct slice ref);
enum chat_error chat_error_of(enum ipc_result result);
/* ,"users":[..],"count":n of a room's snapshot, this user included. */
void chat_answer_members(const struct chat_session *s, const struct hub_snapshot *snapshot, struct buf *b);
/* ,"messages":[..] and, if it was asked for, ,"recovered":.. of a subscription's snapshot. */
void chat_answer_missed(const struct chat_session *s, const struct hub_snapshot *snapshot, struct buf *b);
/* ,"messages":[..],"more":.. of a history: as many as one answer may have; `newest`: if not all, the newest of them. */
void chat_answer_history(const struct chat_session *s, const struct hub_snapshot *snapshot, bool newest, struct buf *b);
/* Of what may wait for one client, what the lists of one answer may take. */
size_t chat_messages_budget(const struct chat_session *s);
size_t chat_members_budget(const struct chat_session *s);

#endif
