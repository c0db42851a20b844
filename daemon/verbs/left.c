/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/verbs/left.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/netfilter/leftovers/takeover.h"
#include "daemon/netfilter/redirect.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/operator/json.h"

#define LOOK_USEC ((uint64_t)2 * 1000 * 1000)

/* What was found so far, each sentence once: by what each record lists, then whatever it is. */
struct look {
	json_t *left; /* of {whose, what} */
	struct arena arena;
	struct string_list seen;
};

static bool is_seen(const struct look *look, const char *text)
{
	for (size_t i = 0; i < look->seen.n; i++)
		if (strcmp(look->seen.items[i], text) == 0)
			return true;
	return false;
}

/* Adds those that are new; frees the report. */
static int add(struct look *look, const char *whose, struct netfilter_report *report)
{
	json_auto_t *what = json_array();
	int r = 0;

	for (size_t i = 0; i < report->removed.n && r == 0; i++) {
		const char *text = arena_strdup(&look->arena, report->removed.items[i]);

		if (!text)
			r = -1;
		if (!text || is_seen(look, text))
			continue;
		array_push(&look->arena, &look->seen, text);
		r = json_array_append_new(what, json_text(text));
	}
	netfilter_report_done(report);
	if (r == 0 && json_array_size(what) > 0)
		r = json_array_append_new(look->left,
					  json_pack("{s:s,s:O}", "whose", whose, "what", what));
	return r < 0 || look->arena.failed ? -ENOMEM : 0;
}

static int look_at(struct look *look, const char *whose, const char *record, enum scope scope,
		   struct error *err)
{
	const struct redirect_removal removal = {
		.all = netfilter_backends,
		.record = record,
		.record_installed = RECORD_INSTALL,
		.scope = scope,
		.dry_run = true,
	};
	struct netfilter_report report;
	int r = redirect_remove(&removal, &report, err), added = add(look, whose, &report);

	/* A record that is damaged lists nothing. */
	if (r == -EBADMSG)
		return added;
	return r != 0 ? err->code : added;
}

static int look_at_nft(struct look *look, struct error *err)
{
	struct netfilter_report report = { 0 };
	int r = takeover_nft(true, LOOK_USEC, &report, err);
	int added = add(look, "kumactl (in nf_tables)", &report);

	return r < 0 ? r : added;
}

static int look_at_all(struct look *look, struct error *err)
{
	int r = look_at(look, "the service (tproxyd run)", RECORD_RUN, SCOPE_RECORDED, err);

	if (r == 0)
		r = look_at(look, "tproxyd install", RECORD_INSTALL, SCOPE_RECORDED, err);
	if (r == 0)
		r = look_at(look, "kumactl, or of a record that is gone", RECORD_RUN,
			    SCOPE_RECOGNISED, err);
	return r == 0 ? look_at_nft(look, err) : r;
}

static const char *problem_of(const json_t *left)
{
	if (!json_is_array(left))
		return "whether rules are left only root can see";
	return json_array_size(left) > 0
		       ? "rules of a transparent proxy are in the kernel, and nobody looks after "
			 "them"
		       : "traffic of this host goes direct";
}

static const char *advice_of(const json_t *left)
{
	return json_array_size(left) > 0
		       ? "'systemctl start tproxyd' takes the redirect over, 'tproxyd uninstall' "
			 "takes it out"
		       : "'systemctl start tproxyd' redirects it; 'systemctl status tproxyd' has "
			 "the last end";
}

int left_status(json_t **ret, struct error *err)
{
	struct look look = { .left = json_array() };
	struct error why = { 0 };
	json_t *left = look.left;
	_strbuf_ struct strbuf problem = { 0 };
	bool failed = geteuid() == 0 && look_at_all(&look, &why) < 0;

	if (geteuid() != 0 || failed) {
		json_decref(left);
		left = json_null();
	}
	if (failed)
		strbuf_addf(&problem, "what is in the kernel cannot be told: %s", why.text);
	else
		strbuf_add(&problem, problem_of(left));
	*ret = json_pack("{s:b,s:s,s:b,s:o,s:s,s:o,s:{s:s}}", "ok", 1, "phase", "not-running",
			 "healthy", 0, "problem", json_text(strbuf_text(&problem)), "advice",
			 advice_of(left), "left", left, "versions", "tproxyd", TPROXYD_VERSION);
	arena_done(&look.arena);
	return *ret ? 0 : error_sys(err, -ENOMEM, "look what is left");
}
