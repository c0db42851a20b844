/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/attr.h"
#include "common/base/error.h"
#include "daemon/host/files.h"
#include "daemon/process/spawn.h"

#define VERSION_TIMEOUT_USEC ((uint64_t)5 * 1000 * 1000)
#define NOBODY               65534 /* asks as long as the kuma-dp user does not exist */

static void identify(struct facts_program *program)
{
	struct stat st;

	if (stat(program->path, &st) == 0)
		program->identity = (struct facts_identity){
			.device = st.st_dev,
			.inode = st.st_ino,
			.size = (uint64_t)st.st_size,
			.changed_nsec = (uint64_t)st.st_ctim.tv_sec * 1000000000 +
					(uint64_t)st.st_ctim.tv_nsec,
		};
}

/* The path that was given, else the first of the name in the usual places. */
static void find(struct arena *arena, const struct facts_user *user, const char *given,
		 const char *name, struct facts_program *ret)
{
	static const char *const directories[] = { "/usr/local/bin", "/usr/bin", "/opt/kuma/bin" };

	if (given[0])
		ret->path = given;
	for (size_t i = 0; i < ELEMENTS(directories) && !ret->path; i++) {
		const char *path = arena_printf(arena, "%s/%s", directories[i], name);

		if (path && access(path, F_OK) == 0)
			ret->path = path;
	}
	if (!ret->path)
		return;
	host_file(arena, user, ret->path, HOST_FILE_EXECUTE, &ret->file);
	identify(ret);
}

/* Runs "PATH ARGUMENT" as the user and returns its output, or NULL with the reason in problem. */
static const char *ask(struct arena *arena, const struct facts_user *user, const char *path,
		       const char *argument, const char **problem)
{
	const char *const argv[] = { path, argument, NULL };
	const char *const environment[] = { "PATH=/usr/bin:/bin", "HOME=/", "LC_ALL=C", NULL };
	struct exec_spec spec = {
		.name = strrchr(path, '/') + 1,
		.path = path,
		.argv = argv,
		.environ = environment,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
		.uid = user->found ? user->uid : NOBODY,
		.gid = user->found ? user->gid : NOBODY,
		.groups = user->groups,
		.n_groups = user->n_groups,
		.umask = 0077,
	};
	struct error err = { 0 };
	char output[8192], end[SPAWN_END_MAX];

	/* Without root we can only be ourselves; the answer is the same. */
	if (geteuid() != 0) {
		spec.uid = geteuid();
		spec.gid = getegid();
		spec.n_groups = 0;
	}
	if (spawn_collect(&spec, VERSION_TIMEOUT_USEC, output, sizeof(output), end, &err) < 0)
		*problem = arena_strdup(arena, err.text);
	else if (*end)
		*problem = arena_printf(arena, "%s %s %s", path, argument, end);
	else
		return arena_strdup(arena, output);
	return NULL;
}

/* Asks for "x.y.z" (a suffix such as "-preview" may follow), which stands where prefix ends. */
static void ask_version(struct arena *arena, const struct facts_user *user, const char *argument,
			const char *prefix, struct facts_program *program)
{
	const char *output = ask(arena, user, program->path, argument, &program->version_problem);
	const char *at = output ? strstr(output, prefix) : NULL;
	unsigned major, minor, patch;

	if (at && sscanf(at + strlen(prefix), "%3u.%3u.%3u", &major, &minor, &patch) == 3) {
		program->major = major;
		program->minor = minor;
		program->patch = patch;
	} else if (output) {
		program->version_problem =
			arena_printf(arena, "%s answers with \"%.*s\" instead of a version",
				     program->path, (int)strcspn(output, "\n"), output);
	}
}

/* Whether the program is one whose version is known; what is known of it is then taken over. */
static bool recall(const struct facts_program *known, struct facts_program *program)
{
	if (!known->path || strcmp(known->path, program->path) != 0 || !program->identity.inode ||
	    memcmp(&known->identity, &program->identity, sizeof(known->identity)) != 0 ||
	    !(known->major || known->minor || known->patch || known->has_alternate))
		return false;
	program->major = known->major;
	program->minor = known->minor;
	program->patch = known->patch;
	program->has_alternate = known->has_alternate;
	return true;
}

/* Whether a plugin of that name is listed ("  dns.alternate" on a line of its own). */
static bool has_plugin(const char *list, const char *plugin)
{
	size_t len = strlen(plugin);

	for (const char *at = strstr(list, plugin); at; at = strstr(at + len, plugin))
		if ((at == list || !isalnum((unsigned char)at[-1])) &&
		    !isalnum((unsigned char)at[len]))
			return true;
	return false;
}

/* Whether coredns may be run, and what it can do therefore counts. */
static bool may_run_core_dns(const struct config *config, const struct facts_program *kuma_dp)
{
	switch (config->core_dns.mode) {
	case CORE_DNS_OFF:
	case CORE_DNS_EMBEDDED:
		return false;
	case CORE_DNS_AUTO:
		return kuma_dp->major < 3 && config_redirects_dns(config);
	case CORE_DNS_KUMA_DP:
	case CORE_DNS_TPROXYD:
		break;
	}
	return true;
}

void host_programs(struct arena *arena, const struct config *config, struct facts *facts)
{
	const struct facts_user *user = &facts->asked;
	enum core_dns_mode mode = config->core_dns.mode;
	const struct facts_program known = facts->kuma_dp, known_core_dns = facts->core_dns;
	struct facts_program *core_dns = &facts->core_dns;
	const char *output = NULL;

	facts->kuma_dp = facts->core_dns = (struct facts_program){ 0 };

	find(arena, user, config->kuma_dp.path, "kuma-dp", &facts->kuma_dp);
	find(arena, user, config->kuma_dp.envoy_path, "envoy", &facts->envoy);
	if (mode != CORE_DNS_OFF && mode != CORE_DNS_EMBEDDED)
		find(arena, user, config->core_dns.path, "coredns", core_dns);
	/* `kuma-dp version` prints "PRODUCT: VERSION"; the product differs between distributions. */
	if (facts->kuma_dp.path && !facts->kuma_dp.file.problem && !recall(&known, &facts->kuma_dp))
		ask_version(arena, user, "version", ": ", &facts->kuma_dp);
	if (!may_run_core_dns(config, &facts->kuma_dp) || !core_dns->path ||
	    core_dns->file.problem || recall(&known_core_dns, core_dns))
		return;
	output = ask(arena, user, core_dns->path, "-plugins", &core_dns->version_problem);
	core_dns->has_alternate = output && has_plugin(output, "alternate");
	/* Kuma's build can do all that is asked of it, whatever its version. */
	if (output && !core_dns->has_alternate)
		ask_version(arena, user, "-version", "CoreDNS-", core_dns);
}
