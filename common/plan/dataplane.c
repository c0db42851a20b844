/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/dataplane.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/config/scalar.h"
#include "common/plan/mustache.h"

struct reader {
	struct arena *arena;
	const char *path;
	struct diag_list *diags;
	size_t errors_before;
};

static bool failed(const struct reader *r)
{
	return r->diags->n_errors > r->errors_before;
}

static struct origin origin_of(const struct reader *r, const struct yaml_node *at)
{
	return (struct origin){ ORIGIN_FILE, r->path, at ? at->line : 1, at ? at->column : 1 };
}

static void complain(struct reader *r, const struct yaml_node *at, const char *fmt, ...)
	_printf_(3, 4);

static void complain(struct reader *r, const struct yaml_node *at, const char *fmt, ...)
{
	struct diag diag = { .origin = origin_of(r, at) };
	va_list args;

	va_start(args, fmt);
	diag_vadd(r->diags, diag, fmt, args);
	va_end(args);
}

/* Whether a key is the field: "redirectPortInbound" or, as protobuf's JSON also takes it,
 * "redirect_port_inbound". */
static bool is_field(const char *key, const char *field)
{
	for (; *key && *field; key++, field++) {
		if (*key == '_' && isupper((unsigned char)*field) &&
		    key[1] == tolower((unsigned char)*field)) {
			key++;
			continue;
		}
		if (*key != *field)
			return false;
	}
	return !*key && !*field;
}

/* The value of a field, NULL where it is absent or null. Of several the last counts, as in kuma-dp,
 * which is worth a warning. */
static const struct yaml_node *get(struct reader *r, const struct yaml_node *map, const char *field)
{
	const struct yaml_node *value = NULL;

	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->entries[i].key;
		struct origin origin = origin_of(r, key);

		if (key->kind != NODE_SCALAR || !is_field(key->text, field))
			continue;
		if (value)
			diag_add(r->diags, SEVERITY_WARNING, &origin, NULL,
				 "'%s' is here twice: the last one counts", field);
		value = map->entries[i].value;
	}
	return value && scalar_type(value) != SCALAR_NULL ? value : NULL;
}

/* kuma-dp takes over what "<<" names by rules of its own; better none of it than another reading. */
static void refuse_merge_keys(struct reader *r, const struct yaml_node *map)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->entries[i].key;

		if (key->kind == NODE_SCALAR && strcmp(key->text, "<<") == 0)
			complain(r, key, "merge keys (<<) are not supported");
	}
}

/* The same, where it is of the kind; with an error where it is not. */
static const struct yaml_node *get_kind(struct reader *r, const struct yaml_node *map,
					const char *field, enum node_kind kind)
{
	static const char *const wanted[] = {
		[NODE_SCALAR] = "text",
		[NODE_SEQUENCE] = "a list",
		[NODE_MAPPING] = "a mapping",
	};
	const struct yaml_node *value = get(r, map, field);

	if (value && value->kind != kind) {
		complain(r, value, "%s: must be %s", field, wanted[kind]);
		return NULL;
	}
	if (value && kind == NODE_MAPPING)
		refuse_merge_keys(r, value);
	return value;
}

static const char *get_text(struct reader *r, const struct yaml_node *map, const char *field)
{
	const struct yaml_node *value = get_kind(r, map, field, NODE_SCALAR);

	return value ? arena_strdup(r->arena, value->text) : NULL;
}

/* A port; 0 where it is absent. Quoted numbers are numbers too in protobuf's JSON. */
static uint16_t get_port(struct reader *r, const struct yaml_node *map, const char *field)
{
	const struct yaml_node *value = get(r, map, field);
	uint64_t number;

	if (!value)
		return 0;
	if (value->kind == NODE_SCALAR) {
		if (!value->plain ? parse_decimal(value->text, UINT16_MAX, &number)
				  : parse_uint(value->text, UINT16_MAX, &number))
			return (uint16_t)number;
		complain(r, value, "%s: '%s' is not a port (0 to 65535)", field, value->text);
	} else {
		complain(r, value, "%s: must be a port", field);
	}
	return 0;
}

static void read_inbounds(struct reader *r, const struct yaml_node *networking,
			  struct dataplane *ret)
{
	const struct yaml_node *list = get_kind(r, networking, "inbound", NODE_SEQUENCE);

	if (!list)
		return;
	for (size_t i = 0; i < list->n; i++) {
		const struct yaml_node *inbound = list->entries[i].value;
		const char *address;
		uint16_t port;

		if (inbound->kind != NODE_MAPPING) {
			complain(r, inbound, "inbound: each item must be a mapping");
			continue;
		}
		refuse_merge_keys(r, inbound);
		port = get_port(r, inbound, "port");
		address = get_text(r, inbound, "address");
		if (!port && !failed(r))
			complain(r, inbound, "inbound: an item has no port");
		array_push(r->arena, &ret->inbound_ports, port);
		array_push(r->arena, &ret->inbound_addresses, address);
	}
}

