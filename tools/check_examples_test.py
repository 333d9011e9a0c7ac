# SPDX-License-Identifier: Apache-2.0
"""Examples are found in the comments of headers, and the check can fail."""
import json

import check_examples

HEADER = """// Does things.
//
// Example, given `Loop& loop`,
// and `Lock& lock`:
//   Thing thing(loop,
//               lock);
//
//   a table            that is no code
#pragma once
namespace contour::things {
  // Example:
  //   thing.Do();
}
"""


def test_examples_are_found():
    first, second = check_examples.examples_of(HEADER)
    assert first.given == "Loop& loop, Lock& lock"
    assert first.code == ["Thing thing(loop,", "            lock);"]
    assert first.line == 5
    assert second.code == ["thing.Do();"]
    assert check_examples.examples_of("// For example:\n//   x\n// Examples:\n//   y\n") == []


def test_each_is_a_function_in_the_namespace_of_its_header():
    text = check_examples.translation_unit({"things/thing.h": HEADER})
    assert '#include "things/thing.h"' in text
    assert "namespace contour::things {" in text
    assert 'Example1(Loop& loop, Lock& lock) {\n#line 5 "src/things/thing.h"\nThing thing(loop,' in text
    assert 'Example2() {\n#line 12 "src/things/thing.h"\nthing.Do();' in text


def test_an_example_that_does_not_compile_is_an_error(tmp_path, monkeypatch, capsys):
    room = tmp_path / "src" / "base"
    room.mkdir(parents=True)
    (room / "a.cc").write_text("")
    (room / "status.h").write_text("namespace absl { struct Status {}; inline Status OkStatus() { return {}; } }\n")
    (tmp_path / "compile_commands.json").write_text(json.dumps([{
        "directory": str(tmp_path), "file": str(room / "a.cc"),
        "command": f"g++ -std=c++20 -I{tmp_path}/src -c {room}/a.cc -o a.o"}]))
    monkeypatch.setattr(check_examples, "ROOT", tmp_path)
    good = "#pragma once\n// Example:\n//   F();\nnamespace contour { inline void F() {} }\n"
    (room / "a.h").write_text(good)
    assert check_examples.main([str(tmp_path)]) == 0
    (room / "a.h").write_text(good.replace("//   F();", "//   G();"))
    assert check_examples.main([str(tmp_path)]) == 1
    assert "src/base/a.h:3" in capsys.readouterr().out
