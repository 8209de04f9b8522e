/*
 * admin - what the admin listener answers: health, status, the status page, the server API
 *
 * Runs in:  the admin process, on top of its own connections and its own hub.
 * Security: with an admin_token, everything but /healthz and /readyz asks for it. A browser on the operator's machine reaches
 *           127.0.0.1 too: requests that a web page sends across origins (they carry an Origin header) are refused, and without a
 *           token those that ask by a name that somebody else may have pointed here. The status page's WebSocket has the Origin
 *           of that page, which has to be the host that is asked.
 */
#ifndef SERVER_ADMIN_ADMIN_H
#define SERVER_ADMIN_ADMIN_H

#include "common/svc/config.h"
#include "common/svc/memory_watch.h"
#include "common/svc/stats.h"
#include "server/auth/admin_token.h"
#include "server/auth/origin.h"
#include "server/hub/hub.h"
#include "server/limits/limits.h"

struct live;

enum admin_order { ADMIN_DRAIN, ADMIN_RELOAD };

/* Borrows everything for life. */
struct admin {
	struct hub *hub;
	const struct config *config;
	const struct stats_map *stats;
	const struct limits *limits;
	const struct memory_watch *memory;
	struct live *live;
	struct admin_token token;
	struct origin_list hosts;	/* names that may be asked by without a token */
	/* To the master, which answers ADMIN_RELOAD by admin_on_reloaded(). False: it cannot be reached. */
	bool (*order)(enum admin_order what, void *arg);
	void *order_arg;
	struct list reloading;		/* struct admin_call: waiting for that answer */
	struct evloop_timer reload_timer;
};

/* The rest of *a is filled in. */
void admin_init(struct admin *a, struct evloop *loop);
/* After the connections are gone. */
void admin_fini(struct admin *a);
void admin_on_reloaded(struct admin *a, bool is_in_force);

/* A conn_host's callbacks; its arg is a struct admin. */
bool admin_on_head(struct conn *c, const struct http_request *r);
void admin_on_request(struct conn *c, const struct http_request *r, struct slice body);
void admin_on_gone(struct conn *c);
size_t admin_body_max(const struct http_request *r, void *arg);

#endif
