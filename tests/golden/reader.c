/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/golden/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
	exit(1);
}

const char *text_read(struct arena *arena, const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	const char *copy;
	char *text = NULL;
	size_t size = 0;
	ssize_t len;

	if (!f && errno == ENOENT)
		return NULL;
	if (!f)
		die("%s: %s", path, strerror(errno));
	len = getdelim(&text, &size, 0, f);
	if (len < 0)
		len = 0;
	(void)fclose(f);
	copy = arena_strndup(arena, text ? text : "", (size_t)len);
	free(text);
	*ret_len = (size_t)len;
	return copy;
}

/* One value of a file: "ipv6.raw", "flags" (once per item). */
struct entry {
	struct arena *arena;
	const char *path; /* of the value */
	const char *text;
	size_t index; /* in its list */
	void *ret;
};

typedef bool entry_store_t(const struct entry *entry);

struct walk {
	const char *file;
	yaml_document_t *document;
	entry_store_t *store;
	struct entry entry;
};

static void walk_node(struct walk *walk, const char *path, int id, size_t index)
{
	yaml_node_t *node = yaml_document_get_node(walk->document, id);
	char below[200];

	if (node->type == YAML_SEQUENCE_NODE) {
		for (yaml_node_item_t *i = node->data.sequence.items.start;
		     i < node->data.sequence.items.top; i++, index++)
			walk_node(walk, path, *i, index);
		return;
	}
	if (node->type == YAML_MAPPING_NODE) {
		for (yaml_node_pair_t *i = node->data.mapping.pairs.start;
		     i < node->data.mapping.pairs.top; i++) {
			yaml_node_t *key = yaml_document_get_node(walk->document, i->key);

			(void)snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "",
				       (const char *)key->data.scalar.value);
			walk_node(walk, below, i->value, 0);
		}
		return;
	}
	walk->entry.path = path;
	walk->entry.text = arena_strdup(walk->entry.arena, (const char *)node->data.scalar.value);
	walk->entry.index = index;
	if (!walk->store(&walk->entry))
		die("%s: %s: %s is not known here", walk->file, path, walk->entry.text);
}

static void file_walk(struct arena *arena, const char *path, entry_store_t *store, void *ret)
{
	size_t len;
	const char *text = text_read(arena, path, &len);
	yaml_document_t document;
	yaml_parser_t parser;
	struct walk walk = {
		.file = path,
		.document = &document,
		.store = store,
		.entry = { .arena = arena, .ret = ret },
	};

	if (!text)
		return;
	if (!yaml_parser_initialize(&parser))
		die("out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &document))
		die("%s:%zu: %s", path, parser.problem_mark.line + 1, parser.problem);
	if (yaml_document_get_root_node(&document))
		walk_node(&walk, "", 1, 0);
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
}

static bool case_store(const struct entry *entry)
{
	struct golden_case *c = entry->ret;

	if (strcmp(entry->path, "about") == 0)
		return true;
	if (strcmp(entry->path, "level") == 0) {
		for (c->level = LEVEL_NONE; c->level < LEVEL_COUNT; c->level++) {
			if (strcmp(level_name(c->level), entry->text) == 0)
				return true;
		}
		return false;
	}
	if (strcmp(entry->path, "purpose") == 0) {
		c->purpose = strcmp(entry->text, "run") == 0 ? CHECK_RUN : CHECK_INSTALL;
		return true;
	}
	if (strcmp(entry->path, "flags") == 0)
		array_push(entry->arena, &c->flags, entry->text);
	else if (strcmp(entry->path, "env") == 0)
		array_push(entry->arena, &c->env, entry->text);
	else
		return false;
	return true;
}

void case_read(struct arena *arena, const char *path, struct golden_case *ret)
{
	file_walk(arena, path, case_store, ret);
}

static bool bool_store(bool *ret, const char *text)
{
	*ret = strcmp(text, "true") == 0;
	return *ret || strcmp(text, "false") == 0;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*end)
		die("%s: not a number", text);
	return value;
}

/* Files that are fine, with that text; "missing": there is none. */
static struct facts_file file_of(const char *text)
{
	if (strcmp(text, "missing") == 0)
		return (struct facts_file){ .problem = "No such file or directory" };
	return (struct facts_file){
		.exists = true,
		.readable_by_user = true,
		.text = text,
		.len = strlen(text),
	};
}

/* "PATH VERSION" or "PATH". */
static bool program_store(struct arena *arena, struct facts_program *ret, const char *text)
{
	const char *blank = strchr(text, ' ');

	*ret = (struct facts_program){ .file = file_of("") };
	ret->path = arena_strndup(arena, text, blank ? (size_t)(blank - text) : strlen(text));
	ret->file.text = NULL;
	ret->file.len = 0;
	return !blank || sscanf(blank, " %u.%u.%u", &ret->major, &ret->minor, &ret->patch) == 3;
}

/* "ADDRESS PORT UID". */
static bool listener_store(struct arena *arena, struct facts *facts, const char *text)
{
	struct facts_socket listener = { 0 };
	char addr[IP_TEXT_MAX];
	unsigned port;

	if (sscanf(text, "%63s %u %u", addr, &port, &listener.uid) != 3 ||
	    !ip_parse(addr, &listener.addr))
		return false;
	listener.port = (uint16_t)port;
	array_push(arena, &facts->listeners, listener);
	return true;
}

