# SPDX-License-Identifier: Apache-2.0
"""`contour certgen`: OpenSSL, Envoy, contour and a real API server take its output."""
import base64
import os
import pathlib
import re
import shutil
import stat
import subprocess
import time

import pytest
import yaml
from conftest import USER_WITHOUT_RIGHTS
from harness.client import Client
from harness.cluster import ApiError
from harness.contour import Contour, binary, run
from harness.envoy import Envoy
from harness.manifests import ingress, service
from harness.process import free_port

FILES = ["cacert.pem", "contourcert.pem", "contourkey.pem", "envoycert.pem", "envoykey.pem"]
DAY = 24 * 3600


def certgen(folder, *flags, **keywords):
    return run("certgen", folder, *flags, **keywords)


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=20, check=False)


def contents(folder):
    return {path.name: path.read_text() for path in pathlib.Path(folder).iterdir()}


def fingerprint(path):
    return openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256").stdout


@pytest.mark.parametrize("key_type, in_key", [("ecdsa", "prime256v1"), ("rsa", "2048 bit")])
def test_pem_files(work_dir, key_type, in_key):
    folder = work_dir / "certs"
    # A cluster is neither needed nor asked: the kubeconfig doesn't exist.
    result = certgen(folder, "--pem", "--namespace=apps", f"--key-type={key_type}", "--kubeconfig=/nowhere")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [f"Outputting certs to PEM files in {folder}/",
                                          *(f"{folder}/{name} created" for name in FILES)]
    assert sorted(contents(folder)) == sorted(FILES)
    for name in FILES:
        mode = stat.S_IMODE((folder / name).stat().st_mode)
        assert mode == (0o600 if "key" in name else 0o644), name
    for name, purpose in (("contour", "sslserver"), ("contour", "sslclient"), ("envoy", "sslclient")):
        result = openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", folder / "cacert.pem",
                         folder / f"{name}cert.pem")
        assert result.returncode == 0, result.stderr
    assert openssl("verify", "-purpose", "sslserver", "-CAfile", folder / "cacert.pem",
                   folder / "envoycert.pem").returncode != 0, "an Envoy can't pass for contour"
    for name in ("contour", "envoy"):
        public = openssl("x509", "-in", folder / f"{name}cert.pem", "-noout", "-pubkey").stdout
        assert public == openssl("pkey", "-in", folder / f"{name}key.pem", "-pubout").stdout, "one pair"
        shown = openssl("x509", "-in", folder / f"{name}cert.pem", "-noout", "-text").stdout
        assert in_key in shown
        assert (f"DNS:{name}, DNS:{name}.apps, DNS:{name}.apps.svc, DNS:{name}.apps.svc.cluster.local") in shown
        assert openssl("x509", "-in", folder / f"{name}cert.pem", "-noout", "-checkend", 364 * DAY).returncode == 0
        assert openssl("x509", "-in", folder / f"{name}cert.pem", "-noout", "-checkend", 366 * DAY).returncode == 1


def test_manifests(work_dir):
    folder = work_dir / "certs"
    result = certgen(folder, "--pem", "--yaml", "--namespace=apps", "--keep-ca-key")
    assert result.returncode == 0, result.stderr
    pem = {name: text for name, text in contents(folder).items() if name.endswith(".pem")}
    expected = {
        "cacert": ("Opaque", {"cacert.pem": pem["cacert.pem"]}),
        "contourcert": ("kubernetes.io/tls", {"tls.crt": pem["contourcert.pem"], "tls.key": pem["contourkey.pem"]}),
        "envoycert": ("kubernetes.io/tls", {"tls.crt": pem["envoycert.pem"], "tls.key": pem["envoykey.pem"]}),
        "cakey": ("Opaque", {"cakey.pem": pem["cakey.pem"]}),
    }
    for name, (kind, data) in expected.items():
        path = folder / f"{name}.yaml"
        value = yaml.safe_load(path.read_text())
        assert value["metadata"] == {"name": name, "namespace": "apps", "labels": {"app": "contour"}}
        assert (value["apiVersion"], value["kind"], value["type"]) == ("v1", "Secret", kind)
        assert {key: base64.b64decode(text).decode() for key, text in value["data"].items()} == data
        assert stat.S_IMODE(path.stat().st_mode) == (0o644 if name == "cacert" else 0o600)


