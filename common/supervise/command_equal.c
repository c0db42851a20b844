/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "common/base/digest.h"
#include "common/supervise/command.h"

static bool texts_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool lists_equal(const char *const *a, const char *const *b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !*a && !*b;
}

static bool files_equal(const struct command_file *a, const struct command_file *b)
{
	return texts_equal(a->path, b->path) && a->mode == b->mode && a->len == b->len &&
	       (!a->len || memcmp(a->text, b->text, a->len) == 0);
}

bool command_equal(const struct command *a, const struct command *b)
{
	if (!texts_equal(a->path, b->path) || a->n_files != b->n_files ||
	    a->n_digested != b->n_digested || !lists_equal(a->argv, b->argv) ||
	    !lists_equal(a->environ, b->environ))
		return false;
	for (size_t i = 0; i < a->n_files; i++)
		if (!files_equal(&a->files[i], &b->files[i]))
			return false;
	for (size_t i = 0; i < a->n_digested; i++)
		if (!texts_equal(a->digested[i], b->digested[i]))
			return false;
	return true;
}

static void add_text(struct digest *digest, const char *text)
{
	digest_add(digest, text ? text : "", text ? strlen(text) + 1 : 0);
}

static void add_list(struct digest *digest, const char *const *list)
{
	for (; *list; list++)
		add_text(digest, *list);
	digest_add(digest, "", 1);
}

void command_digest(const struct command *command, uint64_t ret[static 2])
{
	struct digest digest = DIGEST_INIT;

	add_text(&digest, command->path);
	add_list(&digest, command->argv);
	add_list(&digest, command->environ);
	for (size_t i = 0; i < command->n_files; i++) {
		const struct command_file *file = &command->files[i];

		add_text(&digest, file->path);
		digest_add(&digest, &file->mode, sizeof(file->mode));
		digest_add(&digest, file->text, file->len);
	}
	for (size_t i = 0; i < command->n_digested; i++)
		add_text(&digest, command->digested[i]);
	ret[0] = digest.a;
	ret[1] = digest.b;
}
