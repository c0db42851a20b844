/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/dataplane.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

static struct arena arena;
static struct diag_list diags;
static struct dataplane dataplane;

static void init(void)
{
	diags = (struct diag_list){ .arena = &arena };
	dataplane = (struct dataplane){ 0 };
}

static void done(void)
{
	arena_done(&arena);
}

TestSuite(dataplane, .init = init, .fini = done);

#define HEAD "type: Dataplane\nmesh: default\nname: web\n"

static void good(const char *text)
{
	int r = dataplane_parse(&arena, "dp.yaml", text, strlen(text), &dataplane, &diags);

	cr_assert_eq(r, 0, "%s", diags.n ? diags.items[0].text : "?");
	cr_expect_eq(diags.n_errors, 0);
}

static void bad(const char *text, const char *words, unsigned line)
{
	size_t n = diags.n;
	int r = dataplane_parse(&arena, "dp.yaml", text, strlen(text), &dataplane, &diags);

	cr_expect_eq(r, -EINVAL, "'%s' passed", text);
	cr_assert_gt(diags.n, n);
	cr_expect(strstr(diags.items[n].text, words), "'%s' has no '%s'", diags.items[n].text,
		  words);
	cr_expect_str_eq(diags.items[n].origin.name, "dp.yaml");
	cr_expect_eq(diags.items[n].origin.line, line, "line %u", diags.items[n].origin.line);
}

Test(dataplane, has_what_the_plan_judges)
{
	good(HEAD "networking:\n"
		  "  address: 192.0.2.10\n"
		  "  admin: {port: 9999}\n"
		  "  inbound:\n"
		  "  - port: 8080\n"
		  "    servicePort: 80\n"
		  "    tags: {kuma.io/service: web, kuma.io/protocol: http}\n"
		  "  - port: 8443\n"
		  "  transparentProxying:\n"
		  "    redirectPortInbound: 15006\n"
		  "    redirectPortOutbound: 15001\n"
		  "    ipFamilyMode: IPv4\n"
		  "    reachableServices: [a, b]\n");
	cr_expect_str_eq(dataplane.type, "Dataplane");
	cr_expect_str_eq(dataplane.name, "web");
	cr_expect_str_eq(dataplane.mesh, "default");
	cr_expect_str_eq(dataplane.address, "192.0.2.10");
	cr_assert_eq(dataplane.inbound_ports.n, 2);
	cr_expect_eq(dataplane.inbound_ports.items[1], 8443);
	cr_expect_eq(dataplane.admin_port, 9999);
	cr_expect(dataplane.has_transparent_proxying);
	cr_expect_eq(dataplane.redirect_port_inbound, 15006);
	cr_expect_eq(dataplane.redirect_port_outbound, 15001);
	cr_expect(dataplane.ipv4_only);
	cr_expect_not(dataplane.has_outbound);
}

Test(dataplane, may_leave_out_nearly_everything)
{
	good(HEAD "networking:\n  address: a.example\n  outbound: []\n  transparentProxying:\n");
	cr_expect_eq(dataplane.inbound_ports.n, 0);
	cr_expect_eq(dataplane.admin_port, 0);
	cr_expect_not(dataplane.has_transparent_proxying);
	cr_expect_not(dataplane.has_outbound);
	cr_expect_not(dataplane.ipv4_only);
}

Test(dataplane, tells_that_there_are_outbounds)
{
	good(HEAD "networking:\n  address: a\n  outbound:\n  - port: 1\n");
	cr_expect(dataplane.has_outbound);
}

Test(dataplane, is_read_as_protobuf_reads_json)
{
	good("{\"type\": \"Dataplane\", \"mesh\": \"m\", \"name\": \"n\", \"networking\": {\n"
	     "\t\"address\": \"::1\", \"inbound\": [{\"port\": \"8080\"}, {\"port\": 0x50}],\n"
	     "\t\"transparent_proxying\": {\"redirect_port_inbound\": 1, "
	     "\"redirectPortOutbound\": 2}}}");
	cr_assert_eq(dataplane.inbound_ports.n, 2);
	cr_expect_eq(dataplane.inbound_ports.items[0], 8080);
	cr_expect_eq(dataplane.inbound_ports.items[1], 80);
	cr_expect_eq(dataplane.redirect_port_inbound, 1);
	cr_expect_eq(dataplane.redirect_port_outbound, 2);
}

Test(dataplane, may_use_anchors_and_unknown_fields)
{
	good(HEAD "labels: {a: b}\nx: &n {address: 10.0.0.1, redirectPortInboundV6: 1}\n"
		  "networking: *n\n");
	cr_expect_str_eq(dataplane.address, "10.0.0.1");
}

