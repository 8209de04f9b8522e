/* load_tls - handshakes, full or resumed, one after the other on several connections; or idle connections to be weighed */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/load/histogram.h"
#include "tests/load/procs.h"

enum { EVENTS = 256, SOURCES = 64, STALL_MS = 5000, WARMUP_MS = 300, IDLE_AT_ONCE = 16, READ_BYTES = 65536 };

static const char usage[] =
	"usage: load_tls full|resumed|idle|half|silent [option]...\n"
	"  full, resumed: handshakes; each ends with the server's ticket, and then the connection\n"
	"  idle: upgrades on /echo and echoes a message, then nothing; says \"ready\" and holds them until standard input ends\n"
	"  half: the same with handshakes that stop after the first flight; silent: with connections that send nothing\n"
	"      --port=PORT         on 127.0.0.1 (8443)\n"
	"      --connections=N     at a time (16; 1000 for idle, half and silent)\n"
	"      --bytes=N           of idle's message (100000; 0: it does not even upgrade)\n"
	"      --seconds=N         of measuring (2)\n"
	"      --tls12             TLS 1.2 instead of 1.3\n"
	"      --pids=PID,...      the server's processes\n"
	"      --json              as it does anyway\n";

struct connection {
	SSL *ssl;
	int fd;
	bool is_connected, has_ticket;
	uint64_t begin_ns;
	size_t left;	/* idle: bytes still to come */
};

static struct load {
	const char *mode;
	long port, connections, seconds, bytes;
	bool is_tls12, is_resumed, is_idle, is_half, is_silent;
	struct pids pids;
	SSL_CTX *context;
	SSL_SESSION *session;
	struct connection *connection;
	int epoll;
	unsigned next_source;
	uint64_t done, idle_done;
	struct histogram times;
} load = { .port = 8443, .seconds = 2, .bytes = 100000 };

NORETURN static void die(const char *what) {
	fprintf(stderr, "load_tls: %s: %s\n", what, strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Ports of ended connections rest for a while; several addresses have enough of them. */
static int connect_one(void) {
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)load.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + load.next_source++ % SOURCES);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS))
		die("connect");
	return fd;
}

static void watch(struct connection *c, int op, uint32_t events) {
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(load.epoll, op, c->fd, &e) != 0)
		die("epoll_ctl");
}

static void begin(struct connection *c) {
	*c = (struct connection){ .begin_ns = now_ns(), .fd = connect_one() };
	c->ssl = SSL_new(load.context);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		die("SSL_new");
	SSL_set_app_data(c->ssl, c);
	if (load.is_resumed && load.session != NULL) {
		/* A copy: OpenSSL uses each of 1.3 up. */
		SSL_SESSION *copy = SSL_SESSION_dup(load.session);

		SSL_set_session(c->ssl, copy);
		SSL_SESSION_free(copy);
	}
	SSL_set_connect_state(c->ssl);
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

/* A ticket is the server's last word in a handshake of 1.3. */
static int on_session(SSL *ssl, SSL_SESSION *session) {
	struct connection *c = SSL_get_app_data(ssl);

	c->has_ticket = true;
	if (load.session != NULL)
		return 0;
	load.session = session;
	return 1;
}

static void end(struct connection *c) {
	/* The first one had no session to resume. */
	if (load.is_resumed && load.done > 0 && !SSL_session_reused(c->ssl))
		die("a session was not resumed");
	histogram_add(&load.times, now_ns() - c->begin_ns);
	load.done++;
	SSL_set_quiet_shutdown(c->ssl, 1);
	SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	close(c->fd);
	begin(c);
}

/* --- idle --- */

static void idle_begin_next(void) {
	static long begun;

	if (begun < load.connections)
		begin(&load.connection[begun++]);
}

/* Head and one masked message, whose mask is 0. */
static void idle_speak(struct connection *c) {
	static const char head[] = "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	size_t room = sizeof(head) + 14 + (size_t)load.bytes, len = sizeof(head) - 1, n;
	uint8_t *text = mem_zalloc(room);

	memcpy(text, head, len);
	text[len++] = 0x82;
	text[len++] = 0x80 | 127;
	for (int i = 7; i >= 0; i--)
		text[len++] = (uint8_t)((uint64_t)load.bytes >> (i * 8));
	len += 4 + (size_t)load.bytes;
	for (size_t at = 0; at < len; at += n) {
		n = 0;
		if (SSL_write_ex(c->ssl, text + at, len - at < 16384 ? len - at : 16384, &n) != 1 &&
		    SSL_get_error(c->ssl, 0) != SSL_ERROR_WANT_WRITE)
			die("SSL_write");
	}
	mem_free(text);
	c->left = (size_t)load.bytes;
}

static void idle_is_there(struct connection *c) {
	if (++load.idle_done == (uint64_t)load.connections) {
		printf("ready\n");
		fflush(stdout);
	}
	c->left = SIZE_MAX;
	idle_begin_next();
}

static void idle_read(struct connection *c) {
	static uint8_t bytes[READ_BYTES];
	size_t n;

	while (SSL_read_ex(c->ssl, bytes, sizeof(bytes), &n) == 1) {
		if (c->left == SIZE_MAX)
			continue;
		/* The response's head comes on top: near enough. */
		c->left = c->left > n ? c->left - n : 0;
		if (c->left == 0)
			idle_is_there(c);
	}
	if (SSL_get_error(c->ssl, 0) != SSL_ERROR_WANT_READ)
		die("a connection ended");
}

/* --- all --- */

static void ready(struct connection *c) {
	bool was_finished = SSL_is_init_finished(c->ssl);
	char byte;
	int n;

	if (!c->is_connected) {
		c->is_connected = true;
		watch(c, EPOLL_CTL_MOD, EPOLLIN);
	}
	ERR_clear_error();
	if (load.is_half || load.is_silent) {
		if (load.is_half)
			(void)SSL_do_handshake(c->ssl);
		watch(c, EPOLL_CTL_DEL, 0);
		idle_is_there(c);
		return;
	}
	if (load.is_idle && was_finished) {
		idle_read(c);
		return;
	}
	n = was_finished ? SSL_read(c->ssl, &byte, 1) : SSL_do_handshake(c->ssl);
	if (n != 1 && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
		die("a connection ended");
	if (load.is_idle && SSL_is_init_finished(c->ssl)) {
		if (load.bytes > 0)
			idle_speak(c);
		else
			idle_is_there(c);
		return;
	}
	if (SSL_is_init_finished(c->ssl) && !was_finished && !load.is_tls12)
		(void)SSL_read(c->ssl, &byte, 1);
	if (c->has_ticket || (load.is_tls12 && SSL_is_init_finished(c->ssl)))
		end(c);
}

static void turn(int wait_ms) {
	struct epoll_event events[EVENTS];
	int n = epoll_wait(load.epoll, events, EVENTS, wait_ms);

	if (n == 0 && wait_ms == STALL_MS)
		die("nothing came for 5 s");
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == NULL)
			exit(EXIT_SUCCESS);
		ready(events[i].data.ptr);
	}
}

