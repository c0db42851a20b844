/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A Dataplane resource, as a template and as YAML. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/plan/dataplane.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pair pairs[] = { { "name", "web" }, { "a.b", "<&>" }, { "port", "8080" } };
	struct pair_list vars = { pairs, ELEMENTS(pairs) };
	struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	struct dataplane dataplane;
	char *text = malloc(size + 1);
	struct dataplane_file file = { "dataplane.yaml", text, size, 0, 0 };
	size_t errors;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	file.text = dataplane_render(&arena, &file, &vars, &diags);
	if (!file.text && !diags.n_errors)
		abort(); /* refused without a reason */
	errors = diags.n_errors;
	file.len = file.text ? strlen(file.text) : 0;
	if (file.text && dataplane_parse(&arena, &file, &dataplane, &diags) < 0 &&
	    diags.n_errors == errors)
		abort();
	free(text);
	arena_done(&arena);
	return 0;
}
