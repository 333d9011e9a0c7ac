# SPDX-License-Identifier: Apache-2.0
# For `cmake --install` and `cpack`: the program, the manifests that install it on a cluster, and the documents.

include(GNUInstallDirs)
set(CMAKE_INSTALL_DOCDIR ${CMAKE_INSTALL_DATAROOTDIR}/doc/contour-ingress)

# Documents that the program prints itself.
set(documents ${CMAKE_BINARY_DIR}/documents)
add_custom_command(
  OUTPUT ${documents}/contour.1 ${documents}/configuration-reference.md ${documents}/configuration-example.yaml
  COMMAND ${CMAKE_COMMAND} -E make_directory ${documents}
  COMMAND contour --help-man > ${documents}/contour.1
  COMMAND contour config --reference > ${documents}/configuration-reference.md
  COMMAND contour config --example > ${documents}/configuration-example.yaml
  DEPENDS contour VERBATIM)
add_custom_target(contour_documents ALL DEPENDS ${documents}/contour.1)
install(FILES ${documents}/contour.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${documents}/configuration-reference.md ${documents}/configuration-example.yaml
        DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(TARGETS contour RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/deploy/ DESTINATION ${CMAKE_INSTALL_DATADIR}/contour-ingress/deploy
        PATTERN image EXCLUDE)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md"
        PATTERN decisions EXCLUDE)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/CHANGELOG.md ${CMAKE_SOURCE_DIR}/SECURITY.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${CMAKE_SOURCE_DIR}/cmake/debian-copyright DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)

set(SOURCE ${CMAKE_SOURCE_DIR})
set(BASE ${PROJECT_VERSION})
set(OUTPUT "")
include(${CMAKE_SOURCE_DIR}/cmake/GitVersion.cmake)

set(CPACK_GENERATOR DEB)
# Debian's own package `contour` is a terminal emulator, whose program has the same name.
set(CPACK_PACKAGE_NAME contour-ingress)
set(CPACK_PACKAGE_VERSION ${VERSION})
set(CPACK_PACKAGE_VENDOR "Contour in C++")
set(CPACK_PACKAGE_CONTACT "The maintainers of Contour in C++ <maintainers@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGE_DESCRIPTION "Reads Services, EndpointSlices, Secrets, Ingresses and IngressRoutes from a Kubernetes API or
a folder of manifests, and serves what they mean to any number of Envoys over xDS v3.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONFLICTS contour)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
include(CPack)
