/* SPDX-License-Identifier: GPL-2.0-or-later */

/* https://github.com/OpenObservability/OpenMetrics, of which the older text format, which
 * node_exporter reads, takes all that is used here: no infos, no statesets. */

#include <string.h>

#include "common/base/attr.h"
#include "common/report/report.h"

/* Where a number stands in the answer. */
struct family {
	const char *name, *type, *unit; /* unit NULL: none */
	const char *help;
	const char *section, *member; /* section NULL: the answer itself */
};

static const struct family singles[] = {
	{ "tproxyd_healthy", "gauge", NULL,
	  "All of the host's traffic that is to be redirected is.", NULL, "healthy" },
	{ "tproxyd_phase_duration_seconds", "gauge", "seconds", "How long the phase has lasted.",
	  NULL, "seconds" },
	{ "tproxyd_uptime_seconds", "gauge", "seconds", "How long the daemon has run.", NULL,
	  "uptime-seconds" },
	{ "tproxyd_generation", "gauge", NULL, "The number of the configuration in effect.", NULL,
	  "generation" },
	{ "tproxyd_control_plane_connected", "gauge", NULL, "Envoy has the control plane.",
	  "control-plane", "connected" },
	{ "tproxyd_token_remaining_seconds", "gauge", "seconds",
	  "How long the data plane token is valid yet.", "token", "seconds-left" },
	{ "tproxyd_rules_as_expected", "gauge", NULL,
	  "The rules in the kernel are those that should be there.", "rules", "as-expected" },
	{ "tproxyd_dns_queries", "counter", NULL, "DNS queries that were redirected.", "traffic",
	  "dns-queries" },
	{ "tproxyd_excluded_connections", "counter", NULL,
	  "Connections that were left alone, as configured.", "traffic", "excluded-connections" },
	{ "tproxyd_open_connections", "gauge", NULL, "Redirected connections that are open.",
	  "traffic", "open-connections" },
};

static void begin(struct strbuf *out, const struct family *f)
{
	strbuf_addf(out, "# TYPE %s %s\n", f->name, f->type);
	if (f->unit)
		strbuf_addf(out, "# UNIT %s %s\n", f->name, f->unit);
	strbuf_addf(out, "# HELP %s %s\n", f->name, f->help);
}

/* labels as "name=\"value\"", or "". */
static void add(struct strbuf *out, const struct family *f, const char *labels, int64_t value)
{
	strbuf_addf(out, "%s%s%s%s%s %lld\n", f->name,
		    strcmp(f->type, "counter") == 0 ? "_total" : "", *labels ? "{" : "", labels,
		    *labels ? "}" : "", (long long)value);
}

/* Whether there is a number, or a truth. */
static bool read_number(const json_t *value, int64_t *ret)
{
	if (!json_is_integer(value) && !json_is_boolean(value))
		return false;
	*ret = json_is_integer(value) ? json_integer_value(value) : json_is_true(value);
	return true;
}

static void add_single(struct strbuf *out, const json_t *status, const struct family *f)
{
	const json_t *from = f->section ? json_object_get(status, f->section) : status;
	int64_t value;

	if (!read_number(json_object_get(from, f->member), &value))
		return;
	begin(out, f);
	add(out, f, "", value);
}

static void add_phase(struct strbuf *out, const json_t *status)
{
	static const char *const phases[] = { "not-running", "starting", "applying", "redirecting",
					      "degraded",    "holding",  "released", "draining",
					      "stopping",    "stopped" };
	const struct family f = { .name = "tproxyd_phase",
				  .type = "gauge",
				  .help = "1 for the phase that it is, 0 for the others." };
	const char *phase = json_string_value(json_object_get(status, "phase"));

	begin(out, &f);
	for (size_t i = 0; phase && i < ELEMENTS(phases); i++) {
		_strbuf_ struct strbuf label = { 0 };

		strbuf_addf(&label, "phase=\"%s\"", phases[i]);
		add(out, &f, strbuf_text(&label), strcmp(phase, phases[i]) == 0);
	}
}

