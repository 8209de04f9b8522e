/* chat_auth - what the token of a connection allows, and another one in its place before it expires */
#define LOG_AREA LOG_AREA_chat
#include "common/svc/log.h"
#include "server/proto/chat_session.h"
#include "server/proto/json_write.h"

static const struct auth_grant *grant_of(const struct chat_session *s) {
	return conn_grant(s->base.hub.conn);
}

static uint64_t wall_ms(const struct chat_session *s) {
	return evloop_wall_ms(conns_loop(conn_conns(s->base.hub.conn)));
}

bool chat_may(const struct chat_session *s, enum auth_right right) {
	const struct auth_grant *g = grant_of(s);

	return g == NULL || (g->rights & right) != 0;
}

bool chat_may_enter(const struct chat_session *s, struct slice room) {
	const struct auth_grant *g = grant_of(s);

	return g == NULL || grant_has_room(g, room);
}

bool chat_may_use(const struct chat_session *s, struct slice channel) {
	const struct auth_grant *g = grant_of(s);

	return g == NULL || grant_has_channel(g, channel);
}

void chat_answer_expiry(const struct chat_session *s, struct buf *b) {
	const struct auth_grant *g = grant_of(s);
	uint64_t now_ms = wall_ms(s), end_ms = g != NULL ? g->expires_s * 1000 : 0;

	if (end_ms == 0)
		return;
	json_write_member_u64(b, "expires", end_ms);
	json_write_member_u64(b, "expires_in", end_ms > now_ms ? (end_ms - now_ms) / 1000 : 0);
}

static void log_refusal(const struct chat_session *s, enum auth_refusal refusal) {
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];

	conn_id_text(s->base.hub.conn, id);
	sock_peer_text(conn_peer(s->base.hub.conn), peer);
	log_line(LOG_INFO, "a further token was refused", LF_TEXT("conn", id), LF_TEXT("peer", peer),
	    LF_TEXT("why", auth_refusal_name(refusal)), LF_TEXT("audit", "refusal"));
}

/* A further token extends; it does not change who somebody is or what he may do, because he may be where the new one does not let
 * him be. For that he connects again. */
static const char *renew(struct chat_session *s, struct slice token) {
	const struct auth *auth = s->base.context->auth;
	const struct auth_grant *old = grant_of(s);
	struct auth_grant *fresh;
	enum auth_refusal refusal;

	if (old == NULL)
		return "no tokens are asked for here";
	refusal = auth_token(auth, token, wall_ms(s) / 1000, &fresh);
	if (refusal != AUTH_OK) {
		log_refusal(s, refusal);
		return auth_refusal_sentence(refusal);
	}
	if (!grant_is_same(old, fresh)) {
		grant_drop(&fresh);
		return "the token is another user's, or allows something else: connect again with it";
	}
	conn_set_grant(s->base.hub.conn, fresh);
	return NULL;
}

enum chat_error chat_do_auth(struct chat_session *s, const struct chat_request *r) {
	struct slice token;
	const char *why;
	struct buf *b;

	why = chat_request_text(r, CHAT_MEMBER_token, &token) ? renew(s, token) : "token is missing";
	s->base.context->detail = why;
	if (why != NULL)
		return CHAT_bad_token;
	b = chat_answer_begin(s, "auth_ok");
	json_write_member_text(b, "userId", grant_user(grant_of(s)));
	chat_answer_expiry(s, b);
	chat_answer_send(s, b, r->ref);
	return CHAT_OK;
}
