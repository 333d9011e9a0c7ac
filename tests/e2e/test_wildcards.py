# SPDX-License-Identifier: Apache-2.0
"""Requests reach the right host: a name is served by the host that is written like it, else by the wildcard host that takes it, which
is one of exactly one label less, else by the default host, else by nobody. A small model says so, and real Envoys are asked
in each delivery mode.

One backend process listens on all pod addresses, and each host leads to an address of its own, so an answer tells whose
routes it came by.
"""
import contextlib
import json
import random
import re
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass

import pytest
from features_support import Authority, Site, ingress, ingress_route, metadata, route, service, text
from harness.backend import Backend
from harness.client import SteadyLoad
from test_delivery import ANY_CERTIFICATE, WEBSOCKET, exchange

DELIVERIES = {"classic": (), "sharded": ("--delivery", "sharded"), "sharded-https": ("--delivery", "sharded-https")}
PORT = 8099
LABEL = re.compile(r"[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?")
LABELS = ["a", "b", "w", "w_w", "_", "-w", "w-", "9"]
STRICT = {"projectcontour.io/tls-minimum-protocol-version": "1.3"}


# ---- The model ------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Host:
    """What one host asks for. `plain`: what it does on plain HTTP, "serve", "redirect" or nothing."""
    name: str  # "*": the default host
    address: str
    plain: str | None = "serve"
    tls: bool = False
    strict: bool = False  # TLS 1.3 at least, unlike the others
    tcp: bool = False  # a TCP proxy, which takes the whole TLS connection
    path: str = "/"
    websocket: bool = False

    @property
    def own_connections_only(self):
        return self.strict or self.name.startswith("*.")


def taken_by(hosts, name):
    """The host of `hosts` that serves the name, or None."""
    by_name = {host.name: host for host in hosts}
    if name in by_name and "*" not in name:
        return by_name[name]
    label, _, rest = name.partition(".")
    if LABEL.fullmatch(label) and f"*.{rest}" in by_name:
        return by_name[f"*.{rest}"]
    return by_name.get("*")


def without_port(authority):
    return authority.lower().rpartition(":")[0] if ":" in authority else authority.lower()


def without_dot(authority):
    """As Envoy leaves it: one dot at the end of the name is cut off."""
    return re.sub(r"\.(:[^:]*)?$", r"\1", authority)


def by_routes(host, path, websocket):
    if not path.startswith(host.path):
        return "404", None
    if websocket:
        return ("101" if host.websocket else "403"), None
    return "200", host.address


def expected(hosts, server_name, authority, path, websocket):
    """(status, address of the host that answers or None); "refused" where a TLS connection comes to nothing."""
    authority = without_dot(authority)
    if server_name is None:
        host = taken_by([host for host in hosts if host.plain], without_port(authority))
        if host is None:
            return "404", None
        if host.plain == "redirect" and path.startswith(host.path):
            return ("403" if websocket else "301"), None
        return by_routes(host, path, websocket)
    connection = taken_by([host for host in hosts if host.tls], server_name.lower())
    if connection is None:
        return "refused"
    if connection.tcp:
        return ("101", None) if websocket else ("200", connection.address)
    host = taken_by([host for host in hosts if host.tls and not host.tcp], without_port(authority))
    if host is None:
        return "404", None
    if host.own_connections_only:
        if host != connection:
            return ("403" if websocket else "421"), None
        if websocket and not path.startswith(host.path):
            return "403", None
    return by_routes(host, path, websocket)


def test_the_model_is_right():
    """By hand, so that model and program don't share a mistake."""
    hosts = [Host(name, name) for name in ("a.b.test", "*.b.test", "*.a.b.test", "*.test")]
    wanted = {"a.b.test": "a.b.test", "b.b.test": "*.b.test", "x.a.b.test": "*.a.b.test", "b.test": "*.test", "x_y.b.test": "*.b.test",
              "y.x.a.b.test": None, "x.c.b.test": None, "-w.b.test": None, "test": None, ".b.test": None, "*.b.test": None}
    for name, host in wanted.items():
        assert taken_by(hosts, name) == (host and Host(host, host)), name
        assert taken_by([*hosts, Host("*", "*")], name).name == (host or "*"), name
    secure = [Host("*.b.test", "1", tls=True), Host("x.test", "2", tls=True), Host("*", "3")]
    assert expected(secure, None, "y.x.b.test:80", "/", False) == ("200", "3")
    assert expected(secure, "y.x.b.test", "x.test", "/", False) == "refused"
    assert expected(secure, "y.b.test", "Y.B.Test:443", "/", False) == ("200", "1")
    assert expected(secure, "y.b.test", "y.x.b.test", "/", False) == ("404", None)
    assert expected(secure, "x.test", "y.b.test", "/", False) == ("421", None)


