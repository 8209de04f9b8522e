/* delivery - from events of a channel to frames in its subscribers' queues */
#include "server/hub/delivery.h"

#include "common/base/mem.h"
#include "common/svc/trace.h"

enum {
	/* The scratch buffer is given back when one payload has made it larger. */
	SCRATCH_KEEP_BYTES = 1 << 20,
	MEMBER_EVENT_PARTS_MAX = 8,
	MEMBER_COUNT_MS = 1000,
	COUNTED_PER_SECOND = 10000,	/* members of a channel who are told its count, at most: of larger ones less often */
};

/* --- gathering --- */

/* `in`: the counted buffer that the payload lies in, or NULL. */
static void gather_from(struct delivery *d, struct channel *ch, uint8_t form, uint8_t opcode, struct slice payload, struct rcbuf *in) {
	/* A delivery left out would be a gap that nobody is told of; clients of an ended worker come back and recover. */
	if (d->scratch.failed || !parcels_add(&d->parcels, ch, form, opcode, payload, in))
		mem_exhausted(payload.len);
	if (!list_is_linked(&ch->gathered) && !list_is_empty(&ch->parcels))
		list_add_tail(&d->gathered, &ch->gathered);
}

/* The payload lies in d->scratch. */
static void gather(struct delivery *d, struct channel *ch, uint8_t form, uint8_t opcode) {
	gather_from(d, ch, form, opcode, buf_slice(&d->scratch), NULL);
}

void delivery_publication(struct delivery *d, struct channel *ch, const struct ipc_publication *p) {
	struct hub_publication publication = {
		.channel = channel_name(ch),
		.epoch = channel_epoch(ch),
		.data = p->data,
		.offset = p->offset,
		.time_ms = p->time_ms,
		.kind = p->kind,
	};

	trace_event(deliver, 0, p->data.len, p->offset);
	for (uint8_t i = 0; i < d->form_count; i++) {
		const struct hub_form *f = &d->forms[i];
		uint8_t opcode;

		if (channel_wires(ch, i) == 0)
			continue;
		buf_reset(&d->scratch);
		opcode = f->publication(&publication, &d->scratch, f->arg);
		if (opcode == HUB_SKIP)
			continue;
		if ((opcode & HUB_VERBATIM) != 0)
			gather_from(d, ch, i, opcode & (uint8_t)~HUB_VERBATIM, p->data, p->data_in);
		else
			gather(d, ch, i, opcode);
	}
}

void delivery_reset(struct delivery *d, struct channel *ch) {
	struct hub_position position = channel_position(ch);

	for (uint8_t i = 0; i < d->form_count; i++) {
		const struct hub_form *f = &d->forms[i];
		uint8_t opcode;

		if (channel_wires(ch, i) == 0)
			continue;
		buf_reset(&d->scratch);
		opcode = f->reset(channel_name(ch), &position, &d->scratch, f->arg);
		if (opcode != HUB_SKIP)
			gather(d, ch, i, opcode);
	}
}

/* --- members --- */

static void owe_count(struct delivery *d, struct channel *ch, uint8_t form, uint32_t member_count) {
	struct member_counting *c = ch->counting;

	if (c == NULL) {
		c = ch->counting = mem_zalloc(sizeof(*c));
		list_init(&c->link);
		c->channel = ch;
	}
	c->member_count = member_count;
	c->forms |= (uint8_t)(1u << form);
	if (list_is_linked(&c->link))
		return;
	if (list_is_empty(&d->counting))
		evloop_timer_start(&d->count_timer, MEMBER_COUNT_MS);
	list_add_tail(&d->counting, &c->link);
}

void delivery_member_event(struct delivery *d, struct channel *ch, const struct hub_member_event *event) {
	if (ch->counting != NULL)
		ch->counting->member_count = event->member_count;
	for (uint8_t i = 0; i < d->form_count; i++) {
		const struct hub_form *f = &d->forms[i];
		bool count_later = false;

		for (unsigned part = 0; channel_wires(ch, i) != 0 && part < MEMBER_EVENT_PARTS_MAX; part++) {
			uint8_t opcode;

			buf_reset(&d->scratch);
			opcode = f->member_event(event, part, &count_later, &d->scratch, f->arg);
			if (opcode == HUB_SKIP)
				break;
			gather(d, ch, i, opcode);
		}
		if (count_later)
			owe_count(d, ch, i, event->member_count);
	}
}

