/* load_rooms - many small rooms: pairs of chat clients that share channels, and what a publication in one of them costs */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/bench/chat_peer.h"
#include "tests/load/histogram.h"
#include "tests/load/procs.h"

enum { CONNECTIONS_MAX = 19000, ROOMS_MAX = 10000000, UNDER_WAY_MAX = 4096, TEXT_MAX = 1024, EVENTS = 256, WINDOW = 64, WARMUP_MS = 500,
	MEMBERS = 2, ANSWER_AWAITED = 1 << MEMBERS, ALL_AWAITED = 2 * ANSWER_AWAITED - 1 };

static const char usage[] =
	"usage: load_rooms [option]...\n"
	"Chat clients in pairs, each of which shares channels that nobody else is subscribed to. A random member of a random channel publishes\n"
	"there; once its answer and both deliveries have come, the next one does. One line of JSON for each round; exit status 1 when something\n"
	"is missing, or came twice.\n"
	"      --port=PORT           on 127.0.0.1 (8080)\n"
	"      --connections=N       at most (2000)\n"
	"      --rooms=N             channels of two (1000)\n"
	"      --under-way=N         publications that have not come to all yet (64)\n"
	"      --bytes=N             of each publication's text (32)\n"
	"      --rounds=N            of measuring (1)\n"
	"      --seconds=N           of each, up to 20 (2)\n"
	"      --pids=PID,...        processes to be measured, but for the broker\n"
	"      --broker-pid=PID      the broker's\n";

struct member {
	struct chat_peer peer;
	long number;
	long asked, answered;	/* subscriptions */
};

/* One that is under way; numbers are never used again. */
struct publication {
	uint64_t number, begin_ns;
	long pair;
	unsigned awaited;	/* a bit for each member, and ANSWER_AWAITED */
};

static struct load {
	long port, connections, rooms, under_way, bytes, rounds, seconds;
	struct pids pids, broker_pid;
	long each;			/* rooms of a pair */
	struct member *member;		/* owned; those of a pair stand together */
	struct publication *under;	/* owned; number % under_way is its place */
	char *padding;			/* owned */
	int epoll;
	long subscribed, ended;
	bool is_ending;
	uint64_t random, done, strange;
	struct histogram times;
} load = { .port = 8080, .connections = 2000, .rooms = 1000, .under_way = 64, .bytes = 32, .rounds = 1, .seconds = 2 };

static uint64_t draw(void) {
	load.random ^= load.random << 13;
	load.random ^= load.random >> 7;
	load.random ^= load.random << 17;
	return load.random;
}

/* --- being there --- */

static void on_subscribed(void *arg, const uint8_t *payload, size_t len) {
	struct member *m = arg;

	if (chat_peer_has(payload, len, "\"subscribe_ok\"")) {
		m->answered++;
		load.subscribed++;
	} else if (chat_peer_has(payload, len, "\"type\":\"error\"")) {
		chat_peer_refused(payload, len);
	}
}

/* So many as may be under way. */
static void subscribe(struct member *m) {
	uint8_t frames[WINDOW * 128];
	char text[100];
	size_t len = 0;

	/* In large steps: what goes together costs less. */
	if (m->asked > m->answered + WINDOW / 2)
		return;
	for (; m->asked < load.each && m->asked < m->answered + WINDOW; m->asked++) {
		snprintf(text, sizeof(text), "{\"type\":\"subscribe\",\"channel\":\"rooms-%x-%lx-%lx\"}", (unsigned)getpid(),
		    (unsigned long)m->number / MEMBERS, (unsigned long)m->asked);
		len += chat_peer_frame(frames + len, text);
	}
	if (len > 0)
		chat_peer_send(&m->peer, frames, len);
}

static void turn(void (*fn)(void *arg, const uint8_t *payload, size_t len), void (*then)(struct member *m)) {
	struct epoll_event events[EVENTS];
	int ready = epoll_wait(load.epoll, events, EVENTS, CHAT_PEER_STALL_MS);

	if (ready < 0)
		chat_peer_die("epoll_wait");
	if (ready == 0) {
		fprintf(stderr, "load_rooms: nothing comes any more, %ld subscribed, %" PRIu64 " done\n", load.subscribed, load.done);
		exit(EXIT_FAILURE);
	}
	for (int i = 0; i < ready; i++) {
		struct member *m = events[i].data.ptr;

		chat_peer_receive(&m->peer, false);
		chat_peer_each(&m->peer, fn, m);
		if (then != NULL)
			then(m);
	}
}

