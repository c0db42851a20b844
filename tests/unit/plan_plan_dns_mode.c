/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define MODE "coreDNS.mode"

TestSuite(dns_mode, .init = fixture_init, .fini = fixture_done);

static void build_mode(const char *mode)
{
	_strbuf_ struct strbuf yaml = { 0 };

	strbuf_addf(&yaml, "redirect: {dns: {enabled: true}}\ncoreDNS: {mode: %s}\n", mode);
	build_run(strbuf_text(&yaml));
}

static void version(unsigned major, unsigned minor)
{
	fx.facts.kuma_dp.major = major;
	fx.facts.kuma_dp.minor = minor;
	fx.facts.dataplane =
		file_with(DATAPLANE(INBOUND "  transparentProxying: {redirectPortInbound: "
					    "15006, redirectPortOutbound: 15001}\n"));
}

Test(dns_mode, is_off_without_redirect)
{
	build_run("");
	cr_expect_eq(fx.plan.children.dns_mode, CORE_DNS_OFF);
	cr_expect_null(fx.plan.children.core_dns);
	cr_expect_eq(fx.plan.children.envoy_dns_port, 0);
}

Test(dns_mode, is_kuma_dp_up_to_2_14)
{
	version(2, 10);
	build_mode("auto");
	expect_accepted();
	cr_expect_eq(fx.plan.children.dns_mode, CORE_DNS_KUMA_DP);
	cr_expect_str_eq(fx.plan.children.core_dns, "/usr/bin/coredns");
	cr_expect_eq(fx.plan.children.envoy_dns_port, 15054);
}

Test(dns_mode, is_tproxyd_with_a_stock_coredns)
{
	fx.facts.core_dns.has_alternate = false;
	build_mode("auto");
	expect_accepted();
	cr_expect_eq(fx.plan.children.dns_mode, CORE_DNS_TPROXYD);
}

Test(dns_mode, is_kuma_dp_with_a_stock_coredns_and_a_corefile_for_it)
{
	fx.facts.core_dns.has_alternate = false;
	build_run("redirect: {dns: {enabled: true}}\ncoreDNS: {corefile: /c}\n");
	expect_accepted();
	cr_expect_eq(fx.plan.children.dns_mode, CORE_DNS_KUMA_DP);
}

Test(dns_mode, is_kuma_dp_with_a_coredns_that_does_not_tell_its_plugins)
{
	fx.facts.core_dns.has_alternate = false;
	fx.facts.core_dns.version_problem = "it was ended by signal 11";
	build_mode("auto");
	expect_accepted();
	cr_expect_eq(fx.plan.children.dns_mode, CORE_DNS_KUMA_DP);
}

Test(dns_mode, cannot_be_kuma_dp_with_a_stock_coredns)
{
	fx.facts.core_dns.has_alternate = false;
	build_mode("kuma-dp");
	expect_refused(MODE,
		       "needs the plugin alternate, which /usr/bin/coredns lacks: use tproxyd");
}

Test(dns_mode, is_kuma_dp_with_capture_all)
{
	build_run("redirect: {dns: {captureAll: true}}\n");
	cr_expect_eq(fx.plan.children.dns_mode, CORE_DNS_KUMA_DP);
}

Test(dns_mode, is_embedded_from_3_0_on)
{
	version(3, 0);
	build_mode("auto");
	expect_accepted();
	cr_expect_eq(fx.plan.children.dns_mode, CORE_DNS_EMBEDDED);
	cr_expect_null(fx.plan.children.core_dns);
	cr_expect_eq(fx.plan.children.envoy_dns_port, 0);
}

Test(dns_mode, cannot_be_embedded_in_2_10)
{
	version(2, 10);
	build_mode("embedded");
	expect_refused(MODE, "kuma-dp 2.10 cannot answer DNS itself");
}

Test(dns_mode, can_be_embedded_in_2_11)
{
	version(2, 11);
	build_mode("embedded");
	expect_accepted();
}

Test(dns_mode, cannot_be_kuma_dp_in_3_0)
{
	version(3, 0);
	build_mode("kuma-dp");
	expect_refused(MODE, "kuma-dp 3.0 runs no coredns any more");
}

Test(dns_mode, can_be_tproxyd_with_a_recent_coredns)
{
	fx.facts.core_dns.has_alternate = false;
	build_mode("tproxyd");
	expect_accepted();
	cr_expect_eq(fx.plan.children.dns_mode, CORE_DNS_TPROXYD);
	cr_expect_not(fx.plan.children.core_dns_alternate);
	cr_expect_eq(fx.plan.children.envoy_dns_port, 15054);
}

Test(dns_mode, cannot_be_tproxyd_with_an_old_stock_coredns)
{
	fx.facts.core_dns.minor = 11;
	fx.facts.core_dns.has_alternate = false;
	build_mode("tproxyd");
	expect_refused("coreDNS.path",
		       "is CoreDNS 1.11.2: Kuma's build or 1.12 and later is needed");
}

Test(dns_mode, can_be_tproxyd_with_any_build_of_kuma)
{
	fx.facts.core_dns.minor = 8;
	build_mode("tproxyd");
	expect_accepted();
	cr_expect(fx.plan.children.core_dns_alternate);
}

Test(dns_mode, can_be_tproxyd_with_an_old_coredns_and_a_corefile_for_it)
{
	fx.facts.core_dns.minor = 8;
	fx.facts.core_dns.has_alternate = false;
	build_run("redirect: {dns: {enabled: true}}\ncoreDNS: {mode: tproxyd, corefile: /c}\n");
	expect_accepted();
}

Test(dns_mode, cannot_be_tproxyd_with_a_coredns_of_unknown_version)
{
	fx.facts.core_dns.has_alternate = false;
	fx.facts.core_dns.version_problem = "it was ended by signal 11";
	build_mode("tproxyd");
	expect_refused("coreDNS.path",
		       "the version of /usr/bin/coredns cannot be told: it was ended");
}

Test(dns_mode, needs_resolv_conf_also_when_all_is_captured)
{
	fx.facts.resolv_conf = (struct facts_file){ .problem = "/etc/resolv.conf does not exist" };
	build_run("redirect: {dns: {captureAll: true}}\n");
	expect_refused("redirect.dns.resolvConfigPath", "/etc/resolv.conf does not exist, and all");
}

Test(dns_mode, warns_when_queries_of_virtual_networks_go_nowhere)
{
	build_run("redirect: {vnet: {networks: ['docker0:172.17.0.0/16']}}\n");
	expect_accepted();
	expect_said(SEVERITY_WARNING, MODE, "redirect.vnet.networks are redirected to port 15053");
}

Test(dns_mode, makes_no_use_of_a_corefile_without_coredns)
{
	version(3, 0);
	build_run("redirect: {dns: {enabled: true}}\ncoreDNS: {corefile: /c}\n");
	expect_accepted();
	expect_said(SEVERITY_NOTICE, "coreDNS.corefile", "means nothing where no coredns is run");
}
