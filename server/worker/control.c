/* control - messages of the master, with descriptors */
#include "server/worker/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { MESSAGE_BYTES = 2 };

union control_room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

bool control_send(int socket, const struct control_message *m) {
	uint8_t bytes[MESSAGE_BYTES] = { (uint8_t)m->what, (uint8_t)m->slot };
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control_room room = { .bytes = { 0 } };

	if (m->fd >= 0) {
		struct cmsghdr *head;

		message.msg_control = room.bytes;
		message.msg_controllen = sizeof(room.bytes);
		head = CMSG_FIRSTHDR(&message);
		*head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(head), &m->fd, sizeof(int));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(bytes);
}

enum control_result control_receive(int socket, struct control_message *m) {
	uint8_t bytes[MESSAGE_BYTES];
	struct iovec iov = { bytes, sizeof(bytes) };
	union control_room room;
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof(room.bytes) };
	ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *head;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return CONTROL_AGAIN;
	if (got < (ssize_t)sizeof(bytes))
		return CONTROL_GONE;
	*m = (struct control_message){ .what = (enum control_byte)bytes[0], .slot = bytes[1], .fd = -1 };
	head = CMSG_FIRSTHDR(&message);
	if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		memcpy(&m->fd, CMSG_DATA(head), sizeof(int));
	return CONTROL_GOT;
}