# ---- Hosts and requests by chance -----------------------------------------------------------------------------------

def random_name(chance, deepest=4):
    return ".".join([*(chance.choice("ab") for _ in range(chance.randint(0, deepest))), "test"])


def random_hosts(chance):
    names = {random_name(chance, 3) for _ in range(4)} | {"*." + random_name(chance, 3) for _ in range(6)}
    if chance.random() < 0.7:
        names.add("*")
    found = []
    for number, name in enumerate(sorted(names)):
        tls = name != "*" and chance.random() < 0.6
        tcp = tls and "*" not in name and chance.random() < 0.2
        plain = "serve" if not tls else None if tcp else chance.choice(["serve", "serve", "redirect", None])
        found.append(Host(name, f"10.244.201.{number + 1}", plain, tls, strict=tls and not tcp and chance.random() < 0.2, tcp=tcp,
                          path=chance.choice(["/", "/", "/part"]) if not tcp else "/", websocket=chance.random() < 0.4))
    return found


def random_request(chance, hosts):
    """(server name or None for plain HTTP, authority, path, whether it asks for a websocket)"""
    def name():
        chosen = chance.choice(hosts).name if chance.random() < 0.3 else random_name(chance)
        for _ in range(chance.choice([0, 0, 1, 1, 2])):
            chosen = f"{chance.choice(LABELS)}.{chosen.removeprefix('*.') if chosen != '*' else 'test'}"
        return "".join(chance.choice([c.upper(), c]) for c in chosen) if chance.random() < 0.3 else chosen
    server_name = name() if chance.random() < 0.5 else None
    if server_name == "*":
        server_name = "unknown.test"
    authority = server_name if server_name and chance.random() < 0.5 else name() if chance.random() < 0.9 else chance.choice(
        ["", "a.test.", ".a.test", "..a.test", "[::1]", "10.1.2.3", "a..test"])
    if chance.random() < 0.3:
        authority += chance.choice([":80", ":8080", ":", ":x"])
    return server_name, authority, chance.choice(["/", "/part", "/part/this"]), chance.random() < 0.2


def objects_of(hosts, authority):
    """The objects that ask for the hosts: IngressRoutes for exact names without anything that they lack, else Ingresses."""
    found = []
    for number, host in enumerate(hosts):
        name = f"host-{number}"
        found.append(text(
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": {"ports": [{"port": 80, "targetPort": PORT}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": {**metadata(f"{name}-1"), "labels": {"kubernetes.io/service-name": name}},
             "ports": [{"port": PORT, "protocol": "TCP"}], "endpoints": [{"addresses": [host.address]}]}) + "---\n")
        if host.tls:
            found.append(authority.secret(name, host.name))
        if host.tcp:
            found.append(ingress_route(name, host.name, tls={"secretName": name}, tcpproxy=[(name, {})]))
        elif "*" not in host.name and number % 2 and (host.plain or not host.tls):
            tls = {"secretName": name, **({"minimumProtocolVersion": "1.3"} if host.strict else {})} if host.tls else None
            options = {"enableWebsockets": True} if host.websocket else {}
            if host.tls and host.plain == "serve":
                options["permitInsecure"] = True
            found.append(ingress_route(name, host.name, route(host.path, name, **options), tls=tls))
        else:
            annotations = {**(STRICT if host.strict else {})}
            if host.websocket:
                annotations["projectcontour.io/websocket-routes"] = host.path
            if host.plain == "redirect":
                annotations["ingress.kubernetes.io/force-ssl-redirect"] = "true"
            if host.plain is None:
                annotations["kubernetes.io/ingress.allow-http"] = "false"
            found.append(ingress(name, None if host.name == "*" else host.name, [(host.path, "Prefix", name)], annotations,
                                 name if host.tls else None))
    return "".join(found)


