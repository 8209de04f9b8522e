/* redis_hosts - two hosts on one Redis: two engines on one loop, each with subscribers that do what a worker's hub does */
#include "tests/unit/redis_hosts.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"

enum { LATE_MS = 30000, STEP_MS = 5, TAG_PUBLISH = 1 << 24, TAG_RESYNC = 2 << 24, TAG_PEEK = 3 << 24, TAG_OTHER = 4 << 24 };

static const uint32_t tag_bits = 0xffu << 24;

struct hosts hosts;
const char *const host_channel_names[HOST_CHANNELS] = { "room:a", "room:b", "$users", "room:c" };
static const char *const member_names[HOST_MEMBERS] = { "0", "1", "2", "3", "4", "5", "6", "7" };

static struct config config;
static struct evloop_timer timer;
static const struct engine_ops *const ops = &engine_redis;

static int channel_of(struct slice name) {
	for (int i = 0; i < HOST_CHANNELS; i++) {
		if (slice_eq_text(name, host_channel_names[i]))
			return i;
	}
	ck_abort_msg("an unknown channel");
}

static bool is_at(const struct redis_position *p, struct slice epoch) {
	return slice_eq(epoch, slice_text(p->epoch));
}

/* --- what a hub does --- */

static void ask(struct host *h, int c, uint32_t tag) {
	struct host_channel *ch = &h->channel[c];
	struct ipc_subscribe m = { .channel = slice_text(host_channel_names[c]), .flags = IPC_WANT_DELIVER };

	if (tag == TAG_RESYNC && ch->is_asked)
		return;
	if (tag == TAG_RESYNC && ch->at.epoch[0] != '\0') {
		m.flags |= IPC_SINCE;
		m.epoch = slice_text(ch->at.epoch);
		m.offset = ch->at.number;
		m.limit = UINT32_MAX;
	}
	ch->is_asked = ch->is_asked || tag == TAG_RESYNC;
	ops->read(h->engine, (struct ticket){ (uint64_t)(h - hosts.host), tag + (uint32_t)c }, &m);
}

static void take(struct host_channel *ch, struct slice data, uint64_t offset) {
	uint32_t number;

	ck_assert_uint_eq(data.len, sizeof(number));
	memcpy(&number, data.ptr, sizeof(number));
	ck_assert_uint_lt(number, hosts.published);
	ck_assert_msg(ch->seen[number] == 0, "publication %u came twice, at %u", number, (unsigned)offset);
	ch->seen[number]++;
	ch->order[ch->count++] = number;
	ch->at.number = offset;
}

static void on_publication(void *arg, void *interest, const struct ipc_deliver *d) {
	struct host *h = arg;
	int c = channel_of(d->channel);
	struct host_channel *ch = &h->channel[c];

	if (!ch->is_live)
		return;
	ck_assert_ptr_eq(interest, ch);
	if (is_at(&ch->at, d->epoch)) {
		ck_assert_msg(d->offset > ch->at.number, "%s: %u behind %u", host_channel_names[c], (unsigned)d->offset,
		    (unsigned)ch->at.number);
		if (d->offset == ch->at.number + 1) {
			take(ch, d->data, d->offset);
			return;
		}
	}
	ch->is_live = false;
	ask(h, c, TAG_RESYNC);
}

static void take_all(struct host_channel *ch, const struct ipc_snapshot *s) {
	struct slice rest = s->publications;
	struct ipc_publication p;

	while (ipc_next_publication(&rest, &p)) {
		if (p.offset > ch->at.number)
			take(ch, p.data, p.offset);
	}
	ck_assert_uint_eq(rest.len, 0);
}

static void on_resync(struct host *h, int c, const struct ipc_snapshot *s) {
	struct host_channel *ch = &h->channel[c];
	struct slice rest = s->publications;
	struct ipc_publication first;

	ch->is_asked = false;
	if (!ch->is_subscribed)
		return;
	if ((s->flags & IPC_SNAPSHOT_UNAVAILABLE) != 0) {
		h->unavailable_reads++;
		ask(h, c, TAG_RESYNC);
		return;
	}
	if (ch->at.epoch[0] == '\0') {
		ck_assert(s->epoch.len > 0);
		ck_assert(redis_position_set(&ch->at, s->epoch, s->offset));
	} else if ((s->flags & IPC_SNAPSHOT_RECOVERED) == 0) {
		bool has_news = ipc_next_publication(&rest, &first);

		ch->resets++;
		ck_assert(redis_position_set(&ch->at, s->epoch, has_news ? first.offset - 1 : s->offset));
	}
	ck_assert(is_at(&ch->at, s->epoch));
	take_all(ch, s);
	ch->at.number = s->offset;
	ch->is_live = true;
}

