/* test_redis_presence_walk - two hosts, a model of the scripts between them, and everything that goes wrong with a link, at random */
#include "broker/redis_presence.h"

#include <stdlib.h>

#include "tests/unit/fake_redis.h"
#include "tests/unit/model.h"

enum {
	NODES = 2, CHANNELS = 2, MEMBERS = 3, HOLDERS = 2, CONNS = 24,
	MEMBERS_MAX = 2, WAIT_MS = 1000, LEASE_MS = 3000, GRACE_MS = 500,
	STEPS = 400000, CHECK_EVERY = 500,
};

static const char *const channel_names[CHANNELS] = { "room", "$users" }, *const member_names[MEMBERS] = { "anna", "bert", "carl" };

/* What clients know of a member: nothing is sure when nobody was told. */
enum seen { SEEN_OUT = 0, SEEN_IN, SEEN_UNSURE };

/* A member of a channel, as the scripts keep it. */
struct kept {
	uint8_t token;
	uint32_t nodes;	/* bits; 0: not there */
	enum seen seen;
};

/* A connection, as its hub sees it. */
enum conn_state { CONN_FREE = 0, CONN_ASKED, CONN_IN };
struct model_conn {
	enum conn_state state;
	uint64_t holder, asked_ms;
	int channel, member;
	uint8_t token;
};

struct model_node {
	struct redis_presence *presence;
	struct fake_redis link;
	struct model_conn conn[CONNS];
	uint64_t holder[HOLDERS];
	uint64_t grace_until_ms[CHANNELS][MEMBERS];
	bool has_lease;
	char name[2];
};

static struct model_node nodes[NODES];
static struct kept kept[CHANNELS][MEMBERS];
static uint64_t now, seed, last_holder;
static unsigned generation;
static unsigned long joined_count, left_count, taken_count, full_count, unavailable_count, again_count;

/* --- Redis --- */

static int index_of(const char *const *names, int count, struct slice name) {
	for (int i = 0; i < count; i++) {
		if (slice_eq_text(name, names[i]))
			return i;
	}
	ck_abort_msg("a call for %.*s", SLICE_ARGS(name));
}

static long long count_of(int channel) {
	long long count = 0;

	for (int m = 0; m < MEMBERS; m++)
		count += kept[channel][m].nodes != 0;
	return count;
}

static void announce_joined(struct kept *k, bool is_announced) {
	MUST(k->seen != SEEN_IN || !is_announced);
	if (is_announced)
		k->seen = SEEN_IN;
	else if (k->seen == SEEN_OUT)
		k->seen = SEEN_UNSURE;
	joined_count += is_announced;
}

static void run_enter(struct fake_call *c, int node, struct kept *k, int channel) {
	if (k->nodes != 0 && k->token != c->arg[3].ptr[0]) {
		c->reply[0] = 1;
	} else if (k->nodes == 0 && slice_eq_text(c->arg[10], "2") && count_of(channel) >= MEMBERS_MAX) {
		MUST(channel == 0);
		c->reply[0] = 2;
	} else {
		bool is_new = k->nodes == 0;

		again_count += (k->nodes & 1u << node) != 0;
		k->nodes |= 1u << node;
		k->token = c->arg[3].ptr[0];
		c->reply[1] = is_new;
		if (is_new)
			announce_joined(k, slice_eq_text(c->arg[5], "1"));
	}
	c->reply[2] = count_of(channel);
}

static bool depart(struct kept *k, int node) {
	bool is_last = k->nodes == 1u << node;

	k->nodes &= ~(1u << node);
	if (is_last) {
		MUST(k->seen != SEEN_OUT);
		k->seen = SEEN_OUT;
		left_count++;
	}
	return is_last;
}

static void run_call(struct fake_call *c, int node) {
	int channel, member;

	c->is_run = true;
	c->outcome = REDIS_DONE;
	if (c->script == REDIS_SCRIPT_beat) {
		c->reply[0] = nodes[node].has_lease;
		nodes[node].has_lease = true;
		return;
	}
	channel = index_of(channel_names, CHANNELS, c->arg[0]);
	member = index_of(member_names, MEMBERS, c->arg[2]);
	if (c->script == REDIS_SCRIPT_enter) {
		run_enter(c, node, &kept[channel][member], channel);
	} else {
		c->reply[0] = depart(&kept[channel][member], node);
		c->reply[1] = count_of(channel);
	}
}

