/* test_sock - addresses both ways, taken ports, unix sockets */
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/svc/sock.h"

static struct errbuf err;

static const struct {
	const char *text;
	const char *shown;	/* NULL: refused */
} addresses[] = {
	{ "127.0.0.1:80", "127.0.0.1:80" },
	{ "0.0.0.0:0", "0.0.0.0:0" },
	{ "[::1]:65535", "[::1]:65535" },
	{ "[2001:DB8:0:0::1]:1", "[2001:db8::1]:1" },
	{ "unix:/run/herold.sock", "unix:/run/herold.sock" },
	{ "unix:@herold-1-ab", "unix:@herold-1-ab" },
	{ "", NULL },
	{ ":", NULL },
	{ ":80", NULL },
	{ "80", NULL },
	{ "127.0.0.1", NULL },
	{ "127.0.0.1:", NULL },
	{ "127.0.0.1:65536", NULL },
	{ "127.0.0.1:-1", NULL },
	{ "127.0.0.1:8x", NULL },
	{ "127.1:80", NULL },
	{ "localhost:80", NULL },
	{ "::1:80", NULL },
	{ "[::1:80", NULL },
	{ "[]:80", NULL },
	{ "[:80", NULL },
	{ "[fe80::1%eth0]:80", NULL },
	{ "unix:", NULL },
	{ "unix:/", NULL },
	{ "unix:run/x", NULL },
	{ "unix:@", NULL },
	{ "unix:/23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678", NULL },
	{ "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111:1", NULL },
};

START_TEST(addresses_as_text) {
	struct sock_addr a;
	char text[SOCK_TEXT_MAX];
	bool is_taken = sock_parse(addresses[_i].text, &a, &err);

	ck_assert_msg(is_taken == (addresses[_i].shown != NULL), "%s: %s", addresses[_i].text, err.text);
	if (!is_taken) {
		ck_assert_ptr_nonnull(strstr(err.text, addresses[_i].text));
		return;
	}
	sock_text(&a, text);
	ck_assert_str_eq(text, addresses[_i].shown);
}
END_TEST

static struct sock_addr address(const char *text) {
	struct sock_addr a;

	ck_assert_msg(sock_parse(text, &a, &err), "%s", err.text);
	return a;
}

START_TEST(peers_as_text) {
	static const char *const texts[] = { "10.1.2.3:4000", "[2001:db8::7]:5" };
	struct sock_peer p;
	char text[SOCK_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct sock_addr a = address(texts[i]);

		sock_peer_of(&a, &p);
		sock_peer_text(&p, text);
		ck_assert_str_eq(text, texts[i]);
	}
	p.port = 0;
	sock_peer_text(&p, text);
	ck_assert_str_eq(text, "2001:db8::7");
	sock_peer_of(&(struct sock_addr){ .u.un.sun_family = AF_UNIX }, &p);
	ck_assert_int_eq(p.is_unix, 1);
	sock_peer_text(&p, text);
	ck_assert_str_eq(text, "unix:");
}
END_TEST

static int option_of(int fd, int option) {
	int value = -1;
	socklen_t len = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, option, &value, &len), 0);
	return value;
}

static void accept_one(int listener, const struct sock_addr *a, bool is_unix) {
	struct sock_peer peer;
	int client = sock_connect(a), server;

	ck_assert_int_ge(client, 0);
	poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, 2000);
	server = sock_accept(listener, &peer);
	ck_assert_int_ge(server, 0);
	ck_assert_int_eq(peer.is_unix, is_unix);
	if (!is_unix)
		ck_assert(option_of(server, TCP_NODELAY) != 0 && option_of(server, TCP_NOTSENT_LOWAT) > 0);
	/* A probe's connection may wait there too. */
	for (int next; (next = sock_accept(listener, &peer)) >= 0;)
		close(next);
	ck_assert_int_eq(errno, EAGAIN);
	close(client);
	close(server);
}

