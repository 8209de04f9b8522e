/* config - values of the options as text: defaults, ranges, units, lists */
#include "common/svc/config.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/utf8.h"
#include "common/svc/config_option.h"
#include "common/svc/listen_address.h"
#include "common/svc/nets.h"
#include "common/svc/redis_url.h"
#include "common/svc/sock.h"

enum { LISTENERS_MAX = 16, REDIS_URLS_MAX = 64 };
/* With less, a few clients with the queues that they may have would be all. */
enum { MEMORY_BYTES_MIN = 32 << 20 };

static const struct config_option options[] = {
#define OPTION_INT(name, def, min, max, unit, reload, help) \
	{ #name, OPTION_IS_INT, offsetof(struct config, name), #def, min, max, UNIT_##unit, "", OPTION_##reload, false, help },
#define OPTION_ENUM(name, def, values, reload, help) \
	{ #name, OPTION_IS_ENUM, offsetof(struct config, name), def, 0, 0, UNIT_count, values, OPTION_##reload, false, help },
#define OPTION_TEXT(name, def, secret, reload, help) \
	{ #name, OPTION_IS_TEXT, offsetof(struct config, name), def, 0, 0, UNIT_count, "", OPTION_##reload, OPTION_##secret, help },
#define OPTION_LIST(name, def, secret, reload, help) \
	{ #name, OPTION_IS_LIST, offsetof(struct config, name), def, 0, 0, UNIT_count, "", OPTION_##reload, OPTION_##secret, help },
#include "common/svc/options.tbl"
};

const struct config_option *config_options(size_t *count) {
	*count = ARRAY_LEN(options);
	return options;
}

const void *config_value(const struct config *c, const struct config_option *o) {
	return (const char *)c + o->offset;
}

static void *value_of(struct config *c, const struct config_option *o) {
	return (char *)c + o->offset;
}

static const struct config_option *option_find(struct slice name) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (slice_eq_text(name, options[i].name))
			return &options[i];
	}
	return NULL;
}

bool config_has_option(struct slice name) {
	return option_find(name) != NULL;
}

bool config_is_list(struct slice name) {
	const struct config_option *o = option_find(name);

	return o != NULL && o->type == OPTION_IS_LIST;
}

static void list_fini(struct text_list *l) {
	for (size_t i = 0; i < l->count; i++)
		mem_free(l->item[i]);
	mem_free(l->item);
	*l = (struct text_list){ NULL, 0 };
}

void config_init(struct config *c) {
	struct errbuf e;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		BUG_ON(!config_set(c, slice_text(options[i].name), slice_text(options[i].def), &e));
}

static void forget_text(char **text) {
	explicit_bzero(*text, strlen(*text));
	mem_free(*text);
	*text = slice_dup_text(SLICE_EMPTY);
}

static void forget_value(struct config *c, const struct config_option *o) {
	void *value = value_of(c, o);
	struct text_list *list = value;

	if (!o->is_secret)
		return;
	if (o->type == OPTION_IS_TEXT)
		forget_text(value);
	for (size_t i = 0; o->type == OPTION_IS_LIST && i < list->count; i++)
		forget_text(&list->item[i]);
}

void config_forget_secrets(struct config *c) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		forget_value(c, &options[i]);
}

void config_fini(struct config *c) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		void *value = value_of(c, &options[i]);

		forget_value(c, &options[i]);
		if (options[i].type == OPTION_IS_TEXT)
			mem_free(*(char **)value);
		else if (options[i].type == OPTION_IS_LIST)
			list_fini(value);
	}
	memset(c, 0, sizeof(*c));
}

/* --- one value --- */

/* Control characters would break log lines and the lines that a child reads; other bytes would break the chat's text. */
static bool is_plain_text(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	}
	return utf8_is_valid(s);
}

static bool refuse(const struct config_option *o, struct slice value, struct errbuf *e) {
	char allowed[CONFIG_ALLOWED_MAX];
	bool is_shown = !o->is_secret && is_plain_text(value) && value.len <= 200;

	config_allowed_text(o, allowed);
	return errbuf_set(e, "%s: %s%.*s%s is not allowed, but %s", o->name, is_shown ? "\"" : "",
	    is_shown ? (int)value.len : 10, is_shown ? (const char *)value.ptr : "this value", is_shown ? "\"" : "", allowed);
}

