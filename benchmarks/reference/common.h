/* Shared by the baseline servers and the load generators: addresses, messages, errors, time. */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline int type_of(const char *name)
{
	if (!strcmp(name, "stream"))
		return SOCK_STREAM;
	if (!strcmp(name, "seqpacket"))
		return SOCK_SEQPACKET;
	if (!strcmp(name, "datagram"))
		return SOCK_DGRAM;
	errx(2, "%s: expected stream, seqpacket or datagram", name);
}

static inline struct sockaddr_un address(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof name.sun_path)
		errx(2, "%s: path longer than %zu bytes", path, sizeof name.sun_path - 1);
	strcpy(name.sun_path, path);
	return name;
}

static inline int bound(const char *path, int type)
{
	struct sockaddr_un name = address(path);
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name))
		err(1, "bind %s", path);
	return fd;
}

static inline void watch(int epoll, int operation, int fd, unsigned events, void *data)
{
	struct epoll_event event = {.events = events, .data.ptr = data};

	if (epoll_ctl(epoll, operation, fd, &event))
		err(1, "epoll_ctl");
}

/* The request of a load, and the length of its reply. */
struct exchange {
	const char *text; /* NULL: `size` bytes that end in a newline */
	size_t size, reply;
};

/*
 * Take the options off the arguments: -m MESSAGE sends it instead of `size` bytes, -r BYTES is the
 * length of the reply, which is otherwise that of the message.
 */
static inline struct exchange exchange_of(int *count, char ***arguments)
{
	struct exchange exchange = {0};

	for (int option; (option = getopt(*count, *arguments, "+m:r:")) != -1;) {
		if (option == 'm' && *optarg)
			exchange.text = optarg;
		else if (option == 'r')
			exchange.reply = strtoul(optarg, NULL, 10);
		else
			exit(2);
	}
	*count -= optind - 1;
	*arguments += optind - 1;
	return exchange;
}

/* Set the missing sizes, and return the message so many times in a row. */
static inline char *messages(struct exchange *exchange, size_t size, size_t times)
{
	char *all;

	exchange->size = exchange->text ? strlen(exchange->text) : size;
	if (!exchange->reply)
		exchange->reply = exchange->size;
	size = exchange->size;
	all = malloc(size * times);
	memset(all, 'x', size * times);
	for (char *each = all; each < all + size * times; each += size) {
		if (exchange->text)
			memcpy(each, exchange->text, size);
		else
			each[size - 1] = '\n';
	}
	return all;
}

static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

#endif
