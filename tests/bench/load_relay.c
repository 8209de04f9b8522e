/* load_relay - publications that go in at one host and come out at another: how long they take, and what they cost */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/load/histogram.h"
#include "tests/load/procs.h"

enum { PUBLISHERS_MAX = 256, FRAME_MAX = 65536, STALL_MS = 5000, WARMUP_MS = 500, MESSAGE_MAX = 16384 };

static const char usage[] =
	"usage: load_relay [option]...\n"
	"Chat clients of one host publish in turn to some channels, to all of which one client of another (or the same) host is subscribed.\n"
	"      --from=PORT, --to=PORT    of the two hosts, on 127.0.0.1 (8080)\n"
	"      --publishers=N            connections that publish (16)\n"
	"      --channels=N              (16)\n"
	"      --under-way=N             publications whose delivery is awaited (1)\n"
	"      --pause-us=N              between a delivery and the publication that follows it (0)\n"
	"      --bytes=N                 of each publication's text (128)\n"
	"      --seconds=N               of measuring, up to 20 (2)\n"
	"      --pids=PID,...            processes of the hosts, to be measured\n"
	"      --redis-pids=PID,...      processes of Redis, likewise\n";

struct peer {
	int fd;
	uint8_t in[FRAME_MAX];
	size_t len;
};

static struct load {
	long from, to, publishers, channels, under_way, pause_us, bytes, seconds;
	struct pids pids, redis_pids;
	struct peer *listener, *publisher;	/* owned */
	char *padding;				/* owned */
	uint64_t sent, received, acknowledged;
	bool is_measuring;
	struct histogram times;
} load = { .from = 8080, .to = 8080, .publishers = 16, .channels = 16, .under_way = 1, .bytes = 128, .seconds = 2 };

