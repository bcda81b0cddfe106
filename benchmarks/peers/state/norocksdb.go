//go:build !rocksdb

package main

const (
	rocksdbSettings = ""
	rocksdbMissing  = "rocksdb: built without the tag rocksdb, because librocksdb-dev is not installed"
)

func newRocksDB(string, int) byteStore { return nil }
