//go:build !rocksdb

package main

const rocksMissing = "rocksdb: not built in; install librocksdb-dev and build with -tags rocksdb"

var newRocksPeer func(folder string) peer
