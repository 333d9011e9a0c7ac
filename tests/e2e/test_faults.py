# SPDX-License-Identifier: Apache-2.0
"""The fault suite on manifests: odd objects, odd Envoys, and a machine that runs out of memory, disk or descriptors. Where an Envoy serves,
it is under steady load, of which no request may fail."""
import concurrent.futures
import contextlib
import os
import pathlib
import resource
import signal
import socket
import subprocess
import time

import grpc
import pytest
from conftest import next_pod_address
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.rpc import status_pb2
from harness import manifests
from harness.backend import Backend
from harness.client import Client, SteadyLoad
from harness.contour import binary

pytestmark = pytest.mark.long

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


class Site:
    def __init__(self, work_dir, contour, envoy, mode=None):
        self.folder = work_dir / "manifests"
        self.folder.mkdir()
        self.backend = Backend("blue", work_dir, next_pod_address(), 8080).start()
        self.write("steady", manifests.service("steady", self.backend.address, 8080) +
                   manifests.ingress("steady", "steady.example.com", "steady"))
        self.contour = contour("--manifests", self.folder)
        self.envoy = envoy(self.contour, mode)
        self.client = Client("127.0.0.1", self.contour.ingress_http_port)
        self.served("steady.example.com")

    def write(self, name, text):
        manifests.replace(self.folder / f"{name}.yaml", text)

    def served(self, host, path="/", timeout=20):
        return self.client.poll(host, path, lambda answer: answer.status == 200, timeout=timeout)

    @contextlib.contextmanager
    def load(self):
        """Every request is answered as it should be, for the time of the block and a moment more."""
        with SteadyLoad("127.0.0.1", self.contour.ingress_http_port, "steady.example.com") as load:
            yield
            time.sleep(0.3)
        load.assert_clean()


@pytest.fixture(params=["delta-ads", "sotw"])
def site(work_dir, contour, envoy, request):
    value = Site(work_dir, contour, envoy, request.param)
    yield value
    value.backend.kill()


@pytest.fixture
def one_site(work_dir, contour, envoy):
    value = Site(work_dir, contour, envoy)
    yield value
    value.backend.kill()


# ---- Objects --------------------------------------------------------------------------------------------------------

def routes_object(name, host, count, service):
    routes = "".join(f"\n  - match: /path-{number:05}\n    services: [{{name: {service}, port: 80}}]" for number in range(count))
    return (f"apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {{name: {name}, namespace: default}}\n"
            f"spec:\n  virtualhost: {{fqdn: {host}}}\n  routes:{routes}\n---\n")


def test_ten_thousand_routes_in_one_object(site, figure):
    """More than 4 MiB in one response, by the way: the limit that gRPC has for a receiver by default."""
    with site.load():
        begin = time.monotonic()
        site.write("many", routes_object("many", "many.example.com", 10_000, "steady"))
        site.served("many.example.com", "/path-09999", timeout=60)
        figure("faults: 10,000 routes in one object → served", time.monotonic() - begin, "s")
        begin = time.monotonic()
        site.write("many", routes_object("many", "many.example.com", 10_001, "steady"))
        site.client.poll("many.example.com", "/path-10000", lambda answer: answer.status == 200, timeout=60)
        figure("faults: … and one more", time.monotonic() - begin, "s")
    site.envoy.assert_nothing_rejected()


def test_an_object_of_a_mebibyte(site):
    """An annotation of 1 MiB is dropped while reading; a description that long would not be written anywhere."""
    text = manifests.ingress("big", "big.example.com", "steady")
    text = text.replace("  name: big\n", "  name: big\n  annotations: {example.com/blob: \"" + "x" * (1 << 20) + "\"}\n")
    with site.load():
        site.write("big", text)
        site.served("big.example.com")


def test_delegation_a_thousand_deep(site, figure):
    depth = 1000
    text = ""
    for number in range(depth):
        head = "virtualhost: {fqdn: deep.example.com}\n  " if number == 0 else ""
        target = (f"delegate: {{name: deep-{number + 1}}}" if number < depth - 1 else "services: [{name: steady, port: 80}]")
        text += (f"apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {{name: deep-{number}, namespace: default}}\n"
                 f"spec:\n  {head}routes: [{{match: /, {target}}}]\n---\n")
    with site.load():
        begin = time.monotonic()
        site.write("deep", text)
        site.served("deep.example.com")
        figure("faults: delegation 1,000 deep → served", time.monotonic() - begin, "s")


