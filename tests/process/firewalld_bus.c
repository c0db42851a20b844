/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A bus of our own (dbus-daemon) on which somebody calls himself firewalld. */

#include "daemon/firewalld/bus.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define NAME    "org.fedoraproject.FirewallD1"
#define PATH    "/org/fedoraproject/FirewallD1"
#define PATIENT ((uint64_t)10 * 1000 * 1000)

static const char config_head[] =
	"<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
	"\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">"
	"<busconfig><type>custom</type><auth>EXTERNAL</auth><policy context=\"default\">"
	"<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>"
	"<allow own=\"*\"/><allow user=\"*\"/>"
	"</policy>";

static char directory[] = "/tmp/firewalld-bus-XXXXXX";
static pid_t bus_pid;
static unsigned changes, reloads;

static void happened(bool reloaded, void *userdata)
{
	(void)userdata;
	reloads += reloaded;
	changes += !reloaded;
}

static void start_bus(void)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "--config-file=%s/config", directory);
	bus_pid = fork();
	if (bus_pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execl("/usr/bin/dbus-daemon", "dbus-daemon", "--nofork", "--nosyslog", path,
			    NULL);
		_exit(127);
	}
}

static void stop_bus(void)
{
	char path[128];

	(void)kill(bus_pid, SIGKILL);
	(void)waitpid(bus_pid, NULL, 0);
	(void)snprintf(path, sizeof(path), "%s/socket", directory);
	(void)unlink(path);
}

static void set_up(void)
{
	char path[128], address[160];
	FILE *f;

	if (access("/usr/bin/dbus-daemon", X_OK) < 0)
		cr_skip_test("dbus-daemon is not installed");
	cr_assert_not_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/config", directory);
	f = fopen(path, "we");
	cr_assert_not_null(f);
	(void)fprintf(f, "%s<listen>unix:path=%s/socket</listen></busconfig>", config_head,
		      directory);
	(void)fclose(f);
	(void)snprintf(address, sizeof(address), "unix:path=%s/socket", directory);
	(void)setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
}

static sd_bus *join_bus(void)
{
	sd_bus *bus = NULL;

	for (int i = 0; i < 500 && sd_bus_open_system(&bus) < 0; i++)
		(void)usleep(20000);
	cr_assert_not_null(bus);
	return bus;
}

static void run_until(sd_event *event, const unsigned *count, unsigned wanted)
{
	for (int i = 0; i < 500 && *count < wanted; i++)
		(void)sd_event_run(event, PATIENT / 500);
	cr_assert_eq(*count, wanted);
}

/* Time enough for what must not come. */
static void run_a_little(sd_event *event)
{
	for (int i = 0; i < 20; i++)
		(void)sd_event_run(event, 10000);
}

static void say_reloaded(sd_bus *bus, const char *to)
{
	sd_bus_message *m = NULL;

	cr_assert_geq(sd_bus_message_new_signal(bus, &m, PATH, NAME, "Reloaded"), 0);
	if (to)
		cr_assert_geq(sd_bus_message_set_destination(m, to), 0);
	cr_assert_geq(sd_bus_send(bus, m, NULL), 0);
	cr_assert_geq(sd_bus_flush(bus), 0);
	sd_bus_message_unref(m);
}

Test(firewalld_bus, tells_when_firewalld_comes_reloads_and_goes, .init = set_up)
{
	sd_event *event = NULL;
	struct firewalld_bus *bus;
	sd_bus *firewalld, *stranger;
	const char *ours = ":1.0";

	cr_assert_geq(sd_event_new(&event), 0);
	start_bus();
	sd_bus_close_unref(join_bus()); /* it is up; its name was :1.0 */
	ours = ":1.1";
	bus = firewalld_bus_new(&(struct firewalld_bus_setup){ event, 0, happened, NULL });
	run_a_little(event);
	firewalld = join_bus();
	stranger = join_bus();
	cr_expect_eq(changes, 0);

	cr_assert_geq(sd_bus_request_name(firewalld, NAME, 0), 0);
	run_until(event, &changes, 1);
	say_reloaded(firewalld, NULL);
	run_until(event, &reloads, 1);

	/* To us alone, and to all. */
	say_reloaded(stranger, ours);
	say_reloaded(stranger, NULL);
	run_a_little(event);
	cr_expect_eq(reloads, 1, "a stranger is not firewalld");
	cr_expect_eq(changes, 1);

	sd_bus_close_unref(firewalld);
	run_until(event, &changes, 2);
	firewalld_bus_free(bus);
	sd_bus_close_unref(stranger);
	sd_event_unref(event);
	stop_bus();
}

Test(firewalld_bus, knows_a_firewalld_that_was_there_before, .init = set_up)
{
	sd_event *event = NULL;
	struct firewalld_bus *bus;
	sd_bus *firewalld;

	cr_assert_geq(sd_event_new(&event), 0);
	start_bus();
	firewalld = join_bus();
	cr_assert_geq(sd_bus_request_name(firewalld, NAME, 0), 0);
	bus = firewalld_bus_new(&(struct firewalld_bus_setup){ event, 0, happened, NULL });
	run_a_little(event);
	say_reloaded(firewalld, NULL);
	run_until(event, &reloads, 1);
	firewalld_bus_free(bus);
	sd_bus_close_unref(firewalld);
	sd_event_unref(event);
	stop_bus();
}

Test(firewalld_bus, joins_a_bus_that_comes_later_and_again_one_that_was_lost, .init = set_up)
{
	sd_event *event = NULL;
	struct firewalld_bus *bus;

	cr_assert_geq(sd_event_new(&event), 0);
	bus = firewalld_bus_new(&(struct firewalld_bus_setup){ event, 0, happened, NULL });
	for (unsigned n = 1; n <= 3; n++) {
		sd_bus *firewalld;

		start_bus();
		firewalld = join_bus();
		run_a_little(event);
		firewalld_bus_renew(bus);
		run_a_little(event);
		cr_assert_geq(sd_bus_request_name(firewalld, NAME, 0), 0);
		run_until(event, &changes, n);
		stop_bus();
		run_a_little(event);
		firewalld_bus_renew(bus);
		sd_bus_close_unref(firewalld);
	}
	firewalld_bus_free(bus);
	sd_event_unref(event);
}

Test(firewalld_bus, does_without_a_bus)
{
	sd_event *event = NULL;
	struct firewalld_bus *bus;

	cr_assert_geq(sd_event_new(&event), 0);
	(void)setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	bus = firewalld_bus_new(&(struct firewalld_bus_setup){ event, 0, happened, NULL });
	run_a_little(event);
	firewalld_bus_renew(bus);
	run_a_little(event);
	(void)setenv("DBUS_SYSTEM_BUS_ADDRESS", "nonsense", 1);
	firewalld_bus_free(bus);
	bus = firewalld_bus_new(&(struct firewalld_bus_setup){ event, 0, happened, NULL });
	firewalld_bus_renew(bus);
	cr_expect_eq(changes + reloads, 0);
	firewalld_bus_free(bus);
	sd_event_unref(event);
}
