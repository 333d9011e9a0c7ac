# SPDX-License-Identifier: Apache-2.0
"""The effects of objects on plain HTTP: each feature is seen in a request through a real Envoy."""
import base64
import collections
import concurrent.futures
import hashlib
import json
import re
import socket
import struct
import time
import zlib

import grpc
import pytest
import yaml
from conftest import ROOT
from features_support import ANNOTATION, Site, ingress, ingress_route, pause, route, service, text
from harness.client import Client, count_backends
from harness.contour import run
from harness.process import wait_until


@pytest.fixture(scope="module")
def site():
    with Site("features_http") as value:
        blue, green = value.backend("blue"), value.backend("green")
        value.put("services.yaml", service("blue", blue) + service("green", green) + service("both", blue, green))
        value.publish("first.yaml", ingress("first", "first.example", [("/", "Prefix", "blue")]))
        yield value


# ---- Which route answers --------------------------------------------------------------------------------------------

def test_kinds_of_paths(site):
    site.publish("paths.yaml", ingress("paths", "paths.example", [
        ("/", "Prefix", "blue"), ("/segment", "Prefix", "green"), ("/exact", "Exact", "green"),
        ("/text", "ImplementationSpecific", "green"), ("/number/[0-9]+", "ImplementationSpecific", "green")]))
    cases = {
        "/": "blue", "/other": "blue",
        "/segment": "green", "/segment/": "green", "/segment/x": "green", "/segments": "blue",
        "/exact": "green", "/exact?x=1": "green", "/exact/": "blue", "/exacter": "blue",
        "/text": "green", "/text/x": "green", "/texts": "green",
        "/number/42": "green", "/number/": "blue", "/number/42/x": "blue",
    }
    assert {path: site.client.get("paths.example", path).backend for path in cases} == cases


def test_host_in_any_case_and_with_a_port(site):
    site.publish("case.yaml", ingress("case", "case.example", [("/", "Prefix", "blue")])
                 + ingress_route("upper", "Upper.Example", route("/", "green")))
    for host in ("case.example", "CASE.example", "Case.Example:8080", "case.example:80"):
        assert site.client.get(host).backend == "blue", host
    for host in ("upper.example", "UPPER.EXAMPLE:1"):
        assert site.client.get(host).backend == "green", host
    for host in ("case.example.org", "x.case.example"):
        assert site.client.get(host).status == 404, host


def test_wildcard_takes_one_label(site):
    site.publish("wildcard.yaml", ingress("wildcard", "*.wild.example", [("/", "Prefix", "blue")])
                 + ingress("named", "named.wild.example", [("/", "Prefix", "green")]))
    assert site.client.get("a.wild.example").backend == "blue"
    assert site.client.get("b.WILD.example:8080").backend == "blue"
    assert site.client.get("named.wild.example").backend == "green"
    assert site.client.get("a.b.wild.example").status == 404
    assert site.client.get("wild.example").status == 404


def test_default_backend(site):
    assert site.client.get("unknown.example").status == 404
    site.publish("default.yaml", text({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "default", "namespace": "default"},
        "spec": {"defaultBackend": {"service": {"name": "blue", "port": {"number": 80}}}}}) + "---\n")
    try:
        assert site.client.get("unknown.example", "/any").backend == "blue"
        assert site.client.get("first.example").backend == "blue"
    finally:
        site.remove("default.yaml")
    site.client.poll("unknown.example", "/", lambda answer: answer.status == 404)


def test_hosts_of_two_roots_answer_404(site):
    site.publish("one.yaml", ingress_route("one", "contested.example", route("/", "blue")))
    assert site.client.get("contested.example").backend == "blue"
    site.publish("two.yaml", ingress_route("two", "contested.example", route("/", "green")))
    assert site.client.get("contested.example").status == 404
    site.remove("two.yaml")
    site.wait_for("contested.example", "/", "blue")


