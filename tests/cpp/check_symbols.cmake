# Fails if an object of one instruction set defines what the linker may take for another set's: a weak or unique symbol
# outside the set's own namespace. A processor that lacks the set would run it and stop.
foreach(object IN LISTS objects)
  execute_process(COMMAND ${nm} -C --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  if(NOT symbols MATCHES "iouloss::${namespace}::")
    message(FATAL_ERROR "${nm} names nothing of iouloss::${namespace} in ${object}")
  endif()
  string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" shared "${symbols}")
  # As it is, or mangled, where nm cannot read the name of a lambda in a lambda; DW.ref is a pointer, not code.
  list(FILTER shared EXCLUDE REGEX "iouloss::${namespace}::|_ZNK?7iouloss[0-9]+${namespace}|DW\\.ref\\.")
  if(shared)
    string(REPLACE ";" "\n" shared "${shared}")
    message(FATAL_ERROR "${object} shares with other instruction sets:\n${shared}")
  endif()
endforeach()
