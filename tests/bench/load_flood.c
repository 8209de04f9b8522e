/* load_flood - clients that come, or send, at a fixed rate, whatever the server makes of it, and come again */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

enum { EVENTS = 1024, FILE_MAX = 1 << 20, CONNECTIONS_MAX = 19900, BURST_BYTES = 65536, TALLIES = 64, STATUS_LEN = 12 };

static const uint64_t SECOND_NS = 1000000000, SWEEP_NS = 100000000;

static const char usage[] =
	"usage: load_flood --request=FILE [option]...\n"
	"Opens connections to 127.0.0.1 at a fixed rate, sends the request on each, and notes what became of them until the time is\n"
	"over. One that is upgraded stays until the server ends it, and sends messages if there are any. Says in a line of JSON:\n"
	"connections started, those that could not be because as many were there as may be, or no port was free; answers by status;\n"
	"without any: ended, reset, or given up after a while; upgraded ones by close code, or ended without; messages that were\n"
	"sent, and that were due and could not be.\n"
	"      --port=PORT              (8080)\n"
	"      --source=ADDRESS         where they come from (127.0.0.2)\n"
	"      --sources=N              from so many addresses, this one and the next ones, in turn (1)\n"
	"      --connections=N          at most at a time (4000)\n"
	"      --connects-per-second=N  (1000)\n"
	"      --first=FILE             what an upgraded one sends at once (nothing)\n"
	"      --until=TEXT             messages wait until this has come (nothing)\n"
	"      --message=FILE           a message as it goes over the wire (none)\n"
	"      --messages-per-second=N  over all connections (0)\n"
	"      --wait-seconds=N         for an answer (5)\n"
	"      --seconds=N              (10)\n";

enum state { FREE = 0, CONNECTING, ASKED, ANSWERED, UPGRADED, READY };

struct connection {
	int fd;
	enum state state;
	bool was_reset;
	uint64_t began_ns;
	char status[STATUS_LEN + 1];
	size_t status_len;
	unsigned blank;		 /* letters of "\r\n\r\n" that came last */
	uint8_t head[10], code[2]; /* of a frame; of a close frame */
	size_t head_len, code_len;
	uint8_t opcode;
	uint64_t left;		  /* payload bytes of the frame still to come */
	uint64_t owed;		  /* messages due ... */
	size_t sent;		  /* ... and bytes of the first that have gone */
};

struct tally {
	int key[TALLIES];
	uint64_t count[TALLIES];
	size_t len;
};

static struct flood {
	long port, sources, connections, connects_per_second, messages_per_second, wait_seconds, seconds;
	const char *source, *until;
	struct buf request, first, message, burst;
	struct connection *connection;
	struct connection **free;
	size_t free_count, ready;
	uint64_t due_connects, due_messages; /* so far */
	uint64_t started, no_room, no_port, sent, unsent, unanswered, ended, reset, upgraded, dropped;
	struct tally status, code;
	int epoll;
} flood = { .port = 8080, .sources = 1, .connections = 4000, .connects_per_second = 1000, .wait_seconds = 5, .seconds = 10,
	.source = "127.0.0.2" };

