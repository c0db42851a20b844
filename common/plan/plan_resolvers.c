/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * DNS that would run in a circle. The mesh's resolver asks the servers of /etc/resolv.conf for all
 * names but the mesh's. Where one of them is this host, what serves it asks others in turn, and
 * where that is redirected, it comes back to the mesh's resolver.
 */

#include <netinet/in.h>
#include <string.h>

#include "common/plan/exclusion.h"
#include "common/plan/planner.h"
#include "common/plan/resolv.h"

/* A name server on this host. */
struct local {
	const struct ip_addr *addr;
	char text[IP_TEXT_MAX];
	bool served; /* somebody listens there */
	uid_t uid;
};

/* Who has a query that is sent to the address: a socket of that address goes before one of all. */
static struct local find_local(const struct planner *p, const struct ip_addr *addr)
{
	struct local local = { .addr = addr };

	ip_print(addr, local.text);
	for (size_t i = 0; i < p->facts->dns_sockets.n; i++) {
		const struct facts_socket *s = &p->facts->dns_sockets.items[i];

		if (s->connected || !facts_socket_takes(s, addr) ||
		    (local.served && ip_is_unspecified(&s->addr)))
			continue;
		local.served = true;
		local.uid = s->uid;
	}
	return local;
}

static bool covers_dns(const struct uid_exclusion *exclusion)
{
	for (size_t i = 0; i < exclusion->n_ports; i++)
		if (exclusion->proto == IPPROTO_UDP && exclusion->ports[i].lo <= DNS_PORT &&
		    exclusion->ports[i].hi >= DNS_PORT)
			return true;
	return false;
}

/* Where it is not known whose its queries are, any exemption of DNS is believed: what root has
 * started may have become another user since. */
static bool is_exempt(const struct planner *p, const struct local *local)
{
	const struct uid_exclusion_list *list = &p->plan->exclude_uids;

	for (size_t i = 0; i < list->n; i++)
		if (covers_dns(&list->items[i]) &&
		    (!local->served || local->uid == 0 ||
		     (list->items[i].uid_lo <= local->uid && local->uid <= list->items[i].uid_hi)))
			return true;
	return false;
}

/* Whether it may ask a server that is redirected: none asks itself. */
static bool may_be_redirected(const struct planner *p, const struct local *local)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		const struct plan_family *f = &p->plan->family[family];

		if (f->dns && p->plan->dns_capture_all)
			return true;
		for (size_t i = 0; i < f->dns_servers.n; i++) {
			const struct ip_addr *server = &f->dns_servers.items[i];
			struct local other = find_local(p, server);

			if (!resolv_is_here(p->facts, server) ||
			    (other.served && local->served && other.uid != local->uid))
				return true;
		}
	}
	return false;
}

static const char *setting_of(const struct planner *p)
{
	return p->plan->dns_capture_all ? "redirect.dns.captureAll"
					: "redirect.dns.resolvConfigPath";
}

/* `install` makes kumactl's rules: there the user has to say it. */
static void warn(struct planner *p, const struct local *local)
{
	const char *uid = local->served && local->uid != 0
				  ? arena_printf(p->arena, "%u", local->uid)
				  : "<UID of its queries>";

	say(p, HOST_WARNING, setting_of(p),
	    RESOLV_CONF " names %s, which is %s: its own queries would be redirected too and "
			"run in a circle; exempt them with "
			"redirect.outbound.excludePortsForUIDs (udp:53:%s), or %s",
	    local->text,
	    local->served ? arena_printf(p->arena, "served on this host by user %u", local->uid)
			  : "this host, where nobody serves DNS now",
	    uid,
	    p->plan->dns_capture_all ? "use redirect.dns.enabled without captureAll"
				     : "redirect the queries to that server alone");
}

static void exempt(struct planner *p, const struct local *local)
{
	const char *entry = arena_printf(p->arena, "udp:53:%u", local->uid);
	struct error err;

	if (!entry || exclusion_parse_uids(p->arena, entry, &p->plan->exclude_uids, &err) < 0)
		return;
	say(p, HOST_NOTICE, setting_of(p),
	    RESOLV_CONF " names %s, which is served on this host by user %u: its own queries "
			"would run in a circle and are not redirected (%s)",
	    local->text, local->uid, entry);
	if (!p->plan->dns_capture_all &&
	    !ip_list_has(&p->plan->family[local->addr->family].dns_servers, local->addr))
		say(p, HOST_WARNING, setting_of(p),
		    "%s does not name %s, which " RESOLV_CONF
		    " does: who asks it gets no names of the mesh",
		    p->config->redirect.dns.resolv_config_path, local->text);
}

static void judge(struct planner *p, const struct ip_addr *server)
{
	struct local local = find_local(p, server);

	if (!resolv_is_here(p->facts, server) || !may_be_redirected(p, &local) ||
	    is_exempt(p, &local))
		return;
	if (local.served && p->plan->user.found && local.uid == p->plan->user.uid)
		return;
	/* Docker's own is reached by a DNAT and listens elsewhere. */
	if (!local.served && p->plan->family[server->family].docker_output)
		return;
	if (local.served && local.uid != 0 && p->purpose == CHECK_RUN)
		exempt(p, &local);
	else
		warn(p, &local);
}

/* Answers to those who are exempt come in the servers' zone, so that they have to ask in it too. */
static void plan_direct_dns(struct planner *p)
{
	static const struct port_range dns = { DNS_PORT, DNS_PORT };
	const struct uid_exclusion_list *list = &p->plan->exclude_uids;

	for (size_t i = 0; i < list->n; i++) {
		struct uid_exclusion direct = list->items[i];

		direct.ports = &dns;
		direct.n_ports = 1;
		direct.ports_text = "53";
		if (covers_dns(&list->items[i]))
			array_push(p->arena, &p->plan->direct_dns, direct);
	}
}

/* A Corefile of the user's may ask whom it likes. */
static bool asks_resolv_conf(const struct planner *p)
{
	const char *corefile = p->facts->corefile.text;

	return !*p->config->core_dns.corefile || !corefile || strstr(corefile, RESOLV_CONF);
}

/* Nor is what programs ask over TCP redirected. */
static void warn_of_use_vc(struct planner *p)
{
	const struct facts_file *file = &p->facts->mesh_resolv_conf;
	struct origin origin = { .kind = ORIGIN_FILE, .name = RESOLV_CONF };

	if (file->text && resolv_find_option(file->text, file->len, "use-vc", &origin))
		diag_add_host(p->diags, SEVERITY_WARNING, &origin, "redirect.dns.enabled",
			      "the option use-vc has programs ask over TCP, which is not "
			      "redirected: they get no names of the mesh");
}

void plan_resolvers(struct planner *p)
{
	const struct facts_file *file = &p->facts->mesh_resolv_conf;
	struct ip_list servers[FAMILY_COUNT] = { 0 };
	struct diag_list ignored = { .arena = p->arena };

	if (file->text && asks_resolv_conf(p))
		resolv_parse(RESOLV_CONF, file->text, file->len, servers, &ignored);
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		for (size_t i = 0; i < servers[family].n; i++)
			judge(p, &servers[family].items[i]);
	if (p->purpose == CHECK_RUN)
		plan_direct_dns(p);
	warn_of_use_vc(p);
}
