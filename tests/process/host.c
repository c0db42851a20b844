/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/host.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/host/files.h"
#include "daemon/host/parts.h"
#include "daemon/host/nft.h"
#include "daemon/netfilter/backends/backends.h"

#define USER  4242
#define GROUP 4243
#define EXTRA 4244

static const gid_t extra[] = { EXTRA };
static const struct facts_user user = {
	.found = true, .name = "proxy", .uid = USER, .gid = GROUP, .groups = extra, .n_groups = 1
};

/* A directory of the test's own below /tmp, which the service sees: it says that it is one. */
struct place {
	char dir[64];
	char path[128];
	struct arena arena;
	struct facts_file file;
};

static void place_init(struct place *place)
{
	if (geteuid() != 0)
		cr_skip_test("needs root to be somebody else");
	*place = (struct place){ 0 };
	strcpy(place->dir, "/tmp/host-test-XXXXXX");
	cr_assert(mkdtemp(place->dir) != NULL);
	cr_assert(chmod(place->dir, 0711) == 0);
	cr_assert(setenv("NOTIFY_SOCKET", "@nobody-listens", 1) == 0);
}

static void place_done(struct place *place)
{
	char command[128];

	arena_done(&place->arena);
	(void)snprintf(command, sizeof(command), "rm -r %s", place->dir);
	cr_expect(system(command) == 0);
}

/* Makes a file of that owner and mode with the text, and judges it. */
static void judge(struct place *place, uid_t uid, gid_t gid, mode_t mode, const char *text,
		  unsigned use)
{
	(void)snprintf(place->path, sizeof(place->path), "%s/file", place->dir);
	FILE *f = fopen(place->path, "we");
	cr_assert(f != NULL);
	cr_assert(fputs(text, f) >= 0);
	cr_assert(fclose(f) == 0);
	cr_assert(chown(place->path, uid, gid) == 0);
	cr_assert(chmod(place->path, mode) == 0);
	host_file(&place->arena, &user, place->path, use, &place->file);
}

static void expect_problem(const struct place *place, const char *end)
{
	const char *problem = place->file.problem;

	cr_assert(problem != NULL, "no problem was seen");
	cr_expect(strncmp(problem, place->path, strlen(place->path)) == 0, "%s", problem);
	cr_expect_str_eq(problem + strlen(place->path), end);
}

Test(host_file, of_root_alone_is_read_by_us_and_not_by_the_user)
{
	struct place p;

	place_init(&p);
	judge(&p, 0, 0, 0600, "secret", HOST_FILE_READ | HOST_FILE_TEXT);
	cr_expect(p.file.exists);
	cr_expect(!p.file.readable_by_user);
	cr_expect(p.file.problem == NULL, "%s", p.file.problem);
	cr_assert(p.file.text != NULL && p.file.len == 6);
	cr_expect_str_eq(p.file.text, "secret");
	judge(&p, 0, 0, 0600, "", HOST_FILE_READ_USER);
	expect_problem(&p, " is not readable by user proxy");
	place_done(&p);
}

Test(host_file, of_the_user_alone_is_closed_to_root_without_override_and_read_all_the_same)
{
	struct place p;

	place_init(&p);
	judge(&p, USER, GROUP, 0400, "token", HOST_FILE_READ | HOST_FILE_TEXT);
	cr_expect(p.file.readable_by_user);
	cr_expect(p.file.problem == NULL);
	cr_assert(p.file.text != NULL);
	cr_expect_str_eq(p.file.text, "token");
	judge(&p, USER, GROUP, 0400, "", HOST_FILE_READ_US);
	expect_problem(&p, " is not readable by root without CAP_DAC_OVERRIDE");
	place_done(&p);
}

