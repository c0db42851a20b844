/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define TOKEN_FILE "kumaDP.tokenFile"
#define EXPIRED    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjEwMDAwMDAwMDB9.c2lnbmF0dXJl"

TestSuite(children, .init = fixture_init, .fini = fixture_done);

static struct facts_file missing(const char *problem)
{
	return (struct facts_file){ .problem = problem };
}

static struct facts_file only_for_us(const char *text)
{
	struct facts_file file = file_with(text);

	file.readable_by_user = false;
	return file;
}

Test(children, are_given_what_the_settings_say)
{
	fx.facts.addresses.n = 3; /* without IPv6 */
	fx.facts.ipv6 = false;
	build_run("readiness: {timeout: 1m}\n");
	expect_accepted();
	cr_expect_str_eq(fx.plan.children.kuma_dp, "/usr/bin/kuma-dp");
	cr_expect_str_eq(fx.plan.children.envoy, "/usr/bin/envoy");
	cr_expect_eq(fx.plan.children.minor, 14);
	cr_expect_str_eq(fx.plan.children.cp_address, "https://cp.example:5678");
	cr_expect_str_eq(fx.plan.children.token_file, "/t/token");
	cr_expect_str_eq(fx.plan.children.token, TOKEN);
	cr_expect_not(fx.plan.children.token_private_copy);
	cr_expect_not(fx.plan.children.dataplane_private_copy);
	cr_expect_str_eq(fx.plan.children.dataplane_file, "/t/dp.yaml");
	cr_expect_null(fx.plan.children.name);
	cr_expect_null(fx.plan.children.ca_cert_file);
	cr_expect(fx.plan.children.ipv4_only);
	cr_expect_eq(fx.plan.children.drain_time_nsec, INT64_C(30000000000));
	cr_expect_eq(fx.plan.readiness_timeout_nsec, INT64_C(60000000000));
	/* The notices that IPv6 and sshd's port are left out. */
	cr_expect_eq(fx.diags.n, 2, "%s", all_said());
}

Test(children, are_nobodys_business_for_install)
{
	fx.facts.kuma_dp = (struct facts_program){ 0 };
	fx.facts.token = missing(NULL);
	build_install("");
	expect_accepted();
	cr_expect_null(fx.plan.children.kuma_dp);
	cr_expect_null(fx.plan.children.token_file);
}

Test(children, may_have_a_name_instead_of_a_resource)
{
	build_for(CHECK_RUN,
		  "kumaDP: {cpAddress: 'https://cp:1', tokenFile: /t, name: web, mesh: m}\n");
	expect_accepted();
	cr_expect_str_eq(fx.plan.children.name, "web");
	cr_expect_str_eq(fx.plan.children.mesh, "m");
	cr_expect_null(fx.plan.children.dataplane_file);
}

Test(children, need_programs_that_are_found)
{
	fx.facts.kuma_dp = (struct facts_program){ 0 };
	build_run("");
	expect_refused("kumaDP.path",
		       "no kuma-dp is found in /usr/local/bin, /usr/bin, /opt/kuma/bin");
}

Test(children, need_the_programs_that_were_named)
{
	fx.facts.envoy = (struct facts_program){ .path = "/x/envoy",
						 .file = missing("/x/envoy does not exist") };
	build_run("");
	expect_refused("kumaDP.envoyPath", "/x/envoy does not exist");
}

Test(children, need_programs_that_their_user_can_execute)
{
	fx.facts.envoy.file.problem = "/usr/bin/envoy is not executable by user kuma-dp";
	build_run("");
	expect_refused("kumaDP.envoyPath", "/usr/bin/envoy is not executable by user kuma-dp");
	cr_expect(diag_has_error(&fx.diags, true));
}

Test(children, need_coredns_only_where_it_is_run)
{
	fx.facts.core_dns = (struct facts_program){ 0 };
	build_run("");
	expect_accepted();
}