static void add_connections(struct strbuf *out, const json_t *status)
{
	const json_t *traffic = json_object_get(status, "traffic");
	const struct family f = { .name = "tproxyd_connections",
				  .type = "counter",
				  .help = "Connections that were redirected." };
	int64_t outbound, inbound;

	if (!read_number(json_object_get(traffic, "outbound-connections"), &outbound) ||
	    !read_number(json_object_get(traffic, "inbound-connections"), &inbound))
		return;
	begin(out, &f);
	add(out, &f, "direction=\"outbound\"", outbound);
	add(out, &f, "direction=\"inbound\"", inbound);
}

static void add_repairs(struct strbuf *out, const json_t *status)
{
	const json_t *rules = json_object_get(status, "rules");
	const struct family f = {
		.name = "tproxyd_rules_repairs",
		.type = "counter",
		.help = "How often rules that others had changed were put right.",
		.member = "count",
	};

	add_single(out, json_object_get(rules, "repairs"), &f);
}

static void add_table_rules(struct strbuf *out, const json_t *status, const struct family *f)
{
	static const char *const names[] = { "IPv4", "IPv6" };
	const json_t *rules = json_object_get(status, "rules");
	bool begun = false;

	for (size_t i = 0; i < ELEMENTS(names); i++) {
		json_t *tables = json_object_get(rules, names[i]), *table;
		const char *name;

		json_object_foreach(tables, name, table)
		{
			_strbuf_ struct strbuf label = { 0 };
			int64_t n = 0;

			if (!begun)
				begin(out, f);
			begun = true;
			(void)read_number(json_object_get(table, f->member), &n);
			strbuf_addf(&label, "family=\"%s\",table=\"%s\"", names[i], name);
			add(out, f, strbuf_text(&label), n);
		}
	}
}

static void add_processes(struct strbuf *out, const json_t *status, const struct family *f)
{
	json_t *processes = json_object_get(status, "processes"), *process;
	bool begun = false;
	const char *name;

	json_object_foreach(processes, name, process)
	{
		_strbuf_ struct strbuf label = { 0 };
		int64_t value;

		if (!read_number(json_object_get(process, f->member), &value))
			continue;
		if (!begun)
			begin(out, f);
		begun = true;
		strbuf_addf(&label, "process=\"%s\"", name);
		add(out, f, strbuf_text(&label), value);
	}
}

static void add_many(struct strbuf *out, const json_t *status)
{
	static const struct family tables[] = {
		{ "tproxyd_rules", "gauge", NULL, "Rules of this redirect in the kernel.", NULL,
		  "rules" },
		{ "tproxyd_rules_wanted", "gauge", NULL, "Rules that should be there.", NULL,
		  "expected" },
	};
	static const struct family processes[] = {
		{ "tproxyd_process_resident_memory_bytes", "gauge", "bytes",
		  "Resident memory of the proxy's processes.", NULL, "memory-bytes" },
		{ "tproxyd_process_uptime_seconds", "gauge", "seconds",
		  "How long the proxy's processes have run.", NULL, "uptime-seconds" },
		{ "tproxyd_process_restarts", "counter", NULL,
		  "How often the proxy's processes were started again.", NULL, "restarts" },
	};

	for (size_t i = 0; i < ELEMENTS(tables); i++)
		add_table_rules(out, status, &tables[i]);
	for (size_t i = 0; i < ELEMENTS(processes); i++)
		add_processes(out, status, &processes[i]);
}

void report_metrics(const json_t *status, struct strbuf *out)
{
	const struct family up = { .name = "tproxyd_up",
				   .type = "gauge",
				   .help = "The daemon runs and answers." };
	const struct family left = {
		.name = "tproxyd_leftovers",
		.type = "gauge",
		.help = "Rules of a transparent proxy are in without a daemon."
	};
	const json_t *found = json_object_get(status, "left");

	begin(out, &up);
	add(out, &up, "", report_exit_status(status) != 3);
	add_phase(out, status);
	for (size_t i = 0; i < ELEMENTS(singles); i++)
		add_single(out, status, &singles[i]);
	add_connections(out, status);
	add_repairs(out, status);
	add_many(out, status);
	if (json_is_array(found)) {
		begin(out, &left);
		add(out, &left, "", json_array_size(found) > 0);
	}
	strbuf_add(out, "# EOF\n");
}
