/* obituary - lines about a process that has died */
#include "server/master/obituary.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/svc/log.h"

enum { LAST_EVENTS = 32 };

static bool has_crashed(int wait_status) {
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

	for (size_t i = 0; WIFSIGNALED(wait_status) && i < ARRAY_LEN(deadly); i++) {
		if (WTERMSIG(wait_status) == deadly[i])
			return true;
	}
	return false;
}

static void log_event(const struct obituary *o, const char *name, const struct trace_seen *e) {
	static struct log_kind kind;
	struct log_field fields[7] = { 0 };
	char conn[ID_TEXT_LEN + 2];
	size_t n = 0;

	trace_conn_text(o->trace, e->conn, conn);
	fields[n++] = LF_TEXT("child", name);
	fields[n++] = LF_U("ms_before", o->wall_ms > e->wall_ms ? o->wall_ms - e->wall_ms : 0);
	fields[n++] = LF_TEXT("event", trace_kind_name(e->kind));
	if (e->conn != 0)
		fields[n++] = LF_TEXT(trace_conn_key(o->trace), conn);
	if (trace_kind_a(e->kind)[0] != '\0')
		fields[n++] = LF_U(trace_kind_a(e->kind), e->a);
	if (trace_kind_b(e->kind)[0] != '\0')
		fields[n++] = LF_U(trace_kind_b(e->kind), e->b);
	/* Whatever the level is: it belongs to the error above it, which would fill the page's list with it. */
	log_write(&kind, LOG_AREA, LOG_INFO, "before it died", fields);
}

static void log_events(const struct obituary *o, const char *name) {
	static struct trace_seen seen[TRACE_EVENTS];
	size_t count = trace_read(o->trace, seen);

	for (size_t i = count > LAST_EVENTS ? count - LAST_EVENTS : 0; i < count; i++)
		log_event(o, name, &seen[i]);
}

void obituary_log(const struct obituary *o) {
	bool is_expected = o->is_expected && !has_crashed(o->wait_status);
	uint64_t serving = trace_get(&o->trace->serving);
	char name[CHILD_NAME_MAX], end[32], conn[ID_TEXT_LEN + 2];
	struct log_field fields[6] = { 0 };
	size_t n = 0;

	child_name(o->child, name);
	child_status_text(o->wait_status, end, sizeof(end));
	trace_conn_text(o->trace, serving, conn);
	fields[n++] = LF_TEXT("child", name);
	fields[n++] = LF_I("child_pid", o->child->pid);
	fields[n++] = LF_TEXT("end", end);
	fields[n++] = LF_U("lived_ms", o->lived_ms);
	if (serving != 0)
		fields[n++] = LF_TEXT(trace_conn_key(o->trace), conn);
	if (is_expected) {
		log_emit(LOG_DEBUG, "a process has ended", fields);
		return;
	}
	log_emit(LOG_ERROR, "a process died", fields);
	log_events(o, name);
}
