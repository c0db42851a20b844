/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One YAML (or JSON) document as a tree with places, by libyaml. Says what is not YAML and what we
 * refuse in any file; what keys and values mean is for the reader of the tree.
 *
 * Aliases share nodes, so the "tree" may share and even contain itself: whoever walks it must be
 * bounded by what it looks for, not by the tree.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/diag.h"

#define YAML_SIZE_MAX  ((size_t)1024 * 1024) /* bytes of one file */
#define YAML_DEPTH_MAX 16                    /* levels of nesting */
/* anchors, aliases and %TAG lines: libyaml's effort, and a reader's, grows with the square of it */
#define YAML_SHARED_MAX 256

enum node_kind {
	NODE_SCALAR,
	NODE_SEQUENCE,
	NODE_MAPPING,
};

struct yaml_node;

struct yaml_entry {
	const struct yaml_node *key; /* NULL in a sequence */
	const struct yaml_node *value;
};

struct yaml_node {
	enum node_kind kind;
	unsigned line, column;      /* from 1 */
	bool plain;                 /* a scalar that may be null, a switch or a number: unquoted */
	const char *text;           /* of a scalar */
	struct yaml_entry *entries; /* of a sequence or mapping */
	size_t n;
};

/* Parses text (NUL-terminated as well) into arena. Returns true when there is a tree; *ret is NULL
 * where the file says nothing. Returns false after mistakes, which are in diags under name. Its
 * parameters: memory, a named text, and where the tree and mistakes go. */
bool yaml_load(struct arena *arena, const char *name, const char *text, size_t len,
	       const struct yaml_node **ret, struct diag_list *diags);
