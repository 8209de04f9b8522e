/*
 * client - many WebSocket clients on one epoll, for loads and benches
 *
 * Friendly peers only: they ask for one address, send one kind of message, read what comes and answer pings. Whatever they
 * do not expect ends the program with a sentence, because a figure measured beside an error is none.
 */
#ifndef TESTS_LOAD_CLIENT_H
#define TESTS_LOAD_CLIENT_H

#include <netinet/in.h>

#include "common/base/buf.h"

enum { CLIENT_STAMP = 16, CLIENTS_MAX = 20000, CLIENT_MESSAGE_MAX = 16 << 20 };

/* uint64_t: a product of them fits. */
static const uint64_t SECOND_NS = 1000000000, MILLISECOND_NS = 1000000;

enum client_state { CLIENT_NEW, CLIENT_CONNECTING, CLIENT_UPGRADING, CLIENT_OPEN };

struct clients;

struct client {
	struct clients *all;
	int fd;
	uint32_t index;
	bool offers_deflate; /* the user's, before it is started; what comes compressed is not inflated */
	enum client_state state;
	struct buf in;	/* the response's head, or a control frame's payload */
	struct buf out; /* what the socket did not take at once ... */
	size_t out_sent; /* ... of which it has taken so much since */
	uint8_t head[14];
	uint8_t head_len; /* bytes of a frame's head that came, when it came in pieces */
	bool in_frame;
	bool fin;
	uint8_t opcode;
	uint64_t left;	 /* payload bytes of this frame still to come */
	bool is_compressed; /* the message, in part or whole, has come so: its bytes are not looked at */
	uint64_t offset; /* payload bytes of this message that came */
	uint8_t stamp[CLIENT_STAMP];
	uint64_t sent_ns; /* the user's */
};

struct clients {
	int epoll;
	struct client *client;
	uint32_t count, started, open;
	struct sockaddr_in to;
	const char *target, *path;
	const char *token;  /* the user's: for Authorization: Bearer, a * in it stands for the client's number; or NULL */
	const char *source; /* the user's: the address that the first comes from, the next ones from the next; or NULL */
	struct buf frame; /* the one message, masked */
	size_t payload_at, payload_len;
	uint8_t *payload; /* unmasked, compared with what comes back unless it carries stamps */
	bool compare;
	void (*on_open)(struct client *c);
	void (*on_message)(struct client *c);	/* c->stamp: the first bytes */
	void *arg;
};

NORETURN void die(const char *format, ...) PRINTF_LIKE(1, 2);
uint64_t now_ns(void);

/* `target` is an IPv4 address. */
void clients_init(struct clients *all, const char *target, uint16_t port, const char *path, uint32_t count);
void clients_fini(struct clients *all);
/* All send the same message of `bytes` letters; like JSON, so that it compresses as messages do. */
void clients_set_message(struct clients *all, size_t bytes, bool binary);
/* Connects one more (started < count). */
void clients_start_one(struct clients *all);
/* Waits for events, for at most so long, and handles them. Returns how many there were. */
int clients_turn(struct clients *all, uint64_t most_ns);
/* Connects all, at most 256 at a time. */
void clients_open_all(struct clients *all, int timeout_s);

/* Sends the message; a stamp (CLIENT_STAMP bytes) takes the place of its beginning, unless it is NULL. */
void client_send(struct client *c, const void *stamp);

#endif
