/* delivery - from events of a channel to frames in its subscribers' queues */
#include "server/hub/delivery.h"

#include "common/base/mem.h"
#include "server/ws/ws_frame.h"

enum {
	/* Small, because a slow client's queue counts the bytes in a parcel and not its room. */
	PARCEL_START_BYTES = 512,
	/* A parcel takes no more when it is so large: growing copies it, and clients' queues are bounded in parcels. */
	PARCEL_FULL_BYTES = 256 << 10,
	/* A payload so large gets a parcel of its own: it is copied once, and into exactly its room. */
	PARCEL_SINGLE_BYTES = 64 << 10,
	/* The scratch buffer is given back when one payload has made it larger. */
	SCRATCH_KEEP_BYTES = 1 << 20,
	MEMBER_EVENT_PARTS_MAX = 8,
	MEMBER_COUNT_MS = 1000,
};

/* Frames of one form, ready for the wire. Owned by its channel's list. */
struct parcel {
	struct list link;
	struct rcbuf *frames;
	uint32_t messages;
	uint8_t form;
};

static void parcel_free(struct parcel *p) {
	list_remove(&p->link);
	rcbuf_unref(&p->frames);
	mem_free(p);
}

/* --- gathering --- */

static struct parcel *parcel_new(struct channel *ch, uint8_t form, size_t bytes) {
	struct rcbuf *frames = rcbuf_try_new(bytes > PARCEL_START_BYTES ? bytes : PARCEL_START_BYTES);
	struct parcel *p;

	if (frames == NULL)
		return NULL;
	p = mem_zalloc(sizeof(*p));
	p->frames = frames;
	p->form = form;
	list_add_tail(&ch->parcels, &p->link);
	return p;
}

/* Room for `bytes` more; NULL when memory is out. */
static struct parcel *parcel_with_room(struct channel *ch, uint8_t form, size_t bytes) {
	struct parcel *p = ch->filling[form];

	if (p != NULL && (bytes >= PARCEL_SINGLE_BYTES || p->frames->len >= PARCEL_FULL_BYTES))
		p = NULL;
	if (p == NULL)
		p = parcel_new(ch, form, bytes);
	else if (!rcbuf_try_grow(&p->frames, bytes))
		return NULL;
	ch->filling[form] = p;
	return p;
}

/* The payload lies in d->scratch. */
static void gather_frame(struct delivery *d, struct channel *ch, uint8_t form, uint8_t opcode) {
	uint8_t header[WS_SERVER_HEADER_MAX];
	size_t header_bytes;
	struct parcel *p = NULL;

	if (!d->scratch.failed) {
		header_bytes = ws_frame_header(header, WS_FIN | opcode, d->scratch.len);
		p = parcel_with_room(ch, form, header_bytes + d->scratch.len);
	}
	/* A delivery left out would be a gap that nobody is told of; clients of an ended worker come back and recover. */
	if (p == NULL)
		mem_exhausted(d->scratch.len);
	rcbuf_add(p->frames, slice_of(header, header_bytes));
	rcbuf_add(p->frames, buf_slice(&d->scratch));
	p->messages++;
	if (!list_is_linked(&ch->gathered))
		list_add_tail(&d->gathered, &ch->gathered);
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

	for (uint8_t i = 0; i < d->form_count; i++) {
		const struct hub_form *f = &d->forms[i];
		uint8_t opcode;

		if (ch->form_subs[i] == 0)
			continue;
		buf_reset(&d->scratch);
		opcode = f->publication(&publication, &d->scratch, f->arg);
		if (opcode != HUB_SKIP)
			gather_frame(d, ch, i, opcode);
	}
}

void delivery_reset(struct delivery *d, struct channel *ch) {
	struct hub_position position = channel_position(ch);

	for (uint8_t i = 0; i < d->form_count; i++) {
		const struct hub_form *f = &d->forms[i];
		uint8_t opcode;

		if (ch->form_subs[i] == 0)
			continue;
		buf_reset(&d->scratch);
		opcode = f->reset(channel_name(ch), &position, &d->scratch, f->arg);
		if (opcode != HUB_SKIP)
			gather_frame(d, ch, i, opcode);
	}
}

/* --- members --- */

