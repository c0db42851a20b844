/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For dataplane.c: what kuma-dp demands of a resource's values before it speaks to a control plane
 * (kuma's dataplane_validator.go, meta_validator.go; 2.14.3, and what 2.10 to 2.13 do otherwise). */

#include "common/plan/proto_json.h"

/* Complains of each value that kuma-dp 2.<minor> refuses. root was checked for its kinds
 * (proto_check) and has networking. */
void dataplane_validate(struct proto_reader *r, const struct yaml_node *root, unsigned minor);

/* Whether it is a name as resources have them (lower-case RFC 1123 subdomain). */
bool dataplane_is_name(const char *text);