static void on_peek(struct host *h, int c, const struct ipc_snapshot *s) {
	struct host_channel *ch = &h->channel[c];

	if ((s->flags & IPC_SNAPSHOT_UNAVAILABLE) != 0 || !ch->is_live)
		return;
	if (!is_at(&ch->at, s->epoch)) {
		ch->is_live = false;
		ask(h, c, TAG_RESYNC);
		return;
	}
	ck_assert_msg(s->offset == ch->at.number, "a snapshot of %u at %u", (unsigned)s->offset, (unsigned)ch->at.number);
	ch->peeks++;
}

static void on_history(struct host *h, const struct ipc_snapshot *s) {
	struct slice rest = s->publications;
	struct ipc_publication p;

	h->history.flags = s->flags;
	h->history.offset = s->offset;
	h->history.member_count = s->member_count;
	h->history.count = 0;
	snprintf(h->history.epoch, sizeof(h->history.epoch), "%.*s", SLICE_ARGS(s->epoch));
	while (ipc_next_publication(&rest, &p)) {
		ck_assert_uint_lt(h->history.count, ARRAY_LEN(h->history.numbers));
		memcpy(&h->history.numbers[h->history.count++], p.data.ptr, sizeof(uint32_t));
	}
	ck_assert_uint_eq(rest.len, 0);
	h->lists++;
}

static void on_snapshot(void *arg, struct ticket t, struct ipc_snapshot *s) {
	struct host *h = arg;
	int c = channel_of(s->channel);

	ck_assert_ptr_eq(h, &hosts.host[t.link]);
	if ((t.request & tag_bits) == TAG_RESYNC)
		on_resync(h, c, s);
	else if ((t.request & tag_bits) == TAG_PEEK)
		on_peek(h, c, s);
	else
		on_history(h, s);
}

static void on_published(void *arg UNUSED, struct ticket t, enum ipc_result result, struct slice epoch, uint64_t offset) {
	uint32_t number = t.request - TAG_PUBLISH;
	struct host_publication *p = &hosts.book[number];

	ck_assert_uint_lt(number, hosts.published);
	ck_assert_uint_eq(p->answers, 0);
	p->answers++;
	p->result = (uint8_t)result;
	p->offset = offset;
	snprintf(p->epoch, sizeof(p->epoch), "%.*s", SLICE_ARGS(epoch));
	hosts.answered++;
}

static void on_joined(void *arg, void *interest UNUSED, const struct ipc_joined *j) {
	struct host_channel *ch = &((struct host *)arg)->channel[channel_of(j->channel)];

	ch->joined++;
	ck_assert_msg(!ch->has[j->member.ptr[0] - '0'], "%c has joined twice", j->member.ptr[0]);
	ch->has[j->member.ptr[0] - '0'] = true;
}

static void on_left(void *arg, void *interest UNUSED, const struct ipc_left *l) {
	struct host_channel *ch = &((struct host *)arg)->channel[channel_of(l->channel)];

	ch->left++;
	ck_assert_msg(ch->has[l->member.ptr[0] - '0'], "%c has left twice", l->member.ptr[0]);
	ch->has[l->member.ptr[0] - '0'] = false;
}

static void on_member_result(void *arg, struct ticket t UNUSED, struct ipc_member_result *r) {
	struct host *h = arg;

	h->results++;
	h->member_result = r->result;
	h->is_new = r->is_new;
}

static void on_member_list(void *arg, struct ticket t UNUSED, struct ipc_member_list *l) {
	struct host *h = arg;
	struct slice rest = l->members;
	struct ipc_member m;

	h->list[0] = '\0';
	while (ipc_next_member(&rest, &m))
		snprintf(h->list + strlen(h->list), sizeof(h->list) - strlen(h->list), "%.*s ", SLICE_ARGS(m.member));
	h->list_result = l->result;
	h->more = l->more;
	h->lists++;
}

static void on_channel_list(void *arg, struct ticket t UNUSED, struct ipc_channel_list *l) {
	struct host *h = arg;
	struct slice rest = l->channels;
	struct ipc_channel c;

	h->list[0] = '\0';
	while (ipc_next_channel(&rest, &c))
		snprintf(h->list + strlen(h->list), sizeof(h->list) - strlen(h->list), "%.*s ", SLICE_ARGS(c.channel));
	h->list_result = l->result;
	h->more = l->more;
	h->lists++;
}

static const struct engine_events events = { on_publication, on_published, on_snapshot, on_joined, on_left, on_member_result,
	on_member_list, on_channel_list };

/* --- turns --- */

