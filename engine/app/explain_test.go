package app

import (
	"os"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	w := newWorld(t)
	w.expect(0, "", "explain", "-D", "parallelism.default=3", "keyed")
	for _, want := range []string{"job \"keyed\"\n\ntask 1, 3 subtasks\n", `window "count", of 1 by key int64: tumbling 1h0m0s`} {
		if !strings.Contains(w.stdout.String(), want) {
			t.Errorf("stdout\n%s\ndoes not say %q", w.stdout, want)
		}
	}
	w.expect(0, "", "explain", "--mermaid", "count", "--deep")
	if want := "flowchart LR\n  subgraph task1"; !strings.HasPrefix(w.stdout.String(), want) || w.args != "rate=0 output=made-up deep=true" {
		t.Errorf("with %s stdout is\n%s", w.args, w.stdout)
	}
	w.expect(2, "is not used", "explain", "unused")
	w.expect(2, "explain needs a job", "explain")
	w.expect(2, "count", "explain", "cuont")
	w.expect(2, "deepp", "explain", "count", "--deepp")
	w.expect(2, "belongs to explain, so it goes before count", "explain", "count", "--mermaid")
	w.expect(1, "none.csv", "explain", "unbuilt")
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("explain has left %v, %v", left, err)
	}
}