def test_nothing_is_overwritten_unasked(work_dir):
    folder = work_dir / "certs"
    folder.mkdir()
    (folder / "envoykey.pem").write_text("mine")
    result = certgen(folder, "--pem")
    assert result.returncode == 1
    assert result.stderr == f"can't create file {folder}/envoykey.pem: file exists\n"
    assert contents(folder) == {"envoykey.pem": "mine"}, "nothing is written before all is known to be right"
    assert certgen(folder, "--pem", "--overwrite").returncode == 0
    assert sorted(contents(folder)) == sorted(FILES)
    assert stat.S_IMODE((folder / "envoykey.pem").stat().st_mode) == 0o600
    before = contents(folder)
    assert certgen(folder, "--pem").returncode == 1
    assert contents(folder) == before


@pytest.mark.parametrize("form, key_file", [("--pem", "cakey.pem"), ("--yaml", "cakey.yaml")])
def test_the_key_of_a_former_ca_goes_with_it(work_dir, form, key_file):
    """Whoever has that key can pose as contour to all that still trust its CA, and it can renew nothing any more."""
    folder = work_dir / "certs"
    assert certgen(folder, form, "--keep-ca-key").returncode == 0
    assert key_file in contents(folder)
    result = certgen(folder, form, "--overwrite")
    assert result.returncode == 0, result.stderr
    assert key_file not in contents(folder)
    assert f"{folder}/{key_file} removed" in result.stdout
    result = certgen(folder, form, "--overwrite")
    assert result.returncode == 0 and "removed" not in result.stdout
    assert certgen(folder, form, "--overwrite", "--keep-ca-key").returncode == 0
    assert key_file in contents(folder)


@pytest.mark.parametrize("form, key_file", [("--pem", "cakey.pem"), ("--yaml", "cakey.yaml")])
def test_no_set_is_made_beside_the_key_of_another_ca(work_dir, form, key_file):
    folder = work_dir / "certs"
    folder.mkdir()
    (folder / key_file).write_text("of another CA")
    result = certgen(folder, form)
    assert result.returncode == 1 and f"{key_file}: file exists" in result.stderr
    assert contents(folder) == {key_file: "of another CA"}


def test_a_key_that_is_not_the_cas_is_reported_before_it_is_needed(work_dir):
    folder, other = work_dir / "certs", work_dir / "other"
    for path in (folder, other):
        assert certgen(path, "--pem", "--keep-ca-key").returncode == 0
    shutil.copy(other / "cakey.pem", folder / "cakey.pem")
    result = certgen(folder, "--pem", "--rotate")
    assert result.returncode == 1 and "cakey: is not the key of cacert" in result.stderr


def test_rotation_reads_the_ca_under_the_name_of_cert_manager(work_dir):
    folder = work_dir / "certs"
    assert certgen(folder, "--pem", "--keep-ca-key").returncode == 0
    (folder / "cacert.pem").rename(folder / "ca.crt")
    result = certgen(folder, "--pem", "--rotate")
    assert result.returncode == 0 and result.stdout.endswith("nothing to renew\n"), result.stderr


def test_a_folder_that_cannot_be_written(work_dir):
    (work_dir / "file").write_text("")
    result = certgen(work_dir / "file" / "certs", "--pem")
    assert result.returncode == 1 and "Not a directory" in result.stderr


