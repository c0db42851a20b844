/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/dataplane_rules.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/base/ip.h"
#include "common/base/parse.h"
#include "common/config/quote.h"
#include "common/config/scalar.h"
#include "common/plan/dataplane_fields.h"

#define LOWER        "abcdefghijklmnopqrstuvwxyz0123456789"
#define ALNUM        LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define NAME_LEN_MAX 253
#define SERVICE_TAG  "kuma.io/service"
#define PROTOCOL_TAG "kuma.io/protocol"
#define WITHOUT_TAGS 14 /* the minor version from which inbounds may have no tags */

/* A message and its name in sentences. */
struct part {
	struct proto_reader *r;
	const struct yaml_node *node;
	const char *where;
	unsigned minor;
};

static struct part item(const struct part *list, const struct yaml_entry *entry, const char *name,
			size_t i)
{
	struct part ret = *list;

	ret.node = entry->value;
	ret.where = arena_printf(list->r->arena, "%s.%s[%zu]", list->where, name, i);
	return ret;
}

static struct part member(const struct part *message, const char *name)
{
	struct part ret = *message;

	ret.node = proto_get(message->node, name);
	ret.where = arena_printf(message->r->arena, "%s%s%s", message->where,
				 *message->where ? "." : "", name);
	return ret;
}

static void complain(const struct part *p, const char *field, const char *sentence)
{
	const struct yaml_node *value = proto_get(p->node, field);

	if (value && value->kind == NODE_SCALAR)
		proto_complain(p->r, value, "%s.%s: %s %s", p->where, field,
			       quote_text(p->r->arena, value->text), sentence);
	else
		proto_complain(p->r, value ? value : p->node, "%s.%s: %s", p->where, field,
			       sentence);
}

bool dataplane_is_name(const char *text)
{
	const char *label = text;

	if (strlen(text) > NAME_LEN_MAX)
		return false;
	for (;;) {
		size_t len = strspn(label, LOWER "-");

		if (!len || *label == '-' || label[len - 1] == '-')
			return false;
		if (!label[len])
			return true;
		if (label[len] != '.')
			return false;
		label += len + 1;
	}
}

/* As govalidator.IsDNSName: up to 63 characters between dots, not beginning with "-"; a dot or
 * another "_" may be at the end. */
static bool is_dns_name(const char *text)
{
	size_t characters = 0;

	for (;;) {
		size_t len = strspn(text, ALNUM "_-");

		if (!len || *text == '-')
			return false;
		if (len == 64 && text[63] == '_' && !text[64])
			len--;
		characters += len;
		if (len > 63 || characters > 255)
			return false;
		text += len;
		if (!*text || strcmp(text, ".") == 0 || strcmp(text, "_") == 0)
			return true;
		if (*text++ != '.')
			return false;
	}
}

static void check_port(const struct part *p, const char *field)
{
	uint32_t port = proto_number(p->node, field);

	if (port == 0 || port > UINT16_MAX)
		complain(p, field, "must be a port (1 to 65535)");
}

static void check_address(const struct part *p)
{
	const char *address = proto_text(p->node, "address");
	struct ip_addr addr;

	if (!*address)
		complain(p, "address", "must be given");
	else if (strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0)
		complain(p, "address", "is not an address that others can reach");
	else if (!ip_parse(address, &addr) && !is_dns_name(address))
		complain(
			p, "address",
			"is neither an IP address (without prefix length, port and brackets) nor a name");
}

static void check_ip(const struct part *p, const char *field)
{
	const char *text = proto_text(p->node, field);
	struct ip_addr addr;

	if (*text && !ip_parse(text, &addr))
		complain(p, field, "is not an IP address");
}

static bool is_protocol(const char *text)
{
	static const char *const protocols[] = { "http", "http2", "tcp",  "tls",
						 "grpc", "kafka", "mysql" };

	for (size_t i = 0; i < ELEMENTS(protocols); i++)
		if (strcasecmp(text, protocols[i]) == 0)
			return true;
	return false;
}

static void complain_of_tag(const struct part *p, const struct yaml_node *at, const char *tag,
			    const char *sentence)
{
	proto_complain(p->r, at, "%s.tags: %s: %s", p->where, quote_text(p->r->arena, tag),
		       sentence);
}