NORETURN static void die(const char *what) {
	fprintf(stderr, "load_flood: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

static void read_file(struct buf *out, const char *path) {
	FILE *f = fopen(path, "re");
	uint8_t *at;
	size_t n;

	if (f == NULL)
		die(path);
	while ((at = buf_reserve(out, 65536)) != NULL && (n = fread(at, 1, 65536, f)) > 0)
		out->len += n;
	fclose(f);
	if (at == NULL)
		die(path);
}

static void tally_add(struct tally *t, int key) {
	size_t i = 0;

	while (i < t->len && t->key[i] != key)
		i++;
	if (i == TALLIES)
		return;
	t->len += i == t->len;
	t->key[i] = key;
	t->count[i]++;
}

static void watch(struct connection *c, int op, uint32_t events) {
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(flood.epoll, op, c->fd, &e) != 0)
		die("epoll_ctl");
}

/* Reset, not closed: thousands of addresses in TIME_WAIT would be in the way of the next ones. */
static void release(struct connection *c) {
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(c->fd);
	flood.ready -= c->state == READY;
	c->state = FREE;
	flood.free[flood.free_count++] = c;
}

static void over(struct connection *c, bool was_reset) {
	if (c->state == UPGRADED || c->state == READY)
		flood.dropped++;
	else if (c->state != ANSWERED && was_reset)
		flood.reset++;
	else if (c->state != ANSWERED)
		flood.ended++;
	release(c);
}

static bool start_one(uint64_t now) {
	static uint32_t turn;
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)flood.port) };
	struct connection *c = flood.free[flood.free_count - 1];
	int on = 1;

	if (inet_pton(AF_INET, flood.source, &from.sin_addr) != 1)
		die(flood.source);
	from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + turn++ % (uint32_t)flood.sources);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*c = (struct connection){ .state = CONNECTING, .began_ns = now };
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
		die("bind");
	flood.free_count--;
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) {
		if (errno != EADDRNOTAVAIL)
			die("connect");
		c->state = ANSWERED;
		watch(c, EPOLL_CTL_ADD, 0);
		release(c);
		return false;
	}
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
	return true;
}

static void start_due(uint64_t since_ns, uint64_t now) {
	uint64_t due = since_ns * (uint64_t)flood.connects_per_second / SECOND_NS;

	for (; flood.due_connects < due; flood.due_connects++) {
		if (flood.free_count == 0)
			flood.no_room++;
		else if (start_one(now))
			flood.started++;
		else
			flood.no_port++;
	}
}

/* --- what comes --- */

static void become_ready(struct connection *c) {
	c->state = READY;
	flood.ready++;
}

static void upgraded(struct connection *c) {
	flood.upgraded++;
	c->state = UPGRADED;
	if (flood.first.len > 0 && send(c->fd, flood.first.data, flood.first.len, MSG_NOSIGNAL) < 0 && errno == EAGAIN)
		die("first");
	if (flood.until == NULL)
		become_ready(c);
}

/* Returns how many bytes were the response's. */
static size_t response(struct connection *c, const uint8_t *p, size_t n) {
	size_t i = 0;

	for (; i < n && c->state == ASKED; i++) {
		if (c->status_len < STATUS_LEN)
			c->status[c->status_len++] = (char)p[i];
		if (c->status_len == STATUS_LEN && memcmp(c->status + 9, "101", 3) != 0) {
			tally_add(&flood.status, (int)strtol(c->status + 9, NULL, 10));
			c->state = ANSWERED;
		}
		c->blank = p[i] == "\r\n\r\n"[c->blank] ? c->blank + 1 : p[i] == '\r';
		if (c->blank == 4) {
			tally_add(&flood.status, 101);
			upgraded(c);
		}
	}
	return i;
}

static void frame_head(struct connection *c, uint8_t byte) {
	size_t length_bytes;

	c->head[c->head_len++] = byte;
	if (c->head_len < 2)
		return;
	length_bytes = c->head[1] < 126 ? 0 : c->head[1] == 126 ? 2 : 8;
	if (c->head_len < 2 + length_bytes)
		return;
	c->opcode = c->head[0] & 0x0f;
	c->left = length_bytes == 0 ? c->head[1] : 0;
	for (size_t i = 0; i < length_bytes; i++)
		c->left = c->left << 8 | c->head[2 + i];
	c->head_len = 0;
}

/* After a close frame the connection is gone. */
static void frames(struct connection *c, const uint8_t *p, size_t n) {
	for (size_t i = 0; i < n;) {
		size_t take = c->left < n - i ? (size_t)c->left : n - i;

		if (c->left == 0) {
			frame_head(c, p[i++]);
			continue;
		}
		for (size_t k = 0; c->opcode == 8 && k < take && c->code_len < 2; k++)
			c->code[c->code_len++] = p[i + k];
		if (c->code_len == 2) {
			tally_add(&flood.code, c->code[0] << 8 | c->code[1]);
			release(c);
			return;
		}
		c->left -= take;
		i += take;
	}
}

