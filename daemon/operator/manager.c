/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/manager.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "common/base/cleanup.h"

/* As systemctl(1) does it for root: no message bus has to run. */
#define PRIVATE_BUS "unix:path=/run/systemd/private"
#define PATH        "/org/freedesktop/systemd1"
#define NAME        "org.freedesktop.systemd1"
#define ANSWER_USEC ((uint64_t)1000 * 1000)

static int connect_manager(sd_bus **ret)
{
	sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, PRIVATE_BUS);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, ANSWER_USEC);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		bus = sd_bus_close_unref(bus);
	*ret = bus;
	return r;
}

/* The type of our unit's job; NULL: it has none, or that cannot be told. Freed by the caller. */
static char *type_of_job(sd_bus *bus)
{
	sd_bus_message *unit = NULL, *job = NULL;
	const char *path;
	char *type = NULL;
	uint32_t id = 0;
	int r = sd_bus_call_method(bus, NULL, PATH, NAME ".Manager", "GetUnitByPID", NULL, &unit,
				   "u", (uint32_t)getpid());

	if (r >= 0)
		r = sd_bus_message_read(unit, "o", &path);
	if (r >= 0)
		r = sd_bus_get_property(bus, NULL, path, NAME ".Unit", "Job", NULL, &job, "(uo)");
	if (r >= 0)
		r = sd_bus_message_read(job, "(uo)", &id, &path);
	if (r >= 0 && id != 0)
		(void)sd_bus_get_property_string(bus, NULL, path, NAME ".Job", "JobType", NULL,
						 &type);
	sd_bus_message_unref(job);
	sd_bus_message_unref(unit);
	return type;
}

bool manager_starts_again(void)
{
	sd_bus *bus = NULL;
	_free_ char *type = connect_manager(&bus) < 0 ? NULL : type_of_job(bus);

	sd_bus_close_unref(bus);
	return type && (strcmp(type, "restart") == 0 || strcmp(type, "start") == 0);
}
