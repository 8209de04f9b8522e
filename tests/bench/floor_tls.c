/* floor_tls - accept, SSL_accept, wait for the end: a bare epoll loop; arguments: port, certificate, key */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/base.h"

enum { EVENTS = 1024, FILES_MAX = 1 << 16, BACKLOG = 4096 };

static SSL *connection[FILES_MAX];
static SSL_CTX *context;
static int epoll;

static void must(bool ok, const char *what) {
	if (ok)
		return;
	perror(what);
	ERR_print_errors_fp(stderr);
	exit(EXIT_FAILURE);
}

static void accept_all(int listener) {
	int on = 1, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		must(fd < FILES_MAX && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
		connection[fd] = SSL_new(context);
		must(connection[fd] != NULL && SSL_set_fd(connection[fd], fd) == 1, "SSL_new");
	}
}

/* Nothing it writes in a handshake is more than an empty socket takes, so it waits for reading only. */
static void readable(int fd) {
	SSL *ssl = connection[fd];
	char byte;
	int n;

	ERR_clear_error();
	n = SSL_is_init_finished(ssl) ? SSL_read(ssl, &byte, 1) : SSL_accept(ssl);
	if (n == 1 || SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ)
		return;
	SSL_free(ssl);
	connection[fd] = NULL;
	close(fd);
}

static int listen_on(int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, BACKLOG) == 0, "listen");
	return fd;
}

/* What costs time on the wire's side is set as Herold sets it, all else is left as OpenSSL has it. */
static void make_context(const char *certificate, const char *key) {
	context = SSL_CTX_new(TLS_server_method());
	must(SSL_CTX_use_certificate_chain_file(context, certificate) == 1 &&
		SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1, "certificate");
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

int main(int argc, char **argv) {
	static struct epoll_event events[EVENTS];
	struct epoll_event e = { .events = EPOLLIN };
	struct rlimit files;

	if (argc != 4)
		return EXIT_FAILURE;
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	make_context(argv[2], argv[3]);
	e.data.fd = listen_on((int)strtol(argv[1], NULL, 10));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	must(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e) == 0, "epoll");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == e.data.fd)
				accept_all(e.data.fd);
			else
				readable(events[i].data.fd);
		}
	}
}
