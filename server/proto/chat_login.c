/* chat_login - who somebody is: userId, name and the secret that proves them */
#include "common/base/codec.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "server/proto/chat_session.h"
#include "server/proto/json_write.h"

struct login {
	struct slice user, name, room, resume;
	struct chat_channel channel;
	struct hub_position since;
	bool has_since;
};

STATIC_ASSERT((int)GRANT_USER_MAX == (int)CHAT_USER_MAX && (int)GRANT_NAME_MAX == (int)CHAT_NAME_MAX,
    "a token has no identity that a login could not have");

/* With a token, it says who somebody is; what else is said of that must be the same. */
static enum chat_error login_identity(struct login *l, const struct chat_request *r, const struct auth_grant *g) {
	bool has_user = chat_request_has(r, CHAT_MEMBER_userId), has_name = chat_request_has(r, CHAT_MEMBER_name);

	if ((g == NULL || has_user) && (!chat_request_text(r, CHAT_MEMBER_userId, &l->user) || !chat_check_user(l->user)))
		return CHAT_bad_user;
	if ((g == NULL || has_name) && (!chat_request_text(r, CHAT_MEMBER_name, &l->name) || !chat_check_name(l->name)))
		return CHAT_bad_name;
	if (g == NULL)
		return CHAT_OK;
	if ((has_user && !slice_eq(l->user, grant_user(g))) || (has_name && !slice_eq(l->name, grant_name(g))))
		return CHAT_other_user;
	l->user = grant_user(g);
	l->name = grant_name(g);
	return CHAT_OK;
}

static enum chat_error login_read(struct login *l, const struct chat_session *s, const struct chat_request *r) {
	enum chat_error error = login_identity(l, r, conn_grant(s->base.hub.conn));

	if (error != CHAT_OK)
		return error;
	l->room = slice_text("lobby");
	if (chat_request_has(r, CHAT_MEMBER_room) && (!chat_request_text(r, CHAT_MEMBER_room, &l->room) || !chat_check_room(l->room)))
		return CHAT_bad_room;
	if (!chat_may_enter(s, l->room))
		return CHAT_not_allowed;
	l->resume = SLICE_EMPTY;
	if (chat_request_has(r, CHAT_MEMBER_resume) && (!chat_request_text(r, CHAT_MEMBER_resume, &l->resume) || !chat_check_resume(l->resume)))
		return CHAT_bad_resume;
	chat_channel_of_room(&l->channel, l->room);
	return chat_request_since(r, &l->has_since, &l->since);
}

static void login_failed(struct chat_session *s, enum ipc_result result, struct slice ref) {
	s->state = CHAT_ANONYMOUS;
	chat_drop_rooms(s);
	/* Whatever was half done is undone by the broker or by the next login with the same secret. */
	chat_fail(s, result == IPC_TAKEN ? CHAT_user_taken : CHAT_unavailable, ref);
}

static void on_identified(struct hub_client *client, void *cookie, const struct hub_result *result) {
	const struct chat_pending *p = cookie;
	struct chat_session *s = chat_pending_done(client, p);

	if (result->result != IPC_OK)
		login_failed(s, result->result, chat_pending_ref(p));
	else
		chat_enter_room(s, chat_pending_again(s, p));
}

/* The secret: the client's own, or a new one. It is known to nobody but its client; the broker gets a digest. */
static void make_secret(const struct login *l, char secret[CHAT_RESUME_LEN + 1]) {
	uint8_t bytes[16];

	if (l->resume.len > 0) {
		memcpy(secret, l->resume.ptr, CHAT_RESUME_LEN);
		secret[CHAT_RESUME_LEN] = '\0';
		return;
	}
	random_bytes(bytes, sizeof(bytes));
	base64url_encode(slice_of(bytes, sizeof(bytes)), secret);
}

/* What the broker knows a user by. With tokens, whoever has one for a user is that user: all connections of the user have the same. */
static void make_token(const struct chat_session *s, const struct login *l, struct chat_pending *p, uint8_t token[SHA256_BYTES]) {
	if (conn_grant(s->base.hub.conn) == NULL) {
		make_secret(l, p->resume);
		digest_sha256(slice_text(p->resume), token);
	} else {
		digest_sha256(l->user, token);
	}
}

enum chat_error chat_do_login(struct chat_session *s, const struct chat_request *r) {
	struct login l;
	enum chat_error error;
	struct chat_pending *p;
	struct buf *scratch;
	uint8_t token[SHA256_BYTES];

	if (s->state != CHAT_ANONYMOUS)
		return CHAT_already_logged_in;
	error = login_read(&l, s, r);
	if (error != CHAT_OK || !chat_take_room(s, &error))
		return error;
	if (chat_is_banned(s, l.user)) {
		chat_fail(s, CHAT_banned, r->ref);
		conn_close(s->base.hub.conn, CLOSE_banned, NULL);
		return CHAT_OK;
	}
	s->state = CHAT_LOGGING_IN;
	chat_hear_everybody(s);
	p = chat_pending_new(s, r, slice_text(l.channel.name));
	p->is_login = true;
	p->has_since = l.has_since;
	p->since = l.since;
	make_token(s, &l, p, token);
	scratch = proto_scratch(s->base.context);
	buf_add_text(scratch, "{\"name\":");
	json_write_text(scratch, l.name);
	buf_add_u8(scratch, '}');
	hub_identify(&s->base.hub, l.user, token, buf_slice(scratch), l.room, on_identified, p);
	return CHAT_OK;
}
