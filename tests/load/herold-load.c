/* herold-load - echoes, fan-outs and idle connections against one server, bounded in number and time */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/load/client.h"
#include "tests/load/measure.h"
#include "tests/load/received.h"

enum { SLOTS_MAX = 4096, IDLE_BYTES = 100 * 1024, IDLE_AT_ONCE = 32, OPEN_SECONDS = 60, IDLE_SECONDS = 600,
	STALL_SECONDS = 5 };

static const char usage[] =
	"usage: herold-load echo|fan|idle [option]...\n"
	"  echo: every connection sends a message and waits for it to come back, again and again;\n"
	"        with --interval-ms each sends one so often, and its time runs from when it should have been sent\n"
	"  fan:  the messages of a few publishers come to all; one that is back with its publisher lets the next one go;\n"
	"        with --interval-ms each publisher sends one so often, the time of each delivery runs from when it should have been\n"
	"        sent, and every connection must get each message once; what others publish there is counted\n"
	"  idle: every connection echoes one message, then nothing; says \"ready\" and holds them until standard input ends\n"
	"      --target=ADDRESS    IPv4 address (127.0.0.1)\n"
	"      --port=PORT         (8080)\n"
	"      --path=PATH         (/echo, or /broadcast for fan)\n"
	"      --connections=N     (64; 1000 for fan; 10000 for idle)\n"
	"      --bytes=N           of a message (64; 128 for fan; 102400 for idle)\n"
	"      --publishers=N      how many of fan's connections also send (16)\n"
	"      --under-way=N       fan's messages under way at a time, over all publishers (16)\n"
	"      --interval-ms=N     of echo's connections, or fan's publishers, evenly spread\n"
	"      --seconds=N         of measuring (2)\n"
	"      --warmup-ms=N       before that (300)\n"
	"      --token=TOKEN       for Authorization: Bearer; a * in it stands for the number of the connection, from 0\n"
	"      --source=ADDRESS    IPv4 address that the first connection comes from, the next ones from the next addresses\n"
	"      --pids=PID,...      the server's processes, for work per second of their processor time\n"
	"      --compress          all offer permessage-deflate, but not those that publish; what comes is not inflated\n"
	"      --binary            binary messages instead of text\n"
	"      --json              results as one line of JSON\n";

struct slot {
	uint32_t publisher, sequence;
	uint64_t sent_ns;
};

static struct load {
	const char *mode, *target, *path, *token, *source;
	long port, connections, bytes, publishers, under_way, interval_ms, seconds, warmup_ms;
	bool binary, json, compress, is_fan;
	struct pids pids;
	struct clients clients;
	struct slot slot[SLOTS_MAX];
	uint32_t next_publisher;
	uint64_t gap_ns, next_ns, paced; /* with an interval: between two messages, when the next is due, and how many went ... */
	uint64_t paced_back;		 /* ... and came back, to echo */
	uint64_t began_ns, until_ns;	 /* the first was due, and what is due from then on is not sent */
	uint64_t first;			 /* message that is measured, of fan with an interval: before, a worker may not be subscribed yet */
	struct received received;	 /* counted from it; empty until then */
	uint64_t others;		 /* messages that somebody else published */
	uint64_t messages;
	struct histogram times, late;
} load = { .target = "127.0.0.1", .port = 8080, .publishers = 16, .under_way = 16, .seconds = 2, .warmup_ms = 300 };

static void nothing(struct client *c) {
	(void)c;
}

static void echo_send(struct client *c) {
	c->sent_ns = now_ns();
	client_send(c, NULL);
}

static void echo_came(struct client *c) {
	load.messages++;
	histogram_add(&load.times, now_ns() - c->sent_ns);
	echo_send(c);
}

/* c->sent_ns: when the message should have been sent that comes back next. */
static void paced_came(struct client *c) {
	load.messages++;
	load.paced_back++;
	histogram_add(&load.times, now_ns() - c->sent_ns);
	c->sent_ns += load.gap_ns * load.clients.count;
}

/* Publishers stand evenly among the others: neither the first nor the last whom a server gets to. */
static struct client *publisher(uint32_t at) {
	return &load.clients.client[at * (load.clients.count / (uint32_t)load.publishers)];
}

static bool is_publisher(uint32_t index) {
	return index % (load.clients.count / (uint32_t)load.publishers) == 0;
}

/* `senders` connections send in turn. */
static void paced_begin(long senders) {
	load.gap_ns = (uint64_t)load.interval_ms * MILLISECOND_NS / (uint64_t)senders;
	load.began_ns = load.next_ns = now_ns();
	for (uint32_t i = 0; i < load.clients.count; i++)
		load.clients.client[i].sent_ns = load.next_ns + i * load.gap_ns;
}

