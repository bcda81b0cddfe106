package engine

// MemoryShare is how the memory limit is shared out.
var MemoryShare = memoryShare
