/* load_hold - connections that do no more than they are told to: half a request, a byte a second, nothing read */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
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

enum { EVENTS = 1024, STARTING_MAX = 128, OPEN_SECONDS = 60, DRIP_MS = 1000, FILE_MAX = 8 << 20, CONNECTIONS_MAX = 19900, TURN_MS = 100 };

static const char usage[] =
	"usage: load_hold [option]...\n"
	"Opens connections to 127.0.0.1, says in a line of JSON what came of it, and holds them until standard input ends or\n"
	"the time is over; closes those that the server ends, and says how many that were.\n"
	"      --port=PORT         (8080)\n"
	"      --source=ADDRESS    where they come from (127.0.0.1)\n"
	"      --sources=N         from so many addresses, this one and the next ones, in turn (1)\n"
	"      --per-second=N      connections opened, at most (as fast as it goes)\n"
	"      --connections=N     (1000)\n"
	"      --send=FILE         what each sends at once (nothing)\n"
	"      --drip=FILE         and then a byte of this each second, again and again\n"
	"      --no-read           nothing is read, and the socket's room for it is the least\n"
	"      --seconds=N         (60)\n";

enum state { STARTING = 0, OPEN, ENDED };

struct connection {
	int fd;
	enum state state;
	size_t sent;	/* bytes of `send` */
	size_t dripped; /* bytes of `drip` */
};

static struct hold {
	long port, sources, connections, per_second, seconds;
	const char *source;
	bool no_read;
	struct buf send, drip;
	struct connection *connection;
	long started, settled, ended, refused, limited;
	int epoll;
} hold = { .port = 8080, .sources = 1, .connections = 1000, .seconds = 60, .source = "127.0.0.1" };

NORETURN static void die(const char *what) {
	fprintf(stderr, "load_hold: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t now_ms(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
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

static void watch(struct connection *c, int op, uint32_t events) {
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(hold.epoll, op, c->fd, &e) != 0)
		die("epoll_ctl");
}

static void settle(struct connection *c) {
	if (c->state == STARTING)
		hold.settled++;
}

static void ended(struct connection *c) {
	settle(c);
	c->state = ENDED;
	hold.ended++;
	close(c->fd);
	c->fd = -1;
}

static void send_more(struct connection *c) {
	ssize_t n = 0;

	while (c->sent < hold.send.len && n >= 0) {
		n = send(c->fd, hold.send.data + c->sent, hold.send.len - c->sent, MSG_NOSIGNAL);
		c->sent += n > 0 ? (size_t)n : 0;
	}
	settle(c);
	c->state = OPEN;
	watch(c, EPOLL_CTL_MOD, (hold.no_read ? EPOLLRDHUP : EPOLLIN) | (c->sent < hold.send.len ? EPOLLOUT : 0));
}

static void start_one(struct connection *c) {
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)hold.port) };
	int on = 1, least = 1;

	if (inet_pton(AF_INET, hold.source, &from.sin_addr) != 1)
		die(hold.source);
	from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + (uint32_t)(c - hold.connection) % (uint32_t)hold.sources);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (hold.no_read)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
		(connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS))
		die("connect");
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

/* Refused: answered 503; limited: 429. */
static void readable(struct connection *c) {
	static char bytes[65536];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	if (n > 12 && memcmp(bytes, "HTTP/1.1 503", 12) == 0)
		hold.refused++;
	if (n > 12 && memcmp(bytes, "HTTP/1.1 429", 12) == 0)
		hold.limited++;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		ended(c);
}

