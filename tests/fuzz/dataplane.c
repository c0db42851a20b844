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
	char *text = malloc(size + 1), *filled;
	size_t errors;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	filled = dataplane_render(&arena, "dataplane.yaml", text, size, &vars, &diags);
	if (!filled && !diags.n_errors)
		abort(); /* refused without a reason */
	errors = diags.n_errors;
	if (filled &&
	    dataplane_parse(&arena, "dataplane.yaml", filled, strlen(filled), &dataplane, &diags) <
		    0 &&
	    diags.n_errors == errors)
		abort();
	free(text);
	arena_done(&arena);
	return 0;
}
