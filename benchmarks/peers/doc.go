// Package peers holds the benchmarks that run Pagetide beside other programs' ways of doing the same. It is a module of
// its own, so that no peer is ever a dependency of Pagetide.
//
//	state   keyed state beside Go's map, Pebble, Badger, bbolt and RocksDB
//	engine  pipelines beside hand-written loops, go-streams, goka and Benthos
//	plot    draws the pictures in benchmarks/ from what state measured
//	result  what goes between them
package peers
