/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/dataplane.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/config/quote.h"
#include "common/config/scalar.h"
#include "common/plan/dataplane_fields.h"
#include "common/plan/dataplane_rules.h"
#include "common/plan/mustache.h"
#include "common/plan/proto_json.h"

#define MINOR_KNOWN  14 /* the last kuma-dp 2.x whose rules are in dataplane_rules.c */
#define MESH_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789-_."
#define MESH_LEN_MAX 253

/* The value of a field beside the message: Go's JSON finds it in any case. Of several the last one
 * counts in the order of their bytes. */
static const struct yaml_node *get_meta(const struct yaml_node *root, const char *name)
{
	const struct yaml_entry *found = NULL;

	for (size_t i = 0; i < root->n; i++) {
		const struct yaml_node *key = root->entries[i].key;

		if (key->kind == NODE_SCALAR && strcasecmp(key->text, name) == 0 &&
		    (!found || strcmp(found->key->text, key->text) <= 0))
			found = &root->entries[i];
	}
	return found && !proto_is_null(found->value) ? found->value : NULL;
}

/* A text beside the message; "" where it is absent or, which is complained of, none. */
static const char *read_meta(struct proto_reader *r, const struct yaml_node *root, const char *name)
{
	const struct yaml_node *value = get_meta(root, name);

	if (value)
		proto_check_text(r, value, name);
	return value && value->kind == NODE_SCALAR ? arena_strdup(r->arena, value->text) : "";
}

static void read_labels(struct proto_reader *r, const struct yaml_node *root)
{
	const struct yaml_node *labels = get_meta(root, "labels");

	for (size_t i = 0; labels && labels->kind == NODE_MAPPING && i < labels->n; i++)
		proto_check_text(r, labels->entries[i].value, "labels");
	if (labels && labels->kind != NODE_MAPPING)
		proto_complain(r, labels, "labels: must be a mapping of texts");
}

static void judge_meta(struct proto_reader *r, const struct yaml_node *root,
		       const struct dataplane *dataplane)
{
	const struct yaml_node *name = get_meta(root, "name"), *mesh = get_meta(root, "mesh");

	if (strcmp(dataplane->type, "Dataplane") != 0)
		proto_complain(r, get_meta(root, "type"), "type: is %s, must be \"Dataplane\"",
			       quote_text(r->arena, dataplane->type));
	if (!dataplane->name[0])
		proto_complain(r, name ? name : root, "name: must be given");
	else if (!dataplane_is_name(dataplane->name))
		proto_complain(r, name,
			       "name: %s must have lower-case letters, digits, - and dots, and "
			       "begin and end, also around dots, with a letter or digit",
			       quote_text(r->arena, dataplane->name));
	if (!dataplane->mesh[0])
		proto_complain(r, mesh ? mesh : root, "mesh: must be given");
	else if (dataplane->mesh[strspn(dataplane->mesh, MESH_LETTERS)] ||
		 strlen(dataplane->mesh) > MESH_LEN_MAX)
		proto_complain(r, mesh,
			       "mesh: %s must have lower-case letters, digits, - _ and dots",
			       quote_text(r->arena, dataplane->mesh));
}

static void add_service_address(struct arena *arena, const struct yaml_node *inbound,
				struct dataplane *ret)
{
	const struct yaml_node *value = proto_get(inbound, "serviceAddress");

	if (value && value->kind == NODE_SCALAR && *value->text)
		array_push(arena, &ret->service_addresses,
			   ((struct service_address){ arena_strdup(arena, value->text), value->line,
						      value->column }));
}

static void add_tags(struct arena *arena, const struct yaml_node *message, struct dataplane *ret)
{
	const struct yaml_entry *tags;
	size_t n = proto_items(message, "tags", &tags);

	for (size_t i = 0; i < n; i++)
		if (tags[i].value->kind == NODE_SCALAR && tags[i].key->kind == NODE_SCALAR)
			array_push(arena, &ret->tags,
				   ((struct pair){ scalar_text(arena, tags[i].key),
						   arena_strdup(arena, tags[i].value->text) }));
}

