// Package file reads and writes files: JSON Lines and CSV sources, and sinks of both that are exactly-once.
//
//	file, stdin, embedded ── gunzip ── rows ── decode ── batch          content.go pump.go rows.go jsonlines.go csv.go
//	                                    │
//	                                    └ position "offset=4711,line=120": the start of the next row, in decoded bytes
//
//	Write ──> .part-…  ── Prepare: sync ──> handle in the checkpoint ── Commit: rename ──> part-….jsonl, .csv    sink.go
//	          hidden                                                                       visible
//
// A source is one split. Gzip is told by its first bytes, not by the file's name. Standard input, pipes and devices can
// be read once only: they take part in checkpoints, but a job cannot go back to one of theirs.
//
// Rows that cannot be decoded end the job with a [RowError], or are skipped and counted: see [OnError].
//
// In a sink's directory, committed rows, and nothing else, are in files named part-*.jsonl or part-*.csv; every other file that it
// makes starts with a dot.
//
// Read the files in this order: position.go, content.go, pump.go, rows.go, reader.go, jsonlines.go, csv.go; then
// folder.go, sinknames.go, sink.go, sinkwriter.go, encoder.go, csvsink.go.
package file
