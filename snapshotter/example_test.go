package snapshotter_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// onePage is the smallest store: one page, written whole each time. Real ones are mmapstate's.
type onePage struct {
	page [meta.PageSize]byte
	done chan meta.Verdict
	sent bool
}

func (s *onePage) Freeze() (meta.Cut, error) {
	s.done, s.sent = make(chan meta.Verdict, 1), false
	return s, nil
}

func (s *onePage) Base() meta.Base             { return meta.Base{} }
func (s *onePage) Operator() meta.OperatorNo   { return 0 }
func (s *onePage) States() []meta.State        { return nil }
func (s *onePage) Hash() (string, uint64, int) { return "none", 0, 1 }
func (s *onePage) Shards() []meta.Shard        { return []meta.Shard{{Pages: 1}} }
func (s *onePage) Release(*meta.Chunk)         {}
func (s *onePage) Done(v meta.Verdict)         { s.done <- v }
func (s *onePage) Wait(context.Context) error  { return (<-s.done).Err }

func (s *onePage) Next(context.Context) (*meta.Chunk, error) {
	if s.sent {
		return nil, io.EOF
	}
	s.sent = true
	return &meta.Chunk{Heads: []meta.Head{{Mask: meta.AllLines}}, Lines: s.page[:]}, nil
}

func Example() {
	ctx, disk := context.Background(), vfs.NewMem()
	dir, err := snapshotter.Open("counts", snapshotter.Options{FS: disk})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dir.Close()
	if _, err := dir.Latest(); errors.Is(err, meta.ErrNotFound) {
		fmt.Println("nothing to restore")
	}
	store := &onePage{}
	copy(store.page[:], "hello")
	if err := dir.Save(ctx, store, map[string]string{"offset": "5"}); err != nil {
		fmt.Println(err)
	}

	last, err := dir.Latest()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer last.Close()
	page := make([]byte, meta.PageSize)
	if err := last.Load(ctx, 0, 0, page); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("checkpoint %d: %s, offset %s\n", last.Meta.ID, page[:5], last.Notes["offset"])
	// Output:
	// nothing to restore
	// checkpoint 1: hello, offset 5
}

func ExampleDir_Begin() {
	dir, err := snapshotter.Open("job", snapshotter.Options{FS: vfs.NewMem()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dir.Close()
	pending, err := dir.Begin()
	if err != nil {
		fmt.Println(err)
		return
	}
	cut, _ := (&onePage{}).Freeze()
	pending.Add(cut)
	info, err := pending.Publish(context.Background(), &meta.Metadata{Name: "flights"})
	fmt.Println(info.ID, info.Pages, info.Files, info.Whole, err)
	// Output: 1 1 1 true <nil>
}

func ExampleLoad() {
	disk := vfs.NewMem()
	dir, _ := snapshotter.Open("job", snapshotter.Options{FS: disk})
	dir.Save(context.Background(), &onePage{}, nil)
	dir.Close()

	c, err := snapshotter.Load("job/chk-1/_metadata", snapshotter.LoadOptions{FS: disk})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(c.Verify(context.Background(), nil), c.Sizes().Live)

	_, err = snapshotter.Load("job/chk-2", snapshotter.LoadOptions{FS: disk})
	fmt.Println(errors.Is(err, meta.ErrNotFound))
	// Output:
	// <nil> 4096
	// true
}

func ExampleParseDir() {
	fmt.Println(snapshotter.ParseDir("file:///var/lib/pagetide"))
	_, err := snapshotter.ParseDir("hdfs://namenode/flink")
	fmt.Println(err)
	// Output:
	// /var/lib/pagetide <nil>
	// hdfs://namenode/flink: no storage for "hdfs:" yet, use a plain path or file://: incompatible
}
