/* load_socketio - the loads of herold-load for a server that speaks Socket.IO (protocol 5 on Engine.IO 4, over WebSocket) */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
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
#include "tests/load/histogram.h"
#include "tests/load/procs.h"

enum { EVENTS = 512, READ_BYTES = 256 * 1024, SLOTS_MAX = 1024, STAMP = 16, CONNECTIONS_MAX = 19900,
	MESSAGE_MAX = 1 << 20, WARMUP_MS = 300, STALL_SECONDS = 10 };

static const char usage[] =
	"usage: load_socketio echo|broadcast|idle|connect [option]...\n"
	"The server sends the event \"echo\" back, and the event \"message\" to all. See herold-load for what the loads are.\n"
	"      --port=PORT         of 127.0.0.1 (8080)\n"
	"      --connections=N     (64); connect makes so many, each of which is closed when it has joined, or as many as the time allows\n"
	"      --at-once=N         that are being made at a time (64)\n"
	"      --bytes=N           of a message (64)\n"
	"      --publishers=N      (16)\n"
	"      --under-way=N       messages of broadcast at a time (16)\n"
	"      --rate=N            messages per second in all, whether or not the ones before have come back\n"
	"      --seconds=N         of measuring (2)\n"
	"      --pids=PID,...      the server's processes\n"
	"      --json              as the others have it; there is no other output\n"
	"idle says \"ready\" and holds the connections until standard input ends; the others print a line of JSON.\n";

enum mode { ECHO, BROADCAST, IDLE, CONNECT };

struct client {
	int fd; /* -1: not connected */
	uint32_t index;
	bool connected, upgraded;
	struct buf in; /* what came of a frame or a response that is not whole */
	uint64_t sent_ns;
};

struct slot {
	uint32_t publisher, sequence;
	uint64_t sent_ns;
};

static struct load {
	enum mode mode;
	long port, connections, bytes, publishers, under_way, rate, at_once, seconds;
	struct pids pids;
	int epoll;
	struct client *client; /* owned */
	struct slot slot[SLOTS_MAX];
	struct buf frame; /* the message, masked with zeros */
	size_t payload_at;
	char begins[32]; /* what a message begins with, before the payload */
	uint32_t next_publisher, started, open;
	uint64_t messages, sent, sent_in_warmup, began_ns, until_ns;
	struct histogram times, late;
} load = { .port = 8080, .connections = 64, .bytes = 64, .publishers = 16, .under_way = 16, .at_once = 64, .seconds = 2 };

