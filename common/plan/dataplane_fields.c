/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/dataplane_fields.h"

#include <stddef.h>

static const char *const inbound_states[] = { "Ready", "NotReady", "Ignored", NULL };
static const char *const listener_states[] = { "Ready", "NotReady", NULL };
const char *const dataplane_listener_types[] = { "Unspecified", "ZoneIngress", "ZoneEgress", NULL };
const char *const dataplane_gateway_types[] = { "DELEGATED", "BUILTIN", NULL };
static const char *const family_modes[] = { "UnSpecified", "DualStack", "IPv4", "IPv6", NULL };

/* clang-format off */
static const struct proto_field health[] = { { .name = "ready", .kind = PROTO_BOOL }, { 0 } };
static const struct proto_field no_fields[] = { { 0 } };
static const struct proto_field service_probe[] = {
	{ .name = "interval", .kind = PROTO_DURATION },
	{ .name = "timeout", .kind = PROTO_DURATION },
	{ .name = "unhealthy_threshold", .kind = PROTO_UINT32 },
	{ .name = "healthy_threshold", .kind = PROTO_UINT32 },
	{ .name = "tcp", .kind = PROTO_MESSAGE, .fields = no_fields },
	{ 0 },
};
static const struct proto_field inbound[] = {
	{ .name = "port", .kind = PROTO_UINT32 },
	{ .name = "servicePort", .kind = PROTO_UINT32 },
	{ .name = "serviceAddress", .kind = PROTO_TEXT },
	{ .name = "address", .kind = PROTO_TEXT },
	{ .name = "tags", .kind = PROTO_TEXTS },
	{ .name = "health", .kind = PROTO_MESSAGE, .fields = health },
	{ .name = "serviceProbe", .kind = PROTO_MESSAGE, .fields = service_probe },
	{ .name = "state", .kind = PROTO_ENUM, .words = inbound_states },
	{ .name = "name", .kind = PROTO_TEXT },
	{ .name = "protocol", .kind = PROTO_TEXT },
	{ 0 },
};
static const struct proto_field backend[] = {
	{ .name = "kind", .kind = PROTO_TEXT },
	{ .name = "name", .kind = PROTO_TEXT },
	{ .name = "namespace", .kind = PROTO_TEXT },
	{ .name = "port", .kind = PROTO_UINT32 },
	{ .name = "labels", .kind = PROTO_TEXTS },
	{ 0 },
};
static const struct proto_field backends[] = {
	{ .name = "refs", .kind = PROTO_MESSAGE, .repeated = true, .fields = backend },
	{ 0 },
};
static const struct proto_field outbound[] = {
	{ .name = "address", .kind = PROTO_TEXT },
	{ .name = "port", .kind = PROTO_UINT32 },
	{ .name = "tags", .kind = PROTO_TEXTS },
	{ .name = "backendRef", .kind = PROTO_MESSAGE, .fields = backend },
	{ 0 },
};
static const struct proto_field gateway[] = {
	{ .name = "tags", .kind = PROTO_TEXTS },
	{ .name = "type", .kind = PROTO_ENUM, .words = dataplane_gateway_types },
	{ 0 },
};
static const struct proto_field transparent_proxying[] = {
	{ .name = "redirect_port_inbound", .kind = PROTO_UINT32 },
	{ .name = "redirect_port_outbound", .kind = PROTO_UINT32 },
	{ .name = "direct_access_services", .kind = PROTO_TEXT, .repeated = true },
	{ .name = "reachable_services", .kind = PROTO_TEXT, .repeated = true },
	{ .name = "ip_family_mode", .kind = PROTO_ENUM, .words = family_modes },
	{ .name = "reachable_backends", .kind = PROTO_MESSAGE, .fields = backends },
	{ 0 },
};
static const struct proto_field admin[] = { { .name = "port", .kind = PROTO_UINT32 }, { 0 } };
static const struct proto_field listener[] = {
	{ .name = "type", .kind = PROTO_ENUM, .words = dataplane_listener_types },
	{ .name = "address", .kind = PROTO_TEXT },
	{ .name = "port", .kind = PROTO_UINT32 },
	{ .name = "name", .kind = PROTO_TEXT },
	{ .name = "state", .kind = PROTO_ENUM, .words = listener_states },
	{ 0 },
};
static const struct proto_field networking[] = {
	{ .name = "address", .kind = PROTO_TEXT },
	{ .name = "advertisedAddress", .kind = PROTO_TEXT },
	{ .name = "gateway", .kind = PROTO_MESSAGE, .fields = gateway },
	{ .name = "inbound", .kind = PROTO_MESSAGE, .repeated = true, .fields = inbound },
	{ .name = "outbound", .kind = PROTO_MESSAGE, .repeated = true, .fields = outbound },
	{ .name = "transparent_proxying", .kind = PROTO_MESSAGE, .fields = transparent_proxying },
	{ .name = "admin", .kind = PROTO_MESSAGE, .fields = admin },
	{ .name = "listeners", .kind = PROTO_MESSAGE, .repeated = true, .fields = listener },
	{ 0 },
};
static const struct proto_field metrics[] = {
	{ .name = "name", .kind = PROTO_TEXT },
	{ .name = "type", .kind = PROTO_TEXT },
	{ .name = "conf", .kind = PROTO_MAPPING },
	{ 0 },
};
static const struct proto_field endpoint[] = {
	{ .name = "inbound_port", .kind = PROTO_UINT32 },
	{ .name = "inbound_path", .kind = PROTO_TEXT },
	{ .name = "path", .kind = PROTO_TEXT },
	{ 0 },
};
static const struct proto_field probes[] = {
	{ .name = "port", .kind = PROTO_UINT32 },
	{ .name = "endpoints", .kind = PROTO_MESSAGE, .repeated = true, .fields = endpoint },
	{ 0 },
};
const struct proto_field dataplane_fields[] = {
	{ .name = "networking", .kind = PROTO_MESSAGE, .fields = networking },
	{ .name = "metrics", .kind = PROTO_MESSAGE, .fields = metrics },
	{ .name = "probes", .kind = PROTO_MESSAGE, .fields = probes },
	{ 0 },
};
/* clang-format on */
