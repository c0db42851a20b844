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

/* Where an inbound hands what arrives to, with its place in the file. */
struct service_address {
	const char *text;
	unsigned line, column;
};

struct dataplane {
	const char *type, *name, *mesh; /* "": absent */
	const char *address;            /* networking.address; "": absent */
	struct port_list inbound_ports; /* networking.inbound[].port */
	struct port_list app_ports;     /* .servicePort of each, where the application listens */
	/* networking.inbound[].address of each; NULL: networking.address */
	struct string_list inbound_addresses;
	struct {
		struct service_address *items;
		size_t n;
	} service_addresses;   /* networking.inbound[].serviceAddress where it is given */
	struct pair_list tags; /* of the inbounds and the gateway */
	bool has_outbound;     /* networking.outbound has entries */
	bool has_transparent_proxying;
	uint16_t redirect_port_inbound, redirect_port_outbound; /* 0: absent */
	bool ipv4_only;      /* transparentProxying.ipFamilyMode: IPv4 */
	uint16_t admin_port; /* networking.admin.port; 0: absent */
};

struct dataplane_file {
	const char *path; /* for complaints */
	const char *text;
	size_t len;
	unsigned major, minor; /* of the kuma-dp that will read it; 0.0: not known */
};

/* Fills the template as hoisie/mustache does what kuma-dp needs of it: {{x}} (HTML-escaped),
 * {{{x}}}, {{&x}}, comments, sections on variables that exist. Unknown variables are empty and get a
 * notice. A broken template is an error with its line. Returns NULL after an error or when arena has
 * failed. */
char *dataplane_render(struct arena *arena, const struct dataplane_file *file,
		       const struct pair_list *vars, struct diag_list *diags);

/* Reads a rendered resource. What that kuma-dp refuses of it by itself goes to diags (origin: the
 * file with line and column), as warnings where its version is newer than the rules known here.
 * Returns 0, or -EINVAL after adding at least one error, or -ENOMEM. */
int dataplane_parse(struct arena *arena, const struct dataplane_file *file, struct dataplane *ret,
		    struct diag_list *diags) _must_check_;
