# Writes down what the extension says of itself, an entry a line.
set(description "NAME ${PROJECT_NAME}\n")
foreach(entry IN ITEMS HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if(NOT DEFINED EXTENSION_${entry} OR EXTENSION_${entry} STREQUAL "")
    message(FATAL_ERROR "the extension has no EXTENSION_${entry}")
  endif()
  string(APPEND description "${entry} ${EXTENSION_${entry}}\n")
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/description.txt" "${description}")
