/* load_relay - publications that go in at one host and come out at another: how long they take, and what they cost */
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/bench/chat_peer.h"
#include "tests/load/histogram.h"
#include "tests/load/procs.h"

enum { PUBLISHERS_MAX = 256, WARMUP_MS = 500 };

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

static struct load {
	long from, to, publishers, channels, under_way, pause_us, bytes, seconds;
	struct pids pids, redis_pids;
	struct chat_peer *listener, *publisher;	/* owned */
	char *padding;				/* owned */
	uint64_t sent, received, acknowledged;
	bool is_measuring;
	struct histogram times;
} load = { .from = 8080, .to = 8080, .publishers = 16, .channels = 16, .under_way = 1, .bytes = 128, .seconds = 2 };

static void enter_all(void) {
	char text[128];

	load.listener = mem_zalloc(sizeof(*load.listener));
	load.publisher = mem_zalloc((size_t)load.publishers * sizeof(load.publisher[0]));
	load.padding = mem_zalloc((size_t)load.bytes + 1);
	memset(load.padding, 'x', (size_t)load.bytes);
	chat_peer_enter(load.listener, load.to, -1);
	for (long i = 0; i < load.channels; i++) {
		snprintf(text, sizeof(text), "{\"type\":\"subscribe\",\"channel\":\"relay-%ld\"}", i);
		chat_peer_say(load.listener, text);
		chat_peer_wait_for(load.listener, "\"subscribe_ok\"");
	}
	for (long i = 0; i < load.publishers; i++)
		chat_peer_enter(&load.publisher[i], load.from, i);
}

static void publish(void) {
	char text[CHAT_PEER_TEXT_MAX];

	snprintf(text, sizeof(text), "{\"type\":\"publish\",\"channel\":\"relay-%" PRIu64 "\",\"ref\":\"%x-%" PRIu64 "\",\"data\":{\"t\":%" PRIu64
	    ",\"text\":\"%s\"}}", load.sent % (uint64_t)load.channels, (unsigned)getpid(), load.sent, chat_peer_now_ns(), load.padding);
	chat_peer_say(&load.publisher[load.sent % (uint64_t)load.publishers], text);
	load.sent++;
}

static void on_publication(void *arg UNUSED, const uint8_t *payload, size_t len) {
	const char *stamp = memmem(payload, len, "\"t\":", 4);

	if (stamp == NULL)
		return;
	load.received++;
	if (load.is_measuring)
		histogram_add(&load.times, chat_peer_now_ns() - strtoull(stamp + 4, NULL, 10));
}

static void on_answer(void *arg UNUSED, const uint8_t *payload, size_t len) {
	if (chat_peer_has(payload, len, "\"ack\""))
		load.acknowledged++;
	else if (chat_peer_has(payload, len, "\"error\""))
		chat_peer_refused(payload, len);
}

static void turn(struct pollfd *polled) {
	int ready = poll(polled, (nfds_t)load.publishers + 1, CHAT_PEER_STALL_MS);

	if (ready <= 0)
		chat_peer_die("nothing comes any more");
	if (polled[0].revents != 0) {
		chat_peer_receive(load.listener, false);
		chat_peer_each(load.listener, on_publication, NULL);
	}
	for (long i = 0; i < load.publishers; i++) {
		if (polled[i + 1].revents == 0)
			continue;
		chat_peer_receive(&load.publisher[i], false);
		chat_peer_each(&load.publisher[i], on_answer, NULL);
	}
}

static void run_until(struct pollfd *polled, uint64_t end_ns) {
	while (chat_peer_now_ns() < end_ns) {
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
	run_until(polled, chat_peer_now_ns() + WARMUP_MS * 1000000ULL);
	load.is_measuring = true;
	begin = chat_peer_now_ns();
	if (!pids_cpu_ns(&load.pids, &cpu[0]) || !pids_cpu_ns(&load.redis_pids, &redis[0]))
		chat_peer_die("a process is gone");
	run_until(polled, begin + (uint64_t)load.seconds * 1000000000);
	end = chat_peer_now_ns();
	if (!pids_cpu_ns(&load.pids, &cpu[1]) || !pids_cpu_ns(&load.redis_pids, &redis[1]))
		chat_peer_die("a process is gone");
	load.is_measuring = false;
	while (load.received < load.sent || load.acknowledged < load.sent)
		turn(polled);
	if (load.received != load.sent || load.acknowledged != load.sent)
		chat_peer_die("more came than was sent");
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
