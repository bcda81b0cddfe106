package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/engine"
)

func TestStackOf(t *testing.T) {
	const stack = "goroutine 7 [running]:\nruntime/debug.Stack()\n\t/go/debug/stack.go:26 +0x5e\nengine.run.func1()\n\t/engine/task.go:119 +0x1\n" +
		"panic({0x1, 0x2})\n\t/go/panic.go:860 +0x1\nmain.divide(...)\n\t/main.go:9\nmain.count(0x1)\n\t/main.go:5 +0x1d\n"
	const users = "main.divide(...)\n\t/main.go:9\nmain.count(0x1)\n\t/main.go:5 +0x1d"
	exits := "goroutine 7 [running]:\nmain.exits()\n\t/main.go:3\n"
	for _, e := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("plain"), ""},
		{&engine.OperatorError{UID: "op", Err: errors.New("returned")}, ""},
		{fmt.Errorf("attempt: %w", &engine.OperatorError{UID: "op", Err: errors.New("panic: x"), Stack: []byte(stack)}), users},
		{&engine.OperatorError{UID: "op", Err: errors.New("exits"), Stack: []byte(exits)}, "main.exits()\n\t/main.go:3"},
		{&engine.OperatorError{UID: "op", Err: errors.New("cut"), Stack: []byte("goroutine 7\npanic(1)")}, ""},
	} {
		if got := stackOf(e.err); got != e.want {
			t.Errorf("stack of %v:\n%s\nwant\n%s", e.err, got, e.want)
		}
	}
	if got := indented(users); strings.Count(got, "\n  ") != 4 {
		t.Errorf("indented: %q", got)
	}
}

// TestStackIsShown: where a job panics is told for each restart and at the end, in JSON too.
func TestStackIsShown(t *testing.T) {
	w := newWorld(t)
	once := []string{"-D", "restart-strategy.type=fixed-delay", "-D", "restart-strategy.fixed-delay.attempts=1", "-D", "restart-strategy.fixed-delay.delay=1ms", "panics"}
	w.expect(exitFailed, "panic: on the first record\n  github.com/pagetide/pagetide/engine/app.panicking(", append([]string{"run"}, once...)...)
	if n := strings.Count(w.stderr.String(), "app.panicking("); n != 2 {
		t.Errorf("%d stacks, want one of the restart and one of the end:\n%s", n, w.stderr)
	}
	w.expect(exitFailed, "app.panicking(", append([]string{"run", "--json", "--fresh"}, once...)...)
	if n := strings.Count(w.stdout.String(), `"stack":"github.com/pagetide/pagetide/engine/app.panicking(`); n != 2 {
		t.Errorf("%d stacks in JSON, want 2:\n%s", n, w.stdout)
	}
}
