/* options - reading, checking and explaining the command line */
#include "tests/load/options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { OPTION_NUMBER, OPTION_FLAG, OPTION_TEXT };

/* offset: of the field in struct options */
static const struct row {
	const char *name;
	enum kind kind;
	size_t offset;
	long least, most;
	unsigned scenarios;
	const char *argument, *help;
} rows[] = {
#define NUMBER(name, field, least, most, scenarios, argument, help) \
	{ name, OPTION_NUMBER, offsetof(struct options, field), least, most, (unsigned)(scenarios), argument, help },
#define FLAG(name, field, scenarios, help) { name, OPTION_FLAG, offsetof(struct options, field), 0, 0, (unsigned)(scenarios), NULL, help },
#define TEXT(name, field, scenarios, argument, help) \
	{ name, OPTION_TEXT, offsetof(struct options, field), 0, 0, (unsigned)(scenarios), argument, help },
#include "tests/load/options.tbl"
#undef NUMBER
#undef FLAG
#undef TEXT
};

enum { HELP = ARRAY_LEN(rows), COLUMN = 25, WIDTH = 100 };

static const char head[] =
	"usage: herold-load SCENARIO [URL] [option]...\n"
	"\n"
	"Puts load on a WebSocket server and says what came of it. URL: ws://HOST:PORT[/PATH] or wss://..;\n"
	"without it ws://127.0.0.1:8080, without a path that of the scenario. Point it at servers of your own.\n";

static const char tail[] =
	"\n"
	"Closed loop (without --rate): a message goes when another one is back, so the server sets the pace. Open loop\n"
	"(--rate): messages go when they are due, however late others are, and a time begins when its message was due.\n"
	"\n"
	"Exit status: 0, if everything arrived; 1, if connections were refused or lost (--lost-ok), messages are missing, came\n"
	"twice, or are not recovered (--reset-ok), or the load could not be made; 2 after a mistake in the command line; 130\n"
	"after SIGINT, which prints the results so far.\n"
	"docs/load-testing.md has examples, and what to set on the machine.\n";

NORETURN static void refuse(const char *format, ...) PRINTF_LIKE(1, 2);
static void refuse(const char *format, ...) {
	va_list args;

	fputs("herold-load: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nherold-load --help says more.\n", stderr);
	exit(2);
}

/* From `column` on, wrapped. */
static void print_wrapped(const char *text, int column) {
	int at = column;

	while (*text != '\0') {
		int len = (int)strcspn(text, " ");

		if (at + 1 + len > WIDTH && at > column) {
			printf("\n%*s", column, "");
			at = column;
		}
		at += printf("%s%.*s", at > column ? " " : "", len, text);
		text += len + (text[len] == ' ' ? 1 : 0);
	}
	putchar('\n');
}

static long default_number(const struct scenario *s, const char *name) {
	const struct {
		const char *name;
		long value;
	} defaults[] = {
		{ "connections", s->defaults.connections },
		{ "bytes", s->defaults.bytes },
		{ "publishers", s->defaults.publishers },
		{ "under-way", s->defaults.under_way },
		{ "at-once", s->defaults.at_once },
		{ "seconds", 10 },
		{ "warmup-ms", 300 },
		{ "backoff-ms", 500 },
		{ "rooms", s->defaults.rooms },
		{ "rate", s->defaults.rate },
		{ "stats-interval", 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		if (strcmp(defaults[i].name, name) == 0)
			return defaults[i].value;
	}
	return 0;
}

static void print_option(const struct row *r, const struct scenario *s) {
	char text[512];
	long value = s != NULL && r->kind == OPTION_NUMBER ? default_number(s, r->name) : 0;
	int len = printf("  --%s%s%s", r->name, r->argument != NULL ? "=" : "", r->argument != NULL ? r->argument : "");

	if (len >= COLUMN)
		printf("\n%*s", COLUMN, "");
	else
		printf("%*s", COLUMN - len, "");
	if (value > 0)
		snprintf(text, sizeof(text), "%s (%ld)", r->help, value);
	else
		snprintf(text, sizeof(text), "%s", r->help);
	print_wrapped(text, COLUMN);
}

/* Of one scenario, or of all. */
NORETURN static void print_help(const struct scenario *one) {
	fputs(head, stdout);
	for (size_t i = 0; scenarios[i] != NULL; i++) {
		if (one != NULL && scenarios[i] != one)
			continue;
		printf("\n  %-10s ", scenarios[i]->name);
		print_wrapped(scenarios[i]->summary, 13);
	}
	printf("\nOptions%s\n", one == NULL ? ", with those that only some scenarios have (herold-load SCENARIO --help):" : ":");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (one == NULL || (rows[i].scenarios & one->id) != 0)
			print_option(&rows[i], one);
	}
	fputs(tail, stdout);
	exit(EXIT_SUCCESS);
}

static void set(struct options *o, const struct row *r, const char *text) {
	char *field = (char *)o + r->offset, *end;
	long value;

	if ((r->scenarios & o->scenario->id) == 0)
		refuse("--%s is no option of %s", r->name, o->scenario->name);
	if (r->kind == OPTION_FLAG) {
		*(bool *)field = true;
		return;
	}
	if (r->kind == OPTION_TEXT) {
		if (*text == '\0')
			refuse("--%s is empty", r->name);
		memcpy(field, &text, sizeof(text));
		return;
	}
	value = strtol(text, &end, 10);
	if (*text == '\0' || *text == ' ' || *end != '\0' || value < r->least || value > r->most)
		refuse("--%s=%s: a whole number from %ld to %ld", r->name, text, r->least, r->most);
	memcpy(field, &value, sizeof(value));
}

