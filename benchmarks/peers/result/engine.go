package result

// Engine is one run of the engine benchmark: everything in it was measured side by side.
type Engine struct {
	Machine   Machine
	Results   []Named
	Rates     []Rate
	Latencies []Latency
	Skipped   []string // what was left out, and why
}

// Rate is one way of running a pipeline. Numbers are medians over the rounds.
type Rate struct {
	Pipeline, Name string
	Version, Text  string  // of a peer, and what it guarantees
	PerSecond      float64 // records a second of time that passed
	PerCore        float64 // records a second of processor time, of all threads
	Cores          float64 // processor time over time that passed
	Allocs         float64 // per record
	State          int64   // bytes of pages, of the engine's jobs
	Records        int64   // of all rounds
	Rounds         []float64
}

// Latency is from the time at which a record was due to the time at which its result was seen. Numbers are medians over the
// rounds, in microseconds.
type Latency struct {
	Pipeline, Name        string
	Rate                  float64 // records a second
	P50, P99, P9999, Most float64
	Records               int64
}

// ReadEngine reads a run from a JSON file.
func ReadEngine(path string) (r Engine, err error) {
	err = read(path, &r)
	return r, err
}

// Write writes a run to a JSON file.
func (r Engine) Write(path string) error { return write(path, r) }
