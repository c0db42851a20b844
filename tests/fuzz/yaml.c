/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A configuration file of any content: loading and judging it ends, and what is printed of a
 * configuration without mistakes loads back as the same. */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/check.h"
#include "common/config/describe.h"

static void load(struct arena *arena, const char *text, size_t len, struct loaded *ret,
		 struct diag_list *diags)
{
	struct layer_file file = { .name = "fuzz", .text = text, .len = len };
	struct layers layers = { .files = &file, .n_files = 1 };
	int r = layers_load(arena, &layers, ret, diags);

	assert(r == 0);
	(void)r;
}

/* Without the origins, which differ. */
static char *values_of(const struct loaded *loaded)
{
	struct origin *origins = calloc(n_settings, sizeof(*origins));
	struct loaded same = { .config = loaded->config, .origins = origins };
	struct strbuf out = { 0 };

	assert(origins);
	describe_config(&same, &out);
	free(origins);
	return strbuf_take(&out);
}

static void check_loads_back(const struct loaded *loaded)
{
	struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	char *first = values_of(loaded), *second;
	struct loaded again;

	load(&arena, first, strlen(first), &again, &diags);
	assert(diags.n_errors == 0 || strlen(first) > 1024UL * 1024);
	second = values_of(&again);
	assert(diags.n_errors || strcmp(first, second) == 0);
	free(first);
	free(second);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	struct loaded loaded;
	char *text = malloc(size + 1);

	assert(text);
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	load(&arena, text, size, &loaded, &diags);
	if (diags.n_errors == 0)
		check_loads_back(&loaded);
	check_config(&loaded, CHECK_RUN, &diags);
	check_config(&loaded, CHECK_INSTALL, &diags);
	arena_done(&arena);
	free(text);
	return 0;
}
