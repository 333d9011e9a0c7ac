# SPDX-License-Identifier: Apache-2.0
"""Tests of the harness without contour: each part must be able to see a fault."""
import json
import pathlib
import socket
import time

import pytest
from harness import envoy as envoy_module
from harness import manifests
from harness.client import Client, SteadyLoad
from harness.envoy import Envoy
from harness.process import Process, free_port


def test_the_namespace_is_closed():
    """No way out of it: neither a name nor a route to anything but loopback."""
    with socket.socket() as probe, pytest.raises(OSError):
        probe.settimeout(2)
        probe.connect(("192.0.2.1", 80))


def test_echo(backends):
    blue = backends("blue")
    client = Client(blue.address, blue.port)
    answer = client.get("www.example.com", "/path?x=1", headers={"x-test": "yes"})
    assert answer.backend == "blue"
    assert answer.json["host"] == "www.example.com"
    assert answer.json["path"] == "/path?x=1"
    assert answer.json["headers"]["x-test"] == "yes"
    assert client.request("a", "/", method="POST", body=b"12345").json["body_size"] == 5
    assert client.get("a", "/status/503").status == 503
    started = time.monotonic()
    client.get("a", "/delay/100")
    assert time.monotonic() - started > 0.09


def test_echo_is_fast_enough(backends, figure):
    blue = backends("blue")
    client = Client(blue.address, blue.port)
    started = time.monotonic()
    for _ in range(1000):
        client.get("a")
    rate = 1000 / (time.monotonic() - started)
    figure("echo_requests_per_second_one_connection", rate, "1/s")
    assert rate > 500


def test_load_sees_bad_statuses_and_broken_connections(backends):
    blue = backends("blue")
    with SteadyLoad(blue.address, blue.port, "a", "/status/503") as load:
        time.sleep(0.2)
    with pytest.raises(AssertionError, match="503"):
        load.assert_clean(at_least=1)
    with SteadyLoad(blue.address, blue.port, "a") as load:
        time.sleep(0.2)
        blue.kill()
        time.sleep(0.2)
    with pytest.raises(AssertionError, match="broken"):
        load.assert_clean(at_least=1)


def test_process_that_ends_early_is_named(tmp_path):
    process = Process("false", ["sh", "-c", "echo reason; exit 3"], tmp_path / "log").start()
    with pytest.raises(AssertionError, match="(?s)ended with 3.*reason"):
        process.wait_log("never")


def test_config_map_volume(tmp_path):
    volume = manifests.ConfigMapVolume(tmp_path / "volume")
    volume.update({"a.yaml": "one"})
    volume.update({"a.yaml": "two"})
    assert (tmp_path / "volume/a.yaml").read_text() == "two"
    assert (tmp_path / "volume/a.yaml").is_symlink()
    assert len(list((tmp_path / "volume").glob("..2026*"))) == 1


def static_bootstrap(path, admin_port, listen_port, backend):
    def address(host, port):
        return {"socket_address": {"address": host, "port_value": port}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {"name": "local", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "backend"}}]}]},
    }
    pathlib.Path(path).write_text(json.dumps({
        "admin": {"address": address("127.0.0.1", admin_port)},
        "static_resources": {
            "listeners": [{"name": "test", "address": address("127.0.0.1", listen_port), "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
            "clusters": [{"name": "backend", "type": "STATIC", "load_assignment": {"cluster_name": "backend", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address(backend.address, backend.port)}}]}]}}],
        },
    }), encoding="utf-8")


def test_envoy_with_a_static_configuration(backends, work_dir):
    blue = backends("blue")
    admin_port, listen_port = free_port(), free_port()
    bootstrap = work_dir / "bootstrap.json"
    static_bootstrap(bootstrap, admin_port, listen_port, blue)
    assert envoy_module.validate(bootstrap) is None
    envoy = Envoy(bootstrap, work_dir, admin_port)
    try:
        envoy.start().wait_live()
        assert Client("127.0.0.1", listen_port).get("www.example.com").backend == "blue"
        assert envoy.listeners()["test"] == ("127.0.0.1", listen_port)
        assert envoy.stat("cluster.backend.upstream_rq_200") == 1
        envoy.assert_nothing_rejected()
        assert envoy.reloads()["cluster_manager.cluster_added"] == 1
        assert envoy.resident_kib() > 10_000
    finally:
        envoy.kill()


def test_validate_names_the_fault(tmp_path):
    (tmp_path / "bad.json").write_text('{"static_resources": {"listenerz": []}}')
    assert "listenerz" in envoy_module.validate(tmp_path / "bad.json")
