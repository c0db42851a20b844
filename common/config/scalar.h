/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What an unquoted word of YAML means by YAML 1.1 as kumactl reads it: null, a switch, a number, or
 * text. Quoted words are always text.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/config/yaml.h"

enum scalar_type {
	SCALAR_NONE, /* a list or a mapping */
	SCALAR_TEXT,
	SCALAR_NULL,
	SCALAR_BOOL,
	SCALAR_NUMBER,
};

enum scalar_type scalar_type(const struct yaml_node *node);

/* Whether it is a number without fraction from 0 to max, as 8080, 0x10, 16.0 and 1e3 are. */
bool scalar_whole(const struct yaml_node *node, uint64_t max, uint64_t *ret);

/* A scalar's value as text: "yes" is "true", 0x10 and 16.0 are "16", null is "". "" as well when the
 * arena has failed. */
const char *scalar_text(struct arena *arena, const struct yaml_node *node);
