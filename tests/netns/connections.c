/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Whether any connection goes where it should not.
 *
 *     connections serve LETTER PORT         answers each connection with the letter
 *     connections make THREADS PORT ADDRESS…
 *     connections time N PORT ADDRESS       how long a connect() takes: microseconds, the median of N
 *
 * `serve` says "ready" when it listens. `make` opens connection after connection, each thread to
 * one address after the other, until its stdin ends; then it prints how often it read which letter:
 * "a 1234" per letter, "refused N", "silent N" (no answer within two seconds), "longest N"
 * (microseconds until an answer).
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 2000
#define BACKLOG     4096

struct counts {
	uint64_t letter[256], refused, silent, longest_usec;
};

struct thread {
	pthread_t id;
	size_t first; /* the address to begin with */
	struct counts counts;
};

static struct addrinfo **targets;
static size_t n_targets;
static atomic_bool stop;

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int serve(const char *letter, const char *port)
{
	const struct sockaddr_in6 any = {
		.sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)atoi(port)),
	};
	const int on = 1, off = 0;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, BACKLOG) < 0)
		die("listen");
	(void)puts("ready");
	(void)fflush(stdout);
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client < 0)
			continue;
		(void)send(client, letter, 1, MSG_NOSIGNAL);
		(void)close(client);
	}
}

/* Leaves no connection behind that would wait for its end: ports would run out. */
static void hang_up(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)close(fd);
}

static void connect_once(const struct addrinfo *to, struct counts *counts)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t begin = now_usec(), took;
	unsigned char letter;

	if (fd < 0)
		die("socket");
	if (connect(fd, to->ai_addr, to->ai_addrlen) < 0 && errno != EINPROGRESS) {
		counts->refused++;
	} else if (poll(&poll_fd, 1, PATIENCE_MS) <= 0) {
		counts->silent++;
	} else if (recv(fd, &letter, 1, 0) == 1) {
		counts->letter[letter]++;
		took = now_usec() - begin;
		if (took > counts->longest_usec)
			counts->longest_usec = took;
	} else {
		counts->refused++;
	}
	hang_up(fd);
}

static void *make(void *userdata)
{
	struct thread *thread = userdata;

	for (size_t i = thread->first; !stop; i++)
		connect_once(targets[i % n_targets], &thread->counts);
	return NULL;
}

static void print_sums(const struct thread *threads, size_t n)
{
	struct counts sums = { 0 };

	for (size_t t = 0; t < n; t++) {
		const struct counts *counts = &threads[t].counts;

		for (size_t i = 0; i < 256; i++)
			sums.letter[i] += counts->letter[i];
		sums.refused += counts->refused;
		sums.silent += counts->silent;
		if (counts->longest_usec > sums.longest_usec)
			sums.longest_usec = counts->longest_usec;
	}
	for (int i = 0; i < 256; i++)
		if (sums.letter[i])
			(void)printf("%c %lu\n", i, sums.letter[i]);
	(void)printf("refused %lu\nsilent %lu\nlongest %lu\n", sums.refused, sums.silent,
		     sums.longest_usec);
}

static int make_all(size_t n, const char *port, char **addresses, size_t n_addresses)
{
	struct thread *threads = calloc(n, sizeof(*threads));
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	char byte;

	targets = calloc(n_addresses, sizeof(struct addrinfo *));
	if (!threads || !targets)
		die("calloc");
	for (; n_targets < n_addresses; n_targets++)
		if (getaddrinfo(addresses[n_targets], port, &hints, &targets[n_targets]) != 0)
			die(addresses[n_targets]);
	for (size_t i = 0; i < n; i++) {
		threads[i].first = i;
		if (pthread_create(&threads[i].id, NULL, make, &threads[i]) != 0)
			die("pthread_create");
	}
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	stop = true;
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(threads[i].id, NULL);
	print_sums(threads, n);
	for (size_t i = 0; i < n_targets; i++)
		freeaddrinfo(targets[i]);
	free(targets);
	free(threads);
	return 0;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static int time_all(size_t n, const char *port, const char *address)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	uint64_t *nsec = calloc(n, sizeof(*nsec));
	struct addrinfo *to;

	if (!nsec || n == 0 || getaddrinfo(address, port, &hints, &to) != 0)
		die(address);
	for (size_t i = 0; i < n; i++) {
		int fd = socket(to->ai_family, SOCK_STREAM, 0);
		struct timespec begin, end;

		(void)clock_gettime(CLOCK_MONOTONIC, &begin);
		if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) < 0)
			die(address);
		(void)clock_gettime(CLOCK_MONOTONIC, &end);
		nsec[i] = (uint64_t)((end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec -
				     begin.tv_nsec);
		hang_up(fd);
	}
	qsort(nsec, n, sizeof(*nsec), compare_u64);
	(void)printf("%.2f\n", (double)nsec[n / 2] / 1e3);
	freeaddrinfo(to);
	free(nsec);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3]);
	if (argc >= 5 && strcmp(argv[1], "make") == 0)
		return make_all((size_t)atoi(argv[2]), argv[3], argv + 4, (size_t)argc - 4);
	if (argc == 5 && strcmp(argv[1], "time") == 0)
		return time_all((size_t)atoi(argv[2]), argv[3], argv[4]);
	(void)fputs("usage: see connections.c\n", stderr);
	return 64;
}