Test(children, need_coredns_where_it_is_run)
{
	fx.facts.core_dns = (struct facts_program){ 0 };
	build_run("redirect: {dns: {enabled: true}}\n");
	expect_refused("coreDNS.path", "no coredns is found in");
}

Test(children, need_a_version_that_can_be_told)
{
	fx.facts.kuma_dp.version_problem = "it timed out";
	fx.facts.kuma_dp.major = 0;
	build_run("");
	expect_refused("kumaDP.path",
		       "the version of /usr/bin/kuma-dp cannot be told: it timed out");
}

Test(children, need_kuma_2_10)
{
	fx.facts.kuma_dp.minor = 9;
	build_run("");
	expect_said(SEVERITY_ERROR, "kumaDP.path", "is version 2.9.3: 2.10 or later is needed");
}

Test(children, are_tried_when_they_are_newer_than_known)
{
	fx.facts.kuma_dp.minor = 15;
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_NOTICE, "kumaDP.path", "is version 2.15.3: newer than any");
}

Test(children, need_a_token_of_their_own)
{
	/* {"Mesh":"prod"} */
	fx.facts.token =
		file_with("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJNZXNoIjoicHJvZCJ9.c2ln");
	build_run("");
	expect_refused(TOKEN_FILE,
		       "/t/token cannot be used: its Mesh is 'prod', and the Dataplane's is "
		       "'default'");
}

Test(children, need_a_token_for_the_tags_of_the_resource)
{
	/* {"Tags":{"kuma.io/service":["db"]}} */
	fx.facts.token = file_with(
		"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJUYWdzIjp7Imt1bWEuaW8vc2VydmljZSI6WyJkYiJdfX0.c2ln");
	build_run("");
	expect_refused(TOKEN_FILE, "it is not for the Dataplane's tag kuma.io/service: web");
}

Test(children, need_a_token_of_the_name_that_the_settings_say)
{
	/* {"Name":"db"} */
	fx.facts.token = file_with("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJOYW1lIjoiZGIifQ.c2ln");
	build_for(CHECK_RUN,
		  "kumaDP: {cpAddress: 'https://cp:1', tokenFile: /t, name: web, mesh: m}\n");
	expect_refused(TOKEN_FILE, "its Name is 'db', and the Dataplane's is 'web'");
}

Test(children, may_have_a_token_that_is_valid_later)
{
	/* {"nbf":1900000000} */
	fx.facts.token =
		file_with("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJuYmYiOjE5MDAwMDAwMDB9.c2ln");
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_WARNING, TOKEN_FILE,
		    "/t/token cannot be used yet: it is not valid before 2030-03-17 17:46:40 UTC");
}

/* {"Name":"web","exp":2000000000} */
static void have_token_for(uint64_t sec)
{
	fx.facts.token = file_with("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9."
				   "eyJOYW1lIjoid2ViIiwiZXhwIjoyMDAwMDAwMDAwfQ.c2ln");
	fx.facts.now_sec = 2000000000 - sec;
	build_run("");
	expect_accepted();
	cr_expect_eq(fx.plan.children.token_expires_sec, 2000000000);
}

Test(children, are_told_of_a_token_that_expires_soon)
{
	have_token_for((uint64_t)3 * 24 * 3600);
	expect_said(SEVERITY_WARNING, TOKEN_FILE,
		    "/t/token expires on 2033-05-18 03:33:20 UTC, in 3 days");
}

Test(children, are_not_told_of_a_token_that_lasts)
{
	have_token_for((uint64_t)8 * 24 * 3600);
	expect_silent(SEVERITY_WARNING, "expires");
}

Test(children, need_a_token)
{
	fx.facts.token = missing("/t/token does not exist");
	build_run("");
	expect_refused(TOKEN_FILE, "/t/token does not exist");
}

Test(children, need_a_token_that_is_a_jwt)
{
	fx.facts.token = file_with("secret");
	build_run("");
	expect_refused(TOKEN_FILE, "/t/token cannot be used: it is not a JWT");
}