def test_every_byte_in_hosts_and_paths(site):
    """Every byte that YAML can have: Envoy NACKs nothing, and no other host is affected."""
    text = ""
    for byte in [*range(0x20, 0x7f), 0x85, 0xa0, 0xe9, 0x2028, 0x1f600]:
        letter = chr(byte)
        quoted = '"' + (f"\\U{byte:08x}") + '"'
        for kind, (host, path) in {"h": (f"a{letter}b.example.com", "/"), "p": (f"bytes-{byte}.example.com", f"/a{letter}b")}.items():
            quote = lambda value: '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'  # noqa: E731
            text += (f"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: byte-{kind}-{byte}, namespace: default}}\n"
                     f"spec:\n  rules:\n  - host: {quote(host)}\n    http:\n      paths:\n"
                     f"      - {{path: {quote(path)}, pathType: ImplementationSpecific, backend: {{service: {{name: steady, port: {{number: 80}}}}}}}}\n---\n")
        assert quoted
    with site.load():
        site.write("bytes", text)
        site.served("bytes-97.example.com", "/aab")
        time.sleep(1)
    site.envoy.assert_nothing_rejected()


# ---- Envoys ---------------------------------------------------------------------------------------------------------

def test_envoy_that_restarts_every_second(site, envoy):
    """An Envoy that restarts again and again costs the other one nothing, and is served each time."""
    with site.load():
        other = None
        for number in range(6):
            other = envoy(site.contour, name=f"flapping-{number}", arguments=["--base-id", "7"]) if number == 0 else other.start()
            time.sleep(0.7)
            other.kill()
            site.write("flap", manifests.ingress("flap", f"flap-{number}.example.com", "steady"))
            site.served(f"flap-{number}.example.com")


def test_envoy_that_is_stalled(site, envoy, figure):
    """Stopped by SIGSTOP for a while of changes: nobody waits for it, and going on it has the newest state at once."""
    site.served("steady.example.com")
    with site.load():
        stalled = envoy(site.contour, name="stalled", arguments=["--base-id", "8"])
        stalled.signal(signal.SIGSTOP)
        before = site.contour.resident_kib()
        try:
            for number in range(200):
                site.write("stall", manifests.ingress("stall", f"stall-{number}.example.com", "steady"))
                if number % 20 == 19:
                    site.served(f"stall-{number}.example.com")
        finally:
            stalled.signal(signal.SIGCONT)
        figure("faults: memory by a stalled Envoy and 200 changes", site.contour.resident_kib() - before, "KiB")
        stalled.wait(lambda: "stall-199.example.com" in str(stalled.config_dump("dynamic_route_configs")), "the newest routes", 15)


def stub(contour):
    channel = grpc.insecure_channel(f"127.0.0.1:{contour.xds_port}", options=[
        ("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)])
    return channel, ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)


def test_two_hundred_envoys_at_once(one_site, figure):
    """All connect in the same moment, each gets the clusters, and the first is answered as soon as the last."""
    site = one_site

    def connect(number):
        channel, client = stub(site.contour)
        begin = time.monotonic()
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER)
        request.node.id = f"many-{number}"
        hold = concurrent.futures.Future()

        def requests():
            yield request
            hold.result(30)
        stream = client.DeltaAggregatedResources(requests())
        response = next(stream)
        took = time.monotonic() - begin
        hold.set_result(None)
        stream.cancel()
        channel.close()
        return len(response.resources), took
    with site.load(), concurrent.futures.ThreadPoolExecutor(50) as pool:
        found = [future.result() for future in [pool.submit(connect, number) for number in range(200)]]
    assert {count for count, _ in found} == {found[0][0]} and found[0][0] >= 1
    figure("faults: 200 Envoys at once, slowest first answer", max(took for _, took in found), "s")
    site.contour.wait(lambda: site.contour.metric("contour_xds_streams") <= 10, "their streams end", 10)


def test_two_hundred_stalled_streams(one_site, figure):
    """They ask for everything and never read: the memory of each is bounded, however much changes meanwhile."""
    site = one_site
    site.write("hosts", "".join(manifests.ingress(f"host-{n}", f"host-{n}.example.com", "steady") for n in range(1000)))
    site.served("host-999.example.com")
    before = site.contour.resident_kib()
    hold = concurrent.futures.Future()
    streams = []

    def requests(number):
        for type_url, names in ((CLUSTER, []), (ROUTES, ["ingress_http"])):
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names)
            request.node.id = f"stalled-{number}"
            yield request
        hold.result(120)
    try:
        for number in range(200):
            channel, client = stub(site.contour)
            streams.append((channel, client.DeltaAggregatedResources(requests(number))))
        site.contour.wait(lambda: site.contour.metric("contour_xds_streams") >= 200, "their streams", 20)
        time.sleep(2)
        stalled = site.contour.resident_kib()
        with site.load():
            for number in range(50):
                site.write("change", manifests.ingress("change", f"change-{number}.example.com", "steady"))
                site.served(f"change-{number}.example.com")
        after = site.contour.resident_kib()
    finally:
        hold.set_result(None)
        for channel, stream in streams:
            stream.cancel()
            channel.close()
    figure("faults: memory of a stalled stream at 1,000 hosts", (stalled - before) / 200, "KiB")
    figure("faults: … and what 50 changes add to it", (after - stalled) / 200, "KiB")
    assert (after - stalled) / 200 < 100, "it grows with the changes"


