// Package mmapstate keeps keyed state in memory-mapped pages, and lets a checkpoint take only the cache lines that
// changed.
//
//	CellMap  ValueMap  ListMap  NestedMap        typed states, over the untyped ones:
//	Cells    Bytes     Lists    Maps      Index  key → flat value, bytes, list, map; ordered (time, key)
//	   \      |          |       /         /
//	    Key.Group picks a shard     one goroutine owns a Store and all its shards
//	            |
//	  shard: pages 0..n-1           page 0: header; then roots, directories, buckets, slabs, runs, leaves
//	            |
//	  guard: mask[p] frozen[p]      which lines are dirty; which lines the open cut still needs unchanged
//	            |
//	  extents of 64 MiB regions     private anonymous memory, huge pages, never moved, no Go pointer inside
//
// A barrier is a [Store.Freeze]: it bumps one number. Each shard notices on its next lookup, and its masks become the
// frozen set. The first write to a frozen page copies the page's frozen lines out first (guard.go); [Store.Gather]
// copies the rest, a little at a time, to the [meta.Cut] that a writer goroutine drains.
//
// What must hold, always:
//
//   - A line is written only after its bit is set in mask, and a bit is set only after the page's frozen lines are saved.
//   - Everything needed to reopen a shard lies in pages under that same guard; the Go heap holds only caches.
//   - A page's first record in a chain has all its lines; so has its first record after it was freed and reused.
//   - An absent page is loaded and checked before anything reads it, and only pages that the newest committed checkpoint
//     has as they are become absent.
//
// A Store and its states belong to one goroutine. Only a Cut's Next, Release, Done and Shards may be called from another
// one. Between batches of work the owner calls [Store.Gather] and [Store.Maintain]; eviction and merging happen in Maintain only. A failed access (I/O, damage, memory) panics with a [*Failure] and poisons the store; see [Recovered].
//
// Reading order: options.go, store.go, guard.go, freeze.go, carry.go, cut.go, residency.go, preload.go, evict.go; then page.go, shard.go, free.go, husk.go, inspect.go; then
// the states: key.go, keyer.go, table.go, bucket.go, split.go, merge.go, directory.go, cells.go, blob.go, slab.go, bytes.go,
// lists.go, maps.go, mapentry.go, tree.go, treewrite.go, index.go; the typed ones: codec.go, form.go, cellmap.go,
// valuemap.go, listmap.go, nestedmap.go; time: ttl.go, expire.go, listttl.go, relayout.go; for programs without the types: view.go, viewread.go, entry.go, viewtext.go, viewcbor.go, viewkey.go, changes.go; last check.go, checkof.go, and invariants_on.go, which under -tags invariants
// finds a write that was not marked. testdata/mutate.go breaks the guard's rules one at a time and runs the tests.
package mmapstate