Test(children, need_a_token_that_has_not_expired)
{
	fx.facts.token = file_with(EXPIRED);
	build_run("");
	expect_refused(TOKEN_FILE, "it expired on 2001-09-09 01:46:40 UTC");
}

Test(children, get_a_copy_of_a_token_that_only_root_can_read)
{
	fx.facts.token = only_for_us(TOKEN);
	build_run("");
	expect_accepted();
	cr_expect(fx.plan.children.token_private_copy);
}

Test(children, need_a_token_that_somebody_can_read)
{
	fx.facts.token = missing("/t/token is readable neither by user kuma-dp nor by root");
	fx.facts.token.exists = true;
	build_run("");
	expect_refused(TOKEN_FILE, "/t/token is readable neither by user kuma-dp nor by root");
}

Test(children, need_files_that_the_service_sees)
{
	fx.facts.token.problem = "/tmp/token is not there for the service";
	build_run("");
	expect_refused(TOKEN_FILE, "/tmp/token is not there for the service");
}

Test(children, get_a_copy_of_a_resource_that_only_root_can_read)
{
	fx.facts.dataplane = only_for_us(DATAPLANE(INBOUND));
	build_run("");
	expect_accepted();
	cr_expect(fx.plan.children.dataplane_private_copy);
}

Test(children, need_a_certificate_that_their_user_can_read)
{
	fx.facts.ca_cert.problem = "/t/ca is not readable by user kuma-dp";
	build_for(CHECK_RUN, "kumaDP: {cpAddress: 'https://cp:1', tokenFile: /t, name: web,"
			     " caCertFile: /t/ca}\n");
	expect_refused("kumaDP.caCertFile", "/t/ca is not readable by user kuma-dp");
}

Test(children, need_the_corefile_that_was_named)
{
	fx.facts.corefile = missing("/c does not exist");
	build_run("redirect: {dns: {enabled: true}}\ncoreDNS: {corefile: /c}\n");
	expect_refused("coreDNS.corefile", "/c does not exist");
}

Test(children, get_the_corefiles_text)
{
	build_run("redirect: {dns: {enabled: true}}\ncoreDNS: {corefile: /c}\n");
	expect_accepted();
	cr_expect_str_eq(fx.plan.children.corefile, "text");
}

Test(children, have_an_environment_that_beats_settings)
{
	build_for(CHECK_RUN,
		  "kumaDP: {cpAddress: 'https://cp:1', tokenFile: /t, name: web, env: {A: b,"
		  " KUMA_CONTROL_PLANE_URL: 'https://other'}}\n");
	expect_accepted();
	expect_said(SEVERITY_WARNING, "kumaDP.env",
		    "KUMA_CONTROL_PLANE_URL beats kumaDP.cpAddress");
	cr_expect_eq(fx.plan.children.env.n, 2);
}

Test(children, are_warned_of_a_control_plane_beside_them)
{
	fx.cp_addresses[0] = address("192.0.2.10");
	fx.facts.cp_addresses = (struct ip_list){ fx.cp_addresses, 1 };
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_WARNING, "kumaDP.cpAddress", "https://cp.example:5678 is this host");
}

Test(children, are_not_warned_of_a_control_plane_elsewhere)
{
	fx.cp_addresses[0] = address("192.0.2.11");
	fx.facts.cp_addresses = (struct ip_list){ fx.cp_addresses, 1 };
	build_run("");
	expect_silent(SEVERITY_WARNING, "is this host");
}

Test(children, are_judged_by_root_while_their_user_does_not_exist)
{
	fx.facts.asked = (struct facts_user){ 0 };
	fx.facts.uid_5678_name = NULL;
	fx.facts.kuma_dp.version_problem = "it needs its user";
	fx.facts.kuma_dp.major = 0;
	fx.facts.ca_cert = only_for_us("pem");
	fx.facts.token = only_for_us(TOKEN);
	build_for(CHECK_RUN, "kumaDP: {cpAddress: 'https://cp:1', tokenFile: /t, name: web,"
			     " caCertFile: /t/ca}\n");
	expect_accepted();
}