def test_thrown_away_and_wrong_flags(work_dir):
    result = subprocess.run([binary(), "certgen"], cwd=work_dir, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 0 and "thrown away" in result.stderr
    assert not (work_dir / "certs").exists()
    for flags, message in ((["--pem", "--namespace=A_b"], "--namespace: expected a name"),
                           (["--pem", "--certificate-lifetime=0"], "--certificate-lifetime: expected a number from 1"),
                           (["--pem", "--rotate", "--overwrite"], "--rotate: expected either --pem or --kube"),
                           (["--rotate"], "--rotate: expected either --pem or --kube"),
                           (["--yaml", "--rotate"], "--rotate: works with --pem and --kube")):
        result = certgen(work_dir / "certs", *flags)
        assert result.returncode == 1 and message in result.stderr, result.stderr
    assert not (work_dir / "certs").exists()


def test_the_namespace_of_the_environment(work_dir):
    folder = work_dir / "certs"
    result = subprocess.run([binary(), "certgen", folder, "--pem"], capture_output=True, text=True, timeout=20, check=False,
                            env={**os.environ, "CONTOUR_NAMESPACE": "somewhere"})
    assert result.returncode == 0, result.stderr
    assert "DNS:envoy.somewhere.svc" in openssl("x509", "-in", folder / "envoycert.pem", "-noout", "-text").stdout


def test_rotation_of_files(work_dir):
    folder = work_dir / "certs"
    result = certgen(folder, "--pem", "--rotate", "--keep-ca-key", "--certificate-lifetime=1")
    assert result.returncode == 0, "where nothing is, all is made: " + result.stderr
    assert sorted(contents(folder)) == sorted([*FILES, "cakey.pem"])
    assert stat.S_IMODE((folder / "cakey.pem").stat().st_mode) == 0o600
    before = contents(folder)
    # A day of two is left, since certificates are valid from a day back.
    result = certgen(folder, "--pem", "--rotate", "--certificate-lifetime=1")
    assert result.returncode == 0 and "nothing to renew" in result.stdout and contents(folder) == before
    # Less than a third of the time is left: renewed, the CA as it was.
    for name in ("contour", "envoy"):
        request = work_dir / "request.pem"
        openssl("req", "-new", "-key", folder / f"{name}key.pem", "-subj", f"/CN={name}", "-out", request)
        start = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - 70 * DAY))
        end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 30 * DAY))
        sign(work_dir, folder, request, folder / f"{name}cert.pem", start, end)
    due = contents(folder)
    result = certgen(folder, "--pem", "--rotate")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1:] == [f"{folder}/{name} created" for name in FILES[1:]]
    after = contents(folder)
    assert {name for name in after if after[name] != due[name]} == set(FILES[1:])
    for name in ("contour", "envoy"):
        assert openssl("verify", "-x509_strict", "-CAfile", folder / "cacert.pem", folder / f"{name}cert.pem").returncode == 0
        assert openssl("x509", "-in", folder / f"{name}cert.pem", "-noout", "-checkend", 364 * DAY).returncode == 0
    assert certgen(folder, "--pem", "--rotate").stdout.endswith("nothing to renew\n")


def sign(work_dir, folder, request, certificate, start, end):
    """`openssl ca`, which alone takes a begin and an end."""
    state = work_dir / "ca"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    (state / "index.txt").write_text("")
    (state / "openssl.cnf").write_text(f"""\
[ca]
default_ca = a
[a]
database = {state}/index.txt
new_certs_dir = {state}
rand_serial = yes
default_md = sha256
policy = p
[p]
commonName = supplied
""")
    result = openssl("ca", "-batch", "-notext", "-config", state / "openssl.cnf", "-cert", folder / "cacert.pem",
                     "-keyfile", folder / "cakey.pem", "-in", request, "-startdate", start, "-enddate", end,
                     "-out", certificate)
    assert result.returncode == 0, result.stderr


def test_rotation_without_what_it_needs(work_dir):
    folder = work_dir / "certs"
    assert certgen(folder, "--pem", "--keep-ca-key").returncode == 0
    key = (folder / "cakey.pem").read_text()
    request = work_dir / "request.pem"
    openssl("req", "-new", "-key", folder / "envoykey.pem", "-subj", "/CN=envoy", "-out", request)
    sign(work_dir, folder, request, folder / "envoycert.pem", "20200101000000Z", "20210101000000Z")
    (folder / "cakey.pem").unlink()
    before = contents(folder)
    result = certgen(folder, "--pem", "--rotate")
    assert result.returncode == 1
    assert "envoycert: ends on 2021-01-01T00:00:00Z, and the CA's key was not kept" in result.stderr
    (folder / "cakey.pem").write_text(key)
    (folder / "contourkey.pem").unlink()
    result = certgen(folder, "--pem", "--rotate")
    assert result.returncode == 1 and result.stderr == "contourcert: missing beside the others\n"
    before.pop("contourkey.pem")
    assert contents(folder) == {**before, "cakey.pem": key}