Test(host_file, behind_a_directory_of_the_user_exists)
{
	struct place p;

	place_init(&p);
	cr_assert(chown(p.dir, USER, GROUP) == 0 && chmod(p.dir, 0700) == 0);
	judge(&p, USER, GROUP, 0600, "x", HOST_FILE_READ | HOST_FILE_TEXT);
	cr_expect(p.file.exists && p.file.readable_by_user);
	cr_expect(p.file.problem == NULL, "%s", p.file.problem);
	place_done(&p);
}

Test(host_file, of_a_stranger_is_a_problem)
{
	struct place p;

	place_init(&p);
	judge(&p, 4999, 4999, 0600, "x", HOST_FILE_READ | HOST_FILE_TEXT);
	expect_problem(&p,
		       " is readable neither by user proxy nor by root without CAP_DAC_OVERRIDE");
	cr_expect(p.file.text == NULL);
	place_done(&p);
}

Test(host_file, counts_the_groups_of_the_user)
{
	struct place p;

	place_init(&p);
	judge(&p, 4999, EXTRA, 0640, "x", HOST_FILE_READ_USER);
	cr_expect(p.file.readable_by_user);
	judge(&p, 4999, GROUP, 0640, "x", HOST_FILE_READ_USER);
	cr_expect(p.file.readable_by_user);
	judge(&p, 4999, 4998, 0640, "x", HOST_FILE_READ_USER);
	cr_expect(!p.file.readable_by_user);
	place_done(&p);
}

Test(host_file, must_be_executable_by_the_user_not_by_us)
{
	struct place p;

	place_init(&p);
	judge(&p, 0, 0, 0755, "x", HOST_FILE_EXECUTE);
	cr_expect(p.file.problem == NULL);
	judge(&p, 0, 0, 0700, "x", HOST_FILE_EXECUTE);
	expect_problem(&p, " is not executable by user proxy");
	place_done(&p);
}

Test(host_file, that_is_no_regular_file_is_refused_without_waiting)
{
	struct place p;

	place_init(&p);
	(void)snprintf(p.path, sizeof(p.path), "%s/fifo", p.dir);
	cr_assert(mkfifo(p.path, 0666) == 0);
	host_file(&p.arena, &user, p.path, HOST_FILE_READ | HOST_FILE_TEXT, &p.file);
	expect_problem(&p, " is not a regular file");
	strcpy(p.path, p.dir);
	host_file(&p.arena, &user, p.path, HOST_FILE_READ | HOST_FILE_TEXT, &p.file);
	expect_problem(&p, " is not a regular file");
	place_done(&p);
}

Test(host_file, is_not_read_beyond_one_mebibyte)
{
	struct place p;

	place_init(&p);
	judge(&p, 0, 0, 0644, "x", 0);
	cr_assert(truncate(p.path, 1024 * 1024) == 0);
	host_file(&p.arena, &user, p.path, HOST_FILE_READ | HOST_FILE_TEXT, &p.file);
	cr_expect(p.file.problem == NULL && p.file.len == 1024 * 1024);
	cr_assert(truncate(p.path, 1024 * 1024 + 1) == 0);
	host_file(&p.arena, &user, p.path, HOST_FILE_READ | HOST_FILE_TEXT, &p.file);
	expect_problem(&p, " is larger than 1 MiB");
	place_done(&p);
}

Test(host_file, that_is_missing_is_named)
{
	struct place p;

	place_init(&p);
	strcpy(p.path, "/nonexistent/token");
	host_file(&p.arena, &user, p.path, HOST_FILE_READ, &p.file);
	expect_problem(&p, " does not exist");
	strcpy(p.path, "/tmp/nonexistent-token");
	host_file(&p.arena, &user, p.path, HOST_FILE_READ, &p.file);
	expect_problem(&p, " does not exist; the service has a /tmp of its own");
	strcpy(p.path, "token");
	host_file(&p.arena, &user, p.path, HOST_FILE_READ, &p.file);
	expect_problem(&p, " is not an absolute path, and the service's directory is /");
	place_done(&p);
}

