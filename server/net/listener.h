/*
 * listener - accepts connections on the listening sockets of a process
 *
 * Does:      accept with a budget per turn; several sockets, which may be added and removed at run time (a slot lends
 *            its sockets to another); answers 503 when no descriptor is free, with the help of a spare one.
 * Does not:  bind, know what becomes of a connection, read a request.
 * Lifetime:  owned by its user. The listening descriptors are borrowed (a whole host's slots are inherited from the
 *            master), but for listener_close(), which closes them.
 */
#ifndef SERVER_NET_LISTENER_H
#define SERVER_NET_LISTENER_H

#include "common/svc/evloop.h"
#include "common/svc/sock.h"

struct listener;

/* Takes fd. */
typedef void (*listener_fn)(int fd, const struct sock_peer *peer, void *arg);

/* Returns owned. */
struct listener *listener_new(struct evloop *loop, listener_fn on_accept, void *arg) MUST_CHECK;
/* Stops; the sockets stay open. */
void listener_free(struct listener **l);
/* Those who wait here do not begin with HTTP: who is refused is closed without a word. */
void listener_refuse_silently(struct listener *l);
/* Accepts on fd too. Adding one twice changes nothing. */
void listener_add(struct listener *l, int fd);
/* No longer; what waits there waits for another process. */
void listener_remove(struct listener *l, int fd);
/* For good, and for all processes that hold the sockets: what waits in the queues is answered 503 (closing would reset it), who comes
 * later is refused by the kernel. */
void listener_close(struct listener *l);
size_t listener_count(const struct listener *l);

#endif
