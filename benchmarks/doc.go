// Package benchmarks holds the project's own benchmarks: plain Go benchmarks, run by
//
//	go test -bench . ./benchmarks/...
//
// Speed is measured here and nowhere else; tests elsewhere assert what is right, not how fast it is. Results that are
// compared stand as lines RESULT <name> <value> <unit>.
package benchmarks
