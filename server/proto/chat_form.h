/*
 * chat_form - the chat's messages as they go over the wire to everybody who is concerned
 *
 * One message is built once and shared by all its receivers; the same functions write the messages inside answers, so a missed
 * message looks exactly like a live one.
 */
#ifndef SERVER_PROTO_CHAT_FORM_H
#define SERVER_PROTO_CHAT_FORM_H

#include "common/svc/config.h"
#include "server/hub/hub.h"

/* config: borrowed for the life of the form. */
void chat_form_init(struct hub_form *form, const struct config *config);
/* One publication as JSON; HUB_SKIP (and nothing written) when it is none for the chat. */
uint8_t chat_form_publication(const struct hub_publication *p, struct buf *out, void *unused);
/* {"userId":"..","name":".."} of a member. */
void chat_form_member(struct slice member, struct slice info, struct buf *out);
/* ,"room":"NAME" or ,"channel":"NAME" */
void chat_form_place(struct slice channel, struct buf *out);
/* ,"epoch":"..","offset":n */
void chat_form_position(struct slice epoch, uint64_t offset, struct buf *out);

#endif