/* Of an inbound or a gateway. */
static void check_tags(const struct part *p, bool is_gateway)
{
	const struct yaml_entry *tags;
	size_t n = proto_items(p->node, "tags", &tags);
	bool has_service = false;

	for (size_t i = 0; i < n; i++) {
		const char *tag = scalar_text(p->r->arena, tags[i].key);
		const char *value = proto_is_null(tags[i].value) ? "" : tags[i].value->text;

		if (!tag)
			return;
		has_service = has_service || strcmp(tag, SERVICE_TAG) == 0;
		if (!*tag || tag[strspn(tag, ALNUM ".-_:/")])
			complain_of_tag(p, tags[i].key, tag,
					"a tag's name has letters, digits and . - _ : /");
		if (!*value || value[strspn(value, ALNUM ".-_:")])
			complain_of_tag(p, tags[i].value, tag,
					"a tag's value has letters, digits and . - _ :");
		if (strcmp(tag, PROTOCOL_TAG) != 0)
			continue;
		if (is_gateway && strcasecmp(value, "tcp") != 0)
			complain_of_tag(p, tags[i].value, tag, "must be tcp for a gateway");
		else if (!is_protocol(value))
			complain_of_tag(p, tags[i].value, tag,
					"must be one of grpc, http, http2, kafka, mysql, tcp, tls");
	}
	if (!has_service && (n || p->minor < WITHOUT_TAGS))
		complain(p, "tags", SERVICE_TAG " must be one of them");
}

/* serviceAddress and servicePort have to be another place than the one the proxy listens at. */
static void check_service_address(const struct part *p, const char *proxy_address)
{
	const char *service = proto_text(p->node, "serviceAddress");
	uint32_t service_port = proto_number(p->node, "servicePort");

	if (*service && strcmp(service, proxy_address) == 0 &&
	    (!service_port || service_port == proto_number(p->node, "port")))
		complain(p, "serviceAddress",
			 "with this port is where the proxy itself listens; the application must "
			 "have another address or servicePort");
}

static void check_service_probe(const struct part *p)
{
	static const char *const times[] = { "interval", "timeout" };
	static const char *const counts[] = { "unhealthy_threshold", "healthy_threshold" };
	int64_t nsec;

	for (size_t i = 0; i < ELEMENTS(times); i++) {
		if (proto_get(p->node, times[i]) &&
		    parse_duration(proto_text(p->node, times[i]), &nsec) && nsec == 0)
			complain(p, times[i], "must be longer");
		if (proto_get(p->node, counts[i]) && proto_number(p->node, counts[i]) == 0)
			complain(p, counts[i], "must be at least 1");
	}
}

static void check_inbound(const struct part *p, const char *dataplane_address)
{
	const char *address = proto_text(p->node, "address");
	const char *protocol = proto_text(p->node, "protocol");
	struct part probe = member(p, "serviceProbe");

	check_port(p, "port");
	if (proto_number(p->node, "servicePort"))
		check_port(p, "servicePort");
	check_ip(p, "serviceAddress");
	check_ip(p, "address");
	check_service_address(p, dataplane_address);
	if (strcmp(address, dataplane_address) != 0)
		check_service_address(p, address);
	check_tags(p, false);
	if (p->minor >= WITHOUT_TAGS && *protocol && !is_protocol(protocol))
		complain(p, "protocol", "must be one of grpc, http, http2, kafka, mysql, tcp, tls");
	check_service_probe(&probe);
}

/* Whether an address of an inbound takes what is sent to 127.0.0.1. */
static bool is_at_loopback(const char *text)
{
	struct ip_addr addr, loopback;

	return ip_parse(text, &addr) && ip_parse("127.0.0.1", &loopback) &&
	       (ip_is_unspecified(&addr) || ip_equal(&addr, &loopback));
}

/* Envoy's admin port must be no inbound's. */
static void check_admin(const struct part *networking)
{
	struct part admin = member(networking, "admin");
	uint32_t admin_port = proto_number(admin.node, "port");
	const struct yaml_entry *inbounds;
	size_t n = proto_items(networking->node, "inbound", &inbounds);

	for (size_t i = 0; admin.node && i < n; i++) {
		const struct yaml_node *inbound_node = inbounds[i].value;
		const char *address = proto_text(inbound_node, "address");
		const char *service_address = proto_text(inbound_node, "serviceAddress");
		uint32_t port = proto_number(inbound_node, "port");
		uint32_t service_port = proto_number(inbound_node, "servicePort");

		if (!*address)
			address = proto_text(networking->node, "address");
		if (!*service_address)
			service_address = address;
		if ((admin_port == port && is_at_loopback(address)) ||
		    (admin_port == (service_port ? service_port : port) &&
		     is_at_loopback(service_address)))
			complain(&admin, "port", "is an inbound's port too");
	}
}

static void check_paths(const struct part *endpoint)
{
	static const char *const paths[] = { "inbound_path", "path" };

	for (size_t i = 0; i < ELEMENTS(paths); i++) {
		const char *path = proto_text(endpoint->node, paths[i]);
		size_t scheme = isalpha((unsigned char)*path) ? strspn(path, ALNUM "+-.") : 0;

		/* The rest of what Go's url.ParseRequestURI refuses is left to it. */
		if (*path != '/' && strcmp(path, "*") != 0 && (!scheme || path[scheme] != ':'))
			complain(endpoint, paths[i], "must be a path that begins with /");
	}
}

