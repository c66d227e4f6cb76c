/*
 * The load: clients in one thread, each with IN_FLIGHT messages in flight. It is a closed loop: each
 * reply triggers the next message. After a warm-up it counts the replies of SECONDS seconds, and its
 * own processor time.
 *
 *     load [-m MESSAGE] [-r BYTES] TYPE PATH CLIENTS SIZE IN_FLIGHT SECONDS [PATH...]
 *
 * SIZE: bytes of a message, which ends in a newline; MESSAGE replaces it. BYTES: the length of its
 * reply, if it is another. With several PATHs, the clients take them in turns. It prints a line after the warm-up, and then a line with the replies, the seconds, and the
 * seconds of processor time.
 */
#include "common.h"
#include <sys/resource.h>

enum { EVENTS = 256, LARGEST = 1 << 20 };

struct client {
	int fd;
	size_t received; /* bytes of an incomplete reply */
	size_t unsent;   /* bytes of messages that the send buffer did not take */
};

static int epoll, type;
static size_t in_flight;
static struct exchange exchange;
static char *message, *buffer;
static unsigned long replies;

static struct client *connected(const char *path)
{
	struct sockaddr_un server = address(path);
	struct client *client = calloc(1, sizeof *client);
	sa_family_t unnamed = AF_UNIX;

	client->fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	/* Without an address a datagram client gets no reply: autobind, unix(7). */
	if (type == SOCK_DGRAM && bind(client->fd, (struct sockaddr *)&unnamed, sizeof unnamed))
		err(1, "bind");
	if (connect(client->fd, (struct sockaddr *)&server, sizeof server))
		err(1, "connect %s", path);
	return client;
}

/* Send bytes on a stream, whole messages on other types. */
static void transmit(struct client *client, size_t bytes)
{
	size_t size = exchange.size;
	ssize_t sent;

	for (bytes += client->unsent; bytes; bytes -= sent) {
		size_t offset = (size - bytes % size) % size;
		size_t most = type == SOCK_STREAM ? bytes : size;

		sent = send(client->fd, message + offset, most, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0) {
			if (errno != EAGAIN && errno != ENOBUFS)
				err(1, "send");
			break;
		}
	}
	if (!bytes != !client->unsent)
		watch(epoll, EPOLL_CTL_MOD, client->fd, bytes ? EPOLLIN | EPOLLOUT : EPOLLIN, client);
	client->unsent = bytes;
}

static void receive(struct client *client)
{
	ssize_t got = recv(client->fd, buffer, LARGEST, MSG_DONTWAIT);
	size_t whole = 1;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		errx(1, "the server closed the connection: %s", got ? strerror(errno) : "end of file");
	if (type == SOCK_STREAM) {
		client->received += got;
		if (client->received > exchange.reply * in_flight)
			errx(1, "replies of more than %zu bytes", exchange.reply);
		whole = client->received / exchange.reply;
		client->received %= exchange.reply;
	} else if ((size_t)got != exchange.reply) {
		errx(1, "a reply of %zd bytes, expected %zu", got, exchange.reply);
	}
	replies += whole;
	if (whole)
		transmit(client, whole * exchange.size);
}

static double processor_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void run(double until)
{
	struct epoll_event events[EVENTS];

	while (now() < until) {
		int ready = epoll_wait(epoll, events, EVENTS, 1000);

		for (int i = 0; i < ready; i++) {
			if (events[i].events & EPOLLOUT)
				transmit(events[i].data.ptr, 0);
			if (events[i].events & ~EPOLLOUT)
				receive(events[i].data.ptr);
		}
	}
}

int main(int count, char **arguments)
{
	double seconds, start, used;
	long clients;
	size_t size;

	exchange = exchange_of(&count, &arguments);
	if (count < 7)
		errx(2, "usage: load [-m MESSAGE] [-r BYTES] TYPE PATH CLIENTS SIZE IN_FLIGHT SECONDS [PATH...]");
	type = type_of(arguments[1]);
	clients = atol(arguments[3]);
	size = atol(arguments[4]);
	in_flight = atol(arguments[5]);
	seconds = atof(arguments[6]);
	if (!size || !in_flight || size * in_flight > LARGEST)
		errx(2, "SIZE times IN_FLIGHT: 1 to %d", LARGEST);
	buffer = malloc(LARGEST);
	message = messages(&exchange, size, in_flight + 1);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (long i = 0; i < clients; i++) {
		long which = i % (count - 6);
		struct client *client = connected(arguments[which ? which + 6 : 2]);

		watch(epoll, EPOLL_CTL_ADD, client->fd, EPOLLIN, client);
		transmit(client, exchange.size * in_flight);
	}
	run(now() + seconds / 4); /* warm-up */
	puts("started");
	fflush(stdout);
	replies = 0;
	used = processor_seconds();
	start = now();
	run(start + seconds);
	printf("%lu %.6f %.6f\n", replies, now() - start, processor_seconds() - used);
}