static uint16_t get_port(const struct yaml_node *message, const char *field)
{
	uint32_t port = proto_number(message, field);

	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static void read_networking(struct arena *arena, const struct yaml_node *networking,
			    struct dataplane *ret)
{
	const struct yaml_node *transparent = proto_get(networking, "transparent_proxying");
	const struct yaml_entry *items;
	size_t n = proto_items(networking, "inbound", &items);

	ret->address = arena_strdup(arena, proto_text(networking, "address"));
	for (size_t i = 0; i < n; i++) {
		const char *address = proto_text(items[i].value, "address");

		address = *address ? arena_strdup(arena, address) : NULL;
		uint16_t port = get_port(items[i].value, "port");
		uint16_t app_port = get_port(items[i].value, "service_port");

		array_push(arena, &ret->inbound_ports, port);
		array_push(arena, &ret->app_ports, app_port ? app_port : port);
		array_push(arena, &ret->inbound_addresses, address);
		add_service_address(arena, items[i].value, ret);
		add_tags(arena, items[i].value, ret);
	}
	add_tags(arena, proto_get(networking, "gateway"), ret);
	ret->has_outbound = proto_items(networking, "outbound", &items) > 0;
	ret->admin_port = get_port(proto_get(networking, "admin"), "port");
	ret->has_transparent_proxying = transparent;
	ret->redirect_port_inbound = get_port(transparent, "redirect_port_inbound");
	ret->redirect_port_outbound = get_port(transparent, "redirect_port_outbound");
	ret->ipv4_only = strcmp(proto_text(transparent, "ip_family_mode"), "IPv4") == 0;
}

static void read_root(struct proto_reader *r, const struct yaml_node *root, unsigned minor,
		      struct dataplane *ret)
{
	if (!root || proto_is_null(root)) {
		proto_complain(r, root, "is empty: a Dataplane resource is wanted");
		return;
	}
	if (root->kind != NODE_MAPPING) {
		proto_complain(r, root, "must be a mapping with type, mesh, name, networking");
		return;
	}
	ret->type = read_meta(r, root, "type");
	ret->name = read_meta(r, root, "name");
	ret->mesh = read_meta(r, root, "mesh");
	read_labels(r, root);
	proto_check(r, root, dataplane_fields, "");
	if (r->refused || r->arena->failed)
		return;
	judge_meta(r, root, ret);
	if (!proto_get(root, "networking"))
		proto_complain(r, root, "networking: must be defined");
	else
		dataplane_validate(r, root, minor);
}

int dataplane_parse(struct arena *arena, const struct dataplane_file *file, struct dataplane *ret,
		    struct diag_list *diags)
{
	/* Of a newer kuma-dp it is not known what it refuses. */
	bool known = file->major < 2 || (file->major == 2 && file->minor <= MINOR_KNOWN);
	struct proto_reader r = {
		.arena = arena,
		.path = file->path,
		.diags = diags,
		.severity = known ? SEVERITY_ERROR : SEVERITY_WARNING,
	};
	struct dataplane dataplane = { .type = "", .name = "", .mesh = "", .address = "" };
	const struct yaml_node *root;
	size_t n_errors = diags->n_errors;

	if (yaml_load(arena, file->path, file->text, file->len, &root, diags))
		read_root(&r, root, file->major == 2 && known ? file->minor : MINOR_KNOWN,
			  &dataplane);
	if (!arena->failed && diags->n_errors == n_errors)
		read_networking(arena, root ? proto_get(root, "networking") : NULL, &dataplane);
	if (arena->failed)
		return -ENOMEM;
	if (diags->n_errors > n_errors)
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

char *dataplane_render(struct arena *arena, const struct dataplane_file *file,
		       const struct pair_list *vars, struct diag_list *diags)
{
	struct origin origin = { .kind = ORIGIN_FILE, .name = file->path };
	struct mustache template = {
		.path = file->path,
		.text = file->text,
		.len = file->len,
		.vars = vars,
		.unknown = SEVERITY_NOTICE,
	};

	if (file->len > YAML_SIZE_MAX) {
		diag_add(diags, SEVERITY_ERROR, &origin, NULL, "is longer than %zu bytes",
			 YAML_SIZE_MAX);
		return NULL;
	}
	if (memchr(file->text, 0, file->len)) {
		diag_add(diags, SEVERITY_ERROR, &origin, NULL, "holds a NUL byte");
		return NULL;
	}
	if (!vars_agree(file->path, vars, diags))
		return NULL;
	return mustache_render(arena, &template, diags);
}