static bool lists_store(const struct entry *entry, struct facts *facts)
{
	struct ip_addr addr;

	if (strcmp(entry->path, "listeners") == 0) {
		facts->listeners.n = entry->index;
		return listener_store(entry->arena, facts, entry->text);
	}
	if (strcmp(entry->path, "addresses") == 0) {
		facts->addresses.n = entry->index;
		if (!ip_parse(entry->text, &addr))
			return false;
		array_push(entry->arena, &facts->addresses, addr);
		return true;
	}
	if (strcmp(entry->path, "sshPorts") == 0) {
		facts->ssh_ports.n = entry->index;
		array_push(entry->arena, &facts->ssh_ports,
			   (struct facts_ssh_port){ .port = (uint16_t)number(entry->text),
						    .why = "sshd listens there" });
		return true;
	}
	return false;
}

static bool programs_store(const struct entry *entry, struct facts *facts)
{
	if (strcmp(entry->path, "kumaDP") == 0)
		return program_store(entry->arena, &facts->kuma_dp, entry->text);
	if (strcmp(entry->path, "envoy") == 0)
		return program_store(entry->arena, &facts->envoy, entry->text);
	if (strcmp(entry->path, "coreDNS") == 0) {
		if (!program_store(entry->arena, &facts->core_dns, entry->text))
			return false;
		facts->core_dns.has_alternate = true;
		return true;
	}
	return false;
}

static bool facts_store(const struct entry *entry)
{
	struct facts *f = entry->ret;
	const struct {
		const char *path;
		bool *flag;
		const char **text;
		struct facts_file *file;
		const char **lack; /* the sentence where it is false */
		const char *sentence;
	} fields[] = {
		{ "user.found", .flag = &f->asked.found },
		{ "user.name", .text = &f->asked.name },
		{ "uid5678", .text = &f->uid_5678_name },
		{ "loopback", .text = &f->loopback },
		{ "ipv6", .flag = &f->ipv6 },
		{ "ipv6Loopback", .flag = &f->ipv6_loopback },
		{ "iptables.legacy",
		  .lack = &f->family[FAMILY_V4].ability[BACKEND_IPTABLES].no_redirect,
		  .sentence = "this kernel has no legacy tables (ip_tables)" },
		{ "iptables.raw", .lack = &f->family[FAMILY_V4].ability[BACKEND_IPTABLES].no_zones,
		  .sentence = "this kernel has no raw table for it" },
		{ "iptables.mangle",
		  .lack = &f->family[FAMILY_V4].ability[BACKEND_IPTABLES].no_drop_invalid,
		  .sentence = "this kernel has no mangle table for IPv4" },
		{ "iptables.dockerOutput", .flag = &f->family[FAMILY_V4].docker_output },
		{ "ip6tables.legacy",
		  .lack = &f->family[FAMILY_V6].ability[BACKEND_IPTABLES].no_redirect,
		  .sentence = "this kernel has no legacy tables for IPv6 (ip6_tables)" },
		{ "ip6tables.raw", .lack = &f->family[FAMILY_V6].ability[BACKEND_IPTABLES].no_zones,
		  .sentence = "this kernel has no raw table for it" },
		{ "ip6tables.mangle",
		  .lack = &f->family[FAMILY_V6].ability[BACKEND_IPTABLES].no_drop_invalid,
		  .sentence = "this kernel has no mangle table for IPv6" },
		{ "ip6tables.dockerOutput", .flag = &f->family[FAMILY_V6].docker_output },
		{ "iptables.unnumbered", .text = &f->family[FAMILY_V4].unnumbered },
		{ "ip6tables.unnumbered", .text = &f->family[FAMILY_V6].unnumbered },
		{ "nftNatForeign", .flag = &f->nft_nat_foreign },
		{ "resolvConf", .file = &f->resolv_conf },
		{ "token", .file = &f->token },
		{ "dataplane", .file = &f->dataplane },
		{ "caCert", .file = &f->ca_cert },
		{ "corefile", .file = &f->corefile },
	};

	for (size_t i = 0; i < ELEMENTS(fields); i++) {
		if (strcmp(entry->path, fields[i].path) != 0)
			continue;
		if (fields[i].flag)
			return bool_store(fields[i].flag, entry->text);
		if (fields[i].lack) {
			bool has;

			if (!bool_store(&has, entry->text))
				return false;
			*fields[i].lack = has ? NULL : fields[i].sentence;
			return true;
		}
		if (fields[i].text)
			*fields[i].text = entry->text;
		if (fields[i].file)
			*fields[i].file = file_of(entry->text);
		return true;
	}
	if (strcmp(entry->path, "user.uid") == 0)
		f->asked.uid = (uid_t)number(entry->text);
	else if (strcmp(entry->path, "user.gid") == 0)
		f->asked.gid = (gid_t)number(entry->text);
	else if (strcmp(entry->path, "now") == 0)
		f->now_sec = number(entry->text);
	else
		return lists_store(entry, f) || programs_store(entry, f);
	return true;
}

void facts_read(struct arena *arena, const char *path, struct facts *ret)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		ret->family[f].ability[BACKEND_NFTABLES].no_redirect =
			"this kernel has no nf_tables";
	file_walk(arena, path, facts_store, ret);
}
