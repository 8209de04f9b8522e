/* proxy_header - both versions told apart by their first bytes, then taken apart */
#include "server/net/proxy_header.h"

#include <arpa/inet.h>

enum {
	V1_MAX = 107,		/* with CRLF */
	V2_FIXED = 16,		/* signature, version and command, family and transport, length */
	V2_IPV4 = 12,		/* two addresses, two ports */
	V2_IPV6 = 36,
	V2_UNIX = 216,
};

static const char v1_start[] = "PROXY ";
static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";

static enum proxy_header_result bad(const char **sentence, const char *text) {
	*sentence = text;
	return PROXY_HEADER_BAD;
}

/* As far as there are bytes. */
static bool begins_with(struct slice input, const char *start, size_t len) {
	return memcmp(input.ptr, start, input.len < len ? input.len : len) == 0;
}

/* --- version 1: "PROXY TCP4 192.0.2.1 192.0.2.9 51234 443\r\n" --- */

static bool parse_ip(struct slice text, int family, uint8_t ip[16]) {
	char host[INET6_ADDRSTRLEN];

	if (text.len >= sizeof(host) || memchr(text.ptr, '\0', text.len) != NULL)
		return false;
	memcpy(host, text.ptr, text.len);
	host[text.len] = '\0';
	memset(ip, 0, 16);
	if (family == AF_INET6)
		return inet_pton(AF_INET6, host, ip) == 1;
	ip[10] = ip[11] = 0xff;
	return inet_pton(AF_INET, host, ip + 12) == 1;
}

static bool parse_port(struct slice text, uint16_t *port) {
	uint64_t number;

	if ((text.len > 1 && text.ptr[0] == '0') || !slice_to_u64(text, &number) || number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	return true;
}

/* What is behind "PROXY " and before CRLF. */
static bool parse_v1_line(struct slice line, struct sock_peer *client) {
	struct slice part[5];
	struct sock_peer from = { .port = 0 }, to;
	int family;

	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		if (!slice_next_part(&line, ' ', &part[i]))
			return false;
		if (i == 0 && slice_eq_text(part[0], "UNKNOWN"))
			return true;
	}
	if (!slice_eq_text(part[0], "TCP4") && !slice_eq_text(part[0], "TCP6"))
		return false;
	family = part[0].ptr[3] == '4' ? AF_INET : AF_INET6;
	if (line.ptr != NULL)
		return false; /* a sixth part, if only an empty one */
	if (!parse_ip(part[1], family, from.ip) || !parse_ip(part[2], family, to.ip) || !parse_port(part[3], &from.port) ||
	    !parse_port(part[4], &to.port))
		return false;
	*client = from;
	return true;
}

static enum proxy_header_result parse_v1(struct slice input, struct sock_peer *client, size_t *len, const char **sentence) {
	size_t usable = input.len < V1_MAX ? input.len : V1_MAX, start = sizeof(v1_start) - 1;
	const uint8_t *end = memchr(input.ptr, '\n', usable);

	if (end == NULL)
		return usable < V1_MAX ? PROXY_HEADER_MORE : bad(sentence, "the line is too long");
	*len = (size_t)(end - input.ptr) + 1;
	if (*len < start + 2 || end[-1] != '\r')
		return bad(sentence, "the line does not end with CRLF");
	if (!parse_v1_line(slice_of(input.ptr + start, *len - start - 2), client))
		return bad(sentence, "the line is malformed");
	return PROXY_HEADER_DONE;
}

/* --- version 2: binary --- */

static uint16_t get_u16(const uint8_t *p) {
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* The address block; false: it is too short for its family. */
static bool take_v2(uint8_t family, struct slice block, struct sock_peer *client) {
	struct sock_peer from = { .port = 0 };

	switch (family) {
	case 0x11: /* TCP over IPv4 */
		if (block.len < V2_IPV4)
			return false;
		from.ip[10] = from.ip[11] = 0xff;
		memcpy(from.ip + 12, block.ptr, 4);
		from.port = get_u16(block.ptr + 8);
		break;
	case 0x21: /* TCP over IPv6 */
		if (block.len < V2_IPV6)
			return false;
		memcpy(from.ip, block.ptr, 16);
		from.port = get_u16(block.ptr + 32);
		break;
	case 0x31: /* unix stream */
		if (block.len < V2_UNIX)
			return false;
		from.is_unix = 1;
		break;
	default:
		return true;
	}
	*client = from;
	return true;
}

static enum proxy_header_result parse_v2(struct slice input, struct sock_peer *client, size_t *len, const char **sentence) {
	uint8_t command, family;

	if (input.len > 12 && (input.ptr[12] >> 4 != 2 || (input.ptr[12] & 0x0f) > 1))
		return bad(sentence, "the version or the command is unknown");
	if (input.len > 13 && (input.ptr[13] >> 4 > 3 || (input.ptr[13] & 0x0f) > 2))
		return bad(sentence, "the address family or the transport is unknown");
	if (input.len < V2_FIXED)
		return PROXY_HEADER_MORE;
	*len = V2_FIXED + (size_t)get_u16(input.ptr + 14);
	if (*len > PROXY_HEADER_MAX)
		return bad(sentence, "it is too long");
	if (input.len < *len)
		return PROXY_HEADER_MORE;
	command = input.ptr[12] & 0x0f;
	family = input.ptr[13];
	if (command == 1 && !take_v2(family, slice_of(input.ptr + V2_FIXED, *len - V2_FIXED), client))
		return bad(sentence, "the addresses are cut short");
	return PROXY_HEADER_DONE;
}

enum proxy_header_result proxy_header_parse(struct slice input, struct sock_peer *client, size_t *len, const char **sentence) {
	if (input.len == 0)
		return PROXY_HEADER_MORE;
	if (begins_with(input, v1_start, sizeof(v1_start) - 1))
		return parse_v1(input, client, len, sentence);
	if (begins_with(input, v2_start, sizeof(v2_start) - 1))
		return parse_v2(input, client, len, sentence);
	return bad(sentence, "the connection does not begin with it");
}
