/* test_engine_memory - the engine against a naive model: thousands of random steps, every answer and event compared */
#include "broker/engine.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "tests/unit/quiet_check.h"

enum {
	CHANNELS = 5,
	MEMBERS = 4,
	MEMBERS_MAX = 3,
	HOLDERS = 3,
	KEYS = 24,
	LOG_MAX = 20000,
	EPOCH_ROOM = 16,
	HISTORY_COUNT = 12,
	HISTORY_MS = 8000,
	KEY_MS = 6000,
	GRACE_SLACK_MS = 200,	/* a grace ends so much late at most */
};

struct kept {
	uint64_t offset, time_ms, expires_ms;
	uint32_t number;	/* also its data */
	bool is_there;
};

struct model_member {
	bool is_there;
	uint8_t token;
	unsigned held[HOLDERS];
	uint64_t grace_end_ms;	/* when nobody holds it */
	uint64_t order;
};

struct model_channel {
	bool exists, has_interest;
	char epoch[EPOCH_ROOM];
	uint64_t top, forgotten_ms;
	struct kept log[LOG_MAX];
	size_t log_count;
	uint64_t key_offset[KEYS], key_expires_ms[KEYS];
	struct model_member member[MEMBERS];
};

static struct model_channel *model;	/* CHANNELS of them */
static struct engine *engine;
static uint64_t now, swept, next_order;
static unsigned seed, full_count, gone_on;

/* What came up in the last call. */
static struct {
	unsigned publications, published, snapshots, joined, left, results, lists;
	struct ipc_deliver deliver;
	enum ipc_result result;
	uint64_t offset;
	char epoch[EPOCH_ROOM];
	uint8_t flags;
	uint32_t member_count;
	bool is_new;
	uint32_t numbers[HISTORY_COUNT + 1];
	size_t number_count;
	char names[MEMBERS + 1];
} up;

static unsigned any(unsigned n) {
	return (unsigned)rand_r(&seed) % n;
}

static const char *const channel_names[CHANNELS] = { "a", "room:lobby", "$users", "b", "c" };
static const char *const member_names[MEMBERS] = { "1", "2", "3", "4" };

static struct model_channel *channel_of(struct slice name) {
	for (int i = 0; i < CHANNELS; i++) {
		if (slice_eq_text(name, channel_names[i]))
			return &model[i];
	}
	ck_abort_msg("unknown channel");
}

static bool is_held(const struct model_member *m) {
	return m->held[0] + m->held[1] + m->held[2] > 0;
}

static uint32_t member_count(const struct model_channel *ch) {
	uint32_t n = 0;

	for (int i = 0; i < MEMBERS; i++)
		n += ch->member[i].is_there;
	return n;
}

/* --- events --- */

static void keep_epoch(struct slice epoch) {
	ck_assert_uint_lt(epoch.len, sizeof(up.epoch));
	memset(up.epoch, 0, sizeof(up.epoch));
	if (epoch.len > 0)
		memcpy(up.epoch, epoch.ptr, epoch.len);
}

static void on_publication(void *arg UNUSED, void *interest, const struct ipc_deliver *d) {
	struct model_channel *ch = channel_of(d->channel);

	ck_assert_ptr_eq(interest, ch->has_interest ? ch : NULL);
	up.publications++;
	up.deliver = *d;
	keep_epoch(d->epoch);
	ck_assert_uint_eq(up.published, 0);
}

static void on_published(void *arg UNUSED, struct ticket t, enum ipc_result result, struct slice epoch, uint64_t offset) {
	ck_assert(t.link == 4 && t.request == 77);
	up.published++;
	up.result = result;
	up.offset = offset;
	keep_epoch(epoch);
}

static void on_snapshot(void *arg UNUSED, struct ticket t, struct ipc_snapshot *s) {
	struct slice rest = s->publications;
	struct ipc_publication p;
	struct ipc_member m;
	size_t names = 0;

	ck_assert(t.link == 4 && t.request == 77);
	up.snapshots++;
	up.flags = s->flags;
	up.offset = s->offset;
	up.member_count = s->member_count;
	keep_epoch(s->epoch);
	while (ipc_next_publication(&rest, &p)) {
		ck_assert_uint_eq(p.data.len, sizeof(uint32_t));
		ck_assert_uint_lt(up.number_count, ARRAY_LEN(up.numbers));
		memcpy(&up.numbers[up.number_count++], p.data.ptr, sizeof(uint32_t));
	}
	ck_assert_uint_eq(rest.len, 0);
	for (rest = s->members; ipc_next_member(&rest, &m);)
		up.names[names++] = (char)m.member.ptr[0];
}

