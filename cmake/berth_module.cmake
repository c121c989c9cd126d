# berth_add_module(NAME SOURCES a.cpp … [LINK lib …]): a shared object `NAME.so` with the exports of its sources, ready for
# `berth ship NAME.so --as team/name` or `berth ship --target NAME --build-dir build --as team/name`.
# Works in berth's own tree and behind find_package(berth CONFIG).
function(berth_add_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "berth_add_module(${name} …) needs SOURCES")
  endif()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "berth_add_module(${name} …): unknown arguments ${arg_UNPARSED_ARGUMENTS}; it takes SOURCES and LINK")
  endif()
  add_library(${name} MODULE ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE berth::module ${arg_LINK})
  set_target_properties(${name} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()
