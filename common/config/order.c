/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/order.h"

#include <stdint.h>
#include <string.h>

/* What comes first has the smaller numbers, compared from the first on. */
struct place {
	size_t group, item, line, column;
};

/* From 1; 0 for a file that is not among them. */
static size_t number_of_file(const struct layer_file_list *files, const char *name)
{
	for (size_t i = 0; i < files->n && name; i++)
		if (strcmp(files->items[i].name, name) == 0)
			return i + 1;
	return 0;
}

static struct place place_of(const struct diag *diag, const struct layer_file_list *files)
{
	const struct setting *setting = diag->setting ? setting_by_path(diag->setting) : NULL;
	const struct origin *origin = &diag->origin;
	size_t line = origin->line;

	if (origin->kind != ORIGIN_FILE)
		return (struct place){ 1, setting ? (size_t)(setting - settings) : n_settings, 0,
				       0 };
	/* "there may be more mistakes" is about the file as a whole. */
	if (!line && diag->severity != SEVERITY_ERROR)
		line = SIZE_MAX;
	return (struct place){ 0, number_of_file(files, origin->name), line, origin->column };
}

static bool is_behind(struct place a, struct place b)
{
	if (a.group != b.group)
		return a.group > b.group;
	if (a.item != b.item)
		return a.item > b.item;
	return a.line != b.line ? a.line > b.line : a.column > b.column;
}

void order_diags(struct diag_list *diags, const struct layer_file_list *files)
{
	for (size_t i = 1; i < diags->n; i++) {
		struct diag diag = diags->items[i];
		struct place place = place_of(&diag, files);
		size_t at = i;

		for (; at > 0 && is_behind(place_of(&diags->items[at - 1], files), place); at--)
			diags->items[at] = diags->items[at - 1];
		diags->items[at] = diag;
	}
}
