# SPDX-License-Identifier: Apache-2.0
# Sets the variable VERSION to the version of the checkout in SOURCE; BASE is the version of project().
#
#   at the tag v0.1.0        0.1.0
#   12 commits after it      0.1.0+12.g1a2b3c4
#   no tag, or no git        BASE+g1a2b3c4, BASE
#
# A tree with changes gets `.dirty`. With OUTPUT (cmake -D… -P GitVersion.cmake) it writes the C++ source that has the
# version, if that changes anything.

find_program(GIT git)
set(VERSION ${BASE})
if(GIT AND EXISTS ${SOURCE}/.git)
  # git must read a folder of another user too (a mounted source tree).
  set(git ${GIT} -c safe.directory=* -C ${SOURCE})
  execute_process(COMMAND ${git} describe --tags --long --match "v[0-9]*" --abbrev=7
                  OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${git} rev-parse --short=7 HEAD
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${git} status --porcelain --untracked-files=no OUTPUT_VARIABLE changed ERROR_QUIET)
  set(extra "")
  if(described MATCHES "^v(.+)-([0-9]+)-(g[0-9a-f]+)$")
    set(VERSION ${CMAKE_MATCH_1})
    if(NOT CMAKE_MATCH_2 EQUAL 0)
      set(extra "${CMAKE_MATCH_2}.${CMAKE_MATCH_3}")
    endif()
  elseif(commit)
    set(extra "g${commit}")
  endif()
  if(changed)
    string(APPEND extra ".dirty")
  endif()
  string(REGEX REPLACE "^\\." "" extra "${extra}")
  if(extra)
    string(APPEND VERSION "+${extra}")
  endif()
endif()

if(OUTPUT)
  set(text "// Made by cmake/GitVersion.cmake.
#include \"cmd/version.h\"

namespace contour::cmd {
std::string_view ProgramVersion() { return \"${VERSION}\"; }
}  // namespace contour::cmd
")
  set(old "")
  if(EXISTS ${OUTPUT})
    file(READ ${OUTPUT} old)
  endif()
  if(NOT old STREQUAL text)
    file(WRITE ${OUTPUT} "${text}")
  endif()
endif()