NORETURN static void die(const char *what) {
	fprintf(stderr, "load_relay: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void send_all(struct peer *p, const void *bytes, size_t len) {
	if (send(p->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
}

/* A masked text frame (RFC 6455, 5.2); with a mask of zeros the bytes stay as they are. */
static void say(struct peer *p, const char *text) {
	size_t len = strlen(text), head = len < 126 ? 6 : 8;
	uint8_t frame[MESSAGE_MAX + 8] = { 0x81 };

	if (len > MESSAGE_MAX)
		die("a message too long");
	frame[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
	if (len >= 126) {
		frame[2] = (uint8_t)(len >> 8);
		frame[3] = (uint8_t)len;
	}
	memcpy(frame + head, text, len);
	send_all(p, frame, head + len);
}

/* Takes what has come; waits for the first of it if told to. */
static void receive(struct peer *p, bool waits) {
	ssize_t n = recv(p->fd, p->in + p->len, sizeof(p->in) - p->len, waits ? 0 : MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("the connection ended");
	if (n > 0)
		p->len += (size_t)n;
}

/* The payload of the first whole frame, and its length in all; NULL: not there yet. */
static const uint8_t *first_frame(const struct peer *p, size_t at, size_t *payload_len, size_t *frame_len) {
	const uint8_t *b = p->in + at;
	size_t have = p->len - at, head = 2, len;

	if (have < 4)
		return NULL;
	len = b[1] & 0x7f;
	if (len == 127)
		die("a frame too long");
	if (len == 126) {
		len = (size_t)b[2] << 8 | b[3];
		head = 4;
	}
	if ((b[0] & 0x0f) == 8)
		die("the server closed");
	if (have < head + len)
		return NULL;
	*payload_len = len;
	*frame_len = head + len;
	return b + head;
}

/* Calls fn for each whole frame that is there. */
static void each_frame(struct peer *p, void (*fn)(const uint8_t *payload, size_t len)) {
	size_t at = 0, payload_len, frame_len;
	const uint8_t *payload;

	while ((payload = first_frame(p, at, &payload_len, &frame_len)) != NULL) {
		fn(payload, payload_len);
		at += frame_len;
	}
	memmove(p->in, p->in + at, p->len - at);
	p->len -= at;
}

static bool has(const uint8_t *payload, size_t len, const char *text) {
	return memmem(payload, len, text, strlen(text)) != NULL;
}

/* Drops frames up to the one that has this in it. */
static void wait_for(struct peer *p, const char *text) {
	for (;;) {
		size_t payload_len, frame_len;
		const uint8_t *payload = first_frame(p, 0, &payload_len, &frame_len);

		if (payload == NULL) {
			receive(p, true);
			continue;
		}
		bool is_it = has(payload, payload_len, text);

		if (has(payload, payload_len, "\"type\":\"error\"")) {
			fprintf(stderr, "load_relay: %.*s\n", (int)payload_len, (const char *)payload);
			exit(EXIT_FAILURE);
		}
		memmove(p->in, p->in + frame_len, p->len - frame_len);
		p->len -= frame_len;
		if (is_it)
			return;
	}
}

static void enter(struct peer *p, long port, long number) {
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = STALL_MS / 1000 };
	char text[512];
	uint8_t *end;
	int on = 1;

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	snprintf(text, sizeof(text), "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	send_all(p, text, strlen(text));
	while ((end = memmem(p->in, p->len, "\r\n\r\n", 4)) == NULL)
		receive(p, true);
	if (memcmp(p->in, "HTTP/1.1 101", 12) != 0)
		die("no upgrade");
	end += 4;
	p->len -= (size_t)(end - p->in);
	memmove(p->in, end, p->len);
	/* A room of its own: nobody hears of anybody. */
	snprintf(text, sizeof(text), "{\"type\":\"login\",\"userId\":\"relay-%d-%ld\",\"name\":\"relay\",\"room\":\"relay-%d-%ld\"}", (int)getpid(), number,
	    (int)getpid(), number);
	say(p, text);
	wait_for(p, "\"login_ok\"");
}

static void enter_all(void) {
	char text[128];

	load.listener = mem_zalloc(sizeof(*load.listener));
	load.publisher = mem_zalloc((size_t)load.publishers * sizeof(load.publisher[0]));
	load.padding = mem_zalloc((size_t)load.bytes + 1);
	memset(load.padding, 'x', (size_t)load.bytes);
	enter(load.listener, load.to, -1);
	for (long i = 0; i < load.channels; i++) {
		snprintf(text, sizeof(text), "{\"type\":\"subscribe\",\"channel\":\"relay-%ld\"}", i);
		say(load.listener, text);
		wait_for(load.listener, "\"subscribe_ok\"");
	}
	for (long i = 0; i < load.publishers; i++)
		enter(&load.publisher[i], load.from, i);
}

static void publish(void) {
	char text[MESSAGE_MAX];

	snprintf(text, sizeof(text), "{\"type\":\"publish\",\"channel\":\"relay-%" PRIu64 "\",\"ref\":\"%x-%" PRIu64 "\",\"data\":{\"t\":%" PRIu64
	    ",\"text\":\"%s\"}}", load.sent % (uint64_t)load.channels, (unsigned)getpid(), load.sent, now_ns(), load.padding);
	say(&load.publisher[load.sent % (uint64_t)load.publishers], text);
	load.sent++;
}

static void on_publication(const uint8_t *payload, size_t len) {
	const char *stamp = memmem(payload, len, "\"t\":", 4);

	if (stamp == NULL)
		return;
	load.received++;
	if (load.is_measuring)
		histogram_add(&load.times, now_ns() - strtoull(stamp + 4, NULL, 10));
}

static void on_answer(const uint8_t *payload, size_t len) {
	if (has(payload, len, "\"ack\"")) {
		load.acknowledged++;
	} else if (has(payload, len, "\"error\"")) {
		fprintf(stderr, "load_relay: %.*s\n", (int)len, (const char *)payload);
		exit(EXIT_FAILURE);
	}
}

static void turn(struct pollfd *polled) {
	int ready = poll(polled, (nfds_t)load.publishers + 1, STALL_MS);

	if (ready <= 0)
		die("nothing comes any more");
	if (polled[0].revents != 0) {
		receive(load.listener, false);
		each_frame(load.listener, on_publication);
	}
	for (long i = 0; i < load.publishers; i++) {
		if (polled[i + 1].revents == 0)
			continue;
		receive(&load.publisher[i], false);
		each_frame(&load.publisher[i], on_answer);
	}
}

static void run_until(struct pollfd *polled, uint64_t end_ns) {
	while (now_ns() < end_ns) {
		while (load.sent - load.received < (uint64_t)load.under_way)
			publish();
		uint64_t before = load.received;

		turn(polled);
		if (load.pause_us > 0 && load.received != before)
			usleep((useconds_t)load.pause_us);
	}
}

static void measure(void) {
	struct pollfd *polled = mem_zalloc(((size_t)load.publishers + 1) * sizeof(*polled));
	uint64_t cpu[2] = { 0 }, redis[2] = { 0 }, begin, end;

	polled[0] = (struct pollfd){ .fd = load.listener->fd, .events = POLLIN };
	for (long i = 0; i < load.publishers; i++)
		polled[i + 1] = (struct pollfd){ .fd = load.publisher[i].fd, .events = POLLIN };
	run_until(polled, now_ns() + WARMUP_MS * 1000000ULL);
	load.is_measuring = true;
	begin = now_ns();
	if (!pids_cpu_ns(&load.pids, &cpu[0]) || !pids_cpu_ns(&load.redis_pids, &redis[0]))
		die("a process is gone");
	run_until(polled, begin + (uint64_t)load.seconds * 1000000000);
	end = now_ns();
	if (!pids_cpu_ns(&load.pids, &cpu[1]) || !pids_cpu_ns(&load.redis_pids, &redis[1]))
		die("a process is gone");
	load.is_measuring = false;
	while (load.received < load.sent || load.acknowledged < load.sent)
		turn(polled);
	if (load.received != load.sent || load.acknowledged != load.sent)
		die("more came than was sent");
	double count = (double)(load.times.count == 0 ? 1 : load.times.count);

	printf("{\"publications\":%" PRIu64 ",\"per_second\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"cpu_us\":%.3f,\"redis_cpu_us\":%.3f}\n",
	    load.times.count, count * 1e9 / (double)(end - begin), (double)histogram_at(&load.times, 0.5) / 1e3,
	    (double)histogram_at(&load.times, 0.99) / 1e3, (double)(cpu[1] - cpu[0]) / count / 1e3, (double)(redis[1] - redis[0]) / count / 1e3);
	mem_free(polled);
}

static const struct option names[] = { { "from", required_argument, NULL, 'f' }, { "to", required_argument, NULL, 't' },
	{ "publishers", required_argument, NULL, 'p' }, { "channels", required_argument, NULL, 'c' }, { "under-way", required_argument, NULL, 'u' },
	{ "pause-us", required_argument, NULL, 'w' }, { "bytes", required_argument, NULL, 'b' }, { "seconds", required_argument, NULL, 's' },
	{ "pids", required_argument, NULL, 'i' }, { "redis-pids", required_argument, NULL, 'r' }, { NULL, 0, NULL, 0 } };

static void set_number(long *to, long least, long most) {
	char *end;

	*to = strtol(optarg, &end, 10);
	if (*end != '\0' || *to < least || *to > most) {
		fprintf(stderr, "load_relay: %s is not a number from %ld to %ld\n", optarg, least, most);
		exit(2);
	}
}

static void set_pids(struct pids *to) {
	if (!pids_parse(to, optarg)) {
		fprintf(stderr, "load_relay: %s is no list of processes\n", optarg);
		exit(2);
	}
}

int main(int argc, char **argv) {
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (name) {
		case 'f': set_number(&load.from, 1, UINT16_MAX); break;
		case 't': set_number(&load.to, 1, UINT16_MAX); break;
		case 'p': set_number(&load.publishers, 1, PUBLISHERS_MAX); break;
		case 'c': set_number(&load.channels, 1, 100); break;
		case 'u': set_number(&load.under_way, 1, 1000); break;
		case 'w': set_number(&load.pause_us, 0, 1000000); break;
		case 'b': set_number(&load.bytes, 1, 8192); break;
		case 's': set_number(&load.seconds, 1, 20); break;
		case 'i': set_pids(&load.pids); break;
		case 'r': set_pids(&load.redis_pids); break;
		default: fputs(usage, stderr); return 2;
		}
	}
	enter_all();
	measure();
	for (long i = 0; i < load.publishers; i++)
		close(load.publisher[i].fd);
	close(load.listener->fd);
	mem_free(load.publisher);
	mem_free(load.listener);
	mem_free(load.padding);
	return 0;
}