Test(dataplane, takes_the_last_of_two_keys_with_a_warning)
{
	good(HEAD "networking:\n  address: a\n  address: b\n");
	cr_expect_str_eq(dataplane.address, "b");
	cr_assert_eq(diags.n, 1);
	cr_expect_eq(diags.items[0].severity, SEVERITY_WARNING);
	cr_expect(strstr(diags.items[0].text, "'address' is here twice"));
	cr_expect_eq(diags.items[0].origin.line, 6);
}

Test(dataplane, must_be_there)
{
	bad("", "is empty", 1);
	bad("# nothing\n", "is empty", 1);
	bad("null\n", "is empty", 1);
	bad("- a\n", "must be a mapping", 1);
	bad("text", "must be a mapping", 1);
}

Test(dataplane, must_be_one)
{
	bad("type: ZoneIngress\nname: a\nmesh: b\nnetworking: {address: a}\n",
	    "must be 'Dataplane'", 1);
	bad("name: a\nmesh: b\nnetworking: {address: a}\n", "type: is ''", 1);
	bad("type: Dataplane\nmesh: b\nnetworking: {address: a}\n", "name: must be given", 1);
	bad("type: Dataplane\nname: b\nnetworking: {address: a}\n", "mesh: must be given", 1);
	bad(HEAD, "networking: must be defined", 1);
}

Test(dataplane, must_have_the_right_types)
{
	bad(HEAD "networking: text\n", "networking: must be a mapping", 4);
	bad(HEAD "networking:\n  address: [a]\n", "address: must be text", 5);
	bad(HEAD "networking:\n  inbound: {port: 1}\n", "inbound: must be a list", 5);
	bad(HEAD "networking:\n  inbound:\n  - 80\n", "inbound: each item must be a mapping", 6);
	bad(HEAD "networking:\n  inbound:\n  - tags: {}\n", "inbound: an item has no port", 6);
	bad(HEAD "networking:\n  inbound:\n  - port: 65536\n", "port: '65536' is not a port", 6);
	bad(HEAD "networking:\n  inbound:\n  - port: {}\n", "port: must be a port", 6);
	bad(HEAD "networking:\n  outbound: text\n", "outbound: must be a list", 5);
	bad(HEAD "networking:\n  transparentProxying: 1\n",
	    "transparentProxying: must be a mapping", 5);
}

Test(dataplane, must_be_yaml_that_can_be_read_in_one_way_only)
{
	bad(HEAD "networking: [\n", "not YAML", 5);
	bad(HEAD "networking:\n  <<: {address: a}\n", "merge keys", 5);
}

Test(dataplane, must_be_of_a_sane_size)
{
	static char text[(1 << 20) + 2];

	memset(text, '[', 100);
	bad(text, "nested deeper than 16", 1);
	memset(text, ' ', sizeof(text) - 1);
	bad(text, "longer than 1048576 bytes", 0);
}

static char *render(const char *text, size_t len, struct pair_list vars)
{
	return dataplane_render(&arena, "dp.yaml", text, len, &vars, &diags);
}

Test(dataplane, has_its_variables_filled_in)
{
	static const char text[] = "name: {{name}}\naddress: {{ net.address }}\n";
	struct pair vars[] = { { "name", "web" }, { "net.address", "10.0.0.1" } };
	const char *got = render(text, strlen(text), (struct pair_list){ vars, 2 });

	cr_assert_not_null(got);
	cr_expect_str_eq(got, "name: web\naddress: 10.0.0.1\n");
	cr_expect_eq(diags.n, 0);
}

Test(dataplane, is_a_template_also_without_variables)
{
	static const char text[] = "name: {{name}}\n";
	const char *got = render(text, strlen(text), (struct pair_list){ 0 });

	cr_assert_not_null(got);
	cr_expect_str_eq(got, "name: \n");
	cr_assert_eq(diags.n, 1);
	cr_expect_eq(diags.items[0].severity, SEVERITY_NOTICE);
}

Test(dataplane, refuses_variables_of_which_kuma_dp_would_drop_one)
{
	struct pair vars[] = { { "net.address", "a" }, { "name", "b" }, { "net.port", "c" } };

	cr_expect_null(render("", 0, (struct pair_list){ vars, 3 }));
	cr_assert_eq(diags.n_errors, 1);
	cr_expect_str_eq(diags.items[0].setting, "kumaDP.dataplaneVars");
	cr_expect(strstr(diags.items[0].text, "'net.address' and 'net.port'"));
}

Test(dataplane, cannot_hold_a_nul_byte)
{
	cr_expect_null(render("a\0b", 3, (struct pair_list){ 0 }));
	cr_assert_eq(diags.n_errors, 1);
	cr_expect(strstr(diags.items[0].text, "NUL"));
}