def in_namespace(objects, namespace):
    return objects.replace("namespace: default", f"namespace: {namespace}")


def child(name, *routes):
    return text({"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
                 "metadata": {"name": name, "namespace": "default"}, "spec": {"routes": list(routes)}}) + "---\n"


def test_delegation(site):
    """Within the namespace, to another, along a chain, to an object that doesn't exist, and out of the prefix that was given."""
    def to(match, name, namespace=None):
        return {"match": match, "delegate": {"name": name, **({"namespace": namespace} if namespace else {})}}
    site.publish("delegation.yaml", ingress_route(
        "root", "delegation.example", route("/", "blue"), to("/near", "near"), to("/far", "far", "elsewhere"),
        to("/missing", "missing"), to("/greedy", "greedy"))
        + child("near", route("/near", "green"), to("/near/deeper", "deeper")) + child("deeper", route("/near/deeper", "blue"))
        + child("greedy", route("/greedy/in", "green"), route("/out", "green"))
        + child("orphan", route("/orphan", "green"))
        + in_namespace(service("far", site.backend("green")) + child("far", route("/far", "far")), "elsewhere"))
    cases = {"/": "blue", "/near": "green", "/near/x": "green", "/near/deeper/x": "blue", "/far": "green", "/missing": "blue",
             "/greedy/in": "green", "/out": "blue", "/orphan": "blue"}
    assert {path: site.client.get("delegation.example", path).backend for path in cases} == cases


def test_an_ingress_route_wins_over_an_ingress_of_its_host(site):
    site.publish("merged.yaml", ingress("merged", "merged.example", [("/", "ImplementationSpecific", "blue"),
                                                                    ("/only", "ImplementationSpecific", "blue")])
                 + ingress_route("merged", "merged.example", route("/", "green")))
    assert {path: site.client.get("merged.example", path).backend for path in ("/", "/only")} == {"/": "green", "/only": "blue"}


def test_objects_of_other_classes(site):
    site.publish("classes.yaml", ingress("ours", "ours.example", [("/", "Prefix", "blue")],
                                         {"kubernetes.io/ingress.class": "contour"})
                 + ingress("theirs", "theirs.example", [("/", "Prefix", "blue")], {"kubernetes.io/ingress.class": "nginx"}))
    assert site.client.get("ours.example").backend == "blue"
    assert site.client.get("theirs.example").status == 404


def test_scaled_to_zero_and_back(site):
    host = ingress("scaled", "scaled.example", [("/", "Prefix", "scaled")])
    full = service("scaled", site.backend("blue"))
    site.publish("scaled.yaml", full + host)
    assert site.client.get("scaled.example").backend == "blue"
    empty = "---\n".join(each for each in full.split("---\n") if "EndpointSlice" not in each)
    site.publish("scaled.yaml", empty + host)
    site.client.poll("scaled.example", "/", lambda answer: answer.status == 503)
    site.publish("scaled.yaml", full + host)
    site.wait_for("scaled.example", "/", "blue")


# ---- What becomes of the request ------------------------------------------------------------------------------------

def test_prefix_rewrite(site):
    site.publish("rewrite.yaml", ingress_route(
        "rewrite", "rewrite.example", route("/", "blue"), route("/old", "blue", prefixRewrite="/new/path")))
    answers = {path: site.client.get("rewrite.example", path).json["path"] for path in ("/old", "/old/x?y=1", "/other")}
    assert answers == {"/old": "/new/path", "/old/x?y=1": "/new/path/x?y=1", "/other": "/other"}


def test_retries(site):
    site.publish("retry.yaml", ingress_route("retry", "retry.example", route("/", "blue"),
                                             route("/flaky/2/with", "blue", retryPolicy={"count": 3}))
                 + ingress("retry", "retry-ingress.example", [("/", "Prefix", "blue")],
                           {ANNOTATION + "retry-on": "5xx", ANNOTATION + "num-retries": "2"}))
    assert site.client.get("retry.example", "/flaky/2/never").status == 503
    assert site.client.get("retry.example", "/flaky/2/with").status == 200
    assert site.client.get("retry-ingress.example", "/flaky/2/ingress").status == 200
    assert site.client.get("retry-ingress.example", "/flaky/3/ingress").status == 503