static void readable(struct connection *c) {
	static uint8_t bytes[262144];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
	size_t used;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		over(c, n < 0 || c->was_reset);
		return;
	}
	used = response(c, bytes, (size_t)n);
	if (c->state == UPGRADED && flood.until != NULL && memmem(bytes, (size_t)n, flood.until, strlen(flood.until)) != NULL)
		become_ready(c);
	if (c->state == UPGRADED || c->state == READY)
		frames(c, bytes + used, (size_t)n - used);
}

/* Who was refused before he asked finds the answer all the same. */
static void connected(struct connection *c) {
	c->was_reset = send(c->fd, flood.request.data, flood.request.len, MSG_NOSIGNAL) < 0;
	c->state = ASKED;
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

/* --- messages --- */

/* False: the socket takes no more, for now or for ever; what ended it is seen when it is read. */
static bool send_burst(struct connection *c) {
	uint64_t wanted = c->owed * flood.message.len - c->sent;
	size_t most = flood.burst.len - c->sent;
	ssize_t n = send(c->fd, flood.burst.data + c->sent, wanted < most ? (size_t)wanted : most, MSG_NOSIGNAL);

	if (n <= 0)
		return false;
	c->sent += (size_t)n;
	flood.sent += c->sent / flood.message.len;
	c->owed -= c->sent / flood.message.len;
	c->sent %= flood.message.len;
	return c->owed > 0;
}

/* What is due goes to all who are ready, in equal parts; no more than a second's worth waits for each. */
static void send_due(uint64_t since_ns) {
	uint64_t due = since_ns * (uint64_t)flood.messages_per_second / SECOND_NS - flood.due_messages, share;

	flood.due_messages += due;
	if (flood.ready == 0) {
		flood.unsent += due;
		return;
	}
	share = due / flood.ready;
	flood.due_messages -= due - share * flood.ready;
	for (long i = 0; i < flood.connections; i++) {
		struct connection *c = &flood.connection[i];

		if (c->state != READY)
			continue;
		c->owed += share;
		if (c->owed > (uint64_t)flood.messages_per_second) {
			flood.unsent += c->owed - (uint64_t)flood.messages_per_second;
			c->owed = (uint64_t)flood.messages_per_second;
		}
		while (c->owed > 0 && send_burst(c))
			;
	}
}

/* --- the run --- */

static void turn(void) {
	static struct epoll_event events[EVENTS];
	int n = epoll_wait(flood.epoll, events, EVENTS, 1);

	for (int i = 0; i < n; i++) {
		struct connection *c = events[i].data.ptr;

		if (c->state == CONNECTING)
			connected(c);
		else if (c->state != FREE)
			readable(c);
	}
}

static void give_up(uint64_t now) {
	for (long i = 0; i < flood.connections; i++) {
		struct connection *c = &flood.connection[i];

		if ((c->state == CONNECTING || c->state == ASKED) && now > c->began_ns + (uint64_t)flood.wait_seconds * SECOND_NS) {
			flood.unanswered++;
			release(c);
		}
	}
}

static void print_tally(const char *name, const struct tally *t) {
	printf(",\"%s\":{", name);
	for (size_t i = 0; i < t->len; i++)
		printf("%s\"%d\":%llu", i > 0 ? "," : "", t->key[i], (unsigned long long)t->count[i]);
	printf("}");
}

static void print_results(double seconds) {
	const struct {
		const char *name;
		uint64_t count;
	} counts[] = { { "started", flood.started }, { "no_room", flood.no_room }, { "no_port", flood.no_port }, { "ended", flood.ended },
		{ "reset", flood.reset }, { "unanswered", flood.unanswered }, { "upgraded", flood.upgraded }, { "dropped", flood.dropped },
		{ "held", (uint64_t)flood.connections - flood.free_count }, { "sent", flood.sent }, { "unsent", flood.unsent } };

	printf("{\"seconds\":%.3f", seconds);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		printf(",\"%s\":%llu", counts[i].name, (unsigned long long)counts[i].count);
	print_tally("status", &flood.status);
	print_tally("code", &flood.code);
	puts("}");
}

static void run(void) {
	uint64_t began = now_ns(), now = began, swept = began;

	for (; now < began + (uint64_t)flood.seconds * SECOND_NS; now = now_ns()) {
		start_due(now - began, now);
		if (flood.message.len > 0)
			send_due(now - began);
		turn();
		if (now - swept > SWEEP_NS) {
			give_up(now);
			swept = now;
		}
	}
	print_results((double)(now - began) / (double)SECOND_NS);
}

static void read_options(int argc, char **argv) {
	struct number {
		const char *name;
		long *value, min, max;
	} numbers[] = {
		{ "port", &flood.port, 1, 65535 },
		{ "sources", &flood.sources, 1, 65536 },
		{ "connections", &flood.connections, 1, CONNECTIONS_MAX },
		{ "connects-per-second", &flood.connects_per_second, 1, 1000000 },
		{ "messages-per-second", &flood.messages_per_second, 1, 10000000 },
		{ "wait-seconds", &flood.wait_seconds, 1, 600 },
		{ "seconds", &flood.seconds, 1, 600 },
	};
	enum { SOURCE = ARRAY_LEN(numbers), UNTIL, REQUEST, FIRST, MESSAGE, END };
	struct option options[END + 1] = { [SOURCE] = { "source", required_argument, NULL, SOURCE },
		[UNTIL] = { "until", required_argument, NULL, UNTIL },
		[REQUEST] = { "request", required_argument, NULL, REQUEST }, [FIRST] = { "first", required_argument, NULL, FIRST },
		[MESSAGE] = { "message", required_argument, NULL, MESSAGE } };
	struct buf *const files[] = { &flood.request, &flood.first, &flood.message };
	int at;

	for (int i = 0; i < SOURCE; i++)
		options[i] = (struct option){ numbers[i].name, required_argument, NULL, i };
	while ((at = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (at == SOURCE)
			flood.source = optarg;
		else if (at == UNTIL)
			flood.until = optarg;
		else if (at >= REQUEST && at < END)
			read_file(files[at - REQUEST], optarg);
		else if (at < SOURCE)
			*numbers[at].value = strtol(optarg, NULL, 10);
		if (at == '?' || (at < SOURCE && (*numbers[at].value < numbers[at].min || *numbers[at].value > numbers[at].max))) {
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (flood.request.len == 0) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv) {
	struct rlimit files;

	buf_init(&flood.request, FILE_MAX);
	buf_init(&flood.first, FILE_MAX);
	buf_init(&flood.message, FILE_MAX);
	buf_init(&flood.burst, BURST_BYTES + FILE_MAX);
	read_options(argc, argv);
	while (flood.message.len > 0 && flood.burst.len < BURST_BYTES)
		buf_add(&flood.burst, buf_slice(&flood.message));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	flood.connection = mem_zalloc((size_t)flood.connections * sizeof(flood.connection[0]));
	flood.free = mem_zalloc((size_t)flood.connections * sizeof(struct connection *));
	while (flood.free_count < (size_t)flood.connections) {
		flood.free[flood.free_count] = &flood.connection[flood.free_count];
		flood.free_count++;
	}
	flood.epoll = epoll_create1(EPOLL_CLOEXEC);
	run();
	for (long i = 0; i < flood.connections; i++) {
		if (flood.connection[i].state != FREE)
			release(&flood.connection[i]);
	}
	close(flood.epoll);
	mem_free(flood.connection);
	mem_free(flood.free);
	buf_fini(&flood.request);
	buf_fini(&flood.first);
	buf_fini(&flood.message);
	buf_fini(&flood.burst);
	return EXIT_SUCCESS;
}
