package atomicfile

// CreateLocked makes the temporary file of a writer of path.
var CreateLocked = createLocked
