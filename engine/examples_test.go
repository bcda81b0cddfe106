package engine_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// graphTypes are what graphs are made of: who makes or takes one of these is part of the surface.
var graphTypes = regexp.MustCompile(`^(Stream|Keyed|Windowed|Source|Sink|Assigner|WindowOption|Watermark\w*|Times|Interval|StateOption|Setup)$`)

// TestTheSurfaceHasExamples: every operator, handle, window, source and sink has an Example, under its own name or, for New and
// a type, that of the type. Each Example has an output, so it runs.
func TestTheSurfaceHasExamples(t *testing.T) {
	fset := token.NewFileSet()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	shown, exported := map[string]bool{}, 0
	var sources []*ast.File
	for _, path := range paths {
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(path, "_test.go") {
			sources = append(sources, f)
			continue
		}
		for _, e := range doc.Examples(f) {
			if e.Output == "" && !e.EmptyOutput {
				t.Errorf("Example%s has no output", e.Name)
			}
			name, _, _ := strings.Cut(e.Name, "_")
			shown[name], shown[e.Name] = true, true
		}
	}
	for _, f := range sources {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() || fn.Recv != nil || !ofTheSurface(fn.Type) {
				continue
			}
			exported++
			if name := fn.Name.Name; !shown[name] && !shown[strings.TrimPrefix(name, "New")] {
				t.Errorf("%s has no Example", name)
			}
		}
	}
	if exported < 20 {
		t.Errorf("the surface has %d functions", exported)
	}
}

func ofTheSurface(fn *ast.FuncType) bool {
	found := false
	look := func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && graphTypes.MatchString(id.Name) {
			found = true
		}
		return !found
	}
	ast.Inspect(fn, look)
	return found
}
