# CAF 0.17 as Debian packages it: no CMake package of its own, so the three libraries are found by name.
find_path(CAF_INCLUDE_DIR caf/all.hpp)
foreach(part core io openssl)
  find_library(CAF_${part}_LIBRARY caf_${part})
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(caf_debian REQUIRED_VARS CAF_INCLUDE_DIR CAF_core_LIBRARY CAF_io_LIBRARY CAF_openssl_LIBRARY)
if(caf_debian_FOUND AND NOT TARGET caf::io)
  add_library(caf::core UNKNOWN IMPORTED)
  set_target_properties(caf::core PROPERTIES IMPORTED_LOCATION ${CAF_core_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${CAF_INCLUDE_DIR})
  target_link_libraries(caf::core INTERFACE Threads::Threads)
  # An actor spawned without arguments makes CAF 0.17 dereference an empty shared_ptr to an empty tuple
  # (caf/detail/init_fun_factory.hpp): harmless, but the assertions of libstdc++ would end the process.
  target_compile_options(caf::core INTERFACE -U_GLIBCXX_ASSERTIONS)
  add_library(caf::io UNKNOWN IMPORTED)
  set_target_properties(caf::io PROPERTIES IMPORTED_LOCATION ${CAF_io_LIBRARY})
  target_link_libraries(caf::io INTERFACE caf::core)
endif()