Test(host_file, below_tmp_is_a_problem_unless_the_service_itself_sees_it)
{
	struct place p;

	place_init(&p);
	judge(&p, 0, 0, 0644, "x", HOST_FILE_READ);
	cr_expect(p.file.problem == NULL);
	cr_assert(unsetenv("NOTIFY_SOCKET") == 0);
	judge(&p, 0, 0, 0644, "x", HOST_FILE_READ);
	expect_problem(&p, " is not there for the service, which has a /tmp of its own");
	cr_expect(p.file.exists);
	place_done(&p);
}

Test(host_file, is_judged_without_lasting_change_to_our_own_rights)
{
	static const gid_t before[] = { 0, 7, 9 };
	gid_t after[8];
	struct place p;

	place_init(&p);
	cr_assert(setgroups(ELEMENTS(before), before) == 0);
	judge(&p, 4999, 4999, 0000, "x", HOST_FILE_READ | HOST_FILE_TEXT);
	cr_assert(getgroups(ELEMENTS(after), after) == (int)ELEMENTS(before));
	cr_expect(memcmp(before, after, sizeof(before)) == 0);
	int fd = open(p.path, O_RDONLY | O_CLOEXEC);
	cr_expect(fd >= 0, "CAP_DAC_OVERRIDE did not come back");
	(void)close(fd);
	place_done(&p);
}

Test(host_file, of_a_user_still_to_be_made_is_judged_as_root)
{
	static const struct facts_user nobody = { 0 };
	struct place p;

	place_init(&p);
	judge(&p, 0, 0, 0600, "x", 0);
	host_file(&p.arena, &nobody, p.path, HOST_FILE_READ_USER, &p.file);
	cr_expect(p.file.problem == NULL && p.file.readable_by_user);
	place_done(&p);
}

/* A network namespace of this process's own, with lo down. */
static void own_network(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		cr_skip_test("needs root and a network namespace");
}

static struct facts addresses(struct arena *arena)
{
	struct facts facts = { 0 };
	struct error err = { 0 };

	cr_assert(host_addresses(arena, &facts, &err) == 0, "%s", err.text);
	return facts;
}

Test(host_net, has_ipv6_when_an_address_besides_the_tiny_ones_is_there)
{
	struct arena arena = { 0 };
	struct facts facts;

	own_network();
	facts = addresses(&arena);
	cr_expect_str_eq(facts.loopback, "lo");
	cr_expect(facts.addresses.n == 0 && !facts.ipv6 && !facts.ipv6_loopback);

	cr_assert(system("ip link set lo up; ip addr add ::6/128 dev lo") == 0);
	facts = addresses(&arena);
	cr_expect(facts.addresses.n == 3, "%zu addresses", facts.addresses.n);
	cr_expect(facts.ipv6_loopback);
	cr_expect(!facts.ipv6);

	cr_assert(system("ip addr add fd00::1/128 dev lo") == 0);
	facts = addresses(&arena);
	cr_expect(facts.ipv6);
	arena_done(&arena);
}

/* The tables that exist in this network namespace, as the kernel lists them. */
static void tables(const char *path, char *ret, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(ret, 1, size - 1, f) : 0;

	ret[n] = 0;
	if (f)
		(void)fclose(f);
}

Test(host_net, finds_legacy_tables_without_making_one)
{
	const struct config config = { 0 };
	struct facts facts = { 0 };
	char names[64];

	own_network();
	cr_assert_eq(netfilter_probe(&config, CHECK_INSTALL, &facts, NULL), 0);
	cr_expect(!facts.family[FAMILY_V4].ability[BACKEND_IPTABLES].no_redirect ==
		  (access("/proc/self/net/ip_tables_names", F_OK) == 0));
	cr_expect(!facts.family[FAMILY_V6].ability[BACKEND_IPTABLES].no_redirect ==
		  (access("/proc/self/net/ip6_tables_names", F_OK) == 0));
	tables("/proc/self/net/ip_tables_names", names, sizeof(names));
	cr_expect_str_eq(names, "");
	tables("/proc/self/net/ip6_tables_names", names, sizeof(names));
	cr_expect_str_eq(names, "");
}

