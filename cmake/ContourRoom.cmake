# SPDX-License-Identifier: Apache-2.0
# A room is a folder of src/ with one static library. It links the rooms and libraries that docs/architecture.md
# allows it, and nothing else; tools/check_rooms.py checks the includes against the same table.
#
#   contour_room(graph
#     SOURCES engine.cc engine.h …
#     TESTS   engine_test.cc …          # one test program per room, found by ctest
#     BENCHES engine_bench.cc …         # one benchmark program per room
#     ROOMS   base api                  # other rooms
#     LIBS    absl::status …            # public: named in our headers
#     PRIVATE_LIBS …                    # only in our .cc files
#     TEST_LIBS …)

option(CONTOUR_WERROR "warnings are errors" ON)
set(CONTOUR_SANITIZE "" CACHE STRING "sanitizers over our own code: address,undefined or thread")

add_library(contour_options INTERFACE)
target_compile_options(contour_options INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Wcast-align
  -Wno-missing-field-initializers  # designated initialisers leave defaults out on purpose
  -Wunused -Wnull-dereference -Wformat=2 -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(contour_options INTERFACE -Wthread-safety)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these inside its own library at -O1 and above (gcc bugs 105329, 107852); clang has no such warning.
  target_compile_options(contour_options INTERFACE -Wno-restrict -Wno-null-dereference -Wno-maybe-uninitialized)
endif()
if(CONTOUR_WERROR)
  target_compile_options(contour_options INTERFACE -Werror)
endif()
if(CONTOUR_SANITIZE)
  target_compile_options(contour_options INTERFACE
    -fsanitize=${CONTOUR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(contour_options INTERFACE -fsanitize=${CONTOUR_SANITIZE})
endif()

function(contour_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;TESTS;BENCHES;ROOMS;LIBS;PRIVATE_LIBS;TEST_LIBS" ${ARGN})
  set(library contour_${name})
  list(TRANSFORM ROOM_ROOMS PREPEND contour_)
  if(ROOM_SOURCES)
    add_library(${library} STATIC ${ROOM_SOURCES})
    target_link_libraries(${library} PUBLIC ${ROOM_ROOMS} ${ROOM_LIBS} PRIVATE contour_options ${ROOM_PRIVATE_LIBS})
    target_include_directories(${library} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    set(linked ${library})
  else()
    set(linked ${ROOM_ROOMS} ${ROOM_LIBS} ${ROOM_PRIVATE_LIBS})
  endif()
  if(ROOM_TESTS AND BUILD_TESTING)
    add_executable(${name}_test ${ROOM_TESTS})
    target_link_libraries(${name}_test PRIVATE ${linked} ${ROOM_PRIVATE_LIBS} ${ROOM_TEST_LIBS} contour_options
                                               GTest::gmock GTest::gtest_main)
    target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR})
    include(GoogleTest)
    set(label unit)
    if(name MATCHES "^(fixtures|property)$")
      set(label ${name})
    endif()
    gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
                         PROPERTIES TIMEOUT 600 LABELS ${label})
  endif()
  if(ROOM_BENCHES AND benchmark_FOUND)
    add_executable(${name}_bench ${ROOM_BENCHES})
    target_link_libraries(${name}_bench PRIVATE ${linked} ${ROOM_PRIVATE_LIBS} ${ROOM_TEST_LIBS} contour_options
                                                benchmark::benchmark benchmark::benchmark_main)
    target_include_directories(${name}_bench PRIVATE ${CMAKE_SOURCE_DIR})
  endif()
endfunction()

# For rooms whose code rarely runs: in a compact program it is compiled for size rather than speed. To be called before contour_room.
macro(contour_for_size)
  if(CONTOUR_COMPACT)
    add_compile_options(-Os)
  endif()
endmacro()

# A libFuzzer target of a room: <room>_<name>_fuzz from SOURCE, only under the preset `fuzz`. Its corpus comes from
# tests/fuzz/corpus.py.
#
#   contour_fuzz(kube line_framer SOURCE line_framer_fuzz.cc LIBS PkgConfig::simdjson)
function(contour_fuzz room name)
  if(NOT CONTOUR_FUZZ)
    return()
  endif()
  cmake_parse_arguments(FUZZ "" "SOURCE" "LIBS" ${ARGN})
  set(target ${room}_${name}_fuzz)
  if(TARGET contour_${room})
    target_compile_options(contour_${room} PRIVATE -fsanitize=fuzzer-no-link)  # the coverage that steers the fuzzer
    list(PREPEND FUZZ_LIBS contour_${room})
  endif()
  add_executable(${target} ${FUZZ_SOURCE})
  target_link_libraries(${target} PRIVATE ${FUZZ_LIBS} contour_options)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
  target_link_options(${target} PRIVATE -fsanitize=fuzzer)
endfunction()
