package snapshotter

import "testing"

// underRace is set by race_test.go: the detector makes the exhaustive tests many times slower.
var underRace bool

// quick says whether the exhaustive tests take samples.
func quick() bool { return testing.Short() || underRace }
