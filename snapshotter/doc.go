// Package snapshotter makes state durable and brings it back: delta files, the checkpoints that name them, retention,
// verification, restore.
//
//	meta.Cut ──► Pending ──► packer ──► <job>-<attempt>-<checkpoint>.delta      1 write  2 sync  3 sync directory
//	               │                          ▲  ▲
//	               └──► chk-<id>/_metadata ───┘  │ names the whole chain        4 mkdir  5 write, sync
//	                         6 rename  7 sync    │
//	                                └── the commit point
//	meta.Loader ◄── Checkpoint ◄── Load, Dir.Latest: newest lines first, each block verified before use
//
// A [Dir] owns a job's directory under a lock and is the only one who writes there. A [Checkpoint] is read-only and needs
// no lock. A checkpoint's chain is the list of delta files that together hold every line of every page; a whole
// checkpoint starts a new chain.
//
// A chain stays short without being read: the stores are asked to carry old pages and lines in their next cuts, and files
// that hold nothing needed any more are dropped.
//
//	sweep   whole pages, stretch by stretch, as much as is written fresh: older than one turn is dead
//	fold    the lines that eight small files still hold: they become one
//
// What is dropped depends on what has arrived in committed files, never on what was asked.
//
// What holds at every moment, whatever fails:
//
//   - a _metadata file that can be seen under its name is complete, and so is every file that it names;
//   - a data file is deleted only after the removal of every _metadata that names it is durable;
//   - checkpoint ids only grow.
//
// Lock order: Dir.publish before Dir.mu, Pending.mu before neither. Only Dir.publish is held across I/O: steps 6 and 7
// of the order, so that [Dir.Revoke] can wait for them.
//
// Reading order: format.go, pack.go, index.go, root.go, dir.go, pending.go, publish.go, retire.go, load.go, datafile.go,
// checkpoint.go, live.go, verify.go, import.go, savepoint.go; clean.go, sweep.go, fold.go, lineset.go.
package snapshotter