static void on_joined(void *arg UNUSED, void *interest, const struct ipc_joined *j) {
	struct model_channel *ch = channel_of(j->channel);

	ck_assert_ptr_eq(interest, ch->has_interest ? ch : NULL);
	up.joined++;
	up.member_count = j->member_count;
}

static void on_left(void *arg UNUSED, void *interest, const struct ipc_left *left) {
	struct model_channel *ch = channel_of(left->channel);
	struct model_member *m = &ch->member[left->member.ptr[0] - '1'];

	ck_assert_ptr_eq(interest, ch->has_interest ? ch : NULL);
	up.left++;
	ck_assert(m->is_there && !is_held(m) && m->grace_end_ms <= now);
	m->is_there = false;
	ck_assert_uint_eq(left->member_count, member_count(ch));
	ck_assert(slice_eq_text(left->info, "info"));
}

static void on_member_result(void *arg UNUSED, struct ticket t, struct ipc_member_result *r) {
	ck_assert(t.link == 4 && t.request == 77);
	up.results++;
	up.result = (enum ipc_result)r->result;
	up.is_new = r->is_new;
	up.member_count = r->member_count;
}

static void on_member_list(void *arg UNUSED, struct ticket t UNUSED, struct ipc_member_list *l UNUSED) {
	up.lists++;
}

static void on_channel_list(void *arg UNUSED, struct ticket t UNUSED, struct ipc_channel_list *l) {
	struct slice rest = l->channels, last = SLICE_EMPTY;
	struct ipc_channel c;

	up.lists++;
	while (ipc_next_channel(&rest, &c)) {
		struct model_channel *ch = channel_of(c.channel);

		ck_assert(ch->exists && c.offset == ch->top && c.member_count == member_count(ch));
		ck_assert(last.len == 0 || memcmp(last.ptr, c.channel.ptr, 1) < 0);
		last = c.channel;
		up.number_count++;
	}
}

static const struct engine_events events = { on_publication, on_published, on_snapshot, on_joined, on_left, on_member_result,
	on_member_list, on_channel_list };
static const struct engine_limits limits = { .history_count = HISTORY_COUNT,
	.history_bytes = 1 << 20,
	.history_total_bytes = 1 << 24,
	.idempotency_total_bytes = 1 << 20,
	.history_ms = HISTORY_MS,
	.idempotency_ms = KEY_MS,
	.reply_max_bytes = 1 << 20,
	.members_max = MEMBERS_MAX };
static const struct ticket ticket = { 4, 77 };

/* --- the model --- */

/* The oldest beyond count and age are gone. */
static void model_trim(struct model_channel *ch) {
	size_t count = 0;

	for (size_t i = ch->log_count; i > 0; i--) {
		struct kept *k = &ch->log[i - 1];

		if (k->is_there && (count >= HISTORY_COUNT || k->expires_ms <= now))
			k->is_there = false;
		count += k->is_there;
	}
}

static bool model_is_empty(const struct model_channel *ch) {
	bool has_any = ch->has_interest || member_count(ch) > 0;

	for (size_t i = 0; i < ch->log_count; i++)
		has_any |= ch->log[i].is_there;
	for (int i = 0; i < KEYS; i++)
		has_any |= ch->key_offset[i] > 0;
	return !has_any;
}

static void model_sweep(struct model_channel *ch) {
	if (!ch->exists || !model_is_empty(ch))
		return;
	ch->exists = false;
	ch->forgotten_ms = now;
}

/* The channel is there from now on. Not long after it was forgotten it goes on; else its epoch is learned at the first sight of it. */
static void model_touch(struct model_channel *ch) {
	if (ch->exists)
		return;
	/* A few are swept before another one is made; there are few. */
	for (int c = 0; c < CHANNELS; c++)
		model_sweep(&model[c]);
	if (ch->epoch[0] != '\0' && now < ch->forgotten_ms + HISTORY_MS)
		gone_on++;
	else
		memset(ch, 0, sizeof(*ch));
	ch->exists = true;
}

static void check_epoch(struct model_channel *ch) {
	if (ch->epoch[0] == '\0') {
		for (int i = 0; i < CHANNELS; i++)
			ck_assert_str_ne(model[i].epoch, up.epoch);
		memcpy(ch->epoch, up.epoch, sizeof(ch->epoch));
	}
	ck_assert_str_eq(ch->epoch, up.epoch);
	ck_assert_uint_eq(strlen(up.epoch), 8);
}

