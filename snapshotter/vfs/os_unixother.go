//go:build unix && !linux

package vfs

func renameNoReplace(from, to string) error { return renameByLink(from, to) }