# ---- Real Envoys ----------------------------------------------------------------------------------------------------

class Everywhere:
    """A site for each delivery mode, with one backend on all addresses behind them."""

    def __init__(self, name, deliveries=DELIVERIES):
        self.sites = {delivery: Site(f"wildcards_{name}_{delivery}", *deliveries[delivery]) for delivery in deliveries}
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for site in self.sites.values():
                stack.enter_context(site)
            first = next(iter(self.sites.values()))
            stack.callback(Backend("everywhere", first.work_dir, "0.0.0.0", PORT).start().kill)
            self.authority = Authority(first.work_dir, "hosts-authority")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details):
        return self._stack.__exit__(*details)

    def publish(self, objects):
        for site in self.sites.values():
            site.publish("all.yaml", objects)

    def ask(self, server_name, authority, path="/", websocket=False):
        """Returns the answer of each site, in the form of expected()."""
        request = f"GET {path} HTTP/1.1\r\nhost: {authority}\r\n{WEBSOCKET if websocket else 'connection: close' + chr(13) + chr(10)}\r\n"
        answers = {}
        for delivery, site in self.sites.items():
            got = exchange(site.address, site.http_port if server_name is None else site.https_port, server_name, request)
            if got in ("no handshake", "closed"):
                answers[delivery] = "refused"
            elif isinstance(got, tuple):
                seen = got[2] if len(got) == 4 and isinstance(got[2], dict) else None
                if seen is not None:  # the backend sees what was sent; a dot at its end only through a TCP proxy
                    assert seen["host"] in (without_dot(authority), authority) and seen["path"] == path, (authority, path, seen)
                answers[delivery] = got[0], seen and seen["address"]
            else:
                answers[delivery] = got
        return answers

    def check(self, hosts, requests):
        """Asks until all answers are those of the model, and returns them."""
        deadline, answered = time.monotonic() + 5, {}
        while True:
            wrong = []
            for request in requests:
                wanted = expected(hosts, *request)
                for delivery, answer in self.ask(*request).items():
                    if answer != wanted:
                        wrong.append((delivery, request, "expected", wanted, "got", answer))
                answered[request] = wanted
            if not wrong or time.monotonic() > deadline:
                break
            requests = list({request for _, request, *_ in wrong})  # some may still be on its way
            time.sleep(0.1)
        assert not wrong, (wrong[:5], hosts)
        return answered


@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.long)])
def test_answers_are_those_of_the_model(rounds, figure):
    asked, seen = 0, set()
    with Everywhere(f"model_{rounds}") as everywhere:
        for seed in range(rounds):
            chance = random.Random(seed * 7907 + rounds)
            hosts = random_hosts(chance)
            everywhere.publish(objects_of(hosts, everywhere.authority))
            requests = [random_request(chance, hosts) for _ in range(150)]
            for request in requests:
                wanted = expected(hosts, *request)
                taker = taken_by([host for host in hosts if host.plain], without_port(request[1])) if request[0] is None else None
                seen.add(wanted if wanted == "refused" else wanted[0])
                # A name below a wildcard host that falls to the default host.
                if taker and taker.name == "*" and any(without_port(request[1]).endswith(host.name[1:]) for host in hosts
                                                       if host.plain and host.name.startswith("*.")):
                    seen.add("fell through" if wanted[0] == "200" else f"fell through to {wanted[0]}")
            everywhere.check(hosts, requests)
            asked += len(requests)
    # Else it compared nothing.
    assert {"200", "101", "301", "403", "404", "421", "refused", "fell through", "fell through to 403"} <= seen, seen
    figure("requests to random hosts held against the model, in three delivery modes", asked)


# ---- Each case ------------------------------------------------------------------------------------------------------

WILD = Host("*.wild.test", "10.244.201.1")
NESTED = Host("*.b.wild.test", "10.244.201.2")
DEFAULT = Host("*", "10.244.201.3", websocket=True)


@pytest.fixture(scope="module")
def everywhere():
    with Everywhere("cases") as value:
        yield value


