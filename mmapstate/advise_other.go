//go:build !linux && !heaparena

package mmapstate

func adviseHuge([]byte)   {}
func adviseUnused([]byte) {}
