/*
 * The latency of one client on a stream: it sends 64 bytes and waits for the reply, again and again.
 *
 *     latency PATH SECONDS
 *
 * After a warm-up it measures for SECONDS seconds. It prints the median and the 99th percentile in
 * microseconds.
 */
#include "common.h"

enum { SIZE = 64, LONGEST = 10 };

static char message[SIZE];

/* Seconds from the request to the end of its reply. */
static double round_trip(int fd)
{
	char buffer[SIZE];
	double start = now();

	if (send(fd, message, SIZE, MSG_NOSIGNAL) != SIZE)
		err(1, "send");
	errno = 0;
	if (recv(fd, buffer, SIZE, MSG_WAITALL) != SIZE)
		errx(1, "no reply of %d bytes within %d s: %s", SIZE, LONGEST, errno ? strerror(errno) : "end of file");
	return now() - start;
}

static int by_size(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

int main(int count, char **arguments)
{
	struct timeval longest = {.tv_sec = LONGEST};
	struct sockaddr_un server;
	size_t replies = 0, most = 0;
	double *latencies = NULL, seconds, until;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (count != 3)
		errx(2, "usage: latency PATH SECONDS");
	server = address(arguments[1]);
	seconds = atof(arguments[2]);
	memset(message, 'x', SIZE);
	message[SIZE - 1] = '\n';
	if (connect(fd, (struct sockaddr *)&server, sizeof server))
		err(1, "connect %s", arguments[1]);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest))
		err(1, "setsockopt");
	for (until = now() + seconds / 4; now() < until;) /* warm-up */
		round_trip(fd);
	until = now() + seconds;
	do {
		if (replies == most) {
			most = most ? 2 * most : 4096;
			latencies = realloc(latencies, most * sizeof *latencies);
			if (!latencies)
				err(1, "realloc");
		}
		latencies[replies++] = round_trip(fd);
	} while (now() < until);
	qsort(latencies, replies, sizeof *latencies, by_size);
	printf("%.3f %.3f\n", latencies[(replies - 1) / 2] * 1e6, latencies[(replies * 99 + 99) / 100 - 1] * 1e6);
}
