/*
 * config - the options of the program, declared once in options.tbl
 *
 * From the table come struct config, its defaults, parsing and range checks, --help, --check and the reference page. This module
 * knows values as text; where the text comes from (JSON file, environment, -o) is the caller's business.
 * Order of precedence: -o, then environment HEROLD_NAME, then the file, then the default.
 */
#ifndef COMMON_SVC_CONFIG_H
#define COMMON_SVC_CONFIG_H

#include "common/base/buf.h"
#include "common/base/errbuf.h"

/* Before the name of an option, in capitals. */
#define CONFIG_ENVIRONMENT_PREFIX "HEROLD_"

struct text_list {
	char **item;
	size_t count;
};

struct config {
#define OPTION_INT(name, def, min, max, unit, reload, help) int64_t name;
#define OPTION_ENUM(name, def, values, reload, help) int name;
#define OPTION_TEXT(name, def, secret, reload, help) char *name;
#define OPTION_LIST(name, def, secret, reload, help) struct text_list name;
#include "common/svc/options.tbl"
};

/* The values of the options that are enumerations, in the order of their table rows. */
enum config_engine { ENGINE_MEMORY = 0, ENGINE_REDIS };
enum config_compression { COMPRESSION_OFF = 0, COMPRESSION_SHARED, COMPRESSION_DEDICATED };
enum config_switch { SWITCH_OFF = 0, SWITCH_ON };
enum config_tls_client { TLS_CLIENT_REQUIRED = 0, TLS_CLIENT_OPTIONAL };
enum config_auth { AUTH_MODE_NONE = 0, AUTH_MODE_TOKEN, AUTH_MODE_JWT };
enum config_tls_kernel { TLS_KERNEL_AUTO = 0, TLS_KERNEL_OFF };
enum config_locale { LOCALE_EN = 0, LOCALE_DE };

/* All defaults. */
void config_init(struct config *c);
void config_fini(struct config *c);
/* Overwrites the values of secret options; they are empty then. */
void config_forget_secrets(struct config *c);
/* Takes a value as text: numbers in decimal with an optional k, m or g (1024-fold) for bytes; lists separated by commas. On
 * failure `e` names the option, the value and what is allowed, and the old value stays. */
bool config_set(struct config *c, struct slice name, struct slice value, struct errbuf *e) MUST_CHECK;
/* HEROLD_LISTEN=... and so on. Unknown ones are left alone: Kubernetes sets HEROLD_PORT and the like for a service named herold. */
bool config_set_environment(struct config *c, char *const *environment, struct errbuf *e) MUST_CHECK;
/* Adds their names, separated by commas: to be warned of, because they may be misspelt. */
void config_add_unknown_variables(char *const *environment, struct buf *out);
/* What no single option can say (combinations). */
bool config_check(const struct config *c, struct errbuf *e) MUST_CHECK;
bool config_has_option(struct slice name);
bool config_is_list(struct slice name);
/* Adds the names, separated by commas, of the options that differ: those that a reload may change, or the others. */
void config_add_changes(const struct config *a, const struct config *b, bool by_reload, struct buf *out);
/* Exchanges the values of the options that a reload may change. */
void config_swap_reloadable(struct config *a, struct config *b);
/* Largest message of the link between worker and broker: a publication, or a channel's history, and what is around it. */
size_t config_link_message_bytes(const struct config *c);

/* NAME=VALUE lines of everything but what is only the server's secret, for the sealed descriptor that the broker reads. */
void config_write_lines(const struct config *c, struct buf *out);
bool config_read_lines(struct config *c, struct slice lines, struct errbuf *e) MUST_CHECK;

/* For --check: a JSON object of the effective values, one option a line, secrets masked. */
void config_print(const struct config *c, struct buf *out);
/* For --help and the reference page (Markdown). */
void config_print_help(struct buf *out);
void config_print_reference(struct buf *out);

#endif
