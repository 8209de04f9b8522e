/*
 * tcp_proxy - connections through this process to a port of 127.0.0.1, which may turn dead without either end being told
 */
#ifndef TESTS_UNIT_TCP_PROXY_H
#define TESTS_UNIT_TCP_PROXY_H

#include "common/svc/evloop.h"

enum { TCP_PROXY_PAIRS = 16 };

struct tcp_pair {
	int fd[2];		/* the client's, the server's; -1: closed */
	struct evloop_io io[2];
	bool is_dead;		/* what comes is swallowed */
};

struct tcp_proxy {
	struct evloop *loop;
	uint16_t port, to;
	int listener;
	struct evloop_io io;
	struct tcp_pair pair[TCP_PROXY_PAIRS];
	size_t count;		/* of connections that came, in their order */
};

/* port: where it listens. */
void tcp_proxy_start(struct tcp_proxy *p, struct evloop *loop, uint16_t to);
void tcp_proxy_stop(struct tcp_proxy *p);
/* Nothing comes through any more. */
void tcp_proxy_deaden(struct tcp_proxy *p, size_t at);
/* And the server is told, but not the client. */
void tcp_proxy_hide_close(struct tcp_proxy *p, size_t at);

#endif
