/*
 * proto - the front ends of a worker: which path speaks what
 *
 * Each front end is a struct conn_ops and, if it receives from channels, a struct hub_form.
 */
#ifndef SERVER_PROTO_PROTO_H
#define SERVER_PROTO_PROTO_H

#include "common/svc/config.h"
#include "server/auth/auth.h"
#include "server/hub/hub.h"
#include "server/limits/limits.h"

/* FORM_MODERATION: no front end's; its worker fills it in. */
enum { FORM_CHAT = 0, FORM_RAW = 1, FORM_MODERATION = 2, FORM_COUNT };

/* What the front ends of a process share. Owned by the worker. */
struct proto_context {
	struct hub *hub;
	const struct config *config;
	const struct auth *auth;	/* borrowed */
	struct limits *limits;		/* borrowed */
	struct hub_form forms[FORM_COUNT];
	const char *detail;		/* static: further words for the error that a request is about to be answered with; NULL: none */
	uint64_t retry_after_ms;	/* of that error, too: when to try again; 0: nothing is said of it */
	struct buf scratch;		/* where a front end builds one message; nobody keeps anything in it */
	struct list ended;		/* hub_client.link of sessions without a connection, to be freed at the end of the turn */
};

/* Fills context->forms; hub, auth and limits are set by the caller, after hub_new() and auth_new(). */
void proto_init(struct proto_context *context, const struct config *config);
/* After all connections are gone (conns_free). */
void proto_fini(struct proto_context *context);
/* End of a turn, after the connections were flushed: frees the sessions that ended. */
void proto_turn_end(struct proto_context *context);
/* Upgrades the connection to the front end of this path; false when the path is none of ours. */
bool proto_is_path(struct slice path);
void proto_upgrade(struct proto_context *context, struct conn *c, const struct http_request *r);

/* Channel names: rooms are "room:NAME"; names that begin with '$' are the server's own. */
#define CHANNEL_ROOM_PREFIX IPC_ROOM_PREFIX
#define CHANNEL_EVERYBODY "$all"
#define CHANNEL_BROADCAST "$broadcast"
/* No channel: whence a publication seems to come that the operator has sent to this client alone. */
#define CHANNEL_DIRECT "$direct"

#endif
