/*
 * The baseline for streams and seqpacket: one thread, one epoll loop, recv and send, nothing else.
 * It has the back-pressure that a comparison requires: if the send buffer is full, it keeps the
 * rest of the reply, and does not read from that client before the rest is sent.
 *
 *     echo_connections stream|seqpacket PATH
 */
#include "common.h"

enum { READ = 65536, EVENTS = 64 };

struct client {
	int fd;
	char *rest; /* the unsent rest of a reply, or NULL */
	size_t left, start;
};

static int epoll;

static void disconnect(struct client *client)
{
	close(client->fd);
	free(client->rest);
	free(client);
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *client = calloc(1, sizeof *client);

		client->fd = fd;
		watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, client);
	}
}

static void send_rest(struct client *client)
{
	ssize_t sent = send(client->fd, client->rest + client->start, client->left, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN) {
		disconnect(client);
		return;
	}
	if (sent > 0) {
		client->start += sent;
		client->left -= sent;
	}
	if (!client->left) {
		free(client->rest);
		client->rest = NULL;
		watch(epoll, EPOLL_CTL_MOD, client->fd, EPOLLIN, client);
	}
}

static void serve(struct client *client)
{
	static char buffer[READ];
	ssize_t size, sent;

	if (client->rest) {
		send_rest(client);
		return;
	}
	size = recv(client->fd, buffer, sizeof buffer, 0);
	if (size <= 0) {
		if (!size || errno != EAGAIN)
			disconnect(client);
		return;
	}
	sent = send(client->fd, buffer, size, MSG_NOSIGNAL);
	if (sent == size)
		return;
	if (sent < 0 && errno != EAGAIN) {
		disconnect(client);
		return;
	}
	sent = sent < 0 ? 0 : sent;
	client->left = size - sent;
	client->start = 0;
	client->rest = malloc(client->left);
	memcpy(client->rest, buffer + sent, client->left);
	watch(epoll, EPOLL_CTL_MOD, client->fd, EPOLLOUT, client);
}

int main(int count, char **arguments)
{
	struct epoll_event events[EVENTS];
	int listener;

	if (count != 3)
		errx(2, "usage: echo_connections stream|seqpacket PATH");
	listener = bound(arguments[2], type_of(arguments[1]));
	if (listen(listener, 1024))
		err(1, "listen");
	epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	for (;;) {
		int ready = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < ready; i++) {
			if (events[i].data.ptr)
				serve(events[i].data.ptr);
			else
				accept_all(listener);
		}
	}
}