static bool parse_int(const struct config_option *o, struct slice text, int64_t *out) {
	uint64_t number, factor = 1;

	if (o->unit == UNIT_bytes && text.len > 1) {
		switch (tolower(text.ptr[text.len - 1])) {
		case 'k':
			factor = 1024;
			break;
		case 'm':
			factor = 1024 * 1024;
			break;
		case 'g':
			factor = 1024 * 1024 * 1024;
			break;
		}
		if (factor > 1)
			text.len--;
	}
	if (!slice_to_u64(text, &number) || number > (uint64_t)o->max / factor)
		return false;
	number *= factor;
	if ((int64_t)number < o->min)
		return false;
	*out = (int64_t)number;
	return true;
}

static bool parse_enum(const struct config_option *o, struct slice text, int *out) {
	struct slice rest = slice_text(o->values), part;

	for (int i = 0; slice_next_part(&rest, '|', &part); i++) {
		if (slice_eq(part, text)) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool parse_list(struct slice text, struct text_list *out) {
	struct slice rest = slice_trim(text), part;
	struct text_list list = { NULL, 0 };

	while (text.len > 0 && slice_next_part(&rest, ',', &part)) {
		part = slice_trim(part);
		if (part.len == 0 || !is_plain_text(part)) {
			list_fini(&list);
			return false;
		}
		list.item = mem_realloc(list.item, (list.count + 1) * sizeof(char *));
		list.item[list.count++] = slice_dup_text(part);
	}
	list_fini(out);
	*out = list;
	return true;
}

static bool parse_text(struct slice text, char **out) {
	if (!is_plain_text(text))
		return false;
	mem_free(*out);
	*out = slice_dup_text(text);
	return true;
}

static bool option_parse(const struct config_option *o, struct slice value, void *out) {
	switch (o->type) {
	case OPTION_IS_INT:
		return parse_int(o, value, out);
	case OPTION_IS_ENUM:
		return parse_enum(o, value, out);
	case OPTION_IS_TEXT:
		return parse_text(value, out);
	case OPTION_IS_LIST:
		return parse_list(value, out);
	}
	return false;
}

/* Of the lists, those that a process listens on. */
static bool is_addresses(const struct config_option *o) {
	return o->offset == offsetof(struct config, listen) || o->offset == offsetof(struct config, tls_listen) ||
	    o->offset == offsetof(struct config, admin_listen);
}

/* A list that parses. */
static bool check_addresses(const struct config_option *o, struct slice value, struct errbuf *e) {
	struct text_list list = { NULL, 0 };
	struct sock_addr address;
	struct errbuf why;
	bool is_admin = o->offset == offsetof(struct config, admin_listen), is_good, is_proxy;
	size_t least = is_admin ? 1 : 0;

	if (!is_addresses(o) || !parse_list(value, &list))
		return true;
	is_good = list.count >= least && list.count <= LISTENERS_MAX;
	if (!is_good)
		errbuf_set(e, "%s: %zu addresses are not allowed, but %zu to %d", o->name, list.count, least, LISTENERS_MAX);
	for (size_t i = 0; i < list.count && is_good; i++) {
		is_good = listen_address_parse(list.item[i], &address, &is_proxy, &why);
		if (is_good && is_proxy && is_admin)
			is_good = errbuf_set(&why, "the PROXY protocol is not spoken here");
		if (!is_good)
			errbuf_set(e, "%s: %.400s", o->name, why.text);
	}
	list_fini(&list);
	return is_good;
}

static bool check_networks(const struct config_option *o, struct slice value, struct errbuf *e) {
	struct text_list list = { NULL, 0 };
	struct errbuf why;
	struct nets nets;
	bool is_good;

	if (o->offset != offsetof(struct config, trusted_proxies) && o->offset != offsetof(struct config, limit_exempt))
		return true;
	if (!parse_list(value, &list))
		return true;
	is_good = nets_init(&nets, list.item, list.count, &why);
	if (is_good)
		nets_fini(&nets);
	else
		errbuf_set(e, "%s: %.400s", o->name, why.text);
	list_fini(&list);
	return is_good;
}

bool config_set(struct config *c, struct slice name, struct slice value, struct errbuf *e) {
	const struct config_option *o = option_find(name);

	if (o == NULL)
		return errbuf_set(e, "there is no option \"%.*s\" (--help lists them)", (int)(name.len < 100 ? name.len : 100),
		    (const char *)name.ptr);
	return check_addresses(o, value, e) && check_networks(o, value, e) && (option_parse(o, value, value_of(c, o)) || refuse(o, value, e));
}

/* --- many values --- */

struct variable {
	struct slice name, value;
	const struct config_option *option;	/* NULL: there is no such option */
};

/* False: not one of ours. */
static bool take_variable(const char *text, struct variable *out) {
	const size_t prefix = strlen(CONFIG_ENVIRONMENT_PREFIX);
	struct slice rest = slice_text(text);
	char lower[64];

	if (!slice_starts_with(rest, CONFIG_ENVIRONMENT_PREFIX) || !slice_next_part(&rest, '=', &out->name))
		return false;
	out->value = rest;
	out->option = NULL;
	if (out->name.len - prefix > sizeof(lower))
		return true;
	for (size_t i = prefix; i < out->name.len; i++)
		lower[i - prefix] = (char)tolower(out->name.ptr[i]);
	out->option = option_find(slice_of(lower, out->name.len - prefix));
	return true;
}

bool config_set_environment(struct config *c, char *const *environment, struct errbuf *e) {
	struct variable v;
	struct errbuf why;

	for (; *environment != NULL; environment++) {
		if (!take_variable(*environment, &v) || v.option == NULL)
			continue;
		if (!config_set(c, slice_text(v.option->name), v.value, &why))
			return errbuf_set(e, "environment variable %.*s: %.400s", SLICE_ARGS(v.name), why.text);
	}
	return true;
}

static bool check_tls(const struct config *c, struct errbuf *e) {
	if (c->tls_key.count != c->tls_certificate.count)
		return errbuf_set(e, "tls_key: %zu files are not allowed, but as many as tls_certificate has (%zu)", c->tls_key.count,
		    c->tls_certificate.count);
	if (c->tls_ocsp_file.count > c->tls_certificate.count)
		return errbuf_set(e, "tls_ocsp_file: %zu files are not allowed, but at most as many as tls_certificate has (%zu)",
		    c->tls_ocsp_file.count, c->tls_certificate.count);
	if (c->tls_self_signed == SWITCH_ON && c->tls_certificate.count > 0)
		return errbuf_set(e, "tls_self_signed: \"on\" is not allowed beside tls_certificate");
	if (c->tls_listen.count > 0 && c->tls_certificate.count == 0 && c->tls_self_signed == SWITCH_OFF)
		return errbuf_set(e, "tls_listen: there is no tls_certificate (tls_self_signed=on makes one, for trying things out)");
	return true;
}

/* Several servers share the channels: the same one twice would be one. */
static bool check_redis_urls(const struct config *c, struct errbuf *e) {
	char name[REDIS_URLS_MAX][SOCK_TEXT_MAX * 3];
	struct redis_url url;
	struct errbuf why;

	if (c->redis_url.count == 0 || c->redis_url.count > REDIS_URLS_MAX)
		return errbuf_set(e, "redis_url: %zu are not allowed, but 1 to %d", c->redis_url.count, REDIS_URLS_MAX);
	for (size_t i = 0; i < c->redis_url.count; i++) {
		if (!redis_url_parse(slice_text(c->redis_url.item[i]), &url, &why))
			return errbuf_set(e, "redis_url: number %zu is not allowed: %.400s", i + 1, why.text);
		redis_url_name(&url, name[i], sizeof(name[i]));
		redis_url_fini(&url);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(name[k], name[i]) == 0)
				return errbuf_set(e, "redis_url: %.400s stands there twice", name[i]);
		}
	}
	return true;
}