static void check_probes(const struct part *p)
{
	const struct yaml_entry *endpoints;
	size_t n = proto_items(p->node, "endpoints", &endpoints);

	if (!p->node)
		return;
	check_port(p, "port");
	for (size_t i = 0; i < n; i++) {
		struct part endpoint_part = item(p, &endpoints[i], "endpoints", i);

		check_port(&endpoint_part, "inbound_port");
		check_paths(&endpoint_part);
	}
}

static void check_backends(const struct part *networking)
{
	static const char *const kinds[] = { "MeshService", "MeshExternalService",
					     "MeshMultiZoneService" };
	struct part transparent = member(networking, "transparent_proxying");
	struct part list = member(&transparent, "reachable_backends");
	const struct yaml_entry *refs;
	size_t n = proto_items(list.node, "refs", &refs);

	for (size_t i = 0; i < n; i++) {
		struct part ref = item(&list, &refs[i], "refs", i);
		const char *kind = proto_text(ref.node, "kind");
		const char *name = proto_text(ref.node, "name");
		bool in_namespace = *proto_text(ref.node, "namespace");
		const struct yaml_entry *labels;
		size_t n_labels = proto_items(ref.node, "labels", &labels);

		if (strcmp(kind, kinds[0]) != 0 && strcmp(kind, kinds[1]) != 0 &&
		    strcmp(kind, kinds[2]) != 0)
			complain(&ref, "kind",
				 "must be one of MeshExternalService, MeshMultiZoneService, "
				 "MeshService");
		if (*name ? !dataplane_is_name(name) : in_namespace || !n_labels)
			complain(&ref, "name",
				 "must be a name of lower-case letters, digits, - and dots; it may "
				 "be missing where labels are given alone");
		else if (*name && n_labels)
			complain(&ref, "labels", "must be absent where a name is given");
	}
}

/* That listeners collide is left to kuma-dp. */
static void check_listeners(const struct part *networking)
{
	const struct yaml_entry *listeners;
	size_t n = proto_items(networking->node, "listeners", &listeners);

	for (size_t i = 0; i < n; i++) {
		struct part listener_part = item(networking, &listeners[i], "listeners", i);

		if (!proto_enum(listener_part.node, "type", dataplane_listener_types))
			complain(&listener_part, "type", "must be ZoneIngress or ZoneEgress");
		check_address(&listener_part);
		check_port(&listener_part, "port");
	}
}

/* What must be absent beside a gateway. */
static void check_beside_gateway(const struct part *networking, uint32_t type,
				 const struct yaml_node *root)
{
	static const char *const lists[] = { "inbound", "listeners", "outbound" };
	bool builtin = type == GATEWAY_BUILTIN;
	const struct yaml_entry *items;

	for (size_t i = 0; i < (builtin ? 3 : networking->minor < WITHOUT_TAGS ? 1 : 2); i++)
		if (proto_items(networking->node, lists[i], &items))
			complain(networking, lists[i], "must be absent where there is a gateway");
	if (builtin && proto_get(root, "probes"))
		proto_complain(networking->r, proto_get(root, "probes"),
			       "probes: must be absent where there is a builtin gateway");
}

void dataplane_validate(struct proto_reader *r, const struct yaml_node *root, unsigned minor)
{
	struct part whole = { r, root, "", minor };
	struct part networking_part = member(&whole, "networking");
	struct part gateway_part = member(&networking_part, "gateway");
	struct part probes_part = member(&whole, "probes");
	uint32_t type = proto_enum(gateway_part.node, "type", dataplane_gateway_types);
	bool is_gateway = gateway_part.node && type <= GATEWAY_BUILTIN;
	const struct yaml_entry *inbounds;
	size_t n = proto_items(networking_part.node, "inbound", &inbounds);

	check_address(&networking_part);
	check_admin(&networking_part);
	check_backends(&networking_part);
	if (!is_gateway || type != GATEWAY_BUILTIN)
		check_probes(&probes_part);
	if (is_gateway) {
		check_beside_gateway(&networking_part, type, root);
		check_tags(&gateway_part, true);
	} else {
		if (!n && minor < WITHOUT_TAGS)
			complain(&networking_part, "inbound",
				 "must have an item, or gateway be given");
		if (minor >= WITHOUT_TAGS)
			check_listeners(&networking_part);
		if (proto_get(root, "metrics") &&
		    strcmp(proto_text(proto_get(root, "metrics"), "type"), "prometheus") != 0)
			proto_complain(r, proto_get(root, "metrics"),
				       "metrics: type must be prometheus");
	}
	for (size_t i = 0; i < n; i++) {
		struct part inbound_part = item(&networking_part, &inbounds[i], "inbound", i);

		check_inbound(&inbound_part, proto_text(networking_part.node, "address"));
	}
}
