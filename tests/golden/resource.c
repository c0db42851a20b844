/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * resource FILE: judges Dataplane resources as `tproxyd check` does for kuma-dp 2.14, and compares
 * that with what kuma-dp did (differential/resources). FILE holds a list of { text, vars, refused,
 * apart }: apart is why the verdicts differ, where they may. With --print it only says, a line of
 * JSON for each, what is wrong.
 */

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/base/cleanup.h"
#include "common/plan/dataplane.h"

/* The first thing that is wrong; NULL: nothing. */
static const char *judge(struct arena *arena, const json_t *resource)
{
	struct dataplane_file file = { .path = "dataplane.yaml", .major = 2, .minor = 14 };
	struct diag_list diags = { .arena = arena };
	struct pair_list vars = { 0 };
	struct dataplane dataplane;
	const char *name;
	json_t *value;

	json_object_foreach(json_object_get(resource, "vars"), name, value)
		array_push(arena, &vars, ((struct pair){ name, json_string_value(value) }));
	file.text = json_string_value(json_object_get(resource, "text"));
	file.len = strlen(file.text);
	file.text = dataplane_render(arena, &file, &vars, &diags);
	if (file.text) {
		file.len = strlen(file.text);
		if (dataplane_parse(arena, &file, &dataplane, &diags) == 0)
			return NULL;
	}
	for (size_t i = 0; i < diags.n; i++)
		if (diags.items[i].severity == SEVERITY_ERROR)
			return diags.items[i].text;
	return "?";
}

/* Whether the verdicts are as they should be. */
static bool compare(const json_t *resource, const char *wrong)
{
	bool refused = json_is_true(json_object_get(resource, "refused"));
	bool apart = json_object_get(resource, "apart");

	if ((wrong != NULL) == refused || apart)
		return true;
	printf("kuma-dp %s this, and here it is %s%s:\n%s\n", refused ? "refuses" : "takes",
	       wrong ? "refused: " : "taken", wrong ? wrong : "",
	       json_string_value(json_object_get(resource, "text")));
	return false;
}

int main(int argc, char *argv[])
{
	bool print = argc == 3 && strcmp(argv[1], "--print") == 0;
	json_auto_t *resources = argc < 2 ? NULL : json_load_file(argv[argc - 1], 0, NULL);
	size_t equal = 0, i;
	json_t *resource;

	if (!json_array_size(resources)) {
		(void)fprintf(stderr, "usage: resource [--print] FILE\n");
		return 2;
	}
	json_array_foreach(resources, i, resource)
	{
		_cleanup_(arena_done) struct arena arena = { 0 };
		const char *wrong = judge(&arena, resource);

		if (!print) {
			equal += compare(resource, wrong);
			continue;
		}
		json_auto_t *line = wrong ? json_string(wrong) : json_null();
		(void)json_dumpf(line, stdout, JSON_ENCODE_ANY);
		(void)putchar('\n');
	}
	return print || equal == json_array_size(resources) ? 0 : 1;
}
