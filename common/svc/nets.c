/* nets - addresses with prefix lengths, searched one after the other: there are few */
#include "common/svc/nets.h"

#include <arpa/inet.h>

#include "common/base/mem.h"

enum { IPV6_BITS = 128, IPV4_MAPPED_BITS = 96 };
#define NET_FORMS "want IPV4, IPV4/BITS, IPV6, IPV6/BITS or unix"

static bool is_ipv4(const uint8_t ip[16]) {
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(ip, prefix, sizeof(prefix)) == 0;
}

static bool parse_bits(struct slice text, size_t most, struct net *out) {
	uint64_t bits;

	if (!slice_to_u64(text, &bits) || bits > most)
		return false;
	out->bits = (uint8_t)(IPV6_BITS - most + bits);
	return true;
}

static bool parse_net(struct slice text, struct net *out) {
	struct slice rest = text, part;
	char host[INET6_ADDRSTRLEN];
	size_t most = IPV6_BITS;

	*out = (struct net){ .bits = IPV6_BITS };
	if (!slice_next_part(&rest, '/', &part) || part.len >= sizeof(host) || memchr(part.ptr, '\0', part.len) != NULL)
		return false;
	memcpy(host, part.ptr, part.len);
	host[part.len] = '\0';
	if (inet_pton(AF_INET, host, out->ip + 12) == 1) {
		out->ip[10] = out->ip[11] = 0xff;
		most = IPV6_BITS - IPV4_MAPPED_BITS;
	} else if (inet_pton(AF_INET6, host, out->ip) != 1) {
		return false;
	}
	return part.len == text.len || parse_bits(rest, most, out);
}

bool nets_init(struct nets *n, char *const *text, size_t count, struct errbuf *e) {
	*n = (struct nets){ .item = mem_zalloc((count + 1) * sizeof(*n->item)) };
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text[i], "unix") == 0) {
			n->has_unix = true;
		} else if (!parse_net(slice_text(text[i]), &n->item[n->count++])) {
			nets_fini(n);
			return errbuf_set(e, "\"%.200s\" is no address or network: " NET_FORMS, text[i]);
		}
	}
	return true;
}

void nets_fini(struct nets *n) {
	mem_free(n->item);
	*n = (struct nets){ .item = NULL };
}

/* IPv4 is mapped into IPv6 here, but that is our business: ::/0 does not mean it. */
static bool net_has(const struct net *n, const uint8_t ip[16]) {
	size_t bytes = n->bits / 8, bits = n->bits % 8;

	if (n->bits < IPV4_MAPPED_BITS && is_ipv4(ip))
		return false;
	return memcmp(n->ip, ip, bytes) == 0 && (bits == 0 || (n->ip[bytes] ^ ip[bytes]) >> (8 - bits) == 0);
}

bool nets_has(const struct nets *n, const struct sock_peer *p) {
	if (p->is_unix != 0)
		return n->has_unix;
	for (size_t i = 0; i < n->count; i++) {
		if (net_has(&n->item[i], p->ip))
			return true;
	}
	return false;
}