static void run_some(int node, uint32_t count) {
	struct fake_redis *f = &nodes[node].link;

	list_for_each(it, &f->calls) {
		struct fake_call *c = list_entry(it, struct fake_call, link);

		if (c->is_run)
			continue;
		if (count-- == 0)
			return;
		run_call(c, node);
	}
}

static void refuse_one(int node) {
	list_for_each(it, &nodes[node].link.calls) {
		struct fake_call *c = list_entry(it, struct fake_call, link);

		if (c->is_run)
			continue;
		c->is_run = true;
		c->outcome = REDIS_REFUSED;
		return;
	}
}

static void answer_some(int node, uint32_t count) {
	struct fake_redis *f = &nodes[node].link;

	for (; count > 0 && f->call_count > 0 && fake_redis_first(f)->is_run; count--) {
		struct fake_call *c = fake_redis_first(f);
		long long reply[FAKE_REPLY] = { c->reply[0], c->reply[1], c->reply[2] };

		fake_redis_answer(f, c->outcome, reply);
	}
}

static void go_down(int node) {
	struct fake_redis *f = &nodes[node].link;

	run_some(node, random_below(&seed, 4));
	f->is_up = false;
	while (f->call_count > 0)
		fake_redis_answer(f, REDIS_LOST, NULL);
}

static void go_up(int node) {
	char text[16];

	nodes[node].link.is_up = true;
	snprintf(text, sizeof(text), "g%u", generation);
	redis_presence_on_up(nodes[node].presence, fake_redis_server(&nodes[node].link), slice_text(text));
}

/* Everything is lost, and all who are connected find that out at once: what they had called is refused. */
static void flush_all(void) {
	generation++;
	for (int c = 0; c < CHANNELS; c++) {
		for (int m = 0; m < MEMBERS; m++)
			kept[c][m] = (struct kept){ .seen = SEEN_UNSURE };
	}
	for (int n = 0; n < NODES; n++) {
		nodes[n].has_lease = false;
		if (!nodes[n].link.is_up)
			continue;
		nodes[n].link.is_up = false;
		while (nodes[n].link.call_count > 0) {
			if (fake_redis_first(&nodes[n].link)->is_run)
				answer_some(n, 1);
			else
				fake_redis_answer(&nodes[n].link, REDIS_REFUSED, NULL);
		}
		go_up(n);
	}
}

static void reap(int node) {
	nodes[node].has_lease = false;
	for (int c = 0; c < CHANNELS; c++) {
		for (int m = 0; m < MEMBERS; m++) {
			if ((kept[c][m].nodes & 1u << node) != 0)
				depart(&kept[c][m], node);
		}
	}
}

/* --- the hubs --- */

static bool is_connected(const struct model_node *n, int channel, int member, uint8_t *token) {
	for (int i = 0; i < CONNS; i++) {
		const struct model_conn *c = &n->conn[i];

		if (c->state != CONN_FREE && c->channel == channel && c->member == member) {
			*token = c->token;
			return true;
		}
	}
	return false;
}

static bool is_in(const struct model_node *n, int channel, int member) {
	for (int i = 0; i < CONNS; i++) {
		const struct model_conn *c = &n->conn[i];

		if (c->state == CONN_IN && c->channel == channel && c->member == member)
			return true;
	}
	return false;
}

static void member_result(void *arg, struct ticket t, struct ipc_member_result *r) {
	struct model_node *n = arg;
	struct model_conn *c = &n->conn[t.request - 1];

	if (c->holder != t.link)
		return;
	MUST(c->state == CONN_ASKED);
	MUST(r->result == IPC_OK || r->result == IPC_TAKEN || r->result == IPC_FULL || r->result == IPC_UNAVAILABLE);
	/* Never somebody who is in. */
	MUST(r->result != IPC_FULL || !is_in(n, c->channel, c->member));
	MUST(now <= c->asked_ms + WAIT_MS);
	MUST(r->result != IPC_UNAVAILABLE || now == c->asked_ms + WAIT_MS);
	taken_count += r->result == IPC_TAKEN;
	full_count += r->result == IPC_FULL;
	unavailable_count += r->result == IPC_UNAVAILABLE;
	c->state = r->result == IPC_OK ? CONN_IN : CONN_FREE;
}

