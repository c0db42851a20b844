/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/report/report.h"

#include <string.h>
#include <time.h>

#include "common/base/attr.h"
#include "common/report/page.h"

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static int64_t number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static bool has_number(const json_t *object, const char *name)
{
	return json_is_integer(json_object_get(object, name));
}

/* "12 connections", "1 connection". */
static void add_count(struct strbuf *out, int64_t n, const char *what, const char *many)
{
	strbuf_addf(out, "%lld %s", (long long)n, n == 1 ? what : many);
}

static void add_list(struct strbuf *out, const json_t *list, const char *separator,
		     const char *last)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n; i++)
		strbuf_addf(out, "%s%s",
			    i == 0      ? ""
			    : i + 1 < n ? separator
					: last,
			    json_string_value(json_array_get(list, i)));
}

static void add_date(struct strbuf *out, int64_t seconds)
{
	char text[64] = "";
	time_t time = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&time, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	strbuf_add(out, text);
}

static void add_answer(struct page *page, const json_t *status)
{
	_strbuf_ struct strbuf line = { 0 };
	const char *phase = text_of(status, "phase"), *problem = text_of(status, "problem");
	bool redirecting = strcmp(phase, "redirecting") == 0;

	strbuf_add(&line, strcmp(phase, "not-running") == 0 ? "not running" : phase);
	if (line.len)
		line.text[0] = (char)(line.text[0] - 'a' + 'A');
	if (redirecting) {
		strbuf_addc(&line, ' ');
		add_list(&line, json_object_get(status, "families"), ", ", " and ");
	}
	if (has_number(status, "since")) {
		strbuf_add(&line, " since ");
		add_date(&line, number_of(status, "since"));
		strbuf_add(&line, " (");
		page_duration(&line, number_of(status, "seconds"));
		strbuf_add(&line, ")");
	}
	if (*problem)
		strbuf_addf(&line, "%s%s", redirecting ? ", but " : ": ", problem);
	page_add(page, "", strbuf_text(&line), 3);
}

static void add_dataplane(struct page *page, const json_t *status)
{
	const json_t *dataplane = json_object_get(status, "dataplane");
	const char *name = text_of(dataplane, "name"), *mesh = text_of(dataplane, "mesh");
	_strbuf_ struct strbuf line = { 0 };

	strbuf_addf(&line, "%s in mesh %s", *name ? name : "(no name)", *mesh ? mesh : "default");
	page_add(page, "Dataplane", strbuf_text(&line), 1);
}

static void add_control_plane(struct page *page, const json_t *status)
{
	const json_t *control_plane = json_object_get(status, "control-plane");
	const json_t *connected = json_object_get(control_plane, "connected");
	_strbuf_ struct strbuf line = { 0 };

	strbuf_add(&line, text_of(control_plane, "address"));
	if (json_is_boolean(connected))
		strbuf_add(&line, json_is_true(connected) ? ", connected" : ", not connected");
	if (has_number(control_plane, "seconds")) {
		strbuf_add(&line, " for ");
		page_duration(&line, number_of(control_plane, "seconds"));
	}
	page_add(page, "Control plane", strbuf_text(&line), 2);
}

static void add_rules(struct page *page, const json_t *status)
{
	const json_t *rules = json_object_get(status, "rules");
	const json_t *repairs = json_object_get(rules, "repairs");
	int64_t n = number_of(repairs, "count");
	_strbuf_ struct strbuf line = { 0 };

	strbuf_addf(&line, "%s, level %s, ", text_of(rules, "backend"), text_of(rules, "level"));
	if (json_is_true(json_object_get(rules, "as-expected")))
		strbuf_add(&line, "as expected");
	else if (*text_of(rules, "error"))
		strbuf_add(&line, "cannot be read");
	else
		strbuf_add(&line, "not as expected: ");
	add_list(&line, json_object_get(rules, "missing"), ", ", ", ");
	if (n > 0) {
		strbuf_add(&line, "; repaired ");
		add_count(&line, n, "time", "times");
		strbuf_add(&line, ", last ");
		page_duration(&line, number_of(repairs, "seconds-ago"));
		strbuf_add(&line, " ago");
	}
	if (json_is_true(json_object_get(repairs, "contested")))
		strbuf_add(&line, ": another program keeps changing them");
	page_add(page, "Rules", strbuf_text(&line), 2);
	page_add(page, "Backend", text_of(rules, "backend-reason"), 2);
	page_add(page, "Limit", text_of(rules, "backend-limit"), 2);
}

