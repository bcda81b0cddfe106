//go:build !(amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le)

package mmapstate

// Pages are little-endian images with 8-byte words: another machine would read other values out of them.
var _ = pagetide_needs_a_64_bit_little_endian_machine