Test(host_net, sees_the_chain_of_dockers_resolver_in_the_family_that_has_it)
{
	const struct config config = { 0 };
	struct facts facts = { 0 };

	own_network();
	if (system("iptables-legacy -w -t nat -N DOCKER_OUTPUT 2>/dev/null") != 0)
		cr_skip_test("needs iptables-legacy");
	cr_assert_eq(netfilter_probe(&config, CHECK_INSTALL, &facts, NULL), 0);
	cr_expect(facts.family[FAMILY_V4].docker_output && !facts.family[FAMILY_V4].nat_exempt);
	cr_expect(!facts.family[FAMILY_V6].docker_output);
	cr_assert(system("iptables-legacy -w -t nat -A OUTPUT -p tcp --dport 1 -j RETURN") == 0);
	cr_assert_eq(netfilter_probe(&config, CHECK_INSTALL, &facts, NULL), 0);
	cr_expect(facts.family[FAMILY_V4].nat_exempt && !facts.family[FAMILY_V6].nat_exempt);
	cr_assert(system("iptables-legacy -w -t nat -N KUMA_MESH_INBOUND") == 0);
	cr_assert_eq(netfilter_probe(&config, CHECK_INSTALL, &facts, NULL), 0);
	cr_expect_not(facts.family[FAMILY_V4].nat_exempt);
}

Test(host_net, sees_that_chain_where_iptables_nft_puts_it)
{
	struct arena arena = { 0 };
	struct facts facts = { 0 };
	const struct facts_family *docker = facts.family;

	own_network();
	host_nft_look(&arena, CHECK_RUN, &facts);
	cr_expect(!facts.nft_nat_foreign &&
		  !docker[FAMILY_V6].ability[BACKEND_NFTABLES].docker_output);
	if (system("ip6tables-nft -w -t nat -N DOCKER_OUTPUT 2>/dev/null") != 0)
		cr_skip_test("needs ip6tables-nft");
	host_nft_look(&arena, CHECK_RUN, &facts);
	cr_expect(docker[FAMILY_V6].ability[BACKEND_NFTABLES].docker_output);
	cr_expect(!docker[FAMILY_V4].ability[BACKEND_NFTABLES].docker_output &&
		  !facts.nft_nat_foreign);
	cr_assert(system("ip6tables-nft -w -t nat -A OUTPUT -p tcp --dport 9 -j DOCKER_OUTPUT") ==
		  0);
	host_nft_look(&arena, CHECK_RUN, &facts);
	cr_expect(facts.nft_nat_foreign);
	arena_done(&arena);
}

static void expect_url(const char *url, size_t n, const char *first)
{
	struct arena arena = { 0 };
	struct ip_list list = { 0 };
	char text[IP_TEXT_MAX];

	host_url_addresses(&arena, url, &list);
	cr_assert(list.n == n, "%s: %zu addresses", url, list.n);
	if (n) {
		ip_print(&list.items[0], text);
		cr_expect_str_eq(text, first);
	}
	arena_done(&arena);
}

Test(host_net, takes_the_address_out_of_an_url_without_asking_dns)
{
	expect_url("https://192.0.2.7:5678", 1, "192.0.2.7");
	expect_url("https://192.0.2.7", 1, "192.0.2.7");
	expect_url("https://[2001:db8::7]:5678/x", 1, "2001:db8::7");
	expect_url("https://LocalHost:5678", 2, "127.0.0.1");
	expect_url("https://cp.example:5678", 0, NULL);
	expect_url("192.0.2.7", 0, NULL);
	expect_url("", 0, NULL);
}

