# SPDX-License-Identifier: Apache-2.0
"""The check of the rooms can fail: each case is a small tree with one breach, and says what must be found."""
import pathlib

import check_rooms
import pytest

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"
CMAKE_LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"

# name, file, text, the line and a part of the rule that must be reported (None: clean)
CASES = [
    ("clean", "src/graph/a.cc", LICENCE + '#include "graph/model/a.h"\n#include "api/object.h"\n#include <vector>\n', None),
    ("wrong_room", "src/api/a.cc", LICENCE + '#include "graph/a.h"\n', (2, "api/ may not include graph/")),
    ("xds_knows_no_kinds", "src/xds/a.h", LICENCE + '\n#include "api/ingress.h"\n', (3, "xds/ may not include api/")),
    ("folder_below", "src/xds/session/a.h", LICENCE + '#include "xds/snapshot/a.h"\n', None),
    ("folder_above", "src/xds/session/a.h", LICENCE + '#include "xds/fleet/a.h"\n', (2, "session/ may not include")),
    ("folder_in_test", "src/xds/session/a_test.cc", LICENCE + '#include "xds/fleet/a.h"\n', None),
    ("unknown_folder", "src/xds/attic/a.h", LICENCE + '#include "xds/fleet/a.h"\n', (2, "table of folders")),
    ("nothing_knows_cmd", "src/kube/a.cc", LICENCE + '#include "cmd/serve.h"\n', (2, "nothing may include cmd/")),
    ("only_the_model", "src/envoy/a.cc", LICENCE + '#include "graph/engine/engine.h"\n', (2, "only graph/model/*.h")),
    ("model", "src/envoy/a.cc", LICENCE + '#include "graph/model/route.h"\n', None),
    ("folder_below", "src/graph/engine/a.cc", LICENCE + '#include "graph/model/a.h"\n#include "graph/engine/b.h"\n', None),
    ("folder_above", "src/graph/engine/a.h", LICENCE + '#include "graph/policy/a.h"\n',
     (2, "graph/engine/ may not include graph/policy/ (inside the room it may: model)")),
    ("folder_of_nobody", "src/graph/attic/a.h", LICENCE + '#include "graph/model/a.h"\n', (2, "not in the table of folders")),
    ("folder_of_a_sibling", "src/graph/kinds/ingress/a.cc", LICENCE + '#include "graph/kinds/ingressroute/a.h"\n',
     (2, "graph/kinds/ingress/ may not include graph/kinds/ingressroute/")),
    ("folder_of_the_table", "src/graph/kinds/ingress/a.cc", LICENCE + '#include "graph/kinds/kinds.h"\n',
     (2, "graph/kinds/ingress/ may not include graph/kinds/")),
    ("table_of_folders", "src/graph/kinds/kinds.cc", LICENCE + '#include "graph/kinds/ingress/a.h"\n', None),
    ("folder_in_test", "src/graph/policy/a_test.cc", LICENCE + '#include "graph/kinds/kinds.h"\n', None),
    ("graph_grpc", "src/graph/a.h", LICENCE + "#include <grpcpp/grpcpp.h>\n", (2, "gRPC")),
    ("graph_thread", "src/graph/a.cc", LICENCE + "#include <thread>\n", (2, "pure")),
    ("graph_socket", "src/graph/a.cc", LICENCE + "#include <sys/socket.h>\n", (2, "pure")),
    ("graph_clock", "src/graph/a.cc", LICENCE + "auto t = std::chrono::steady_clock::now();\n", (2, "steady_clock")),
    ("graph_time", "src/graph/a.cc", LICENCE + "auto t = std::time(nullptr);\n", (2, "std::time")),
    ("graph_tm", "src/graph/a.cc", LICENCE + "#include <ctime>\nstd::tm expiry{};\n", None),
    ("clock_in_comment", "src/graph/a.cc", LICENCE + "// no steady_clock here\n", None),
    ("clock_in_test", "src/graph/a_test.cc", LICENCE + "#include <thread>\nsteady_clock::now();\n", None),
    ("pb_in_header", "src/envoy/a.h", LICENCE + '#include "envoy/config/route/v3/route.pb.h"\n', (2, "forward-declare")),
    ("pb_in_source", "src/envoy/a.cc", LICENCE + '#include "envoy/config/route/v3/route.pb.h"\n', None),
    ("pb_in_graph", "src/graph/a.cc", LICENCE + '#include "envoy/config/route/v3/route.pb.h"\n', (2, "protobuf")),
    ("curl_in_base", "src/base/a.cc", LICENCE + "#include <curl/curl.h>\n", (2, "curl")),
    ("lock", "src/status/a.h", LICENCE + "#include <mutex>\nstd::mutex mutex_;\n", (3, "contour::Mutex")),
    ("lock_in_test", "src/status/a_test.cc", LICENCE + "std::mutex mutex;\n", None),
    ("lock_in_base", "src/base/mutex.h", LICENCE + "std::mutex mutex;\n", None),
    ("once_is_no_lock", "src/status/a.cc", LICENCE + "#include <mutex>\nstd::once_flag once;\n", None),
    ("unknown_room", "src/attic/a.cc", LICENCE, (1, "not in the table")),
    ("no_licence", "src/base/a.cc", "int a;\n", (1, "SPDX")),
    ("machine_path", "docs/a.md", "see /wor" + "k/main\n", (1, "machine")),
    ("link_room", "src/api/CMakeLists.txt", CMAKE_LICENCE + "contour_room(api\n  ROOMS base kube)\n", (3, "link kube/")),
    ("link_library", "src/graph/CMakeLists.txt",
     CMAKE_LICENCE + "contour_room(graph\n  ROOMS base api\n  LIBS PkgConfig::grpcpp)\n", (4, "link gRPC")),
    ("link_clean", "src/graph/CMakeLists.txt",
     CMAKE_LICENCE + "contour_room(graph\n  ROOMS base api\n  LIBS absl::status\n  TEST_LIBS yaml-cpp)\n", None),
]


@pytest.mark.parametrize("path, text, want", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_breach(tmp_path, path, text, want):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    found = [(str(where), number, rule) for where, number, rule in check_rooms.breaches(tmp_path)]
    if want is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0][0] == path
        assert found[0][1] == want[0]
        assert want[1] in found[0][2]


def test_exit_code_and_output(tmp_path, capsys):
    file = tmp_path / "src/graph/a.cc"
    file.parent.mkdir(parents=True)
    file.write_text(LICENCE + "#include <mutex>\n")
    assert check_rooms.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("src/graph/a.cc:2: graph/ is pure")


def test_page_shows_the_table():
    page = pathlib.Path(__file__).parent.parent / "docs" / "architecture.md"
    assert check_rooms.table() in page.read_text(), "run tools/check_rooms.py --table and put it into the page"