static void add_traffic(struct page *page, const json_t *status)
{
	const json_t *traffic = json_object_get(status, "traffic");
	const json_t *drain = json_object_get(status, "drain");
	_strbuf_ struct strbuf line = { 0 };

	strbuf_add(&line, "redirected ");
	add_count(&line, number_of(traffic, "outbound-connections"), "connection", "connections");
	strbuf_addf(&line, " out, %lld in and ",
		    (long long)number_of(traffic, "inbound-connections"));
	add_count(&line, number_of(traffic, "dns-queries"), "DNS query", "DNS queries");
	strbuf_addf(&line, "; %lld left alone",
		    (long long)number_of(traffic, "excluded-connections"));
	if (has_number(traffic, "open-connections"))
		strbuf_addf(&line, "; %lld open now",
			    (long long)number_of(traffic, "open-connections"));
	if (json_is_object(drain)) {
		strbuf_add(&line, ", for at most ");
		page_duration(&line, number_of(drain, "seconds-left"));
	}
	page_add(page, "Traffic", strbuf_text(&line), 2);
}

static void add_memory(struct strbuf *out, int64_t bytes)
{
	strbuf_addf(out, ", %.1f MiB", (double)bytes / (1024 * 1024));
}

static void add_last_exit(struct strbuf *out, const json_t *last)
{
	if (!json_is_object(last))
		return;
	strbuf_addf(out, "; the last one %s", text_of(last, "text"));
	if (has_number(last, "seconds-ago")) {
		strbuf_addc(out, ' ');
		page_duration(out, number_of(last, "seconds-ago"));
		strbuf_add(out, " ago");
	}
}

static void add_process(struct page *page, const char *label, const json_t *process)
{
	int64_t pid = number_of(process, "pid"), restarts = number_of(process, "restarts");
	_strbuf_ struct strbuf line = { 0 };

	if (!json_is_object(process))
		return;
	strbuf_add(&line, text_of(process, "state"));
	if (pid > 0)
		strbuf_addf(&line, ", process %lld", (long long)pid);
	if (has_number(process, "memory-bytes"))
		add_memory(&line, number_of(process, "memory-bytes"));
	if (has_number(process, "uptime-seconds")) {
		strbuf_add(&line, ", up ");
		page_duration(&line, number_of(process, "uptime-seconds"));
	}
	if (has_number(process, "due-seconds")) {
		strbuf_add(&line, ", again in ");
		page_duration(&line, number_of(process, "due-seconds"));
	}
	if (restarts > 0) {
		strbuf_add(&line, ", ");
		add_count(&line, restarts, "restart", "restarts");
	}
	if (json_is_true(json_object_get(process, "program-replaced")))
		strbuf_add(&line, ", runs a deleted program ('tproxyd reload' starts the new one)");
	add_last_exit(&line, json_object_get(process, "last-exit"));
	page_add(page, label, strbuf_text(&line), 2);
}

static void add_processes(struct page *page, const json_t *status)
{
	const json_t *processes = json_object_get(status, "processes");
	_strbuf_ struct strbuf line = { 0 };

	add_process(page, "kuma-dp", json_object_get(processes, "kuma-dp"));
	add_process(page, "Envoy", json_object_get(processes, "envoy"));
	add_process(page, "coredns", json_object_get(processes, "coredns"));
	strbuf_addf(&line, "process %lld", (long long)number_of(status, "pid"));
	if (has_number(status, "memory-bytes"))
		add_memory(&line, number_of(status, "memory-bytes"));
	strbuf_add(&line, ", up ");
	page_duration(&line, number_of(status, "uptime-seconds"));
	strbuf_addf(&line, ", log level %s", text_of(status, "log-level"));
	page_add(page, "tproxyd", strbuf_text(&line), 1);
}

