package engine

import (
	"fmt"
	"reflect"
)

// Side names a side output and its type. Declare it as a constant: const review engine.Side[Payment] = "review".
type Side[T any] string

func sideName[T any](tag Side[T]) string {
	return "side." + string(tag) + "." + reflect.TypeFor[T]().String()
}

// NewSide declares a side output of the operator. Records that nothing takes through [SideOutput] are dropped and
// counted.
func NewSide[T any](s *Setup, tag Side[T]) Out[T] {
	s.declare("side output", "side."+string(tag))
	name := sideName(tag)
	if s.checking() {
		label := fmt.Sprintf("side output %q", string(tag))
		s.node.output(name, s.timed).label = label
		s.tell("%s: %s", label, reflect.TypeFor[T]())
		return Out[T]{}
	}
	for _, p := range s.node.out {
		if p.name == name {
			return Out[T]{to: makeOutlet[T](s.op.st, p), now: &s.op.ctx.time}
		}
	}
	panic(declarationError{fmt.Errorf("%s: side output %q was not declared when the graph was checked", s.node.label(), string(tag))})
}
