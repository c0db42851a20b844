/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * replay FILE...: what "tproxyd install --dry-run" printed when it was compared with kumactl
 * (differential/differential --record), from the command line, the environment and the files to the
 * rules. Only the host is made up, as differential made it: its addresses, users and chains.
 *
 * A file holds { lines: [...], cases: [...] }; a case's stdout is a list of indices of lines.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>
#include <yaml.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/plan/plan_build.h"
#include "common/rules/print_restore.h"
#include "common/rules/ruleset.h"
#include "daemon/host/files.h"
#include "daemon/load/options.h"
#include "tests/golden/reader.h"

static const char *base_facts;

struct user_list {
	struct facts_user *items;
	size_t n;
};

struct word_list {
	char **items;
	size_t n;
};

struct recorded {
	struct arena *arena;
	yaml_document_t *document;
	const yaml_node_t *node; /* of the case */
	const char *seed;
};

static const char *text_of(const yaml_node_t *node)
{
	return node ? (const char *)node->data.scalar.value : NULL;
}

/* A mapping's value; NULL: it has none of that name. */
static const yaml_node_t *member(yaml_document_t *document, const yaml_node_t *node,
				 const char *key)
{
	for (yaml_node_pair_t *i = node->data.mapping.pairs.start; i < node->data.mapping.pairs.top;
	     i++)
		if (strcmp(text_of(yaml_document_get_node(document, i->key)), key) == 0)
			return yaml_document_get_node(document, i->value);
	return NULL;
}

/* The same of what every file has. */
static const yaml_node_t *section(yaml_document_t *document, const yaml_node_t *node,
				  const char *key)
{
	const yaml_node_t *found = member(document, node, key);

	if (!found)
		die("no %s", key);
	return found;
}

static const char *case_text(const struct recorded *c, const char *key)
{
	return text_of(member(c->document, c->node, key));
}

static size_t list_len(const yaml_node_t *node)
{
	return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
}

static const char *list_text(yaml_document_t *document, const yaml_node_t *node, size_t i)
{
	if (i >= list_len(node))
		die("no item %zu", i);
	return text_of(yaml_document_get_node(document, node->data.sequence.items.start[i]));
}

/* Calls visit with every key and value of a mapping of texts. */
static void each_pair(const struct recorded *c, const char *key,
		      void (*visit)(const struct recorded *c, const char *name, const char *value,
				    void *userdata),
		      void *userdata)
{
	const yaml_node_t *node = section(c->document, c->node, key);

	for (yaml_node_pair_t *i = node->data.mapping.pairs.start; i < node->data.mapping.pairs.top;
	     i++)
		visit(c, text_of(yaml_document_get_node(c->document, i->key)),
		      text_of(yaml_document_get_node(c->document, i->value)), userdata);
}

static void write_file(const struct recorded *c, const char *name, const char *text,
		       void *userdata _unused_)
{
	FILE *f = fopen(name, "we");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		die("%s: %s: %s", c->seed, name, strerror(errno));
}

static void remove_file(const struct recorded *c _unused_, const char *name,
			const char *text _unused_, void *userdata _unused_)
{
	(void)unlink(name);
}

static void add_variable(const struct recorded *c, const char *name, const char *value,
			 void *userdata)
{
	struct word_list *list = userdata;

	array_push(c->arena, list, arena_printf(c->arena, "%s=%s", name, value));
}

static void add_user(const struct recorded *c, const char *name, const char *uid, void *userdata)
{
	struct user_list *list = userdata;
	struct facts_user user = { .found = true, .name = name };

	user.uid = (uid_t)strtoul(uid, NULL, 10);
	array_push(c->arena, list, user);
}

static void give_stdin(const char *text)
{
	int fd = memfd_create("stdin", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, STDIN_FILENO) < 0)
		die("stdin: %s", strerror(errno));
	(void)close(fd);
}

/* As daemon/host/user.c finds it: a UID first, then a name. */
static bool find_user(const struct user_list *list, const char *text, struct facts_user *ret)
{
	char uid[16];

	for (size_t i = 0; i < list->n; i++) {
		(void)snprintf(uid, sizeof(uid), "%u", list->items[i].uid);
		if (strcmp(uid, text) == 0) {
			*ret = list->items[i];
			return true;
		}
	}
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->items[i].name, text) == 0) {
			*ret = list->items[i];
			return true;
		}
	}
	return false;
}

static void facts_of(const struct recorded *c, const struct config *config, struct facts *ret)
{
	struct user_list users = { 0 };
	const char *host = case_text(c, "host"), *asked = config->kuma_dp_user;
	const char *path = config->redirect.dns.resolv_config_path;

	facts_read(c->arena, base_facts, ret);
	add_user(c, "root", "0", &users);
	each_pair(c, "users", add_user, &users);
	ret->asked = (struct facts_user){ 0 };
	if (*asked)
		(void)find_user(&users, asked, &ret->asked);
	else if (!find_user(&users, "5678", &ret->asked))
		(void)find_user(&users, KUMA_DP_USER, &ret->asked);
	ret->ipv6 = strcmp(host, "ipv4") != 0 && strcmp(host, "renamed") != 0;
	ret->ipv6_loopback = strcmp(host, "lo-off") != 0;
	ret->loopback = strcmp(host, "renamed") == 0 ? "loop0" : "lo";
	ret->family[FAMILY_V4].docker_output = strncmp(host, "docker", strlen("docker")) == 0;
	ret->family[FAMILY_V6].docker_output = strcmp(host, "docker") == 0;
	if (strcmp(path, "/etc/resolv.conf") == 0) {
		ret->resolv_conf.text = case_text(c, "resolv");
		ret->resolv_conf.len = strlen(ret->resolv_conf.text);
	} else {
		host_file_plain(c->arena, path, &ret->resolv_conf);
	}
}

