/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/leftovers/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/ip.h"
#include "common/rules/leftovers.h"
#include "daemon/os/fd.h"
#include "daemon/host/nft.h"
#include "daemon/operator/log.h"
#include "daemon/os/clock.h"
#include "daemon/operator/messages.h"
#include "daemon/process/spawn.h"

/* More than that is not a host's firewall; pages that nobody writes to cost nothing. */
#define SAVE_BYTES    ((size_t)32 * 1024 * 1024)
#define DEADLINE_USEC ((uint64_t)5 * 1000 * 1000)

static const char *const save_tools[FAMILY_COUNT] = { "iptables-nft-save", "ip6tables-nft-save" };
static const char *const restore_tools[FAMILY_COUNT] = { "iptables-nft-restore",
							 "ip6tables-nft-restore" };

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

/* Runs a tool as root with a clean environment; what it prints is collected in buf (SAVE_BYTES). */
static int run_tool(const char *const *argv, int stdin_fd, uint64_t deadline_usec, char *buf,
		    struct error *err)
{
	static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
						   NULL };
	const char *name = argv[0];
	uint64_t now = clock_usec();
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
	char end[SPAWN_END_MAX];
	int r;

	if (!find_tool(name, path, sizeof(path)))
		return error_set(err, -ENOENT, "%s, which could remove it, is not on this host",
				 name);
	if (now >= deadline_usec)
		return error_set(err, -ETIMEDOUT, "run %s: there is no time left", name);
	r = spawn_collect(&spec, deadline_usec - now, buf, SAVE_BYTES, end, err);
	if (r < 0 || !*end)
		return r;
	if (stdin_fd < 0)
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = ' '; /* the reason may stand in the second line */
	buf[strcspn(buf, "\n")] = '\0';
	return error_set(err, -EIO, "run %s: it %s%s%.300s", name, end, buf[0] ? ": " : "", buf);
}
static int restore(enum family family, const char *text, uint64_t deadline_usec, char *buf,
		   struct error *err)
{
	const char *const argv[] = { restore_tools[family], "--noflush", NULL };
	_close_ int fd = memfd_create("rules", MFD_CLOEXEC);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
		return error_sys(err, errno ? -errno : -EIO, "write what has to go");
	return run_tool(argv, fd, deadline_usec, buf, err);
}

static void add_all(struct arena *arena, enum family family, const struct string_list *from,
		    struct string_list *to)
{
	for (size_t i = 0; i < from->n; i++)
		array_push(arena, to,
			   arena_printf(arena, "nf_tables %s %s", family_name(family),
					from->items[i]));
}

static int take_family(enum family family, bool dry_run, uint64_t deadline_usec,
		       struct netfilter_report *report, struct error *err)
{
	const char *const argv[] = { save_tools[family], NULL };
	_free_ char *buf = malloc(SAVE_BYTES);
	struct leftovers found;
	int r;

	if (!buf)
		return error_sys(err, -ENOMEM, "read the rules");
	r = run_tool(argv, -1, deadline_usec, buf, err);
	if (r < 0)
		return r;
	if (strlen(buf) == SAVE_BYTES - 1)
		return error_set(err, -EFBIG, "%s prints more than %zu MiB", argv[0],
				 SAVE_BYTES >> 20);
	leftovers_find(&report->arena, buf, &found);
	if (report->arena.failed)
		return error_sys(err, -ENOMEM, "read the rules");
	/* Nothing but what has a name like ours somewhere, or chains left for others to jump to. A
	 * table that nft was used on may be too much for the tool, which then says so. */
	if (!found.text && strstr(buf, "is incompatible"))
		return error_set(err, -EIO, "%s cannot show it", argv[0]);
	if (!found.text)
		return 0;
	if (!dry_run)
		r = restore(family, found.text, deadline_usec, buf, err);
	if (r < 0)
		return r;
	add_all(&report->arena, family, &found.removed, &report->removed);
	add_all(&report->arena, family, &found.left, &report->left);
	return 0;
}

int takeover_nft(bool dry_run, uint64_t timeout_usec, struct netfilter_report *report,
		 struct error *err)
{
	uint64_t deadline_usec = clock_usec() + timeout_usec;
	bool left[FAMILY_COUNT] = { 0 };
	struct error later;
	int r = host_nft_leftovers(left, err);

	/* What one family cannot do is no reason to leave the other's. */
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		struct error *told = r < 0 ? &later : err;
		int taken = left[f] ? take_family(f, dry_run, deadline_usec, report, told) : 0;

		r = r < 0 ? r : taken;
	}
	return r < 0 ? error_wrap(err, r, "remove what kumactl left in nf_tables") : 0;
}

bool takeover_now(const char *whom)
{
	_cleanup_(netfilter_report_done) struct netfilter_report report = { 0 };
	struct error err = { 0 };
	int r = takeover_nft(false, DEADLINE_USEC, &report, &err);

	if (r < 0)
		log_warning("Cannot %s", err.text);
	for (size_t i = 0; i < report.left.n; i++)
		log_warning("%s", report.left.items[i]);
	if (report.removed.n)
		log_event(LOG_LEVEL_NOTICE, MSG_FOREIGN_RULES, NULL,
			  "Took over what kumactl had put into nf_tables%s%s",
			  whom ? ", last changed by " : "", whom ? whom : "");
	return r < 0 || report.left.n || report.removed.n;
}
