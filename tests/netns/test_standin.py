# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in kuma-dp does what tests of tproxyd count on: traffic through both engines, readiness, drain, failures.

The rules are written here in the shape of kumactl's; tproxyd has no part in these tests. TPROXYD_TEST_PROXIES names
the directory with the real envoy and coredns (tests/proxies/install puts them there).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "standin"))

import lab  # noqa: E402  (the path above has to be set first)

PROXIES = os.environ.get("TPROXYD_TEST_PROXIES", "")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and rules need root"),
    pytest.mark.skipif(shutil.which("iptables-legacy") is None, reason="iptables-legacy is not installed"),
]

ENGINES = ["builtin", pytest.param("envoy", marks=pytest.mark.skipif(
    not PROXIES, reason="TPROXYD_TEST_PROXIES does not name a directory with envoy and coredns"))]

FAMILIES = {"4": ("10.44.0.1", "10.44.0.2"), "6": ("fd44::1", "fd44::2")}


@pytest.fixture
def directory():
    path = tempfile.mkdtemp(prefix="standin-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def space():
    namespace = lab.Namespace(proxies=PROXIES)
    yield namespace
    namespace.close()


@pytest.fixture
def start(space, directory):
    """Starts a stand-in in an otherwise empty namespace; it ends with the test."""
    running = []

    def start_one(*flags, **options):
        running.append(lab.StandIn(space, directory, *flags, **options))
        return running[-1]
    yield start_one
    for standin in running:
        standin.close()


@pytest.fixture
def redirected(directory):
    """--transparent-proxy-config with the default ports."""
    return f"--transparent-proxy-config={directory}/redirect.yaml"


@pytest.fixture(scope="module", params=ENGINES)
def world(request):
    path = tempfile.mkdtemp(prefix="standin-")
    made = lab.World(request.param, path, PROXIES)
    yield made
    made.close()
    shutil.rmtree(path)


@pytest.fixture(params=["4", "6"])
def family(request):
    return request.param


# Traffic


def test_an_outbound_connection_goes_through_the_proxy_to_where_it_wanted(world, family):
    own, other = FAMILIES[family]
    before = world.connections() if world.engine == "builtin" else None
    assert world.host.peer("talk", other, "7000") == f"from {own}"
    if before:
        assert world.connections() == {**before, "outbound": before["outbound"] + 1}


def test_an_inbound_connection_reaches_the_application_from_the_passthrough_address(world, family):
    own, _ = FAMILIES[family]
    assert world.peer.peer("talk", own, "7001") == {"4": "from 127.0.0.6", "6": "from ::6"}[family]


def test_an_outbound_request_passes_the_lua_filter(world, family):
    own, other = FAMILIES[family]
    answer = json.loads(world.host.peer("get", other, "80", "/hello"))
    assert answer["status"] == 200
    assert json.loads(answer["body"]) == {"client": own, "request": "GET /hello HTTP/1.1"}
    assert answer["headers"].get("x-standin") == ("lua" if world.engine == "envoy" else None)


def test_an_inbound_request_passes_the_lua_filter(world, family):
    own, _ = FAMILIES[family]
    answer = json.loads(world.peer.peer("get", own, "8080", "/"))
    assert json.loads(answer["body"])["client"] == {"4": "127.0.0.6", "6": "::6"}[family]
    assert answer["headers"].get("x-standin") == ("lua" if world.engine == "envoy" else None)


def test_hundreds_of_connections_at_once_are_proxied(world, family):
    own, other = FAMILIES[family]
    assert world.host.peer("talk", other, "7000", "400") == f"from {own}"


def test_a_large_transfer_arrives_whole_and_in_order(world):
    assert world.host.peer("pour", "10.44.0.2", "7000", "64") == "same"


def test_a_connection_that_its_destination_refuses_is_closed(world, family):
    with pytest.raises(RuntimeError, match="reset|closed|expected the line back"):
        world.host.peer("talk", FAMILIES[family][1], "7999")


def test_a_connection_straight_to_a_redirect_port_ends_instead_of_turning_in_circles(world):
    with pytest.raises(RuntimeError, match="reset|closed|expected the line back"):
        world.host.peer("talk", "127.0.0.1", "15001")
    assert world.standin.is_live()


def test_a_redirected_query_for_a_mesh_name_is_answered_by_the_proxy(world, family):
    resolver = FAMILIES[family][1]
    assert world.host.peer("ask", "backend.mesh", "A", resolver) == "NOERROR 240.0.0.1"
    assert world.host.peer("ask", "backend.mesh", "AAAA", resolver) == "NOERROR ::ffff:240.0.0.1"
    assert world.host.peer("ask", "shop.mesh", "A", resolver) == "NOERROR 240.0.0.2"


def test_a_redirected_query_for_another_name_is_answered_by_the_hosts_resolver(world, family):
    resolver = FAMILIES[family][1]
    assert world.host.peer("ask", "debian.example", "A", resolver) == "NOERROR 192.0.2.53"
    assert world.host.peer("ask", "debian.example", "AAAA", resolver) == "NOERROR 2001:db8::53"
    assert world.host.peer("ask", "nobody.invalid", "A", resolver) == "NXDOMAIN"


def test_mesh_names_are_matched_in_exact_case_only(world):
    assert world.host.peer("ask", "BACKEND.MESH", "A", "10.44.0.2") == "NXDOMAIN"


def test_envoys_dns_port_says_no_to_what_it_does_not_know(world):
    assert world.host.peer("ask", "debian.example", "A", "127.0.0.1#15054") == "NXDOMAIN"
    assert world.host.peer("ask", "backend.mesh", "TXT", "127.0.0.1#15054") == "NOTIMP"


def test_a_mesh_address_is_routed_to_its_upstream_whatever_the_port(world):
    answer = json.loads(world.host.peer("get", "240.0.0.2", "4321", "/shop"))
    assert json.loads(answer["body"]) == {"client": "10.44.0.1", "request": "GET /shop HTTP/1.1"}
    assert answer["headers"].get("x-standin") == ("lua" if world.engine == "envoy" else None)


def test_each_redirect_port_is_listened_on_in_both_families(world):
    listeners = world.standin.listeners()
    for port in ("15001", "15006"):
        assert {("0.0.0.0", port), ("[::]", port)} <= listeners


# Readiness


def test_the_admin_socket_is_the_owners_alone_and_speaks_http_1_1_only(world):
    assert os.stat(world.standin.admin).st_mode & 0o777 == 0o600
    assert os.stat(world.standin.admin).st_uid == lab.UID
    ready = world.standin.get("/ready")
    assert ready.startswith("HTTP/1.1 200 OK\r\n") and "LIVE" in ready
    assert "transfer-encoding: chunked" in ready.lower()
    assert "listener_manager.workers_started: 1" in world.standin.get("/stats?filter=workers_started")
    assert world.standin.ask_admin("GET /ready HTTP/1.0\r\n\r\n").startswith("HTTP/1.1 426 ")


def test_the_readiness_port_passes_envoys_answer_on(world):
    assert world.standin.ready() == "200 LIVE"


def test_envoy_and_coredns_are_children_in_process_groups_of_their_own(world):
    pids = world.standin.pids()
    assert set(pids) == {"kuma-dp", "envoy", "coredns"}
    assert len({os.getpgid(pid) for pid in pids.values()}) == 3
    for pid in pids.values():
        assert os.stat(f"/proc/{pid}").st_uid == lab.UID


# Stopping


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def wait_until(condition, patience=60.0):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_stop_waits_the_whole_drain_time_and_serves_meanwhile(start, redirected, engine):
    standin = start(redirected, "--drain-time=1500ms", engine=engine)
    standin.wait_live()
    standin.signal(signal.SIGTERM)
    wait_until(lambda: standin.ready() == "503 TERMINATING")
    assert "DRAINING" in standin.get("/ready")
    assert standin.space.peer("ask", "backend.mesh", "A", "127.0.0.1#15053") == "NOERROR 240.0.0.1"
    assert {("0.0.0.0", "15001"), ("[::]", "15006")} <= standin.listeners()
    assert standin.wait()[0] == 0
    assert time.monotonic() - standin.started > 1.5
    assert standin.listeners() == set()


def test_an_open_connection_lives_and_new_ones_are_taken_until_the_drain_ends(engine, directory):
    world = lab.World(engine, directory, PROXIES)
    try:
        held = world.host.start(lab.PEER, "hold", "10.44.0.2", "7000", stdin=-1, stdout=-1)
        assert held.stdout.readline() == "from 10.44.0.1\n"
        world.standin.signal(signal.SIGINT)
        begin = time.monotonic()
        wait_until(lambda: world.standin.ready() == "503 TERMINATING")
        held.stdin.write("still here\n")
        held.stdin.flush()
        assert held.stdout.readline() == "still here\n"
        assert world.host.peer("talk", "fd44::2", "7000") == "from fd44::1"
        assert world.standin.process.wait(10) == 0
        assert time.monotonic() - begin > 2.9
        assert held.stdout.readline() in ("closed\n", "lost: [Errno 104] Connection reset by peer\n")
    finally:
        world.close()


def test_a_second_signal_ends_the_drain(start, redirected, engine):
    standin = start(redirected, "--drain-time=30s", engine=engine)
    standin.wait_live()
    standin.signal(signal.SIGTERM)
    wait_until(lambda: standin.ready() == "503 TERMINATING")
    standin.signal(signal.SIGTERM)
    status, seconds = standin.wait()
    assert status == 0 and seconds < 4


def test_a_third_signal_exits_at_once_and_takes_the_children_along(start, redirected, engine):
    standin = start(redirected, "--drain-time=30s", engine=engine)
    standin.wait_live()
    pids = standin.pids()
    standin.signal(signal.SIGTERM)
    wait_until(lambda: standin.ready() == "503 TERMINATING")
    os.kill(pids["envoy"], signal.SIGSTOP)  # a child that does not end keeps kuma-dp waiting for it
    wait_until(lambda: lab.state(pids["envoy"]) == "T")
    standin.signal(signal.SIGTERM)
    wait_until(lambda: "received signal again" in standin.log())
    standin.signal(signal.SIGTERM)
    status, seconds = standin.wait()
    assert status == 1 and seconds < 4
    wait_until(lambda: not any(map(lab.alive, pids.values())))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_killed_kuma_dp_takes_its_children_along(start, redirected, engine, number):
    standin = start(redirected, engine=engine)
    standin.wait_live()
    pids = standin.pids()
    standin.signal(number)
    status, _ = standin.wait()
    assert status == -number
    wait_until(lambda: not any(map(lab.alive, pids.values())))


@pytest.mark.parametrize("child, expected", [("envoy", 1), ("coredns", 0)])
def test_the_death_of_a_child_ends_everything(start, redirected, engine, child, expected):
    standin = start(redirected, engine=engine)
    standin.wait_live()
    wait_until(lambda: len(standin.pids()) == 3)
    pids = standin.pids()
    os.kill(pids[child], signal.SIGKILL)
    status, seconds = standin.wait()
    assert status == expected and seconds < 4
    assert not any(map(lab.alive, pids.values()))


# DNS modes


def answers(space, server):
    return space.run(lab.PEER, "ask", "backend.mesh", "A", server, check=False)


def test_dns_switched_off_leaves_envoys_port_alone(start, redirected, engine):
    standin = start(redirected, "--dns-enabled=false", engine=engine)
    standin.wait_live()
    assert set(standin.pids()) == {"kuma-dp", "envoy"}
    assert answers(standin.space, "127.0.0.1#15054") == "NOERROR 240.0.0.1"
    assert not [port for _, port in standin.listeners("-u") if port == "15053"]


@pytest.mark.parametrize("flag, expected", [
    ("redirect.yaml", {("127.0.0.1", "15053"), ("[::1]", "15053")}),
    ("ipv4.yaml", {("127.0.0.1", "15053")}),
    ("", {("*", "15053")}),
])
def test_embedded_dns_binds_loopback_where_the_redirect_is_told(start, directory, flag, expected):
    with open(os.path.join(directory, "ipv4.yaml"), "w", encoding="utf-8") as file:
        file.write('{"ipFamilyMode": "ipv4"}')
    flags = [f"--transparent-proxy-config={directory}/{flag}"] if flag else []
    standin = start(*flags, KUMA_DNS_PROXY_PORT=15053)
    standin.wait_live()
    wait_until(lambda: standin.listeners("-u"))
    assert standin.listeners("-u") == expected
    assert set(standin.pids()) == {"kuma-dp", "envoy"}
    for address, _ in expected:
        server = {"*": "127.0.0.1", "[::1]": "::1"}.get(address, address)
        assert answers(standin.space, f"{server}#15053") == "NOERROR 240.0.0.1"


def test_embedded_dns_without_ipv6_ends_kuma_dp_unless_told_so(start, space, redirected):
    space.run("ip", "-6", "addr", "del", "::1/128", "dev", "lo")
    standin = start(redirected, KUMA_DNS_PROXY_PORT=15053)
    assert standin.wait()[0] == 1
    assert "Cannot assign requested address" in standin.log()


# What an operator can get wrong


@pytest.mark.parametrize("flag, sentence", [
    ("--frob", "Error: unknown flag: --frob"),
    ("--drain-time=soon", 'Error: invalid argument "soon" for "--drain-time" flag: time: invalid duration "soon"'),
    ("--name=app", "Error: --name and --mesh cannot be specified when a dataplane definition is provided"),
    ("--cp-address=nowhere", 'Error: Failed to fetch Envoy bootstrap config. unsupported URL scheme ""'),
    ("--dataplane-file=/nowhere", "Error: error while reading provided file: open /nowhere: no such file or directory"),
    ("--transparent-proxy-config=/nowhere", "unable to access configuration file '/nowhere'"),
])
def test_a_wrong_flag_is_refused_at_once(start, flag, sentence):
    standin = start(flag)
    assert standin.wait()[0] == 1
    assert sentence in standin.log()


@pytest.mark.parametrize("text, sentence", [
    ("", "is empty"),
    ("nonsense\n", "token is malformed: token contains an invalid number of segments"),
    ("a.b.c\n", "token is malformed: could not base64 decode header"),
    ("one\ntwo\n", "Token shouldn't contain line breaks"),
])
def test_a_token_that_is_no_jwt_is_refused_at_once(start, text, sentence):
    standin = start(token_text=text)
    assert standin.wait()[0] == 1
    assert "Error: dataplane token is invalid" in standin.log() and sentence in standin.log()


def test_a_token_of_somebody_else_is_refused_at_once(start, directory):
    path = os.path.join(directory, "secret")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        file.write(lab.token())
    standin = start(f"--dataplane-token-file={path}")
    assert standin.wait()[0] == 1
    assert f"open {path}: permission denied" in standin.log()


def test_the_environment_beats_the_flags(start, redirected):
    standin = start(redirected, "--drain-time=30s", KUMA_DATAPLANE_DRAIN_TIME="100ms", KUMA_READINESS_PORT=9999)
    standin.wait_live()
    wait_until(lambda: ("127.0.0.1", "9999") in standin.listeners())
    standin.signal(signal.SIGTERM)
    assert standin.wait()[1] < 10


def test_flags_that_the_version_does_not_have_are_unknown(start, redirected):
    standin = start(redirected, VERSION="2.10.11")
    assert standin.wait()[0] == 1
    assert "Error: unknown flag: --work-dir" in standin.log()


def test_the_ports_come_from_the_resource_without_the_flag(start, directory):
    path = os.path.join(directory, "other.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(lab.DATAPLANE.replace("15006", "25006").replace("15001", "25001"))
    standin = start(f"--dataplane-file={path}")
    standin.wait_live()
    assert {port for _, port in standin.listeners()} == {"9902", "25001", "25006"}


def test_without_flag_and_section_it_is_live_and_nothing_listens(start, directory):
    path = os.path.join(directory, "plain.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(lab.DATAPLANE.partition("  transparentProxying")[0])
    standin = start(f"--dataplane-file={path}")
    standin.wait_live()
    wait_until(standin.listeners)
    assert {port for _, port in standin.listeners()} == {"9902"}


# Failure switches


def test_never_ready_stays_up_without_listeners_and_says_why(start, redirected, engine):
    standin = start(redirected, engine=engine, NEVER_READY=1)
    wait_until(lambda: "gRPC config stream to ads_cluster closed: 2, authentication failed: could "
                       "not parse token" in standin.log(), patience=15)
    assert "INITIALIZING" in standin.get("/ready")
    assert standin.ready().startswith("503 ")
    assert not {port for _, port in standin.listeners()} & {"15001", "15006"}
    assert standin.process.poll() is None


def test_a_control_plane_refuses_a_node_whose_stream_has_just_ended(space, start, redirected):
    if not PROXIES:
        pytest.skip("TPROXYD_TEST_PROXIES does not name a directory with envoy and coredns")
    plane = space.start("/run/standin/control-plane", "5679", "3", stdout=subprocess.PIPE)
    first = start(redirected, engine="envoy", CONTROL_PLANE="127.0.0.1:5679")
    first.wait_live()
    first.process.kill()
    first.wait()
    second = start(redirected, engine="envoy", CONTROL_PLANE="127.0.0.1:5679")
    wait_until(lambda: "closed: 2, there is already an active stream from this node" in second.log())
    assert not {port for _, port in second.listeners()} & {"15001", "15006"}
    assert "control_plane.connected_state: 0" in second.get("/stats?filter=control_plane")
    assert second.wait_live() > 3
    assert "control_plane.connected_state: 1" in second.get("/stats?filter=control_plane")
    plane.kill()
    assert [line.split()[0] for line in plane.stdout][:3] == ["taken", "ended", "refused"]


def test_a_control_plane_is_for_the_real_envoy(start):
    standin = start(CONTROL_PLANE="127.0.0.1:5679")
    assert standin.wait()[0] == 1
    assert "Error: STANDIN_CONTROL_PLANE is for the engine envoy" in standin.log()


def test_a_control_plane_out_of_reach_keeps_kuma_dp_alone_until_it_is_stopped(start, redirected):
    standin = start(redirected, CP_UNREACHABLE=1)
    wait_until(lambda: "could not fetch bootstrap configuration" in standin.log())
    assert set(standin.pids()) == {"kuma-dp"}
    standin.signal(signal.SIGTERM)
    assert standin.wait()[0] == 1


def test_it_exits_at_once_with_a_message(start, redirected):
    standin = start(redirected, EXIT_AT_ONCE="no can do")
    assert standin.wait()[0] == 1
    assert "Error: no can do" in standin.log()


def test_it_exits_after_a_while(start, redirected):
    standin = start(redirected, EXIT_AFTER_MS=300, EXIT_STATUS=3)
    standin.wait_live()
    assert standin.wait()[0] == 3
    assert time.monotonic() - standin.started > 0.3


def test_ready_can_be_delayed(start, redirected, engine):
    standin = start(redirected, engine=engine, READY_DELAY_MS=700)
    assert standin.wait_live() > 0.7


@pytest.mark.parametrize("switch, missing", [
    ("NO_INBOUND", {("0.0.0.0", "15006"), ("[::]", "15006")}),
    ("NO_OUTBOUND", {("0.0.0.0", "15001"), ("[::]", "15001")}),
    ("IPV4_ONLY", {("[::]", "15001"), ("[::]", "15006")}),
])
def test_listeners_can_be_left_out(start, redirected, engine, switch, missing):
    standin = start(redirected, engine=engine, **{switch: 1})
    standin.wait_live()
    every = {(address, port) for address in ("0.0.0.0", "[::]") for port in ("15001", "15006")}
    assert standin.listeners() & every == every - missing


def test_dns_can_be_left_out(start, redirected, engine):
    standin = start(redirected, engine=engine, NO_DNS=1)
    standin.wait_live()
    assert standin.listeners("-u") == set()
    with pytest.raises(RuntimeError, match="no answer"):
        standin.space.peer("ask", "backend.mesh", "A", "127.0.0.1#15053")


def test_a_stop_can_be_ignored(start, redirected):
    standin = start(redirected, "--drain-time=100ms", IGNORE_TERM=1)
    standin.wait_live()
    for _ in range(4):
        standin.signal(signal.SIGTERM)
        time.sleep(0.1)
    assert standin.process.poll() is None and standin.is_live()


def test_an_unknown_switch_is_refused(start):
    standin = start(NEVER_REDAY=1)
    assert standin.wait()[0] == 1
    assert "Error: unknown switch: STANDIN_NEVER_REDAY" in standin.log()


# The programs beside it


@pytest.mark.parametrize("corefile, families", [
    (".:15053 {\n    forward . 127.0.0.1:15054 {\n        next NXDOMAIN\n    }\n    forward . /etc/resolv.conf\n}\n", "46"),
    (".:15053 {\n  bind 127.0.0.1\n  alternate NXDOMAIN,SERVFAIL . /etc/resolv.conf\n  forward . 127.0.0.1:15054\n}\n", "4"),
])
def test_the_stand_in_coredns_forwards_as_its_corefile_says(start, space, directory, redirected, corefile, families):
    start(redirected, "--dns-enabled=false").wait_live()
    with open(os.path.join(directory, "Corefile"), "w", encoding="utf-8") as file:
        file.write(corefile)
    child = space.start("/run/standin/coredns", "-conf", file.name, "-quiet")
    wait_until(lambda: answers(space, "127.0.0.1#15053") == "NOERROR 240.0.0.1")
    assert (answers(space, "::1#15053") == "NOERROR 240.0.0.1") == ("6" in families)
    assert child.poll() is None


def test_all_tell_their_versions(space):
    assert space.run(lab.KUMA_DP, "version") == "Kuma: 2.14.3"
    assert len(space.run("/run/standin/envoy", "--version").split("version: ")[1].split("/")) == 5
    assert space.run("/run/standin/coredns", "--version").startswith("CoreDNS-")
