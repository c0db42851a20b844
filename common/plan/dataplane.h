/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The Dataplane resource as kuma-dp would see it: mustache variables filled in, then read as YAML.
 * Only what the plan judges is kept. (kuma's api/mesh/v1alpha1/dataplane.proto)
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/base/diag.h"
#include "common/base/error.h"
#include "common/config/config.h"

struct dataplane {
	const char *type, *name, *mesh; /* NULL: absent */
	const char *address;            /* networking.address; NULL: absent */
	struct port_list inbound_ports; /* networking.inbound[].port */
	/* networking.inbound[].address of each; NULL: networking.address */
	struct string_list inbound_addresses;
	bool has_outbound; /* networking.outbound has entries */
	bool has_transparent_proxying;
	uint16_t redirect_port_inbound, redirect_port_outbound; /* 0: absent */
	bool ipv4_only;      /* transparentProxying.ipFamilyMode: IPv4 */
	uint16_t admin_port; /* networking.admin.port; 0: absent */
};

/* Fills the template as hoisie/mustache does what kuma-dp needs of it: {{x}} (HTML-escaped),
 * {{{x}}}, {{&x}}, comments, sections on variables that exist. Unknown variables are empty and get a
 * notice. A broken template is an error with its line. Returns NULL after an error or when arena has
 * failed. The parameters are memory, a named text, its variables and where mistakes go. */
char *dataplane_render(struct arena *arena, const char *path, const char *text, size_t len,
		       const struct pair_list *vars, struct diag_list *diags);

/* Reads a rendered resource. Problems go to diags (origin: path with line and column). Returns 0,
 * or -EINVAL after adding at least one error, or -ENOMEM. The parameters are memory, a named text,
 * and where the resource and mistakes go. */
int dataplane_parse(struct arena *arena, const char *path, const char *text, size_t len,
		    struct dataplane *ret, struct diag_list *diags) _must_check_;