NORETURN static void die(const char *what, const char *why) {
	fprintf(stderr, "load_socketio: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void send_all(struct client *c, struct slice s) {
	while (s.len > 0) {
		ssize_t took = send(c->fd, s.ptr, s.len, MSG_NOSIGNAL);

		if (took < 0 && errno != EAGAIN)
			die("send", strerror(errno));
		if (took < 0)
			poll(&(struct pollfd){ .fd = c->fd, .events = POLLOUT }, 1, 1000);
		else
			s = slice_skip(s, (size_t)took);
	}
}

/* A masked text frame (RFC 6455, 5.2); with a mask of zeros the bytes stay as they are. */
static void add_frame(struct buf *b, struct slice payload) {
	uint8_t head[14] = { 0x81 };
	size_t len = payload.len, bytes = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;

	head[1] = (uint8_t)(0x80 | (bytes == 0 ? len : bytes == 2 ? 126 : 127));
	for (size_t i = 0; i < bytes; i++)
		head[2 + i] = (uint8_t)((uint64_t)len >> (8 * (bytes - 1 - i)));
	buf_add(b, slice_of(head, 2 + bytes + 4));
	buf_add(b, payload);
}

static void say(struct client *c, const char *text) {
	struct buf b;

	buf_init(&b, 256);
	add_frame(&b, slice_text(text));
	send_all(c, buf_slice(&b));
	buf_fini(&b);
}

static void make_message(void) {
	struct buf payload;

	snprintf(load.begins, sizeof(load.begins), "42[\"%s\",\"", load.mode == BROADCAST ? "message" : "echo");
	buf_init(&payload, 2 * MESSAGE_MAX);
	buf_init(&load.frame, 2 * MESSAGE_MAX);
	buf_add(&payload, slice_text(load.begins));
	for (long i = 0; i < load.bytes; i++)
		buf_add_u8(&payload, (uint8_t)('a' + i % 26));
	buf_add(&payload, slice_text("\"]"));
	add_frame(&load.frame, buf_slice(&payload));
	load.payload_at = load.frame.len - (size_t)load.bytes - 2;
	buf_fini(&payload);
}

static void send_message(struct client *c, uint64_t stamp) {
	char text[STAMP + 1];

	snprintf(text, sizeof(text), "%016" PRIx64, stamp);
	memcpy(load.frame.data + load.payload_at, text, STAMP);
	c->sent_ns = now_ns();
	send_all(c, buf_slice(&load.frame));
}

/* Publishers stand evenly among the others. */
static struct client *publisher(uint64_t at) {
	return &load.client[at % (uint64_t)load.publishers * (uint64_t)(load.connections / load.publishers)];
}

static void publish(uint32_t slot) {
	struct slot *s = &load.slot[slot];

	s->publisher = publisher(load.next_publisher++)->index;
	s->sent_ns = now_ns();
	send_message(&load.client[s->publisher], (uint64_t)slot << 32 | ++s->sequence);
}

/* When message n of an open loop is due. */
static uint64_t due_ns(uint64_t n) {
	return load.began_ns + n * 1000000000 / (uint64_t)load.rate;
}

static void published_came(struct client *c, uint64_t stamp) {
	uint32_t slot = (uint32_t)(stamp >> 32);

	if (slot >= load.under_way)
		die("broadcast", "a message nobody sent");
	if (load.slot[slot].publisher != c->index || load.slot[slot].sequence != (uint32_t)stamp)
		return;
	histogram_add(&load.times, now_ns() - load.slot[slot].sent_ns);
	publish(slot);
}

static void message_came(struct client *c, struct slice payload) {
	char text[STAMP + 1] = "", *end;
	uint64_t stamp;

	memcpy(text, payload.ptr, STAMP);
	stamp = strtoull(text, &end, 16);
	if (*end != '\0')
		die("message", "not what was sent");
	load.messages++;
	if (load.rate > 0) {
		if (stamp >= load.sent_in_warmup)
			histogram_add(&load.times, now_ns() - due_ns(stamp));
	} else if (load.mode == BROADCAST) {
		published_came(c, stamp);
	} else if (load.mode == ECHO) {
		histogram_add(&load.times, now_ns() - c->sent_ns);
		send_message(c, stamp + 1);
	}
}

static void start_one(struct client *c) {
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)load.port) };
	struct epoll_event e = { .events = EPOLLOUT, .data.ptr = c };
	int on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c->connected = c->upgraded = false;
	if (c->fd < 0)
		die("socket", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
		die("connect", strerror(errno));
	if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
		die("epoll_ctl", strerror(errno));
	load.started++;
}

/* Reset, not closed: thousands of addresses in TIME_WAIT would be in the way of the next ones. */
static void end_one(struct client *c) {
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(c->fd);
	c->fd = -1;
	buf_fini(&c->in);
}

/* The namespace is joined: from here on there are events. Returns false when the connection is gone. */
static bool joined(struct client *c) {
	load.open++;
	if (load.mode == IDLE)
		send_message(c, 0);
	if (load.mode != CONNECT)
		return true;
	load.messages++;
	histogram_add(&load.times, now_ns() - c->sent_ns);
	end_one(c);
	if (load.started < (uint32_t)load.connections) {
		c->sent_ns = now_ns();
		start_one(c);
	}
	return false;
}

/* One packet of Engine.IO. Returns false when the connection is gone. */
static bool packet(struct client *c, struct slice s) {
	if (slice_starts_with(s, load.begins)) {
		if (s.len != strlen(load.begins) + (size_t)load.bytes + 2)
			die("message", "not as long as it was sent");
		message_came(c, slice_skip(s, strlen(load.begins)));
	} else if (slice_starts_with(s, "40")) {
		return joined(c);
	} else if (slice_starts_with(s, "0")) {
		say(c, "40");
	} else if (slice_starts_with(s, "2")) {
		say(c, "3");
	} else {
		die("packet", "neither open, connect, ping nor the event");
	}
	return true;
}

/* The length of the first frame with its head, and of the head; 0 when it is not whole. */
static size_t frame_len(struct slice s, size_t *head) {
	uint64_t len;
	size_t bytes;

	if (s.len < 2)
		return 0;
	bytes = s.ptr[1] < 126 ? 0 : s.ptr[1] == 126 ? 2 : 8;
	if (s.len < 2 + bytes)
		return 0;
	if (s.ptr[0] != 0x81 || s.ptr[1] > 127)
		die("frame", "no whole text message without a mask");
	len = bytes == 0 ? s.ptr[1] : 0;
	for (size_t i = 0; i < bytes; i++)
		len = len << 8 | s.ptr[2 + i];
	if (len > 2 * MESSAGE_MAX)
		die("frame", "too long");
	*head = 2 + bytes;
	return s.len < *head + len ? 0 : *head + (size_t)len;
}

