/*
 * list - intrusive circular doubly linked list
 *
 * The head is a node too. A node that is on no list points to itself (list_init), so list_remove() may be called twice and
 * list_is_linked() can be asked. Nodes are embedded by their users; the list owns nothing.
 */
#ifndef COMMON_BASE_LIST_H
#define COMMON_BASE_LIST_H

#include "common/base/base.h"

struct list {
	struct list *next, *prev;
};

#define list_entry(node, type, member) container_of(node, type, member)
#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The body may remove and free the current node, no other one. */
#define list_for_each_safe(it, head) \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l) {
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *head) {
	return head->next == head;
}

static inline bool list_is_linked(const struct list *node) {
	return node->next != node;
}

static inline void list_add_tail(struct list *head, struct list *node) {
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node) {
	list_add_tail(head->next, node);
}

static inline void list_remove(struct list *node) {
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Moves all nodes of `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_splice_tail(struct list *to, struct list *from) {
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	from->prev->next = to;
	to->prev->next = from->next;
	to->prev = from->prev;
	list_init(from);
}

#endif
