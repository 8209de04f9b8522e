/* live_series - sums once a second, points every five */
#include "server/admin/live_series.h"

#include <math.h>

#include "common/base/mem.h"

/* How much of a rate is that of the last second. */
static const float FRESH = 0.35F;

struct live_series *live_series_new(const struct stats_map *stats) {
	struct live_series *s = mem_zalloc(sizeof(*s));

	s->stats = stats;
	return s;
}

void live_series_free(struct live_series **s) {
	mem_free(*s);
	*s = NULL;
}

const struct live_second *live_newest(const struct live_series *s) {
	BUG_ON(s->seconds == 0);
	return &s->second[(s->seconds - 1) % LIVE_SECONDS];
}

/* So many seconds before the newest, or the oldest there is. */
static const struct live_second *before(const struct live_series *s, unsigned seconds) {
	uint64_t most = (s->seconds < LIVE_SECONDS ? s->seconds : LIVE_SECONDS) - 1;

	return &s->second[(s->seconds - 1 - (seconds < most ? seconds : most)) % LIVE_SECONDS];
}

/* Gauges of a process that died are in no sum any more. */
static uint64_t difference(uint64_t now, uint64_t then) {
	return now > then ? now - then : 0;
}

uint64_t live_now(const struct live_series *s, enum stat_id id) {
	return live_newest(s)->value[id];
}

uint64_t live_risen(const struct live_series *s, enum stat_id id, unsigned seconds) {
	return difference(live_newest(s)->value[id], before(s, seconds)->value[id]);
}

uint64_t live_restarts_risen(const struct live_series *s, enum process_kind kind, unsigned seconds) {
	return difference(live_newest(s)->restarts[kind], before(s, seconds)->restarts[kind]);
}

double live_rate(const struct live_series *s, enum stat_id id) {
	uint64_t ms = live_newest(s)->now_ms - before(s, LIVE_RATE_S)->now_ms;

	return ms > 0 ? (double)live_risen(s, id, LIVE_RATE_S) * 1000 / (double)ms : 0;
}

double live_quantile(const struct live_series *s, enum stat_id histogram, unsigned seconds, double share, uint64_t least) {
	uint64_t all = 0, below = 0, lower = 0;
	unsigned count;
	const uint64_t *bounds = stat_bounds(histogram, &count);
	double wanted;

	for (unsigned i = 0; i <= count; i++)
		all += live_risen(s, (enum stat_id)(histogram + i), seconds);
	if (all == 0 || all < least)
		return NAN;
	wanted = share * (double)all;
	for (unsigned i = 0; i < count; i++) {
		uint64_t here = live_risen(s, (enum stat_id)(histogram + i), seconds);

		if (here > 0 && (double)(below + here) >= wanted)
			return ((double)lower + (double)(bounds[i] - lower) * (wanted - (double)below) / (double)here) / 1e6;
		below += here;
		lower = bounds[i];
	}
	return (double)lower / 1e6;
}

const struct stat_row *live_cases(const char *metric, size_t *count) {
	size_t all, i = 0, end;
	const struct stat_row *rows = stat_rows(&all);

	while (rows[i].kind != STAT_HEADS_CASES || strcmp(rows[i].metric, metric) != 0)
		i++;
	for (end = ++i; end < all && (rows[end].kind == STAT_IS_CASE || rows[end].kind == STAT_IS_VIEW_CASE);)
		end++;
	*count = end - i;
	return rows + i;
}

static double refused_rate(const struct live_series *s) {
	size_t count;
	const struct stat_row *rows = live_cases("refusals", &count);
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += live_rate(s, (enum stat_id)rows[i].first);
	return sum;
}

/* Of one processor; a process that ended takes its share along. */
static float cpu_of_all(const struct live_series *s) {
	const struct stats_block *b;
	float sum = 0;
	int i = 0;

	while ((b = stats_next(s->stats, &i)) != NULL)
		sum += s->process[i].cpu_rate / 1e6F;
	return sum;
}

