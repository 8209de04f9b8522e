/*
 * test_limit_processes - one table, several processes, of which some are killed in the middle
 *
 * Four processes hold, drop, take and evict at random in one window, which is smaller than the clients that they do it for. Beside the
 * table is an account, of which one word has the holdings of all processes for a client in lanes of 16 bits: so adding to it shows in
 * one moment what all of them hold. A process enters there what it has got, and takes out what it is about to give back.
 */
#include <check.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/limits/gcra.h"
#include "server/limits/limit_table.h"

enum { SEATS = 4, PARENT_SEAT = SEATS, CLIENTS = 6, STRANGERS = 90, BOUND = 3, ROUNDS = 100, OPERATIONS = 2000, BUDGET = 500, CONTESTS = 200000 };
/* What a process ends with. */
enum { GOOD = 0, OVER_THE_BOUND, LOST_AN_ENTRY, ANOTHERS_ENTRY, NO_ROOM };

struct account {
	_Atomic uint64_t held[CLIENTS];		/* a lane per seat */
	_Atomic uint64_t operations[SEATS];
	_Atomic uint64_t taken;			/* of the one budget */
};

static struct limit_table table;
static struct account *account;
static struct errbuf err;
static const struct limit_now now = { .ms = 1000, .wall_ds = 100000 };

static void setup(void) {
	ck_assert_msg(limit_table_init(&table, LIMIT_TABLE_WAYS, SEATS + 1, &err), "%s", err.text);
	account = mmap(NULL, sizeof(*account), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(account, MAP_FAILED);
}

static void teardown(void) {
	limit_table_fini(&table);
	munmap(account, sizeof(*account));
}

static uint64_t hash_of(uint64_t who) {
	return (who + 1) << 10;
}

static uint64_t lane(uint32_t seat) {
	return (uint64_t)1 << (16 * seat);
}

static uint32_t in_lane(uint64_t word, uint32_t seat) {
	return (uint32_t)(word >> (16 * seat)) & UINT16_MAX;
}

static uint32_t sum_of_lanes(uint64_t word) {
	uint32_t sum = 0;

	for (uint32_t seat = 0; seat < SEATS; seat++)
		sum += in_lane(word, seat);
	return sum;
}

static uint32_t random_below(uint64_t *state, uint32_t n) {
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((*state >> 33) % n);
}

/* --- what a process does --- */

/* Each entry is signed with who it is for. Somebody else's signature: it was given away while it was pinned or held, or its words were
 * not emptied. */
static bool is_own(uint32_t at, uint64_t who) {
	_Atomic uint64_t *word = limit_table_sanction(&table, at, LIMIT_MUTED);
	uint64_t signature = limit_sanction_word(0, 1 + who), found = 0;

	return atomic_compare_exchange_strong(word, &found, signature) || found == signature;
}

static int visit(uint64_t who) {
	uint32_t at = limit_table_pin(&table, hash_of(who), &now);
	int result = GOOD;

	if (at != LIMIT_TABLE_NONE && (!limit_table_is(&table, at, hash_of(who)) || !is_own(at, who)))
		result = ANOTHERS_ENTRY;
	limit_table_unpin(&table);
	return result;
}

static int hold(uint64_t who, uint32_t *held_at) {
	uint32_t at = limit_table_pin(&table, hash_of(who), &now);
	int result = GOOD;

	if (at == LIMIT_TABLE_NONE)
		return NO_ROOM;
	if (!is_own(at, who))
		result = ANOTHERS_ENTRY;
	if (limit_table_hold(&table, at, LIMIT_CONNECTIONS, BOUND)) {
		uint64_t all = atomic_fetch_add(&account->held[who], lane(table.seat)) + lane(table.seat);

		*held_at = at;
		if (sum_of_lanes(all) > BOUND)
			result = OVER_THE_BOUND;
	}
	limit_table_unpin(&table);
	return result;
}

static int drop(uint64_t who, uint32_t at) {
	if (!limit_table_is(&table, at, hash_of(who)) || !is_own(at, who))
		return LOST_AN_ENTRY;
	atomic_fetch_sub(&account->held[who], lane(table.seat));
	limit_table_drop(&table, at, LIMIT_CONNECTIONS);
	return GOOD;
}

static int step(uint64_t *random, uint32_t held_at[CLIENTS]) {
	uint32_t who = random_below(random, CLIENTS);
	bool holds = in_lane(atomic_load(&account->held[who]), table.seat) > 0;

	switch (random_below(random, 4)) {
	case 0:
		return hold(who, &held_at[who]);
	case 1:
	case 2:
		return holds ? drop(who, held_at[who]) : GOOD;
	default:
		return visit(CLIENTS + random_below(random, STRANGERS));
	}
}

/* operations: -1: until it is killed. */
static pid_t start(uint32_t seat, uint64_t seed, int operations) {
	pid_t pid = fork();
	uint32_t held_at[CLIENTS];
	int result = GOOD;

	if (pid != 0)
		return pid;
	table.seat = seat;
	for (int i = 0; i != operations && result == GOOD; i++) {
		result = step(&seed, held_at);
		atomic_fetch_add(&account->operations[seat], 1);
	}
	_exit(result);
}

/* --- what its parent sees --- */

static void bury(uint32_t seat) {
	for (int who = 0; who < CLIENTS; who++)
		atomic_fetch_and(&account->held[who], ~(UINT16_MAX * lane(seat)));
	atomic_store(&account->operations[seat], 0);
	limit_table_clear_seat(&table, seat);
}

static void kill_in_the_middle(pid_t pid, uint32_t seat, uint64_t after) {
	bool has_ended = false;
	int status;

	while (!has_ended && atomic_load(&account->operations[seat]) < after) {
		sched_yield();
		has_ended = waitpid(pid, &status, WNOHANG) == pid;
	}
	ck_assert_msg(!has_ended, "a process ended with %d", status);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status), "a process ended with %d", status);
}