static void check_counts(void) {
	uint32_t users = 0, members = 0;

	for (int c = 0; c < CHANNELS; c++)
		*(channel_names[c][0] == '$' ? &users : &members) += member_count(&model[c]);
	ck_assert_uint_eq(stat_get(stats_own, STAT_users), users);
	ck_assert_uint_eq(stat_get(stats_own, STAT_channel_members), members);
}

static void pass(uint64_t ms) {
	now += ms;
	engine_memory.tick(engine, now, now + 1000000);
	for (int c = 0; c < CHANNELS; c++) {
		struct model_channel *ch = &model[c];

		model_trim(ch);
		for (int i = 0; i < KEYS; i++) {
			if (ch->key_expires_ms[i] <= now)
				ch->key_offset[i] = 0;
		}
		for (int i = 0; i < MEMBERS; i++) {
			const struct model_member *m = &ch->member[i];

			ck_assert(!m->is_there || is_held(m) || m->grace_end_ms + GRACE_SLACK_MS > now);
		}
		if (now >= swept + 100)
			model_sweep(ch);
	}
	if (now >= swept + 100)
		swept = now;
	check_counts();
}

/* --- steps --- */

static void step_publish(struct model_channel *ch, struct slice name) {
	static uint32_t number;
	unsigned key = any(KEYS * 2);
	struct ipc_publish p = { .channel = name, .data = slice_of(&number, sizeof(number)) };
	uint64_t known;

	number++;
	if (any(8) == 0)
		p.flags = IPC_NO_HISTORY;
	if (key < KEYS)
		p.key[3] = (uint8_t)(key + 1);
	model_touch(ch);
	known = key < KEYS ? ch->key_offset[key] : 0;
	engine_memory.publish(engine, ticket, &p);
	ck_assert_uint_eq(up.published, 1);
	check_epoch(ch);
	ck_assert_int_eq(up.result, known > 0 ? IPC_REPEATED : IPC_OK);
	ck_assert_uint_eq(up.publications, known == 0);
	ck_assert_uint_eq(up.offset, known > 0 ? known : ++ch->top);
	if (known > 0)
		return;
	ck_assert(slice_eq(up.deliver.channel, name) && up.deliver.offset == ch->top && up.deliver.time_ms == now + 1000000);
	if (key < KEYS) {
		ch->key_offset[key] = ch->top;
		ch->key_expires_ms[key] = now + KEY_MS;
	}
	if (p.flags == 0)
		ch->log[ch->log_count++] = (struct kept){ ch->top, now, now + HISTORY_MS, number, true };
	ck_assert_uint_lt(ch->log_count, LOG_MAX);
	model_trim(ch);
}

/* The kept ones with low < offset < high, the first or the last `limit` of them, must have come. */
static void check_numbers(const struct model_channel *ch, uint64_t low, uint64_t high, uint32_t limit, bool is_last) {
	uint32_t wanted[HISTORY_COUNT];
	size_t n = 0, from = 0;

	for (size_t i = 0; i < ch->log_count; i++) {
		if (ch->log[i].is_there && ch->log[i].offset > low && ch->log[i].offset < high)
			wanted[n++] = ch->log[i].number;
	}
	ck_assert_int_eq((up.flags & IPC_SNAPSHOT_MORE) != 0, n > limit);
	if (n > limit) {
		from = is_last ? n - limit : 0;
		n = limit;
	}
	ck_assert_uint_eq(up.number_count, n);
	ck_assert(n == 0 || memcmp(wanted + from, up.numbers, n * sizeof(*wanted)) == 0);
}

/* As many are kept after the offset as the distance is: nothing is missing. */
static bool model_has_all_after(const struct model_channel *ch, uint64_t offset, uint64_t until) {
	uint64_t n = 0;

	for (size_t i = 0; i < ch->log_count; i++)
		n += ch->log[i].is_there && ch->log[i].offset > offset && ch->log[i].offset <= until;
	return offset + n == until;
}

static struct slice any_epoch(const struct model_channel *ch) {
	return any(10) == 0 ? slice_text("another1") : slice_text(ch->epoch);
}

