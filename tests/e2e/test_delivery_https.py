# SPDX-License-Identifier: Apache-2.0
"""HTTPS in the delivery mode `sharded-https`: one filter chain, certificates by server name, a scoped route configuration for each
host. test_delivery.py compares its answers with classic delivery for random hosts; here are the cases that aren't random."""
import collections
import contextlib
import random
import socket
import ssl
import string
import threading
import time

import pytest

from features_support import Authority, Site, ingress, ingress_route, service
from harness.client import SteadyLoad, TLSClient, tls_context
from test_delivery import ANY_CERTIFICATE, WEBSOCKET, Pair, compare

SHAPE = "--delivery", "sharded-https"
STRICT = {"projectcontour.io/tls-minimum-protocol-version": "1.3"}


def secure(name, host, annotations=None, secret="all"):
    return ingress(name, host, [("/", "Prefix", "blue")], annotations, secret)


def handshake(site, server_name):
    """Seconds that it took, and the host names of the certificate or None."""
    context = tls_context(site.authority.certificate)
    context.check_hostname = False
    started = time.monotonic()
    try:
        with socket.create_connection((site.address, site.https_port), 10) as connection:
            with context.wrap_socket(connection, server_hostname=server_name) as wrapped:
                names = [value for _, value in wrapped.getpeercert()["subjectAltName"]]
    except OSError:
        names = None
    return time.monotonic() - started, names


