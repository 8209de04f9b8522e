/*
 * service - what worker and admin have in common: a loop, a hub, connections, a listener, a master that tells them to go
 */
#ifndef SERVER_WORKER_SERVICE_H
#define SERVER_WORKER_SERVICE_H

#include "common/svc/usage.h"
#include "server/conn/conn.h"
#include "server/hub/hub.h"
#include "server/net/listener.h"
#include "server/net/tls.h"
#include "server/worker/worker.h"

/* A kind of listeners: what is done with those who come there. */
struct gate {
	struct service *service;
	struct listener *listener;
	uint8_t kind;		/* bits of enum listen_kind */
};

struct service {
	const struct heritage *heritage;
	struct evloop *loop;
	struct conns *conns;
	struct hub *hub;
	struct gate gates[LISTEN_KINDS];	/* by their kind */
	struct nets trusted_proxies;
	struct tls *tls;		/* NULL: nobody listens for it */
	struct evloop_io control;
	const int *doors;	/* listeners that are still to be opened; borrowed, NULL when they are open */
	const uint8_t *door_kinds;	/* of each; NULL: all plain */
	int door_count;
	struct evloop_timer patience;
	struct usage usage;
	struct evloop_timer usage_timer;
	/* Set before service_run(); may be NULL. */
	evloop_fn after_turn;	/* last of all at the end of a turn */
	void (*on_auth)(struct slice bundle, void *arg);	/* other tokens or keys than those of the heritage */
	void (*on_reloaded)(bool is_in_force, void *arg);	/* CONTROL_RELOADED */
	void *callback_arg;
	bool is_draining;
};

/* First thing in the child: becomes the configured user. False: *status is what to exit with. */
bool service_prepare(const struct heritage *h, int *status) MUST_CHECK;
/* Makes loop, hub and connections; nobody is accepted yet. */
void service_init(struct service *s, const struct heritage *h, int role, const struct hub_form *forms, size_t form_count,
    const struct conn_host *host);
/* With certificates in its heritage. False: they cannot be used, which is logged. */
bool service_use_tls(struct service *s) MUST_CHECK;
/* Accepts on these descriptors (kinds: bits of enum listen_kind for each; NULL: all plain), once there is a link to the broker or
 * it is late, and runs until master has asked to go and everybody is gone. */
void service_run(struct service *s, const int *listeners, int listener_count, const uint8_t *kinds);
void service_fini(struct service *s);

#endif
