/* live - viewers, and what they get every second */
#include "server/admin/live.h"

#include "common/base/mem.h"
#include "server/admin/admin_priv.h"
#include "server/admin/live_series.h"
#include "server/admin/live_text.h"
#include "server/ws/ws_frame.h"
#include "server/ws/ws_handshake.h"

enum { SECOND_MS = 1000, VIEWER_MESSAGE_BYTES = 125 };

struct live {
	struct admin *admin;	/* borrowed */
	struct evloop *loop;	/* borrowed */
	struct live_series *series;
	struct live_ask ask;
	struct evloop_timer timer;
	struct rcbuf *newest;	/* the last message, whole frame; NULL: nobody looks */
	struct conn *viewer[LIVE_VIEWERS];	/* borrowed; NULL: a free place */
	unsigned viewers;
};

static struct rcbuf *frame_of(struct slice text) {
	uint8_t header[WS_SERVER_HEADER_MAX];
	size_t len = ws_frame_header(header, WS_FIN | WS_TEXT, text.len);
	struct rcbuf *frame = rcbuf_try_new(len + text.len);

	if (frame != NULL) {
		rcbuf_add(frame, slice_of(header, len));
		rcbuf_add(frame, text);
	}
	return frame;
}

/* Replaces the newest message; it stays when there is no memory for another. */
static void write_newest(struct live *l, bool is_point) {
	struct rcbuf *frame;
	struct buf text;

	buf_init(&text, SIZE_MAX);
	live_text_now(l->admin, l->series, &l->ask, is_point, &text);
	frame = text.failed ? NULL : frame_of(buf_slice(&text));
	buf_fini(&text);
	if (frame == NULL)
		return;
	rcbuf_unref(&l->newest);
	l->newest = frame;
}

static void measure(struct live *l, bool *is_point) {
	struct memory_use use;

	memory_use_now(l->admin->memory, &use);
	*is_point = live_series_measure(l->series, evloop_now_ms(l->loop), evloop_wall_ms(l->loop), memory_use_sum(&use));
}

static void ask(struct live *l) {
	live_ask_again(&l->ask, live_now(l->series, STAT_client_queue_bytes) > 0);
}

static void on_second(void *arg) {
	struct live *l = arg;
	bool is_point;

	evloop_timer_start(&l->timer, SECOND_MS);
	measure(l, &is_point);
	if (l->viewers == 0)
		return;
	ask(l);
	write_newest(l, is_point);
	for (size_t i = 0; i < LIVE_VIEWERS; i++) {
		if (l->viewer[i] != NULL && l->newest != NULL)
			conn_send_frames(l->viewer[i], l->newest, NULL, 1);
	}
}

static void on_open(struct conn *c) {
	struct live *l = conn_user(c);
	size_t place = 0;
	struct buf history;

	while (l->viewer[place] != NULL)
		place++;
	l->viewer[place] = c;
	l->viewers++;
	stat_set(STAT_viewers, l->viewers);
	buf_init(&history, SIZE_MAX);
	live_text_history(l->series, &history);
	if (!history.failed)
		conn_send(c, WS_TEXT, buf_slice(&history));
	buf_fini(&history);
	if (l->newest == NULL) {
		ask(l);
		write_newest(l, false);
	}
	if (l->newest != NULL)
		conn_send_frames(c, l->newest, NULL, 1);
}

static void on_message(struct conn *c, bool is_text UNUSED, struct slice data UNUSED) {
	conn_close(c, CLOSE_policy, "the status page only listens");
}

/* The admin listener is its operator's: there are no rates. */
static void on_limited(struct conn *c UNUSED, bool is_text UNUSED, struct slice data UNUSED, uint64_t wait_ms UNUSED) {
}

static void on_closed(struct conn *c, bool by_server UNUSED) {
	struct live *l = conn_user(c);
	size_t place = 0;

	while (place < LIVE_VIEWERS && l->viewer[place] != c)
		place++;
	/* It went before it had come. */
	if (place == LIVE_VIEWERS)
		return;
	l->viewer[place] = NULL;
	l->viewers--;
	stat_set(STAT_viewers, l->viewers);
	if (l->viewers > 0)
		return;
	rcbuf_unref(&l->newest);
	live_ask_forget(&l->ask);
}

static const struct conn_ops viewer_ops = {
	.name = "live",
	.on_open = on_open,
	.on_message = on_message,
	.on_limited = on_limited,
	.on_closed = on_closed,
};

/* A plain GET of this address tells a page why it is refused, as a browser does not. */
void admin_live(struct conn *c, const struct http_request *r, struct slice body UNUSED) {
	struct live *l = admin_of(c)->live;
	struct ws_refusal why;

	if (l->viewers == LIVE_VIEWERS) {
		stat_add(STAT_viewers_refused, 1);
		conn_refuse(c, 503, "as many status pages are open as there may be", "Retry-After: 10\r\n");
	} else if (!ws_handshake_check(r, &why)) {
		conn_refuse(c, why.status, why.sentence, why.extra_headers);
	} else {
		conn_upgrade(c, r, &viewer_ops, l, VIEWER_MESSAGE_BYTES);
	}
}

struct live *live_new(struct admin *a, struct evloop *loop) {
	struct live *l = mem_zalloc(sizeof(*l));
	bool is_point;

	l->admin = a;
	l->loop = loop;
	l->series = live_series_new(a->stats);
	live_ask_init(&l->ask, a->hub, loop);
	measure(l, &is_point);
	evloop_timer_init(loop, &l->timer, on_second, l);
	evloop_timer_start(&l->timer, SECOND_MS);
	return l;
}

void live_free(struct live **l) {
	if (*l == NULL)
		return;
	BUG_ON((*l)->viewers != 0);
	evloop_timer_stop(&(*l)->timer);
	rcbuf_unref(&(*l)->newest);
	live_ask_fini(&(*l)->ask);
	live_series_free(&(*l)->series);
	mem_free(*l);
	*l = NULL;
}

void live_end_viewers(struct live *l) {
	for (size_t i = 0; i < LIVE_VIEWERS; i++) {
		if (l->viewer[i] != NULL)
			conn_close(l->viewer[i], CLOSE_token_revoked, NULL);
	}
}