static void check_names(const struct model_channel *ch, uint32_t limit) {
	char wanted[MEMBERS + 1] = "";
	uint64_t last = 0;

	for (uint32_t n = 0; n < limit && n < member_count(ch); n++) {
		int next = -1;

		for (int i = 0; i < MEMBERS; i++) {
			const struct model_member *m = &ch->member[i];

			if (m->is_there && m->order > last && (next < 0 || m->order < ch->member[next].order))
				next = i;
		}
		wanted[n] = member_names[next][0];
		last = ch->member[next].order;
	}
	ck_assert_str_eq(up.names, wanted);
}

static void step_read(struct model_channel *ch, struct slice name) {
	struct ipc_subscribe s = { .channel = name, .flags = IPC_SINCE, .limit = any(HISTORY_COUNT + 4), .member_limit = any(6) };
	bool is_recovered;

	s.epoch = any_epoch(ch);
	s.offset = ch->top > 15 ? ch->top - 15 + any(18) : any((unsigned)ch->top + 3);
	engine_memory.read(engine, ticket, &s);
	ck_assert_uint_eq(up.snapshots, 1);
	if (!ch->exists) {
		ck_assert(up.epoch[0] == '\0' && up.offset == 0 && up.flags == 0 && up.number_count == 0);
		return;
	}
	check_epoch(ch);
	is_recovered = slice_eq_text(s.epoch, ch->epoch) && s.offset <= ch->top && model_has_all_after(ch, s.offset, ch->top) &&
		       ch->top - s.offset <= s.limit;
	ck_assert_int_eq((up.flags & IPC_SNAPSHOT_RECOVERED) != 0, is_recovered);
	check_numbers(ch, is_recovered ? s.offset : UINT64_MAX - 1, UINT64_MAX, HISTORY_COUNT, false);
	ck_assert(up.offset == ch->top && up.member_count == member_count(ch));
	check_names(ch, s.member_limit);
}

static void step_history(struct model_channel *ch, struct slice name) {
	struct ipc_history h = { .channel = name, .flags = any(2) ? IPC_SINCE : IPC_BEFORE, .limit = any(HISTORY_COUNT + 2) };

	h.epoch = slice_text(ch->epoch);
	h.offset = any((unsigned)ch->top + 3);
	engine_memory.history(engine, ticket, &h);
	ck_assert_uint_eq(up.snapshots, 1);
	if (!ch->exists)
		return;
	check_epoch(ch);
	if (h.flags == IPC_BEFORE) {
		check_numbers(ch, 0, h.offset > 0 ? h.offset : UINT64_MAX, h.limit, true);
		return;
	}
	if (h.offset > ch->top || h.epoch.len == 0) {
		ck_assert(up.flags == 0 && up.number_count == 0);
		return;
	}
	check_numbers(ch, h.offset, UINT64_MAX, h.limit, false);
	if (up.number_count == 0)
		ck_assert_int_eq((up.flags & IPC_SNAPSHOT_RECOVERED) != 0, h.offset == ch->top);
	else
		ck_assert_int_eq((up.flags & IPC_SNAPSHOT_RECOVERED) != 0,
		    model_has_all_after(ch, h.offset, h.offset + up.number_count));
}

static void step_add(struct model_channel *ch, struct slice name) {
	unsigned which = any(MEMBERS), holder = any(HOLDERS);
	struct model_member *m;
	struct ipc_member_add add = { .channel = name, .member = slice_text(member_names[which]), .info = slice_text("info") };
	bool was_there;

	model_touch(ch);
	m = &ch->member[which];
	was_there = m->is_there;
	add.token[0] = any(5) == 0;
	add.flags = any(4) == 0 ? IPC_RESYNC : 0;
	engine_memory.member_add(engine, ticket, holder + 100, &add);
	ck_assert_uint_eq(up.results, 1);
	if (was_there && m->token != add.token[0]) {
		ck_assert(up.result == IPC_TAKEN && !up.is_new && up.joined == 0);
		return;
	}
	if (!was_there && add.flags == 0 && name.ptr[0] != '$' && member_count(ch) >= MEMBERS_MAX) {
		ck_assert(up.result == IPC_FULL && !up.is_new && up.joined == 0 && up.member_count == member_count(ch));
		full_count++;
		return;
	}
	if (!was_there)
		*m = (struct model_member){ .is_there = true, .token = add.token[0], .order = ++next_order };
	m->held[holder]++;
	ck_assert(up.result == IPC_OK && up.is_new == !was_there && up.member_count == member_count(ch));
	ck_assert_uint_eq(up.joined, !was_there && add.flags == 0);
}