def test_request_timeout(site):
    site.publish("timeout.yaml", ingress_route(
        "timeout", "timeout.example", route("/", "blue"), route("/delay/700", "blue", timeoutPolicy={"request": "300ms"}))
        + ingress("timeout", "timeout-ingress.example", [("/", "Prefix", "blue")], {ANNOTATION + "request-timeout": "200ms"}))
    assert site.client.get("timeout.example", "/delay/500").status == 200
    for host in ("timeout.example", "timeout-ingress.example"):
        started = time.monotonic()
        assert site.client.get(host, "/delay/700").status == 504, host
        assert 0.15 < time.monotonic() - started < 0.65, host


@pytest.mark.long
def test_infinite_timeout(site):
    """Beyond Envoy's own 15 s."""
    site.publish("infinite.yaml", ingress_route(
        "infinite", "infinite.example", route("/", "blue"),
        route("/delay/16000", "blue", timeoutPolicy={"request": "infinity"}))
        + ingress("infinite", "infinite-ingress.example", [("/", "Prefix", "blue")],
                  {ANNOTATION + "request-timeout": "infinity"}))

    def ask(host, path):
        return Client(site.address, site.http_port, timeout=25).get(host, path).status
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(ask, ["infinite.example", "infinite-ingress.example", "infinite.example"],
                                ["/delay/16000", "/delay/16000", "/delay/16001"]))
    assert answers == [200, 200, 504]


def test_the_backend_sees_when_the_request_started(site):
    before = time.time()
    answer = site.client.get("first.example")
    started = re.fullmatch(r"t=(\d+\.\d{3})", answer.json["headers"]["x-request-start"])
    assert before - 0.01 <= float(started.group(1)) <= time.time()


