# Compiles one case and demands that the compiler refuses it with all of `WORDS` (separated by |) in its message; an
# empty list demands that the case compiles.
#   cmake -DCOMPILER=g++ -DINCLUDE=… -DSOURCE=… -DCASE=1 -DWORDS=… -P refused_test.cmake
execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only -I${INCLUDE} -DCASE=${CASE} ${SOURCE}
  RESULT_VARIABLE status ERROR_VARIABLE said OUTPUT_QUIET)
if(WORDS STREQUAL "")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "case ${CASE} must compile, but ${COMPILER} says:\n${said}")
  endif()
  return()
endif()
if(status EQUAL 0)
  message(FATAL_ERROR "case ${CASE} must not compile, but ${COMPILER} accepts it")
endif()
string(REPLACE "|" ";" words "${WORDS}")
foreach(word ${words})
  string(FIND "${said}" "${word}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${COMPILER} refuses case ${CASE} without a word of \"${word}\":\n${said}")
  endif()
endforeach()