static void add_configuration(struct page *page, const json_t *status)
{
	const json_t *configuration = json_object_get(status, "configuration");
	_strbuf_ struct strbuf line = { 0 };

	strbuf_addf(&line, "generation %lld", (long long)number_of(status, "generation"));
	if (has_number(status, "generation-waiting"))
		strbuf_addf(&line, " (%lld comes when a proxy serves that fits it)",
			    (long long)number_of(status, "generation-waiting"));
	if (json_array_size(json_object_get(configuration, "files")))
		strbuf_add(&line, ": ");
	add_list(&line, json_object_get(configuration, "files"), ", ", ", ");
	page_add(page, "Configuration", strbuf_text(&line), 2);
}

static void add_token(struct page *page, const json_t *status)
{
	const json_t *token = json_object_get(status, "token");
	_strbuf_ struct strbuf line = { 0 };

	strbuf_add(&line, text_of(token, "expiry"));
	if (json_is_true(json_object_get(token, "replaced")))
		strbuf_add(&line, "; its file has a new one, which comes with 'tproxyd reload'");
	page_add(page, "Token", strbuf_text(&line), 2);
}

static void add_ssh(struct page *page, const json_t *status)
{
	_strbuf_ struct strbuf line = { 0 };
	const char *port;
	json_t *why;

	json_object_foreach(json_object_get(status, "ssh-ports"), port, why)
		strbuf_addf(&line, "%sport %s left alone (%s)", line.len ? "; " : "", port,
			    json_string_value(why));
	page_add(page, "SSH", strbuf_text(&line), 1);
}

static void add_versions(struct page *page, const json_t *status)
{
	json_t *versions = json_object_get(status, "versions");
	const json_t *installed = json_object_get(versions, "installed");
	_strbuf_ struct strbuf line = { 0 };
	const char *name;
	json_t *version;

	json_object_foreach(versions, name, version)
	{
		if (json_is_string(version) && version != installed)
			strbuf_addf(&line, "%s%s %s", line.len ? ", " : "", name,
				    json_string_value(version));
	}
	if (json_is_string(installed))
		strbuf_addf(&line, "; tproxyd %s is installed: 'tproxyd reexec' changes to it",
			    json_string_value(installed));
	page_add(page, "Versions", strbuf_text(&line), 2);
}

static void add_left(struct page *page, const json_t *status)
{
	const json_t *left = json_object_get(status, "left");

	for (size_t i = 0; i < json_array_size(left); i++) {
		const json_t *part = json_array_get(left, i);
		_strbuf_ struct strbuf line = { 0 };

		strbuf_addf(&line, "of %s: ", text_of(part, "whose"));
		add_list(&line, json_object_get(part, "what"), "; ", "; ");
		page_add(page, "In the kernel", strbuf_text(&line), 6);
	}
}

static const char *colour_of(const json_t *status)
{
	static const char *const alarming[] = { "holding", "released" };
	const char *phase = text_of(status, "phase");

	if (json_is_true(json_object_get(status, "healthy")))
		return "\033[1;32m";
	for (size_t i = 0; i < ELEMENTS(alarming); i++)
		if (strcmp(phase, alarming[i]) == 0)
			return "\033[1;31m";
	return json_array_size(json_object_get(status, "left")) ? "\033[1;31m" : "\033[1;33m";
}

void report_text(const json_t *status, bool colour, struct strbuf *out)
{
	static void (*const rows[])(struct page * page, const json_t *status) = {
		add_dataplane,     add_control_plane, add_rules, add_traffic,  add_processes,
		add_configuration, add_token,         add_ssh,   add_versions,
	};
	struct page page = { .out = out };

	strbuf_add(out, colour ? colour_of(status) : "");
	add_answer(&page, status);
	strbuf_add(out, colour ? "\033[0m" : "");
	page_add(&page, "What to do", text_of(status, "advice"), 2);
	if (strcmp(text_of(status, "phase"), "not-running") == 0) {
		add_left(&page, status);
		return;
	}
	strbuf_addc(out, '\n');
	page.lines++;
	for (size_t i = 0; i < ELEMENTS(rows); i++)
		rows[i](&page, status);
}

int report_exit_status(const json_t *status)
{
	if (strcmp(text_of(status, "phase"), "not-running") == 0)
		return 3;
	return json_is_true(json_object_get(status, "healthy")) ? 0 : 4;
}