static void turn(int timeout_ms) {
	static struct epoll_event events[EVENTS];
	int n = epoll_wait(hold.epoll, events, EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct connection *c = events[i].data.ptr;

		if ((events[i].events & EPOLLIN) != 0)
			readable(c);
		else if ((events[i].events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0)
			ended(c);
		else
			send_more(c);
	}
}

static long due(uint64_t since_ms) {
	long most = hold.per_second == 0 ? hold.connections : (long)since_ms * hold.per_second / 1000;

	return most < hold.connections ? most : hold.connections;
}

static void open_all(void) {
	uint64_t began = now_ms();

	while (hold.settled < hold.connections) {
		while (hold.started < due(now_ms() - began) && hold.started - hold.settled < STARTING_MAX)
			start_one(&hold.connection[hold.started++]);
		turn(hold.per_second == 0 ? TURN_MS : 1);
		if (now_ms() > began + OPEN_SECONDS * 1000) {
			errno = ETIMEDOUT;
			die("not all connections could be opened");
		}
	}
}

static void drip_all(void) {
	for (long i = 0; i < hold.connections; i++) {
		struct connection *c = &hold.connection[i];

		if (c->state == OPEN && send(c->fd, hold.drip.data + c->dripped % hold.drip.len, 1, MSG_NOSIGNAL) == 1)
			c->dripped++;
	}
}

static void say(const char *when, uint64_t began) {
	printf("{\"when\":\"%s\",\"connections\":%ld,\"ended\":%ld,\"refused\":%ld,\"limited\":%ld,\"seconds\":%.3f}\n", when, hold.connections,
		hold.ended, hold.refused, hold.limited, (double)(now_ms() - began) / 1000);
	fflush(stdout);
}

static void hold_all(void) {
	uint64_t until = now_ms() + (uint64_t)hold.seconds * 1000, drip = now_ms();
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	while (now_ms() < until && poll(&input, 1, 0) == 0) {
		turn(TURN_MS);
		if (hold.drip.len > 0 && now_ms() >= drip) {
			drip_all();
			drip += DRIP_MS;
		}
	}
}

static void read_options(int argc, char **argv) {
	static const struct option options[] = { { "port", required_argument, NULL, 'p' }, { "source", required_argument, NULL, 'a' },
		{ "sources", required_argument, NULL, 'm' }, { "per-second", required_argument, NULL, 'r' },
		{ "connections", required_argument, NULL, 'c' }, { "send", required_argument, NULL, 's' },
		{ "drip", required_argument, NULL, 'd' }, { "no-read", no_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' }, { 0 } };
	int at;

	while ((at = getopt_long(argc, argv, "", options, NULL)) != -1) {
		long number = optarg != NULL ? strtol(optarg, NULL, 10) : 0;

		if (at == 'p' && number >= 1 && number <= 65535)
			hold.port = number;
		else if (at == 'a')
			hold.source = optarg;
		else if (at == 'm' && number >= 1 && number <= 65536)
			hold.sources = number;
		else if (at == 'r' && number >= 1 && number <= 1000000)
			hold.per_second = number;
		else if (at == 'c' && number >= 1 && number <= CONNECTIONS_MAX)
			hold.connections = number;
		else if (at == 's')
			read_file(&hold.send, optarg);
		else if (at == 'd')
			read_file(&hold.drip, optarg);
		else if (at == 'n')
			hold.no_read = true;
		else if (at == 't' && number >= 1 && number <= 600)
			hold.seconds = number;
		else {
			fputs(usage, stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv) {
	/* Reset, not closed: thousands of addresses in TIME_WAIT would be in the way of the next round. */
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	struct rlimit files;
	uint64_t began;

	buf_init(&hold.send, FILE_MAX);
	buf_init(&hold.drip, FILE_MAX);
	read_options(argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	hold.connection = mem_zalloc((size_t)hold.connections * sizeof(hold.connection[0]));
	hold.epoll = epoll_create1(EPOLL_CLOEXEC);
	began = now_ms();
	open_all();
	say("open", began);
	hold_all();
	say("end", began);
	for (long i = 0; i < hold.connections; i++) {
		if (hold.connection[i].fd >= 0) {
			setsockopt(hold.connection[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
			close(hold.connection[i].fd);
		}
	}
	close(hold.epoll);
	mem_free(hold.connection);
	buf_fini(&hold.send);
	buf_fini(&hold.drip);
	return EXIT_SUCCESS;
}
