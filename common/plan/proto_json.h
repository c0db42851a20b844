/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A tree of YAML as a protobuf message: which fields it has and whether their values are of the
 * right kind, as kuma-dp's libraries take them (sigs.k8s.io/yaml, github.com/golang/protobuf/jsonpb).
 * Fields that a message does not have are ignored there and here.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/base/diag.h"
#include "common/config/yaml.h"

enum proto_kind {
	PROTO_TEXT,
	PROTO_UINT32,
	PROTO_BOOL,
	PROTO_DURATION,
	PROTO_ENUM,
	PROTO_MESSAGE,
	PROTO_TEXTS,   /* map<string, string> */
	PROTO_MAPPING, /* anything with keys */
};

struct proto_field {
	const char *name; /* as the .proto file has it; NULL ends the list */
	enum proto_kind kind;
	bool repeated;
	const struct proto_field *fields; /* of a message */
	const char *const *words;         /* of an enum: 0, 1, ..., NULL */
};

struct proto_reader {
	struct arena *arena; /* for what is made while reading */
	const char *path;    /* of the file, for complaints */
	struct diag_list *diags;
	enum severity severity; /* of what kuma-dp would refuse */
	bool refused;           /* there was such a thing */
	size_t n_seen;          /* values looked at so far */
};

/* Says that kuma-dp would refuse what stands there (NULL: at the beginning). */
void proto_complain(struct proto_reader *r, const struct yaml_node *at, const char *fmt, ...)
	_printf_(3, 4);

/* Complains of each value of the message, and of those within it, that is not of its kind. where is
 * the name of the message, "" for the root. */
void proto_check(struct proto_reader *r, const struct yaml_node *message,
		 const struct proto_field *fields, const char *where);

/* Complains where it is no text; where is its name. */
void proto_check_text(struct proto_reader *r, const struct yaml_node *node, const char *where);

/* The value of a field, by its name in the .proto file; NULL where it is absent or null, or the
 * message is NULL or none. Of several the last counts. */
const struct yaml_node *proto_get(const struct yaml_node *message, const char *name);

/* The value of a field in a message that was checked; "", 0, and an empty list where it is absent. */
const char *proto_text(const struct yaml_node *message, const char *name);
uint32_t proto_number(const struct yaml_node *message, const char *name);
uint32_t proto_enum(const struct yaml_node *message, const char *name, const char *const *words);
size_t proto_items(const struct yaml_node *message, const char *name,
		   const struct yaml_entry **ret);

/* Whether it is an unquoted word that means null. */
bool proto_is_null(const struct yaml_node *node);
