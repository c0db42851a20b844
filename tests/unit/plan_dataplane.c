/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/dataplane.h"

#include <errno.h>
#include <stdio.h>
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

static int parse_for(unsigned major, unsigned minor, const char *text)
{
	const struct dataplane_file file = { "dp.yaml", text, strlen(text), major, minor };

	return dataplane_parse(&arena, &file, &dataplane, &diags);
}

static void good(const char *text)
{
	size_t n = diags.n_errors;
	int r = parse_for(2, 14, text);

	cr_assert_eq(r, 0, "%s", diags.n ? diags.items[diags.n - 1].text : "?");
	cr_expect_eq(diags.n_errors, n);
}

static void bad(const char *text, const char *words, unsigned line)
{
	size_t n = diags.n;
	int r = parse_for(2, 14, text);

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
	cr_expect(strstr(diags.items[0].text, "'address' is here twice: this one counts"));
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
	    "type: is \"ZoneIngress\", must be \"Dataplane\"", 1);
	bad("name: a\nmesh: b\nnetworking: {address: a}\n", "type: is \"\"", 1);
	bad("type: Dataplane\nmesh: b\nnetworking: {address: a}\n", "name: must be given", 1);
	bad("type: Dataplane\nname: b\nnetworking: {address: a}\n", "mesh: must be given", 1);
	bad(HEAD, "networking: must be defined", 1);
}

Test(dataplane, must_have_the_right_types)
{
	bad(HEAD "networking: text\n", "networking: is \"text\", must be a mapping", 4);
	bad(HEAD "networking:\n  address: [a]\n", "networking.address: must be text, not a list",
	    5);
	bad(HEAD "networking:\n  inbound: {port: 1}\n",
	    "networking.inbound: is a mapping, must be a list", 5);
	bad(HEAD "networking:\n  inbound:\n  - 80\n", "inbound[0]: is \"80\" (a number), must be",
	    6);
	bad(HEAD "networking:\n  inbound:\n  - port: {}\n",
	    "networking.inbound[0].port: is a mapping, must be a whole number from 0 to", 6);
	bad(HEAD "networking:\n  inbound:\n  - tags: {version: 2}\n",
	    "inbound[0].tags: version: must be text, not \"2\" (a number): put it in quotes", 6);
	bad(HEAD "networking:\n  inbound:\n  - tags: {version: yes}\n",
	    "inbound[0].tags: version: must be text, not \"yes\" (a boolean): put it in quotes", 6);
	bad(HEAD "networking:\n  inbound:\n  - health: {ready: 1}\n",
	    "inbound[0].health.ready: is \"1\" (a number), must be true or false", 6);
	bad(HEAD "networking:\n  inbound:\n  - state: ready\n",
	    "inbound[0].state: is \"ready\", must be one of Ready, NotReady, Ignored", 6);
	bad(HEAD "networking:\n  inbound:\n  - serviceProbe: {interval: 10}\n",
	    "inbound[0].serviceProbe.interval: is \"10\" (a number), must be a duration", 6);
	bad(HEAD "networking:\n  transparentProxying: {reachableServices: [1]}\n",
	    "transparentProxying.reachableServices[0]: must be text, not \"1\"", 5);
	bad(HEAD "networking:\n  ~: a\n", "a key must be text, not \"~\" (nothing)", 5);
	bad("type: Dataplane\nname: 1\n", "name: must be text, not \"1\" (a number)", 2);
	bad(HEAD "labels: [a]\n", "labels: must be a mapping of texts", 4);
}

#define AT "networking:\n  address: 192.0.2.10\n"

Test(dataplane, must_have_a_name_that_kuma_takes)
{
	bad("type: Dataplane\nmesh: m\nname: Web01\n" AT, "name: \"Web01\" must have lower-case",
	    3);
	bad("type: Dataplane\nmesh: m\nname: a..b\n" AT, "name: \"a..b\" must have", 3);
	bad("type: Dataplane\nmesh: m\nname: a-\n" AT, "name: \"a-\" must have", 3);
	bad("type: Dataplane\nmesh: M\nname: a\n" AT, "mesh: \"M\" must have lower-case", 2);
	good("type: Dataplane\nmesh: a_b-.\nname: 0.a-b.c\n" AT);
	good("Type: Dataplane\nMESH: m\nNaMe: web\n" AT);
	cr_expect_str_eq(dataplane.name, "web");
}

Test(dataplane, must_have_an_address_that_kuma_takes)
{
	bad(HEAD "networking: {}\n", "networking.address: must be given", 4);
	bad(HEAD "networking:\n  address: 0.0.0.0\n", "\"0.0.0.0\" is not an address that others",
	    5);
	bad(HEAD "networking:\n  address: 192.0.2.10/24\n",
	    "\"192.0.2.10/24\" is neither an IP address", 5);
	bad(HEAD "networking:\n  address: '[2001:db8::1]'\n", "is neither an IP address", 5);
	good(HEAD "networking:\n  address: web_1.example.\n");
}

