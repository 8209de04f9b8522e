/*
 * ctl - what the files of herold-ctl share
 *
 * main.c      command line and help
 * server.c    where the admin listener is, and the token
 * client.c    one HTTP request
 * ask.c       a question, and its answer or refusal
 * commands_*.c  what each command asks, and what it shows of the answer
 * show.c      JSON as text for people
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/errbuf.h"

/* For scripts; docs/herold-ctl.md. */
enum ctl_exit {
	CTL_DONE = 0,
	CTL_REFUSED = 1,	/* by the server, or there is nobody or nothing of that kind */
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3,	/* no answer from the admin listener */
	CTL_NOT_NOW = 4,	/* the server cannot do it just now, or nobody knows whether it is done (503, 504) */
};

enum ctl_option {
#define CTL_OPTION(name, value, help) OPTION_##name,
#include "ctl/ctl_options.tbl"
	OPTION_COUNT
};

enum { CTL_ARGUMENTS_MAX = 2, CTL_BODY_MAX = 64 << 20 };

/* What the command line says; borrowed from it. */
struct ctl {
	const char *value[OPTION_COUNT];	/* NULL: not given; "" for those without a value */
	const char *argument[CTL_ARGUMENTS_MAX];
	size_t argument_count;
	const char *program;
};

static inline bool ctl_has(const struct ctl *c, enum ctl_option option) {
	return c->value[option] != NULL;
}

#define CTL_COMMAND(function, name, arguments, least, most, options, help) enum ctl_exit ctl_do_##function(const struct ctl *c);
#include "ctl/ctl_commands.tbl"

/* --- server --- */

enum { CTL_ADDRESS_MAX = 255, CTL_TOKEN_MAX = 512 };

struct ctl_server {
	char address[CTL_ADDRESS_MAX + 1];
	char token[CTL_TOKEN_MAX + 1];	/* "": none */
};

/* False: what is given cannot be used. */
bool ctl_find_server(const struct ctl *c, struct ctl_server *out, struct errbuf *e) MUST_CHECK;
/* A file, or "-" for standard input, up to out->max bytes. */
bool ctl_read_file(const char *name, struct buf *out, struct errbuf *e) MUST_CHECK;

/* --- client --- */

struct ctl_answer {
	unsigned status;
	struct buf body;	/* owned */
};

/* path: with its query. body: NULL: a GET, else a POST of JSON. False: no whole answer within the time. */
bool ctl_request(const struct ctl_server *s, const char *path, const struct slice *body, unsigned timeout_ms, struct ctl_answer *out,
    struct errbuf *e) MUST_CHECK;

/* --- ask --- */

/* To standard error; returns the status. */
enum ctl_exit ctl_say(const struct ctl *c, enum ctl_exit status, const char *text);
/* body: NULL: GET. *out: owned, if it is CTL_DONE; with --json it is printed already. Else it is said why not. */
enum ctl_exit ctl_ask(const struct ctl *c, const char *path, const struct buf *body, json_t **out) MUST_CHECK;
/* The same, and shows the answer, or a part of it. */
enum ctl_exit ctl_ask_and_show(const struct ctl *c, const char *path, const struct buf *body);
enum ctl_exit ctl_ask_and_show_part(const struct ctl *c, const char *path, const struct buf *body, const char *part);
/* ?name=value or &name=value; value: NULL: nothing. */
void ctl_add_query(struct buf *path, const char *name, const char *value);
/* What was added, with its NUL. */
const char *ctl_path(struct buf *path);
/* {"name":value or ,"name":value of a JSON body; takes `value`. */
void ctl_add_json(struct buf *body, const char *name, json_t *value);
/* The same of a text; NULL: nothing. False: it is not UTF-8. */
bool ctl_add_text(struct buf *body, const char *name, const char *text);
/* A json_dump_callback_t, to a struct buf. */
int ctl_add_part(const char *text, size_t len, void *arg);
/* 0: there is no such number. */
json_int_t ctl_number(const json_t *object, const char *name);

/* --- show --- */

/* Adds it without what would change how a terminal shows the text around it. */
void ctl_add_visible(struct buf *out, struct slice s);

/* Objects as lines of names and values, arrays of objects as tables, as wide as the terminal is: else each row as lines. */
void ctl_show(const json_t *json);
/* The same under a heading. */
void ctl_show_under(const char *heading, const json_t *json);

#endif