static void run_for(uint64_t ns) {
	uint64_t until = now_ns() + ns;

	while (now_ns() < until)
		turn(STALL_MS);
}

static uint64_t cpu_ns(void) {
	uint64_t ns;

	if (!pids_cpu_ns(&load.pids, &ns))
		die("a process of the server is gone");
	return ns;
}

static void handshakes(void) {
	uint64_t cpu, begin_ns, done;
	double seconds, cpu_seconds;

	begin(&load.connection[0]);
	while (load.done == 0)
		turn(STALL_MS);
	for (long i = 1; i < load.connections; i++)
		begin(&load.connection[i]);
	run_for((uint64_t)WARMUP_MS * 1000000);
	load.times = (struct histogram){ .count = 0 };
	load.done = 1;
	cpu = cpu_ns();
	begin_ns = now_ns();
	run_for((uint64_t)load.seconds * 1000000000);
	seconds = (double)(now_ns() - begin_ns) / 1e9;
	cpu_seconds = (double)(cpu_ns() - cpu) / 1e9;
	done = load.done - 1;
	printf("{\"mode\":\"%s\",\"handshakes\":%" PRIu64 ",\"per_second\":%.0f,\"per_cpu_second\":%.0f,\"p99_us\":%.1f}\n", load.mode,
	    done, (double)done / seconds, cpu_seconds > 0 ? (double)done / cpu_seconds : 0,
	    (double)histogram_at(&load.times, 0.99) / 1000);
}

NORETURN static void idle(void) {
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };

	epoll_ctl(load.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e);
	for (int i = 0; i < IDLE_AT_ONCE; i++)
		idle_begin_next();
	for (;;)
		turn(-1);
}

static void parse(int argc, char **argv) {
	static const struct option options[] = { { "port", 1, NULL, 'p' }, { "connections", 1, NULL, 'c' }, { "seconds", 1, NULL, 's' },
		{ "bytes", 1, NULL, 'b' }, { "tls12", 0, NULL, '2' }, { "pids", 1, NULL, 'i' }, { "json", 0, NULL, 'j' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			load.port = strtol(optarg, NULL, 10);
		else if (c == 'c')
			load.connections = strtol(optarg, NULL, 10);
		else if (c == 's')
			load.seconds = strtol(optarg, NULL, 10);
		else if (c == 'b')
			load.bytes = strtol(optarg, NULL, 10);
		else if (c == '2')
			load.is_tls12 = true;
		else if (c == 'i' && !pids_parse(&load.pids, optarg))
			goto bad;
		else if (c == '?')
			goto bad;
	}
	load.mode = optind < argc ? argv[optind] : "";
	load.is_resumed = strcmp(load.mode, "resumed") == 0;
	load.is_half = strcmp(load.mode, "half") == 0;
	load.is_silent = strcmp(load.mode, "silent") == 0;
	load.is_idle = load.is_half || load.is_silent || strcmp(load.mode, "idle") == 0;
	if (load.connections == 0)
		load.connections = load.is_idle ? 1000 : 16;
	if (load.is_resumed || load.is_idle || strcmp(load.mode, "full") == 0)
		return;
bad:
	fputs(usage, stderr);
	exit(2);
}

int main(int argc, char **argv) {
	struct rlimit files;

	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	load.context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(load.context, load.is_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set_session_cache_mode(load.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(load.context, on_session);
	SSL_CTX_set_mode(load.context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.connection = mem_zalloc((size_t)load.connections * sizeof(*load.connection));
	if (load.is_idle)
		idle();
	handshakes();
}