Test(host_nft, tells_foreign_nat_rules_from_kumactls)
{
	own_network();
	if (system("nft add table ip nat 2>/dev/null") != 0)
		cr_skip_test("needs nft");
	cr_expect(!host_nft_nat_foreign());
	cr_assert(system("nft add chain ip nat OUTPUT '{ type nat hook output priority -100; }' && "
			 "nft add chain ip nat KUMA_MESH_OUTBOUND && "
			 "nft add rule ip nat KUMA_MESH_OUTBOUND tcp dport 1 return && "
			 "nft add rule ip nat OUTPUT meta l4proto tcp jump KUMA_MESH_OUTBOUND") ==
		  0);
	cr_expect(!host_nft_nat_foreign());
	cr_assert(system("nft add table inet filter && nft add chain inet filter out "
			 "'{ type filter hook output priority 0; }' && "
			 "nft add rule inet filter out counter") == 0);
	cr_expect(!host_nft_nat_foreign(), "a filter rule is no nat rule");
	cr_assert(system("nft add chain ip nat DOCKER && "
			 "nft add rule ip nat OUTPUT fib daddr type local jump DOCKER") == 0);
	cr_expect(host_nft_nat_foreign());
}

static void look_at_chain(const char *chain, const char *rule, struct facts *ret)
{
	struct arena arena = { 0 };
	char command[256];

	(void)snprintf(command, sizeof(command),
		       "nft add table ip6 x && nft flush ruleset && nft add table ip6 x && "
		       "nft add chain ip6 x y '{ type nat hook %s; }' && nft add rule ip6 x y %s",
		       chain, rule);
	cr_assert(system(command) == 0, "%s", command);
	*ret = (struct facts){ 0 };
	host_nft_look(&arena, CHECK_RUN, ret);
	cr_expect(!ret->nft_nat_exempt || strcmp(ret->nft_nat_exempt, "ip6 x y") == 0);
	cr_expect(!ret->nft_nat_before || strcmp(ret->nft_nat_before, "ip6 x y") == 0);
	cr_expect_eq(ret->nft_nat_first, host_nft_nat_first());
	arena_done(&arena);
}

Test(host_nft, tells_which_foreign_rules_come_first_and_which_leave_packets_alone)
{
	const char *output = "output priority -100", *last = "output priority -98";
	const char *same = "output priority -99", *before = "prerouting priority -102";
	struct facts facts;

	own_network();
	if (system("nft add table ip nat 2>/dev/null") != 0)
		cr_skip_test("needs nft");
	look_at_chain(output, "tcp dport 1 redirect to :2", &facts);
	cr_expect(facts.nft_nat_first == -100 && !facts.nft_nat_exempt && !facts.nft_nat_before);
	look_at_chain(same, "tcp dport 1 redirect to :2", &facts);
	cr_expect(facts.nft_nat_first == -99 && !facts.nft_nat_before);
	look_at_chain(before, "tcp dport 1 redirect to :2", &facts);
	cr_expect_eq(facts.nft_nat_first, -102);
	cr_expect(facts.nft_nat_before);
	look_at_chain(output, "tcp dport 1 counter return", &facts);
	cr_expect(facts.nft_nat_first && facts.nft_nat_exempt);
	look_at_chain(last, "accept", &facts);
	cr_expect(!facts.nft_nat_first && facts.nft_nat_exempt);
	look_at_chain("postrouting priority 100", "return", &facts);
	cr_expect(facts.nft_nat_foreign && !facts.nft_nat_first && !facts.nft_nat_exempt);
}

Test(host_nft, sees_foreign_rules_behind_many_others)
{
	own_network();
	if (system("nft add table inet many 2>/dev/null") != 0)
		cr_skip_test("needs nft");
	cr_assert(system("{ echo 'add chain inet many forward'; for i in $(seq 3000); do "
			 "echo \"add rule inet many forward tcp dport $i counter\"; done; } | "
			 "nft -f -") == 0);
	cr_expect(!host_nft_nat_foreign());
	cr_assert(system("nft add chain inet many out '{ type nat hook output priority -100; }' && "
			 "nft add rule inet many out tcp dport 1 redirect to :2") == 0);
	cr_expect(host_nft_nat_foreign());
}

