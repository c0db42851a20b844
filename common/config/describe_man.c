/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/describe.h"

#include "common/config/value.h"

static const char head[] =
	".\\\" SPDX-License-Identifier: GPL-2.0-or-later\n"
	".\\\" Made by \"tproxyd describe man\".\n"
	".Dd November 23, 2026\n"
	".Dt TPROXYD.YAML 5\n"
	".Os\n"
	".Sh NAME\n"
	".Nm tproxyd.yaml\n"
	".Nd configuration of tproxyd\n"
	".Sh SYNOPSIS\n"
	".Pa /etc/tproxyd/tproxyd.yaml\n"
	".Pp\n"
	".Pa /etc/tproxyd/tproxyd.d/*.yaml\n"
	".Sh DESCRIPTION\n"
	"YAML or JSON.\n"
	"Defaults come first, then the main file, the drop-in files in the order of their names, the\n"
	"environment and the command line; what comes later counts.\n"
	"Keys match without regard to case; unknown and duplicate keys and second documents are errors.\n"
	"A configuration file of\n"
	".Sy kumactl install transparent-proxy\n"
	"can be used as it is.\n"
	".Pp\n"
	".Dq tproxyd check\n"
	"says everything that is wrong, with file, line and column;\n"
	".Dq tproxyd show-config\n"
	"prints what is in effect and where it comes from.\n"
	".Sh SETTINGS\n"
	".Bl -tag -width Ds\n";

static const char tail[] = ".El\n"
			   ".Sh SEE ALSO\n"
			   ".Xr tproxyd-redirection 7 ,\n"
			   ".Xr tproxyd 8\n";

/* Text on lines of its own: a backslash is written out, and a line must not begin with a control
 * character (mdoc(7)); each sentence begins a line. */
static void add_text(struct strbuf *out, const char *text)
{
	bool fresh = true;

	for (; *text; text++) {
		if (fresh && (*text == '.' || *text == '\''))
			strbuf_add(out, "\\&");
		fresh = false;
		if (*text == '\\') {
			strbuf_add(out, "\\e");
		} else if (*text == ' ' && text[-1] == '.' && text[1] >= 'A' && text[1] <= 'Z') {
			strbuf_addc(out, '\n');
			fresh = true;
		} else {
			strbuf_addc(out, *text);
		}
	}
	strbuf_addc(out, '\n');
}

static void add_values(struct strbuf *out, const struct setting *setting)
{
	const char *metavar = value_metavar(setting);

	strbuf_add(out, ".Pp\nTakes ");
	if (!setting->names)
		strbuf_add(out, metavar ? metavar : "true or false");
	for (const char *const *name = setting->names; name && *name; name++)
		strbuf_addf(out, "%s%s", *name, !name[1] ? "" : name[2] ? ", " : " or ");
	if (*setting->dflt)
		strbuf_addf(out, "; default %s.\n", setting->dflt);
	else
		strbuf_add(out, "; empty by default.\n");
}

static void add_reload(struct strbuf *out, unsigned affects)
{
	static const struct {
		enum affects bit;
		const char *text;
	} effects[] = {
		{ AFFECTS_RULES, "the rules follow" },
		{ AFFECTS_KUMA_DP, "kuma-dp restarts" },
		{ AFFECTS_CORE_DNS, "our own coredns restarts" },
		{ AFFECTS_DAEMON, "taken over at once" },
		{ AFFECTS_START, "refused where only a restart of the service can do it" },
	};
	const char *separator = ".Pp\nOn reload: ";

	for (size_t i = 0; i < ELEMENTS(effects); i++)
		if (affects & effects[i].bit) {
			strbuf_addf(out, "%s%s", separator, effects[i].text);
			separator = ", ";
		}
	strbuf_addf(out, "%s.\n", affects ? "" : ".Pp\nOn reload: nothing changes");
}

void describe_man(struct strbuf *out)
{
	strbuf_add(out, head);
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *setting = &settings[i];

		strbuf_addf(out, ".It Sy %s%s\n", setting->path,
			    setting->flags & SETTING_NO_YAML ? " No (environment only)" : "");
		add_text(out, setting->help);
		add_values(out, setting);
		strbuf_addf(out, ".Pp\n.Ev %s", setting->env);
		if (setting->flag)
			strbuf_addf(out, " ,\n.br\n.Fl -%s", setting->flag);
		strbuf_addc(out, '\n');
		add_reload(out, setting->affects);
	}
	strbuf_add(out, tail);
}
