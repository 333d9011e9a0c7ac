# SPDX-License-Identifier: Apache-2.0
"""The leader election with its real times (15 s / 10 s / 2 s), long outages, and an API server that was restored."""
import shutil
import signal
import time

import pytest
from conftest import CONTOUR_USER
from harness import manifests
from harness.cluster import Cluster
from harness.process import wait_until
from leader_support import Fleet, install

pytestmark = pytest.mark.long

REAL_TIMES = {"lease-duration": "15s", "renew-deadline": "10s", "retry-period": "2s"}
OUTAGE_SECONDS = 600


@pytest.fixture
def own_cluster(work_dir):
    """A Kubernetes API that this test alone uses."""
    value = Cluster(work_dir / "cluster", users=[CONTOUR_USER])
    try:
        yield install(value.start())
    finally:
        value.stop()


@pytest.fixture
def fleet(own_cluster, work_dir):
    made = []

    def make(**election):
        made.append(Fleet(own_cluster, work_dir, **election))
        return made[-1]
    yield make
    for value in made:
        value.stop()


def test_killed_with_the_real_times(fleet, backends, figure):
    fleet = fleet(**REAL_TIMES)
    a, _, _ = fleet.start("a", "b", "c")
    fleet.serve_host("www.example.com", backends("blue"), "default")
    fleet.envoys(3)
    fleet.wait_answer("www.example.com", "blue")
    with fleet.load("www.example.com") as load:
        a.kill()
        _, took = fleet.wait_another(a, timeout=25)
        figure("leader_killed_to_next_leader", took, "s")
        fleet.wait_connected(60)
    load.assert_clean(1000)
    assert took < 15 + 2
    fleet.assert_all_asked()


def test_frozen_and_thawed_with_the_real_times(fleet, backends, figure):
    fleet = fleet(**REAL_TIMES)
    a, _, _ = fleet.start("a", "b", "c")
    fleet.serve_host("www.example.com", backends("blue"), "default")
    fleet.envoys(3)
    fleet.wait_answer("www.example.com", "blue")
    wait_until(lambda: fleet.route_status("www", "default") == "valid", "the status", 10)
    wait_until(lambda: a.metric("contour_status_written_total") >= 1, "it is counted", 5)
    written = a.metric("contour_status_written_total")
    with fleet.load("www.example.com") as load:
        a.signal(signal.SIGSTOP)
        fleet.wait_another(a, timeout=25)
        for number in range(50):  # the next leader writes their statuses, and the thawed one would like to
            fleet.apply(manifests.ingress_route(f"late-{number}", f"late-{number}.example.com", {"nobody": None}))
        a.signal(signal.SIGCONT)
        started = time.monotonic()
        wait_until(lambda: not a.serves(), "the thawed one closes its port", 5, interval=0.005)
        took = time.monotonic() - started
        figure("thawed_leader_closes_its_port", took * 1000, "ms")
        fleet.wait_connected(60)
    load.assert_clean(1000)
    assert took < 2.0
    assert a.metric("contour_status_written_total") == written


def test_api_server_away_for_ten_minutes(fleet, backends, own_cluster, figure):
    """The leader is killed in the middle: until then Envoys that come anew are served, afterwards those that are there
    keep what they have, and with the API server everything comes back."""
    fleet = fleet(**REAL_TIMES)
    blue, green = backends("blue"), backends("green")
    a, b, c = fleet.start("a", "b", "c")
    fleet.serve_host("www.example.com", blue, "default")
    fleet.envoys(3)
    fleet.wait_answer("www.example.com", "blue")
    updated = [envoy.last_updated() for envoy in fleet.proxies]
    with fleet.load("www.example.com") as load:
        began = time.monotonic()
        own_cluster.apiserver.kill()
        wait_until(lambda: a.role() == "cut-off", "the leader is cut off", 20)
        figure("cut_off_after", time.monotonic() - began, "s")
        time.sleep(OUTAGE_SECONDS / 2 - 30)
        assert a.serves() and a.ready() and a.get("/healthz")[0] == 200
        assert [replica.serves() for replica in (b, c)] == [False, False]
        fleet.envoys(1)  # a new one, five minutes into the outage
        fleet.wait_answer("www.example.com", "blue")
        a.kill()
        time.sleep(OUTAGE_SECONDS - (time.monotonic() - began))
        assert [replica.serves() for replica in (b, c)] == [False, False]
        assert all(replica.ready() and replica.get("/healthz")[0] == 200 for replica in (b, c))
        fleet.wait_answer("www.example.com", "blue")
        assert [envoy.last_updated() for envoy in fleet.proxies[:3]] == updated
        own_cluster.start_apiserver()
        back = time.monotonic()
        fleet.wait_another(a, timeout=60)
        figure("api_server_back_to_leader", time.monotonic() - back, "s")
        fleet.wait_connected(120)
        figure("api_server_back_to_all_envoys_connected", time.monotonic() - back, "s")
        fleet.serve_host("www.example.com", green, "default")
        fleet.wait_answer("www.example.com", "green", timeout=60)
        figure("api_server_back_to_change_served", time.monotonic() - back, "s")
    load.assert_clean(10_000)


def test_etcd_restored_from_an_older_state(fleet, backends, own_cluster, work_dir):
    """The API server comes back with the objects, statuses and the lock of some time ago: a holder that no longer exists, an
    older route. That state counts; no request fails, one replica leads, statuses are repaired."""
    fleet = fleet()
    blue, green = backends("blue"), backends("green")
    a, b = fleet.start("a", "b")
    fleet.serve_host("www.example.com", blue, "default")
    fleet.envoys(2)
    fleet.wait_answer("www.example.com", "blue")
    wait_until(lambda: fleet.route_status("www", "default") == "valid", "the status", 10)

    def with_etcd_stopped(work):
        own_cluster.apiserver.kill()
        own_cluster.etcd.kill()
        work()
        own_cluster.etcd.start()
        own_cluster.start_apiserver()
    data, saved = own_cluster.work_dir / "etcd", work_dir / "etcd-saved"
    with fleet.load("www.example.com") as load:
        with_etcd_stopped(lambda: shutil.copytree(data, saved))
        wait_until(lambda: "leader" in (a.role(), b.role()), "a leader after the backup", 30)
        leader, other = (a, b) if a.role() == "leader" else (b, a)
        assert leader.stop() == 0  # the backup names it, or its predecessor; the other leads now
        fleet.wait_leader(other, 15)
        fleet.serve_host("www.example.com", green, "default")
        fleet.serve_host("new.example.com", green, "default")
        fleet.wait_answer("www.example.com", "green", timeout=60)
        fleet.wait_answer("new.example.com", "green")

        def restore():
            shutil.rmtree(data)
            shutil.copytree(saved, data)
        with_etcd_stopped(restore)
        fleet.wait_leader(other, 30)
        wait_until(lambda: other.role() == "leader", "it leads again", 30)
        fleet.wait_connected(60)
        fleet.wait_answer("www.example.com", "blue", timeout=60)  # as the restored objects say
        answer = fleet.client().get("new.example.com")
        assert answer.status == 404, "what the restored state doesn't have is gone"
        fleet.serve_host("again.example.com", green, "default")
        fleet.wait_answer("again.example.com", "green", timeout=60)
        wait_until(lambda: fleet.route_status("again", "default") == "valid", "its status", 15)
    load.assert_clean(200)
