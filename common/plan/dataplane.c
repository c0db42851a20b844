/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/dataplane.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <yaml.h>

#include "common/base/parse.h"
#include "common/plan/mustache.h"

#define FILE_MAX_LEN ((size_t)1 << 20)
#define NESTING_MAX  64

struct reader {
	struct arena *arena;
	const char *path;
	struct diag_list *diags;
	yaml_document_t doc;
	bool failed;
};

static struct origin origin_of(const struct reader *r, yaml_mark_t mark)
{
	return (struct origin){
		.kind = ORIGIN_FILE,
		.name = r->path,
		.line = (unsigned)mark.line + 1,
		.column = (unsigned)mark.column + 1,
	};
}

static void complain(struct reader *r, yaml_mark_t mark, const char *fmt, ...) _printf_(3, 4);

static void complain(struct reader *r, yaml_mark_t mark, const char *fmt, ...)
{
	struct origin origin = origin_of(r, mark);
	const char *text;
	va_list args;

	va_start(args, fmt);
	text = arena_vprintf(r->arena, fmt, args);
	va_end(args);
	diag_add(r->diags, SEVERITY_ERROR, &origin, NULL, "%s", text ? text : "out of memory");
	r->failed = true;
}

static const char *scalar_text(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static bool is_null(const yaml_node_t *node)
{
	static const char *const names[] = { "", "~", "null", "Null", "NULL" };

	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (strcmp(scalar_text(node), names[i]) == 0)
			return true;
	return false;
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
static yaml_node_t *get(struct reader *r, const yaml_node_t *map, const char *field)
{
	const yaml_node_pair_t *pair = map->data.mapping.pairs.start;
	yaml_node_t *value = NULL;

	for (; pair < map->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(&r->doc, pair->key);
		struct origin origin;

		if (key->type != YAML_SCALAR_NODE || !is_field(scalar_text(key), field))
			continue;
		origin = origin_of(r, key->start_mark);
		if (value)
			diag_add(r->diags, SEVERITY_WARNING, &origin, NULL,
				 "'%s' is here twice: the last one counts", field);
		value = yaml_document_get_node(&r->doc, pair->value);
	}
	return value && !is_null(value) ? value : NULL;
}

/* kuma-dp takes over what "<<" names by rules of its own; better none of it
 * than another reading. */
static void refuse_merge_keys(struct reader *r, const yaml_node_t *map)
{
	const yaml_node_pair_t *pair = map->data.mapping.pairs.start;

	for (; pair < map->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(&r->doc, pair->key);

		if (key->type == YAML_SCALAR_NODE && strcmp(scalar_text(key), "<<") == 0)
			complain(r, key->start_mark, "merge keys (<<) are not supported");
	}
}

static yaml_node_t *get_map(struct reader *r, const yaml_node_t *map, const char *field)
{
	yaml_node_t *value = get(r, map, field);

	if (value && value->type != YAML_MAPPING_NODE) {
		complain(r, value->start_mark, "%s: must be a mapping", field);
		return NULL;
	}
	if (value)
		refuse_merge_keys(r, value);
	return value;
}

static yaml_node_t *get_list(struct reader *r, const yaml_node_t *map, const char *field)
{
	yaml_node_t *value = get(r, map, field);

	if (value && value->type != YAML_SEQUENCE_NODE) {
		complain(r, value->start_mark, "%s: must be a list", field);
		return NULL;
	}
	return value;
}

static const char *get_text(struct reader *r, const yaml_node_t *map, const char *field)
{
	yaml_node_t *value = get(r, map, field);

	if (!value)
		return NULL;
	if (value->type != YAML_SCALAR_NODE) {
		complain(r, value->start_mark, "%s: must be text", field);
		return NULL;
	}
	return arena_strdup(r->arena, scalar_text(value));
}

/* A port; 0 where it is absent. Quoted numbers are numbers too in protobuf's JSON. */
static uint16_t get_port(struct reader *r, const yaml_node_t *map, const char *field)
{
	yaml_node_t *value = get(r, map, field);
	uint64_t number;
	bool quoted;

	if (!value)
		return 0;
	if (value->type == YAML_SCALAR_NODE) {
		quoted = value->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		if (quoted ? parse_decimal(scalar_text(value), UINT16_MAX, &number)
			   : parse_uint(scalar_text(value), UINT16_MAX, &number))
			return (uint16_t)number;
		complain(r, value->start_mark, "%s: '%s' is not a port (0 to 65535)", field,
			 scalar_text(value));
	} else {
		complain(r, value->start_mark, "%s: must be a port", field);
	}
	return 0;
}

static void read_inbounds(struct reader *r, const yaml_node_t *networking, struct dataplane *ret)
{
	yaml_node_t *list = get_list(r, networking, "inbound");
	yaml_node_item_t *item;

	if (!list)
		return;
	for (item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
		yaml_node_t *inbound = yaml_document_get_node(&r->doc, *item);
		uint16_t port;

		if (inbound->type != YAML_MAPPING_NODE) {
			complain(r, inbound->start_mark, "inbound: each item must be a mapping");
			continue;
		}
		refuse_merge_keys(r, inbound);
		port = get_port(r, inbound, "port");
		if (port)
			array_push(r->arena, &ret->inbound_ports, port);
		else if (!r->failed)
			complain(r, inbound->start_mark, "inbound: an item has no port");
	}
}

static void read_networking(struct reader *r, const yaml_node_t *root, struct dataplane *ret)
{
	yaml_node_t *networking = get_map(r, root, "networking");
	yaml_node_t *outbound, *transparent, *admin;
	const char *mode;

	if (!networking) {
		if (!r->failed)
			complain(r, root->start_mark, "networking: must be defined");
		return;
	}
	ret->address = get_text(r, networking, "address");
	read_inbounds(r, networking, ret);
	outbound = get_list(r, networking, "outbound");
	ret->has_outbound =
		outbound && outbound->data.sequence.items.top > outbound->data.sequence.items.start;
	admin = get_map(r, networking, "admin");
	if (admin)
		ret->admin_port = get_port(r, admin, "port");
	transparent = get_map(r, networking, "transparentProxying");
	if (!transparent)
		return;
	ret->has_transparent_proxying = true;
	ret->redirect_port_inbound = get_port(r, transparent, "redirectPortInbound");
	ret->redirect_port_outbound = get_port(r, transparent, "redirectPortOutbound");
	mode = get_text(r, transparent, "ipFamilyMode");
	ret->ipv4_only = mode && strcmp(mode, "IPv4") == 0;
}

static void read_root(struct reader *r, struct dataplane *ret)
{
	yaml_node_t *root = yaml_document_get_root_node(&r->doc);

	if (!root || is_null(root)) {
		complain(r, (yaml_mark_t){ 0 }, "is empty: a Dataplane resource is wanted");
		return;
	}
	if (root->type != YAML_MAPPING_NODE) {
		complain(r, root->start_mark,
			 "must be a mapping with type, mesh, name, networking");
		return;
	}
	refuse_merge_keys(r, root);
	ret->type = get_text(r, root, "type");
	ret->name = get_text(r, root, "name");
	ret->mesh = get_text(r, root, "mesh");
	if (r->failed)
		return;
	if (!ret->type || strcmp(ret->type, "Dataplane") != 0)
		complain(r, root->start_mark, "type: is '%s', must be 'Dataplane'",
			 ret->type ? ret->type : "");
	if (!ret->name)
		complain(r, root->start_mark, "name: must be given");
	if (!ret->mesh)
		complain(r, root->start_mark, "mesh: must be given");
	read_networking(r, root, ret);
}

/* libyaml's loader costs the square of the nesting; look at the tokens first. */
static bool nested_too_deep(struct reader *r, const unsigned char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_event_t event;
	yaml_event_type_t type = YAML_NO_EVENT;
	unsigned depth = 0;
	bool deep = false;

	if (!yaml_parser_initialize(&parser)) {
		r->arena->failed = true;
		return true;
	}
	yaml_parser_set_input_string(&parser, text, len);
	while (!deep && type != YAML_STREAM_END_EVENT && type != YAML_DOCUMENT_END_EVENT &&
	       yaml_parser_parse(&parser, &event)) {
		type = event.type;
		if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT)
			deep = ++depth > NESTING_MAX;
		if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT)
			depth--;
		if (deep)
			complain(r, event.start_mark, "is nested deeper than %d", NESTING_MAX);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return deep;
}

static void load(struct reader *r, const unsigned char *text, size_t len, struct dataplane *ret)
{
	yaml_parser_t parser;

	if (nested_too_deep(r, text, len))
		return;
	if (!yaml_parser_initialize(&parser)) {
		r->arena->failed = true;
		return;
	}
	yaml_parser_set_input_string(&parser, text, len);
	if (yaml_parser_load(&parser, &r->doc)) {
		read_root(r, ret);
		yaml_document_delete(&r->doc);
	} else if (parser.error == YAML_MEMORY_ERROR) {
		r->arena->failed = true;
	} else {
		complain(r, parser.problem_mark, "is not YAML: %s%s%s",
			 parser.problem ? parser.problem : "unreadable", parser.context ? " " : "",
			 parser.context ? parser.context : "");
	}
	yaml_parser_delete(&parser);
}

int dataplane_parse(struct arena *arena, const char *path, const char *text, size_t len,
		    struct dataplane *ret, struct diag_list *diags)
{
	struct reader r = { .arena = arena, .path = path, .diags = diags };
	struct dataplane dataplane = { 0 };

	if (len > FILE_MAX_LEN)
		complain(&r, (yaml_mark_t){ 0 }, "is longer than %zu bytes", FILE_MAX_LEN);
	else
		load(&r, (const unsigned char *)text, len, &dataplane);
	if (arena->failed)
		return -ENOMEM;
	if (r.failed)
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

	if (len > FILE_MAX_LEN) {
		diag_add(diags, SEVERITY_ERROR, &origin, NULL, "is longer than %zu bytes",
			 FILE_MAX_LEN);
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
