package result

// Checkpoints is one run of the checkpoint benchmark: everything in it was measured side by side.
type Checkpoints struct {
	Machine  Machine
	Results  []Named
	Chain    []Link
	Pauses   []Pause
	Restores []Restore
	Peers    []Peer
	Skipped  []string // what was left out, and why
}

// Named is a number with the name by which others find it.
type Named struct {
	Name  string
	Value float64
	Unit  string
}

// Link is one checkpoint of a long run: what it wrote, and the chain that it left.
type Link struct {
	Written, Fresh int64 // bytes
	Stored, Live   int64 // bytes of the chain and of the pages
	Files          int
}

// Pause is what a checkpoint does to the batches beside it. Quantiles are in microseconds.
type Pause struct {
	Label         string
	StateBytes    int64
	Without, With Quantiles
	Ratio         float64 // p99 with to p99 without
	Checkpoints   int
}

// Quantiles are of batches.
type Quantiles struct {
	P50, P99, P9999, Most float64
	Batches               int
}

// Restore is how soon a restored job works, at one size of state.
type Restore struct {
	Label       string
	StateBytes  int64
	FirstRecord float64 // ms from the start to the first record
	FirstRounds []float64
	ColdKeyP50  float64 // us, of a key whose page is not in memory, but the file is
	ColdKeyP99  float64
	ColdFileP50 float64 // us, of a key whose file is not either
	ColdFileP99 float64
	Full        float64 // s until all of it is in memory and verified
	Disk        float64 // s to read the same files from end to end
	Cold        bool    // the system's cache of files was emptied before
}

// Peer is another way to keep state across a crash.
type Peer struct {
	Name, Version, Text string
	StateBytes          int64   // payload
	Checkpoint          float64 // s, after 100 k updates
	Written             int64   // bytes that it wrote for that
	Reopen              float64 // ms from a checkpoint to the first value
}

// ReadCheckpoints reads a run from a JSON file.
func ReadCheckpoints(path string) (r Checkpoints, err error) {
	err = read(path, &r)
	return r, err
}

// Write writes a run to a JSON file.
func (r Checkpoints) Write(path string) error { return write(path, r) }
