/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The schema as text for people and programs: help, an example file, completions; and a loaded
 * configuration as YAML with the origin of every value. */

#include "common/base/strbuf.h"
#include "common/config/layers.h"

struct describe_format {
	const char *name; /* "help", "yaml", "bash" */
	const char *help;
	void (*print)(struct strbuf *out);
};

extern const struct describe_format describe_formats[];
extern const size_t n_describe_formats;

/* The effective configuration, valid YAML that loads back to the same values; each line ends in a
 * comment that names the origin. */
void describe_config(const struct loaded *loaded, struct strbuf *out);