static void turn_end(void *arg UNUSED) {
	uint64_t now = evloop_now_ms(hosts.loop), wall = evloop_wall_ms(hosts.loop);
	static unsigned turn;

	for (int i = 0; i < HOSTS; i++)
		ops->tick(hosts.host[i].engine, now, wall);
	turn++;
	for (unsigned i = 0; i < hosts.rate && hosts.published < NUMBERS_MAX; i++)
		hosts_publish((int)((turn + i) % HOSTS), (int)((turn / HOSTS + i) % HOST_CHANNELS), NULL);
	for (unsigned i = 0; i < hosts.peek_rate; i++)
		ask(&hosts.host[(turn + i) % HOSTS], (int)((turn / HOSTS + i) % HOST_CHANNELS), TAG_PEEK);
	for (int i = 0; i < HOSTS; i++)
		ops->turn_end(hosts.host[i].engine);
}

static void on_timer(void *arg UNUSED) {
	evloop_stop(hosts.loop);
}

void hosts_run(uint64_t ms) {
	uint64_t end = evloop_now_ms(hosts.loop) + ms;

	do {
		evloop_timer_start(&timer, STEP_MS);
		evloop_run(hosts.loop);
	} while (evloop_now_ms(hosts.loop) < end);
}

void hosts_until(bool (*condition)(void)) {
	for (int ms = 0; !condition(); ms += STEP_MS) {
		ck_assert_msg(ms < LATE_MS, "it did not come about");
		hosts_run(STEP_MS);
	}
}

/* --- life --- */

static void set_option(const char *text) {
	const char *equals = strchr(text, '=');
	struct errbuf e;

	ck_assert_ptr_nonnull(equals);
	ck_assert_msg(config_set(&config, slice_of(text, (size_t)(equals - text)), slice_text(equals + 1), &e), "%s", e.text);
}

void hosts_start(const char *urls, const char *const *options) {
	char url[500];
	struct engine_setup setup = { .config = &config };

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR);
	memset(&hosts, 0, sizeof(hosts));
	for (int id = 0; id < STAT_COUNT; id++)
		stat_set((enum stat_id)id, 0);
	config_init(&config);
	snprintf(url, sizeof(url), "redis_url=%s", urls);
	set_option(url);
	for (; options != NULL && *options != NULL; options++)
		set_option(*options);
	hosts.loop = setup.loop = evloop_new();
	evloop_timer_init(hosts.loop, &timer, on_timer, NULL);
	setup.limits = (struct engine_limits){ .history_count = 20000, .history_bytes = 8 << 20, .history_ms = 600000,
		.idempotency_ms = 300000, .reply_max_bytes = 8 << 20 };
	for (int i = 0; i < HOSTS; i++) {
		struct host *h = &hosts.host[i];

		h->engine = ops->create(&setup, &events, h, evloop_now_ms(hosts.loop), evloop_wall_ms(hosts.loop));
		ck_assert_ptr_nonnull(h->engine);
		for (int c = 0; c < HOST_CHANNELS; c++)
			h->channel[c].order = mem_alloc(NUMBERS_MAX * sizeof(uint32_t));
	}
	evloop_on_turn_end(hosts.loop, turn_end, NULL);
}

void hosts_end(void) {
	for (int i = 0; i < HOSTS; i++) {
		ops->destroy(&hosts.host[i].engine);
		for (int c = 0; c < HOST_CHANNELS; c++)
			mem_free(hosts.host[i].channel[c].order);
	}
	evloop_timer_stop(&timer);
	evloop_free(&hosts.loop);
	config_fini(&config);
}

/* --- what tests do --- */

void hosts_subscribe(int host, int channel) {
	struct host *h = &hosts.host[host];

	memset(&h->channel[channel].at, 0, sizeof(h->channel[channel].at));
	h->channel[channel].is_subscribed = true;
	h->channel[channel].is_live = false;
	ops->subscribe(h->engine, slice_text(host_channel_names[channel]), &h->channel[channel]);
	ask(h, channel, TAG_RESYNC);
}

void hosts_unsubscribe(int host, int channel) {
	struct host *h = &hosts.host[host];

	h->channel[channel].is_subscribed = h->channel[channel].is_live = false;
	ops->unsubscribe(h->engine, slice_text(host_channel_names[channel]));
}

void hosts_subscribe_all(void) {
	for (int i = 0; i < HOSTS * HOST_CHANNELS; i++)
		hosts_subscribe(i % HOSTS, i / HOSTS);
	hosts_until(hosts_all_live);
}

bool hosts_all_live(void) {
	for (int i = 0; i < HOSTS * HOST_CHANNELS; i++) {
		const struct host_channel *ch = &hosts.host[i % HOSTS].channel[i / HOSTS];

		if (ch->is_subscribed && !ch->is_live)
			return false;
	}
	return true;
}

bool hosts_all_answered(void) {
	return hosts.answered == hosts.published;
}

bool hosts_all_ready(void) {
	return ops->trouble(hosts.host[0].engine) == NULL && ops->trouble(hosts.host[1].engine) == NULL;
}

