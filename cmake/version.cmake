# The version and the commit stand in every binary (--version). The commit is read again at every
# build, by a custom target, so that an old build directory never claims a new commit.
set(CDSS_VERSION_HEADER ${CMAKE_BINARY_DIR}/generated/build_id.h)
add_custom_target(version_header
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
            -DOUTPUT=${CDSS_VERSION_HEADER} -P ${CMAKE_SOURCE_DIR}/cmake/write_version.cmake
    BYPRODUCTS ${CDSS_VERSION_HEADER}
    COMMENT "Reading the commit"
    VERBATIM)
