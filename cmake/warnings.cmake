# One place for the compiler's flags.
add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes
                    -Wvla -fno-common -fstack-protector-strong)
if(CDSS_WERROR)
    add_compile_options(-Werror)
endif()
if(CDSS_SANITIZE)
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
else()
    add_compile_options($<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
endif()
if(CDSS_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
