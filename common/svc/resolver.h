/*
 * resolver - names to addresses without blocking, and without a thread
 *
 * Does:      /etc/hosts, then the name servers of /etc/resolv.conf (libevent's evdns); A and AAAA.
 * Does not:  keep answers: who asks again gets what is true then.
 */
#ifndef COMMON_SVC_RESOLVER_H
#define COMMON_SVC_RESOLVER_H

#include "common/svc/evloop.h"

struct resolver;
struct resolver_question;

/* address: numeric, IPv4 before IPv6 in the order that came; NULL: none, `why` says it. Never inside resolver_ask(). */
typedef void (*resolver_fn)(void *arg, const char *address, const char *why);

/* Returns owned; NULL without memory or descriptors. Its own descriptors do not keep the loop from ending. */
struct resolver *resolver_new(struct evloop *loop) MUST_CHECK;
/* Open questions are not answered any more. */
void resolver_free(struct resolver **r);
/* Returns borrowed until fn was called or it is cancelled. The caller limits the time. */
struct resolver_question *resolver_ask(struct resolver *r, const char *name, resolver_fn fn, void *arg);
/* fn will not be called. */
void resolver_cancel(struct resolver_question **q);

#endif
