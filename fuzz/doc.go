// Package fuzz holds the fuzz targets that use several packages through their exported doors, and nothing else.
//
//	bytes ──► config, ops ──► sim ──► tables ──► mmapstate.Store         compared after every step
//	                           │         └─────► Go maps and slices      ◄──┘
//	                           └────► snapshotter.Dir over vfs.Mem       a restored store equals the maps at the barrier
//
// FuzzState is the model of the whole stand-alone part. The other targets give hostile bytes to whoever reads bytes:
// FuzzMetadata, FuzzDeltaFile, FuzzRoot, FuzzIndex, FuzzBlock, FuzzPages, FuzzSource. What must hold for those: an error or
// a *mmapstate.Failure, no panic of another kind, no memory beyond a small multiple of the input, and an end.
//
// Reading order: op_test.go, world_test.go, book_test.go, list_test.go, nest_test.go, index_test.go, tables_test.go,
// tap_test.go, sim_test.go, state_test.go, corpus_test.go; then a file per target.
package fuzz