/* Where the PROXY protocol is expected and nobody is trusted, nobody could come in. */
static bool check_proxies(const struct config *c, struct errbuf *e) {
	const struct text_list *const lists[] = { &c->listen, &c->tls_listen };
	struct sock_addr address;
	bool is_proxy;

	for (size_t i = 0; i < ARRAY_LEN(lists) && c->trusted_proxies.count == 0; i++) {
		for (size_t k = 0; k < lists[i]->count; k++) {
			if (listen_address_parse(lists[i]->item[k], &address, &is_proxy, e) && is_proxy)
				return errbuf_set(e, "\"%.200s\": nobody may come there, because trusted_proxies is empty", lists[i]->item[k]);
		}
	}
	return true;
}

static bool check_redis_limits(const struct config *c, struct errbuf *e) {
	if (c->redis_wait_ms >= c->broker_timeout_ms)
		return errbuf_set(e, "redis_wait_ms (%lld) is not less than broker_timeout_ms (%lld), by which the asker has given up: lower "
		    "the one or raise the other", (long long)c->redis_wait_ms, (long long)c->broker_timeout_ms);
	if (c->redis_queue_bytes < 2 * c->max_message_bytes)
		return errbuf_set(e, "redis_queue_bytes (%lld) is less than twice max_message_bytes (%lld): raise the one or lower the other",
		    (long long)c->redis_queue_bytes, (long long)c->max_message_bytes);
	return true;
}

