/* main - the command line of herold */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/svc/proc.h"
#include "server/admin/metrics.h"
#include "server/master/certificates.h"
#include "server/master/config_file.h"
#include "server/master/credentials.h"
#include "server/master/healthcheck.h"
#include "server/master/master.h"
#include "server/worker/worker.h"

extern char **environ;

enum action { ACTION_RUN = 0, ACTION_CHECK, ACTION_HEALTHCHECK, ACTION_HELP, ACTION_VERSION, ACTION_REFERENCE, ACTION_METRICS, ACTION_REFUSE };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "option", required_argument, NULL, 'o' },
	{ "check", no_argument, NULL, ACTION_CHECK },
	{ "healthcheck", no_argument, NULL, ACTION_HEALTHCHECK },
	{ "help", no_argument, NULL, ACTION_HELP },
	{ "version", no_argument, NULL, ACTION_VERSION },
	{ "reference", no_argument, NULL, ACTION_REFERENCE },
	{ "metrics", no_argument, NULL, ACTION_METRICS },
	{ 0 },
};

static const char usage[] =
    "usage: herold [-c FILE] [-o NAME=VALUE]... [--check | --healthcheck | --help | --version | --reference | --metrics]\n";

static const char help[] =
    "\n"
    "  -c, --config FILE        read options from a JSON file: {\"workers\": 4, \"listen\": [\"0.0.0.0:8080\"]}\n"
    "  -o, --option NAME=VALUE  set one option; stronger than HEROLD_NAME in the environment and the file\n"
    "      --check              say whether the configuration is good, and print the values in effect\n"
    "      --healthcheck        ask the server that runs with this configuration whether it is well\n"
    "      --reference          print the reference page of the options\n"
    "      --metrics            print the reference page of the metrics\n"
    "\n"
    "SIGTERM and SIGINT end the server in order, a second one at once; SIGHUP reads the configuration again;\n"
    "SIGUSR1 makes the log tell everything, or again what was configured.\n"
    "\n"
    "Options and their defaults:\n";

static void print(void (*write)(struct buf *out)) {
	struct buf out;

	buf_init(&out, 1 << 20);
	write(&out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
}

/* source->settings has room for every argument. */
static enum action parse_arguments(int argc, char **argv, struct config_source *source, char **settings) {
	enum action action = ACTION_RUN;
	int c;

	while ((c = getopt_long(argc, argv, "c:o:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			source->file = optarg;
			break;
		case 'o':
			settings[source->setting_count++] = optarg;
			break;
		case 'h':
			action = ACTION_HELP;
			break;
		case '?':
			return ACTION_REFUSE;
		default:
			action = (enum action)c;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unexpected argument \"%s\"\n", argv[0], argv[optind]);
		return ACTION_REFUSE;
	}
	return action;
}

/* What is in the files that the options name. */
static bool check_files(const struct config *c, struct errbuf *e) {
	struct admin_token token;

	return certificates_check(c, e) && credentials_check(c, e) && config_load_admin_token(c, &token, e);
}

static int check(const struct config *c, const struct config_source *source) {
	struct buf out;

	config_warn(source);
	buf_init(&out, 1 << 20);
	config_print(c, &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	return HEROLD_EXIT_OK;
}

static int ask_health(const struct config *c) {
	struct errbuf e;

	if (healthcheck(c->admin_listen.item[0], &e))
		return HEROLD_EXIT_OK;
	fprintf(stderr, "herold: %s\n", e.text);
	return HEROLD_EXIT_FAILED;
}

static int run_configured(enum action action, const struct config_source *source) {
	struct config config;
	struct errbuf e;
	int status;

	if (!config_load(&config, source, &e)) {
		fprintf(stderr, "herold: %s\n", e.text);
		status = HEROLD_EXIT_CONFIG;
	} else if (action == ACTION_CHECK && !check_files(&config, &e)) {
		fprintf(stderr, "herold: %s\n", e.text);
		status = HEROLD_EXIT_CONFIG;
	} else if (action == ACTION_CHECK) {
		status = check(&config, source);
	} else if (action == ACTION_HEALTHCHECK) {
		status = ask_health(&config);
	} else {
		status = master_run(&config, source);
	}
	config_fini(&config);
	return status;
}

int main(int argc, char **argv) {
	struct config_source source = { 0 };
	int status = HEROLD_EXIT_OK;
	enum action action;
	char **settings;

	mem_init();
	digest_init();
	/* A title overwrites the arguments and the environment where they were; from here on they are copies. */
	proc_init(argc, argv, environ);
	settings = mem_zalloc((size_t)argc * sizeof(*settings));
	source.settings = settings;
	source.environment = environ;
	action = parse_arguments(argc, argv, &source, settings);
	switch (action) {
	case ACTION_HELP:
		printf("%s%s", usage, help);
		print(config_print_help);
		break;
	case ACTION_VERSION:
		printf("herold %s\n", HEROLD_VERSION);
		break;
	case ACTION_REFERENCE:
		print(config_print_reference);
		break;
	case ACTION_METRICS:
		print(metrics_print_reference);
		break;
	case ACTION_REFUSE:
		fputs(usage, stderr);
		status = HEROLD_EXIT_CONFIG;
		break;
	default:
		status = run_configured(action, &source);
	}
	mem_free(settings);
	return status;
}
