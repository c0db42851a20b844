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
	SCALAR_TEXT,
	SCALAR_NULL,
	SCALAR_BOOL,
	SCALAR_NUMBER,
};

struct scalar {
	enum scalar_type type;
	bool truth; /* of a switch */
	bool whole; /* a number without fraction that fits: magnitude and negative say it */
	bool negative;
	uint64_t magnitude;
	double number;
};

/* node is a scalar. */
void scalar_resolve(const struct yaml_node *node, struct scalar *ret);

/* The value as text where text is wanted: "yes" is "true", 0x10 is "16", null is "". NULL when the
 * arena has failed. */
const char *scalar_text(struct arena *arena, const struct yaml_node *node);