static void enter_all(void) {
	long pairs = load.connections / MEMBERS;

	if (pairs > load.rooms)
		pairs = load.rooms;
	load.each = (load.rooms + pairs - 1) / pairs;
	load.rooms = pairs * load.each;
	load.connections = pairs * MEMBERS;
	load.member = mem_zalloc((size_t)load.connections * sizeof(load.member[0]));
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (long i = 0; i < load.connections; i++) {
		struct member *m = &load.member[i];
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = m };

		m->number = i;
		chat_peer_enter(&m->peer, load.port, i);
		if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, m->peer.fd, &event) != 0)
			chat_peer_die("epoll_ctl");
	}
}

static void subscribe_all(void) {
	for (long i = 0; i < load.connections; i++)
		subscribe(&load.member[i]);
	while (load.subscribed < load.connections * load.each)
		turn(on_subscribed, subscribe);
}

/* --- publications --- */

static void publish(struct publication *p) {
	char text[TEXT_MAX + 200];
	uint64_t room = draw() % (uint64_t)load.rooms;

	p->number += (uint64_t)load.under_way;
	p->pair = (long)room / load.each;
	p->awaited = ALL_AWAITED;
	p->begin_ns = chat_peer_now_ns();
	snprintf(text, sizeof(text), "{\"type\":\"publish\",\"channel\":\"rooms-%x-%lx-%lx\",\"ref\":%" PRIu64 ",\"data\":{\"n\":%" PRIu64 ",\"text\":\"%s\"}}",
	    (unsigned)getpid(), (unsigned long)p->pair, (unsigned long)room % (unsigned long)load.each, p->number, p->number, load.padding);
	chat_peer_say(&load.member[p->pair * MEMBERS + (long)(draw() >> 32 & 1)].peer, text);
}

/* What belongs to no publication under way, or came for it already, is one too many. */
static void take(const char *name, const uint8_t *payload, size_t len, unsigned what, long pair) {
	const char *at = memmem(payload, len, name, strlen(name));
	uint64_t number = at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
	struct publication *p = &load.under[number % (uint64_t)load.under_way];

	if (at == NULL || p->number != number || p->pair != pair || (p->awaited & what) == 0) {
		load.strange++;
		return;
	}
	p->awaited &= ~what;
	if (p->awaited != 0)
		return;
	load.done++;
	histogram_add(&load.times, chat_peer_now_ns() - p->begin_ns);
	if (!load.is_ending)
		publish(p);
	else
		load.ended++;
}

static void on_frame(void *arg, const uint8_t *payload, size_t len) {
	const struct member *m = arg;

	if (chat_peer_has(payload, len, "\"type\":\"publication\""))
		take("\"n\":", payload, len, 1U << m->number % MEMBERS, m->number / MEMBERS);
	else if (chat_peer_has(payload, len, "\"type\":\"ack\""))
		take("\"ref\":", payload, len, ANSWER_AWAITED, m->number / MEMBERS);
	else if (chat_peer_has(payload, len, "\"type\":\"error\""))
		chat_peer_refused(payload, len);
}

static void run_until(uint64_t end_ns) {
	while (chat_peer_now_ns() < end_ns)
		turn(on_frame, NULL);
}

static uint64_t cpu_ns(const struct pids *pids) {
	uint64_t ns;

	if (!pids_cpu_ns(pids, &ns))
		chat_peer_die("a process is gone");
	return ns;
}

static uint64_t pss_bytes(void) {
	uint64_t broker, others;

	if (!pids_pss_bytes(&load.broker_pid, &broker) || !pids_pss_bytes(&load.pids, &others))
		chat_peer_die("a process is gone");
	return broker + others;
}