static struct redis_server *server_of(void *arg, struct slice channel UNUSED) {
	return fake_redis_server(&((struct model_node *)arg)->link);
}

static void describe(void *arg UNUSED, struct buf *out) {
	buf_add_text(out, "{}");
}

static void hear_nodes(void *arg UNUSED, const struct redis_server *s UNUSED, const struct redis_reply *list UNUSED) {
}

static void add_conn(struct model_node *n, int at) {
	struct model_conn *c = &n->conn[at];
	uint32_t way = random_below(&seed, 4);
	struct ipc_member_add m = { .info = slice_text("i"), .flags = way == 0 ? IPC_RESYNC : 0 };
	struct ticket t;
	uint8_t token = 0;
	bool is_there;

	c->holder = n->holder[random_below(&seed, HOLDERS)];
	c->channel = (int)random_below(&seed, CHANNELS);
	c->member = (int)random_below(&seed, MEMBERS);
	c->token = (uint8_t)(1 + random_below(&seed, 8) / 7);
	c->asked_ms = now;
	is_there = is_connected(n, c->channel, c->member, &token);
	/* Whom nobody can refuse has the right token. */
	if (is_there && way < 2)
		c->token = token;
	else if (way < 2 && n->grace_until_ms[c->channel][c->member] > 0)
		return;
	m.channel = slice_text(channel_names[c->channel]);
	m.member = slice_text(member_names[c->member]);
	m.token[0] = c->token;
	t = (struct ticket){ c->holder, way == 0 || way == 1 ? 0 : (uint32_t)at + 1 };
	c->state = t.request == 0 ? CONN_IN : CONN_ASKED;
	redis_presence_add(n->presence, t, c->holder, &m);
	MUST(!is_there || token == c->token || c->state == CONN_FREE);
}

static void note_grace(struct model_node *n, int channel, int member, uint32_t grace_ms) {
	uint8_t token;

	if (grace_ms > 0 && !is_connected(n, channel, member, &token))
		n->grace_until_ms[channel][member] = now + grace_ms;
}

static void remove_conn(struct model_node *n, int at) {
	struct model_conn *c = &n->conn[at];
	struct ipc_member_remove m = { slice_text(channel_names[c->channel]), slice_text(member_names[c->member]),
		random_below(&seed, 2) * GRACE_MS };

	c->state = CONN_FREE;
	redis_presence_remove(n->presence, c->holder, &m);
	note_grace(n, c->channel, c->member, m.grace_ms);
}

static void lose_holder(struct model_node *n, int at) {
	uint64_t lost = n->holder[at];

	n->holder[at] = ++last_holder;
	for (int i = 0; i < CONNS; i++) {
		if (n->conn[i].holder == lost && n->conn[i].state != CONN_FREE) {
			n->conn[i].state = CONN_FREE;
			n->conn[i].holder = 0;
			note_grace(n, n->conn[i].channel, n->conn[i].member, GRACE_MS);
		}
	}
	redis_presence_holder_lost(n->presence, lost, GRACE_MS);
}

static void pass(void) {
	now += 100;
	for (int i = 0; i < NODES; i++) {
		for (int c = 0; c < CHANNELS; c++) {
			for (int m = 0; m < MEMBERS; m++) {
				if (now > nodes[i].grace_until_ms[c][m] + 200)
					nodes[i].grace_until_ms[c][m] = 0;
			}
		}
		redis_presence_tick(nodes[i].presence, now);
	}
}

/* --- the walk --- */