static void read_networking(struct reader *r, const struct yaml_node *root, struct dataplane *ret)
{
	const struct yaml_node *networking = get_kind(r, root, "networking", NODE_MAPPING);
	const struct yaml_node *outbound, *transparent, *admin;
	const char *mode;

	if (!networking) {
		if (!failed(r))
			complain(r, root, "networking: must be defined");
		return;
	}
	ret->address = get_text(r, networking, "address");
	read_inbounds(r, networking, ret);
	outbound = get_kind(r, networking, "outbound", NODE_SEQUENCE);
	ret->has_outbound = outbound && outbound->n > 0;
	admin = get_kind(r, networking, "admin", NODE_MAPPING);
	if (admin)
		ret->admin_port = get_port(r, admin, "port");
	transparent = get_kind(r, networking, "transparentProxying", NODE_MAPPING);
	if (!transparent)
		return;
	ret->has_transparent_proxying = true;
	ret->redirect_port_inbound = get_port(r, transparent, "redirectPortInbound");
	ret->redirect_port_outbound = get_port(r, transparent, "redirectPortOutbound");
	mode = get_text(r, transparent, "ipFamilyMode");
	ret->ipv4_only = mode && strcmp(mode, "IPv4") == 0;
}

static void read_root(struct reader *r, const struct yaml_node *root, struct dataplane *ret)
{
	if (!root || scalar_type(root) == SCALAR_NULL) {
		complain(r, root, "is empty: a Dataplane resource is wanted");
		return;
	}
	if (root->kind != NODE_MAPPING) {
		complain(r, root, "must be a mapping with type, mesh, name, networking");
		return;
	}
	refuse_merge_keys(r, root);
	ret->type = get_text(r, root, "type");
	ret->name = get_text(r, root, "name");
	ret->mesh = get_text(r, root, "mesh");
	if (failed(r))
		return;
	if (!ret->type || strcmp(ret->type, "Dataplane") != 0)
		complain(r, root, "type: is '%s', must be 'Dataplane'", ret->type ? ret->type : "");
	if (!ret->name)
		complain(r, root, "name: must be given");
	if (!ret->mesh)
		complain(r, root, "mesh: must be given");
	read_networking(r, root, ret);
}

int dataplane_parse(struct arena *arena, const char *path, const char *text, size_t len,
		    struct dataplane *ret, struct diag_list *diags)
{
	struct reader r = { arena, path, diags, diags->n_errors };
	struct dataplane dataplane = { 0 };
	const struct yaml_node *root;

	if (yaml_load(arena, path, text, len, &root, diags))
		read_root(&r, root, &dataplane);
	if (arena->failed)
		return -ENOMEM;
	if (failed(&r))
		return -EINVAL;
	*ret = dataplane;
	return 0;
}

/* kuma-dp makes nested maps of dotted names, and two that share their first part replace each
 * other, in no order that could be relied on. */
static bool vars_agree(const char *path, const struct pair_list *vars, struct diag_list *diags)
{
	struct origin origin = { .kind = ORIGIN_FILE, .name = path };
	bool agree = true;

	for (size_t i = 0; i < vars->n; i++) {
		const char *a = vars->items[i].key;
		size_t len = strcspn(a, ".");

		for (size_t j = 0; j < i; j++) {
			const char *b = vars->items[j].key;

			if (strcspn(b, ".") != len || memcmp(a, b, len) != 0 || strcmp(a, b) == 0)
				continue;
			diag_add(diags, SEVERITY_ERROR, &origin, "kumaDP.dataplaneVars",
				 "'%s' and '%s' begin alike: kuma-dp would drop one of them", b, a);
			agree = false;
		}
	}
	return agree;
}

char *dataplane_render(struct arena *arena, const char *path, const char *text, size_t len,
		       const struct pair_list *vars, struct diag_list *diags)
{
	struct origin origin = { .kind = ORIGIN_FILE, .name = path };
	struct mustache template = {
		.path = path,
		.text = text,
		.len = len,
		.vars = vars,
		.unknown = SEVERITY_NOTICE,
	};

	if (len > YAML_SIZE_MAX) {
		diag_add(diags, SEVERITY_ERROR, &origin, NULL, "is longer than %zu bytes",
			 YAML_SIZE_MAX);
		return NULL;
	}
	if (memchr(text, 0, len)) {
		diag_add(diags, SEVERITY_ERROR, &origin, NULL, "holds a NUL byte");
		return NULL;
	}
	if (!vars_agree(path, vars, diags))
		return NULL;
	return mustache_render(arena, &template, diags);
}
