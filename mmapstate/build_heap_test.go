//go:build heaparena

package mmapstate

const raceBuild = true // under the race detector: fewer seeds