static void paced_send_one(void) {
	char stamp[CLIENT_STAMP + 1];

	if (load.is_fan) {
		snprintf(stamp, sizeof(stamp), "%016" PRIx64, load.paced);
		client_send(publisher((uint32_t)(load.paced % (uint64_t)load.publishers)), stamp);
	} else {
		client_send(&load.clients.client[load.paced % load.clients.count], NULL);
	}
	load.paced++;
}

/* Sends what is due. Returns for how long nothing more is. */
static uint64_t paced_send(void) {
	uint64_t now = now_ns();

	for (; load.next_ns <= now && load.next_ns < load.until_ns; load.next_ns += load.gap_ns, now = now_ns()) {
		histogram_add(&load.late, now - load.next_ns);
		paced_send_one();
	}
	return load.next_ns > now ? load.next_ns - now : 0;
}

static void paced_fan_came(struct client *c) {
	char stamp[CLIENT_STAMP + 1], *end;
	uint64_t message;

	memcpy(stamp, c->stamp, CLIENT_STAMP);
	stamp[CLIENT_STAMP] = '\0';
	message = strtoull(stamp, &end, 16);
	if (*end != '\0' || message >= load.paced) {
		load.others++;
		return;
	}
	if (load.received.messages > 0 && message < load.first)
		return;
	load.messages++;
	if (load.received.messages == 0)
		return;
	histogram_add(&load.times, now_ns() - (load.began_ns + message * load.gap_ns));
	if (!received_note(&load.received, c->index, message - load.first))
		die("connection %u: message %" PRIu64 " came twice", c->index, message);
}

static void fan_send(uint32_t slot) {
	struct slot *s = &load.slot[slot];
	char stamp[CLIENT_STAMP + 1];

	s->publisher = load.next_publisher++ % (uint32_t)load.publishers;
	s->sequence++;
	s->sent_ns = now_ns();
	snprintf(stamp, sizeof(stamp), "%08" PRIx32 "%08" PRIx32, slot, s->sequence);
	client_send(publisher(s->publisher), stamp);
}

static void fan_came(struct client *c) {
	char stamp[CLIENT_STAMP + 1];
	uint32_t slot, sequence;

	load.messages++;
	if (!is_publisher(c->index))
		return;
	memcpy(stamp, c->stamp, CLIENT_STAMP);
	stamp[CLIENT_STAMP] = '\0';
	if (sscanf(stamp, "%8" SCNx32 "%8" SCNx32, &slot, &sequence) != 2 || slot >= load.under_way)
		die("connection %u: a message nobody sent", c->index);
	if (publisher(load.slot[slot].publisher) != c || load.slot[slot].sequence != sequence)
		return;
	histogram_add(&load.times, now_ns() - load.slot[slot].sent_ns);
	fan_send(slot);
}

static uint64_t cpu_ns(void) {
	uint64_t ns;

	if (!pids_cpu_ns(&load.pids, &ns))
		die("a process of the server is gone");
	return ns;
}

static void run_for(uint64_t ns) {
	uint64_t now = now_ns(), until = now + ns, latest = now, came = load.messages;

	load.until_ns = until;
	for (; now < until; now = now_ns()) {
		clients_turn(&load.clients, load.gap_ns > 0 ? paced_send() : SECOND_NS);
		if (load.messages != came)
			latest = now;
		else if (now - latest > STALL_SECONDS * SECOND_NS)
			die("nothing came for %d s", STALL_SECONDS);
		came = load.messages;
	}
}

static uint64_t paced_missing(void) {
	return load.is_fan ? (load.paced - load.first) * load.clients.count - load.received.count : load.paced - load.paced_back;
}

/* What is late must not be missing. */
static void wait_for_paced(void) {
	uint64_t until = now_ns() + STALL_SECONDS * SECOND_NS, missing;

	paced_send();
	while ((missing = paced_missing()) > 0) {
		clients_turn(&load.clients, SECOND_NS);
		if (now_ns() <= until)
			continue;
		if (load.is_fan)
			die("%" PRIu64 " deliveries of %" PRIu64 " messages are missing, at %" PRIu32 " of %" PRIu32 " clients", missing,
				load.paced - load.first, received_lacking(&load.received, load.paced - load.first), load.clients.count);
		die("%" PRIu64 " messages did not come back", missing);
	}
}

