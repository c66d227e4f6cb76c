/*
 * Visits: connect, one echo, close; AT_A_TIME of them at once.
 *
 *     visit [-m MESSAGE] [-r BYTES] PATH AT_A_TIME SECONDS
 *
 * MESSAGE: instead of 64 bytes. BYTES: the length of the reply, if it is another.
 * It prints a line after the warm-up, and then a line with the visits and the seconds.
 */
#include "common.h"

enum { EVENTS = 256, SIZE = 64, LARGEST = 4096 };

static struct sockaddr_un server;
static struct exchange exchange;
static char *message;

static void start_visit(int epoll)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (connect(fd, (struct sockaddr *)&server, sizeof server))
		err(1, "connect %s", server.sun_path);
	if (send(fd, message, exchange.size, MSG_NOSIGNAL) != (ssize_t)exchange.size)
		err(1, "send");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err(1, "epoll_ctl");
}

static unsigned long run(int epoll, double until)
{
	struct epoll_event events[EVENTS];
	char buffer[LARGEST];
	unsigned long visits = 0;

	while (now() < until) {
		int ready = epoll_wait(epoll, events, EVENTS, 1000);

		for (int i = 0; i < ready; i++) {
			if (recv(events[i].data.fd, buffer, LARGEST, 0) != (ssize_t)exchange.reply)
				errx(1, "no reply of %zu bytes", exchange.reply);
			close(events[i].data.fd);
			visits++;
			start_visit(epoll);
		}
	}
	return visits;
}

int main(int count, char **arguments)
{
	double seconds, start;
	unsigned long visits;
	int epoll;

	exchange = exchange_of(&count, &arguments);
	if (count != 4)
		errx(2, "usage: visit [-m MESSAGE] [-r BYTES] PATH AT_A_TIME SECONDS");
	server = address(arguments[1]);
	seconds = atof(arguments[3]);
	message = messages(&exchange, SIZE, 1);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (long i = atol(arguments[2]); i > 0; i--)
		start_visit(epoll);
	run(epoll, now() + seconds / 4); /* warm-up */
	puts("started");
	fflush(stdout);
	start = now();
	visits = run(epoll, start + seconds);
	printf("%lu %.6f\n", visits, now() - start);
}
