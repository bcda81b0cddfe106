package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMisuseDoesNotCompile type-checks bad programs. Each has a comment "// error: text" at the line where the compiler
// must stop its author, with that text, and nowhere else.
func TestMisuseDoesNotCompile(t *testing.T) {
	c := newChecker(t)
	const shared = "testdata/misuse/payments.go"
	files, err := filepath.Glob("testdata/misuse/*.go")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d programs (%v)", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".go"), func(t *testing.T) {
			if path == shared {
				c.check(t, shared)
				return
			}
			c.check(t, shared, path)
			if len(marks(t, path, "// error: ")) != 1 {
				t.Error("want one marked line")
			}
		})
	}
}

// checker type-checks files against the packages as they are built.
type checker struct {
	fset *token.FileSet
	from types.Importer
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	exports := exportData(t)
	fset := token.NewFileSet()
	return &checker{fset, importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
}

// exportData says where the compiler's export data of package engine, of app and file, and of all that they import lies.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export", ".", "./app", "./connect/file").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	at := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return at
		} else if err != nil {
			t.Fatal(err)
		}
		at[p.ImportPath] = p.Export
	}
}

// check reports what differs between the errors of a package and the marks in its files.
func (c *checker) check(t *testing.T, paths ...string) {
	t.Helper()
	want := map[string]string{}
	var files []*ast.File
	for _, path := range paths {
		f, err := parser.ParseFile(c.fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		maps.Copy(want, marks(t, path, "// error: "))
	}
	said := map[string]bool{}
	conf := types.Config{Importer: c.from, Error: func(err error) {
		line := lineOf(err)
		switch text, ok := want[line]; {
		case !ok:
			t.Errorf("unexpected: %v", err)
		case !strings.Contains(err.Error(), text):
			t.Errorf("%v\nwant an error with %q", err, text)
		}
		said[line] = true
	}}
	conf.Check("misuse", c.fset, files, nil) // its error is the first of those above
	for line, text := range want {
		if !said[line] {
			t.Errorf("%s compiles, want an error with %q", line, text)
		}
	}
}

// lineOf is where an error is: file:line.
func lineOf(err error) string {
	e, _ := errors.AsType[types.Error](err)
	p := e.Fset.Position(e.Pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// marks are the texts of a file's comments of one kind, by file:line.
func marks(t *testing.T, path, comment string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	marks, no := map[string]string{}, 0
	for line := range strings.Lines(string(b)) {
		no++
		if _, text, ok := strings.Cut(line, " "+comment); ok {
			marks[fmt.Sprintf("%s:%d", path, no)] = strings.TrimSpace(text)
		}
	}
	return marks
}
