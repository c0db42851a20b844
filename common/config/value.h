/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The types of settings: how text and YAML become a value in struct config, and how a value becomes
 * text again. One table, indexed by enum setting_type; nothing here knows a single setting.
 */

#include <stdbool.h>

#include "common/base/diag.h"
#include "common/base/strbuf.h"
#include "common/config/schema.h"
#include "common/config/yaml.h"

#define VALUE_ITEMS_MAX 4096 /* items of one list or mapping */

struct value_type;

/* Where a value goes, and whom to blame. */
struct value_target {
	struct arena *arena;
	struct config *config;
	const struct setting *setting;
	struct origin origin;
	struct diag_list *diags;
	const struct yaml_node *at;    /* set by value_from_node(): the place in the file */
	const struct value_type *type; /* set by value_from_text() and value_from_node() */
	bool append;                   /* a flag given again: lists of texts and mappings grow */
};

/* The value in an environment variable, a flag or a default (by target->origin.kind), or in a file.
 * Returns whether it was stored: not after a mistake, which is in diags, and not for a null that
 * keeps what was there. */
bool value_from_text(const struct value_target *target, const char *text);
bool value_from_node(const struct value_target *target, const struct yaml_node *node);

/* As an environment variable would say it; the default prints as the schema's text. */
void value_print(const struct setting *setting, const struct config *config, struct strbuf *out);
/* As a file would say it, on one line. */
void value_print_yaml(const struct setting *setting, const struct config *config,
		      struct strbuf *out);

/* Whether the value is what the schema gives. */
bool value_is_default(const struct setting *setting, const struct config *config);

/* What an option takes, for help: "PORT"; NULL for a switch. */
const char *value_metavar(const struct setting *setting);