static void measure(double subscribing_s, double room_bytes) {
	uint64_t begin = chat_peer_now_ns(), before[] = { cpu_ns(&load.pids), cpu_ns(&load.broker_pid), load.done }, end, after[3];
	double count, others, broker;

	memset(&load.times, 0, sizeof(load.times));
	run_until(begin + (uint64_t)load.seconds * 1000000000);
	end = chat_peer_now_ns();
	after[0] = cpu_ns(&load.pids);
	after[1] = cpu_ns(&load.broker_pid);
	after[2] = load.done;
	count = after[2] > before[2] ? (double)(after[2] - before[2]) : 1;
	others = (double)(after[0] - before[0]) / count / 1e3;
	broker = (double)(after[1] - before[1]) / count / 1e3;
	printf("{\"rooms\":%ld,\"connections\":%ld,\"publications\":%.0f,\"deliveries\":%.0f,\"per_second\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
	       "\"cpu_us\":%.3f,\"worker_cpu_us\":%.3f,\"broker_cpu_us\":%.3f,\"subscribing_seconds\":%.2f,\"room_bytes\":%.1f}\n",
	    load.rooms, load.connections, count, MEMBERS * count, count * 1e9 / (double)(end - begin), (double)histogram_at(&load.times, 0.5) / 1e3,
	    (double)histogram_at(&load.times, 0.99) / 1e3, others + broker, others, broker, subscribing_s, room_bytes);
	fflush(stdout);
}

/* Exit status. */
static int run(void) {
	uint64_t begin_ns, end_ns, before, after;

	enter_all();
	before = pss_bytes();
	begin_ns = chat_peer_now_ns();
	subscribe_all();
	end_ns = chat_peer_now_ns();
	after = pss_bytes();
	load.under = mem_zalloc((size_t)load.under_way * sizeof(load.under[0]));
	for (long i = 0; i < load.under_way; i++) {
		load.under[i].number = (uint64_t)i;
		publish(&load.under[i]);
	}
	run_until(chat_peer_now_ns() + WARMUP_MS * 1000000ULL);
	for (long i = 0; i < load.rounds; i++)
		measure((double)(end_ns - begin_ns) / 1e9, ((double)after - (double)before) / (double)load.rooms);
	load.is_ending = true;
	while (load.ended < load.under_way)
		turn(on_frame, NULL);
	if (load.strange > 0)
		fprintf(stderr, "load_rooms: %" PRIu64 " came twice, or to somebody else\n", load.strange);
	return load.strange > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- the command line --- */

static const struct option names[] = { { "port", required_argument, NULL, 'p' }, { "connections", required_argument, NULL, 'c' },
	{ "rooms", required_argument, NULL, 'n' }, { "under-way", required_argument, NULL, 'u' }, { "bytes", required_argument, NULL, 'b' },
	{ "rounds", required_argument, NULL, 'r' }, { "seconds", required_argument, NULL, 's' }, { "pids", required_argument, NULL, 'i' },
	{ "broker-pid", required_argument, NULL, 'k' }, { NULL, 0, NULL, 0 } };

static void set_number(long *to, long least, long most) {
	char *end;

	*to = strtol(optarg, &end, 10);
	if (*end != '\0' || *to < least || *to > most) {
		fprintf(stderr, "load_rooms: %s is not a number from %ld to %ld\n", optarg, least, most);
		exit(2);
	}
}

static void set_pids(struct pids *to) {
	if (!pids_parse(to, optarg)) {
		fprintf(stderr, "load_rooms: %s is no list of processes\n", optarg);
		exit(2);
	}
}

int main(int argc, char **argv) {
	struct rlimit files;
	int name, status;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (name) {
		case 'p': set_number(&load.port, 1, UINT16_MAX); break;
		case 'c': set_number(&load.connections, MEMBERS, CONNECTIONS_MAX); break;
		case 'n': set_number(&load.rooms, 1, ROOMS_MAX); break;
		case 'u': set_number(&load.under_way, 1, UNDER_WAY_MAX); break;
		case 'b': set_number(&load.bytes, 1, TEXT_MAX); break;
		case 'r': set_number(&load.rounds, 1, 100); break;
		case 's': set_number(&load.seconds, 1, 20); break;
		case 'i': set_pids(&load.pids); break;
		case 'k': set_pids(&load.broker_pid); break;
		default: fputs(usage, stderr); return 2;
		}
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	load.padding = mem_zalloc((size_t)load.bytes + 1);
	memset(load.padding, 'x', (size_t)load.bytes);
	load.random = chat_peer_now_ns() | 1;
	status = run();
	for (long i = 0; i < load.connections; i++)
		close(load.member[i].peer.fd);
	close(load.epoll);
	mem_free(load.member);
	mem_free(load.under);
	mem_free(load.padding);
	return status;
}
