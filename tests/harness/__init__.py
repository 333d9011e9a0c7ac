# SPDX-License-Identifier: Apache-2.0
"""The parts that the end-to-end tests, the demo and the benchmarks need: a network namespace, a real API server, a real Envoy,
echo backends, contour itself, and clients that measure. Nothing here knows pytest; tests/e2e/conftest.py has the
fixtures."""
