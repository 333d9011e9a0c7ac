# SPDX-License-Identifier: Apache-2.0
"""Several replicas on a real API server with the rights of deploy/rbac: one leads, Envoys find it, and whatever happens
to it, no request fails. Times of the election are 3 s / 2 s / 0.5 s here."""
import re
import signal
import statistics
import time

import pytest
from harness import manifests
from harness.cluster import ADMIN, ApiError
from harness.cluster import binary as cluster_binary
from harness.contour import binary as contour_binary
from harness.manifests import replace
from harness.process import Process, wait_until
from leader_support import CONFIG_MAP, LEASE, NAMESPACE, SLICE, XDS_PORT, Fleet, install, record

LEASE_SECONDS = 3.0
DISCONNECTS = f"cluster.{NAMESPACE}_contour_{XDS_PORT}.upstream_cx_destroy"


@pytest.fixture
def namespace(cluster, request):
    """A namespace of this test's own for its routes; they go when it ends."""
    install(cluster)
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_")).strip("-")
    api = cluster.api()
    api.create_namespace(name)
    yield name
    for path in (f"/apis/contour.heptio.com/v1beta1/namespaces/{name}/ingressroutes",
                 f"/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices"):
        api.request("DELETE", path)
    for service in api.get(f"/api/v1/namespaces/{name}/services")["items"]:
        api.request("DELETE", f"/api/v1/namespaces/{name}/services/{service['metadata']['name']}")


@pytest.fixture
def fleet(cluster, namespace, work_dir):
    """fleet(**election) → a Fleet."""
    made = []

    def make(**election):
        value = Fleet(cluster, work_dir, **election)
        made.append(value)
        return value
    yield make
    for value in made:
        value.stop()


def statuses_written(replica):
    return replica.metric("contour_status_written_total")


def test_one_leads_the_others_are_warm(fleet, namespace, backends):
    fleet = fleet()
    a, b, c = fleet.start("a", "b", "c")
    fleet.serve_host("www.example.com", backends("blue"), namespace)
    fleet.envoys(1)
    fleet.wait_answer("www.example.com", "blue")
    wait_until(lambda: fleet.route_status("www", namespace) == "valid", "the status", 10)
    assert [replica.role() for replica in (a, b, c)] == ["leader", "standby", "standby"]
    assert [replica.serves() for replica in (a, b, c)] == [True, False, False]
    assert [replica.ready() for replica in (a, b, c)] == [True, True, True], "a standby is ready"
    wait_until(lambda: statuses_written(a) >= 1, "it is counted", 5)
    assert [statuses_written(replica) for replica in (b, c)] == [0, 0]
    assert [replica.metric("contour_status_active") for replica in (a, b, c)] == [1, 0, 0]

    spec = fleet.api.read(LEASE)["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 3, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", spec["renewTime"]), spec
    slice_ = fleet.api.read(SLICE)
    assert slice_["endpoints"][0]["addresses"] == [a.pod_ip]
    assert slice_["metadata"]["labels"] == {"kubernetes.io/service-name": "contour",
                                            "endpointslice.kubernetes.io/managed-by": "contour"}
    assert "a became leader" in fleet.events()
    for replica in (a, b, c):
        assert "forbidden" not in replica.log().lower(), replica.log()


def test_clean_stop(fleet, namespace, backends, figure):
    """The leader stops: the next one serves within two seconds, and requests notice nothing."""
    fleet = fleet()
    blue, green = backends("blue"), backends("green")
    a, _, _ = fleet.start("a", "b", "c")
    fleet.serve_host("www.example.com", blue, namespace)
    fleet.envoys(3)
    fleet.wait_answer("www.example.com", "blue")
    updated = [envoy.last_updated() for envoy in fleet.proxies]
    with fleet.load("www.example.com") as load:
        a.signal(signal.SIGTERM)
        leader, took = fleet.wait_another(a, timeout=5)
        figure("leader_clean_stop_to_next_leader", took * 1000, "ms")
        assert a.wait_exit(10) == 0
        fleet.wait_connected()
        assert [envoy.last_updated() for envoy in fleet.proxies] == updated, "another leader is no news"
        fleet.serve_host("www.example.com", green, namespace)
        fleet.wait_answer("www.example.com", "green")
        load.until(100)
    load.assert_clean(100)
    assert took < 2.0
    fleet.assert_all_asked()
    assert leader.role() == "leader"
    assert fleet.api.read(LEASE)["spec"]["leaseTransitions"] == 1
    assert {"a stopped leading", f"{leader.name} became leader"} <= set(fleet.events())


