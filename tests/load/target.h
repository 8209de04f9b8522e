/*
 * target - whom the load goes to: a URL taken apart, and its name resolved once
 */
#ifndef TESTS_LOAD_TARGET_H
#define TESTS_LOAD_TARGET_H

#include <sys/socket.h>

#include "common/base/errbuf.h"

enum { TARGET_HOST_MAX = 255, TARGET_PATH_MAX = 2048 };

struct target {
	bool is_tls;
	bool is_literal;		   /* an IPv6 address, which stands in brackets in a request */
	char host[TARGET_HOST_MAX + 1]; /* without brackets */
	uint16_t port;
	char path[TARGET_PATH_MAX + 1]; /* with the query; empty if there was none */
	struct sockaddr_storage address; /* after target_resolve() */
	socklen_t address_len;
};

/* ws://HOST[:PORT][/PATH] or wss://. False with a sentence in err. */
bool target_parse(struct target *t, const char *url, struct errbuf *err) MUST_CHECK;
/* The first address that the name has. */
bool target_resolve(struct target *t, struct errbuf *err) MUST_CHECK;

#endif