def test_gzip(site):
    plain = site.client.get("first.example")
    assert "content-encoding" not in plain.headers
    packed = site.client.get("first.example", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(zlib.decompress(packed.body, wbits=31))["backend"] == "blue"


def test_http_1_0(site):
    with socket.create_connection((site.address, site.http_port), 5) as connection:
        connection.sendall(b"GET /old-client HTTP/1.0\r\nhost: first.example\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    assert json.loads(body)["path"] == "/old-client"


# ---- Several endpoints and services ---------------------------------------------------------------------------------

def test_weights_are_kept_within_two_percent(site, figure):
    site.publish("weights.yaml", ingress_route(
        "weights", "weights.example",
        route("/", ("blue", {"weight": 70}), ("green", {"weight": 20}), ("marker", {"weight": 10}))))
    total = 10_000
    started = time.monotonic()
    counts = count_backends(site.address, site.http_port, "weights.example", "/", total)
    figure("weights_requests_per_second", total / (time.monotonic() - started), "1/s")
    assert sum(counts.values()) == total and set(counts) == {"blue", "green", "marker"}, dict(counts)
    for name, share in {"blue": 0.70, "green": 0.20, "marker": 0.10}.items():
        figure(f"weights_{name}_of_{share:.0%}", 100 * counts[name] / total, "%")
        assert abs(counts[name] / total - share) < 0.02, dict(counts)


def test_weight_0_gets_nothing_beside_others(site):
    site.publish("zero.yaml", ingress_route("zero", "zero.example", route("/", ("blue", {"weight": 1}), "green")))
    assert count_backends(site.address, site.http_port, "zero.example", "/", 200) == {"blue": 200}


def test_cookie_affinity(site):
    site.publish("cookie.yaml", ingress_route("cookie", "cookie.example", route("/", ("both", {"strategy": "Cookie"}))))
    seen = collections.Counter()
    for _ in range(40):
        site.client.close()  # Envoy makes the cookie of the connection's addresses
        first = site.client.get("cookie.example")
        cookie = first.headers["set-cookie"]
        assert re.match(r'X-Contour-Session-Affinity="?[0-9a-f]+"?;', cookie), cookie
        assert "Path=/" in cookie and "Max-Age" not in cookie
        seen[first.backend] += 1
        pair = cookie.split(";")[0]
        for _ in range(5):
            again = site.client.get("cookie.example", headers={"cookie": pair})
            assert again.backend == first.backend
            assert "set-cookie" not in again.headers
    assert set(seen) == {"blue", "green"}, dict(seen)


def test_unhealthy_endpoint_gets_nothing(site):
    check = {"path": "/only/blue", "intervalSeconds": 1, "timeoutSeconds": 1, "unhealthyThresholdCount": 1,
             "healthyThresholdCount": 1}
    site.publish("checked.yaml", ingress_route("checked", "checked.example", route("/", ("both", {"healthCheck": check}))))
    site.wait_for("checked.example", "/", "blue")
    assert count_backends(site.address, site.http_port, "checked.example", "/", 200) == {"blue": 200}


def test_limits_of_a_service(site):
    blue = site.backend("blue")
    site.publish("limited.yaml", service("limited", blue, annotations={
        ANNOTATION + "max-connections": "1", ANNOTATION + "max-pending-requests": "1"})
        + ingress("limited", "limited.example", [("/", "Prefix", "limited")])
        + ingress("unlimited", "unlimited.example", [("/", "Prefix", "blue")]))

    def ask(host):
        """One that has the only connection, then, when it is connected, seven more."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            first = pool.submit(Client(site.address, site.http_port).get, host, "/delay/1000")
            time.sleep(0.3)
            others = list(pool.map(lambda _: Client(site.address, site.http_port).get(host, "/delay/300"), range(7)))
            return [first.result(), *others]
    assert {answer.status for answer in ask("unlimited.example")} == {200}
    answers = ask("limited.example")
    assert collections.Counter(answer.status for answer in answers) == {200: 2, 503: 6}
    assert {answer.headers.get("x-envoy-overloaded") for answer in answers if answer.status == 503} == {"true"}


def test_external_name(site):
    """An address as the name: there is no DNS here. Its port is that of the Service."""
    green = site.backend("green")
    site.publish("external.yaml", text(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "external", "namespace": "default"},
         "spec": {"type": "ExternalName", "externalName": green.address, "ports": [{"port": 8080}]}},
        {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
         "metadata": {"name": "external", "namespace": "default"},
         "spec": {"virtualhost": {"fqdn": "external.example"},
                  "routes": [{"match": "/", "services": [{"name": "external", "port": 8080}]}]}}) + "---\n")
    site.wait_for("external.example", "/", "green")


# ---- Other protocols ------------------------------------------------------------------------------------------------

def websocket(address, port, host, path, message):
    """(status, what came back for the message)"""
    key = base64.b64encode(b"0123456789abcdef").decode()
    with socket.create_connection((address, port), 5) as connection:
        connection.sendall((f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
                            f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n").encode())
        file = connection.makefile("rb")
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip().decode():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if status != 101:
            return status, None
        wanted = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        assert headers["sec-websocket-accept"] == wanted
        mask = b"\x01\x02\x03\x04"
        connection.sendall(bytes([0x81, 0x80 | len(message)]) + mask
                           + bytes(byte ^ mask[i % 4] for i, byte in enumerate(message)))
        opcode, length = struct.unpack("BB", file.read(2))
        assert opcode == 0x81
        return status, file.read(length)


def test_websockets(site):
    site.publish("websocket.yaml", ingress_route(
        "websocket", "websocket.example", route("/", "blue"), route("/ws", "blue", enableWebsockets=True))
        + ingress("websocket", "websocket-ingress.example",
                  [("/", "Prefix", "blue"), ("/ws1", "Prefix", "blue"), ("/ws2", "Prefix", "blue")],
                  {ANNOTATION + "websocket-routes": "/ws1 , /other"}))

    def ask(host, path):
        return websocket(site.address, site.http_port, host, path, b"hello")
    assert ask("websocket.example", "/ws") == (101, b"hello")
    assert ask("websocket-ingress.example", "/ws1") == (101, b"hello")
    for host, path in (("websocket.example", "/"), ("websocket-ingress.example", "/"), ("websocket-ingress.example", "/ws2")):
        assert ask(host, path)[0] == 403, (host, path)


@pytest.fixture(scope="module")
def grpc_site(site):
    """Hosts h2c.example and h2.example whose backends speak HTTP/2 only, plain.example where Envoy doesn't know."""
    certificate, key = site.authority.sign("h2.example")
    h2c = site.backend("h2c", protocol="grpc")
    h2 = site.backend("h2", protocol="grpc", certificate=certificate, key=key)
    protocol = ANNOTATION + "upstream-protocol."
    site.publish("grpc.yaml", service("h2c", h2c, annotations={protocol + "h2c": "80"})
                 + service("h2", h2, annotations={protocol + "h2": "80"}) + service("plain", h2c)
                 + "".join(ingress(name, f"{name}.example", [("/", "Prefix", name)]) for name in ("h2c", "h2", "plain")))
    return site


def call(site, host, message):
    options = [("grpc.default_authority", host), ("grpc.enable_retries", 0)]
    with grpc.insecure_channel(f"{site.address}:{site.http_port}", options=options) as channel:
        return channel.unary_unary("/test.Echo/Say")(message, timeout=5)


def test_grpc_over_h2c_and_h2(grpc_site):
    """So HTTP/2 comes in without TLS, and goes out as the Service says."""
    assert call(grpc_site, "h2c.example", b"hello") == b"h2c: hello"
    assert call(grpc_site, "h2.example", b"hello") == b"h2: hello"
    with pytest.raises(grpc.RpcError) as error:
        call(grpc_site, "plain.example", b"hello")
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text"])
def test_grpc_web(grpc_site, kind):
    """By HTTP/1.1, as a browser does it: the trailers are a frame of the body."""
    def encode(data):
        return base64.b64encode(data) if "text" in kind else data

    def decode(data):
        if "text" not in kind:
            return data
        return b"".join(base64.b64decode(part) for part in re.findall(rb"[^=]+=*", data))
    answer = grpc_site.client.request("h2c.example", "/test.Echo/Say", "POST", body=encode(b"\0\0\0\0\x05hello"),
                                      headers={"content-type": kind, "x-grpc-web": "1", "accept": kind})
    assert answer.status == 200
    body = decode(answer.body)
    flag, length = struct.unpack(">BI", body[:5])
    assert (flag, body[5:5 + length]) == (0, b"h2c: hello")
    flag, length = struct.unpack(">BI", body[5 + len(b"h2c: hello"):][:5])
    assert flag == 0x80
    assert b"grpc-status:0" in body[-length:].replace(b" ", b"")


# ---- Access log -----------------------------------------------------------------------------------------------------

def test_access_log_is_written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("access")
    with Site("features_access_log", "--envoy-http-access-log", folder / "http.log",
              "--envoy-https-access-log", folder / "https.log") as site:
        site.publish("logged.yaml", site.authority.secret("logged", "logged.example")
                     + ingress("logged", "logged.example", [("/", "Prefix", "marker")], tls_secret="logged"))
        assert site.client.get("logged.example", "/plain/path").status == 200
        assert site.wait_tls("logged.example").get("logged.example", "/tls/path").status == 200
        pause()
        site.envoy.stop()  # which writes what it holds back
        wait_until(lambda: '"GET /plain/path HTTP/1.1" 200' in (folder / "http.log").read_text(), "http.log", 5)
        assert '"GET /tls/path HTTP/1.1" 200' in (folder / "https.log").read_text()
        assert "/tls/path" not in (folder / "http.log").read_text()
        site.envoy.start().wait_live()


# Whatever contour takes for an operator without arguments, and the other kinds of fields.
OPERATORS = re.findall(r'^    "([A-Z0-9_]+)",$', (ROOT / "src/envoy/access_log.cc").read_text(), re.MULTILINE)
FIELDS = ["@timestamp", "ts", "authority", "method", "path", "request_id", "uber_trace_id", "user_agent", "x_forwarded_for",
          "x_trace_id", "upstream_service_time", "team=%REQ(X-TEAM?X-GROUP):4% of %REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%",
          "year=%START_TIME(%Y)%", "type=%RESP(CONTENT-TYPE)%", "trailer=%TRAILER(X)%", "home=%ENVIRONMENT(HOME)%",
          "meta=%METADATA(ROUTE:a:b)%"]


def test_access_log_as_json(tmp_path_factory):
    folder = tmp_path_factory.mktemp("json")
    config = folder / "contour.yaml"
    assert len(OPERATORS) > 70
    config.write_text(yaml.safe_dump({"accesslog-format": "json", "json-fields": FIELDS + [name.lower() for name in OPERATORS]}))
    with Site("features_access_log_json", "-c", config, "--envoy-http-access-log", folder / "http.log") as site:
        site.publish("logged.yaml", ingress("logged", "logged.example", [("/", "Prefix", "marker")]))
        site.client.get("logged.example", "/some/path?secret=1", headers={"x-group": "blue-team", "user-agent": "test"})
        pause()
        site.envoy.stop()
        lines = [json.loads(line) for line in (folder / "http.log").read_text().splitlines()]
        line = next(line for line in lines if line.get("path") == "/some/path?secret=1")
        assert {name: line[name] for name in ("authority", "method", "user_agent", "response_code", "team", "protocol", "type")} == {
            "authority": "logged.example", "method": "GET", "user_agent": "test", "response_code": 200,
            "team": "blue of /some/path", "protocol": "HTTP/1.1", "type": "application/json"}
        assert line["upstream_cluster"] == "default_marker_80" or line["upstream_cluster"].startswith("default/marker/80/")
        assert line["year"] == time.strftime("%Y", time.gmtime())
        assert "uber_trace_id" not in line, "what is empty is left out"
        site.envoy.start().wait_live()


def test_access_log_by_a_format_and_for_errors_only(tmp_path_factory):
    folder = tmp_path_factory.mktemp("format")
    config = folder / "contour.yaml"
    config.write_text(yaml.safe_dump({"accesslog-format-string": "%REQ(:PATH)% %RESPONSE_CODE% 100%%\n", "accesslog-level": "critical"}))
    with Site("features_access_log_format", "-c", config, "--envoy-http-access-log", folder / "http.log") as site:
        site.publish("logged.yaml", ingress("logged", "logged.example", [("/", "Prefix", "marker")]))
        for path in ("/fine", "/status/404", "/status/503"):
            site.client.get("logged.example", path)
        pause()
        site.envoy.stop()
        lines = (folder / "http.log").read_text().splitlines()
        assert "/status/503 503 100%" in lines
        assert not any("/fine" in line or "404 100%" in line and line.startswith("/status") for line in lines), lines
        site.envoy.start().wait_live()


def test_a_format_that_envoy_would_refuse_stops_the_start(tmp_path_factory):
    config = tmp_path_factory.mktemp("bad") / "contour.yaml"
    config.write_text(yaml.safe_dump({"accesslog-format-string": "%NOTHING%\n"}))
    result = run("serve", "--insecure", "--manifests", config.parent, "-c", config)
    assert result.returncode == 1
    assert "invalid Envoy format: %NOTHING%\n, invalid Envoy operator: NOTHING" in result.stderr