uint32_t hosts_publish(int host, int channel, const char *key) {
	uint32_t number = hosts.published++;
	struct ipc_publish p = { .channel = slice_text(host_channel_names[channel]), .data = slice_of(&number, sizeof(number)), .kind = 3 };

	ck_assert_uint_lt(number, NUMBERS_MAX);
	hosts.book[number].channel = (uint8_t)channel;
	if (key != NULL)
		memcpy(p.key, key, strlen(key));
	ops->publish(hosts.host[host].engine, (struct ticket){ (uint64_t)host, TAG_PUBLISH + number }, &p);
	return number;
}

static unsigned lists_before;

static bool has_list(void) {
	return hosts.host[0].lists + hosts.host[1].lists > lists_before;
}

static bool has_result(void) {
	return hosts.host[0].results + hosts.host[1].results > lists_before;
}

static struct ticket other(int host) {
	lists_before = hosts.host[0].lists + hosts.host[1].lists;
	return (struct ticket){ (uint64_t)host, TAG_OTHER };
}

void hosts_history(int host, int channel, uint8_t flags, const char *epoch, uint64_t offset, uint32_t limit) {
	struct ipc_history m = { .channel = slice_text(host_channel_names[channel]), .flags = flags, .epoch = slice_text(epoch), .offset = offset,
		.limit = limit };

	ops->history(hosts.host[host].engine, other(host), &m);
	hosts_until(has_list);
}

void hosts_members(int host, int channel, uint32_t limit) {
	struct ipc_members m = { .channel = slice_text(host_channel_names[channel]), .limit = limit };

	ops->members(hosts.host[host].engine, other(host), &m);
	hosts_until(has_list);
}

void hosts_channels(int host, const char *prefix, const char *after, uint32_t limit) {
	struct ipc_channels m = { .prefix = slice_text(prefix), .after = slice_text(after), .limit = limit };

	ops->channels(hosts.host[host].engine, other(host), &m);
	hosts_until(has_list);
}

void hosts_member_add(int host, int channel, int member) {
	struct ipc_member_add m = { .channel = slice_text(host_channel_names[channel]), .member = slice_text(member_names[member]),
		.info = slice_text("info"), .token = { (uint8_t)(member + 1) } };

	lists_before = hosts.host[0].results + hosts.host[1].results;
	ops->member_add(hosts.host[host].engine, (struct ticket){ (uint64_t)host, TAG_OTHER }, 1, &m);
	hosts_until(has_result);
}

void hosts_member_remove(int host, int channel, int member) {
	struct ipc_member_remove m = { .channel = slice_text(host_channel_names[channel]), .member = slice_text(member_names[member]) };

	ops->member_remove(hosts.host[host].engine, 1, &m);
}

unsigned hosts_count(enum ipc_result result) {
	unsigned n = 0;

	for (uint32_t i = 0; i < hosts.published; i++)
		n += hosts.book[i].answers == 1 && hosts.book[i].result == result;
	return n;
}

/* --- the books --- */

static bool is_settled(void) {
	for (int c = 0; c < HOST_CHANNELS; c++) {
		const struct host_channel *a = &hosts.host[0].channel[c], *b = &hosts.host[1].channel[c];

		if (!a->is_subscribed || !b->is_subscribed)
			continue;
		if (!is_at(&a->at, slice_text(b->at.epoch)) || a->at.number != b->at.number)
			return false;
	}
	return hosts_all_live() && hosts_all_answered();
}

static void check_order(const struct host_channel *a, const struct host_channel *b) {
	size_t count = a->count < b->count ? a->count : b->count;

	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(a->order[i], b->order[i]);
}

void hosts_close_books(void) {
	hosts.rate = hosts.peek_rate = 0;
	hosts_until(hosts_all_answered);
	for (int c = 0; c < HOST_CHANNELS; c++)
		hosts_publish(0, c, NULL);
	hosts_until(is_settled);
	hosts_run(100);
	for (uint32_t i = 0; i < hosts.published; i++) {
		const struct host_publication *p = &hosts.book[i];

		for (int h = 0; h < HOSTS; h++) {
			const struct host_channel *ch = &hosts.host[h].channel[p->channel];

			ck_assert_uint_eq(p->answers, 1);
			if (p->result == IPC_OK && ch->is_subscribed)
				ck_assert_msg(ch->seen[i] == 1, "host %d: %u of %s was acknowledged (%s %u) and did not come", h, i,
				    host_channel_names[p->channel], p->epoch, (unsigned)p->offset);
			if (p->result == IPC_UNAVAILABLE || p->result == IPC_REPEATED)
				ck_assert_uint_eq(ch->seen[i], 0);
		}
	}
	for (int c = 0; c < HOST_CHANNELS; c++)
		check_order(&hosts.host[0].channel[c], &hosts.host[1].channel[c]);
}
