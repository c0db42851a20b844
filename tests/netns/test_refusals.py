# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that `check` and `run` refuse: one sentence each, the right exit status, and nothing changed.

Each case spoils one thing on a host where tproxyd would start (trial.py); what `check` finds there as root, `run` finds
in the unit's confinement, in the same words.
"""

import re

import pytest

from trial import CONFIG, DATAPLANE, TOKEN, Trial, token

BAD_CONFIG, BAD_HOST = 78, 1
CASES = {}


@pytest.fixture
def subject(host, tproxyd):
    return Trial(host, tproxyd)


def case(status, *sentences):
    """The decorated function spoils a subject; one error is expected, which matches the sentence (or one for each)."""

    def register(function):
        CASES[function.__name__] = (function, status, sentences)
        return function

    return register


def in_config(setting, sentence):
    return rf"{CONFIG}:\d+:\d+: error: {setting}: {sentence}"


def in_dataplane(sentence, place=r"(:\d+:\d+)?"):
    return rf"{DATAPLANE}{place}: error: (kumaDP.dataplaneFile: )?{sentence}"


# User


@case(BAD_CONFIG, in_config("kumaDPUser", "'root' has UID 0: .* name a user that nobody else is"))
def the_user_is_root(s):
    s.set(kumaDPUser="root")


@case(BAD_CONFIG, in_config("kumaDPUser", "'toor' has UID 0"))
def the_user_has_the_uid_of_root_under_another_name(s):
    s.host.run(["sh", "-c", "echo toor:x:0:0::/:/bin/sh >>/etc/passwd"])
    s.set(kumaDPUser="toor")


@case(BAD_HOST, "error: kumaDPUser: UID 5678 belongs to 'alice', not to 'kuma-dp': name the user")
def uid_5678_is_somebody_elses_and_nobody_named_a_user(s):
    s.host.run(["sed", "-i", "s/^kuma-dp:/alice:/", "/etc/passwd"])


@case(BAD_HOST, in_config("kumaDPUser", "user 'kuma-dp' cannot be created: UID 5678 belongs to 'alice'"))
def the_user_to_create_finds_its_uid_taken(s):
    s.host.run(["sed", "-i", "s/^kuma-dp:/alice:/", "/etc/passwd"])
    s.set(kumaDPUser="kuma-dp")


@case(BAD_HOST, in_config("kumaDPUser", "'4321' is no UID of this host but the name of a user with UID 1234"))
def a_number_is_the_name_of_a_user_with_another_uid(s):
    s.host.run(["sh", "-c", "echo 4321:x:1234:1234::/:/bin/false >>/etc/passwd"])
    s.set(kumaDPUser="4321")


@case(BAD_HOST, in_config("kumaDPUser", "no user has UID 7777: name one that exists, or a name to be created"))
def the_uid_belongs_to_nobody(s):
    s.set(kumaDPUser="7777")


@case(BAD_HOST, in_config("kumaDPUser", r"no user has UID \+5678 \(sign and zeros are no part of a UID\): .*"))
def the_uid_has_a_sign(s):
    s.set(kumaDPUser="+5678")


@case(BAD_HOST, in_config("kumaDPUser", "no user has UID 4294967296: name one that exists, or a name to be created"))
def the_uid_is_one_that_cannot_be(s):
    s.set(kumaDPUser="4294967296")


@case(BAD_HOST, in_config("kumaDPUser", "user 'a{40}' cannot be created: a name to create has at most 31 letters.*"))
def the_user_to_create_has_a_name_that_cannot_be(s):
    s.set(kumaDPUser="a" * 40)


@case(BAD_HOST, in_config("kumaDPUser", "user 'mesh' does not exist, and user.create is false"))
def the_user_is_missing_and_may_not_be_created(s):
    s.set(kumaDPUser="mesh", user__create=False)


@case(BAD_HOST, "error: kumaDPUser: a process of user 'kuma-dp' .UID 5678. listens on port 8080, an .* another user")
def the_application_runs_as_the_proxys_user(s):
    code = "import socket, time; s = socket.create_server(('', 8080)); print('up', flush=True); time.sleep(600)"
    process = s.host.start(["/usr/bin/python3", "-c", code], user=5678, stdout=-1, text=True)
    assert process.stdout.readline() == "up\n"


# Dataplane


@case(BAD_CONFIG, in_dataplane("networking.transparentProxying.redirectPortInbound is 25006, but "
                               "redirect.inbound.port is 15006: they must be equal"))
def the_resource_has_another_inbound_port(s):
    s.resource = s.resource.replace("15006", "25006")


@case(BAD_CONFIG, in_dataplane("networking.transparentProxying.redirectPortOutbound is 15001, but "
                               "redirect.outbound.port is 16001: they must be equal"))
def the_settings_have_another_outbound_port(s):
    s.set(redirect__outbound__port=16001)


@case(BAD_CONFIG, in_dataplane("networking.outbound must be absent"))
def the_resource_has_outbounds(s):
    s.resource += "  outbound:\n    - port: 9000\n      tags: {kuma.io/service: x}\n"


@case(BAD_CONFIG, in_dataplane("networking.transparentProxying is missing: kuma-dp before 2.11 .*"))
def an_old_kuma_dp_has_no_section_to_learn_of_the_redirect_from(s):
    s.resource = s.resource[:s.resource.index("  transparentProxying")]
    old_kuma_dp(s, "2.10.8")


@case(BAD_CONFIG, in_config("redirect.inbound.port", "is 15001, as redirect.outbound.port; each needs a port of its own"))
def two_redirect_ports_are_one(s):
    s.set(redirect__inbound__port=15001)
    s.resource = s.resource.replace("15006", "15001")


@case(BAD_CONFIG, in_config("kumaDP.dataplaneFile", r"port 15053 is the DNS redirect's already \(redirect.dns.port\), "
                            r"and cannot be Envoy's admin port \(networking.admin.port\) too"))
def the_dns_port_is_that_of_envoys_admin(s):
    s.resource += "  admin:\n    port: 15053\n"


@case(BAD_HOST, in_dataplane("networking.address 192.0.2.7 is not an address of this host \\(which has .*10.77.0.2"))
def the_address_is_another_hosts(s):
    s.resource = s.resource.replace("10.77.0.2", "192.0.2.7")


@case(BAD_CONFIG, in_dataplane("networking.address: must be given", place=r":\d+:\d+"))
def the_address_is_missing(s):
    s.resource = s.resource.replace("  address: 10.77.0.2\n", "")


@case(BAD_CONFIG, in_dataplane("networking.address: \"0.0.0.0\" is not an address that others can reach", place=r":\d+:\d+"))
def the_address_is_the_wildcard(s):
    s.resource = s.resource.replace("10.77.0.2", "0.0.0.0")


@case(BAD_CONFIG, in_dataplane("not YAML: .*", place=r":\d+:\d+"))
def the_resource_is_no_yaml(s):
    s.resource = "type: Dataplane\n\tmesh: default\n"


@case(BAD_CONFIG, in_dataplane('type: is "Mesh", must be "Dataplane"', place=r":\d+:\d+"))
def the_resource_is_no_dataplane(s):
    s.resource = s.resource.replace("Dataplane", "Mesh")


@case(BAD_CONFIG, in_dataplane(r"networking.inbound\[0\].port: \"80800\" must be a port \(1 to 65535\)", place=r":7:\d+"))
def an_inbound_has_no_port_that_exists(s):
    s.resource = s.resource.replace("8080", "80800")


@case(BAD_HOST, in_config("kumaDP.dataplaneFile", f"{DATAPLANE} does not exist"))
def the_resource_is_missing(s):
    s.resource = None


@case(BAD_HOST, in_config("kumaDP.dataplaneFile", "/run is not a regular file"))
def the_resource_is_a_directory(s):
    s.set(kumaDP__dataplaneFile="/run")


@case(BAD_HOST, in_config("kumaDP.dataplaneFile", f"{DATAPLANE} is larger than 1 MiB"))
def the_resource_is_enormous(s):
    s.write(DATAPLANE, s.resource + "#" * (1 << 20))


@case(BAD_CONFIG, in_config("kumaDP.dataplaneFile", '"dp.yaml" is not an absolute path: it has to begin with /'))
def the_resource_has_a_relative_path(s):
    s.set(kumaDP__dataplaneFile="dp.yaml")


@case(BAD_CONFIG, "error: kumaDP.dataplaneFile: is needed: .*or kumaDP.name.*")
def neither_a_resource_nor_a_name_is_given(s):
    s.set(kumaDP__dataplaneFile=None)


@case(BAD_CONFIG, in_config("kumaDP.name", "and kumaDP.dataplaneFile are both set; only one of them can be"))
def both_a_resource_and_a_name_are_given(s):
    s.set(kumaDP__name="web")


# Token


@case(BAD_HOST, in_config("kumaDP.tokenFile", "/etc/none does not exist"))
def the_token_is_missing(s):
    s.set(kumaDP__tokenFile="/etc/none")


@case(BAD_CONFIG, r"error: kumaDP.tokenFile: is needed: .*")
def no_token_is_named(s):
    s.set(kumaDP__tokenFile=None)


@case(BAD_HOST, in_config("kumaDP.tokenFile", f"{TOKEN} cannot be used: it expired on 2001-09-09 01:46:40 UTC"))
def the_token_has_expired(s):
    s.write(TOKEN, token(exp=1000000000))


@case(BAD_HOST, in_config("kumaDP.tokenFile", f"{TOKEN} cannot be used: its Mesh is 'prod', and the Dataplane's is 'default'"))
def the_token_is_for_another_mesh(s):
    s.write(TOKEN, token(Mesh="prod"))


@case(BAD_HOST, in_config("kumaDP.tokenFile", f"{TOKEN} cannot be used: it is not a JWT: three parts .*"))
def the_token_is_no_jwt(s):
    s.write(TOKEN, "secret\n")


@case(BAD_HOST, in_config("kumaDP.tokenFile", f"{TOKEN} cannot be used: it is empty"))
def the_token_is_empty(s):
    s.write(TOKEN, "")


@case(BAD_HOST, in_config("kumaDP.tokenFile", f"{TOKEN} is readable neither by user kuma-dp nor by root without "
                                              "CAP_DAC_OVERRIDE"))
def the_token_is_readable_for_another_user_only(s):
    s.host.run(["sh", "-ec", f"chown 1234:1234 {TOKEN}; chmod 0400 {TOKEN}"])


@case(BAD_HOST, in_config("kumaDP.tokenFile", "/etc/closed/token: Permission denied"))
def the_token_is_in_a_directory_that_only_another_user_may_enter(s):
    s.write("/etc/closed/token", token())
    s.host.run(["sh", "-ec", "chown -R 1234:1234 /etc/closed; chmod 0700 /etc/closed"])
    s.set(kumaDP__tokenFile="/etc/closed/token")


@case(BAD_HOST, in_config("kumaDP.tokenFile", "/tmp/token is not there for the service, which has a /tmp of its own"))
def the_token_is_where_the_service_has_a_directory_of_its_own(s):
    s.before_exec = "mount -nt tmpfs tmpfs /tmp; cp /etc/tproxyd/token /tmp/token"
    s.set(kumaDP__tokenFile="/tmp/token")


@case(BAD_HOST, in_config("kumaDP.tokenFile", "/etc/tproxyd/link .*"))
def the_token_is_a_link_to_there(s):
    s.before_exec = "mount -nt tmpfs tmpfs /tmp; cp /etc/tproxyd/token /tmp/token"
    s.host.run(["ln", "-s", "/tmp/token", "/etc/tproxyd/link"])
    s.set(kumaDP__tokenFile="/etc/tproxyd/link")


@case(BAD_HOST, in_config("kumaDP.tokenFile", f"{TOKEN} is larger than 1 MiB"))
def the_token_is_enormous(s):
    s.write(TOKEN, "a" * ((1 << 20) + 1))


# Programs and what they are given


def old_kuma_dp(s, version):
    s.write("/run/old/kuma-dp", f"#!/bin/sh\necho 'Kuma: {version}'\n", "0755")
    s.set(kumaDP__path="/run/old/kuma-dp")


@case(BAD_HOST, in_config("kumaDP.path", "/usr/bin/none does not exist"))
def kuma_dp_is_missing(s):
    s.set(kumaDP__path="/usr/bin/none")


@case(BAD_HOST, "error: kumaDP.path: no kuma-dp is found in /usr/local/bin, /usr/bin, /opt/kuma/bin: .*")
def kuma_dp_is_in_none_of_the_usual_places(s):
    s.set(kumaDP__path=None)


@case(BAD_HOST, in_config("kumaDP.envoyPath", "/run/standin/none does not exist"))
def envoy_is_missing(s):
    s.set(kumaDP__envoyPath="/run/standin/none")


@case(BAD_HOST, in_config("kumaDP.envoyPath", "/run/envoy is not executable by user kuma-dp"))
def envoy_is_executable_for_root_only(s):
    s.write("/run/envoy", "#!/bin/sh\n", "0700")
    s.set(kumaDP__envoyPath="/run/envoy")


@case(BAD_HOST, in_config("kumaDP.envoyPath", "/run/standin is not a regular file"))
def envoy_is_a_directory(s):
    s.set(kumaDP__envoyPath="/run/standin")


@case(BAD_HOST, in_config("coreDNS.path", "/run/none does not exist"))
def coredns_is_missing(s):
    s.set(coreDNS__path="/run/none")


@case(BAD_HOST, in_config("kumaDP.path", "/run/old/kuma-dp is version 2.9.1: 2.10 or later is needed"))
def kuma_dp_is_too_old(s):
    old_kuma_dp(s, "2.9.1")


@case(BAD_HOST, in_config("kumaDP.path", "the version of /run/old/kuma-dp cannot be told: .*exited with status 3"))
def kuma_dp_does_not_tell_its_version(s):
    s.write("/run/old/kuma-dp", "#!/bin/sh\nexit 3\n", "0755")
    s.set(kumaDP__path="/run/old/kuma-dp")


@case(BAD_HOST, in_config("kumaDP.path", ".*/run/old/kuma-dp.* cannot be told: .*execute.*"))
def kuma_dp_is_no_program(s):
    s.write("/run/old/kuma-dp", "nothing\n", "0755")
    s.set(kumaDP__path="/run/old/kuma-dp")


@case(BAD_HOST, in_config("coreDNS.mode", "kuma-dp 2.10 cannot answer DNS itself, 2.11 and later can: use .*"))
def kuma_dp_is_too_old_to_answer_dns(s):
    old_kuma_dp(s, "2.10.0")
    s.set(coreDNS__mode="embedded")


@case(BAD_HOST, in_config("coreDNS.mode", "kuma-dp 3.0 runs no coredns any more: use embedded or tproxyd"))
def kuma_dp_is_too_new_to_run_coredns(s):
    old_kuma_dp(s, "3.0.0")
    s.set(coreDNS__mode="kuma-dp")


@case(BAD_HOST, in_config("coreDNS.mode", "the Corefile of kuma-dp needs the plugin alternate, which /run/stock/coredns lacks: .*"))
def kuma_dp_cannot_run_a_stock_coredns(s):
    s.write("/run/stock/coredns", "#!/bin/sh\necho CoreDNS-1.14.6\n", "0755")
    s.set(coreDNS__path="/run/stock/coredns", coreDNS__mode="kuma-dp")


@case(BAD_HOST, in_config("coreDNS.path", "/run/old/coredns is CoreDNS 1.11.0: Kuma's build or 1.12 and later .*"))
def our_own_coredns_is_too_old(s):
    s.write("/run/old/coredns", "#!/bin/sh\necho CoreDNS-1.11.0\n", "0755")
    s.set(coreDNS__path="/run/old/coredns", coreDNS__mode="tproxyd")


@case(BAD_HOST, in_config("kumaDP.caCertFile", "/etc/ca.pem is not readable by user kuma-dp.*"))
def the_certificate_is_readable_for_root_only(s):
    s.write("/etc/ca.pem", "-----BEGIN CERTIFICATE-----\n", "0600")
    s.set(kumaDP__caCertFile="/etc/ca.pem")


@case(BAD_HOST, in_config("coreDNS.corefile", "/etc/none does not exist"))
def the_corefile_is_missing(s):
    s.set(coreDNS__corefile="/etc/none")


@case(BAD_HOST, "error: redirect.dns.resolvConfigPath: /etc/resolv.conf does not exist")
def resolv_conf_is_missing(s):
    s.host.run(["rm", "/etc/resolv.conf"])


@case(BAD_CONFIG, in_config("kumaDP.env", ".*A-B.* is no name of a variable: letters, digits and _ can be used.*"))
def a_variable_of_kuma_dp_has_no_possible_name(s):
    s.settings["kumaDP.env"] = {"A-B": "1"}


@pytest.mark.parametrize("name", CASES)
def test_check_and_run_refuse_alike_and_change_nothing(subject, name):
    refuse_alike(subject, *CASES[name])


def about(errors):
    """Where the errors are and which settings they blame."""
    return {line.split("error: ")[0] + line.split("error: ")[1].split(": ")[0] for line in errors}


def refuse_alike(subject, spoil, status, sentences):
    spoil(subject)
    subject.finish()
    before = subject.state()
    checked, ran = subject.check(), subject.run()
    assert (checked.status, ran.status) == (status, status), checked.text + ran.text
    for sentence in sentences:
        assert any(re.match(sentence, line) for line in checked.errors), checked.text
    assert len(checked.errors) == len(sentences), checked.text
    # A mistake in the configuration ends `run` before it looks at the host; where the service has a directory of its
    # own, the file is missing there.
    assert ran.errors, ran.text
    assert "/tmp of its own" in checked.text or set(ran.errors) <= set(checked.errors), ran.text
    assert about(ran.errors) <= about(checked.errors), ran.text
    assert "nothing was changed" in ran.text
    assert subject.state() ^ before == set()


@pytest.mark.parametrize("port", [15006, 15001, 15053, 15054, 9901, 9902, 19153])
def test_an_inbound_on_a_port_of_the_proxys_own_is_refused(subject, port):
    def spoil(s):
        s.resource = s.resource.replace("8080", str(port))

    refuse_alike(subject, spoil, BAD_CONFIG, [rf"(.*: )?error: .*port {port} is .* already.*, and cannot be .* too"])


def test_a_token_for_root_only_is_no_reason_to_refuse(subject):
    subject.host.run(["chmod", "0400", TOKEN])
    subject.finish()
    said = subject.check()
    assert (said.status, said.errors) == (0, []), said.text