def test_hosts_with_settings_of_their_own(figure):
    """Every server name with every host, in both delivery modes: those with the usual settings answer through each other's
    connections, the others through their own only."""
    usual, own = ["usual.test", "usual-too.test", "exact.wild.test"], ["strict.test", "a.wild.test"]
    names = usual + own + ["tcp.test", "unknown.test", "a.b.wild.test", "USUAL.test"]
    with Pair("delivery_https_settings", "sharded-https", "delta-ads") as pair:
        authority = pair.sites[0].authority
        other = Authority(pair.sites[0].work_dir, "backend-authority")
        certificate, key = other.sign("through.test")
        through = pair.sites[0].backend("through", protocol="tcp", certificate=certificate, key=key)
        hosts = {
            "usual": secure("usual", "usual.test"), "usual-too": secure("usual-too", "usual-too.test"),
            "strict": secure("strict", "strict.test", STRICT), "wild": secure("wild", "*.wild.test", secret="wild"),
            "exact": secure("exact", "exact.wild.test"),
            "tcp": ingress_route("tcp", "tcp.test", tls={"secretName": "all"}, tcpproxy=[("green", {})]),
            "through": ingress_route("through", "through.test", tls={"passthrough": True}, tcpproxy=[("through", {})])}
        fixed = service("through", through) + authority.secret("all", *usual, *own, "tcp.test") + authority.secret("wild", "*.wild.test")
        requests = [(server_name, f"GET / HTTP/1.1\r\nhost: {host}\r\n{more}\r\n") for server_name in names for host in names
                    for more in (["connection: close\r\n", WEBSOCKET] if host in ("usual.test", server_name) else ["connection: close\r\n"])]

        def check(asked, **changed):
            pair.publish(fixed + "".join({**hosts, **changed}.values()))
            differences, _ = compare(pair, asked)
            assert not differences, differences[:3]
        check(requests)
        answers = {}
        for server_name, request in requests:
            if WEBSOCKET not in request:
                host = request.split("host: ")[1].split("\r\n")[0]
                answer = pair.ask(server_name, request)[1]
                answers[server_name, host] = answer[0] if isinstance(answer, tuple) else answer
        for server_name in usual + own:
            for host in usual:
                assert answers[server_name, host] == "200", (server_name, host)
            for host in own:
                assert answers[server_name, host] == ("200" if server_name == host else "421"), (server_name, host)
            assert answers[server_name, "tcp.test"] == "404"
        assert answers["unknown.test", "usual.test"] == "no handshake"
        for site in pair.sites:  # passthrough: the backend's own
            with socket.create_connection((site.address, site.https_port), 5) as connection:
                with ANY_CERTIFICATE.wrap_socket(connection, server_hostname="through.test") as wrapped:
                    assert wrapped.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(certificate.read_text())
        # Gone, and come again; with other settings; below a wildcard that went; with another certificate.
        some = ["usual.test", "strict.test", "a.wild.test", "exact.wild.test"]
        asked = [(server_name, f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n") for server_name in some for host in some]
        check(asked, usual="", wild="")
        check(asked, usual=secure("usual", "usual.test", STRICT), strict=secure("strict", "strict.test"))
        check(asked, usual=secure("usual", "usual.test", secret="wild"))
        for site in pair.sites:
            site.envoy.assert_nothing_rejected()
    figure("requests compared between classic and sharded-https, hosts with settings of their own", len(requests) + 3 * len(asked))


def test_a_new_host_disturbs_nobody(figure):
    """It is served as soon as its certificate and routes are there: before it there is no handshake or a 404; the listener
    that has the connections of all stays as it is."""
    hosts = [f"host-{number}.test" for number in range(20)]
    with Site("delivery_https_new", *SHAPE) as site:
        certificate = site.authority.secret("all", "first.test", *hosts)
        objects = service("blue", site.backend("blue")) + certificate + secure("first", "first.test")
        site.publish("all.yaml", objects)
        site.wait_tls("first.test").close()
        before = site.envoy.last_updated()["ListenersConfigDump", "ingress_https"]
        seen, times = set(), []
        with SteadyLoad(site.address, site.https_port, "first.test", per_second=100,
                        client=lambda: site.tls("first.test")) as load:
            for number, host in enumerate(hosts):
                objects += secure(f"host-{number}", host)
                site.put("all.yaml", objects)
                client = TLSClient(site.address, site.https_port, host, tls_context(site.authority.certificate))
                took, statuses = client.poll(host, "/", lambda answer: answer.backend == "blue")
                client.close()
                times.append(took)
                time.sleep(0.05)  # for the load to say something
                seen |= set(statuses)
        load.assert_clean()
        assert len(load.errors) == 0
        assert seen <= {0, 404}, seen
        assert site.envoy.last_updated()["ListenersConfigDump", "ingress_https"] == before
        figure("sharded HTTPS: a host created until it is served, median of 20", sorted(times)[10] * 1000, "ms")


def test_served_without_the_control_plane():
    """Certificates are fetched before anybody asks, so hosts that nobody has visited are served while contour is away."""
    hosts = [f"host-{number}.test" for number in range(150)]  # several lists of certificates
    with Site("delivery_https_alone", *SHAPE) as site:
        site.publish("all.yaml", service("blue", site.backend("blue")) + site.authority.secret("all", *hosts)
                     + site.authority.secret("wild", "*.wild.test")
                     + "".join(secure(f"host-{number}", host) for number, host in enumerate(hosts))
                     + secure("wild", "*.wild.test", secret="wild"))
        lists = [name for kind, name in site.envoy.last_updated() if kind == "ListenersConfigDump" and name.startswith("certificates/")]
        assert len(lists) > 2, lists
        site.contour.kill()
        for host in hosts[::5] + ["a.wild.test"]:
            client = site.tls(host)
            assert client.get(host).status == 200
            client.close()
        site.contour.start().wait_ready()
        site.publish("more.yaml", secure("more", "host-0.test"))
        assert site.tls("host-0.test").get("host-0.test").status == 200


def test_switching_the_delivery_mode_interrupts_nobody():
    """contour starts again with the other delivery mode, there and back; the same Envoy goes on answering over TLS."""
    with Site("delivery_https_switch") as site:
        objects = service("blue", site.backend("blue")) + site.authority.secret("all", "switch.test", "strict.test", "new.test")
        objects += secure("switch", "switch.test") + secure("strict", "strict.test", STRICT)
        site.publish("all.yaml", objects)
        site.wait_tls("switch.test").close()
        arguments = list(site.contour.arguments)
        with SteadyLoad(site.address, site.https_port, "switch.test", per_second=50, client=lambda: site.tls("switch.test")) as load, \
                SteadyLoad(site.address, site.https_port, "strict.test", per_second=50, client=lambda: site.tls("strict.test")) as other:
            for flags in (SHAPE, ("--delivery", "classic")):
                site.contour.kill()
                site.contour.arguments = arguments + list(flags)
                site.contour.start().wait_ready()
                site.publish("all.yaml", objects + secure("new", "new.test"))
                site.wait_tls("new.test").close()
                selected = sorted(one["name"] for one in site.envoy.config_dump("dynamic_listeners")
                                  if "on_demand_secret" in str(one.get("active_state")))
                assert selected == (["certificates/", "ingress_https"] if flags == SHAPE else [])
                for host in ("switch.test", "strict.test"):
                    client = site.tls(host)
                    assert client.get(host).status == 200
                    client.close()
                site.publish("all.yaml", objects)
        load.assert_clean()
        other.assert_clean()


def test_unknown_server_names():
    """Nobody waits for a certificate that doesn't exist, and a host that is created later is served although it was asked for before."""
    with Site("delivery_https_unknown", *SHAPE) as site:
        objects = service("blue", site.backend("blue")) + site.authority.secret("all", "known.test", "later.test")
        site.publish("all.yaml", objects + secure("known", "known.test"))
        assert handshake(site, "known.test")[1] == ["known.test", "later.test"]
        assert handshake(site, "KNOWN.test")[1] == ["known.test", "later.test"]
        for name in ("later.test", "LATER.test", "known.test.", "default/all", "xdstp://a/b/c", "*", None):
            took, names = handshake(site, name)
            assert names is None and took < 2, (name, took, names)
        site.publish("all.yaml", objects + secure("known", "known.test") + secure("later", "later.test"))
        assert handshake(site, "later.test")[1] and handshake(site, "LATER.test")[1]
        # A certificate that changes, in every spelling.
        objects = service("blue", site.backend("blue")) + site.authority.secret("all", "known.test", "later.test", "changed.test")
        site.publish("all.yaml", objects + secure("known", "known.test") + secure("later", "later.test"))
        for name in ("known.test", "KNOWN.test", "later.test", "LATER.test"):
            assert "changed.test" in handshake(site, name)[1], name
        assert site.contour.metric("contour_xds_forgotten_certificates_total") == 0


class Handshakes:
    """Server names by ClientHello alone: the answer to each is a handshake that goes on or an alert."""

    def __init__(self, site, make):
        """make(chance): a server name; all of one length."""
        self.address, self.make = (site.address, site.https_port), make
        outgoing = ssl.MemoryBIO()
        placeholder = "p" * 50 + make(random.Random(0))[50:]
        wrapped = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=placeholder)
        with contextlib.suppress(ssl.SSLWantReadError):
            wrapped.do_handshake()
        self.before, self.after = outgoing.read().split(placeholder.encode())

    def say(self, name):
        with socket.create_connection(self.address, 5) as connection:
            connection.sendall(self.before + name.encode() + self.after)
            return {b"\x16": "goes on", b"\x15": "alert", b"": "closed"}[connection.recv(1)]

    def run(self, total, threads=4):
        answers = collections.Counter()

        def work(seed):
            chance = random.Random(seed)
            for _ in range(total // threads):
                answers[self.say(self.make(chance))] += 1
        workers = [threading.Thread(target=work, args=(total * 10 + number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return answers


LONG = "n" * 50 + ".known.test"
RANDOM_NAMES = {
    "of nobody": lambda chance: "".join(chance.choices(string.ascii_lowercase, k=50)) + ".nobody.test",
    "below a wildcard": lambda chance: "".join(chance.choices(string.ascii_lowercase, k=50)) + ".wild.test",
    "of one host in many spellings": lambda chance: "".join(chance.choices("nN", k=50)) + ".known.test",
}


@pytest.mark.long
@pytest.mark.parametrize("total", [100_000])
@pytest.mark.parametrize("kind", RANDOM_NAMES)
def test_random_server_names(kind, total, figure):
    """Measures the cost, to Envoy and contour, of a client that makes up server names."""
    with Site(f"delivery_https_random_{kind.split()[-1]}", *SHAPE) as site:
        site.publish("all.yaml", service("blue", site.backend("blue")) + site.authority.secret("all", LONG, "*.wild.test")
                     + secure("known", LONG) + secure("wild", "*.wild.test"))
        load = Handshakes(site, RANDOM_NAMES[kind])
        assert load.say(LONG if kind.endswith("spellings") else load.make(random.Random(1))) == ("alert" if kind == "of nobody" else "goes on")
        load.run(400)
        time.sleep(1)
        envoy, contour, sent = site.envoy.resident_kib(), site.contour.resident_kib(), secrets_sent(site)
        started, answers = time.monotonic(), load.run(total)
        took = time.monotonic() - started
        time.sleep(2)
        what = f"sharded HTTPS, {total:,} server names {kind}"
        figure(f"{what}: memory of Envoy", (site.envoy.resident_kib() - envoy) / 1024, "MiB")
        figure(f"{what}: memory of contour", (site.contour.resident_kib() - contour) / 1024, "MiB")
        figure(f"{what}: handshakes", total / took, "1/s")
        figure(f"{what}: certificates asked for", secrets_sent(site) - sent)
        figure(f"{what}: remembered in vain", site.contour.metric("contour_xds_unknown_certificates"))
        figure(f"{what}: forgotten", site.contour.metric("contour_xds_forgotten_certificates_total"))
        assert site.contour.resident_kib() - contour < 64 * 1024
        assert site.envoy.resident_kib() - envoy < 256 * 1024
        assert set(answers) == {"of nobody": {"alert"}, "below a wildcard": {"goes on"}}.get(kind, {"alert", "goes on"}), answers
        assert handshake(site, LONG)[1]


def secrets_sent(site):
    for line in site.contour.get("/metrics")[1].splitlines():
        if line.startswith('contour_xds_responses_total{type="SDS"}'):
            return float(line.split()[1])
    return 0