static void wait_for_all(const pid_t pid[SEATS]) {
	int status;

	for (uint32_t seat = 0; seat < SEATS; seat++) {
		ck_assert_int_eq(waitpid(pid[seat], &status, 0), pid[seat]);
		ck_assert_msg(status == 0, "a process ended with %d", status);
	}
}

/* Nobody is in the middle of anything: every key is live or free, nobody has two entries, and the sums are those of the account. */
static void audit(void) {
	for (uint32_t at = 0; at < table.entries; at++) {
		uint64_t key = atomic_load(&table.keys[at]);

		ck_assert_uint_eq(key & LIMIT_MARK_MASK, 0);
		for (uint32_t other = 0; other < at && key != 0; other++)
			ck_assert_uint_ne(atomic_load(&table.keys[other]), key);
	}
	for (uint64_t who = 0; who < CLIENTS; who++) {
		uint32_t at = limit_table_find(&table, hash_of(who)), sum = sum_of_lanes(atomic_load(&account->held[who]));

		ck_assert_uint_eq(at == LIMIT_TABLE_NONE ? 0 : limit_table_sum(&table, at, LIMIT_CONNECTIONS), sum);
		ck_assert_uint_le(sum, BOUND);
	}
}

START_TEST(sums_are_right_whoever_is_killed) {
	pid_t pid[SEATS];

	table.seat = PARENT_SEAT;
	for (uint64_t round = 0; round < ROUNDS; round++) {
		for (uint32_t seat = 0; seat < SEATS; seat++)
			pid[seat] = start(seat, round * SEATS + seat, -1);
		for (uint32_t seat = 0; seat < SEATS; seat++) {
			kill_in_the_middle(pid[seat], seat, 1 + (round * 37 + seat * 101) % OPERATIONS);
			bury(seat);
			pid[seat] = start(seat, ~(round * SEATS + seat), OPERATIONS);
		}
		wait_for_all(pid);
		audit();
		for (uint32_t seat = 0; seat < SEATS; seat++)
			bury(seat);
		audit();
	}
	for (uint32_t at = 0; at < table.entries; at++)
		ck_assert_uint_eq(limit_table_sum(&table, at, LIMIT_CONNECTIONS), 0);
}
END_TEST

/* --- the last place --- */

static pid_t start_contest(uint32_t seat, uint32_t at) {
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	table.seat = seat;
	for (int i = 0; i < CONTESTS; i++) {
		if (!limit_table_hold(&table, at, LIMIT_ROOMS, 1))
			continue;
		if (atomic_fetch_add(&account->held[0], 1) != 0)
			_exit(OVER_THE_BOUND);
		atomic_fetch_sub(&account->held[0], 1);
		limit_table_drop(&table, at, LIMIT_ROOMS);
	}
	_exit(GOOD);
}

START_TEST(the_last_place_is_given_once) {
	uint32_t at = limit_table_pin(&table, hash_of(1), &now);
	pid_t pid[SEATS];

	for (uint32_t seat = 0; seat < SEATS; seat++)
		pid[seat] = start_contest(seat, at);
	wait_for_all(pid);
	ck_assert_uint_eq(limit_table_sum(&table, at, LIMIT_ROOMS), 0);
}
END_TEST

/* --- one budget --- */

static pid_t start_taking(uint32_t at, const struct gcra *g) {
	pid_t pid = fork();
	uint64_t wait_ms;

	if (pid != 0)
		return pid;
	for (int i = 0; i < BUDGET; i++) {
		if (gcra_take(limit_table_rate(&table, at, LIMIT_MESSAGES), g, 1, now.ms, &wait_ms) == LIMIT_OK)
			atomic_fetch_add(&account->taken, 1);
	}
	_exit(GOOD);
}

START_TEST(one_budget_for_all) {
	struct gcra g = gcra_make(BUDGET, 60, BUDGET);
	pid_t pid[SEATS];
	uint32_t at;

	for (uint64_t round = 0; round < 50; round++) {
		at = limit_table_pin(&table, hash_of(round), &now);
		atomic_store(&account->taken, 0);
		for (uint32_t seat = 0; seat < SEATS; seat++)
			pid[seat] = start_taking(at, &g);
		wait_for_all(pid);
		ck_assert_uint_eq(atomic_load(&account->taken), BUDGET);
	}
}
END_TEST

Suite *suite_limit_processes(void);
Suite *suite_limit_processes(void) {
	Suite *s = suite_create("limit_processes");
	TCase *t = tcase_create("processes");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, sums_are_right_whoever_is_killed);
	tcase_add_test(t, the_last_place_is_given_once);
	tcase_add_test(t, one_budget_for_all);
	suite_add_tcase(s, t);
	return s;
}
