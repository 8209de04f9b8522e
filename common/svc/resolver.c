/* resolver - one evdns of its own for each question, so that files that have changed and servers that were away do not matter */
#include "common/svc/resolver.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/base/slice.h"

/* What the second kind of addresses may take longer than the first: servers that are silent about AAAA exist. */
enum { SKEW_MS = 200, HOSTS_LINE_MAX = 1024 };

enum question_state { QUESTION_NEW = 0, QUESTION_ASKED, QUESTION_ANSWERED };

struct resolver_request {
	struct resolver_question *question;
	struct evdns_request *handle;	/* NULL: not under way */
};

struct resolver_question {
	struct list link;
	struct resolver *resolver;
	resolver_fn fn;			/* NULL: nobody wants the answer any more */
	void *arg;
	char *name;
	enum question_state state;
	struct evdns_base *dns;
	struct resolver_request v4, v6;
	struct evloop_timer skew;
	struct resolver_answer found_v4, found_v6;
	const char *why;		/* static */
};

struct resolver {
	struct list questions;
	struct evloop *loop;
	const char *hosts, *resolv_conf;
	struct evloop_timer work;	/* begins, answers and frees: never inside an ask or a callback of evdns */
};

static void on_work(void *arg);

static void be_quiet(int is_warning UNUSED, const char *text UNUSED) {
}

struct resolver *resolver_new(struct evloop *loop) {
	struct resolver *r = mem_zalloc(sizeof(*r));

	r->loop = loop;
	resolver_use_files(r, "/etc/hosts", "/etc/resolv.conf");
	list_init(&r->questions);
	evloop_timer_init(loop, &r->work, on_work, r);
	/* Who decides what becomes of a failed question logs it. */
	evdns_set_log_fn(be_quiet);
	return r;
}

void resolver_use_files(struct resolver *r, const char *hosts, const char *resolv_conf) {
	r->hosts = hosts;
	r->resolv_conf = resolv_conf;
}

static void question_free(struct resolver_question *q) {
	list_remove(&q->link);
	evloop_timer_stop(&q->skew);
	if (q->dns != NULL)
		evdns_base_free(q->dns, 0);
	mem_free(q->name);
	mem_free(q);
}

void resolver_free(struct resolver **r) {
	if (*r == NULL)
		return;
	list_for_each_safe(it, &(*r)->questions)
		question_free(list_entry(it, struct resolver_question, link));
	evloop_timer_stop(&(*r)->work);
	mem_free(*r);
	*r = NULL;
}

static void work_soon(struct resolver *r) {
	evloop_timer_start(&r->work, 0);
}

static void answered(struct resolver_question *q) {
	q->state = QUESTION_ANSWERED;
	work_soon(q->resolver);
}

static void on_skew(void *arg) {
	answered(arg);
}

struct resolver_question *resolver_ask(struct resolver *r, const char *name, resolver_fn fn, void *arg) {
	struct resolver_question *q = mem_zalloc(sizeof(*q));

	q->resolver = r;
	q->fn = fn;
	q->arg = arg;
	q->name = slice_dup_text(slice_text(name));
	q->v4.question = q->v6.question = q;
	evloop_timer_init(r->loop, &q->skew, on_skew, q);
	list_add_tail(&r->questions, &q->link);
	work_soon(r);
	return q;
}

void resolver_cancel(struct resolver_question **q) {
	if (*q == NULL)
		return;
	(*q)->fn = NULL;
	answered(*q);
	*q = NULL;
}

/* --- what has been found --- */

static void answer_add(struct resolver_answer *a, int family, const void *ip) {
	if (a->count < RESOLVER_ADDRESSES_MAX && inet_ntop(family, ip, a->address[a->count], RESOLVER_TEXT_MAX) != NULL)
		a->count++;
}

/* False: the text is no address. */
static bool take_numeric(struct resolver_question *q, const char *text) {
	struct in6_addr ip;

	if (inet_pton(AF_INET, text, &ip) == 1)
		answer_add(&q->found_v4, AF_INET, &ip);
	else if (inet_pton(AF_INET6, text, &ip) == 1)
		answer_add(&q->found_v6, AF_INET6, &ip);
	else
		return false;
	return true;
}

/* A line of hosts(5): address, names, # and a comment. */
static void take_hosts_line(struct resolver_question *q, char *line) {
	char *rest = line, *address = NULL, *word;

	line[strcspn(line, "#\n")] = '\0';
	while ((word = strsep(&rest, " \t\r")) != NULL) {
		if (word[0] == '\0')
			continue;
		if (address == NULL)
			address = word;
		else if (strcasecmp(word, q->name) == 0) {
			take_numeric(q, address);
			return;
		}
	}
}

static bool is_found(const struct resolver_question *q) {
	return q->found_v4.count + q->found_v6.count > 0;
}

