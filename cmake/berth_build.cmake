# How every target of berth is compiled: language level, warnings, visibility, launcher and linker.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

find_program(BERTH_CCACHE ccache)
if(BERTH_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${BERTH_CCACHE})
endif()
find_program(BERTH_MOLD mold)
if(BERTH_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

include(GNUInstallDirs)
# Installed programs find libberth beside themselves, wherever the prefix lies.
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

# berth_library(NAME [SOURCES ...] [DEPENDS ...]): one folder of the house as a static, position-independent library.
# It sees the root of the tree ("runtime/base/x.hpp") and the public headers (<berth/x.hpp>), nothing else.
function(berth_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC ${arg_DEPENDS} PRIVATE ${arg_PRIVATE_DEPENDS})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}
      ${PROJECT_SOURCE_DIR}/runtime/include ${PROJECT_SOURCE_DIR}/gpu/include)
    berth_warnings(${name})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${arg_DEPENDS})
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR}
      ${PROJECT_SOURCE_DIR}/runtime/include ${PROJECT_SOURCE_DIR}/gpu/include)
  endif()
endfunction()

# g++ 12 warns of "a" + std::string (GCC bug 105651) and takes the alternatives of a std::variant that are not held for
# uninitialised ones, in the library's own headers.
function(berth_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wnon-virtual-dtor $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local>
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict;-Wno-maybe-uninitialized>
    $<$<CXX_COMPILER_ID:Clang>:-Wshadow;-Wno-undefined-var-template>)
endfunction()

# berth_program(NAME SOURCES ... DEPENDS ...): an executable of ours.
function(berth_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS})
  berth_warnings(${name})
endfunction()

# berth_test(FOLDER UNIT DEPENDS ... [SOURCES ...] [LABELS ...]): tests/FOLDER/UNIT_test.cpp as one gtest program.
# The label `decoder` marks tests that read bytes of strangers: they run under the address sanitizer as well.
function(berth_test folder unit)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  string(REPLACE "/" "_" flat ${folder})
  set(name ${flat}_${unit}_test)
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/${folder}/${unit}_test.cpp ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS} GTest::gmock GTest::gtest_main)
  berth_warnings(${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  math(EXPR limit "${arg_TIMEOUT} * ${BERTH_TEST_SLOWDOWN}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${limit} LABELS "${arg_LABELS};${flat}")
  if("decoder" IN_LIST arg_LABELS)
    add_dependencies(decoders ${name})
  endif()
endfunction()

# berth_bench(NAME SOURCES ... DEPENDS ...): a program of the figures, put into <build>/bench, found there by tools/bench;
# `benches` builds them all, and the programs they start.
function(berth_bench name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  if(NOT BERTH_BUILD_BENCH)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS} Threads::Threads)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  add_dependencies(benches ${name})
  berth_warnings(${name})
endfunction()