/* One less; the model says whether the engine has to tell of a departure at once. */
static void model_release(struct model_member *m, unsigned holder, unsigned how_many, uint32_t grace_ms) {
	if (m->held[holder] == 0)
		return;
	m->held[holder] -= how_many;
	m->grace_end_ms = now + grace_ms;
}

static void step_remove(struct model_channel *ch, struct slice name) {
	unsigned which = any(MEMBERS), holder = any(HOLDERS);
	struct model_member *m = &ch->member[which];
	struct ipc_member_remove r = { name, slice_text(member_names[which]), any(3) == 0 ? 0 : any(4000) + 1 };
	bool goes = ch->exists && m->held[holder] == 1;

	if (ch->exists)
		model_release(m, holder, 1, r.grace_ms);
	goes = goes && !is_held(m) && r.grace_ms == 0;
	engine_memory.member_remove(engine, holder + 100, &r);
	ck_assert_uint_eq(up.left, goes);
}

static void step_holder_lost(void) {
	unsigned holder = any(HOLDERS);
	uint32_t grace_ms = any(2) * 3000;

	for (int c = 0; c < CHANNELS; c++) {
		for (int i = 0; i < MEMBERS; i++) {
			struct model_member *m = &model[c].member[i];

			model_release(m, holder, m->held[holder], grace_ms);
		}
	}
	engine_memory.holder_lost(engine, holder + 100, grace_ms);
	ck_assert(grace_ms == 0 || up.left == 0);
}

static void step_channels(void) {
	unsigned n = 0;

	for (int c = 0; c < CHANNELS; c++)
		n += model[c].exists;
	engine_memory.channels(engine, ticket, &(struct ipc_channels){ .limit = 100 });
	ck_assert_uint_eq(up.lists, 1);
	ck_assert_uint_eq(up.number_count, n);
}

static void step(void) {
	unsigned which = any(CHANNELS), what = any(100);
	struct model_channel *ch = &model[which];
	struct slice name = slice_text(channel_names[which]);

	memset(&up, 0, sizeof(up));
	if (what < 40) {
		step_publish(ch, name);
	} else if (what < 55) {
		step_read(ch, name);
	} else if (what < 65) {
		step_history(ch, name);
	} else if (what < 75) {
		step_add(ch, name);
	} else if (what < 85) {
		step_remove(ch, name);
	} else if (what < 87) {
		step_holder_lost();
	} else if (what < 90) {
		step_channels();
	} else if (what < 92) {
		if (!ch->has_interest)
			model_touch(ch);
		ch->has_interest = !ch->has_interest;
		if (ch->has_interest)
			engine_memory.subscribe(engine, name, ch);
		else
			engine_memory.unsubscribe(engine, name);
	} else {
		pass(what == 99 ? any(20000) : any(400));
	}
}

START_TEST(random_steps) {
	seed = 4711 + (unsigned)_i;
	now = swept = 123456;
	model = mem_zalloc(CHANNELS * sizeof(*model));
	engine = engine_memory.create(&(struct engine_setup){ .limits = limits }, &events, NULL, now, now + 1000000);
	for (int i = 0; i < 12000; i++)
		step();
	ck_assert_uint_gt(full_count, 10);
	ck_assert_uint_gt(gone_on, 10);
	engine_memory.destroy(&engine);
	ck_assert_ptr_null(engine);
	mem_free(model);
}
END_TEST

/* A snapshot never gets larger than reply_max_bytes, members included. */
START_TEST(answers_are_bounded) {
	struct engine_limits small = limits;
	static uint8_t data[300];
	struct ipc_publish p = { .channel = slice_text("a"), .data = slice_of(data, sizeof(data)) };
	struct ipc_subscribe s = { .channel = p.channel, .flags = IPC_SINCE, .limit = 100 };
	struct ipc_history h = { .channel = p.channel, .flags = IPC_BEFORE, .limit = 1 };
	char epoch[EPOCH_ROOM];

	small.reply_max_bytes = 1500;
	model = mem_zalloc(CHANNELS * sizeof(*model));
	engine = engine_memory.create(&(struct engine_setup){ .limits = small }, &events, NULL, 0, 0);
	for (int i = 0; i < 10; i++) {
		memset(&up, 0, sizeof(up));
		engine_memory.publish(engine, ticket, &p);
	}
	memcpy(epoch, up.epoch, sizeof(epoch));
	s.epoch = slice_text(epoch);
	memset(&up, 0, sizeof(up));
	p.data.len = sizeof(uint32_t);
	engine_memory.publish(engine, ticket, &p);
	memset(&up, 0, sizeof(up));
	s.offset = 10;
	engine_memory.read(engine, ticket, &s);
	ck_assert(up.flags == IPC_SNAPSHOT_RECOVERED && up.number_count == 1);
	s.offset = 1;
	up.number_count = 0;
	engine_memory.read(engine, ticket, &s);
	ck_assert(up.flags == 0 && up.number_count == 0);
	engine_memory.history(engine, ticket, &h);
	ck_assert(up.flags == IPC_SNAPSHOT_MORE && up.number_count == 1);
	engine_memory.destroy(&engine);
	mem_free(model);
}
END_TEST