static void step_node(int at) {
	struct model_node *n = &nodes[at];
	int i = (int)random_below(&seed, CONNS);

	switch (random_below(&seed, 40)) {
	case 0:
		if (n->link.is_up)
			go_down(at);
		else if (random_below(&seed, 2) == 0)
			reap(at);
		break;
	case 1:
	case 2:
	case 3:
		if (!n->link.is_up)
			go_up(at);
		break;
	case 4:
		if (random_below(&seed, 8) == 0)
			lose_holder(n, (int)random_below(&seed, HOLDERS));
		break;
	case 5:
		refuse_one(at);
		break;
	case 6:
		if (random_below(&seed, 40) == 0)
			flush_all();
		break;
	case 7:
		if (random_below(&seed, 4) == 0)
			reap(at);
		break;
	default:
		if (n->conn[i].state == CONN_FREE && random_below(&seed, 3) == 0)
			add_conn(n, i);
		else if (n->conn[i].state == CONN_IN && random_below(&seed, 2) == 0)
			remove_conn(n, i);
		else if (random_below(&seed, 2) == 0)
			run_some(at, random_below(&seed, 4));
		else
			answer_some(at, random_below(&seed, 4));
	}
}

/* Where a host's member has lost its name to another host meanwhile, that one has it. */
static void check_member(int channel, int member) {
	const struct kept *k = &kept[channel][member];
	uint32_t wanted = 0;
	bool is_wanted = false;

	for (int i = 0; i < NODES; i++) {
		uint8_t token;

		if (!is_connected(&nodes[i], channel, member, &token))
			continue;
		is_wanted = true;
		if (k->nodes != 0 && token == k->token)
			wanted |= 1u << i;
	}
	MUST(k->nodes == wanted && is_wanted == (wanted != 0));
	MUST(k->seen == SEEN_UNSURE || (k->seen == SEEN_IN) == (wanted != 0));
}

/* Without trouble all is as it should be soon, and then nothing but beats is called. */
static void check_all(void) {
	for (int i = 0; i < NODES; i++) {
		if (!nodes[i].link.is_up)
			go_up(i);
	}
	for (int ms = 0; ms < 2 * LEASE_MS; ms += 100) {
		pass();
		for (int i = 0; i < NODES; i++) {
			run_some(i, UINT32_MAX);
			answer_some(i, UINT32_MAX);
		}
	}
	for (int i = 0; i < NODES; i++) {
		while (nodes[i].link.call_count > 0) {
			run_some(i, UINT32_MAX);
			answer_some(i, UINT32_MAX);
		}
		for (int at = 0; at < CONNS; at++)
			MUST(nodes[i].conn[at].state != CONN_ASKED);
	}
	for (int c = 0; c < CHANNELS; c++) {
		for (int m = 0; m < MEMBERS; m++)
			check_member(c, m);
	}
}

static void open_nodes(void) {
	static const struct redis_presence_ops ops = { member_result, server_of, describe, hear_nodes, fake_redis_is_up, fake_redis_call };

	now = 5000;
	for (int i = 0; i < NODES; i++) {
		struct redis_presence_settings settings = { "p:", slice_text(nodes[i].name), LEASE_MS, WAIT_MS, 1000, MEMBERS_MAX };

		nodes[i].name[0] = (char)('A' + i);
		fake_redis_init(&nodes[i].link);
		for (int h = 0; h < HOLDERS; h++)
			nodes[i].holder[h] = ++last_holder;
		nodes[i].presence = redis_presence_new(&settings, &ops, &nodes[i], now);
	}
}

START_TEST(walk) {
	seed = 4711;
	open_nodes();
	for (int i = 1; i <= STEPS; i++) {
		step_node((int)random_below(&seed, NODES));
		if (random_below(&seed, 10) == 0)
			pass();
		if (i % CHECK_EVERY == 0)
			check_all();
	}
	for (int i = 0; i < NODES; i++) {
		go_down(i);
		redis_presence_free(&nodes[i].presence);
		fake_redis_fini(&nodes[i].link);
	}
	/* The walk has been everywhere. */
	ck_assert_uint_gt(joined_count, 2000);
	ck_assert_uint_gt(left_count, 2000);
	ck_assert_uint_gt(taken_count, 500);
	ck_assert_uint_gt(full_count, 500);
	ck_assert_uint_gt(unavailable_count, 500);
	ck_assert_uint_gt(again_count, 500);
}
END_TEST

Suite *suite_redis_presence_walk(void);

Suite *suite_redis_presence_walk(void) {
	Suite *s = suite_create("redis_presence_walk");
	TCase *t = tcase_create("walk");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, walk);
	suite_add_tcase(s, t);
	return s;
}
