/* main - the command line of herold-ctl */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "ctl/ctl.h"

static const struct {
	const char *name, *value, *help;
} options[OPTION_COUNT] = {
#define CTL_OPTION(name, value, help) [OPTION_##name] = { #name, value, help },
#include "ctl/ctl_options.tbl"
};

#define BIT(name) (1u << OPTION_##name)
#define WHO (BIT(user) | BIT(address) | BIT(id))
#define ALL (BIT(server) | BIT(token_file) | BIT(config) | BIT(timeout) | BIT(json) | BIT(help))
STATIC_ASSERT(OPTION_COUNT <= 32, "a bit for each");

static const struct command {
	const char *name, *arguments, *help;
	size_t least, most;
	unsigned options;
	enum ctl_exit (*run)(const struct ctl *c);
} commands[] = {
#define CTL_COMMAND(function, name, arguments, least, most, options, help) \
	{ name, arguments, help, least, most, options, ctl_do_##function },
#include "ctl/ctl_commands.tbl"
};

/* --- help --- */

/* token_file -> token-file */
static void option_text(enum ctl_option o, char out[64]) {
	snprintf(out, 64, "--%s%s%s", options[o].name, options[o].value != NULL ? " " : "", options[o].value != NULL ? options[o].value : "");
	for (char *at = out; *at != '\0' && *at != ' '; at++) {
		if (*at == '_')
			*at = '-';
	}
}

static void print_options(unsigned which) {
	char text[64];

	for (unsigned o = 0; o < OPTION_COUNT; o++) {
		if ((which & 1u << o) == 0)
			continue;
		option_text((enum ctl_option)o, text);
		printf("  %-22s %s\n", text, options[o].help);
	}
}

static void print_help(const char *program) {
	printf("usage: %s COMMAND [OPTION]...\n\nTalks to the admin listener of a running Herold.\n\n", program);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s %s", commands[i].name, commands[i].arguments);
		printf("  %-22s %s\n", text, commands[i].help);
	}
	printf("\nOptions of all commands (%s COMMAND --help shows the others):\n", program);
	print_options(ALL);
	printf("\nExit status: 0 done, 1 refused or nothing found, 2 wrong usage, 3 no answer from the server, 4 the server cannot do it\n"
	       "just now, or perhaps did.\n");
}

static void print_command_help(const char *program, const struct command *m) {
	printf("usage: %s %s%s%s [OPTION]...\n\n%s\n\n", program, m->name, m->arguments[0] != '\0' ? " " : "", m->arguments, m->help);
	print_options(m->options);
	if (m->options != 0)
		printf("\n");
	print_options(ALL);
}

/* --- the command line --- */

static enum ctl_exit misused(const char *program, const char *what, const char *which) {
	fprintf(stderr, "%s: %s%s%s; see %s --help\n", program, what, which[0] != '\0' ? " " : "", which, program);
	return CTL_USAGE;
}

static const struct command *find_command(const char *name) {
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

/* "name" or "name=value"; OPTION_COUNT: there is none. *value: behind the "=", or NULL. */
static enum ctl_option find_option(const char *text, const char **value) {
	size_t len = strcspn(text, "=");
	unsigned o = 0;

	*value = text[len] == '=' ? text + len + 1 : NULL;
	for (; o < OPTION_COUNT; o++) {
		size_t i = 0;

		while (i < len && (text[i] == '-' ? '_' : text[i]) == options[o].name[i])
			i++;
		if (i == len && options[o].name[i] == '\0')
			break;
	}
	return (enum ctl_option)o;
}

/* The option at argv[*at], and its value; false: *what is wrong with it. */
static bool take_option(struct ctl *c, char **argv, int argc, int *at, const char **what) {
	const char *value;
	enum ctl_option o = find_option(argv[*at] + 2, &value);

	if (o == OPTION_COUNT) {
		*what = "there is no option";
	} else if (options[o].value == NULL && value != NULL) {
		*what = "nothing stands behind";
	} else if (options[o].value != NULL && value == NULL && *at + 1 == argc) {
		*what = "a value is missing behind";
	} else if (c->value[o] != NULL) {
		*what = "given twice:";
	} else {
		if (options[o].value != NULL && value == NULL)
			value = argv[++*at];
		c->value[o] = value != NULL ? value : "";
		return true;
	}
	return false;
}

/* CTL_DONE, or CTL_USAGE when it is said what is wrong. */
static enum ctl_exit parse(struct ctl *c, int argc, char **argv, const struct command **command) {
	bool is_over = false;

	for (int i = 1; i < argc; i++) {
		const char *what, *given = argv[i];

		if (!is_over && strcmp(given, "--") == 0) {
			is_over = true;
		} else if (!is_over && strcmp(given, "-h") == 0) {
			c->value[OPTION_help] = "";
		} else if (!is_over && strncmp(given, "--", 2) == 0) {
			if (!take_option(c, argv, argc, &i, &what))
				return misused(c->program, what, given);
		} else if (*command == NULL) {
			*command = find_command(given);
			if (*command == NULL)
				return misused(c->program, "there is no command", given);
		} else if (c->argument_count == (*command)->most) {
			return misused(c->program, "one too many:", given);
		} else {
			c->argument[c->argument_count++] = given;
		}
	}
	return CTL_DONE;
}

static enum ctl_exit check_options(const struct ctl *c, const struct command *m) {
	char text[64];

	for (unsigned o = 0; o < OPTION_COUNT; o++) {
		option_text((enum ctl_option)o, text);
		if (c->value[o] != NULL && ((m->options | ALL) & 1u << o) == 0)
			return misused(c->program, "this command does not take", text);
	}
	if (c->argument_count < m->least)
		return misused(c->program, "missing:", m->arguments);
	return CTL_DONE;
}

int main(int argc, char **argv) {
	struct ctl c = { .program = "herold-ctl" };
	const struct command *command = NULL;
	enum ctl_exit status = parse(&c, argc, argv, &command);

	/* So that what it returns is given back with ours. */
	json_set_alloc_funcs(mem_try_alloc, mem_free);
	if (status != CTL_DONE)
		return status;
	if (ctl_has(&c, OPTION_help)) {
		if (command != NULL)
			print_command_help(c.program, command);
		else
			print_help(c.program);
		return CTL_DONE;
	}
	if (command == NULL)
		return misused(c.program, "a command is missing", "");
	status = check_options(&c, command);
	if (status == CTL_DONE)
		status = command->run(&c);
	/* A full disk or a closed pipe is no success. */
	return fflush(stdout) == 0 || status != CTL_DONE ? status : CTL_REFUSED;
}
