/*
 * client - many WebSocket clients on one epoll
 *
 * They ask for one address, send, read what comes and answer pings. Whatever a server does that ends a connection is counted with its cause
 * and goes on with the others; only what is wrong at this end (no port, no descriptor left) ends the program.
 * Memory: an idle client is its struct and nothing else; what came in part or could not be sent yet is held elsewhere until it is complete.
 * Clients stay where they are; what fails is marked at once and may be found so after every call.
 */
#ifndef TESTS_LOAD_CLIENT_H
#define TESTS_LOAD_CLIENT_H

#include "common/base/buf.h"
#include "tests/load/options.h"
#include "tests/load/shared.h"
#include "tests/load/stamp.h"

enum { CLIENT_MESSAGE_MAX = 16 << 20, STAMP_PLACES = 2 };

enum client_state { CLIENT_NEW = 0, CLIENT_CONNECTING, CLIENT_TLS, CLIENT_UPGRADING, CLIENT_OPEN, CLIENT_GONE };

struct part;	 /* what has come of a message (client_read.h) */
struct unsent;
struct ssl_st;

struct client {
	int fd;		/* -1: none */
	uint8_t state;	/* enum client_state */
	bool is_ready : 1;	     /* it takes part */
	bool is_publisher : 1;
	bool offers_deflate : 1;
	bool was_open : 1;
	bool comes_back : 1; /* what ends it is counted, but is neither a refusal nor a loss */
	bool is_in : 1;	     /* the chat's: logged in */
	uint32_t number;	/* the scenario's, like the next two */
	uint64_t mark, position;
	struct part *part;	/* NULL: nothing has come in part */
	struct unsent *unsent;	/* NULL: the socket has taken everything */
	struct ssl_st *tls;	/* NULL: plain */
};

struct clients;

/* What a scenario wants to hear of its clients. */
struct client_events {
	void (*on_open)(struct clients *all, struct client *c);
	/* `text`: the message if `wants_text`, else its first STAMP_BYTES (or all, if it is shorter). */
	void (*on_message)(struct clients *all, struct client *c, struct slice text);
	void (*on_gone)(struct clients *all, struct client *c); /* never opened, or lost; or NULL */
	bool wants_text;
	bool compares; /* what comes must be the message, byte for byte */
	bool counts_retransmits; /* of SYNs */
};

struct clients {
	int epoll;
	struct client *client;
	uint32_t count, started;
	uint32_t first;	/* number of the first one among those of all processes */
	uint32_t retry_after; /* seconds, if the last one that was refused was told so */
	uint64_t now;	/* when the last bytes were received */
	const struct options *o;
	struct shared *shared;
	struct process *me;
	struct client_events on;
	struct buf frame; /* the one message, masked */
	size_t stamp_at[STAMP_PLACES]; /* in its payload */
	size_t stamp_count;
	size_t payload_at, payload_len;
	uint8_t *payload; /* unmasked */
	struct buf scratch;
	void *arg;	/* the scenario's */
};

void clients_init(struct clients *all, uint32_t first, uint32_t count);
/* Resets what is open: thousands of addresses in TIME_WAIT would be in the way of the next round. */
void clients_fini(struct clients *all);
/* All send the same message of `bytes` letters; like JSON, so that it compresses as messages do. */
void clients_set_message(struct clients *all, size_t bytes, bool binary);
/* The same with a text of the caller's, in which a stamp has several places. */
void clients_set_text(struct clients *all, struct slice text, const size_t *stamp_at, size_t stamp_count);
/* Connects. The client is new or gone. */
void client_start(struct clients *all, struct client *c);
/* Waits for events until that time (of now_ns()) at most, and handles them. */
void clients_turn(struct clients *all, uint64_t until_ns);

/* Sends the message; a stamp (STAMP_BYTES) takes its place or places in it (the beginning), unless it is NULL. */
void client_send(struct clients *all, struct client *c, const uint8_t *stamp);
/* Sends a text message. */
void client_send_text(struct clients *all, struct client *c, struct slice text);
/* Sends these bytes, which are frames already. */
void client_send_bytes(struct clients *all, struct client *c, struct slice s);
void client_add_frame(struct buf *b, uint8_t opcode, struct slice payload);
/* It takes part from now on. */
void client_ready(struct clients *all, struct client *c);
/* Ends it, with a reset, and counts nothing. */
void client_close(struct client *c);
/* The same, and counts it as refused or lost because of `cause`; the sentence says it in full. */
void client_fail(struct clients *all, struct client *c, const char *cause, const char *format, ...) PRINTF_LIKE(4, 5);

static inline uint32_t client_index(const struct clients *all, const struct client *c) {
	return (uint32_t)(c - all->client);
}

static inline uint32_t client_number(const struct clients *all, const struct client *c) {
	return all->first + client_index(all, c);
}

#endif
