// Serve: a job inside an HTTP server. SIGTERM stops it with a last checkpoint; the next process goes on from there.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

type Click struct {
	User string
	At   time.Time
}
type Count struct {
	User string
	N    int64
}

func main() {
	signals, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(signals, "/var/lib/clicks", "localhost:0", Click{"ann", time.Now()}, Click{"ann", time.Now()}); err != nil {
		log.Fatal(err)
	}
}

func graph(job *engine.Job, in engine.Source[Click], out engine.Sink[Count]) {
	clicks := engine.From(job, "clicks", in)
	counts := engine.Process(engine.KeyBy(clicks, func(c Click) string { return c.User }), "count",
		func(s *engine.Setup) engine.Func[string, Click, Count] {
			n := engine.NewCell[int64](s, "n")
			return func(ctx *engine.Context, user string, c Click, out engine.Out[Count]) error {
				p := n.Ref(ctx)
				*p++
				out.Emit(Count{user, *p})
				return nil
			}
		})
	engine.To(counts, "out", out)
}

// serve runs the job beside an HTTP server until shutdown is done or the job has ended.
func serve(shutdown context.Context, dir, addr string, clicks ...Click) error {
	job := engine.NewJob("clicks")
	graph(job, engine.SliceSource(clicks...), engine.SinkFunc(func(ctx context.Context, batch []Count) error {
		slog.Info("counts", "batch", batch)
		return nil
	}))
	running, err := job.Start(context.Background(), engine.Options{
		Checkpoints: engine.Checkpoints{Dir: dir, Interval: 100 * time.Millisecond, Retention: engine.RetainOnCancellation},
		Restore:     engine.Resume(), // or engine.Restore{Path: ".../chk-42/_metadata"}
	})
	switch {
	case errors.Is(err, meta.ErrLocked):
		return fmt.Errorf("another process runs this job: %w", err)
	case err != nil:
		return err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /checkpoint", func(w http.ResponseWriter, r *http.Request) {
		c, _ := running.Latest()
		json.NewEncoder(w).Encode(c)
	})
	srv := &http.Server{Addr: addr, Handler: mux}
	go srv.ListenAndServe()

	select {
	case <-shutdown.Done():
	case <-running.Done(): // finished or failed
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	srv.Shutdown(grace)
	last, err := running.Stop(grace)
	slog.Info("stopped", "checkpoint", last.Path, "err", err)
	return err
}
