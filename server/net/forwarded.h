/*
 * forwarded - who the client is, behind proxies that have written down whom they heard
 *
 * X-Forwarded-For: CLIENT, PROXY1, PROXY2: each proxy adds at the end whom it has its request from. So the list is believed from its
 * end, as long as those in it are trusted themselves; what is before the first who is not may be invented. Pure. Input: hostile.
 */
#ifndef SERVER_NET_FORWARDED_H
#define SERVER_NET_FORWARDED_H

#include "common/base/slice.h"
#include "common/svc/nets.h"

/* The value of one header, told by a *client who is trusted. *client becomes the first, from the right, who is not trusted, or else the
 * leftmost. Stops at what is no address. True: all were trusted, so the header before this one counts, too. */
bool forwarded_walk(struct slice value, const struct nets *trusted, struct sock_peer *client);

#endif
