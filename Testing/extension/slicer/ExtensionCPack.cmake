# Slicer makes the package here; the stand-in only notes that the extension came so far.
file(WRITE "${CMAKE_BINARY_DIR}/packaged.txt" "")
