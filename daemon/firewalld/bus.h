/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What firewalld says on the system bus: it comes, it goes, it has reloaded, and each time it has done
 * something to rules. Where there is no bus nothing is said, and nobody is told; one that comes later
 * is joined then.
 *
 * Anybody may send us a signal that looks like firewalld's: what it brings about is a look at the
 * rules, and only the owner of firewalld's name is taken for firewalld.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "common/base/attr.h"
#include "common/base/cleanup.h"

struct firewalld_bus;

struct firewalld_bus_setup {
	sd_event *event;
	int64_t priority; /* of its events */
	/* Called from the event loop. reloaded: and the rest was not. */
	void (*happened)(bool reloaded, void *userdata);
	void *userdata;
};

/* NULL without memory. */
struct firewalld_bus *firewalld_bus_new(const struct firewalld_bus_setup *setup);

/* To be called now and then: a bus that was lost is joined again. */
void firewalld_bus_renew(struct firewalld_bus *bus);

void firewalld_bus_free(struct firewalld_bus *bus);
DEFINE_CLEANUP(struct firewalld_bus *, firewalld_bus_free, NULL);
