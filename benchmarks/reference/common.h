/* Shared by the baseline servers and the load generators: addresses, errors, time. */
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

static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

#endif