def test_requests_above_4_mib(one_site):
    """An Envoy with 100,000 clusters sends their versions as it reconnects: they are read, and the removals are answered."""
    site = one_site
    channel, client = stub(site.contour)
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER)
    request.node.id = "big"
    request.resource_names_subscribe.append("*")
    for number in range(100_000):
        request.initial_resource_versions[f"default/service-{number:06}/8080/da39a3ee5e0123456789"] = "00112233445566778899aabbccddeeff"
    assert request.ByteSize() > 4 << 20
    hold = concurrent.futures.Future()

    def requests():
        yield request
        hold.result(60)
    stream = client.DeltaAggregatedResources(requests(), timeout=30)
    removed = 0
    while removed < 100_000:  # not at once: first it is seen whether this Envoy has routes that use them
        removed += len(next(stream).removed_resources)
    assert removed == 100_000
    hold.set_result(None)
    stream.cancel()
    channel.close()


def test_odd_clients_hurt_nobody(one_site):
    """Requests that no Envoy would send: unknown types, wrong nonces, only NACKs, streams dropped in the middle."""
    site = one_site

    def request(type_url, **fields):
        value = discovery_pb2.DiscoveryRequest(type_url=type_url, **fields)
        value.node.id = "odd"
        return value
    with site.load():
        for requests, code in [
            ([request("type.googleapis.com/no.such.Type")], grpc.StatusCode.INVALID_ARGUMENT),
            ([request("")], grpc.StatusCode.INVALID_ARGUMENT),
            ([request(CLUSTER, response_nonce="never sent", version_info="x")], None),
            ([request(CLUSTER), request(CLUSTER, response_nonce="1", error_detail=status_pb2.Status(message="\0\xff" * 1000))], None),
            ([request(ROUTES, resource_names=[f"name-{n}" for n in range(10_000)])], None),
        ]:
            channel, client = stub(site.contour)
            stream = client.StreamAggregatedResources(iter(requests))
            try:
                next(stream)
            except StopIteration:
                pass
            except grpc.RpcError as error:
                assert code is None or error.code() == code, (requests[0].type_url, error.code())
            else:
                assert code is None
            stream.cancel()
            channel.close()
        site.write("odd", manifests.ingress("odd", "odd.example.com", "steady"))
        site.served("odd.example.com")


def test_restart_under_load_moves_nothing(site, figure):
    """200 hosts, contour restarted five times under load, once by SIGKILL: Envoy applies nothing again."""
    site.write("hosts", "".join(manifests.ingress(f"host-{n}", f"host-{n}.example.com", "steady") for n in range(200)))
    site.served("host-199.example.com")
    time.sleep(0.5)
    before = site.envoy.reloads()
    with site.load():
        for number in range(5):
            if number == 3:
                site.contour.kill()
            else:
                assert site.contour.stop() == 0
            site.contour.start()
            site.contour.wait_ready()
            site.contour.wait(lambda: site.contour.metric("contour_xds_envoys") >= 1, "Envoy is back", 40)
            time.sleep(0.3)
    assert site.envoy.reloads() == before
    site.write("after", manifests.ingress("after", "after.example.com", "steady"))
    site.served("after.example.com")


# ---- The machine ----------------------------------------------------------------------------------------------------

@pytest.fixture
def full_disk(work_dir):
    """A folder on a file system of 64 KiB."""
    path = work_dir / "full"
    path.mkdir()
    result = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"a tmpfs can't be mounted here: {result.stderr}")
    yield path
    subprocess.run(["umount", path], check=True)


