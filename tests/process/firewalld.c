/* SPDX-License-Identifier: GPL-2.0-or-later */

/* firewalld's direct.xml, with rules of others in it: they stay what they were, to the byte. */

#include "daemon/firewalld/firewalld.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/plan/plan.h"
#include "daemon/firewalld/direct_xml.h"
#include "daemon/os/fd.h"

#define _arena_ _cleanup_(arena_done)

struct place {
	char dir[40];
	char path[64];
	struct arena arena;
	struct plan plan;
	struct ruleset rules;
};

static void place_init(struct place *p)
{
	*p = (struct place){
		.dir = "/tmp/firewalld.XXXXXX",
		.plan = {
			.loopback = "lo",
			.family = { { .enabled = true }, { .enabled = true } },
			.inbound = { .enabled = true, .port = 15006, .chain = "KUMA_MESH_INBOUND",
				     .redirect_chain = "KUMA_MESH_INBOUND_REDIRECT" },
			.outbound = { .enabled = true, .port = 15001, .chain = "KUMA_MESH_OUTBOUND",
				      .redirect_chain = "KUMA_MESH_OUTBOUND_REDIRECT" },
			.user = { .uid = 5678 },
			.dns_port = 15053,
			.dns_capture_all = true,
		},
	};
	p->plan.family[FAMILY_V4].dns = p->plan.family[FAMILY_V4].dns_zones = true;
	ruleset_build(&p->arena, &p->plan, LEVEL_FULL, &p->rules);
	cr_assert_not_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/direct.xml", p->dir);
}

static void place_done(struct place *p)
{
	(void)unlink(p->path);
	cr_expect_eq(rmdir(p->dir), 0, "something else was left in %s", p->dir);
	arena_done(&p->arena);
}

#define _place_ _cleanup_(place_done)

