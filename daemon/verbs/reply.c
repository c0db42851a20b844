/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/verbs/reply.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

static int load(const char *reply, yaml_document_t *ret, struct error *err)
{
	yaml_parser_t parser;
	int ok;

	if (!yaml_parser_initialize(&parser))
		return error_sys(err, -ENOMEM, "read tproxyd's answer");
	yaml_parser_set_input_string(&parser, (const unsigned char *)reply, strlen(reply));
	ok = yaml_parser_load(&parser, ret);
	yaml_parser_delete(&parser);
	if (!ok)
		return error_set(err, -EPROTO, "tproxyd's answer is not JSON");
	if (yaml_document_get_root_node(ret) &&
	    yaml_document_get_root_node(ret)->type == YAML_MAPPING_NODE)
		return 0;
	yaml_document_delete(ret);
	return error_set(err, -EPROTO, "tproxyd's answer is not a JSON object");
}

static const char *scalar(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

static const char *member(yaml_document_t *document, const char *name)
{
	const yaml_node_t *root = yaml_document_get_root_node(document);

	for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
	     pair < root->data.mapping.pairs.top; pair++)
		if (strcmp(scalar(yaml_document_get_node(document, pair->key)), name) == 0)
			return scalar(yaml_document_get_node(document, pair->value));
	return "";
}

int reply_check(const char *reply, struct error *err)
{
	yaml_document_t document;
	int r = load(reply, &document, err);

	if (r < 0)
		return r;
	if (strcmp(member(&document, "ok"), "true") != 0)
		r = error_set(err, -EIO, "%s", member(&document, "error"));
	yaml_document_delete(&document);
	return r;
}

/* The replies are two levels deep at most; the depth is what the daemon wrote. */
static void print_node(yaml_document_t *document, const yaml_node_t *node, int indent, FILE *out)
{
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const char *name = scalar(yaml_document_get_node(document, pair->key));
		const yaml_node_t *value = yaml_document_get_node(document, pair->value);

		if (indent == 0 && strcmp(name, "ok") == 0)
			continue;
		fprintf(out, "%*s%s:", indent, "", name);
		if (value && value->type == YAML_MAPPING_NODE) {
			fputc('\n', out);
			print_node(document, value, indent + 2, out);
		} else {
			fprintf(out, " %s\n", scalar(value));
		}
	}
}

int reply_print(const char *reply, FILE *out, struct error *err)
{
	yaml_document_t document;
	int r = load(reply, &document, err);

	if (r < 0)
		return r;
	print_node(&document, yaml_document_get_root_node(&document), 0, out);
	yaml_document_delete(&document);
	return 0;
}
