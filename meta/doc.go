// Package meta holds what the other packages agree on: typed ids, the contracts between state and storage, the
// checkpoint's _metadata file, and the errors that callers branch on. It stores nothing itself.
//
//	mmapstate.Store                          snapshotter.Dir
//	     │  Freeze                                ▲
//	     ▼                                        │
//	meta.Cut ── Next: chunks of gathered lines ───┤  delta file, then _metadata
//	     ▲                                        │
//	     └────────── Done: the verdict ───────────┘
//
//	mmapstate.Open ◄── meta.Loader ◄── snapshotter.Checkpoint
//
// Neither side knows the other: a [Cut] carries frozen pages out of memory, a [Loader] brings them back.
//
// A page is 4 KiB of one shard's state and is divided into 64 lines of 64 bytes, so one uint64 names any set of its
// lines. A shard is one key group's state of one operator. Pages are numbered within their shard, from zero.
//
// Reading order: ids.go, cut.go, metadata.go, encode.go, decode.go, errors.go.
package meta
