/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewalld/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"
#define BUS_NAME   "org.freedesktop.DBus"
#define BUS_PATH   "/org/freedesktop/DBus"
#define NAME       "org.fedoraproject.FirewallD1"
#define PATH       "/org/fedoraproject/FirewallD1"

struct firewalld_bus {
	struct firewalld_bus_setup setup;
	sd_bus *bus;     /* NULL: lost, or not to be had */
	char owner[256]; /* of firewalld's name; "": none, or not known */
};

static bool is_from(sd_bus_message *m, const char *sender)
{
	const char *name = sd_bus_message_get_sender(m);

	return name && sender[0] && strcmp(name, sender) == 0;
}

static void keep_owner(struct firewalld_bus *bus, const char *owner)
{
	(void)snprintf(bus->owner, sizeof(bus->owner), "%s", owner);
}

static int on_owner(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error)
{
	const char *owner;

	if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "s", &owner) >= 0)
		keep_owner(userdata, owner);
	return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error)
{
	struct firewalld_bus *bus = userdata;
	const char *name, *former, *owner;

	if (!is_from(m, BUS_NAME) || sd_bus_message_read(m, "sss", &name, &former, &owner) < 0)
		return 0;
	keep_owner(bus, owner);
	bus->setup.happened(false, bus->setup.userdata);
	return 0;
}

static int on_reloaded(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error)
{
	struct firewalld_bus *bus = userdata;

	if (is_from(m, bus->owner))
		bus->setup.happened(true, bus->setup.userdata);
	return 0;
}

/* Within its own callback a connection can only be let go. */
static int on_lost(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error)
{
	struct firewalld_bus *bus = userdata;

	keep_owner(bus, "");
	bus->bus = sd_bus_unref(bus->bus);
	return 0;
}

/* What to hear of; who owns the name already. */
static int listen_to(struct firewalld_bus *bus)
{
	int r = sd_bus_match_signal(bus->bus, NULL, "org.freedesktop.DBus.Local",
				    "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
				    "Disconnected", on_lost, bus);

	if (r >= 0)
		r = sd_bus_add_match_async(bus->bus, NULL,
					   "type='signal',sender='" BUS_NAME
					   "',interface='" BUS_NAME
					   "',member='NameOwnerChanged',arg0='" NAME "'",
					   on_owner_changed, NULL, bus);
	if (r >= 0)
		r = sd_bus_match_signal_async(bus->bus, NULL, NAME, PATH, NAME, "Reloaded",
					      on_reloaded, NULL, bus);
	if (r >= 0)
		r = sd_bus_call_method_async(bus->bus, NULL, BUS_NAME, BUS_PATH, BUS_NAME,
					     "GetNameOwner", on_owner, bus, "s", NAME);
	return r;
}

/* Nothing of this blocks: a bus that does not answer is none. */
static int join(struct firewalld_bus *bus)
{
	const char *address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
	int r = sd_bus_new(&bus->bus);

	if (r >= 0)
		r = sd_bus_set_address(bus->bus, address ? address : SYSTEM_BUS);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus->bus, 1);
	/* Anybody may send us some, and their end may block: daemon/os/peer.h. */
	if (r >= 0)
		r = sd_bus_negotiate_fds(bus->bus, 0);
	/* Waits for a socket that is not there yet. */
	if (r >= 0)
		r = sd_bus_set_watch_bind(bus->bus, 1);
	if (r >= 0)
		r = sd_bus_start(bus->bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus->bus, bus->setup.event, (int)bus->setup.priority);
	return r < 0 ? r : listen_to(bus);
}

void firewalld_bus_renew(struct firewalld_bus *bus)
{
	if (!bus->bus && join(bus) < 0)
		bus->bus = sd_bus_close_unref(bus->bus);
}

struct firewalld_bus *firewalld_bus_new(const struct firewalld_bus_setup *setup)
{
	struct firewalld_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	bus->setup = *setup;
	firewalld_bus_renew(bus);
	return bus;
}

void firewalld_bus_free(struct firewalld_bus *bus)
{
	if (!bus)
		return;
	sd_bus_close_unref(bus->bus);
	free(bus);
}
