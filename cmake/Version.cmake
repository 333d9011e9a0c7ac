# SPDX-License-Identifier: Apache-2.0
# The version of the program, its package and its image, from git: see GitVersion.cmake.
#
# It is found at each build, not only when CMake runs. Only the source file that has it is compiled again when it changes.

set(contour_version_source ${CMAKE_BINARY_DIR}/version/version_text.cc)
add_custom_target(contour_version_text
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DBASE=${PROJECT_VERSION} -DOUTPUT=${contour_version_source}
          -P ${CMAKE_SOURCE_DIR}/cmake/GitVersion.cmake
  BYPRODUCTS ${contour_version_source} COMMENT "" VERBATIM)

add_library(contour_version STATIC ${contour_version_source})
target_include_directories(contour_version PRIVATE ${CMAKE_SOURCE_DIR}/src)
add_dependencies(contour_version contour_version_text)
