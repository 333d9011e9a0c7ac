# SPDX-License-Identifier: Apache-2.0
"""One name, one content: objects that are made so that different clusters would get one name, seen from Envoy. No
traffic reaches another's pods, none is unencrypted or unverified that must not be, and renaming interrupts nobody."""
import json

import pytest
from features_support import ANNOTATION, Authority, Site, ca_secret, ingress_route, route, service
from harness import manifests
from harness.client import SteadyLoad
from harness.process import wait_until

# Two Services whose clusters have one name of 24 bits, found by trying 20 million names.
VICTIM = ("payments-team-production-eu-west", "checkout-frontend")
OTHER = ("payments-team-of-somebody-else-x", "checkout-0186659c")
# Not sharded-https: with state of the world Envoy keeps the certificate of a host that is gone.
MODES = [(mode, delivery) for mode in ("delta-ads", "delta", "sotw-ads", "sotw")
         for delivery in ("classic", "sharded", "sharded-https") if delivery != "sharded-https" or "delta" in mode]


def in_every_mode(test):
    """All delivery modes by delta ADS, and one by each other xDS mode, are part of ./dev test; the rest is long."""
    return pytest.mark.parametrize("mode,delivery", [
        pytest.param(mode, delivery, marks=() if mode == "delta-ads" or delivery == "classic" else pytest.mark.long)
        for mode, delivery in MODES])(test)


def site_of(name, mode, delivery):
    return Site(f"names_{name}_{mode}_{delivery}", "--delivery", delivery, mode=mode)


def checked(name, path, **more):
    check = {"path": path, "intervalSeconds": 1}
    check.update({key: more.pop(key) for key in list(more) if key.endswith("ThresholdCount")})
    return name, {"healthCheck": check, **more}


def tls_service(site, name):
    certificate, key = site.authority.sign("sub.test")
    return service(name, site.backend(name, certificate=certificate, key=key),
                   annotations={ANNOTATION + "upstream-protocol.tls": "80"})


def clusters_in_envoy(site):
    dump = json.loads(site.envoy.admin("/config_dump?resource=dynamic_active_clusters"))
    return {entry["cluster"]["name"]: entry["cluster"] for entry in dump.get("configs", ())}


@in_every_mode
def test_health_path_like_a_passthrough_proxy_leaves_the_upstream_encrypted(mode, delivery):
    with site_of("tcp", mode, delivery) as site:
        secure = tls_service(site, "secure")
        route_alone = ingress_route("routes", "b.example", route("/", checked("secure", "/tcp")))
        proxy = ingress_route("proxy", "a.example", tls={"passthrough": True}, tcpproxy=[checked("secure", "/")])
        site.publish("all.yaml", secure + route_alone)
        site.wait_for("b.example", "/", "secure")
        with SteadyLoad(site.address, site.http_port, "b.example", per_second=50) as load:
            for objects in (secure + route_alone + proxy, secure + route_alone):
                site.publish("all.yaml", objects)
                load.until(load.total + 50)
        load.assert_clean()
        assert set(load.backends) == {"secure"}


@in_every_mode
def test_health_path_like_a_validation_leaves_the_upstream_verified(mode, delivery):
    with site_of("validation", mode, delivery) as site:
        secure = tls_service(site, "secure")
        other = Authority(site.work_dir, "other")  # didn't sign the backend's certificate
        site.publish("all.yaml", secure + ca_secret("cax", other.certificate)
                     + ingress_route("verified", "b.example", route("/", checked(
                         "secure", "/", validation={"caSecret": "cax", "subjectName": "sub.test"})))
                     + ingress_route("unverified", "a.example", route("/", checked("secure", "/caxsub.test"))))
        site.wait_for("a.example", "/", "secure")
        for _ in range(20):
            assert site.client.get("b.example").status == 503


@in_every_mode
def test_a_searched_service_name_takes_no_traffic_of_another_namespace(mode, delivery):
    with site_of("search", mode, delivery) as site:
        blue, red = site.backend("blue"), site.backend("red")
        victim = (manifests.service(VICTIM[1], blue.address, blue.port, namespace=VICTIM[0])
                  + manifests.ingress_route("victim", "b.example", {VICTIM[1]: None}, namespace=VICTIM[0]))
        attack = (manifests.service(OTHER[1], red.address, red.port, namespace=OTHER[0])
                  + manifests.ingress_route("attack", "a.example", {OTHER[1]: None}, namespace=OTHER[0]))
        site.publish("all.yaml", victim)
        site.wait_for("b.example", "/", "blue")
        [plain] = [name for name in clusters_in_envoy(site) if "checkout" in name]
        assert plain.startswith("payments-") and len(plain) < 60, plain
        with SteadyLoad(site.address, site.http_port, "b.example", per_second=100) as load:
            for objects in (victim + attack, victim, victim + attack):
                site.publish("all.yaml", objects)
                if objects != victim:
                    site.wait_for("a.example", "/", "red")
                load.until(load.total + 50)
        load.assert_clean()
        assert set(load.backends) == {"blue"}
        assert site.contour.metric('contour_core_contested_names{type="CDS"}') == 1
        assert "several contents would have one name" in site.contour.log(whole=True)
        site.publish("all.yaml", victim)
        wait_until(lambda: plain in clusters_in_envoy(site), "the plain name again", 10)


@in_every_mode
def test_renaming_waits_for_the_health_check(mode, delivery):
    """The first check of a renamed cluster takes its time; until then the routes stay where they are."""
    with site_of("slow_check", mode, delivery) as site:
        blue = site.backend("blue")
        web = service("blue", blue)
        first = ingress_route("first", "b.example", route("/", checked(
            "blue", "/delay/400", unhealthyThresholdCount=1, healthyThresholdCount=23)))
        second = ingress_route("second", "a.example", route("/", checked(
            "blue", "/delay/400", unhealthyThresholdCount=12, healthyThresholdCount=3)))
        site.publish("all.yaml", web + first)
        site.wait_for("b.example", "/", "blue")
        with SteadyLoad(site.address, site.http_port, "b.example", per_second=100) as load:
            for number, objects in enumerate([second, "# nothing\n", second]):
                site.put("second.yaml", objects)
                wait_until(lambda: site.contour.metric('contour_core_contested_names{type="CDS"}') == (number + 1) % 2,
                           "the names", 10)
                load.until(load.total + 150)
        load.assert_clean()


@in_every_mode
def test_numbers_of_health_checks_stay_apart(mode, delivery):
    with site_of("numbers", mode, delivery) as site:
        blue = site.backend("blue")

        def numbers(unhealthy, healthy):
            return checked("blue", "/", unhealthyThresholdCount=unhealthy, healthyThresholdCount=healthy)
        site.publish("all.yaml", service("blue", blue) + ingress_route(
            "numbers", "a.example", route("/one", numbers(1, 23)), route("/two", numbers(12, 3))))
        site.wait_for("a.example", "/one", "blue")
        site.wait_for("a.example", "/two", "blue")
        checks = [cluster["health_checks"][0] for cluster in clusters_in_envoy(site).values() if "health_checks" in cluster]
        assert sorted((check["unhealthy_threshold"], check["healthy_threshold"]) for check in checks) == [(1, 23), (12, 3)]
