# cdss_folder(NAME USES lib... PROGRAMS main...)
#
# One static library per folder, of every .c file in it but the programs' mains. A folder sees its
# own headers and those of the folders that it names in USES, and no others: that is how the
# compiler enforces the layering of docs/architecture.md.
function(cdss_folder name)
    cmake_parse_arguments(FOLDER "" "" "USES;PROGRAMS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    foreach(program ${FOLDER_PROGRAMS})
        list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${program})
    endforeach()
    add_library(${name} STATIC ${sources})
    add_dependencies(${name} version_header)
    target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}
                               PRIVATE ${CMAKE_BINARY_DIR}/generated)
    target_link_libraries(${name} PUBLIC ${FOLDER_USES})
endfunction()