static void print_results(double seconds, double cpu_seconds) {
	double rate = (double)load.messages / seconds;
	double per_cpu = cpu_seconds > 0 ? (double)load.messages / cpu_seconds : 0;
	double p50 = (double)histogram_at(&load.times, 0.50) / 1000, p99 = (double)histogram_at(&load.times, 0.99) / 1000,
	       p999 = (double)histogram_at(&load.times, 0.999) / 1000, late = (double)histogram_at(&load.late, 0.99) / 1000,
	       max = (double)load.times.max / 1000;

	if (load.json) {
		printf("{\"mode\":\"%s\",\"connections\":%ld,\"bytes\":%ld,", load.mode, load.connections, load.bytes);
		if (strcmp(load.mode, "fan") == 0)
			printf("\"publishers\":%ld,\"under_way\":%ld,", load.publishers, load.under_way);
		printf("\"seconds\":%.3f,\"messages\":%" PRIu64 ",\"per_second\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
			seconds, load.messages, rate, p50, p99, p999, max);
		if (load.gap_ns > 0)
			printf(",\"interval_ms\":%ld,\"late_p99_us\":%.1f,\"missing\":%" PRIu64 ",\"others\":%" PRIu64, load.interval_ms, late,
				paced_missing(), load.others);
		if (load.pids.count > 0)
			printf(",\"cpu_seconds\":%.4f,\"per_cpu_second\":%.0f", cpu_seconds, per_cpu);
		puts("}");
		return;
	}
	printf("%s: %" PRIu64 " messages in %.2f s, %.0f per second; there and back p50 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us\n",
		load.mode, load.messages, seconds, rate, p50, p99, p999, max);
	if (load.gap_ns > 0)
		printf("sent late: p99 %.1f us\n", late);
	if (load.pids.count > 0)
		printf("server: %.3f s of processor time, %.0f messages per second of it\n", cpu_seconds, per_cpu);
}

static void measure(void) {
	uint64_t start, cpu_start, cpu_end;
	double seconds;

	run_for((uint64_t)load.warmup_ms * MILLISECOND_NS);
	load.messages = 0;
	load.others = 0;
	load.times = load.late = (struct histogram){ 0 };
	if (load.is_fan && load.gap_ns > 0) {
		load.first = load.paced;
		received_init(&load.received, load.clients.count, ((uint64_t)load.seconds + 1) * SECOND_NS / load.gap_ns);
	}
	cpu_start = cpu_ns();
	start = now_ns();
	run_for((uint64_t)load.seconds * SECOND_NS);
	cpu_end = cpu_ns();
	seconds = (double)(now_ns() - start) / 1e9;
	if (load.gap_ns > 0)
		wait_for_paced();
	print_results(seconds, (double)(cpu_end - cpu_start) / 1e9);
}

static void echo(void) {
	load.clients.on_open = nothing;
	load.clients.on_message = load.interval_ms > 0 ? paced_came : echo_came;
	clients_open_all(&load.clients, OPEN_SECONDS);
	if (load.interval_ms > 0) {
		paced_begin(load.connections);
		measure();
		return;
	}
	for (uint32_t i = 0; i < load.clients.count; i++)
		echo_send(&load.clients.client[i]);
	measure();
}

static void fan(void) {
	load.clients.on_open = nothing;
	load.clients.on_message = load.interval_ms > 0 ? paced_fan_came : fan_came;
	load.clients.compare = false;
	clients_open_all(&load.clients, OPEN_SECONDS);
	if (load.interval_ms > 0) {
		paced_begin(load.publishers);
		measure();
		received_fini(&load.received);
		return;
	}
	for (uint32_t i = 0; i < load.under_way; i++)
		fan_send(i);
	measure();
}

static void idle_came(struct client *c) {
	(void)c;
	load.messages++;
}

static void idle(void) {
	struct clients *all = &load.clients;
	uint64_t until = now_ns() + (uint64_t)IDLE_SECONDS * SECOND_NS;
	struct client input = { .all = all, .fd = STDIN_FILENO };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &input };
	bool holding;
	int hold;

	all->on_open = echo_send;
	all->on_message = idle_came;
	while (load.messages < all->count) {
		while (all->started < all->count && all->started - load.messages < IDLE_AT_ONCE)
			clients_start_one(all);
		clients_turn(all, 100 * MILLISECOND_NS);
		if (now_ns() > until)
			die("%" PRIu64 " of %u echoes after %d s", load.messages, all->count, IDLE_SECONDS);
	}
	puts("ready");
	fflush(stdout);
	/* The clients' epoll is a descriptor of a second one: standard input is no client. */
	hold = epoll_create1(EPOLL_CLOEXEC);
	/* A file or /dev/null cannot be waited for: it has ended. */
	holding = epoll_ctl(hold, EPOLL_CTL_ADD, STDIN_FILENO, &e) == 0;
	e.data.ptr = NULL;
	epoll_ctl(hold, EPOLL_CTL_ADD, all->epoll, &e);
	while (holding) {
		char ignored[256];
		int n = epoll_wait(hold, &e, 1, 1000);

		if (n == 1 && e.data.ptr == &input && read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
			holding = false;
		clients_turn(all, 0);
	}
	close(hold);
}

