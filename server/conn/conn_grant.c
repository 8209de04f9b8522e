/* conn_grant - who a connection belongs to, and how long */
#include "server/conn/conn_priv.h"

/* Looked at again then: the wall clock may have been set, and a wheel turns only so far. */
enum { LOOK_AGAIN_MS = 3600 * 1000 };

void conn_set_grant(struct conn *c, struct auth_grant *grant) {
	grant_drop(&c->grant);
	c->grant = grant;
	if (c->state == CONN_OPEN)
		conn_arm(c);
}

const struct auth_grant *conn_grant(const struct conn *c) {
	return c->grant;
}

struct slice conn_user_id(const struct conn *c) {
	if (c->grant != NULL)
		return grant_user(c->grant);
	return c->state == CONN_OPEN && c->ops->user_id != NULL ? c->ops->user_id(c) : SLICE_EMPTY;
}

static uint64_t ms_left(const struct conn *c) {
	uint64_t wall_ms = evloop_wall_ms(c->cs->loop), expires_s = c->grant->expires_s;

	if (expires_s > wall_ms / 1000 + LOOK_AGAIN_MS / 1000)
		return LOOK_AGAIN_MS;
	return expires_s * 1000 > wall_ms ? expires_s * 1000 - wall_ms : 0;
}

uint64_t conn_grant_due(const struct conn *c, uint64_t now) {
	return c->grant != NULL && c->grant->expires_s > 0 ? now + ms_left(c) : UINT64_MAX;
}

/* Whoever ends may take others along, so none but the first is relied on. */
void conns_review(struct conns *cs, conn_judge_fn judge, void *arg) {
	for (size_t left = cs->count; left > 0 && !list_is_empty(&cs->all); left--) {
		struct conn *c = list_entry(cs->all.next, struct conn, link);
		const char *detail = NULL;
		enum close_reason reason;

		list_remove(&c->link);
		list_add_tail(&cs->all, &c->link);
		if (c->state != CONN_OPEN)
			continue;
		reason = judge(c, arg, &detail);
		if (reason != CLOSE_NONE)
			conn_close(c, reason, detail);
	}
}
