/* report - the same figures twice: for eyes, and for programs */
#include "tests/load/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct row {
	const char *name, *words;
	unsigned scenarios;
};

static const struct row counter_rows[] = {
#define COUNTER(name, scenarios, words) { #name, words, (unsigned)(scenarios) },
#include "tests/load/counters.tbl"
#undef COUNTER
};

static const struct row histogram_rows[] = {
#define HISTOGRAM(id, key, scenarios, words) { key, words, (unsigned)(scenarios) },
#include "tests/load/histograms.tbl"
#undef HISTOGRAM
};

static const struct {
	const char *key, *words;
	double share;
} shares[] = { { "p50_us", "p50", 0.5 }, { "p99_us", "p99", 0.99 }, { "p999_us", "p99.9", 0.999 } };

/* The counters are numbers one after the other. */
STATIC_ASSERT(sizeof(struct counters) == ARRAY_LEN(counter_rows) * sizeof(uint64_t), "a counter is a uint64_t");

static uint64_t counter_at(const struct counters *n, size_t at) {
	uint64_t value;

	memcpy(&value, (const char *)n + at * sizeof(value), sizeof(value));
	return value;
}

void results_collect(struct results *r, const struct shared *s) {
	for (uint32_t i = 0; i < s->process_count; i++) {
		const struct process *p = &s->process[i];

		for (size_t k = 0; k < ARRAY_LEN(counter_rows); k++) {
			uint64_t sum = counter_at(&r->n, k) + counter_at(&p->n, k);

			memcpy((char *)&r->n + k * sizeof(sum), &sum, sizeof(sum));
		}
		for (size_t k = 0; k < HISTOGRAM_COUNT; k++)
			histogram_merge(&r->times[k], &p->times[k]);
		for (size_t k = 0; k < CAUSES_MAX && p->causes[k].text[0] != '\0'; k++)
			cause_add(r->causes, p->causes[k].text, p->causes[k].count);
	}
}

/* What the rates are of. */
static uint64_t work(const struct options *o, const struct results *r) {
	if (o->scenario->id == IDLE)
		return r->n.pings;
	return o->has_rate && o->scenario->id != CONNECT_ONLY ? r->n.arrived : r->n.messages;
}

static double per(uint64_t count, double seconds) {
	return seconds > 0 ? (double)count / seconds : 0;
}

static void json_settings(const struct options *o, const struct shared *s) {
	printf("{\"scenario\":\"%s\",\"connections\":%ld,\"processes\":%" PRIu32, o->scenario->name, o->connections, s->process_count);
	if (o->bytes > 0)
		printf(",\"bytes\":%ld", o->bytes);
	if (o->publishers > 0)
		printf(",\"publishers\":%ld", o->publishers);
	if (o->under_way > 0)
		printf(",\"under_way\":%ld", o->under_way);
	if (o->has_rate)
		printf(",\"rate\":%ld", o->rate);
	if (o->scenario->id == CHAT || o->scenario->id == RECONNECT || o->chat)
		printf(",\"rooms\":%ld", o->rooms);
}

static void json_times(const struct options *o, const struct results *r) {
	for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
		const struct row *row = &histogram_rows[i];

		if ((row->scenarios & o->scenario->id) == 0)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(shares); k++)
			printf(",\"%s%s\":%.1f", row->name, shares[k].key, (double)histogram_at(&r->times[i], shares[k].share) / 1000);
		printf(",\"%smax_us\":%.1f", row->name, (double)r->times[i].max / 1000);
	}
}

static void json(const struct options *o, const struct shared *s, const struct results *r) {
	json_settings(o, s);
	printf(",\"opening_seconds\":%.3f,\"seconds\":%.3f", r->opening_seconds, r->seconds);
	for (size_t i = 0; i < ARRAY_LEN(counter_rows); i++) {
		if ((counter_rows[i].scenarios & o->scenario->id) != 0)
			printf(",\"%s\":%" PRIu64, counter_rows[i].name, counter_at(&r->n, i));
	}
	if (r->n.after_end > 0)
		printf(",\"last_after_end_us\":%.1f", r->last_seconds * 1e6);
	printf(",\"causes\":{");
	for (size_t i = 0; i < CAUSES_MAX && r->causes[i].text[0] != '\0'; i++)
		printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", r->causes[i].text, r->causes[i].count);
	printf("},\"per_second\":%.0f", per(work(o, r), r->seconds));
	json_times(o, r);
	if (r->has_cpu)
		printf(",\"cpu_seconds\":%.4f,\"per_cpu_second\":%.0f", r->cpu_seconds, per(work(o, r), r->cpu_seconds));
	if (r->has_pss)
		printf(",\"server_pss_bytes\":{\"before\":%" PRIu64 ",\"ready\":%" PRIu64 ",\"after\":%" PRIu64 "}", r->pss_bytes[MOMENT_BEFORE],
			r->pss_bytes[MOMENT_READY], r->pss_bytes[MOMENT_AFTER]);
	puts("}");
}

