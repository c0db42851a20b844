/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "daemon/loop/state.h"
#include "daemon/loop/status.h"

/* Null where nothing was given. */
static json_t *text_or_null(const char *text)
{
	return text && *text ? json_text(text) : json_null();
}

static json_t *dataplane(const struct plan_children *children)
{
	const struct dataplane *resource = &children->dataplane;
	bool given = resource->name && *resource->name;

	return json_pack("{s:o,s:o}", "name", text_or_null(given ? resource->name : children->name),
			 "mesh", text_or_null(given ? resource->mesh : children->mesh));
}

/* Whether Envoy has it, and for how long it has been so; null where that is not known. */
static json_t *control_plane(struct daemon *d)
{
	enum probe_control_plane state = d->control_plane.state;
	bool known = state != CONTROL_PLANE_UNKNOWN;

	return json_pack("{s:o,s:o,s:o}", "address",
			 text_or_null(d->current->plan.children.cp_address), "connected",
			 known ? json_boolean(state == CONTROL_PLANE_CONNECTED) : json_null(),
			 "seconds", status_age(d, known ? d->control_plane.since_usec : 0));
}

static json_t *configuration(const struct generation *generation)
{
	const struct layer_file_list *files = &generation->options.files;
	json_t *all = json_array();

	for (size_t i = 0; i < files->n; i++)
		if (json_array_append_new(all, json_text(files->items[i].name)) < 0) {
			json_decref(all);
			return NULL;
		}
	return json_pack("{s:o}", "files", all);
}

/* The ports that are left out for SSH, and why. */
static json_t *ssh_ports(const struct generation *generation)
{
	const struct ssh_port_list *found = &generation->facts.ssh_ports;
	json_auto_t *all = json_object();
	char port[8];

	for (size_t i = 0; i < found->n; i++) {
		(void)snprintf(port, sizeof(port), "%u", found->items[i].port);
		if (generation->plan.ssh_ports.n &&
		    json_object_set_new(all, port, json_text(found->items[i].why)) < 0)
			return NULL;
	}
	return take_ptr(all);
}

/* Null where it is not known. */
static json_t *version(unsigned major, unsigned minor, unsigned patch)
{
	if (major + minor + patch == 0)
		return json_null();
	return json_sprintf("%u.%u.%u", major, minor, patch);
}

static json_t *versions(const struct generation *generation)
{
	const struct plan_children *children = &generation->plan.children;
	const struct facts_program *core_dns = &generation->facts.core_dns;

	return json_pack("{s:s,s:o,s:o}", "tproxyd", TPROXYD_VERSION, "kuma-dp",
			 version(children->major, children->minor, children->patch), "coredns",
			 version(core_dns->major, core_dns->minor, core_dns->patch));
}

int status_add_origin(json_t *answer, struct daemon *d)
{
	const struct generation *generation = d->current;
	const struct plan *plan = &generation->plan;
	const struct plan_children *children = &plan->children;
	json_t *origin =
		json_pack("{s:{s:o,s:I},s:o,s:o,s:o,s:o,s:o,s:o}", "user", "name",
			  text_or_null(plan->user.name), "uid", (json_int_t)plan->user.uid,
			  "dataplane", dataplane(children), "control-plane", control_plane(d),
			  "configuration", configuration(generation), "token", token_status(d),
			  "ssh-ports", ssh_ports(generation), "versions", versions(generation));
	int r = origin ? json_object_update(answer, origin) : -1;

	json_decref(origin);
	return r;
}
