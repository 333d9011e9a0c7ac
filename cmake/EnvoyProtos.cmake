# SPDX-License-Identifier: Apache-2.0
# envoy_protos: Envoy's v3 API, generated once from the pinned Python package and compiled once. It is compiled without
# warnings, sanitizers or a unity build (file-level statics clash), and with ccache.

set(CONTOUR_PROTOS_FROM "" CACHE PATH
    "build folder whose compiled envoy_protos is used instead of compiling it again (other compilers, sanitizers)")
if(CONTOUR_PROTOS_FROM)
  if(NOT EXISTS ${CONTOUR_PROTOS_FROM}/libenvoy_protos.a)
    message(FATAL_ERROR "no libenvoy_protos.a in ${CONTOUR_PROTOS_FROM}: build the preset 'dev' first")
  endif()
  add_library(envoy_protos STATIC IMPORTED)
  set_target_properties(envoy_protos PROPERTIES
    IMPORTED_LOCATION ${CONTOUR_PROTOS_FROM}/libenvoy_protos.a
    INTERFACE_INCLUDE_DIRECTORIES ${CONTOUR_PROTOS_FROM}/envoy_protos)
  target_link_libraries(envoy_protos INTERFACE protobuf::libprotobuf PkgConfig::grpcpp)
  return()
endif()

set(CONTOUR_PYTHON "$ENV{HOME}/.cache/contour-dev/venv/bin/python3" CACHE FILEPATH
    "Python with the package xds-protos (./dev setup makes it)")
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
find_program(PROTOC protoc REQUIRED)
if(NOT EXISTS ${CONTOUR_PYTHON})
  message(FATAL_ERROR "no Python environment at ${CONTOUR_PYTHON}: run './dev setup', or set CONTOUR_PYTHON")
endif()

set(envoy_protos_dir ${CMAKE_BINARY_DIR}/envoy_protos)
set(envoy_protos_stamp ${envoy_protos_dir}/generated.txt)
set(envoy_protos_inputs ${CMAKE_SOURCE_DIR}/cmake/envoy_protos.txt ${CMAKE_SOURCE_DIR}/tools/envoy_protos.py)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${envoy_protos_inputs})

set(envoy_protos_fresh TRUE)
foreach(input ${envoy_protos_inputs})
  if(NOT EXISTS ${envoy_protos_stamp} OR ${input} IS_NEWER_THAN ${envoy_protos_stamp})
    set(envoy_protos_fresh FALSE)
  endif()
endforeach()
if(NOT envoy_protos_fresh)
  message(STATUS "generating Envoy's v3 API")
  execute_process(
    COMMAND ${CONTOUR_PYTHON} ${CMAKE_SOURCE_DIR}/tools/envoy_protos.py ${CMAKE_SOURCE_DIR}/cmake/envoy_protos.txt
            ${envoy_protos_dir} ${PROTOC} ${GRPC_CPP_PLUGIN}
    OUTPUT_VARIABLE generated COMMAND_ERROR_IS_FATAL ANY)
  file(WRITE ${envoy_protos_stamp} "${generated}")
endif()
file(STRINGS ${envoy_protos_stamp} envoy_protos_sources)

add_library(envoy_protos STATIC ${envoy_protos_sources})
target_include_directories(envoy_protos SYSTEM PUBLIC ${envoy_protos_dir})
target_compile_options(envoy_protos PRIVATE -w -g0 $<$<BOOL:${CONTOUR_COMPACT}>:-Os>)
target_link_libraries(envoy_protos PUBLIC protobuf::libprotobuf PkgConfig::grpcpp)