static void owe_count(struct delivery *d, struct channel *ch, uint8_t form) {
	ch->count_forms |= (uint8_t)(1u << form);
	if (list_is_linked(&ch->counting))
		return;
	if (list_is_empty(&d->counting))
		evloop_timer_start(&d->count_timer, MEMBER_COUNT_MS);
	list_add_tail(&d->counting, &ch->counting);
}

void delivery_member_event(struct delivery *d, struct channel *ch, const struct hub_member_event *event) {
	ch->member_count = event->member_count;
	for (uint8_t i = 0; i < d->form_count; i++) {
		const struct hub_form *f = &d->forms[i];
		bool count_later = false;

		for (unsigned part = 0; ch->form_subs[i] > 0 && part < MEMBER_EVENT_PARTS_MAX; part++) {
			uint8_t opcode;

			buf_reset(&d->scratch);
			opcode = f->member_event(event, part, &count_later, &d->scratch, f->arg);
			if (opcode == HUB_SKIP)
				break;
			gather_frame(d, ch, i, opcode);
		}
		if (count_later)
			owe_count(d, ch, i);
	}
}

static void gather_count(struct delivery *d, struct channel *ch) {
	for (uint8_t i = 0; i < d->form_count; i++) {
		const struct hub_form *f = &d->forms[i];
		uint8_t opcode;

		if (ch->form_subs[i] == 0 || (ch->count_forms & 1u << i) == 0)
			continue;
		buf_reset(&d->scratch);
		opcode = f->member_count(channel_name(ch), ch->member_count, &d->scratch, f->arg);
		if (opcode != HUB_SKIP)
			gather_frame(d, ch, i, opcode);
	}
	ch->count_forms = 0;
}

static void delivery_on_count_timer(void *arg) {
	struct delivery *d = arg;

	while (!list_is_empty(&d->counting)) {
		struct channel *ch = list_entry(d->counting.next, struct channel, counting);

		list_remove(&ch->counting);
		gather_count(d, ch);
	}
}

/* --- handing out --- */

void delivery_hand_out(struct channel *ch) {
	if (!list_is_linked(&ch->gathered))
		return;
	list_remove(&ch->gathered);
	memset(ch->filling, 0, sizeof(ch->filling));
	list_for_each_safe(it, &ch->subs) {
		/* The sub may go away with the first parcel, when its client turns out to be too slow; the connection
		 * lives on until the turn ends and ignores the rest. */
		const struct hub_client *c = list_entry(it, struct sub, on_channel)->client;
		struct conn *conn = c->conn;
		uint8_t form = c->form;

		if (conn == NULL)
			continue;
		list_for_each(at, &ch->parcels) {
			const struct parcel *p = list_entry(at, struct parcel, link);

			if (p->form == form)
				conn_send_frames(conn, p->frames, p->messages);
		}
	}
	delivery_discard(ch);
}

void delivery_discard(struct channel *ch) {
	list_remove(&ch->gathered);
	memset(ch->filling, 0, sizeof(ch->filling));
	list_for_each_safe(it, &ch->parcels)
		parcel_free(list_entry(it, struct parcel, link));
}

void delivery_turn_end(struct delivery *d) {
	while (!list_is_empty(&d->gathered))
		delivery_hand_out(list_entry(d->gathered.next, struct channel, gathered));
	if (d->scratch.cap > SCRATCH_KEEP_BYTES) {
		size_t max = d->scratch.max;

		buf_fini(&d->scratch);
		buf_init(&d->scratch, max);
	}
}

void delivery_init(struct delivery *d, struct evloop *loop, const struct hub_form *forms, size_t form_count,
    size_t message_max_bytes) {
	BUG_ON(form_count > HUB_FORMS_MAX);
	d->loop = loop;
	d->forms = forms;
	d->form_count = form_count;
	list_init(&d->gathered);
	list_init(&d->counting);
	evloop_timer_init(loop, &d->count_timer, delivery_on_count_timer, d);
	/* A form may write more around the data than the link had, and escape some of it. */
	buf_init(&d->scratch, 2 * message_max_bytes + 4096);
}

void delivery_fini(struct delivery *d) {
	evloop_timer_stop(&d->count_timer);
	buf_fini(&d->scratch);
}
