/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Commands, one after the other, again and again:
 *
 *     measure TIMES -- [<FILE] COMMAND… [-- [<FILE] COMMAND…]…
 *
 * Prints for each "MEDIAN MIN MAX CPU RSS": microseconds from fork to the end, those on a processor
 * on average (its children's too), and the largest resident set in kB. What a command says goes to
 * stderr when it fails. (A small program: a child counts the memory of its parent as its own until
 * it executes something else.)
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 8

struct command {
	char **argv;
	const char *input;
	uint64_t *usec, cpu_usec;
	long rss;
};

static void die(const char *what)
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

static uint64_t usec_of(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

static void become(const struct command *command)
{
	int in = open(command->input ? command->input : "/dev/null", O_RDONLY);

	if (in < 0)
		die(command->input);
	(void)dup2(in, STDIN_FILENO);
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(command->argv[0], command->argv);
	die(command->argv[0]);
}

static void run(struct command *command, size_t n)
{
	uint64_t begin = now_usec();
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		become(command);
	while (wait4(pid, &status, 0, &usage) < 0)
		if (errno != EINTR)
			die("wait4");
	command->usec[n] = now_usec() - begin;
	command->cpu_usec += usec_of(&usage.ru_utime) + usec_of(&usage.ru_stime);
	if (usage.ru_maxrss > command->rss)
		command->rss = usage.ru_maxrss;
	if (status != 0) {
		(void)fprintf(stderr, "%s: status %#x\n", command->argv[0], (unsigned)status);
		exit(1);
	}
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* Cuts the arguments at each "--". */
static size_t parse(char **argv, struct command *commands)
{
	size_t n = 0;

	for (; *argv; argv++) {
		if (strcmp(*argv, "--") != 0)
			continue;
		*argv = NULL;
		if (n == COMMANDS_MAX)
			exit(64);
		if (argv[1] && argv[1][0] == '<')
			commands[n].input = *++argv + 1;
		commands[n++].argv = argv + 1;
	}
	return n;
}

int main(int argc, char **argv)
{
	struct command commands[COMMANDS_MAX] = { 0 };
	size_t times = argc > 1 ? (size_t)atoi(argv[1]) : 0, n = 0;

	if (argc > 3)
		n = parse(argv + 2, commands);
	if (n == 0 || times == 0) {
		(void)fputs("usage: see measure.c\n", stderr);
		return 64;
	}
	for (size_t i = 0; i < n; i++) {
		commands[i].usec = calloc(times, sizeof(uint64_t));
		if (!commands[i].usec)
			die("calloc");
	}
	for (size_t t = 0; t < times; t++)
		for (size_t i = 0; i < n; i++)
			run(&commands[i], t);
	for (size_t i = 0; i < n; i++) {
		uint64_t *usec = commands[i].usec;

		qsort(usec, times, sizeof(*usec), compare_u64);
		(void)printf("%lu %lu %lu %lu %ld\n", usec[times / 2], usec[0], usec[times - 1],
			     commands[i].cpu_usec / times, commands[i].rss);
		free(usec);
	}
	return 0;
}
