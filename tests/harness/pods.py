# SPDX-License-Identifier: Apache-2.0
"""Runs pods without a kubelet: it does with processes what a pod template says.

network = PodNetwork(cluster)                       # a bridge, the API server under its usual name
pod = Pod(network, work_dir, template, "contour-0", "projectcontour").start()
pod.wait_ready();  pod.terminate()

Each pod has a network namespace with an address 10.245.x.y. Each container has a root of its own, read-only if the template says
so, in which there are the machine's libraries, the image's program, and the volumes: Secrets and ConfigMaps as they are in the
API, the token of the service account from the API's TokenRequest, emptyDirs. It runs as the template's user, without
capabilities. Init containers come first; probes and hooks are those of the template. Services are `ServiceProxy`s.

Not done: resources, seccomp, scheduling, restarts, host network, volumes of other kinds (these fail).
"""
import base64
import http.client
import itertools
import os
import pathlib
import shutil
import socket
import subprocess
import threading

from . import contour, envoy, render
from .bridge import Bridge, ip
from .cluster import ApiError
from .manifests import ConfigMapVolume
from .process import Process, port_is_open, wait_until

GATEWAY = "10.245.0.1"
API_NAME = "kubernetes.default.svc"  # one of the names in the API server's certificate
_numbers = itertools.count(2)


def next_address():
    number = next(_numbers)
    return f"10.245.{number // 250}.{number % 250 + 1}"