static bool check_redis(const struct config *c, struct errbuf *e) {
	struct errbuf why;
	uint16_t port;
	char *host;

	if (c->engine != ENGINE_REDIS)
		return true;
	if (!check_redis_urls(c, e))
		return false;
	for (size_t i = 0; i < c->redis_sentinels.count; i++) {
		if (!redis_url_parse_host(slice_text(c->redis_sentinels.item[i]), REDIS_SENTINEL_PORT, &host, &port, &why))
			return errbuf_set(e, "redis_sentinels: \"%.200s\" is not allowed: %.200s", c->redis_sentinels.item[i], why.text);
		mem_free(host);
	}
	if (c->redis_sentinels.count > 0 && c->redis_url.count > 1)
		return errbuf_set(e, "redis_url: %zu are not allowed beside redis_sentinels, who know one master", c->redis_url.count);
	return check_redis_limits(c, e);
}

static bool check_auth(const struct config *c, struct errbuf *e) {
	size_t keys = c->jwt_key.count;

	if (c->jwt_algorithm.count != keys)
		return errbuf_set(e, "jwt_algorithm: %zu are not allowed, but as many as jwt_key has files (%zu)", c->jwt_algorithm.count, keys);
	if (c->jwt_key_id.count > 0 && c->jwt_key_id.count != keys)
		return errbuf_set(e, "jwt_key_id: %zu are not allowed, but none, or as many as jwt_key has files (%zu)", c->jwt_key_id.count,
		    keys);
	if (c->auth == AUTH_MODE_TOKEN && c->token_file[0] == '\0')
		return errbuf_set(e, "auth: \"token\" is not allowed without a token_file");
	if (c->auth == AUTH_MODE_JWT && keys == 0 && c->jwt_key_set[0] == '\0')
		return errbuf_set(e, "auth: \"jwt\" is not allowed without a jwt_key or jwt_key_set");
	return true;
}

/* Whoever may publish to everybody is not just anybody. */
static bool check_admin(const struct config *c, struct errbuf *e) {
	struct sock_addr address;

	if (c->admin_token[0] != '\0' && c->admin_token_file[0] != '\0')
		return errbuf_set(e, "admin_token: not allowed beside admin_token_file");
	for (size_t i = 0; i < c->admin_listen.count && c->admin_token[0] == '\0' && c->admin_token_file[0] == '\0'; i++) {
		if (sock_parse(c->admin_listen.item[i], &address, e) && !sock_is_local(&address))
			return errbuf_set(e, "admin_listen: \"%.200s\" can be reached from elsewhere, which is not allowed without an admin_token "
			    "or admin_token_file", c->admin_listen.item[i]);
	}
	return true;
}

