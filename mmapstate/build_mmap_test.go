//go:build !heaparena

package mmapstate

const raceBuild = false
