/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/leftovers/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/ip.h"
#include "common/rules/leftovers.h"
#include "daemon/os/fd.h"
#include "daemon/host/nft.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/process/spawn.h"

/* More than that is not a host's firewall; pages that nobody writes to cost nothing. */
#define SAVE_BYTES    ((size_t)32 * 1024 * 1024)
#define ERROR_BYTES   ((size_t)400)
#define DEADLINE_USEC ((uint64_t)5 * 1000 * 1000)

struct tools {
	const char *save, *restore;
};

static const struct tools tools[FAMILY_COUNT] = {
	[FAMILY_V4] = { "iptables-nft-save", "iptables-nft-restore" },
	[FAMILY_V6] = { "ip6tables-nft-save", "ip6tables-nft-restore" },
};

static uint64_t now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Where the host keeps them, not what a PATH says. */
static bool find_tool(const char *name, char *ret_path, size_t size)
{
	static const char *const directories[] = { "/usr/sbin", "/sbin", "/usr/bin", "/bin" };

	for (size_t i = 0; i < ELEMENTS(directories); i++) {
		(void)snprintf(ret_path, size, "%s/%s", directories[i], name);
		if (access(ret_path, X_OK) == 0)
			return true;
	}
	return false;
}

/* Runs a tool as root with a clean environment; what it prints is collected. Its parameters are
 * those of spawn_collect(), and the words that differ between a save and a restore. */
static int run_tool(const char *name, const char *argument, int stdin_fd, uint64_t deadline_usec,
		    char *buf, size_t size, struct error *err)
{
	static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
						   NULL };
	const char *const argv[] = { name, argument, NULL };
	uint64_t now = now_usec();
	char path[64];
	const struct exec_spec spec = {
		.name = name,
		.path = path,
		.argv = argv,
		.environ = environment,
		.stdin_fd = stdin_fd,
		/* Of a save only the rules are wanted; what a restore says is its complaint. */
		.stderr_fd = stdin_fd < 0 ? -1 : SPAWN_STDOUT,
		.umask = 0077,
		.privileged = true,
	};
	int status, r;

	if (!find_tool(name, path, sizeof(path)))
		return error_set(err, -ENOENT, "%s, which could remove it, is not on this host",
				 name);
	if (now >= deadline_usec)
		return error_set(err, -ETIMEDOUT, "run %s: there is no time left", name);
	r = spawn_collect(&spec, deadline_usec - now, buf, size, &status, err);
	if (r < 0)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (stdin_fd < 0)
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = ' '; /* the reason may stand in the second line */
	buf[strcspn(buf, "\n")] = '\0';
	return error_set(err, -EIO, "run %s: it failed with status %#x%s%.300s", name,
			 (unsigned)status, buf[0] ? ": " : "", buf);
}

static int save(enum family family, uint64_t deadline_usec, char *buf, struct error *err)
{
	int r = run_tool(tools[family].save, NULL, -1, deadline_usec, buf, SAVE_BYTES, err);

	if (r < 0)
		return r;
	if (strlen(buf) == SAVE_BYTES - 1)
		return error_set(err, -EFBIG, "%s prints more than %zu MiB", tools[family].save,
				 SAVE_BYTES >> 20);
	return 0;
}

static int restore(enum family family, const char *text, uint64_t deadline_usec, struct error *err)
{
	_close_ int fd = memfd_create("rules", MFD_CLOEXEC);
	char complaint[ERROR_BYTES];
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
		return error_sys(err, errno ? -errno : -EIO, "write what has to go");
	return run_tool(tools[family].restore, "--noflush", fd, deadline_usec, complaint,
			sizeof(complaint), err);
}

static void add_all(struct takeover *takeover, enum family family, const struct string_list *from,
		    struct string_list *to)
{
	for (size_t i = 0; i < from->n; i++)
		array_push(&takeover->arena, to,
			   arena_printf(&takeover->arena, "nf_tables %s %s", family_name(family),
					from->items[i]));
}

static int take_family(enum family family, bool dry_run, uint64_t deadline_usec,
		       struct takeover *takeover, struct error *err)
{
	_free_ char *buf = malloc(SAVE_BYTES);
	struct leftovers found;
	int r;

	if (!buf)
		return error_sys(err, -ENOMEM, "read the rules");
	r = save(family, deadline_usec, buf, err);
	if (r < 0)
		return r;
	leftovers_find(&takeover->arena, buf, &found);
	if (takeover->arena.failed)
		return error_sys(err, -ENOMEM, "read the rules");
	/* Nothing but what has a name like ours somewhere, or chains left for others to jump to. A
	 * table that nft was used on may be too much for the tool, which then says so. */
	if (!found.text && strstr(buf, "is incompatible"))
		return error_set(err, -EIO, "%s cannot show it", tools[family].save);
	if (!found.text)
		return 0;
	if (!dry_run)
		r = restore(family, found.text, deadline_usec, err);
	if (r < 0)
		return r;
	add_all(takeover, family, &found.removed, &takeover->removed);
	add_all(takeover, family, &found.left, &takeover->left);
	return 0;
}

int takeover_nft(bool dry_run, uint64_t timeout_usec, struct takeover *ret, struct error *err)
{
	uint64_t deadline_usec = now_usec() + timeout_usec;
	bool left[FAMILY_COUNT] = { 0 };
	struct error later;
	int r;

	*ret = (struct takeover){ 0 };
	r = host_nft_leftovers(left, err);
	if (r == 0 && left[FAMILY_V4])
		r = take_family(FAMILY_V4, dry_run, deadline_usec, ret, err);
	/* What one family cannot do is no reason to leave the other's. */
	if (left[FAMILY_V6]) {
		int r6 = take_family(FAMILY_V6, dry_run, deadline_usec, ret, r < 0 ? &later : err);

		r = r < 0 ? r : r6;
	}
	return r < 0 ? error_wrap(err, r, "remove what kumactl left in nf_tables") : 0;
}

void takeover_done(struct takeover *takeover)
{
	arena_done(&takeover->arena);
}

void takeover_now(void)
{
	_takeover_ struct takeover takeover = { 0 };
	struct error err = { 0 };

	if (takeover_nft(false, DEADLINE_USEC, &takeover, &err) < 0)
		log_warning("Cannot %s", err.text);
	for (size_t i = 0; i < takeover.left.n; i++)
		log_warning("%s", takeover.left.items[i]);
	if (takeover.removed.n)
		log_event(LOG_LEVEL_NOTICE, MSG_FOREIGN_RULES, NULL,
			  "Took over what kumactl had put into nf_tables");
}
