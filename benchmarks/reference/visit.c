/*
 * Visits: connect, one echo, close; AT_A_TIME of them at once.
 *
 *     visit PATH AT_A_TIME SECONDS
 *
 * It prints a line after the warm-up, and then a line with the visits and the seconds.
 */
#include "common.h"

enum { EVENTS = 256, SIZE = 64 };

static struct sockaddr_un server;
static char message[SIZE];

static void start_visit(int epoll)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (connect(fd, (struct sockaddr *)&server, sizeof server))
		err(1, "connect %s", server.sun_path);
	if (send(fd, message, SIZE, MSG_NOSIGNAL) != SIZE)
		err(1, "send");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err(1, "epoll_ctl");
}

static unsigned long run(int epoll, double until)
{
	struct epoll_event events[EVENTS];
	char buffer[SIZE];
	unsigned long visits = 0;

	while (now() < until) {
		int ready = epoll_wait(epoll, events, EVENTS, 1000);

		for (int i = 0; i < ready; i++) {
			if (recv(events[i].data.fd, buffer, SIZE, 0) != SIZE)
				errx(1, "no reply of %d bytes", SIZE);
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

	if (count != 4)
		errx(2, "usage: visit PATH AT_A_TIME SECONDS");
	server = address(arguments[1]);
	seconds = atof(arguments[3]);
	memset(message, 'x', SIZE);
	message[SIZE - 1] = '\n';
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