static void put(const struct place *p, const char *text)
{
	_close_ int fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static char *get(const struct place *p)
{
	_close_ int fd = open(p->path, O_RDONLY | O_CLOEXEC);
	char *text = calloc(1, 1 << 20);

	cr_assert_geq(fd, 0, "there is no %s", p->path);
	cr_assert_not_null(text);
	cr_assert_geq(read(fd, text, (1 << 20) - 1), 0);
	return text;
}

static void expect_text(const struct place *p, const char *want)
{
	_free_ char *got = get(p);

	cr_expect_str_eq(got, want);
}

static void store(struct place *p)
{
	_firewalld_change_ struct firewalld_change change = { 0 };
	struct error err = { 0 };

	cr_assert_eq(firewalld_stage(p->dir, &p->rules, &change, &err), 0, "%s", err.text);
	cr_assert_eq(firewalld_commit(&change, &err), 0, "%s", err.text);
}

static size_t take_out(struct place *p)
{
	struct error err = { 0 };
	size_t n;

	cr_assert_eq(firewalld_remove(p->dir, false, &n, &err), 0, "%s", err.text);
	return n;
}

/* How many entries there are, and how many of them are ours. */
static size_t count(const struct place *p, size_t *ret_own)
{
	_arena_ struct arena arena = { 0 };
	_free_ char *text = get(p);
	struct direct_document document;
	struct error err = { 0 };

	cr_assert_eq(direct_parse(&arena, text, strlen(text), &document, &err), 0, "%s", err.text);
	*ret_own = 0;
	for (size_t i = 0; i < document.n; i++)
		*ret_own += direct_is_own(&document.items[i]);
	return document.n;
}

static size_t wanted(struct place *p)
{
	struct firewalld_entries entries;

	firewalld_entries(&p->arena, &p->rules, &entries);
	return entries.n;
}

/* Documents of others, as they come: by firewalld, by hand, by a template, by kumactl. */
static const char *const documents[] = {
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<direct>\n"
	"  <chain ipv=\"ipv4\" table=\"nat\" chain=\"MY_KUMA_MESH_NOT\"/>\n"
	"  <rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"0\">-p tcp --dport 22 -j "
	"ACCEPT</rule>\n"
	"  <passthrough ipv=\"ipv6\">-A FORWARD -j KUMA_MESH_INBOUND</passthrough>\n</direct>\n",
	"<?xml version='1.0' standalone=\"yes\"?>\r\n<!-- <rule> in a comment -->\r\n"
	"<direct  x:y='1' xmlns:x='urn:x'>\r\n\t<!-- KUMA_MESH_ -->\r\n"
	"\t<rule table=\"nat\"\r\n\t  priority='7' chain='OUTPUT' ipv='ipv4' "
	"note='a&gt;b'><![CDATA[-p udp --dport 53 -j REDIRECT]]></rule   >\r\n"
	"\t<passthrough ipv='ipv4'>-t nat -A OUTPUT -m comment --comment "
	"\"kuma/mesh/transparent/proxy/x\" -j RETURN</passthrough>\r\n</direct>\r\n<!-- end -->",
	"<direct><rule ipv=\"ipv4\" table=\"nat\" chain=\"OUTPUT\" priority=\"1\">-j "
	"RETURN</rule><?pi?></direct>",
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<direct></direct>",
	"\xef\xbb\xbf<direct>\n  <!-- \xc3\xa4 \xe2\x82\xac -->\n"
	"  <rule ipv='ipv4' table='nat' chain='OUTPUT' priority='1'>-m comment --comment '\xc3\xa4' "
	"-j RETURN</rule>\n</direct>\n",
	"<?xml version='1.0' encoding='ISO-8859-1'?>\n<direct>\n<!-- \xe4\xe4\xe4 --><rule/></direct>\n",
	"<!DOCTYPE direct [ <!ENTITY e \"text\"> ]>\n<direct>\n  <other><rule chain='KUMA_MESH_X' "
	"ipv='ipv4' table='nat'/></other>\n</direct>\n",
};

Test(firewalld, leaves_what_others_have_written_to_the_byte)
{
	for (size_t i = 0; i < ELEMENTS(documents); i++) {
		_place_ struct place p;
		size_t own, others;

		place_init(&p);
		put(&p, documents[i]);
		others = count(&p, &own);
		cr_expect_eq(own, 0, "%s", documents[i]);
		store(&p);
		cr_expect_eq(count(&p, &own), others + wanted(&p), "%s", documents[i]);
		cr_expect_eq(own, wanted(&p), "%s", documents[i]);
		cr_expect_eq(take_out(&p), wanted(&p));
		expect_text(&p, documents[i]);
	}
}

Test(firewalld, puts_ours_behind_what_is_there)
{
	_place_ struct place p;
	_free_ char *text = NULL;
	const char *rest;

	place_init(&p);
	put(&p, documents[0]);
	store(&p);
	text = get(&p);
	rest = text + strlen(documents[0]) - strlen("\n</direct>\n");
	cr_expect_eq(strncmp(text, documents[0], (size_t)(rest - text)), 0);
	cr_expect_eq(strncmp(rest, "\n  <chain ipv=\"ipv4\" table=\"nat\" ", 32), 0, "%s", rest);
	cr_expect_str_eq(text + strlen(text) - strlen("</rule>\n</direct>\n"),
			 "</rule>\n</direct>\n");
}

Test(firewalld, makes_a_file_that_goes_with_our_rules)
{
	_place_ struct place p;
	struct stat st;
	size_t own;

	place_init(&p);
	umask(077);
	store(&p);
	cr_assert_eq(stat(p.path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0644);
	cr_expect_eq(count(&p, &own), own);
	cr_expect_eq(take_out(&p), own);
	cr_expect_eq(access(p.path, F_OK), -1);
	cr_expect_eq(take_out(&p), 0);
}

Test(firewalld, keeps_a_file_of_ours_in_which_others_have_written)
{
	_place_ struct place p;
	_free_ char *text = NULL, *longer = NULL;

	place_init(&p);
	store(&p);
	text = get(&p);
	text[strlen(text) - strlen("</direct>\n")] = 0;
	cr_assert_geq(asprintf(&longer, "%s  <passthrough ipv='ipv4'>-L</passthrough>\n</direct>\n",
			       text),
		      0);
	put(&p, longer);
	cr_expect_eq(take_out(&p), wanted(&p));
	expect_text(&p, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
			"<!-- made by tproxyd install -->\n<direct>\n"
			"  <passthrough ipv='ipv4'>-L</passthrough>\n</direct>\n");
}

Test(firewalld, fills_an_empty_root)
{
	_place_ struct place p;
	size_t own;

	place_init(&p);
	put(&p, "<direct />\n");
	store(&p);
	cr_expect_eq(count(&p, &own), wanted(&p));
	cr_expect_eq(take_out(&p), wanted(&p));
	expect_text(&p, "<direct >\n</direct>\n");
}

Test(firewalld, replaces_what_it_has_stored_before)
{
	_place_ struct place p;
	size_t own, before;

	place_init(&p);
	put(&p, documents[0]);
	store(&p);
	before = wanted(&p);
	p.plan.inbound.port = 16006;
	p.plan.family[FAMILY_V4].dns = p.plan.family[FAMILY_V4].dns_zones = false;
	ruleset_build(&p.arena, &p.plan, LEVEL_FULL, &p.rules);
	cr_assert_lt(wanted(&p), before);
	store(&p);
	cr_expect_eq(count(&p, &own), wanted(&p) + 2);
	cr_expect_eq(own, wanted(&p));
	_free_ char *text = get(&p);
	cr_expect_null(strstr(text, "15006"));
	cr_expect_not_null(strstr(text, "16006"));
}

Test(firewalld, leaves_a_file_alone_that_says_already_what_is_wanted)
{
	_place_ struct place p;
	struct stat before, after;

	place_init(&p);
	store(&p);
	cr_assert_eq(stat(p.path, &before), 0);
	store(&p);
	cr_assert_eq(stat(p.path, &after), 0);
	cr_expect_eq(before.st_ino, after.st_ino);
}

/* As firewall-cmd --permanent writes the file: other quotes, no comments, other elements added. */
Test(firewalld, knows_its_entries_after_firewalld_has_written_them_anew)
{
	_place_ struct place p;

	place_init(&p);
	put(&p, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<direct>\n"
		"  <chain ipv=\"ipv4\" table=\"nat\" chain=\"KUMA_MESH_OUTBOUND\"/>\n"
		"  <chain ipv=\"ipv4\" table=\"nat\" chain=\"OTHER\"/>\n"
		"  <rule ipv=\"ipv4\" table=\"nat\" chain=\"OUTPUT\" priority=\"0\">-m comment "
		"--comment 'kuma/mesh/transparent/proxy/a b' -j RETURN</rule>\n"
		"  <rule ipv=\"ipv4\" table=\"nat\" chain=\"OUTPUT\" priority=\"0\">-m comment "
		"--comment 'of kuma/mesh/transparent/proxy/a b' -j RETURN</rule>\n"
		"  <rule ipv=\"ipv4\" table=\"nat\" chain=\"OUTPUT\" priority=\"-5677998\">-p udp "
		"--dport 53 -j REDIRECT --to-ports 15053</rule>\n"
		"  <rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"5678000\">-j "
		"RETURN</rule>\n"
		"  <rule ipv=\"ipv6\" table=\"nat\" chain=\"OUTPUT\" priority=\"2\">-p tcp --jump "
		"KUMA_MESH_OUTBOUND</rule>\n"
		"  <rule ipv=\"ipv4\" table=\"nat\" chain=\"KUMA_MESH_OUTBOUND\" "
		"priority=\"0\"/>\n"
		"  <rule ipv=\"ipv4\" table=\"nat\" chain=\"OUTPUT\" priority=\"3\">-p udp "
		"--dport 53 -j REDIRECT --to-ports 15053</rule>\n"
		"</direct>\n");
	cr_expect_eq(take_out(&p), 5);
	expect_text(&p, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<direct>\n"
			"  <chain ipv=\"ipv4\" table=\"nat\" chain=\"OTHER\"/>\n"
			"  <rule ipv=\"ipv4\" table=\"nat\" chain=\"OUTPUT\" priority=\"0\">-m "
			"comment --comment 'of kuma/mesh/transparent/proxy/a b' -j RETURN</rule>\n"
			"  <rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" "
			"priority=\"5678000\">-j RETURN</rule>\n"
			"  <rule ipv=\"ipv4\" table=\"nat\" chain=\"OUTPUT\" priority=\"3\">-p udp "
			"--dport 53 -j REDIRECT --to-ports 15053</rule>\n"
			"</direct>\n");
}

Test(firewalld, keeps_a_rule_of_others_that_says_the_same)
{
	static const char text[] =
		"<direct>\n"
		"<rule ipv='ipv4' table='nat' chain='OUTPUT' priority='3'>-p udp "
		"--dport 53 -j REDIRECT --to-ports 15053</rule>\n"
		"</direct>";
	_place_ struct place p;
	size_t own;

	place_init(&p);
	put(&p, text);
	store(&p);
	cr_expect_eq(count(&p, &own), wanted(&p) + 1);
	cr_expect_eq(own, wanted(&p));
	cr_expect_eq(take_out(&p), own);
	expect_text(&p, text);
}

Test(firewalld, keeps_mode_and_owner_and_follows_a_link)
{
	_place_ struct place p;
	char target[64];
	struct stat st;

	place_init(&p);
	(void)snprintf(target, sizeof(target), "%s/target", p.dir);
	put(&p, documents[0]);
	if (geteuid() == 0)
		cr_assert_eq(chown(p.path, 12, 34), 0);
	cr_assert_eq(chmod(p.path, 0640), 0);
	cr_assert_eq(rename(p.path, target), 0);
	cr_assert_eq(symlink("target", p.path), 0);
	store(&p);
	cr_assert_eq(lstat(p.path, &st), 0);
	cr_expect(S_ISLNK(st.st_mode));
	cr_assert_eq(stat(p.path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0640);
	if (geteuid() == 0) {
		cr_expect_eq(st.st_uid, 12);
		cr_expect_eq(st.st_gid, 34);
	}
	cr_expect_eq(take_out(&p), wanted(&p));
	expect_text(&p, documents[0]);
	cr_expect_eq(unlink(target), 0);
}

static void expect_refused(const char *text, const char *want)
{
	_place_ struct place p;
	_firewalld_change_ struct firewalld_change change = { 0 };
	char where[600];
	struct error err = { 0 };

	place_init(&p);
	put(&p, text);
	cr_expect_lt(firewalld_stage(p.dir, &p.rules, &change, &err), 0, "%s", text);
	cr_expect_str_empty(change.temporary);
	(void)snprintf(where, sizeof(where), "store the rules for firewalld: %s: %s", p.path, want);
	cr_expect_str_eq(err.text, where);
	expect_text(&p, text);
}

Test(firewalld, says_in_one_sentence_what_is_wrong_with_a_file)
{
	expect_refused("", "line 1: no element found");
	expect_refused("<direct>\n  <rule>\n</direct>\n", "line 3: mismatched tag");
	expect_refused("<direct>\n</direct>\n<direct/>", "line 3: junk after document element");
	expect_refused("<?xml version='1.0'?>\n<zone>\n</zone>\n",
		       "line 2: no direct configuration of firewalld: the root is <zone>");
	expect_refused("<direct>\n\n&unknown;</direct>\n", "line 3: undefined entity");
	expect_refused("<!DOCTYPE direct [ <!ENTITY e '<rule/>'> ]>\n<direct>\n&e;</direct>\n",
		       "line 3: an entity stands for a tag");
}

Test(firewalld, refuses_a_file_whose_bytes_are_no_letters)
{
	static const char text[] = "\xff\xfe<\0d\0i\0r\0e\0c\0t\0/\0>";
	_arena_ struct arena arena = { 0 };
	struct direct_document document;
	struct error err = { 0 };

	cr_expect_eq(direct_parse(&arena, text, sizeof(text), &document, &err), -EBADMSG);
	cr_expect_str_eq(err.text, "line 1: its encoding is not UTF-8");
}

Test(firewalld, needs_the_directory)
{
	_place_ struct place p;
	struct firewalld_change change;
	struct error err = { 0 };
	size_t n = 1;

	place_init(&p);
	cr_expect_eq(firewalld_stage("/nonexistent/firewalld", &p.rules, &change, &err), -ENOENT);
	cr_expect_str_eq(err.text, "store the rules for firewalld: /nonexistent/firewalld: No such "
				   "file or directory");
	cr_expect_eq(firewalld_remove("/nonexistent/firewalld", false, &n, &err), 0);
	cr_expect_eq(n, 0);
}

Test(firewalld, leaves_nothing_of_a_change_that_is_not_made)
{
	_place_ struct place p;
	struct firewalld_change change;
	struct error err = { 0 };

	place_init(&p);
	put(&p, documents[0]);
	cr_assert_eq(firewalld_stage(p.dir, &p.rules, &change, &err), 0);
	cr_assert_eq(access(change.temporary, F_OK), 0);
	firewalld_change_done(&change);
	expect_text(&p, documents[0]);
}

Test(firewalld, does_not_mind_a_broken_file_that_does_not_name_us)
{
	_place_ struct place p;
	struct error err = { 0 };
	size_t n;

	place_init(&p);
	put(&p, "<direct>");
	cr_expect_eq(take_out(&p), 0);
	put(&p, "<direct> KUMA_MESH_INBOUND");
	cr_expect_eq(firewalld_remove(p.dir, false, &n, &err), -EBADMSG);
	expect_text(&p, "<direct> KUMA_MESH_INBOUND");
}

Test(firewalld, counts_and_changes_nothing_in_a_dry_run)
{
	_place_ struct place p;
	_free_ char *before = NULL;
	size_t n;

	place_init(&p);
	store(&p);
	before = get(&p);
	cr_assert_eq(firewalld_remove(p.dir, true, &n, NULL), 0);
	cr_expect_eq(n, wanted(&p));
	expect_text(&p, before);
}

Test(direct_split, splits_as_a_shell_does)
{
	_arena_ struct arena arena = { 0 };
	struct string_list words;

	direct_split(&arena, " a  \"b \\\" \\c\" d'e \\'f \\ g '' ", &words);
	cr_assert_eq(words.n, 5);
	cr_expect_str_eq(words.items[0], "a");
	cr_expect_str_eq(words.items[1], "b \" \\c");
	cr_expect_str_eq(words.items[2], "de \\f");
	cr_expect_str_eq(words.items[3], " g");
	cr_expect_str_eq(words.items[4], "");
	direct_split(&arena, " \n", &words);
	cr_expect_eq(words.n, 0);
}