def test_disk_full_for_statuses(work_dir, full_disk, contour, envoy, backends):
    backend = backends("blue")
    folder = work_dir / "manifests"
    folder.mkdir()
    text = manifests.service("steady", backend.address, 8080)
    for number in range(200):
        text += manifests.ingress_route(f"route-{number}", f"route-{number}.example.com", {"steady": None})
    manifests.replace(folder / "all.yaml", text)
    server = contour("--manifests", folder, "--status-dir", full_disk)
    envoy(server)
    Client("127.0.0.1", server.ingress_http_port).poll("route-199.example.com", "/", lambda answer: answer.status == 200)
    server.wait_log(r"No space left", 10)


def test_file_descriptors_exhausted(one_site):
    """Idle connections take all its descriptors: connected Envoys are served on, changes too when a descriptor is free
    again, and liveness fails because no new Envoy could connect."""
    site = one_site
    limit = len(os.listdir(f"/proc/{site.contour.pid}/fd")) + 20
    resource.prlimit(site.contour.pid, resource.RLIMIT_NOFILE, (limit, limit))
    idle = []
    with site.load():
        try:
            for _ in range(60):
                connection = socket.socket()
                connection.settimeout(0.2)
                try:
                    connection.connect(("127.0.0.1", site.contour.xds_port))
                except OSError:
                    pass
                idle.append(connection)
            time.sleep(1)
            site.write("fd", manifests.ingress("fd", "fd.example.com", "steady"))
            time.sleep(1)
        finally:
            for connection in idle:
                connection.close()
        site.write("fd", manifests.ingress("fd", "fd-after.example.com", "steady"))
        site.served("fd-after.example.com", timeout=30)
        # gRPC accepts no more, for good: once somebody waits, liveness says so. The restart that follows moves nothing in Envoy.
        waiting = socket.create_connection(("127.0.0.1", site.contour.xds_port), timeout=5)
        text = site.contour.wait(lambda: (lambda answer: answer[0] == 503 and answer[1])(site.contour.get("/healthz")),
                                 "liveness fails", 60)
        assert "takes no connections" in text, text
        waiting.close()
        assert site.contour.stop() == 0
        site.contour.start().wait_ready()
        assert site.contour.get("/healthz")[0] == 200
        site.write("fd", manifests.ingress("fd", "fd-restart.example.com", "steady"))
        site.served("fd-restart.example.com")


def test_out_of_memory_stops_with_a_message(work_dir, contour):
    """At its limit it ends at once with a message; with memory again it starts cleanly."""
    folder = work_dir / "manifests"
    folder.mkdir()
    text = manifests.service("steady", "10.244.0.9", 8080)
    (folder / "service.yaml").write_text(text, encoding="utf-8")
    server = contour("--manifests", folder)
    now = int(pathlib.Path(f"/proc/{server.pid}/statm").read_text(encoding="ascii").split()[0]) * 4096
    resource.prlimit(server.pid, resource.RLIMIT_AS, (now + (24 << 20), now + (24 << 20)))
    for number in range(6):
        (folder / f"many-{number}.yaml").write_text(
            "".join(routes_object(f"many-{number}-{n}", f"many-{number}-{n}.example.com", 1000, "steady") for n in range(20)),
            encoding="utf-8")
    code = server.wait_exit(60)
    assert code == 1, (code, server.tail())
    assert "out of memory" in server.log()
    server.start()
    server.wait_ready(60)
    assert server.metric("contour_manifests_objects") >= 100


def test_memory_is_no_ones_to_read(work_dir, contour):
    """Private keys are in it: no core dumps, no reading by the same user."""
    folder = work_dir / "manifests"
    folder.mkdir()
    server = contour("--manifests", folder)
    limits = pathlib.Path(f"/proc/{server.pid}/limits").read_text(encoding="ascii")
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"], line
    server.signal(signal.SIGABRT)
    server.wait_exit()
    assert not list(pathlib.Path.cwd().glob("core*"))


def test_start_is_fast(figure):
    """CPU time, which others on the machine change less than the clock's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(10):
        subprocess.run([binary(), "version"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    milliseconds = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 100
    figure("start of the binary, CPU", milliseconds, "ms")
    assert milliseconds < 50


def test_folder_that_goes_and_comes(one_site):
    """The whole folder renamed away under it: the last state stays; put back, changes are followed again."""
    site = one_site
    with site.load():
        away = site.folder.with_name("away")
        site.folder.rename(away)
        time.sleep(1.5)
        site.served("steady.example.com", timeout=1)
        away.rename(site.folder)
        time.sleep(0.5)
        site.write("back", manifests.ingress("back", "back.example.com", "steady"))
        site.served("back.example.com", timeout=20)
