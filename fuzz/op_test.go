package fuzz

import (
	"fmt"
	"strings"
)

// op is one step of FuzzState: four bytes, so that a mutation stays within a step.
type op struct{ kind, a, b, c byte }

const (
	configBytes = 8
	opBytes     = 4
	maxOps      = 400

	actions   = 16                   // of a table
	firstCtrl = tableCount * actions // kinds from here on are controls
	perCtrl   = (256 - firstCtrl) / int(ctrlCount)
)

// control is what a step does beside using a table.
type control int

const (
	ctrlTick    control = 0
	ctrlExpire  control = 1
	ctrlFreeze  control = 2
	ctrlGather  control = 3
	ctrlCommit  control = 4
	ctrlAbort   control = 5
	ctrlRestore control = 6
	ctrlEvict   control = 7
	ctrlKeep    control = 8 // Maintain
	ctrlCarry   control = 9
	ctrlCheck   control = 10
	ctrlCompare control = 11
	ctrlCount   control = 12
)

var ctrlNames = [ctrlCount]string{"tick", "expire", "freeze", "gather", "commit", "abort", "restore", "evict", "maintain", "carry", "check", "compare"}

// control tells which one a step is.
func (o op) control() (control, bool) {
	n := (int(o.kind) - firstCtrl) / perCtrl
	return control(min(n, int(ctrlCount)-1)), int(o.kind) >= firstCtrl
}

func (o op) table() int  { return int(o.kind) % tableCount }
func (o op) action() int { return int(o.kind) / tableCount }

// String is a line of a failure's report.
func (o op) String() string {
	if c, ok := o.control(); ok {
		return fmt.Sprintf("%s %d %d %d", ctrlNames[c], o.a, o.b, o.c)
	}
	return fmt.Sprintf("%s action %d: %d %d %d", tableNames[o.table()], o.action(), o.a, o.b, o.c)
}

func useTable(table, action int, a, b, c byte) op {
	return op{byte(action*tableCount + table), a, b, c}
}

func useControl(n control, a, b, c byte) op { return op{byte(firstCtrl + int(n)*perCtrl), a, b, c} }

// script is what bytes decode to.
type script struct {
	config [configBytes]byte
	ops    []op
}

func parse(b []byte) (s script) {
	n := copy(s.config[:], b)
	for b = b[n:]; len(b) >= opBytes && len(s.ops) < maxOps; b = b[opBytes:] {
		s.ops = append(s.ops, op{b[0], b[1], b[2], b[3]})
	}
	return s
}

func (s script) bytes() []byte {
	b := s.config[:]
	for _, o := range s.ops {
		b = append(b, o.kind, o.a, o.b, o.c)
	}
	return b
}

func (s script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "config %v: %+v\n", s.config, s.settings())
	for i, o := range s.ops {
		fmt.Fprintf(&b, "%4d  %v\n", i, o)
	}
	return b.String()
}
