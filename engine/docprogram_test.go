package engine_test

import (
	"go/ast"
	"go/parser"
	"go/types"
	"os"
	"strings"
	"testing"
)

// TestDocumentedProgramCompiles type-checks the program in the package's comment.
func TestDocumentedProgramCompiles(t *testing.T) {
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(comment), "//\tpackage main\n")
	if !ok {
		t.Fatal("the package's comment has no program")
	}
	program := "package main\n"
	for line := range strings.Lines(rest) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			program += code
		} else if line == "//\n" {
			program += "\n"
		} else {
			break
		}
	}
	c := newChecker(t)
	f, err := parser.ParseFile(c.fset, "program.go", program, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	conf := types.Config{Importer: c.from, Error: func(err error) { t.Error(err) }}
	conf.Check("main", c.fset, []*ast.File{f}, nil) // its error is the first of those above
}
