/* forwarded - a list of addresses, read from its end */
#include "server/net/forwarded.h"

/* Cuts the last part off the list; false when it is used up. */
static bool take_last(struct slice *list, struct slice *part) {
	const uint8_t *comma = list->len > 0 ? memrchr(list->ptr, ',', list->len) : NULL;

	if (list->ptr == NULL)
		return false;
	if (comma == NULL) {
		*part = slice_trim(*list);
		*list = SLICE_EMPTY;
		return true;
	}
	*part = slice_trim(slice_skip(*list, (size_t)(comma - list->ptr) + 1));
	list->len = (size_t)(comma - list->ptr);
	return true;
}

bool forwarded_walk(struct slice value, const struct nets *trusted, struct sock_peer *client) {
	struct slice rest = value, entry;
	struct sock_peer peer;

	while (take_last(&rest, &entry)) {
		if (!sock_peer_parse(entry, &peer))
			return false;
		*client = peer;
		if (!nets_has(trusted, &peer))
			return false;
	}
	return true;
}