def test_a_host_two_labels_below_a_wildcard_goes_to_the_default_backend(everywhere):
    hosts = [WILD, DEFAULT]
    everywhere.publish(objects_of(hosts, everywhere.authority))
    answers = everywhere.check(hosts, [(None, authority, "/", False) for authority in
                                       ("a.wild.test", "a.b.wild.test", "A.B.Wild.Test:8080", "c.b.a.wild.test", "wild.test")])
    assert answers[None, "a.wild.test", "/", False] == ("200", WILD.address)
    assert answers[None, "a.b.wild.test", "/", False] == ("200", DEFAULT.address)
    hosts = [WILD]  # nobody is left to fall to
    everywhere.publish(objects_of(hosts, everywhere.authority))
    answers = everywhere.check(hosts, [(None, authority, "/", websocket) for authority in ("a.wild.test", "a.b.wild.test")
                                       for websocket in (False, True)])
    assert answers[None, "a.b.wild.test", "/", False] == ("404", None)


def test_a_nested_wildcard_takes_one_label_and_the_outer_one_none_of_the_rest(everywhere):
    hosts = [WILD, NESTED, DEFAULT]
    everywhere.publish(objects_of(hosts, everywhere.authority))
    answers = everywhere.check(hosts, [(None, authority, "/", False) for authority in
                                       ("b.wild.test", "a.b.wild.test", "a.a.b.wild.test", "a.c.wild.test")])
    assert [answer[1] for answer in answers.values()] == [WILD.address, NESTED.address, DEFAULT.address, DEFAULT.address]


def test_labels_with_an_underscore_count_below_a_wildcard(everywhere):
    hosts = [WILD, DEFAULT]
    everywhere.publish(objects_of(hosts, everywhere.authority))
    answers = everywhere.check(hosts, [(None, f"{label}.wild.test", "/", False) for label in ("_dmarc", "a_b", "a_", "_", "-a", "a-", "a+b", "")])
    assert [answer[1] for answer in answers.values()] == [WILD.address] * 4 + [DEFAULT.address] * 4


def test_what_falls_to_the_default_host_has_its_routes_redirects_and_websockets(everywhere):
    """A path without a route of the wildcard host doesn't fall: the host is known."""
    hosts = [Host("*.wild.test", WILD.address, path="/part"), DEFAULT]
    everywhere.publish(objects_of(hosts, everywhere.authority))
    answers = everywhere.check(hosts, [(None, authority, path, websocket) for authority in ("a.wild.test", "a.b.wild.test")
                                       for path in ("/", "/part") for websocket in (False, True)])
    assert answers[None, "a.wild.test", "/", False] == ("404", None)
    assert answers[None, "a.b.wild.test", "/", True] == ("101", None)
    hosts = [WILD, Host("*", DEFAULT.address)]
    everywhere.publish(objects_of(hosts, everywhere.authority))
    answers = everywhere.check(hosts, [(None, authority, "/", True) for authority in ("unknown.test", "a.b.wild.test")])
    assert set(answers.values()) == {("403", None)}


def test_a_default_host_that_comes_changes_and_goes_is_followed(everywhere):
    """The wildcard host itself stays as it is, so nothing else has to be sent."""
    asked = [(None, "a.b.wild.test", "/", False)]
    for hosts in ([WILD], [WILD, DEFAULT], [WILD, Host("*", "10.244.201.9")], [DEFAULT], [WILD, DEFAULT], [WILD]):
        everywhere.publish(objects_of(hosts, everywhere.authority))
        everywhere.check(hosts, asked)


def test_a_wildcard_without_plain_http_takes_no_plain_http(everywhere):
    hosts = [Host("*.wild.test", WILD.address, plain=None, tls=True), Host("*.test", NESTED.address), DEFAULT]
    everywhere.publish(objects_of(hosts, everywhere.authority))
    answers = everywhere.check(hosts, [(None, "a.wild.test", "/", False), ("a.wild.test", "a.wild.test", "/", False)])
    assert list(answers.values()) == [("200", DEFAULT.address), ("200", WILD.address)]


