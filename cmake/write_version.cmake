# A tree without a history of its own, unpacked somewhere inside of another, is not that one.
if(EXISTS "${SOURCE}/.git")
    execute_process(
        COMMAND git -c safe.directory=* -C "${SOURCE}" describe --always --dirty --exclude=*
        OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT COMMIT)
    set(COMMIT "unknown")
endif()
file(WRITE "${OUTPUT}.new"
     "#pragma once\n#define CDSS_VERSION \"${VERSION}\"\n#define CDSS_COMMIT \"${COMMIT}\"\n")
file(COPY_FILE "${OUTPUT}.new" "${OUTPUT}" ONLY_IF_DIFFERENT)
file(REMOVE "${OUTPUT}.new")