class Forwarder:
    """Accepts TCP connections on address:port and joins each with one to the address that `target()` returns then."""

    def __init__(self, address, port, target):
        self._target = target
        self._listener = socket.create_server((address, port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client):
        try:
            target = self._target()
            server = socket.create_connection(target, 5) if target else None
        except OSError:
            server = None
        if server is None:
            client.close()
            return
        server.settimeout(None)
        threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
        self._copy(server, client)

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()


class PodNetwork:
    """The network of a test's pods: a bridge, the API server, Services by name."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.api = cluster.api()
        self.hosts = {API_NAME: GATEWAY}
        self._bridge = Bridge("pods", GATEWAY)
        self._forwarders = [Forwarder(GATEWAY, 0, lambda: (cluster.address, cluster.port))]
        self.api_port = self._forwarders[0].port

    def service(self, namespace, name, port):
        """Makes the Service reachable by its name, as kube-proxy does: by the EndpointSlices that have its name."""
        address = next_address()
        ip("address", "add", f"{address}/32", "dev", "pods")

        def endpoint():
            path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name={name}"
            for slice_ in self.api.get(path)["items"]:
                for entry in slice_.get("endpoints") or ():
                    if (entry.get("conditions") or {}).get("ready") is not False:
                        return entry["addresses"][0], slice_["ports"][0]["port"]
            return None
        self._forwarders.append(Forwarder(address, port, endpoint))
        self.hosts[name] = address
        return endpoint

    def join(self, pid, address):
        """Gives the network namespace of process `pid` this address."""
        self._bridge.join(pid, "v" + address.replace("10.245.", "").replace(".", "x"), address)

    def close(self):
        for forwarder in self._forwarders:
            forwarder.close()
        self._bridge.close()


def images(image):
    """Returns the program of an image, by the name by which its containers call it."""
    repository = image.rsplit(":", 1)[0].rsplit("/", 1)[-1]
    return {"contour": {"contour": contour.binary}, "envoy": {"envoy": envoy.binary}}[repository]


# $1 root, $2 user:group, $3 groups, then pairs until `--`: `ro|rw SOURCE TARGET` triples, then the command.
_CONTAINER = r"""
set -e
root=$1 user=$2 groups=$3 readonly=$4; shift 4
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir -p "$root"/{usr,proc,dev,etc,tmp,run,var}
for folder in bin sbin lib lib64; do [ -L /$folder ] && cp -P /$folder "$root/$folder"; done
mount --rbind /usr "$root/usr"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
  mode=$1 source=$2 target=$root$3; shift 3
  if [ -d "$source" ]; then mkdir -p "$target"; else mkdir -p "$(dirname "$target")"; : >"$target"; fi
  mount --bind "$source" "$target"
  [ "$mode" = rw ] || mount -o remount,bind,ro "$target"
done
shift
[ "$readonly" = no ] || mount -o remount,ro "$root"
chown "${user%:*}" /proc/self/fd/1  # so that it can open /dev/stdout, as container runtimes do it
exec setpriv --no-new-privs chroot --userspec="$user" --groups="$groups" "$root" "$@"
"""


class Pod:
    """One pod of a template (`spec.template` of a Deployment, DaemonSet or Job)."""

    def __init__(self, network, work_dir, template, name, namespace):
        self.network, self.name, self.namespace = network, name, namespace
        self.metadata, self.spec = template["metadata"], template["spec"]
        assert not self.spec.get("hostNetwork"), "host network isn't done here"
        self.folder = pathlib.Path(work_dir) / name
        self.address = next_address()
        self.security = self.spec.get("securityContext", {})
        self.containers = {}
        self._pause = Process(f"{name} pause", ["unshare", "--net", "sleep", "infinity"], self.folder / "pause.log")
        self._volumes = {}

    # ---- Things that kubelet makes before it starts containers

    def start(self):
        """Makes the volumes, then starts the init containers one by one, then all containers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._pause.start()
        wait_until(lambda: os.readlink(f"/proc/{self._pause.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "network namespace", 5)
        self.network.join(self._pause.pid, self.address)
        for volume in self.spec.get("volumes", []):
            self._volumes[volume["name"]] = self._make_volume(volume)
        if self.spec.get("automountServiceAccountToken", self._account().get("automountServiceAccountToken", True)):
            self._volumes["(token)"] = self._make_token()
        for container in self.spec.get("initContainers", []):
            process = self._process(container, container["name"]).start()
            code = process.wait_exit(60)
            assert code == 0, f"init container {container['name']}: exit {code}\n{process.tail()}"
        for container in self.spec["containers"]:
            self.containers[container["name"]] = self._process(container, container["name"]).start()
        return self

    def _account(self):
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{self.spec.get('serviceAccountName', 'default')}"
        return self.network.api.get(path)

    def _object(self, kind, name):
        try:
            return self.network.api.get(f"/api/v1/namespaces/{self.namespace}/{kind}/{name}")
        except ApiError as error:
            raise AssertionError(f"{self.name}: a volume needs {kind} {name}: {error}") from None

    def _make_volume(self, volume):
        folder = self.folder / "volumes" / volume["name"]
        if "emptyDir" in volume:
            folder.mkdir(parents=True)
            os.chown(folder, 0, self.security.get("fsGroup", 0))
            os.chmod(folder, 0o2777)
        elif "secret" in volume:
            data = self._object("secrets", volume["secret"]["secretName"])["data"]
            self._write(folder, {name: base64.b64decode(text).decode() for name, text in data.items()})
        elif "configMap" in volume:
            self._write(folder, self._object("configmaps", volume["configMap"]["name"])["data"])
        else:
            raise AssertionError(f"volume {volume} isn't done here")
        return folder

    def _write(self, folder, files):
        ConfigMapVolume(folder).update(files)
        group = self.security.get("fsGroup", 0)
        for path in folder.rglob("*"):
            os.chown(path, 0, group, follow_symlinks=False)
            if path.is_file() and not path.is_symlink():
                os.chmod(path, 0o640 if group else 0o644)

    def _make_token(self):
        account = self.spec.get("serviceAccountName", "default")
        answer = self.network.api.request(
            "POST", f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}})
        folder = self.folder / "volumes/token"
        self._write(folder, {"token": answer["status"]["token"], "namespace": self.namespace,
                             "ca.crt": self.network.cluster.ca_path.read_text(encoding="ascii")})
        return folder

    # ---- Containers

    def _environment(self, container):
        fields = {"metadata.name": self.name, "metadata.namespace": self.namespace, "status.podIP": self.address}
        values = {"PATH": "/image/bin", "KUBERNETES_SERVICE_HOST": API_NAME,
                  "KUBERNETES_SERVICE_PORT": str(self.network.api_port), "HOSTNAME": self.name}
        return {**values, **render.environment(container, fields)}

    def _process(self, container, log_name, command=None):
        environment = self._environment(container)
        words = command or [*container["command"], *container.get("args", [])]
        for name, value in environment.items():
            words = [word.replace(f"$({name})", value) for word in words]
        security = {**self.security, **container.get("securityContext", {})}
        user, group = security.get("runAsUser", 0), security.get("runAsGroup", 0)
        assert not (security.get("runAsNonRoot") and user == 0), f"{container['name']} would run as root"
        mounts = []
        for program, find in images(container["image"]).items():
            mounts += ["ro", find(), f"/image/bin/{program}"]
        etc = self._etc()
        for name in ("hosts", "passwd", "nsswitch.conf"):
            mounts += ["ro", etc / name, f"/etc/{name}"]
        if "(token)" in self._volumes:
            mounts += ["ro", self._volumes["(token)"], "/var/run/secrets/kubernetes.io/serviceaccount"]
        for mount in container.get("volumeMounts", []):
            mounts += ["ro" if mount.get("readOnly") else "rw", self._volumes[mount["name"]], mount["mountPath"]]
        root = self.folder / "roots" / log_name
        root.mkdir(parents=True, exist_ok=True)
        readonly = "yes" if security.get("readOnlyRootFilesystem") else "no"
        return Process(f"{self.name}/{log_name}", [
            "nsenter", f"--net=/proc/{self._pause.pid}/ns/net", "unshare", "--mount", "bash", "-c", _CONTAINER, "container",
            root, f"{user}:{group}", security.get("fsGroup", group), readonly, *mounts, "--",
            "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items()), *words,
        ], self.folder / f"{log_name}.log")

    def _etc(self):
        folder = self.folder / "etc"
        folder.mkdir(exist_ok=True)
        hosts = {"localhost": "127.0.0.1", self.name: self.address, **self.network.hosts}
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in hosts.items()), encoding="ascii")
        (folder / "passwd").write_text("root:x:0:0::/:\nnonroot:x:65532:65532::/:\n", encoding="ascii")
        (folder / "nsswitch.conf").write_text("hosts: files\n", encoding="ascii")
        return folder

    # ---- Probes and hooks

    def _container(self, name):
        return next(container for container in self.spec["containers"] if container["name"] == name)

    def _port(self, container, port):
        if isinstance(port, int):
            return port
        return next(entry["containerPort"] for entry in container["ports"] if entry["name"] == port)

    def _http_get(self, container, action, timeout):
        """Returns the status in the way in which kubelet gets it: from outside, at the pod's address."""
        connection = http.client.HTTPConnection(self.address, self._port(container, action["port"]), timeout=timeout)
        try:
            connection.request("GET", action.get("path", "/"))
            return connection.getresponse().status
        finally:
            connection.close()

    def probe(self, name, kind):
        """True if the readinessProbe or livenessProbe of the container passes now, or if it has none."""
        container = self._container(name)
        probe = container.get(kind)
        if probe is None:
            return True
        try:
            if "tcpSocket" in probe:
                return port_is_open(self.address, self._port(container, probe["tcpSocket"]["port"]))
            return 200 <= self._http_get(container, probe["httpGet"], probe.get("timeoutSeconds", 1)) < 400
        except (OSError, http.client.HTTPException):
            return False

    def ready(self):
        return all(self.probe(name, "readinessProbe") for name in self.containers)

    def wait_ready(self, timeout=30.0):
        for name, process in self.containers.items():
            process.wait(lambda name=name: self.probe(name, "readinessProbe"), "readiness", timeout)
            assert self.probe(name, "livenessProbe"), f"{self.name}/{name} is ready and not alive"
        return self

    def wait_exit(self, timeout=60.0):
        """Returns the exit code of the only container, for pods of Jobs."""
        (process,) = self.containers.values()
        return process.wait_exit(timeout)

    def log(self, name):
        return self.containers[name].log()

    def _pre_stop(self, container, failures):
        hook = container.get("lifecycle", {}).get("preStop")
        grace = self.spec.get("terminationGracePeriodSeconds", 30)
        try:
            if hook and "exec" in hook:
                process = self._process(container, f"{container['name']}-prestop", hook["exec"]["command"]).start()
                code = process.wait_exit(grace)
                if code != 0:
                    failures.append(f"{container['name']}: preStop: exit {code}\n{process.tail()}")
            elif hook:
                status = self._http_get(container, hook["httpGet"], grace)
                if status != 200:
                    failures.append(f"{container['name']}: preStop: {status}")
        except (OSError, http.client.HTTPException, AssertionError) as error:
            failures.append(f"{container['name']}: preStop: {error}")

    def terminate(self):
        """Ends the pod like kubelet: the hook of each container, then SIGTERM. Returns the exit codes. A hook that fails is an error."""
        failures = []
        # Hooks that start a process do so from this thread, as the process ends with the thread that started it.
        over_http = [threading.Thread(target=self._pre_stop, args=(container, failures)) for container in self.spec["containers"]
                     if "httpGet" in container.get("lifecycle", {}).get("preStop", {})]
        for thread in over_http:
            thread.start()
        for container in self.spec["containers"]:
            if "exec" in container.get("lifecycle", {}).get("preStop", {}):
                self._pre_stop(container, failures)
        for thread in over_http:
            thread.join()
        codes = {name: process.stop(self.spec.get("terminationGracePeriodSeconds", 30))
                 for name, process in self.containers.items()}
        assert not failures, "\n".join(failures)
        return codes

    def kill(self):
        for process in (*self.containers.values(), self._pause):
            process.kill()
        shutil.rmtree(self.folder / "volumes", ignore_errors=True)


def status_of(process):
    """Returns the uid and effective capabilities of the program itself."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(fields["Uid"].split()[0]), int(fields["CapEff"].strip(), 16), int(fields["NoNewPrivs"].strip())
