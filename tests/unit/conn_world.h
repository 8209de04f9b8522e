/* conn_world - what stands around a connection under test: a loop run turn by turn, an owner, a client */
#ifndef TESTS_UNIT_CONN_WORLD_H
#define TESTS_UNIT_CONN_WORLD_H

#include <check.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "server/conn/conn.h"

enum { GOT_MAX = 8 << 20, BODY_MAX = 100000, MESSAGE_MAX = 200000, QUEUE_BYTES = 300000, GIVE_UP_MS = 8000 };

#define HANDSHAKE \
	"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* One at a time. */
struct world {
	struct evloop *loop;
	struct conns *conns;
	struct limits *limits;	/* of the test, set before world_setup(); NULL: none */
	struct evloop_timer poll_timer;
	int client;		/* our end of the connection that is looked at; -1: none */
	uint8_t *got;		/* what came out there */
	size_t got_len;
	bool got_eof, got_reset, is_client_reading;
	bool (*until)(void);
	const char *wanted;
	uint64_t stop_ms;
	uint64_t closed_before[CLOSE_REASON_COUNT];
	uint64_t close_timeouts_before;
	/* What the owner saw. */
	struct conn *opened, *waiting;
	int open_count, closed_count, by_server_count, gone_count, request_count, message_count, limited_count;
	bool reply_at_close;
	char last_body[BODY_MAX + 1];
	size_t last_body_len;
};
extern struct world w;

/* No ping comes among what is expected. */
void world_setup(void);
/* One comes every 200 ms. */
void world_setup_beating(void);
/* With other settings. */
void world_setup_with(const struct conn_settings *settings);
void world_teardown(void);
/* Turns until the condition is true or the time is up; false: it did not come true. */
bool world_run(bool (*condition)(void), uint64_t ms);
bool world_is_ended(void);
bool world_is_all_gone(void);
bool world_is_closed(void);
/* How many connections of this test ended so. */
uint64_t world_closed_with(enum close_reason reason);
uint64_t world_close_timeouts(void);
/* The owner answers 200. */
void world_respond(struct conn *c, const char *text, size_t len);

/* Another connection; buffer_bytes: of the server's socket, 0 leaves it as it is. Our end. */
int world_open_one(int buffer_bytes);
/* From this address; is_proxy: it begins with the header of the PROXY protocol. 10.0.0.0/8 is trusted. */
int world_open_from(const char *from, bool is_proxy);
int world_connect_tcp(void);
/* Looks at that end from now on. */
void world_look_at(int fd);
void world_leave(void);
void world_forget(void);

void world_send_bytes(const void *bytes, size_t len);
void world_send_text(const char *text);
/* A masked frame; its length. out has room for len + 14. */
size_t world_put_frame(uint8_t *out, uint8_t first, const void *payload, size_t len);
void world_send_frame(uint8_t first, const void *payload, size_t len);
void world_send_message(const char *text);
/* code 0: none. */
void world_send_close(uint16_t code);
void world_upgrade(void);

/* Waits until the text is somewhere in what came. */
void world_expect(const char *text);
/* The next frame is this one; it is taken off. */
void world_expect_frame(uint8_t first, const char *text);
bool world_has_frame_head(void);
void world_expect_close(uint16_t code, const char *reason);
/* The server ends its side, and then the connection is gone with ours. */
void world_expect_end(void);

#endif
