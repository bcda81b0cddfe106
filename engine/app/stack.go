package app

import (
	"errors"
	"strings"

	"github.com/pagetide/pagetide/engine"
)

// stackOf is where a panic has come from, the innermost call first; empty for any other error.
func stackOf(err error) string {
	op, ok := errors.AsType[*engine.OperatorError](err)
	if !ok || len(op.Stack) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(op.Stack)), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") { // before it lies what caught it, and after it the line where the runtime has that
			return strings.Join(lines[min(i+2, len(lines)):], "\n")
		}
	}
	return strings.Join(lines[1:], "\n") // behind the goroutine's number
}

// indented is a stack below the sentence that it belongs to.
func indented(stack string) string {
	if stack == "" {
		return ""
	}
	return "\n  " + strings.ReplaceAll(stack, "\n", "\n  ")
}