/* Returns what is not whole yet; empty when the connection is gone. */
static struct slice take(struct client *c, struct slice s) {
	size_t head, len;

	if (!c->upgraded) {
		const uint8_t *end = memmem(s.ptr, s.len, "\r\n\r\n", 4);

		if (end == NULL)
			return s;
		if (!slice_starts_with(s, "HTTP/1.1 101 "))
			die("connect", "no upgrade");
		c->upgraded = true;
		s = slice_skip(s, (size_t)(end - s.ptr) + 4);
	}
	while ((len = frame_len(s, &head)) > 0) {
		if (!packet(c, slice_of(s.ptr + head, len - head)))
			return SLICE_EMPTY;
		s = slice_skip(s, len);
	}
	return s;
}

static void readable(struct client *c) {
	static uint8_t bytes[READ_BYTES];
	ssize_t got = recv(c->fd, bytes, sizeof(bytes), 0);
	struct slice rest;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		die("connection", got == 0 ? "ended by the server" : strerror(errno));
	rest = slice_of(bytes, (size_t)got);
	if (c->in.len > 0) {
		struct buf all = c->in;

		buf_init(&c->in, 4 * MESSAGE_MAX);
		buf_add(&all, rest);
		buf_add(&c->in, take(c, buf_slice(&all)));
		buf_fini(&all);
		return;
	}
	rest = take(c, rest);
	if (rest.len > 0)
		buf_add(&c->in, rest);
}

static void upgrade(struct client *c) {
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	char request[512];
	int len = snprintf(request, sizeof(request),
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", load.port);

	c->connected = true;
	epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &e);
	send_all(c, slice_of(request, (size_t)len));
}

static void turn(uint64_t most_ns) {
	static struct epoll_event events[EVENTS];
	struct timespec most = { .tv_sec = (time_t)(most_ns / 1000000000), .tv_nsec = (long)(most_ns % 1000000000) };
	int n = epoll_pwait2(load.epoll, events, EVENTS, &most, NULL);

	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (!c->connected)
			upgrade(c);
		else
			readable(c);
	}
}

static void open_all(void) {
	uint64_t latest = now_ns();

	while (load.mode == IDLE ? load.messages < (uint64_t)load.connections : load.open < (uint32_t)load.connections) {
		uint64_t before = load.open + load.messages;

		while (load.started < (uint32_t)load.connections && load.started - load.open < (uint32_t)load.at_once)
			start_one(&load.client[load.started]);
		turn(100000000);
		if (load.open + load.messages != before)
			latest = now_ns();
		else if (now_ns() - latest > STALL_SECONDS * 1000000000ULL)
			die("connect", "nothing came for 10 s");
	}
}

/* Sends what is due. Returns for how long nothing more is. */
static uint64_t send_due(void) {
	uint64_t now = now_ns(), due;

	while ((due = due_ns(load.sent)) <= now && due < load.until_ns) {
		histogram_add(&load.late, now - due);
		send_message(load.mode == BROADCAST ? publisher(load.sent) : &load.client[load.sent % (uint64_t)load.connections], load.sent);
		load.sent++;
		now = now_ns();
	}
	return due > now ? due - now : 0;
}

static void run_for(uint64_t ns) {
	uint64_t now = now_ns(), until = now + ns, latest = now, came = load.messages;

	load.until_ns = until;
	for (; now < until && !(load.mode == CONNECT && load.messages == (uint64_t)load.connections); now = now_ns()) {
		turn(load.rate > 0 ? send_due() : 100000000);
		if (load.messages != came)
			latest = now;
		else if (now - latest > STALL_SECONDS * 1000000000ULL)
			die("load", "nothing came for 10 s");
		came = load.messages;
	}
}

static uint64_t cpu_ns(void) {
	uint64_t ns;

	if (!pids_cpu_ns(&load.pids, &ns))
		die("server", "a process is gone");
	return ns;
}

/* What is late must not be missing. */
static void wait_for_rest(void) {
	uint64_t each = load.mode == BROADCAST ? (uint64_t)load.connections : 1, until = now_ns() + STALL_SECONDS * 1000000000ULL;

	send_due();
	while (load.times.count < (load.sent - load.sent_in_warmup) * each) {
		turn(100000000);
		if (now_ns() > until)
			die("load", "messages are missing");
	}
}