def test_a_server_name_that_no_tls_wildcard_takes_is_refused(everywhere):
    """It is answered as without a wildcard host; so are other hosts that are asked for through that connection."""
    hosts = [Host("*.wild.test", WILD.address, tls=True), Host("*.b.wild.test", NESTED.address, tls=True),
             Host("usual.test", "10.244.201.4", tls=True), Host("c.d.wild.test", "10.244.201.5", tls=True), DEFAULT]
    everywhere.publish(objects_of(hosts, everywhere.authority))
    names = {"a.wild.test": "200", "a_b.wild.test": "200", "A.b.wild.test": "200", "c.d.wild.test": "200", "a.a.b.wild.test": None,
             "b.d.wild.test": None, "a.c.d.wild.test": None, "-a.wild.test": None}
    answers = everywhere.check(hosts, [(name, authority, "/", False) for name in names for authority in (name, "usual.test")])
    for name, status in names.items():
        assert answers[name, name, "/", False] == ("refused" if status is None else (status, answers[name, name, "/", False][1])), name
        assert answers[name, "usual.test", "/", False] == ("refused" if status is None else ("200", "10.244.201.4")), name
    for site in everywhere.sites.values():
        assert site.envoy.stat("ingress_https.rbac.denied") > 0


def test_a_tcp_proxy_and_a_passthrough_below_a_tls_wildcard_take_their_own_name_only(everywhere):
    hosts = [Host("*.wild.test", WILD.address, tls=True), Host("tcp.b.wild.test", "10.244.201.6", None, tls=True, tcp=True)]
    site = next(iter(everywhere.sites.values()))
    certificate, key = everywhere.authority.sign("through.b.wild.test")
    through = site.backend("through", protocol="tcp", certificate=certificate, key=key)
    everywhere.publish(objects_of(hosts, everywhere.authority) + service("through", through) + ingress_route(
        "through", "through.b.wild.test", tls={"passthrough": True}, tcpproxy=[("through", {})]))
    answers = everywhere.check(hosts, [(name, name, "/", False) for name in
                                       ("tcp.b.wild.test", "other.b.wild.test", "a.tcp.b.wild.test", "a.through.b.wild.test", "a.wild.test")])
    assert [answer[0] if isinstance(answer, tuple) else answer for answer in answers.values()] == \
        ["200", "refused", "refused", "refused", "200"]
    for site in everywhere.sites.values():
        with socket.create_connection((site.address, site.https_port), 5) as connection:
            with ANY_CERTIFICATE.wrap_socket(connection, server_hostname="through.b.wild.test") as wrapped:
                assert wrapped.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(certificate.read_text())


def test_the_first_default_host_beside_a_wildcard_interrupts_nobody():
    """The listener changes then: its filters look for the default host from now on."""
    with Everywhere("first", {"classic": ()}) as everywhere:
        site = everywhere.sites["classic"]
        steady = Host("steady.test", "10.244.201.4")
        everywhere.publish(objects_of([steady, WILD], everywhere.authority))
        before = site.envoy.last_updated()["ListenersConfigDump", "ingress_http"]
        with SteadyLoad(site.address, site.http_port, "steady.test", per_second=100) as load:
            for hosts in ([steady, WILD, DEFAULT], [steady, WILD], [steady, WILD, DEFAULT]):
                everywhere.publish(objects_of(hosts, everywhere.authority))
                everywhere.check(hosts, [(None, "a.b.wild.test", "/", False)])
                time.sleep(0.5)  # for the load to say something
        load.assert_clean()
        assert site.envoy.last_updated()["ListenersConfigDump", "ingress_http"] != before


def test_http_2_falls_to_the_default_host_too(everywhere):
    """Plain HTTP/2, in which the host is `:authority` from the start; curl speaks it."""
    everywhere.publish(objects_of([WILD, DEFAULT], everywhere.authority))
    for delivery, site in everywhere.sites.items():
        for host, address in {"a.wild.test": WILD.address, "A.b.wild.test:80": DEFAULT.address}.items():
            told = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-H", f"Host: {host}", f"http://{site.address}:{site.http_port}/"],
                                  check=True, capture_output=True, timeout=10).stdout
            assert (json.loads(told)["address"], json.loads(told)["host"]) == (address, host), delivery