def test_envoy_and_contour_take_them(work_dir, backends):
    """The whole way: certgen, contour with mTLS, an Envoy by its bootstrap, traffic; and the expiry in the metrics."""
    folder = work_dir / "certs"
    assert certgen(folder, "--pem", "--certificate-lifetime=20").returncode == 0
    backend = backends("blue")
    manifests = work_dir / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(service("blue", backend.address, backend.port) + ingress("www", "www.example", "blue"))
    contour = Contour(work_dir, "--manifests", manifests, "--contour-cafile", folder / "cacert.pem",
                      "--contour-cert-file", folder / "contourcert.pem", "--contour-key-file", folder / "contourkey.pem")
    contour.arguments.remove("--insecure")
    contour.start().wait_ready()
    admin_port = free_port()
    bootstrap = work_dir / "bootstrap.json"
    result = run("bootstrap", bootstrap, "--xds-port", contour.xds_port, "--admin-port", admin_port,
                 "--envoy-cafile", folder / "cacert.pem", "--envoy-cert-file", folder / "envoycert.pem",
                 "--envoy-key-file", folder / "envoykey.pem")
    assert result.returncode == 0, result.stderr
    envoy = Envoy(bootstrap, work_dir, admin_port).start()
    try:
        Client("127.0.0.1", contour.ingress_http_port).poll("www.example", "/", lambda answer: answer.status == 200)
        shown = run("cli", "cds", "--contour", f"127.0.0.1:{contour.xds_port}", "--once",
                    "--cafile", folder / "cacert.pem", "--cert-file", folder / "contourcert.pem",
                    "--key-file", folder / "contourkey.pem")
        assert shown.returncode == 0 and "default/blue" in shown.stdout, shown.stderr
        metrics = contour.get("/metrics")[1]
        for name, days in (("contourcert.pem", 20), ("cacert.pem", 3650)):
            line = re.search(rf'^contour_own_certificate_not_after_seconds\{{file="{folder}/{name}"\}} (\S+)$', metrics, re.M)
            assert line, metrics
            assert abs(float(line.group(1)) - time.time() - days * DAY) < 3600
        assert "expires soon" not in contour.log()
    finally:
        envoy.kill()
        assert contour.stop() == 0


def test_a_certificate_near_its_end_is_warned_about(work_dir):
    folder = work_dir / "certs"
    assert certgen(folder, "--pem", "--keep-ca-key").returncode == 0
    request = work_dir / "request.pem"
    openssl("req", "-new", "-key", folder / "contourkey.pem", "-subj", "/CN=contour", "-out", request)
    sign(work_dir, folder, request, folder / "contourcert.pem", "20200101000000Z", "20210101000000Z")
    (work_dir / "manifests").mkdir()
    contour = Contour(work_dir, "--manifests", work_dir / "manifests", "--contour-cafile", folder / "cacert.pem",
                      "--contour-cert-file", folder / "contourcert.pem", "--contour-key-file", folder / "contourkey.pem")
    contour.arguments.remove("--insecure")
    contour.start()
    contour.wait_log(r"a certificate of the xDS port has expired.*contourcert\.pem.*2021-01-01T00:00:00Z", 10)
    contour.kill()


# ---- A real API server ------------------------------------------------------------------------------------------------


@pytest.fixture
def namespace(cluster):
    """A namespace of this test's own, without its Secrets at the end."""
    api = cluster.api()
    name = f"certgen-{os.urandom(4).hex()}"
    api.create_namespace(name)
    return name


def secret(api, namespace, name):
    return api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")


def test_in_the_cluster(cluster, namespace, work_dir):
    flags = ("--kube", f"--namespace={namespace}", f"--kubeconfig={cluster.kubeconfig()}")
    result = run("certgen", *flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"Outputting certs to Kubernetes in namespace {namespace}/", "secret/cacert created",
        "secret/contourcert created", "secret/envoycert created"]
    api = cluster.api()
    for name, kind, keys in (("cacert", "Opaque", {"cacert.pem"}), ("contourcert", "kubernetes.io/tls", {"tls.crt", "tls.key"}),
                             ("envoycert", "kubernetes.io/tls", {"tls.crt", "tls.key"})):
        value = secret(api, namespace, name)
        assert (value["type"], set(value["data"]), value["metadata"]["labels"]) == (kind, keys, {"app": "contour"})
        for key, text in value["data"].items():
            (work_dir / f"{name}-{key}").write_bytes(base64.b64decode(text))
    for name in ("contourcert", "envoycert"):
        assert openssl("verify", "-x509_strict", "-CAfile", work_dir / "cacert-cacert.pem",
                       work_dir / f"{name}-tls.crt").returncode == 0
    # Again: nothing is touched, not even if only the last one is there.
    versions = {name: secret(api, namespace, name)["metadata"]["resourceVersion"]
                for name in ("cacert", "contourcert", "envoycert")}
    result = run("certgen", *flags)
    assert result.returncode == 1 and f"secret/cacert: exists in namespace {namespace} already" in result.stderr
    for name in ("cacert", "contourcert"):
        api.request("DELETE", f"/api/v1/namespaces/{namespace}/secrets/{name}")
    result = run("certgen", *flags)
    assert result.returncode == 1 and "secret/envoycert: exists" in result.stderr
    with pytest.raises(ApiError):
        secret(api, namespace, "cacert")
    assert secret(api, namespace, "envoycert")["metadata"]["resourceVersion"] == versions["envoycert"]
    # A half of a set is not renewed silently either.
    result = run("certgen", *flags, "--rotate")
    assert result.returncode == 1 and "missing beside the others" in result.stderr
    # Asked for, it is all anew.
    result = run("certgen", *flags, "--overwrite")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1:] == ["secret/cacert created", "secret/contourcert created", "secret/envoycert replaced"]
    # The key of a former CA goes with it.
    result = run("certgen", *flags, "--overwrite", "--keep-ca-key")
    assert result.returncode == 0 and secret(api, namespace, "cakey"), result.stderr
    result = run("certgen", *flags, "--overwrite")
    assert result.returncode == 0 and result.stdout.endswith("secret/cakey removed\n"), result.stderr
    with pytest.raises(ApiError, match="404"):
        secret(api, namespace, "cakey")
    # A Job that runs once more.
    result = run("certgen", *flags, "--rotate")
    assert result.returncode == 0 and result.stdout.endswith("nothing to renew\n"), result.stderr