void config_add_unknown_variables(char *const *environment, struct buf *out) {
	struct variable v;

	for (; *environment != NULL; environment++) {
		if (!take_variable(*environment, &v) || v.option != NULL)
			continue;
		if (out->len > 0)
			buf_add_u8(out, ',');
		buf_add(out, v.name);
	}
}

bool config_check(const struct config *c, struct errbuf *e) {
	if (c->history_bytes > c->history_total_bytes)
		return errbuf_set(e, "history_bytes (%lld) is more than history_total_bytes (%lld): lower the one or raise the other",
		    (long long)c->history_bytes, (long long)c->history_total_bytes);
	/* One answer must fit into a quarter of the queue: asking stops when half of it is taken, and deliveries need room too. */
	if ((size_t)c->link_queue_bytes < 4 * config_link_message_bytes(c))
		return errbuf_set(e, "link_queue_bytes (%lld) is less than %zu, four times the largest message of the link: raise it, or "
		    "lower max_message_bytes (%lld) or history_bytes (%lld)", (long long)c->link_queue_bytes,
		    4 * config_link_message_bytes(c), (long long)c->max_message_bytes, (long long)c->history_bytes);
	if (c->memory_bytes > 0 && c->memory_bytes < MEMORY_BYTES_MIN)
		return errbuf_set(e, "memory_bytes: %lld is not allowed, but 0, or at least %d", (long long)c->memory_bytes, MEMORY_BYTES_MIN);
	if (c->listen.count + c->tls_listen.count == 0)
		return errbuf_set(e, "listen: 0 addresses are not allowed, unless tls_listen has some");
	return check_tls(c, e) && check_proxies(c, e) && check_redis(c, e) && check_admin(c, e) && check_auth(c, e);
}

bool config_read_lines(struct config *c, struct slice lines, struct errbuf *e) {
	struct slice line, name;

	while (slice_next_part(&lines, '\n', &line)) {
		if (line.len == 0)
			continue;
		if (!slice_next_part(&line, '=', &name) || !config_set(c, name, line, e))
			return false;
	}
	return true;
}

static bool is_same(const struct config *a, const struct config *b, const struct config_option *o) {
	struct buf x, y;
	bool same;

	buf_init(&x, SIZE_MAX);
	buf_init(&y, SIZE_MAX);
	config_add_value(a, o, &x);
	config_add_value(b, o, &y);
	same = slice_eq(buf_slice(&x), buf_slice(&y));
	buf_fini(&x);
	buf_fini(&y);
	return same;
}

void config_add_changes(const struct config *a, const struct config *b, bool by_reload, struct buf *out) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct config_option *o = &options[i];

		if ((o->reload == OPTION_RELOAD) != by_reload || is_same(a, b, o))
			continue;
		if (out->len > 0)
			buf_add_u8(out, ',');
		buf_add_text(out, o->name);
	}
}

static size_t value_bytes(const struct config_option *o) {
	switch (o->type) {
	case OPTION_IS_INT:
		return sizeof(int64_t);
	case OPTION_IS_ENUM:
		return sizeof(int);
	case OPTION_IS_TEXT:
		return sizeof(char *);
	case OPTION_IS_LIST:
		break;
	}
	return sizeof(struct text_list);
}

void config_swap_reloadable(struct config *a, struct config *b) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		size_t bytes = value_bytes(&options[i]);
		uint8_t old[sizeof(struct text_list)];

		if (options[i].reload != OPTION_RELOAD)
			continue;
		memcpy(old, value_of(a, &options[i]), bytes);
		memcpy(value_of(a, &options[i]), value_of(b, &options[i]), bytes);
		memcpy(value_of(b, &options[i]), old, bytes);
	}
}

size_t config_link_message_bytes(const struct config *c) {
	/* A message or a whole history, one publication beyond it (the newest is kept whatever its size), lists of members. */
	int64_t largest = c->max_message_bytes > c->chat_message_bytes ? c->max_message_bytes : c->chat_message_bytes;

	return (size_t)(largest + c->history_bytes + 256 * 1024);
}