/* A program that is a shell script in the place; host_programs() is given its path. */
static struct facts_program program(struct place *p, const char *script)
{
	struct config config = { .core_dns.mode = CORE_DNS_OFF };
	struct facts facts = { .asked = user };

	judge(p, 0, 0, 0755, script, 0);
	config.kuma_dp.path = p->path;
	config.kuma_dp.envoy_path = "/bin/true";
	config.core_dns.path = "";
	host_programs(&p->arena, &config, &facts);
	cr_expect(facts.envoy.file.problem == NULL);
	cr_expect(facts.core_dns.path == NULL && facts.core_dns.file.problem == NULL);
	return facts.kuma_dp;
}

Test(host_programs, asks_kuma_dp_for_its_version_as_the_user)
{
	struct place p;
	struct facts_program f;

	place_init(&p);
	f = program(&p, "#!/bin/sh\n[ \"$1 $(id -u) $(id -G)\" = 'version 4242 4243 4244' ] && "
			"echo 'Some Mesh: 2.14.3-preview.1'\n");
	cr_expect(f.version_problem == NULL, "%s", f.version_problem);
	cr_expect(f.major == 2 && f.minor == 14 && f.patch == 3);
	place_done(&p);
}

Test(host_programs, says_why_a_version_could_not_be_told)
{
	struct place p;
	char sentence[256];

	place_init(&p);
	(void)snprintf(sentence, sizeof(sentence), "%s/file version exited with status 3", p.dir);
	cr_expect_str_eq(program(&p, "#!/bin/sh\nexit 3\n").version_problem, sentence);
	(void)snprintf(sentence, sizeof(sentence),
		       "%s/file answers with \"no idea: x\" instead of a version", p.dir);
	cr_expect_str_eq(program(&p, "#!/bin/sh\necho no idea: x\n").version_problem, sentence);
	place_done(&p);
}

/* Whether coredns is asked what it can in a mode, beside a kuma-dp of unknown version. */
static bool asks_core_dns(enum core_dns_mode mode, bool dns)
{
	struct config config = { .core_dns.mode = mode, .redirect.dns.enabled = dns };
	struct facts facts = { .asked = user };
	struct place p;
	bool asked;

	place_init(&p);
	judge(&p, 0, 0, 0755, "#!/bin/sh\necho CoreDNS-1.14.6\n", 0);
	config.core_dns.path = p.path;
	config.kuma_dp.path = config.kuma_dp.envoy_path = "/nonexistent/x";
	host_programs(&p.arena, &config, &facts);
	asked = facts.core_dns.major == 1 && facts.core_dns.minor == 14 &&
		facts.core_dns.patch == 6 && !facts.core_dns.has_alternate;
	place_done(&p);
	return asked;
}

Test(host_programs, asks_coredns_where_it_may_be_run)
{
	cr_expect(asks_core_dns(CORE_DNS_AUTO, true));
	cr_expect(asks_core_dns(CORE_DNS_KUMA_DP, true));
	cr_expect(asks_core_dns(CORE_DNS_TPROXYD, true));
	cr_expect_not(asks_core_dns(CORE_DNS_AUTO, false));
	cr_expect_not(asks_core_dns(CORE_DNS_EMBEDDED, true));
	cr_expect_not(asks_core_dns(CORE_DNS_OFF, false));
}

Test(host_programs, knows_kumas_build_of_coredns_by_its_plugins)
{
	struct config config = { .core_dns.mode = CORE_DNS_TPROXYD };
	struct facts facts = { .asked = user };
	struct place p;

	place_init(&p);
	judge(&p, 0, 0, 0755,
	      "#!/bin/sh\ncase $1 in -version) echo CoreDNS-1.14.6; echo linux/amd64, go1;;\n"
	      "-plugins) printf 'Other plugins:\\n  dns.alternate\\n  dns.forward\\n';; esac\n",
	      0);
	config.core_dns.path = p.path;
	config.kuma_dp.path = config.kuma_dp.envoy_path = "/nonexistent/x";
	host_programs(&p.arena, &config, &facts);
	cr_expect(facts.core_dns.has_alternate);
	cr_expect_eq(facts.core_dns.major, 0, "asked for a version that does not matter");
	cr_assert(facts.kuma_dp.file.problem != NULL);
	cr_expect_str_eq(facts.kuma_dp.file.problem, "/nonexistent/x does not exist");
	place_done(&p);
}