/* What the verb does: prints the rules, or returns the exit status for a mistake. */
static int install(const struct recorded *c, struct word_list *words, struct strbuf *out)
{
	struct options options = { 0 };
	struct ruleset rules;
	struct facts facts = { 0 };
	struct plan plan = { 0 };
	struct error err = { 0 };
	const struct command_line line = { .argc = (int)words->n,
					   .argv = words->items,
					   .source = OPTIONS_NAMED };
	int r = options_load(c->arena, &line, &options, &err);

	if (r == OPTIONS_USAGE)
		return EX_USAGE;
	if (r < 0)
		die("%s: %s", c->seed, err.text);
	check_config(&options.loaded, CHECK_INSTALL, &options.diags);
	if (!options.diags.n_errors) {
		facts_of(c, &options.loaded.config, &facts);
		if (plan_build(c->arena, &options.loaded, &facts, CHECK_INSTALL, &plan,
			       &options.diags) < 0)
			die("out of memory");
	}
	if (diag_has_error(&options.diags, false))
		return EX_CONFIG;
	if (diag_has_error(&options.diags, true))
		return EXIT_FAILURE;
	if (!plan.dry_run)
		die("%s: no dry run", c->seed);
	ruleset_build(c->arena, &plan, LEVEL_FULL, &rules);
	print_dry_run(&rules, out);
	return 0;
}

/* Whether out is what was recorded. */
static bool is_recorded(const struct recorded *c, const yaml_node_t *lines, const char *out)
{
	const yaml_node_t *expected = section(c->document, c->node, "stdout");

	for (size_t i = 0; i < list_len(expected); i++) {
		const char *index = list_text(c->document, expected, i);
		const char *want = list_text(c->document, lines, strtoul(index, NULL, 10));
		size_t len = strcspn(out, "\n");

		if (len != strlen(want) || strncmp(out, want, len) != 0) {
			(void)fprintf(stderr, "seed %s, line %zu: expected\n%s\ngot\n%.*s\n",
				      c->seed, i + 1, want, (int)len, out);
			return false;
		}
		out += len + (out[len] == '\n');
	}
	if (*out)
		(void)fprintf(stderr, "seed %s: more is printed:\n%s", c->seed, out);
	return !*out;
}

static bool replay_case(yaml_document_t *document, const yaml_node_t *lines,
			const yaml_node_t *node)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	_strbuf_ struct strbuf out = { 0 };
	struct recorded c = { .arena = &arena, .document = document, .node = node };
	const yaml_node_t *args = section(document, node, "args");
	struct word_list words = { 0 }, variables = { 0 };
	int status, expected;

	c.seed = case_text(&c, "seed");
	expected = (int)strtol(case_text(&c, "status"), NULL, 10);
	array_push(&arena, &words, arena_strdup(&arena, "install"));
	array_push(&arena, &words, arena_strdup(&arena, "transparent-proxy"));
	for (size_t i = 0; i < list_len(args); i++)
		array_push(&arena, &words, arena_strdup(&arena, list_text(document, args, i)));
	each_pair(&c, "env", add_variable, &variables);
	array_push(&arena, &variables, NULL);
	environ = variables.items;
	each_pair(&c, "files", write_file, NULL);
	give_stdin(case_text(&c, "stdin") ? case_text(&c, "stdin") : "");
	status = install(&c, &words, &out);
	each_pair(&c, "files", remove_file, NULL);
	if (arena.failed || out.failed)
		die("out of memory");
	if (status != expected)
		(void)fprintf(stderr, "seed %s: exit status %d, expected %d\n", c.seed, status,
			      expected);
	return status == expected && is_recorded(&c, lines, strbuf_text(&out));
}

static bool replay_file(const char *path)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	size_t len = 0, n_bad = 0;
	const char *text = text_read(&arena, path, &len);
	const yaml_node_t *root, *lines, *list;
	yaml_document_t document;
	yaml_parser_t parser;

	if (!text || !yaml_parser_initialize(&parser))
		die("%s: %s", path, strerror(errno));
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &document))
		die("%s:%zu: %s", path, parser.problem_mark.line + 1, parser.problem);
	root = yaml_document_get_root_node(&document);
	lines = section(&document, root, "lines");
	list = section(&document, root, "cases");
	if (list_len(list) == 0)
		die("%s: no cases", path);
	for (size_t i = 0; i < list_len(list); i++)
		n_bad += !replay_case(
			&document, lines,
			yaml_document_get_node(&document, list->data.sequence.items.start[i]));
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
	return n_bad == 0;
}

int main(int argc, char *argv[])
{
	char directory[] = "/tmp/replay-XXXXXX";
	bool same = argc > 2;
	char **variables = environ;

	if (argc > 1)
		base_facts = argv[1];
	if (!mkdtemp(directory) || chdir(directory) < 0)
		die("%s: %s", directory, strerror(errno));
	for (int i = 2; i < argc; i++)
		same = replay_file(argv[i]) && same;
	environ = variables;
	(void)rmdir(directory);
	return same ? 0 : 1;
}
