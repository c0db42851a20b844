/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The fields of a Dataplane resource (kuma's api/mesh/v1alpha1/dataplane.proto, 2.14.3). type, mesh,
 * name and labels, which are beside them in a file, are not of the message. */

#include "common/plan/proto_json.h"

extern const struct proto_field dataplane_fields[];

enum { GATEWAY_DELEGATED, GATEWAY_BUILTIN };
extern const char *const dataplane_gateway_types[];
extern const char *const dataplane_listener_types[]; /* the first is none */