def test_killed(fleet, namespace, backends, figure):
    """SIGKILL: another serves within the lease's duration and two seconds."""
    fleet = fleet()
    blue, green = backends("blue"), backends("green")
    a, _, _ = fleet.start("a", "b", "c")
    fleet.serve_host("www.example.com", blue, namespace)
    fleet.envoys(3)
    fleet.wait_answer("www.example.com", "blue")
    with fleet.load("www.example.com") as load:
        a.kill()
        _, took = fleet.wait_another(a)
        figure("leader_killed_to_next_leader_of_3s_lease", took, "s")
        fleet.wait_connected()
        fleet.serve_host("www.example.com", green, namespace)
        fleet.wait_answer("www.example.com", "green")
        load.until(100)
    load.assert_clean(100)
    assert took < LEASE_SECONDS + 2
    fleet.assert_all_asked()


def test_frozen_and_thawed(fleet, namespace, backends):
    """A leader that is frozen past its lease writes nothing when it thaws, and stops serving within a retry period."""
    fleet = fleet()
    a, _, _ = fleet.start("a", "b", "c")
    fleet.serve_host("www.example.com", backends("blue"), namespace)
    fleet.envoys(3)
    fleet.wait_answer("www.example.com", "blue")
    wait_until(lambda: fleet.route_status("www", namespace) == "valid", "the status", 10)
    wait_until(lambda: statuses_written(a) >= 1, "it is counted", 5)
    written = statuses_written(a)
    with fleet.load("www.example.com") as load:
        a.signal(signal.SIGSTOP)
        leader, _ = fleet.wait_another(a)
        # It hears of these when it thaws, and would have statuses to write.
        for number in range(20):
            fleet.apply(manifests.ingress_route(f"late-{number}", f"late-{number}.example.com", {"www": None},
                                                namespace=namespace))
        wait_until(lambda: all(fleet.route_status(f"late-{number}", namespace) == "valid" for number in range(20)),
                   "statuses by the new leader", 10)
        for number in range(20):  # to be written by whoever may, right now
            fleet.apply(manifests.ingress_route(f"late-{number}", f"late-{number}.example.com", {"nobody": None},
                                                namespace=namespace))
        a.signal(signal.SIGCONT)
        started = time.monotonic()
        wait_until(lambda: not a.serves(), "the thawed one closes its port", 5, interval=0.005)
        assert time.monotonic() - started < 0.5 + 0.3, "one retry period, and what a look takes"
        wait_until(lambda: a.role() == "standby", "it is a standby", 5)
        wait_until(lambda: all(fleet.route_status(f"late-{number}", namespace) == "invalid" for number in range(20)),
                   "statuses by the new leader", 10)
        fleet.wait_connected()
        load.until(100)
    load.assert_clean(100)
    assert statuses_written(a) == written, "only what it wrote as the leader"
    assert a.ready() and a.running
    assert fleet.api.read(SLICE)["endpoints"][0]["addresses"] == [leader.pod_ip]


