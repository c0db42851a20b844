/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include "common/base/strbuf.h"

/* What becomes of the ports that the Dataplane declares: Envoy serves them only where they are
 * redirected to it, and only at the address that is declared. */

#define DATAPLANE     "kumaDP.dataplaneFile"
#define STRICT        "safety.strictInbound"
#define ADDRESSES_MAX 8 /* told one by one */

static void add_port(struct planner *p, struct port_list *list, uint16_t port)
{
	if (!planner_lists(list, port) && !planner_lists(&p->plan->ssh_ports, port))
		array_push(p->arena, list, port);
}

/* The Dataplane's ports that are not redirected, once each. Ports of SSH, of which protectSSH has
 * told, are not among them. */
static struct port_list excluded_ports(struct planner *p)
{
	const struct port_list *declared = &p->plan->children.dataplane.inbound_ports;
	struct port_list ret = { 0 };

	for (size_t i = 0; i < declared->n; i++)
		if (!planner_redirects(p, declared->items[i]))
			add_port(p, &ret, declared->items[i]);
	return ret;
}

/* Where the applications listen whose inbounds are redirected. */
static struct port_list guarded_ports(struct planner *p)
{
	const struct dataplane *dataplane = &p->plan->children.dataplane;
	struct port_list ret = { 0 };

	for (size_t i = 0; i < dataplane->inbound_ports.n; i++)
		if (planner_redirects(p, dataplane->inbound_ports.items[i]))
			add_port(p, &ret, dataplane->app_ports.items[i]);
	return ret;
}

/* "8080, 8443". */
static const char *print_ports(struct planner *p, const struct port_list *ports)
{
	const char *ret = "";

	for (size_t i = 0; i < ports->n && ret; i++)
		ret = arena_printf(p->arena, "%s%s%u", ret, i ? ", " : "", ports->items[i]);
	return ret ? ret : "";
}

static void warn_of_ports(struct planner *p)
{
	const struct plan_direction *inbound = &p->plan->inbound;
	const struct port_list ports = excluded_ports(p);
	const char *setting = "redirect.inbound.excludePorts";

	if (!inbound->enabled)
		setting = "redirect.inbound.enabled";
	else if (inbound->include_ports.n)
		setting = "redirect.inbound.includePorts";
	if (ports.n)
		say(p, CONFIG_WARNING, setting,
		    "leaves inbounds of the Dataplane (%s) out of the mesh: clients that use mTLS "
		    "get no answer there",
		    print_ports(p, &ports));
}

/* Exclusions of the family that clients of the mesh come over. */
static void warn_of_clients(struct planner *p, enum family family)
{
	const struct net_list *nets = &p->plan->family[family].exclude_inbound;
	const struct port_list *ports = &p->plan->strict_ports;
	_strbuf_ struct strbuf text = { 0 };

	for (size_t i = 0; i < nets->n; i++)
		strbuf_addf(&text, "%s%s", i ? ", " : "", nets->items[i].text);
	if (text.len && ports->n)
		say(p, CONFIG_WARNING, "redirect.inbound.excludePortsForIPs",
		    "lets %s reach inbounds of the Dataplane (%s) past the mesh: clients there "
		    "that use mTLS get no answer",
		    strbuf_text(&text), print_ports(p, ports));
}

/* Sorts the declared addresses by family. Returns false where one is not known, which has been told
 * of. */
static bool plan_endpoints(struct planner *p)
{
	const struct dataplane *dataplane = &p->plan->children.dataplane;
	bool known = true;

	for (size_t i = 0; i < dataplane->inbound_ports.n; i++) {
		const char *text = dataplane->inbound_addresses.items[i];
		struct endpoint endpoint = { .port = dataplane->inbound_ports.items[i] };

		if (!text || !*text)
			text = dataplane->address;
		if (!text || !ip_parse(text, &endpoint.addr))
			known = false;
		else if (endpoint.port == dataplane->app_ports.items[i] &&
			 planner_lists(&p->plan->strict_ports, endpoint.port))
			array_push(p->arena, &p->plan->family[endpoint.addr.family].inbounds,
				   endpoint);
	}
	return known;
}

static bool is_covered(const struct planner *p, const struct ip_addr *addr, uint16_t port)
{
	const struct plan_family *f = &p->plan->family[addr->family];

	for (size_t i = 0; i < f->inbounds.n && f->enabled; i++)
		if (f->inbounds.items[i].port == port && ip_equal(&f->inbounds.items[i].addr, addr))
			return true;
	return false;
}