static void measure(void) {
	uint64_t start, cpu_start, messages;
	double seconds, cpu;

	load.began_ns = now_ns();
	load.sent_in_warmup = UINT64_MAX;
	if (load.mode != CONNECT)
		run_for(WARMUP_MS * 1000000ULL);
	load.sent_in_warmup = load.sent;
	load.messages = 0;
	load.times = load.late = (struct histogram){ 0 };
	cpu_start = cpu_ns();
	start = now_ns();
	run_for((uint64_t)load.seconds * 1000000000);
	cpu = (double)(cpu_ns() - cpu_start) / 1e9;
	seconds = (double)(now_ns() - start) / 1e9;
	messages = load.messages;
	if (load.rate > 0)
		wait_for_rest();
	printf("{\"seconds\":%.3f,\"messages\":%" PRIu64 ",\"per_second\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
		"\"late_p99_us\":%.1f,\"cpu_seconds\":%.4f,\"per_cpu_second\":%.0f}\n",
		seconds, messages, (double)messages / seconds, (double)histogram_at(&load.times, 0.5) / 1000,
		(double)histogram_at(&load.times, 0.99) / 1000, (double)histogram_at(&load.times, 0.999) / 1000, (double)load.times.max / 1000,
		(double)histogram_at(&load.late, 0.99) / 1000, cpu, cpu > 0 ? (double)messages / cpu : 0);
}

static void run(void) {
	char ignored[64];

	if (load.mode == CONNECT) {
		for (uint32_t i = 0; i < (uint32_t)load.at_once && i < (uint32_t)load.connections; i++) {
			load.client[i].sent_ns = now_ns();
			start_one(&load.client[i]);
		}
		measure();
		return;
	}
	open_all();
	if (load.mode == IDLE) {
		puts("ready");
		fflush(stdout);
		while (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0)
			continue;
		return;
	}
	for (uint32_t i = 0; load.rate == 0 && load.mode == ECHO && i < (uint32_t)load.connections; i++)
		send_message(&load.client[i], 0);
	for (uint32_t i = 0; load.rate == 0 && load.mode == BROADCAST && i < (uint32_t)load.under_way; i++)
		publish(i);
	measure();
}

static void read_options(int argc, char **argv) {
	static const struct {
		const char *name;
		long *value, min, max;
	} numbers[] = {
		{ "port", &load.port, 1, 65535 },
		{ "connections", &load.connections, 1, CONNECTIONS_MAX },
		{ "bytes", &load.bytes, STAMP, MESSAGE_MAX },
		{ "publishers", &load.publishers, 1, CONNECTIONS_MAX },
		{ "under-way", &load.under_way, 1, SLOTS_MAX },
		{ "rate", &load.rate, 1, 10000000 },
		{ "at-once", &load.at_once, 1, CONNECTIONS_MAX },
		{ "seconds", &load.seconds, 1, 60 },
	};
	enum { PIDS = ARRAY_LEN(numbers), JSON };
	struct option options[JSON + 2] = {
		[PIDS] = { "pids", required_argument, NULL, PIDS },
		[JSON] = { "json", no_argument, NULL, JSON },
	};
	int at;

	for (int i = 0; i < PIDS; i++)
		options[i] = (struct option){ numbers[i].name, required_argument, NULL, i };
	while ((at = getopt_long(argc, argv, "", options, NULL)) != -1) {
		bool ok = at != '?';

		if (at == PIDS) {
			ok = pids_parse(&load.pids, optarg);
		} else if (at < PIDS) {
			*numbers[at].value = strtol(optarg, NULL, 10);
			ok = *numbers[at].value >= numbers[at].min && *numbers[at].value <= numbers[at].max;
		}
		if (!ok) {
			fputs(usage, stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv) {
	static const char *const modes[] = { "echo", "broadcast", "idle", "connect" };
	struct rlimit files;

	while (argc > 1 && load.mode < ARRAY_LEN(modes) && strcmp(argv[1], modes[load.mode]) != 0)
		load.mode++;
	if (argc < 2 || load.mode == ARRAY_LEN(modes)) {
		fputs(usage, stderr);
		return 2;
	}
	read_options(argc - 1, argv + 1);
	if (load.mode == BROADCAST && load.publishers > load.connections)
		die("broadcast", "more publishers than connections");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.client = mem_zalloc((size_t)load.connections * sizeof(load.client[0]));
	for (uint32_t i = 0; i < (uint32_t)load.connections; i++) {
		load.client[i] = (struct client){ .fd = -1, .index = i };
		buf_init(&load.client[i].in, 4 * MESSAGE_MAX);
	}
	make_message();
	run();
	for (uint32_t i = 0; i < (uint32_t)load.connections; i++) {
		if (load.client[i].fd >= 0)
			end_one(&load.client[i]);
	}
	mem_free(load.client);
	buf_fini(&load.frame);
	close(load.epoll);
	return EXIT_SUCCESS;
}