@pytest.mark.long
def test_lock_stolen(fleet, namespace, backends):
    """Somebody writes another holder into the lock: the leader lets go at once, writes nothing more, and no request fails;
    as the thief never renews, one of the replicas leads again after the lease's duration."""
    fleet = fleet()
    blue, green = backends("blue"), backends("green")
    a, _ = fleet.start("a", "b")
    fleet.serve_host("www.example.com", blue, namespace)
    fleet.envoys(2)
    fleet.wait_answer("www.example.com", "blue")
    wait_until(lambda: fleet.route_status("www", namespace) == "valid", "the status", 10)
    with fleet.load("www.example.com") as load:
        fleet.api.patch(LEASE, {"spec": {"holderIdentity": "thief"}})
        stolen = time.monotonic()
        wait_until(lambda: not a.serves(), "the leader closes its port", 2, interval=0.005)
        assert a.role() == "standby" and a.ready() and a.metric("contour_status_active") == 0
        fleet.apply(manifests.ingress_route("late", "late.example.com", {"www": None}, namespace=namespace))
        fleet.wait_another()
        took = time.monotonic() - stolen
        fleet.wait_connected()
        fleet.serve_host("www.example.com", green, namespace)
        fleet.wait_answer("www.example.com", "green")
        wait_until(lambda: fleet.route_status("late", namespace) == "valid", "the status by whoever leads now", 10)
        load.until(100)
    load.assert_clean(100)
    assert LEASE_SECONDS - 0.5 < took < LEASE_SECONDS + 2, "neither fought back nor slept"
    fleet.assert_all_asked()


def test_rolling_restart(fleet, namespace, backends):
    """All replicas one after the other, as a Deployment does it: the new one is ready before an old one goes."""
    fleet = fleet()
    blue, green = backends("blue"), backends("green")
    old = fleet.start("a", "b", "c")
    fleet.serve_host("www.example.com", blue, namespace)
    fleet.envoys(3)
    fleet.wait_answer("www.example.com", "blue")
    updated = [envoy.last_updated() for envoy in fleet.proxies]
    with fleet.load("www.example.com") as load:
        for number, replica in enumerate(old):
            fleet.add(f"new-{number}").wait_ready()
            assert replica.stop(10) == 0
        leader, _ = fleet.wait_another(*old)
        fleet.wait_connected()
        assert [envoy.last_updated() for envoy in fleet.proxies] == updated, "nobody had anything to tell"
        fleet.serve_host("www.example.com", green, namespace)
        fleet.wait_answer("www.example.com", "green")
        load.until(100)
    load.assert_clean(100)
    assert leader.name.startswith("new-")
    fleet.assert_all_asked()


def test_api_server_away(fleet, namespace, backends, cluster):
    """Without an API server the leader serves on what it knows, also to Envoys that come anew, and writes nothing; if it
    dies meanwhile, Envoys keep what they have; when the API server is back, somebody leads."""
    fleet = fleet()
    blue, green = backends("blue"), backends("green")
    a, b = fleet.start("a", "b")
    fleet.serve_host("www.example.com", blue, namespace)
    fleet.envoys(2)
    fleet.wait_answer("www.example.com", "blue")
    with fleet.load("www.example.com") as load:
        cluster.apiserver.kill()
        try:
            wait_until(lambda: a.role() == "cut-off", "the leader is cut off", 10)
            assert a.serves() and a.ready() and a.metric("contour_status_active") == 0
            assert not b.serves() and b.ready(), "nobody knows that the leader lives: the standby stays closed"
            fleet.envoys(1)
            fleet.wait_answer("www.example.com", "blue")
            a.kill()
            time.sleep(LEASE_SECONDS + 2)
            assert not b.serves() and b.role() == "standby", "there is no lock to be had"
            fleet.wait_answer("www.example.com", "blue")
        finally:
            cluster.start_apiserver()
        fleet.wait_leader(b, timeout=15)
        fleet.wait_connected(60)
        fleet.serve_host("www.example.com", green, namespace)
        fleet.wait_answer("www.example.com", "green")
        load.until(100)
    load.assert_clean(100)


