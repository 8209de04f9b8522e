/*
 * hub_fixture - a hub between a fake broker and real connections, all in one loop
 *
 * What a client's connection received stands in got.text, one message after the other with '|' behind each. Forms:
 *   FORM_TEST:  p:OFFSET:DATA   j:MEMBER:COUNT then s:MEMBER   l:MEMBER:COUNT   n:COUNT (from 4 members on)   r:EPOCH:OFFSET
 *   FORM_BARE:  DATA of publications, nothing else
 * Answers are sent to the connection too: a snapshot as
 *   snap:EPOCH:OFFSET[:yes|:no][ OFFSET=DATA]..[ *MEMBER]..[ #COUNT]   or   snap:unavailable
 * and a result as   ok:EPOCH:OFFSET  repeated:EPOCH:OFFSET  taken  unavailable  uncertain
 */
#ifndef TESTS_UNIT_HUB_FIXTURE_H
#define TESTS_UNIT_HUB_FIXTURE_H

#include "common/base/buf.h"
#include "server/hub/hub.h"
#include "tests/unit/fake_broker.h"

enum { FORM_TEST = 0, FORM_BARE = 1 };
enum { TEST_TIMEOUT_MS = 200, TEST_LINGER_MS = 60, TEST_CLIENT_QUEUE_BYTES = 4 << 20, TEST_CLIENTS_MAX = 16 };

struct test_client {
	struct hub_client hub;
	struct conn *conn;	/* NULL when closed */
	int fd;			/* its end of the connection */
	struct buf in;		/* bytes not yet taken apart */
	struct buf text;
	unsigned answers;
	bool is_open, is_deaf;	/* deaf: does not read */
	uint8_t form;
	uint8_t window_bits;	/* of what it inflates */
	bool keeps_context;
	struct ws_inflater *inflater;
	unsigned compressed;	/* messages that came so */
};

extern struct evloop *loop;
extern struct fake_broker broker;
extern struct hub *hub;
/* Of hub and connections; set before the fixture is opened. */
extern struct ws_deflate_settings hub_fixture_deflate;

/* Linked, hello and synced taken. */
void hub_fixture_open(void);
void hub_fixture_close(void);
/* A WebSocket that is open; borrowed until the fixture closes. */
struct test_client *client_open(uint8_t form);
/* The same with an offer of permessage-deflate, its parameters behind a ';'. Inflates with the window agreed on, no more. */
struct test_client *client_open_deflate(uint8_t form, const char *parameters);
/* A client without a connection: answers are written to its text. */
struct test_client *client_open_bare(void);
/* Reads what has come, unless it is deaf. */
void client_receive(struct test_client *c);
/* Waits until exactly this has come since the last call. */
void client_expect(struct test_client *c, const char *text);
void client_expect_nothing(struct test_client *c);

/* Cookies are heap memory in each case, so that a leak is seen. */
void subscribe(struct test_client *c, const char *channel, unsigned flags);
void subscribe_since(struct test_client *c, const char *channel, unsigned flags, const char *epoch, uint64_t offset,
    uint32_t member_limit);
void publish(struct test_client *c, const char *channel, const char *data);
void identify(struct test_client *c, const char *member);
void result_to_client(struct hub_client *hc, void *cookie, const struct hub_result *r);
void snapshot_to_client(struct hub_client *hc, void *cookie, const struct hub_snapshot *s);
void *test_cookie(void);

/* The broker's side. `missed`: "5=text 6=text" or NULL. */
void broker_snapshot(const union ipc_any *question, uint8_t flags, const char *epoch, uint64_t offset, const char *missed);
void broker_deliver(const char *channel, const char *epoch, uint64_t offset, const char *data, const char *key);
void broker_member(enum ipc_type joined_or_left, const char *channel, const char *member, uint32_t count);
/* The next message must be a subscribe of this channel, with this position or (NULL) none. */
const union ipc_any *broker_take_subscribe(const char *channel, const char *epoch, uint64_t offset);
/* Subscribed and live at (e, offset). */
void join_live(struct test_client *c, const char *channel, uint64_t offset);

#endif
