package engine_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pagetide/pagetide/"

// mayImport is the one-way order of the packages: each may import those named, and nothing else of this module. A name
// that ends in /... stands for a family.
var mayImport = map[string][]string{
	"meta":                {},
	"mmapstate":           {"meta"},
	"snapshotter/vfs":     {"meta"},
	"snapshotter":         {"meta", "snapshotter/vfs"},
	"engine":              {"meta", "mmapstate", "snapshotter", "snapshotter/vfs", "engine/internal/sim"},
	"engine/internal/...": {},
	"engine/connect/...":  {"meta", "snapshotter/vfs", "engine"},
	"engine/enginetest":   {"meta", "snapshotter/vfs", "engine", "engine/internal/sim"},
	"engine/app":          {"meta", "mmapstate", "snapshotter", "snapshotter/vfs", "engine"},
}

// coreLibraries are the only modules, besides the standard library, that the core may import directly.
var coreLibraries = []string{
	"github.com/edsrzf/mmap-go",
	"github.com/RoaringBitmap/roaring/v2",
	"github.com/cespare/xxhash/v2",
	"golang.org/x/sys/",
	"github.com/fxamacker/cbor/v2", // the codec of values that are not flat
}

var core = []string{"meta", "mmapstate", "snapshotter", "snapshotter/vfs", "engine"}

// notInEngine must not be reached by an embedded job.
var notInEngine = []string{"net/http", "flag", "os/signal", "github.com/spf13/cobra", "encoding/gob"}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, ruled := rule(name)
		for _, imp := range p.Imports {
			own, ok := strings.CutPrefix(imp, module)
			switch {
			case ok && ruled && !slices.Contains(allowed, own):
				t.Errorf("%s imports %s, which the order of the packages forbids", name, own)
			case !ok && slices.Contains(core, name) && strings.Contains(imp, ".") && !isCoreLibrary(imp):
				t.Errorf("%s imports %s, which is none of the core's libraries", name, imp)
			}
		}
	}
}

func TestEngineReachesNoServerOrFlags(t *testing.T) {
	for _, p := range list(t, ".") {
		for _, bad := range notInEngine {
			if slices.Contains(p.Deps, bad) {
				t.Errorf("%s reaches %s", p.ImportPath, bad)
			}
		}
	}
}

func rule(name string) ([]string, bool) {
	if allowed, ok := mayImport[name]; ok {
		return allowed, true
	}
	for k, allowed := range mayImport {
		if family, ok := strings.CutSuffix(k, "..."); ok && strings.HasPrefix(name, family) {
			return allowed, true
		}
	}
	return nil, false
}

func isCoreLibrary(path string) bool {
	return slices.ContainsFunc(coreLibraries, func(l string) bool { return strings.HasPrefix(path+"/", strings.TrimSuffix(l, "/")+"/") })
}

func list(t *testing.T, pattern string) (all []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,Standard", pattern)
	if pattern != "." {
		cmd.Dir = ".."
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