@pytest.mark.long
def test_leader_survives_an_outage(fleet, namespace, backends, cluster):
    """The API server comes back and the lock is still the leader's: it leads on, its streams never ended."""
    fleet = fleet()
    a, b = fleet.start("a", "b")
    fleet.serve_host("www.example.com", backends("blue"), namespace)
    fleet.envoys(1)
    fleet.wait_answer("www.example.com", "blue")
    disconnects = fleet.proxies[0].stat(DISCONNECTS)
    cluster.apiserver.kill()
    try:
        wait_until(lambda: a.role() == "cut-off", "the leader is cut off", 10)
    finally:
        cluster.start_apiserver()
    wait_until(lambda: "leader" in (a.role(), b.role()), "a leader", 15)
    if a.role() == "leader":  # else the standby saw the expired lock first, which is as good
        assert fleet.proxies[0].stat(DISCONNECTS) == disconnects
        assert not b.serves()
    else:
        wait_until(lambda: not a.serves(), "the port of the deposed closes", 5)
    fleet.wait_connected(60)
    fleet.wait_answer("www.example.com", "blue")


def test_all_replicas_serve(fleet, namespace, backends):
    """leaderelection.xds: all. Only the leader writes; nobody makes an EndpointSlice."""
    fleet = fleet(xds="all")
    a = fleet.add("a").wait_ready()
    wait_until(lambda: a.role() == "leader", "a leads", 10)
    b = fleet.add("b").wait_ready()
    fleet.serve_host("www.example.com", backends("blue"), namespace)
    wait_until(lambda: fleet.route_status("www", namespace) == "valid", "the status", 10)
    assert a.serves() and b.serves()
    wait_until(lambda: statuses_written(a) >= 1, "it is counted", 5)
    assert statuses_written(b) == 0
    with pytest.raises(ApiError, match="404"):
        fleet.api.read(SLICE)
    a.kill()
    wait_until(lambda: b.role() == "leader", "b leads", LEASE_SECONDS + 2)
    assert b.serves()


def test_switching_from_leader_to_all_takes_the_leaders_address_back(fleet, namespace):
    """The slice that is left would lead a share of Envoys to an address where nobody is."""
    del namespace
    before = fleet()
    a, _ = before.start("a", "b")
    assert [entry["addresses"] for entry in before.api.read(SLICE)["endpoints"]] == [[a.pod_ip]]
    after = fleet(xds="all")
    c = after.add("c").wait_ready()
    for replica in before.replicas:
        assert replica.stop(10) == 0
    wait_until(lambda: c.role() == "leader", "c leads", 10)
    wait_until(lambda: not after.api.read(SLICE).get("endpoints"), "the slice names nobody", 10)
    wait_until(lambda: c.metric("contour_leader_address_published") == 1, "it is known to be right", 5)
    c.wait_log("took a former leader's address back, as all replicas serve", 5)
    wait_until(lambda: after.service.endpoints == [(c.pod_ip, XDS_PORT)], "the Service leads to c alone", 10)


def test_slices_that_are_left_from_a_selector_are_named(fleet, namespace):
    """From `all` to `leader` the Service loses its selector; Kubernetes leaves the slices that it made for it as they are."""
    del namespace
    fleet = fleet()
    left = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "contour-abcde", "namespace": NAMESPACE, "labels": {
                "kubernetes.io/service-name": "contour",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
            "endpoints": [{"addresses": ["10.244.9.9"]}], "ports": [{"name": "xds", "port": XDS_PORT}]}
    fleet.api.apply(left)
    try:
        (a,) = fleet.start("a")
        wait_until(lambda: "delete endpointslice contour-abcde)" in a.get("/readyz")[1], "the remark", 10)
        assert a.ready() and a.metric("contour_leader_address_published") == 0
        assert fleet.api.read(SLICE)["endpoints"][0]["addresses"] == [a.pod_ip]
    finally:
        fleet.api.delete(left)
    wait_until(lambda: a.metric("contour_leader_address_published") == 1, "looked at again", 15)
    assert "contour-abcde" not in a.get("/readyz")[1]


