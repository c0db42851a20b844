/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/verbs/reply.h"

#include <errno.h>
#include <string.h>

#include "daemon/operator/json.h"

static int load(const char *reply, json_t **ret, struct error *err)
{
	*ret = json_loads(reply, 0, NULL);
	return json_is_object(*ret)
		       ? 0
		       : error_set(err, -EPROTO, "tproxyd's answer is not a JSON object");
}

int reply_check(const char *reply, struct error *err)
{
	json_auto_t *object = NULL;
	const char *why;
	int r = load(reply, &object, err);

	if (r < 0 || json_is_true(json_object_get(object, "ok")))
		return r;
	why = json_string_value(json_object_get(object, "error"));
	return error_set(err, -EIO, "%s", why ? why : "it does not say why");
}

static void print_value(const json_t *value, FILE *out)
{
	if (json_is_string(value))
		fprintf(out, " %s\n", json_string_value(value));
	else if (json_is_boolean(value))
		fprintf(out, " %s\n", json_is_true(value) ? "true" : "false");
	else
		fprintf(out, " %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
}

/* The depth is what the daemon wrote. */
static void print_object(json_t *object, int indent, FILE *out)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (indent == 0 && strcmp(name, "ok") == 0)
			continue;
		fprintf(out, "%*s%s:", indent, "", name);
		if (json_is_object(value)) {
			fputc('\n', out);
			print_object(value, indent + 2, out);
		} else {
			print_value(value, out);
		}
	}
}

int reply_print(const char *reply, FILE *out, struct error *err)
{
	json_auto_t *object = NULL;
	int r = load(reply, &object, err);

	if (r == 0)
		print_object(object, 0, out);
	return r;
}