static void add_point(struct live_series *s, uint64_t wall_ms, uint64_t memory) {
	struct live_point *p = &s->point[s->points++ % LIVE_POINTS];

	p->wall_ms = wall_ms;
	p->value[LIVE_connections] = (float)live_now(s, STAT_connections);
	p->value[LIVE_received] = (float)live_rate(s, STAT_messages_received);
	p->value[LIVE_sent] = (float)live_rate(s, STAT_messages_sent);
	p->value[LIVE_latency_p99] = (float)live_quantile(s, STAT_delivery_latency, LIVE_RATE_S, 0.99, 1);
	p->value[LIVE_latency_p50] = (float)live_quantile(s, STAT_delivery_latency, LIVE_RATE_S, 0.5, 1);
	p->value[LIVE_cpu] = cpu_of_all(s);
	p->value[LIVE_refused] = (float)refused_rate(s);
	p->value[LIVE_memory] = (float)memory;
	p->value[LIVE_waiting] = (float)live_now(s, STAT_client_queue_bytes);
}

static float follow(float rate, uint64_t now, uint64_t then, uint64_t ms) {
	float fresh = (float)difference(now, then) * 1000 / (float)ms;
	float next = rate + FRESH * (fresh - rate);

	/* Towards nothing it would never come to an end. */
	return next < 0.01F ? 0 : next;
}

static void measure_process(struct live_process *p, const struct stats_block *b, uint64_t now_ms) {
	int pid = stats_kind(b) != PROCESS_NONE ? atomic_load(&b->pid) : 0;
	uint64_t received = stat_get(b, STAT_messages_received);
	uint64_t sent = stat_get(b, STAT_messages_sent), cpu = stat_get(b, STAT_cpu);

	if (pid == 0 || pid != p->pid) {
		*p = (struct live_process){ .pid = pid, .moved_ms = now_ms };
	} else if (now_ms > p->now_ms) {
		p->received_rate = follow(p->received_rate, received, p->received, now_ms - p->now_ms);
		p->sent_rate = follow(p->sent_rate, sent, p->sent, now_ms - p->now_ms);
		p->cpu_rate = follow(p->cpu_rate, cpu, p->cpu, now_ms - p->now_ms);
	}
	if (cpu != p->cpu)
		p->moved_ms = now_ms;
	p->now_ms = now_ms;
	p->received = received;
	p->sent = sent;
	p->cpu = cpu;
}

bool live_series_measure(struct live_series *s, uint64_t now_ms, uint64_t wall_ms, uint64_t memory) {
	struct live_second *second = &s->second[s->seconds++ % LIVE_SECONDS];
	int blocks = stats_blocks_end(s->stats);

	second->now_ms = now_ms;
	second->wall_ms = wall_ms;
	stats_take_sums(s->stats, &s->sums);
	for (int id = 0; id < STAT_COUNT; id++)
		second->value[id] = stats_of_clients(&s->sums, id);
	/* Memory is everybody's, but what waits for those who look is no sign of a slow client. */
	second->value[STAT_client_queue_bytes] -= s->sums.kind[PROCESS_ADMIN][STAT_client_queue_bytes];
	for (int kind = 0; kind < PROCESS_KINDS; kind++)
		second->restarts[kind] = atomic_load(&s->stats->host.restarts[kind]);
	for (int i = STATS_PAST; i < blocks; i++)
		measure_process(&s->process[i], &s->stats->block[i], now_ms);
	if (s->seconds % LIVE_POINT_S != 0)
		return false;
	add_point(s, wall_ms, memory);
	return true;
}

const struct live_point *live_point_at(const struct live_series *s, size_t i) {
	uint64_t kept = s->points < LIVE_POINTS ? s->points : LIVE_POINTS;

	return i < kept ? &s->point[(s->points - kept + i) % LIVE_POINTS] : NULL;
}

const char *live_column_name(enum live_column column) {
	static const char *const names[] = {
#define LIVE_COLUMN(name) #name,
#include "server/admin/live_columns.tbl"
	};

	return names[column];
}