static void ignore_publication(void *arg UNUSED, void *interest UNUSED, const struct ipc_deliver *d UNUSED) {
}

/* Many channels with little in each take no more than the history may. No tick in between: the fastest flood. */
START_TEST(tiny_channels_are_bounded) {
	const size_t total = 1 << 20;
	struct engine_events quiet = events;
	struct engine_limits small = limits;
	size_t before = mallinfo2().uordblks;
	char name[16] = "";

	quiet.publication = ignore_publication;
	small.history_total_bytes = total;
	engine = engine_memory.create(&(struct engine_setup){ .limits = small }, &quiet, NULL, 0, 0);
	for (int i = 0; i < 200000; i++) {
		struct ipc_publish p = { .channel = slice_text(name), .flags = i % 3 == 0 ? IPC_NO_HISTORY : 0, .data = slice_text("x") };

		p.channel.len = (size_t)snprintf(name, sizeof(name), "c%d", i);
		engine_memory.publish(engine, ticket, &p);
	}
	ck_assert_uint_lt(mallinfo2().uordblks - before, 2 * total);
	engine_memory.tick(engine, 1, 1);
	ck_assert_uint_le(stat_get(stats_own, STAT_history_bytes), total);
	ck_assert_uint_gt(stat_get(stats_own, STAT_history_bytes), total - total / 100);
	ck_assert_uint_lt(stat_get(stats_own, STAT_channels), 8000);
	/* Their history is over: so are they. */
	for (uint64_t at = HISTORY_MS; at < HISTORY_MS + 10000; at += 100)
		engine_memory.tick(engine, at, at);
	ck_assert_uint_eq(stat_get(stats_own, STAT_channels), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_history_bytes), 0);
	engine_memory.destroy(&engine);
}
END_TEST

/* What moderators have said stays, however old and crowded everything else is. */
START_TEST(moderation_has_bounds_of_its_own) {
	struct engine_events quiet = events;
	struct engine_limits small = limits;
	struct ipc_publish order = { .channel = slice_text(IPC_MODERATION_CHANNEL), .data = slice_text("1234") };
	struct ipc_publish other = { .channel = slice_text("a"), .data = slice_text("5678") };
	struct ipc_history newest = { .channel = order.channel, .flags = IPC_BEFORE, .limit = 1 };
	struct history_bounds bounds = engine_history_bounds(&limits, order.channel);

	quiet.publication = ignore_publication;
	small.history_total_bytes = 1 << 12;
	engine = engine_memory.create(&(struct engine_setup){ .limits = small }, &quiet, NULL, 0, 0);
	for (size_t i = 0; i < bounds.count + 5; i++)
		engine_memory.publish(engine, ticket, &order);
	for (int i = 0; i < 1000; i++)
		engine_memory.publish(engine, ticket, &other);
	engine_memory.tick(engine, 2 * HISTORY_MS, 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_history_messages), bounds.count);
	memset(&up, 0, sizeof(up));
	engine_memory.history(engine, ticket, &newest);
	ck_assert(up.flags == IPC_SNAPSHOT_MORE && up.number_count == 1 && up.offset == bounds.count + 5);
	for (int i = 0; i < 10; i++)
		engine_memory.tick(engine, bounds.age_ms, 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_history_messages), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_history_bytes), 0);
	engine_memory.destroy(&engine);
}
END_TEST

Suite *suite_engine_memory(void);

Suite *suite_engine_memory(void) {
	Suite *s = suite_create("engine_memory");
	TCase *t = tcase_create("model");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, random_steps, 0, 4);
	tcase_add_test(t, answers_are_bounded);
	tcase_add_test(t, tiny_channels_are_bounded);
	tcase_add_test(t, moderation_has_bounds_of_its_own);
	suite_add_tcase(s, t);
	return s;
}
