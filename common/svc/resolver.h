/*
 * resolver - names to addresses without blocking, and without a thread
 *
 * Does:      numeric addresses at once, /etc/hosts, then the name servers of /etc/resolv.conf (libevent's evdns); A and AAAA, of
 *            which those that this host has no address for are not asked (unless it has none at all).
 * Does not:  keep answers, or what it read: who asks again gets what is true then.
 */
#ifndef COMMON_SVC_RESOLVER_H
#define COMMON_SVC_RESOLVER_H

#include "common/svc/evloop.h"

enum { RESOLVER_ADDRESSES_MAX = 8, RESOLVER_TEXT_MAX = 46 };

struct resolver;
struct resolver_question;

/* Numeric, IPv4 before IPv6, in the order that came. */
struct resolver_answer {
	char address[RESOLVER_ADDRESSES_MAX][RESOLVER_TEXT_MAX];
	size_t count;
};

/* answer: NULL: none, `why` says it. Never inside resolver_ask(). */
typedef void (*resolver_fn)(void *arg, const struct resolver_answer *answer, const char *why);

/* Returns owned. Its own descriptors do not keep the loop from ending. */
struct resolver *resolver_new(struct evloop *loop) MUST_CHECK;
/* Instead of /etc/hosts and /etc/resolv.conf; borrowed for life. */
void resolver_use_files(struct resolver *r, const char *hosts, const char *resolv_conf);
/* Open questions are not answered any more. After the loop's last turn, or with no question open. */
void resolver_free(struct resolver **r);
/* Returns borrowed until fn is called or it is cancelled. The caller limits the time. */
struct resolver_question *resolver_ask(struct resolver *r, const char *name, resolver_fn fn, void *arg);
/* fn will not be called. */
void resolver_cancel(struct resolver_question **q);

#endif