def test_without_a_pod_ip_the_leader_says_that_it_publishes_nothing(fleet, namespace):
    del namespace
    fleet = fleet()
    a = fleet.make("a")
    del a.env["POD_IP"]
    a.start().wait_ready()
    wait_until(lambda: a.role() == "leader" and a.serves(), "a leads", 10)
    wait_until(lambda: "POD_IP is not set" in a.get("/readyz")[1], "the readiness text", 5)
    assert a.ready() and "status.podIP" in a.get("/readyz")[1]
    assert a.metric("contour_leader_address_published") == 0
    assert "Envoys are not told where the leader is" in a.log(), "at the start"
    with pytest.raises(ApiError, match="404"):
        fleet.api.read(SLICE)


def test_a_replica_whose_tls_files_are_bad_does_not_lead(fleet, namespace, backends):
    """It could not let an Envoy in. The others lead; when its files are mended it takes part without a restart."""
    fleet = fleet()
    key = fleet.certificates / "contourkey.pem"
    good = key.read_text()
    key.write_text("garbage")
    a = fleet.add("a")
    wait_until(lambda: f"{key}: no private key in PEM" in a.get("/readyz")[1], "the reason", 15)
    assert a.get("/readyz")[0] == 503 and a.get("/healthz")[0] == 200
    assert a.metric("contour_own_certificate_usable") == 0
    wait_until(lambda: a.metric("contour_core_batches_total") >= 1, "the first build", 20)
    assert not a.serves() and a.role() == "standby" and fleet.holder() == ""
    replace(key, good)
    a.wait_ready()
    fleet.wait_leader(a)
    assert a.metric("contour_own_certificate_usable") == 1
    # The files turn bad while it leads: it goes on with what it has, and the next one doesn't take part.
    replace(key, "garbage")
    wait_until(lambda: "older ones are in use" in a.get("/readyz")[1], "the remark", 15)
    b = fleet.add("b")
    wait_until(lambda: str(key) in b.get("/readyz")[1], "b's reason", 15)
    fleet.serve_host("www.example.com", backends("blue"), namespace)
    fleet.envoys(1)
    fleet.wait_answer("www.example.com", "blue")
    assert a.ready() and a.role() == "leader" and not b.ready()


@pytest.mark.parametrize("xds", ["leader", "all"])
def test_envoys_of_a_frozen_contour_go_to_another(fleet, namespace, backends, figure, xds):
    """The kernel of a frozen process answers for its connections, so that only pings of HTTP/2 notice. Envoys that it served
    get the next change from another replica."""
    fleet = fleet(xds=xds)
    blue, green = backends("blue"), backends("green")
    a = fleet.add("a").wait_ready()
    wait_until(lambda: a.role() == "leader" and fleet.service.endpoints, "a leads", 10)
    fleet.serve_host("www.example.com", blue, namespace)
    fleet.envoys(2)
    fleet.wait_answer("www.example.com", "blue")
    b = fleet.add("b").wait_ready()
    with fleet.load("www.example.com") as load:
        a.signal(signal.SIGSTOP)
        frozen = time.monotonic()
        fleet.serve_host("www.example.com", green, namespace)
        fleet.wait_answer("www.example.com", "green", timeout=60)
        took = time.monotonic() - frozen
        figure(f"frozen_contour_to_change_by_another_{xds}", took, "s")
        a.signal(signal.SIGCONT)
        load.until(100)
    load.assert_clean(100)
    assert took < 5 * 1.15 + 10 + 5, "an interval with its jitter, the time-out, and the way to the other one"
    assert b.serves()


def test_config_map_lock(fleet, namespace, cluster):
    """The lock of Contour 0.15: the record is an annotation, and the rest of the ConfigMap stays."""
    fleet = fleet()
    fleet.election = {"configmap-name": "contour", "configmap-namespace": NAMESPACE, "lease-duration": "3s",
                      "renew-deadline": "2s", "retry-period": "500ms"}
    cluster.api().create({**CONFIG_MAP, "data": {"other": "content"}})
    a, b = fleet.start("a", "b")
    value = fleet.api.read(CONFIG_MAP)
    assert value["data"] == {"other": "content"}
    assert (record(value)["holderIdentity"], record(value)["leaseDurationSeconds"]) == ("a", 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record(value)["renewTime"])
    a.stop()
    took = fleet.wait_leader(b, 5)
    assert took < 2.0
    assert record(fleet.api.read(CONFIG_MAP))["leaderTransitions"] == record(value)["leaderTransitions"] + 1