static void read_options(int argc, char **argv) {
	struct number {
		const char *name;
		long *value, min, max;
	} numbers[] = {
		{ "port", &load.port, 1, 65535 },
		{ "connections", &load.connections, 1, CLIENTS_MAX },
		{ "bytes", &load.bytes, 0, CLIENT_MESSAGE_MAX },
		{ "publishers", &load.publishers, 1, CLIENTS_MAX },
		{ "under-way", &load.under_way, 1, SLOTS_MAX },
		{ "interval-ms", &load.interval_ms, 1, 60000 },
		{ "seconds", &load.seconds, 1, 600 },
		{ "warmup-ms", &load.warmup_ms, 0, 60000 },
	};
	enum { TARGET = ARRAY_LEN(numbers), PATH, TOKEN, SOURCE, PIDS, COMPRESS, BINARY, JSON, HELP, END };
	struct option options[END + 1] = {
		[TARGET] = { "target", required_argument, NULL, TARGET },
		[PATH] = { "path", required_argument, NULL, PATH },
		[TOKEN] = { "token", required_argument, NULL, TOKEN },
		[SOURCE] = { "source", required_argument, NULL, SOURCE },
		[PIDS] = { "pids", required_argument, NULL, PIDS },
		[COMPRESS] = { "compress", no_argument, NULL, COMPRESS },
		[BINARY] = { "binary", no_argument, NULL, BINARY },
		[JSON] = { "json", no_argument, NULL, JSON },
		[HELP] = { "help", no_argument, NULL, HELP },
	};
	int at;

	for (int i = 0; i < TARGET; i++)
		options[i] = (struct option){ numbers[i].name, required_argument, NULL, i };
	while ((at = getopt_long(argc, argv, "", options, NULL)) != -1) {
		char *end;

		if (at == TARGET) {
			load.target = optarg;
		} else if (at == PATH) {
			load.path = optarg;
		} else if (at == TOKEN) {
			load.token = optarg;
		} else if (at == SOURCE) {
			load.source = optarg;
		} else if (at == PIDS) {
			if (!pids_parse(&load.pids, optarg))
				die("--pids=%s: process ids, separated by commas", optarg);
		} else if (at == COMPRESS) {
			load.compress = true;
		} else if (at == BINARY) {
			load.binary = true;
		} else if (at == JSON) {
			load.json = true;
		} else if (at == HELP) {
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		} else if (at == '?') {
			fputs(usage, stderr);
			exit(2);
		} else {
			*numbers[at].value = strtol(optarg, &end, 10);
			if (*optarg == '\0' || *end != '\0' || *numbers[at].value < numbers[at].min ||
				*numbers[at].value > numbers[at].max)
				die("--%s=%s: a number from %ld to %ld", numbers[at].name, optarg, numbers[at].min, numbers[at].max);
		}
	}
}

int main(int argc, char **argv) {
	static const struct {
		const char *name, *path;
		long connections, bytes;
		void (*run)(void);
	} modes[] = {
		{ "echo", "/echo", 64, 64, echo },
		{ "fan", "/broadcast", 1000, 128, fan },
		{ "idle", "/echo", 10000, IDLE_BYTES, idle },
	};
	bool wants_help = argc == 2 && strcmp(argv[1], "--help") == 0;
	size_t mode = 0;

	while (argc > 1 && mode < ARRAY_LEN(modes) && strcmp(argv[1], modes[mode].name) != 0)
		mode++;
	if (argc < 2 || mode == ARRAY_LEN(modes)) {
		fputs(usage, wants_help ? stdout : stderr);
		return wants_help ? EXIT_SUCCESS : 2;
	}
	load.mode = modes[mode].name;
	load.path = modes[mode].path;
	load.connections = modes[mode].connections;
	load.bytes = modes[mode].bytes;
	load.is_fan = modes[mode].run == fan;
	read_options(argc - 1, argv + 1);
	if (load.is_fan && (load.publishers > load.connections || load.bytes < CLIENT_STAMP))
		die("fan needs as many connections as publishers and messages of %d bytes or more", CLIENT_STAMP);
	clients_init(&load.clients, load.target, (uint16_t)load.port, load.path, (uint32_t)load.connections);
	load.clients.token = load.token;
	load.clients.source = load.source;
	clients_set_message(&load.clients, (size_t)load.bytes, load.binary);
	for (uint32_t i = 0; i < load.clients.count; i++)
		load.clients.client[i].offers_deflate = load.compress && !(load.is_fan && is_publisher(i));
	modes[mode].run();
	clients_fini(&load.clients);
	return EXIT_SUCCESS;
}