static void read_source(struct options *o) {
	char address[INET_ADDRSTRLEN];
	const char *comma = strchrnul(o->source_text, ',');
	struct in_addr first;
	long count = 1;
	char *end;

	if (comma - o->source_text >= (long)sizeof(address))
		refuse("--source=%s: an IPv4 address", o->source_text);
	snprintf(address, sizeof(address), "%.*s", (int)(comma - o->source_text), o->source_text);
	if (inet_pton(AF_INET, address, &first) != 1)
		refuse("--source=%s: an IPv4 address, and perhaps a comma and how many", o->source_text);
	if (*comma == ',') {
		count = strtol(comma + 1, &end, 10);
		if (end == comma + 1 || *end != '\0' || count < 1 || count > 1 << 24)
			refuse("--source=%s: behind the comma stands how many addresses there are", o->source_text);
	}
	o->has_source = true;
	o->source = ntohl(first.s_addr);
	o->source_count = (uint32_t)count;
}

/* What one option cannot know of the others. */
static void check(struct options *o) {
	struct errbuf err;

	if (o->source_text != NULL)
		read_source(o);
	if (o->pid > 0 && o->pids_text != NULL)
		refuse("--pid or --pids, not both");
	if (o->pids_text != NULL && !pids_parse(&o->pids, o->pids_text))
		refuse("--pids=%s: process ids, separated by commas", o->pids_text);
	if (o->pid > 0 && !pids_tree(&o->pids, (int)o->pid))
		refuse("--pid=%ld: there is no such process, or it has more than %d descendants", o->pid, PIDS_MAX);
	o->has_rate = o->rate > 0;
	if (o->has_rate && o->scenario->id != CONNECT_ONLY && o->under_way > 0)
		refuse("--rate is an open loop, --under-way a closed one: not both");
	if (o->publishers > o->connections)
		refuse("there are more publishers (%ld) than connections (%ld)", o->publishers, o->connections);
	if (o->processes > o->connections)
		refuse("there are more processes (%ld) than connections (%ld)", o->processes, o->connections);
	if ((o->insecure || o->ca != NULL) && !o->target.is_tls)
		refuse("--insecure and --ca are for wss:// only");
	if (o->target.path[0] == '\0')
		snprintf(o->target.path, sizeof(o->target.path), "%s", o->chat ? "/ws" : o->scenario->path);
	if (o->scenario->check != NULL && !o->scenario->check(o, &err))
		refuse("%s", err.text);
}

static void set_defaults(struct options *o) {
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		long value;

		memcpy(&value, (char *)o + rows[i].offset, rows[i].kind == OPTION_NUMBER ? sizeof(value) : 0);
		if (rows[i].kind != OPTION_NUMBER || value != -1)
			continue;
		value = (rows[i].scenarios & o->scenario->id) != 0 ? default_number(o->scenario, rows[i].name) : 0;
		/* An open loop is wanted instead. */
		if (rows[i].offset == offsetof(struct options, under_way) && o->rate > 0)
			value = 0;
		memcpy((char *)o + rows[i].offset, &value, sizeof(value));
	}
	if (o->publishers > o->connections)
		o->publishers = o->connections;
	if (o->rooms > o->connections)
		o->rooms = o->connections;
	if (o->cut == 0 && o->scenario->id == RECONNECT)
		o->cut = o->connections / 2;
	if (o->room_prefix == NULL)
		o->room_prefix = "load-";
	o->progress = o->progress || isatty(STDERR_FILENO);
}

static const struct scenario *find_scenario(const char *name) {
	size_t i = 0;

	while (scenarios[i] != NULL && strcmp(scenarios[i]->name, name) != 0)
		i++;
	if (scenarios[i] == NULL)
		refuse("there is no scenario \"%s\"", name);
	return scenarios[i];
}

void options_read(struct options *o, int argc, char **argv) {
	struct option getopt_rows[HELP + 2] = { [HELP] = { "help", no_argument, NULL, HELP } };
	long given_publishers, given_rooms;
	struct errbuf err;
	const char *url;
	int at;

	*o = (struct options){ .scenario = NULL };
	if (argc < 2)
		refuse("a scenario is missing");
	if (strcmp(argv[1], "--help") == 0)
		print_help(NULL);
	o->scenario = find_scenario(argv[1]);
	for (int i = 0; i < HELP; i++) {
		long unset = -1;

		getopt_rows[i] = (struct option){ rows[i].name, rows[i].kind == OPTION_FLAG ? no_argument : required_argument, NULL, i };
		if (rows[i].kind == OPTION_NUMBER)
			memcpy((char *)o + rows[i].offset, &unset, sizeof(unset));
	}
	while ((at = getopt_long(argc - 1, argv + 1, "", getopt_rows, NULL)) != -1) {
		if (at == HELP)
			print_help(o->scenario);
		if (at == '?')
			refuse("that is no command line for %s", o->scenario->name);
		set(o, &rows[at], optarg);
	}
	url = optind < argc - 1 ? argv[1 + optind] : "ws://127.0.0.1:8080";
	if (optind + 1 < argc - 1)
		refuse("\"%s\" is too much: there is one URL", argv[2 + optind]);
	if (!target_parse(&o->target, url, &err))
		refuse("%s", err.text);
	given_publishers = o->publishers;
	given_rooms = o->rooms;
	set_defaults(o);
	if (given_publishers > 0)
		o->publishers = given_publishers;
	if (given_rooms > 0)
		o->rooms = given_rooms;
	check(o);
}