/* Whether somebody listens at the port of that address, or may do so once it is started. */
static bool may_answer(const struct planner *p, const struct ip_addr *addr, uint16_t port)
{
	const struct socket_list *listeners = &p->facts->listeners;
	bool started = false;

	for (size_t i = 0; i < listeners->n; i++) {
		const struct ip_addr *at = &listeners->items[i].addr;

		if (listeners->items[i].port != port)
			continue;
		started = true;
		if (ip_equal(at, addr) || (ip_is_unspecified(at) && at->family >= addr->family))
			return true;
	}
	return !started;
}

/* Whether others reach something at the address that the mesh should cover. Every host has fe80::,
 * which only neighbours on the link reach: that is said where safety.strictInbound is explained. */
static bool is_exposed(const struct planner *p, const struct ip_addr *addr)
{
	const struct port_list *ports = &p->plan->strict_ports;

	if (ip_is_loopback(addr) || (addr->family == FAMILY_V6 && ip_is_link_local(addr)) ||
	    ip_list_has(&p->facts->inner_addresses, addr))
		return false;
	for (size_t i = 0; i < ports->n; i++)
		if (!is_covered(p, addr, ports->items[i]) && may_answer(p, addr, ports->items[i]))
			return true;
	return false;
}

static void warn_of_plaintext(struct planner *p)
{
	const struct ip_list *all = &p->facts->addresses;
	_strbuf_ struct strbuf text = { 0 };
	char addr[IP_TEXT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		if (!is_exposed(p, &all->items[i]) || n++ >= ADDRESSES_MAX)
			continue;
		ip_print(&all->items[i], addr);
		strbuf_addf(&text, "%s%s", text.len ? ", " : "", addr);
	}
	if (n > ADDRESSES_MAX)
		strbuf_addf(&text, " and %zu more", n - ADDRESSES_MAX);
	if (n)
		say(p, HOST_WARNING, DATAPLANE,
		    "inbounds of the Dataplane (%s) answer in plaintext at %s: the mesh's mTLS "
		    "covers the declared address alone; " STRICT ": true closes them there",
		    print_ports(p, &p->plan->strict_ports), strbuf_text(&text));
}

/* All that keeps the ports from being closed is an error where it was asked for. */
static void plan_strict(struct planner *p, bool known)
{
	const char *missing = planner_abilities(p, FAMILY_V6)->no_redirect;
	bool v6 = p->facts->ipv6;

	if (!*p->config->kuma_dp.dataplane_file)
		say(p, CONFIG_ERROR, STRICT,
		    "needs " DATAPLANE ": it closes the ports that are declared there");
	else if (!known)
		say(p, CONFIG_ERROR, STRICT,
		    "needs an IP address as the Dataplane's networking.address: at all others it "
		    "closes the ports");
	else if (!p->plan->strict_ports.n && excluded_ports(p).n)
		say(p, CONFIG_ERROR, STRICT,
		    "has nothing to close: no inbound of the Dataplane is redirected");
	else if (v6 && missing)
		say(p, HOST_ERROR, STRICT, "ports cannot be closed for IPv6: %s", missing);
	p->plan->family[FAMILY_V4].strict = p->plan->strict_ports.n > 0;
	p->plan->family[FAMILY_V6].strict = p->plan->strict_ports.n > 0 && v6;
}

/* A rule more for interfaces without an address: REDIRECT drops what arrives there. */
static bool plan_unnumbered(struct planner *p, enum family family)
{
	const char *missing = planner_abilities(p, family)->no_local;
	const char *name = p->facts->family[family].unnumbered;

	if (name && missing && p->plan->family[family].enabled)
		say(p, HOST_WARNING, "backend",
		    "what arrives at interfaces without an address (%s) and is redirected is lost: %s",
		    name, missing);
	return name && !missing;
}

void plan_inbound(struct planner *p)
{
	const char *address = p->plan->children.dataplane.address;
	struct plan_family *family = p->plan->family;
	struct ip_addr addr = { 0 };
	bool is_ip = address && ip_parse(address, &addr), known;

	p->plan->strict_ports = guarded_ports(p);
	known = plan_endpoints(p);
	warn_of_ports(p);
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		family[f].unnumbered = plan_unnumbered(p, f);
		if (family[f].enabled && (!is_ip || addr.family == f))
			warn_of_clients(p, f);
	}
	p->file = p->config->kuma_dp.dataplane_file;
	if (is_ip && addr.family == FAMILY_V6 && !family[FAMILY_V6].enabled)
		say(p, HOST_ERROR, DATAPLANE,
		    "networking.address %s is IPv6, which is not redirected: kuma-dp would run "
		    "without a transparent proxy",
		    address);
	else if (known && p->config->safety.strict_inbound != AUTO_BOOL_TRUE)
		warn_of_plaintext(p);
	p->file = NULL;
	if (p->config->safety.strict_inbound == AUTO_BOOL_TRUE)
		plan_strict(p, known);
}
