/*
 * The baselines for datagrams: one thread, one epoll loop; each datagram is sent back.
 *
 *     echo_datagrams PATH [batch]      batch: recvmmsg and sendmmsg instead of recvfrom and sendto
 */
#include "common.h"

enum { BATCH = 64, LARGEST = 65536 };

static void one_by_one(int fd)
{
	static char buffer[LARGEST];
	struct sockaddr_un sender;
	socklen_t length = sizeof sender;
	ssize_t size;

	while ((size = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&sender, &length)) >= 0) {
		sendto(fd, buffer, size, 0, (struct sockaddr *)&sender, length);
		length = sizeof sender;
	}
}

static void in_batches(int fd)
{
	static char buffers[BATCH][LARGEST];
	static struct sockaddr_un senders[BATCH];
	static struct iovec vectors[BATCH];
	static struct mmsghdr messages[BATCH];
	int received;

	for (;;) {
		for (int i = 0; i < BATCH; i++) {
			vectors[i] = (struct iovec){buffers[i], LARGEST};
			messages[i].msg_hdr = (struct msghdr){
			    .msg_name = &senders[i], .msg_namelen = sizeof senders[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
		}
		received = recvmmsg(fd, messages, BATCH, 0, NULL);
		if (received <= 0)
			return;
		for (int i = 0; i < received; i++)
			vectors[i].iov_len = messages[i].msg_len;
		for (int sent = 0; sent < received;) {
			int more = sendmmsg(fd, messages + sent, received - sent, 0);

			sent += more > 0 ? more : 1; /* it stops at the first failure: drop that datagram */
		}
	}
}

int main(int count, char **arguments)
{
	struct epoll_event event;
	int fd, epoll;

	if (count != 2 && (count != 3 || strcmp(arguments[2], "batch")))
		errx(2, "usage: echo_datagrams PATH [batch]");
	fd = bound(arguments[1], SOCK_DGRAM);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, NULL);
	for (;;) {
		if (epoll_wait(epoll, &event, 1, -1) != 1)
			continue;
		if (count == 3)
			in_batches(fd);
		else
			one_by_one(fd);
	}
}