/* A socket that listens on 127.0.0.1; its port. */
static uint16_t listener(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	cr_assert(listen(fd, 1) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
	return ntohs(addr.sin_port);
}

/* A configuration in which no text is missing. */
static struct config empty_config(void)
{
	struct config config = { .kuma_dp_user = "root", .core_dns.mode = CORE_DNS_OFF };

	config.redirect.dns.resolv_config_path = "/etc/resolv.conf";
	config.kuma_dp.path = config.kuma_dp.envoy_path = "/bin/true";
	config.kuma_dp.cp_address = config.kuma_dp.ca_cert_file = config.kuma_dp.token_file = "";
	config.kuma_dp.dataplane_file = config.core_dns.path = config.core_dns.corefile = "";
	return config;
}

Test(host, gathers_what_a_daemon_needs)
{
	struct config config = empty_config();
	struct facts facts;
	struct error err = { 0 };
	struct place p;
	bool seen = false;

	own_network();
	cr_assert(system("ip link set lo up") == 0);
	place_init(&p);
	judge(&p, 0, 0, 0600, "token", 0);
	config.kuma_dp.token_file = p.path;
	config.kuma_dp.ca_cert_file = "/nonexistent/ca";
	config.kuma_dp.cp_address = "https://127.0.0.1:5678";
	uint16_t port = listener();
	cr_assert(host_facts(&p.arena, &config, CHECK_RUN, &facts, &err) == 0, "%s", err.text);
	cr_expect(facts.asked.found && facts.asked.uid == 0);
	cr_assert(facts.token.text != NULL);
	cr_expect_str_eq(facts.token.text, "token");
	cr_assert(facts.ca_cert.problem != NULL);
	cr_expect_str_eq(facts.ca_cert.problem, "/nonexistent/ca does not exist");
	cr_expect(!facts.dataplane.exists && facts.dataplane.problem == NULL);
	cr_expect(facts.cp_addresses.n == 1);
	cr_expect(facts.kuma_dp.version_problem != NULL, "/bin/true has no version");
	cr_expect(facts.now_sec > 1700000000);
	for (size_t i = 0; i < facts.listeners.n; i++)
		if (facts.listeners.items[i].port == port) {
			cr_expect(facts.listeners.items[i].uid == 0);
			seen = true;
		}
	cr_expect(seen, "the listener on port %u was not seen", port);
	place_done(&p);
}

Test(host, gathers_for_an_installation_only_what_rules_need)
{
	struct config config = empty_config();
	struct facts facts;
	struct error err = { 0 };
	struct place p;

	place_init(&p);
	judge(&p, 0, 0, 0644, "nameserver 192.0.2.1\n", 0);
	cr_assert(unsetenv("NOTIFY_SOCKET") == 0);
	cr_assert(chdir(p.dir) == 0);
	config.redirect.dns.resolv_config_path = "file";
	config.kuma_dp.token_file = "/nonexistent/token";
	cr_assert(host_facts(&p.arena, &config, CHECK_INSTALL, &facts, &err) == 0, "%s", err.text);
	cr_assert(facts.resolv_conf.text != NULL, "%s", facts.resolv_conf.problem);
	cr_expect_str_eq(facts.resolv_conf.text, "nameserver 192.0.2.1\n");
	cr_expect(facts.token.problem == NULL && facts.kuma_dp.path == NULL);
	cr_expect(facts.listeners.n == 0);
	cr_assert(chdir("/") == 0);
	place_done(&p);
}
