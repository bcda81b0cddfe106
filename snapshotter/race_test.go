//go:build race

package snapshotter

func init() { underRace = true }