START_TEST(a_shared_port_is_seen) {
	static const char *const texts[] = { "127.0.0.1:0", "[::1]:0" };
	struct sock_addr a = address(texts[_i]);
	int first, second;

	ck_assert_msg(sock_probe_free(&a, &err), "%s", err.text);
	first = sock_listen(&a, 16, &err);
	if (first < 0 && _i == 1)
		return;
	ck_assert_msg(first >= 0, "%s", err.text);
	ck_assert_int_ne(a.u.in.sin_port, 0);
	/* Slots share; another server does not. */
	second = sock_listen(&a, 16, &err);
	ck_assert_int_ge(second, 0);
	ck_assert(!sock_probe_free(&a, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "another program listens there already"));
	close(second);
	accept_one(first, &a, false);
	close(first);
	/* What is left of the connection in the kernel is not in the way. */
	ck_assert_msg(sock_probe_free(&a, &err), "%s", err.text);
}
END_TEST

START_TEST(unix_sockets) {
	char dir[] = "/tmp/herold-sock-XXXXXX", path[64], text[72];
	struct sock_addr a;
	struct stat st;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(text, sizeof(text), "unix:%s", path);
	a = address(text);
	ck_assert(sock_probe_free(&a, &err));
	fd = sock_listen(&a, 16, &err);
	ck_assert_int_ge(fd, 0);
	ck_assert(!sock_probe_free(&a, &err));
	accept_one(fd, &a, true);
	close(fd);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(sock_probe_free(&a, &err));
	ck_assert_int_eq(lstat(path, &st), -1);
	/* Somebody's file is not removed. */
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert(!sock_probe_free(&a, &err));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(abstract_sockets) {
	char text[64];
	struct sock_addr a;
	int fd;

	snprintf(text, sizeof(text), "unix:@herold-test-%d", (int)getpid());
	a = address(text);
	ck_assert_msg(sock_probe_free(&a, &err), "%s", err.text);
	ck_assert_int_eq(sock_connect(&a), -1);
	fd = sock_listen(&a, 16, &err);
	ck_assert_int_ge(fd, 0);
	ck_assert(!sock_probe_free(&a, &err));
	accept_one(fd, &a, true);
	close(fd);
}
END_TEST

START_TEST(one_at_a_time_has_the_lock) {
	char text[2][SOCK_TEXT_MAX], *mark;
	struct sock_addr a, b;
	int fd, other;

	for (int i = 0; i < 2; i++)
		snprintf(text[i], sizeof(text[i]), "unix:/tmp/%c%0*d", 'a' + i, i == 0 ? 20 : 98, (int)getpid());
	for (int i = 0; i < 2; i++) {
		a = b = address(text[i]);
		mark = strchr(b.u.un.sun_path, '\0') - 1;
		*mark = *mark == 'x' ? 'y' : 'x';
		fd = sock_lock(&a, &err);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(sock_lock(&a, &err), -1);
		ck_assert_ptr_nonnull(strstr(err.text, ": another Herold listens there already"));
		other = sock_lock(&b, &err);
		ck_assert_int_ge(other, 0);
		close(other);
		close(fd);
		fd = sock_lock(&a, &err);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
}
END_TEST

START_TEST(refusals_say_why) {
	struct sock_addr a = address("192.0.2.1:1");

	ck_assert_int_eq(sock_listen(&a, 1, &err), -1);
	ck_assert_str_eq(err.text, "cannot listen on 192.0.2.1:1: this machine does not have that address");
	a = address("unix:/nonexistent/x");
	ck_assert_int_eq(sock_listen(&a, 1, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/x: No such file"));
}
END_TEST

Suite *suite_sock(void);
Suite *suite_sock(void) {
	Suite *s = suite_create("sock");
	TCase *t = tcase_create("sock");

	tcase_add_loop_test(t, addresses_as_text, 0, (int)ARRAY_LEN(addresses));
	tcase_add_test(t, peers_as_text);
	tcase_add_loop_test(t, a_shared_port_is_seen, 0, 2);
	tcase_add_test(t, unix_sockets);
	tcase_add_test(t, abstract_sockets);
	tcase_add_test(t, one_at_a_time_has_the_lock);
	tcase_add_test(t, refusals_say_why);
	suite_add_tcase(s, t);
	return s;
}
