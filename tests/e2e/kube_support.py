# SPDX-License-Identifier: Apache-2.0
"""For the tests of src/kube against a real API server: the probe (a source of objects without the rest of contour), a
forwarder that can fall silent, and many objects at once."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import threading
import time

from harness.cluster import ApiError
from harness.process import Process, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# What the source watches: kind → where all of them are listed.
COLLECTIONS = {
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "Ingress": "/apis/networking.k8s.io/v1/ingresses",
    "IngressClass": "/apis/networking.k8s.io/v1/ingressclasses",
    "IngressRoute": "/apis/contour.heptio.com/v1beta1/ingressroutes",
    "TLSCertificateDelegation": "/apis/contour.heptio.com/v1beta1/tlscertificatedelegations",
}


def probe_binary():
    contour = pathlib.Path(os.environ.get("CONTOUR_BINARY", ROOT / "build/dev/bin/contour"))
    path = contour.parent / "kube_probe"
    if not path.exists():
        raise FileNotFoundError(f"no {path}: build it first (./dev build)")
    return path


class Probe(Process):
    """kube_probe. Its lines and its log are in one file: the lines are those that begin with a number."""

    def __init__(self, work_dir, *flags, env=None, name="kube_probe"):
        super().__init__(name, [probe_binary(), *flags], pathlib.Path(work_dir) / f"{name}.log",
                         env={**os.environ, **(env or {})})

    def lines(self):
        """[(time, words…)]"""
        found = re.findall(r"^(\d+\.\d+) (changed|gone|synced) ?(.*)$", self.log(), re.MULTILINE)
        return [(float(when), what, *rest.split()) for when, what, rest in found]

    def state(self):
        """(kind, "namespace/name") → resourceVersion of what it has now."""
        objects = {}
        for _, what, *rest in self.lines():
            if what == "changed":
                objects[rest[0], rest[1]] = rest[2]
            elif what == "gone":
                objects.pop((rest[0], rest[1]), None)
        return objects

    def wait_synced(self, timeout=30.0):
        self.wait_log(r"^\d+\.\d+ synced$", timeout)
        return self

    def synced_at(self):
        return next(when for when, what, *_ in self.lines() if what == "synced")

    def wait_for(self, kind, name, version=None, timeout=20.0):
        """Waits until it has that object (in that version, if given)."""
        def there():
            has = self.state().get((kind, name))
            return has is not None and (version is None or has == version)
        self.wait(there, f"{kind} {name} at {version}", timeout)

    def wait_gone(self, kind, name, timeout=20.0):
        self.wait(lambda: (kind, name) not in self.state(), f"{kind} {name} is gone", timeout)

    def stats(self):
        """kind → {"objects": 3, "forbidden": False, …}; under "" those of the whole process."""
        before = self.log().count("stat end")
        self.signal(signal.SIGUSR1)
        self.wait(lambda: self.log().count("stat end") > before, "statistics")
        block = self.log().split("stat end")[before]
        result = {}
        for line in re.findall(r"^stat (.+)$", block, re.MULTILINE):
            row = {}
            for key, text, quoted in re.findall(r'(\w+)=(?:([^\s"]+)|"((?:[^"\\]|\\.)*)")', line):
                value = quoted if quoted or not text else text
                row[key] = {"true": True, "false": False}.get(value, int(value) if value.isdigit() else value)
            result[row.pop("kind", "")] = row
        return result


def listed(api, kinds=None):
    """The same as Probe.state(), by a list from the API server. Secrets aside: not all of them count."""
    state = {}
    for kind in kinds or COLLECTIONS:
        for item in _list(api, kind)["items"]:
            metadata = item["metadata"]
            state[kind, f"{metadata.get('namespace', '')}/{metadata['name']}"] = metadata["resourceVersion"]
    return state


def _list(api, kind):
    def answer():
        try:
            return api.request("GET", COLLECTIONS[kind], timeout=60)
        except ApiError as error:
            if error.status == 429:  # just started: "storage is (re)initializing"
                return None
            raise
    return wait_until(answer, f"a list of {kind}", interval=0.2)


def without_secrets(state):
    return {key: version for key, version in state.items() if key[0] != "Secret"}


def wait_same(probe, api, timeout=30.0):
    """Waits until the probe has exactly the objects of a list."""
    def same():
        return without_secrets(probe.state()) == listed(api)
    try:
        probe.wait(same, "the same objects as a fresh list", timeout)
    except AssertionError:
        have, want = without_secrets(probe.state()), listed(api)
        assert have == want
        raise


def compact(cluster):
    """Makes etcd drop its history up to now, so that watches from before get 410."""
    arguments = cluster.etcd.arguments
    host, port = arguments[arguments.index("--listen-client-urls") + 1].removeprefix("http://").split(":")

    def etcd(path, body):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("POST", path, body=json.dumps(body))
        response = connection.getresponse()
        value = json.loads(response.read())
        assert response.status == 200, value
        return value
    revision = etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
    etcd("/v3/kv/compaction", {"revision": revision, "physical": True})


class Forwarder:
    """A TCP way to `target` through an address of its own that can be closed, or fall silent: connections stay open,
    bytes don't pass.

    forwarder = Forwarder(("127.0.0.1", port)).start(); forwarder.stall(); forwarder.stop()
    """

    def __init__(self, target, address="127.0.0.1", port=0):
        self._target = target
        self._listener = socket.create_server((address, port))
        self.address, self.port = self._listener.getsockname()
        self._stalled = threading.Event()
        self._stopped = threading.Event()
        self._threads = []
        self.connections = 0

    def start(self):
        self._start(self._accept)
        return self

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stall(self):
        """Lets open connections receive nothing any more; new connections work."""
        self._stalled.set()
        self._stalled = threading.Event()

    def stop(self):
        """Closes all connections and accepts no new ones."""
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._forward, client, self._stalled)

    def _forward(self, client, stalled):
        with client:
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                return
            with server:
                others = {client: server, server: client}
                while not self._stopped.is_set():
                    ready, _, _ = select.select([client, server], [], [], 0.1)
                    if stalled.is_set():
                        time.sleep(0.1)  # the kernel's end lives: probes are answered, bytes are not read
                        continue
                    for source in ready:
                        try:
                            data = source.recv(65536)
                            if not data:
                                return
                            others[source].sendall(data)
                        except OSError:
                            return


def bulk(cluster, requests, workers=8):
    """Sends (method, path, body) as admin over a few connections that stay open. Fails on the first error."""
    requests = list(requests)
    context = ssl.create_default_context(cafile=str(cluster.ca_path))

    def work(part):
        connection = http.client.HTTPSConnection(cluster.address, cluster.port, context=context, timeout=60)
        headers = {"authorization": "Bearer admin-token", "content-type": "application/json"}
        for method, path, body in part:
            connection.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers)
            response = connection.getresponse()
            text = response.read()
            assert 200 <= response.status < 300, (path, response.status, text[:500])
        connection.close()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(work, requests[i::workers]) for i in range(workers)]:
            future.result()


def service(name, namespace="default", port=80):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"port": port}]}}


def ingress_route(name, namespace="default", fqdn="www.example.com", services=None):
    return {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"virtualhost": {"fqdn": fqdn},
                     "routes": [{"match": "/", "services": services or [{"name": "web", "port": 80}]}]}}


def apply_deployment(api):
    """deploy/: definitions, namespace and rights; until the API serves the kinds."""
    for folder in ("rbac", "crds"):
        for path in sorted((ROOT / "deploy" / folder).glob("*.yaml")):
            api.apply_file(path)

    def served():
        for kind in ("IngressRoute", "TLSCertificateDelegation"):
            api.get(COLLECTIONS[kind])
        return True

    def quiet():
        try:
            return served()
        except ApiError:  # 404 or 429 while the kinds are set up
            return False
    wait_until(quiet, "the kinds of deploy/crds")
