/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The schema as text for people and programs: help, an example file, completions; and a loaded
 * configuration as YAML with the origin of every value. */

#include "common/base/strbuf.h"
#include "common/config/layers.h"

enum describe_format {
	DESCRIBE_HELP,        /* every setting with its names, its default and what it does */
	DESCRIBE_YAML,        /* conf/tproxyd.yaml */
	DESCRIBE_BASH,        /* completions for bash */
	DESCRIBE_MAN,         /* tproxyd.yaml(5) */
	DESCRIBE_JSON_SCHEMA, /* packaging/tproxyd.schema.json */
};

/* The names of the formats, NULL-terminated. */
extern const char *const describe_formats[];

/* tproxyd.yaml(5), in mdoc(7). */
void describe_man(struct strbuf *out);

/* The settings for editors and validators of others. */
void describe_json_schema(struct strbuf *out);

void describe(enum describe_format format, struct strbuf *out);

/* One option of a help text: its name without dashes, what it takes (NULL: nothing), its help. */
void describe_option(struct strbuf *out, const char *name, const char *metavar, const char *help);

/* The same for a setting, with its default. */
void describe_setting(struct strbuf *out, const struct setting *setting);

/* The effective configuration, valid YAML that loads back to the same values; each line ends in a
 * comment that names the origin. */
void describe_config(const struct loaded *loaded, struct strbuf *out);
