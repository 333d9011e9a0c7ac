# SPDX-License-Identifier: Apache-2.0
"""The corpus of the fuzzer of whole manifests, loaded by a real Envoy in each delivery mode: whatever the
authors of objects write, it NACKs nothing. The fuzzer itself checks that the corpus crashes nothing and names nothing that
doesn't exist (tests/fuzz/objects_fuzz.cc)."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from conftest import LOGS, ROOT
from test_fixtures_in_envoy import Loader

pytestmark = pytest.mark.long

TARGET = "tests_objects_fuzz"
SAMPLE = int(os.environ.get("CONTOUR_FUZZ_SAMPLE", "300"))  # entries
CACHE = pathlib.Path(os.environ.get("CONTOUR_CACHE", pathlib.Path.home() / ".cache/contour-dev"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Some of what `./dev test fuzz` kept, by name, which is a hash; without that the seeds."""
    entries = sorted((CACHE / "fuzz" / TARGET).glob("*"))
    if not entries:
        folder = tmp_path_factory.mktemp("corpus")
        subprocess.run([sys.executable, ROOT / "tests/fuzz/corpus.py", folder], check=True)
        entries = sorted((folder / TARGET).iterdir())
    return entries[::max(1, len(entries) // SAMPLE)]


@pytest.mark.parametrize("delivery", ["classic", "sharded", "sharded-https"])
def test_envoy_takes_the_corpus(sample, delivery, figure):
    folder = pathlib.Path(LOGS) / f"fuzz_corpus_{delivery}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    loader = Loader(folder, "delta-ads", "--delivery", delivery)
    try:
        loader.load("")
        before = loader.envoy.rejections()
        clusters = loader.envoy.stat("cluster_manager.active_clusters")
        served = 0
        for entry in sample:
            # A file of its own, before that of the marker: bytes that are no YAML spoil only themselves.
            shutil.copy(entry, folder / "next")
            os.replace(folder / "next", loader.folder / "fuzz.yaml")
            loader.load("")
            after = loader.envoy.rejections()
            assert after == before, f"{entry}: {set(after.items()) - set(before.items())}\n{loader.envoy.tail()}"
            assert loader.contour.running and loader.envoy.running, entry
            served += loader.envoy.stat("cluster_manager.active_clusters") > clusters
        figure(f"entries of the fuzz corpus that gave clusters, {delivery}", served)
        assert served > len(sample) / 10, "the sample says nothing: hardly any entry gives a cluster"
    finally:
        loader.stop()