static bool look_into_hosts(struct resolver_question *q) {
	FILE *file = fopen(q->resolver->hosts, "re");
	char line[HOSTS_LINE_MAX];

	if (file == NULL)
		return false;
	while (fgets(line, sizeof(line), file) != NULL)
		take_hosts_line(q, line);
	fclose(file);
	return is_found(q);
}

/* --- asking name servers --- */

/* Which families this host has an address of, loopback aside; both when it has none. */
static void configured_families(bool *v4, bool *v6) {
	struct ifaddrs *all = NULL;

	*v4 = *v6 = false;
	if (getifaddrs(&all) == 0) {
		for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
			if (i->ifa_addr == NULL || (i->ifa_flags & IFF_LOOPBACK) != 0)
				continue;
			*v4 = *v4 || i->ifa_addr->sa_family == AF_INET;
			*v6 = *v6 || i->ifa_addr->sa_family == AF_INET6;
		}
		freeifaddrs(all);
	}
	if (!*v4 && !*v6)
		*v4 = *v6 = true;
}

static void on_dns(int result, char type, int count, int ttl UNUSED, void *addresses, void *arg) {
	struct resolver_request *request = arg;
	struct resolver_question *q = request->question;
	const uint8_t *ip = addresses;
	bool is_v6 = type == DNS_IPv6_AAAA;
	size_t bytes = is_v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);

	request->handle = NULL;
	if (result == DNS_ERR_NONE && (is_v6 || type == DNS_IPv4_A)) {
		for (int i = 0; i < count; i++)
			answer_add(is_v6 ? &q->found_v6 : &q->found_v4, is_v6 ? AF_INET6 : AF_INET, ip + (size_t)i * bytes);
	} else if (result != DNS_ERR_CANCEL) {
		q->why = evdns_err_to_string(result);
	}
	if (q->state == QUESTION_ASKED && is_found(q) && (q->v4.handle != NULL || q->v6.handle != NULL))
		evloop_timer_start(&q->skew, SKEW_MS);
	else if (q->v4.handle == NULL && q->v6.handle == NULL)
		answered(q);
}

static void ask_servers(struct resolver_question *q) {
	bool v4, v6;

	q->why = "no name server is configured";
	q->dns = evdns_base_new(event_get_base(&q->skew.event), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (q->dns == NULL)
		return;
	/* What it complains of, apart from having no server, is not worth failing for. */
	(void)evdns_base_resolv_conf_parse(q->dns, (DNS_OPTIONS_ALL & ~DNS_OPTION_HOSTSFILE) | DNS_OPTION_NAMESERVERS_NO_DEFAULT,
	    q->resolver->resolv_conf);
	if (evdns_base_count_nameservers(q->dns) == 0)
		return;
	q->why = "the name servers cannot be asked";
	configured_families(&v4, &v6);
	q->state = QUESTION_ASKED;
	if (v4)
		q->v4.handle = evdns_base_resolve_ipv4(q->dns, q->name, 0, on_dns, &q->v4);
	if (v6)
		q->v6.handle = evdns_base_resolve_ipv6(q->dns, q->name, 0, on_dns, &q->v6);
}

/* --- the order of things --- */

static void begin(struct resolver_question *q) {
	if (!take_numeric(q, q->name) && !look_into_hosts(q))
		ask_servers(q);
	if (q->v4.handle == NULL && q->v6.handle == NULL)
		q->state = QUESTION_ANSWERED;
}

static void deliver(struct resolver_question *q) {
	struct resolver_answer all = q->found_v4;
	resolver_fn fn = q->fn;

	q->fn = NULL;
	for (size_t i = 0; i < q->found_v6.count && all.count < RESOLVER_ADDRESSES_MAX; i++)
		memcpy(all.address[all.count++], q->found_v6.address[i], RESOLVER_TEXT_MAX);
	fn(q->arg, all.count > 0 ? &all : NULL, all.count > 0 ? NULL : q->why);
}

/* What is still asked for nobody: its callbacks come, and then it may be freed. */
static void end(struct resolver_question *q) {
	evloop_timer_stop(&q->skew);
	if (q->v4.handle != NULL)
		evdns_cancel_request(q->dns, q->v4.handle);
	if (q->v6.handle != NULL)
		evdns_cancel_request(q->dns, q->v6.handle);
	if (q->v4.handle == NULL && q->v6.handle == NULL)
		question_free(q);
}

static void on_work(void *arg) {
	struct resolver *r = arg;

	/* An answer may ask or cancel: that adds behind, or marks; removed is only here. */
	list_for_each(it, &r->questions) {
		struct resolver_question *q = list_entry(it, struct resolver_question, link);

		if (q->state == QUESTION_NEW)
			begin(q);
		if (q->state == QUESTION_ANSWERED && q->fn != NULL)
			deliver(q);
	}
	list_for_each_safe(it, &r->questions) {
		struct resolver_question *q = list_entry(it, struct resolver_question, link);

		if (q->state == QUESTION_ANSWERED && q->fn == NULL)
			end(q);
	}
}