def test_rotation_in_the_cluster(cluster, namespace, work_dir):
    flags = ("--kube", f"--namespace={namespace}", f"--kubeconfig={cluster.kubeconfig()}", "--rotate")
    result = run("certgen", *flags, "--keep-ca-key")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "secret/cakey created"
    api = cluster.api()
    folder = work_dir / "certs"
    folder.mkdir()
    for name, key, file in (("cacert", "cacert.pem", "cacert.pem"), ("cakey", "cakey.pem", "cakey.pem"),
                            ("envoycert", "tls.key", "envoykey.pem")):
        (folder / file).write_bytes(base64.b64decode(secret(api, namespace, name)["data"][key]))
    request = work_dir / "request.pem"
    openssl("req", "-new", "-key", folder / "envoykey.pem", "-subj", "/CN=envoy", "-out", request)
    sign(work_dir, folder, request, folder / "envoycert.pem", "20200101000000Z", "20210101000000Z")
    api.patch({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "envoycert", "namespace": namespace}},
              {"data": {"tls.crt": base64.b64encode((folder / "envoycert.pem").read_bytes()).decode()}})
    others = {name: secret(api, namespace, name)["metadata"]["resourceVersion"] for name in ("cacert", "cakey", "contourcert")}
    result = run("certgen", *flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1:] == ["secret/envoycert replaced"]
    (folder / "renewed.pem").write_bytes(base64.b64decode(secret(api, namespace, "envoycert")["data"]["tls.crt"]))
    assert openssl("verify", "-x509_strict", "-CAfile", folder / "cacert.pem", folder / "renewed.pem").returncode == 0
    for name, version in others.items():
        assert secret(api, namespace, name)["metadata"]["resourceVersion"] == version, f"{name} is not touched"


def test_without_the_right_to_remove_it_the_key_of_a_former_ca_is_reported(cluster, namespace, work_dir):
    del work_dir
    api = cluster.api()
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "writer", "namespace": namespace},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]}]}
    api.apply(role)
    api.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
               "metadata": {"name": "writer", "namespace": namespace},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer"},
               "subjects": [{"kind": "User", "name": USER_WITHOUT_RIGHTS.name, "apiGroup": "rbac.authorization.k8s.io"}]})
    flags = ("--kube", f"--namespace={namespace}", f"--kubeconfig={cluster.kubeconfig(USER_WITHOUT_RIGHTS)}")
    assert run("certgen", *flags, "--keep-ca-key").returncode == 0
    result = run("certgen", *flags, "--overwrite")
    assert result.returncode == 1
    assert f"secret/cakey in namespace {namespace}: the former CA's key can't be removed" in result.stderr
    role["rules"][0]["verbs"].append("delete")
    api.apply(role)
    result = run("certgen", *flags, "--overwrite")
    assert result.returncode == 0 and "secret/cakey removed" in result.stdout, result.stderr


def test_without_a_cluster_the_error_names_what_was_tried(work_dir):
    result = certgen(work_dir / "certs", "--kube", "--kubeconfig=/nowhere")
    assert result.returncode == 1 and "/nowhere" in result.stderr
    result = run("certgen", "--kube", "--incluster")
    assert result.returncode == 1 and "KUBERNETES_SERVICE_HOST" in result.stderr