/* "1,234,567" */
static const char *grouped(double number) {
	static char texts[4][32];
	static unsigned next;
	char digits[24], *out = texts[next++ % ARRAY_LEN(texts)], *at = out;
	int len = snprintf(digits, sizeof(digits), "%.0f", number);

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return out;
}

static void row(const char *words, const char *value) {
	printf("  %-26s %s\n", words, value);
}

static void table_times(const struct options *o, const struct results *r) {
	for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
		const struct histogram *h = &r->times[i];

		if ((histogram_rows[i].scenarios & o->scenario->id) == 0 || h->count == 0)
			continue;
		printf("  %-26s", histogram_rows[i].words);
		for (size_t k = 0; k < ARRAY_LEN(shares); k++)
			printf(" %s %.3f ms,", shares[k].words, (double)histogram_at(h, shares[k].share) / 1e6);
		printf(" most %.3f ms\n", (double)h->max / 1e6);
	}
}

static void table_server(const struct options *o, const struct results *r) {
	static const char *const moments[MOMENT_COUNT] = { "before", "ready", "after" };
	double before = (double)r->pss_bytes[MOMENT_BEFORE];

	if (r->has_cpu)
		printf("  %-26s %.3f s, %s per second of it\n", "server's processor time", r->cpu_seconds,
			grouped(per(work(o, r), r->cpu_seconds)));
	if (o->pids.count > 0 && !r->has_cpu)
		row("server's processor time", "not known: processes of the server have begun or ended meanwhile");
	for (size_t i = 0; i < MOMENT_COUNT && r->has_pss; i++) {
		if (i == MOMENT_READY && o->scenario->connects_in_run)
			continue;
		printf("  server's memory, %-9s %s KiB%s%s%s\n", moments[i], grouped((double)r->pss_bytes[i] / 1024),
			i == MOMENT_READY ? ", " : "", i == MOMENT_READY ? grouped(((double)r->pss_bytes[i] - before) / (double)o->connections) : "",
			i == MOMENT_READY ? " bytes for each connection" : "");
	}
	if (o->pids.count > 0 && !r->has_pss)
		row("server's memory", "not known: smaps_rollup of its processes is for their user and root");
}

static void table(const struct options *o, const struct shared *s, const struct results *r) {
	const char *loop = o->scenario->id == IDLE ? "" : o->has_rate ? ", open loop" : ", closed loop";

	printf("%s: %ld connections to %s:%u%s, %" PRIu32 " process%s%s\n", o->scenario->name, o->connections, o->target.host, o->target.port,
		o->target.path, s->process_count, s->process_count == 1 ? "" : "es", loop);
	printf("  %-26s %.2f s of opening, %.2f s of measuring\n", "time", r->opening_seconds, r->seconds);
	for (size_t i = 0; i < ARRAY_LEN(counter_rows); i++) {
		/* What is bad, if it is not there, is not told. */
		if ((counter_rows[i].scenarios & o->scenario->id) != 0 && (counter_at(&r->n, i) > 0 || i < 3))
			row(counter_rows[i].words, grouped((double)counter_at(&r->n, i)));
	}
	for (size_t i = 0; i < CAUSES_MAX && r->causes[i].text[0] != '\0'; i++)
		printf("    because of %-13s %s\n", r->causes[i].text, grouped((double)r->causes[i].count));
	if (r->n.after_end > 0)
		printf("  %-26s %.3f s after the end\n", "last message", r->last_seconds);
	row("per second", grouped(per(work(o, r), r->seconds)));
	table_times(o, r);
	table_server(o, r);
}

void report_print(const struct options *o, const struct shared *s, const struct results *r) {
	if (o->json)
		json(o, s, r);
	else
		table(o, s, r);
	fflush(stdout);
}