void delivery_own_arrival(struct delivery *d, struct channel *ch, struct hub_client *c, const struct hub_member_event *event) {
	uint8_t form = c->form;
	const struct hub_form *f = &d->forms[form];
	struct conn *conn = c->conn;
	bool count_later = false;

	/* With a part of it the client may turn out to be too slow, and be finished. */
	for (unsigned part = 0; conn_is_open(conn) && part < MEMBER_EVENT_PARTS_MAX; part++) {
		uint8_t opcode;

		buf_reset(&d->scratch);
		opcode = f->member_event(event, part, &count_later, &d->scratch, f->arg);
		if (opcode == HUB_SKIP)
			break;
		if (d->scratch.failed)
			mem_exhausted(d->scratch.len);
		conn_send(conn, opcode, buf_slice(&d->scratch));
	}
	if (count_later)
		owe_count(d, ch, form, event->member_count);
}

static void gather_count(struct delivery *d, struct channel *ch) {
	for (uint8_t i = 0; i < d->form_count; i++) {
		const struct hub_form *f = &d->forms[i];
		uint8_t opcode;

		if (channel_wires(ch, i) == 0 || (ch->counting->forms & 1u << i) == 0)
			continue;
		buf_reset(&d->scratch);
		opcode = f->member_count(channel_name(ch), ch->counting->member_count, &d->scratch, f->arg);
		if (opcode != HUB_SKIP)
			gather(d, ch, i, opcode);
	}
	ch->counting->forms = 0;
}

/* Or the counts alone would keep a core busy: in a large room somebody comes or goes every second. */
static bool is_told_lately(const struct member_counting *c, uint64_t now) {
	return c->member_count > COUNTED_PER_SECOND && c->told_ms > 0 && now < c->told_ms + (uint64_t)c->member_count * 1000 / COUNTED_PER_SECOND;
}

static void delivery_on_count_timer(void *arg) {
	struct delivery *d = arg;
	uint64_t now = evloop_now_ms(d->loop);

	list_for_each_safe(it, &d->counting) {
		struct member_counting *c = list_entry(it, struct member_counting, link);

		if (is_told_lately(c, now))
			continue;
		list_remove(&c->link);
		c->told_ms = now;
		gather_count(d, c->channel);
	}
	if (!list_is_empty(&d->counting))
		evloop_timer_start(&d->count_timer, MEMBER_COUNT_MS);
}

/* --- handing out --- */

void delivery_hand_out(struct channel *ch) {
	if (!list_is_linked(&ch->gathered))
		return;
	list_remove(&ch->gathered);
	parcels_close(ch);
	list_for_each_safe(it, &ch->subs) {
		/* The sub may go away with the first parcel, when its client turns out to be too slow; the connection
		 * lives on until the turn ends and ignores the rest. */
		const struct sub *s = list_entry(it, struct sub, on_channel);
		struct conn *conn = s->client->conn;
		uint8_t form = s->client->form, wire = (uint8_t)(1u << s->wire);

		if (conn == NULL)
			continue;
		list_for_each(at, &ch->parcels) {
			const struct parcel *p = list_entry(at, struct parcel, link);

			if (p->form == form && (p->wires & wire) != 0)
				conn_send_frames(conn, p->frames, p->payload, p->messages);
		}
	}
	delivery_discard(ch);
}

void delivery_discard(struct channel *ch) {
	list_remove(&ch->gathered);
	parcels_discard(ch);
}

bool delivery_has_gathered(const struct delivery *d) {
	return !list_is_empty(&d->gathered);
}

void delivery_turn_end(struct delivery *d) {
	while (!list_is_empty(&d->gathered))
		delivery_hand_out(list_entry(d->gathered.next, struct channel, gathered));
	parcels_trim(&d->parcels);
	if (d->scratch.cap > SCRATCH_KEEP_BYTES) {
		size_t max = d->scratch.max;

		buf_fini(&d->scratch);
		buf_init(&d->scratch, max);
	}
}

void delivery_init(struct delivery *d, struct evloop *loop, const struct hub_form *forms, size_t form_count,
    size_t message_max_bytes, const struct ws_deflate_settings *deflate) {
	BUG_ON(form_count > HUB_FORMS_MAX);
	d->loop = loop;
	d->forms = forms;
	d->form_count = form_count;
	list_init(&d->gathered);
	list_init(&d->counting);
	evloop_timer_init(loop, &d->count_timer, delivery_on_count_timer, d);
	/* A form may write more around the data than the link had, and escape some of it. */
	buf_init(&d->scratch, 2 * message_max_bytes + 4096);
	parcels_init(&d->parcels, deflate);
}

void delivery_fini(struct delivery *d) {
	evloop_timer_stop(&d->count_timer);
	buf_fini(&d->scratch);
	parcels_fini(&d->parcels);
}