def test_missing_namespace_is_named(fleet, namespace, cluster):
    """With the documented defaults the lock's namespace must be created first; the log and the metrics say so."""
    del namespace
    fleet = fleet(**{"lease-namespace": "leader-elect"})
    fleet.kubeconfig = cluster.kubeconfig(ADMIN)
    a = fleet.add("a")
    wait_until(lambda: "kubectl create namespace leader-elect" in a.get("/readyz")[1], "the cure", 10)
    assert a.get("/readyz")[0] == 503 and a.get("/healthz")[0] == 200
    assert a.metric("contour_leader_lock_usable") == 0
    assert "kubectl create namespace leader-elect" in a.log()
    cluster.api().create_namespace("leader-elect")
    a.wait_ready()
    wait_until(lambda: a.role() == "leader", "it leads", 10)


def test_missing_rights_are_named(fleet, namespace):
    """A Role that is missing, where the lock is or would be."""
    del namespace
    fleet = fleet(**{"lease-namespace": "default"})
    a = fleet.add("a")
    wait_until(lambda: "deploy/rbac" in a.get("/readyz")[1], "the cure", 10)
    assert "forbidden" in a.get("/readyz")[1]
    assert a.get("/healthz")[0] == 200


def turns(cluster, work_dir, number, hold=200):
    """client-go's elector and ours on one Lease, `number` turns each: the times that each led, in order."""
    arguments = {"--kubeconfig": cluster.kubeconfig(ADMIN), "--namespace": "default", "--name": "turns",
                 "--identity": "client-go", "--turns": number, "--hold": f"{hold}ms", "--lease-duration": "3s",
                 "--renew-deadline": "2s", "--retry-period": "200ms"}
    theirs = Process("elector", [cluster_binary(), "elector", *(f"{key}={value}" for key, value in arguments.items())],
                     work_dir / "elector.log")
    ours = Process("leader_probe", [contour_binary().parent / "leader_probe", cluster.kubeconfig(ADMIN), "default", "turns",
                                    "contour", number, hold, 3000, 2000, 200], work_dir / "leader_probe.log")
    for process in (theirs, ours):
        process.start()
    try:
        for process in (theirs, ours):
            assert process.wait_exit(30 + number * 5) == 0, process.tail()
    finally:
        for process in (theirs, ours):
            process.kill()
    led = []
    for process in (theirs, ours):
        times = re.findall(r"^(leading|stopped) (\d+)$", process.log(), re.MULTILINE)
        assert [what for what, _ in times] == ["leading", "stopped"] * number, process.tail()
        led += [(int(times[i][1]), int(times[i + 1][1]), process.name) for i in range(0, len(times), 2)]
    return sorted(led)


def check_turns(led, figure):
    for before, after in zip(led, led[1:]):
        assert before[1] <= after[0], f"both led: {before} {after}"
        assert before[2] != after[2], "they alternate"
    waits = {"elector": [], "leader_probe": []}
    for before, after in zip(led, led[1:]):
        waits[after[2]].append((after[0] - before[1]) / 1e6)
    figure("turns_after_client_go_median", statistics.median(waits["leader_probe"]), "ms")
    figure("turns_after_ours_median", statistics.median(waits["elector"]), "ms")


def test_turns_with_client_go(cluster, work_dir, figure):
    check_turns(turns(cluster, work_dir, 5), figure)


@pytest.mark.long
def test_fifty_turns_with_client_go(cluster, work_dir, figure):
    led = turns(cluster, work_dir, 50)
    assert len(led) == 100
    check_turns(led, figure)
