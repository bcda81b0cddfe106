package engine_test

import (
	"fmt"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// pages counts what a user has seen, page by page, and forgets a page that was not seen for an hour.
type pages struct {
	seen engine.CellMap[string, int64]
}

func newPages(s *engine.Setup) *pages {
	return &pages{seen: engine.NewCellMap[string, int64](s, "seen", engine.TTL(time.Hour))}
}

func (p *pages) OnRecord(ctx *engine.Context, user string, v visit, out engine.Out[string]) error {
	*p.seen.Ref(ctx, v.Page)++
	n, _ := p.seen.Get(ctx, v.Page)
	out.Emit(fmt.Sprint(user, " saw ", v.Page, " ", n, " times, of ", p.seen.Len(ctx), " pages"))
	return nil
}

func ExampleCellMap() {
	job := engine.NewJob("pages")
	byUser := visits(job, visit{"ann", "/", at(0)}, visit{"ann", "/a", at(1)}, visit{"ann", "/", at(2)})
	engine.To(engine.Process(byUser, "pages", newPages), "out", Print[string]())
	mustRun(job)
	// Output:
	// ann saw / 1 times, of 1 pages
	// ann saw /a 1 times, of 2 pages
	// ann saw / 2 times, of 2 pages
}

// A map per key, here from the page to when it was seen, with the entry in hand deleted on the way.
func ExampleMapState() {
	job := engine.NewJob("last seen")
	byUser := visits(job, visit{"ann", "/", at(0)}, visit{"ann", "/a", at(1)}, visit{"ann", "/b", at(2)})
	last := engine.Process(byUser, "last", func(s *engine.Setup) engine.Func[string, visit, string] {
		when := engine.NewMapState[string, time.Time](s, "when")
		return func(ctx *engine.Context, user string, v visit, out engine.Out[string]) error {
			for page, seen := range when.All(ctx) {
				if v.At.Sub(seen) > time.Minute {
					when.Delete(ctx, page)
				}
			}
			when.Put(ctx, v.Page, v.At)
			out.Emit(fmt.Sprint(user, " saw ", when.Len(ctx), " pages within a minute"))
			return nil
		}
	})
	engine.To(last, "out", Print[string]())
	mustRun(job)
	// Output:
	// ann saw 1 pages within a minute
	// ann saw 2 pages within a minute
	// ann saw 2 pages within a minute
}
