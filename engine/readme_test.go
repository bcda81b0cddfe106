package engine_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

type click struct{ User string }
type total struct {
	User string
	N    int64
}

func run(ctx context.Context, clicks engine.Source[click], out engine.Sink[total]) error {
	job := engine.NewJob("clicks")
	in := engine.From(job, "clicks", clicks)
	byUser := engine.KeyBy(in, func(c click) string { return c.User })
	totals := engine.Process(byUser, "count", func(s *engine.Setup) engine.Func[string, click, total] {
		n := engine.NewCell[int64](s, "n") // flat state: Ref is a pointer into the page
		return func(ctx *engine.Context, user string, c click, out engine.Out[total]) error {
			p := n.Ref(ctx)
			*p++
			out.Emit(total{user, *p})
			return nil
		}
	})
	engine.To(totals, "out", out)
	return job.Run(ctx, engine.Options{
		Checkpoints: engine.Checkpoints{Dir: readmeDir, Interval: time.Second},
		Restore:     engine.Resume(),
	})
}

var readmeDir string

// TestReadmeProgram runs the program in README and makes sure that it is the one above.
func TestReadmeProgram(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README has no Go program")
	}
	here, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(string(block[1]), `"/var/lib/clicks"`, "readmeDir")
	if !strings.Contains(string(here), want) {
		t.Error("the program in README differs from the one in readme_test.go")
	}
	readmeDir = t.TempDir()
	var last total
	err = run(t.Context(), engine.SliceSource(click{User: "ann"}, click{User: "ann"}),
		engine.SinkFunc(func(_ context.Context, batch []total) error {
			last = batch[len(batch)-1]
			return nil
		}))
	if err != nil || last.N != 2 {
		t.Errorf("last total %+v, %v", last, err)
	}
}