Test(dataplane, must_have_inbounds_that_kuma_takes)
{
	bad(HEAD AT "  inbound:\n  - name: a\n", "inbound[0].port: must be a port (1 to 65535)", 7);
	bad(HEAD AT "  inbound:\n  - port: 65536\n", "inbound[0].port: \"65536\" must be a port",
	    7);
	bad(HEAD AT "  inbound:\n  - {port: 1, serviceAddress: localhost}\n",
	    "inbound[0].serviceAddress: \"localhost\" is not an IP address", 7);
	bad(HEAD AT "  inbound:\n  - {port: 1, serviceAddress: 192.0.2.10}\n",
	    "is where the proxy itself listens", 7);
	bad(HEAD AT "  inbound:\n  - {port: 1, tags: {version: a}}\n",
	    "inbound[0].tags: kuma.io/service must be one of them", 7);
	bad(HEAD AT "  inbound:\n  - {port: 1, tags: {kuma.io/service: a b}}\n",
	    "tags: \"kuma.io/service\": a tag's value has", 7);
	bad(HEAD AT "  inbound:\n  - {port: 1, tags: {kuma.io/service: a, b c: d}}\n",
	    "tags: \"b c\": a tag's name has", 7);
	bad(HEAD AT
	    "  inbound:\n  - {port: 1, tags: {kuma.io/service: a, kuma.io/protocol: https}}\n",
	    "\"kuma.io/protocol\": must be one of grpc, http, http2, kafka, mysql, tcp, tls", 7);
	bad(HEAD AT "  inbound:\n  - {port: 1, serviceProbe: {interval: 0s}}\n",
	    "serviceProbe.interval: \"0s\" must be longer", 7);
	good(HEAD AT "  inbound:\n  - {port: 1.0, servicePort: ' 80 ', tags: {kuma.io/service: a,"
		     " kuma.io/protocol: HTTP}, service_port: ignored}\n");
	cr_expect_eq(dataplane.tags.n, 2);
}

Test(dataplane, must_have_no_inbounds_beside_a_gateway)
{
	bad(HEAD AT "  inbound: [{port: 1}]\n  gateway: {tags: {kuma.io/service: a}}\n",
	    "networking.inbound: must be absent where there is a gateway", 6);
	bad(HEAD AT "  gateway: {tags: {kuma.io/service: a, kuma.io/protocol: http}}\n",
	    "must be tcp for a gateway", 6);
	good(HEAD AT "  gateway: {type: BUILTIN, tags: {kuma.io/service: a}}\n");
}

Test(dataplane, is_judged_by_the_rules_of_its_kuma_dp)
{
	static const char without_tags[] = HEAD AT "  inbound: [{port: 1, protocol: odd}]\n";

	cr_expect_eq(parse_for(2, 13, without_tags), -EINVAL);
	cr_expect_str_eq(diags.items[0].text,
			 "networking.inbound[0].tags: kuma.io/service must be one of them");
	cr_expect_eq(diags.n, 1);
	cr_expect_eq(parse_for(2, 13, HEAD AT), -EINVAL);
	cr_expect_str_eq(diags.items[1].text,
			 "networking.inbound: must have an item, or gateway be given");
	bad(without_tags, "inbound[0].protocol: \"odd\" must be one of", 6);
	cr_expect_eq(parse_for(2, 15, without_tags), 0);
	cr_expect_eq(diags.items[diags.n - 1].severity, SEVERITY_WARNING);
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

/* 200 times an inbound with 2000 tags, in 30 KB. */
Test(dataplane, must_not_grow_by_aliases, .timeout = 10)
{
	static char text[1 << 16];
	size_t at = (size_t)sprintf(text, HEAD "x: &a {port: 1, tags: {kuma.io/service: a");

	for (int i = 0; i < 2000; i++)
		at += (size_t)sprintf(text + at, ", t%d: a", i);
	at += (size_t)sprintf(text + at, "}}\nnetworking:\n  address: 192.0.2.10\n  inbound: [*a");
	for (int i = 0; i < 200; i++)
		at += (size_t)sprintf(text + at, ", *a");
	(void)sprintf(text + at, "]\n");
	bad(text, "has more than 100000 values, those behind aliases counted each time", 4);
	cr_expect_eq(diags.n_errors, 1);
}

static char *render(const char *text, size_t len, struct pair_list vars)
{
	const struct dataplane_file file = { "dp.yaml", text, len, 0, 0 };

	return dataplane_render(&arena, &file, &vars, &diags);
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
