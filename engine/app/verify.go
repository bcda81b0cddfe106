package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/meta"
)

// verification is what verify found.
type verification struct {
	Path   string `json:"path,omitempty"`
	Intact bool   `json:"intact"`
	Files  int    `json:"files,omitempty"` // data files
	Bytes  int64  `json:"bytes,omitempty"` // in them, or embedded in the metadata

	Error  string `json:"error,omitempty"`
	File   string `json:"file,omitempty"` // the damaged one
	Offset *int64 `json:"offset,omitempty"`
}

func (p *program) verifyCommand() *cobra.Command {
	var f restFlags
	cmd := &cobra.Command{
		Use:               "verify PATH",
		Short:             "Check every hash of a checkpoint",
		Args:              p.onePath,
		ValidArgsFunction: p.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := p.verify(cmd, f, args[0])
			if f.json {
				v.report(p.stdout, err)
			}
			if err == nil && !f.json {
				fmt.Fprintf(p.stdout, "%s is intact: %s, every hash checked\n", v.Path, v.parts())
			}
			return err
		},
	}
	f.declare(cmd)
	return cmd
}

func (p *program) verify(cmd *cobra.Command, f restFlags, path string) (verification, error) {
	v := verification{Path: path}
	cp, err := f.open(path)
	if err != nil {
		return v, err
	}
	defer cp.Close() // read only
	v.Path = cp.Path
	sizes := cp.Sizes()
	bar := newBar(p)
	ctx, stop := p.interruptible(cmd.Context())
	defer stop()
	err = cp.Verify(ctx, bar.show)
	bar.clear()
	if err != nil {
		return v, atRest(err)
	}
	v.Intact, v.Files, v.Bytes = true, sizes.Files, sizes.Stored
	return v, nil
}

func (v verification) parts() string {
	if v.Files == 0 && v.Bytes > 0 {
		return "its metadata with " + bytesText(v.Bytes) + " of pages in it"
	}
	return fmt.Sprintf("its metadata and %d data files with %s", v.Files, bytesText(v.Bytes))
}

func (v verification) report(w io.Writer, err error) {
	if err != nil {
		v.Error = err.Error()
	}
	if d, ok := errors.AsType[*meta.DamageError](err); ok {
		v.File, v.Offset = d.File, &d.Offset
	}
	json.NewEncoder(w).Encode(v) // a reader that is gone learns the rest from the exit code
}

// bar shows progress on a terminal, and nothing elsewhere.
type bar struct {
	w     io.Writer
	width int // 0: no terminal
	at    time.Time
}

func newBar(p *program) *bar {
	width, _ := p.terminal()
	return &bar{w: p.stderr, width: width}
}

func (b *bar) show(done, total int64) {
	now := time.Now()
	if b.width < 40 || total <= 0 || now.Sub(b.at) < 50*time.Millisecond {
		return
	}
	b.at = now
	cells := min(40, b.width-34)
	full := int(min(done, total) * int64(cells) / total)
	text := fmt.Sprintf("%s of %s", bytesText(done), bytesText(total))
	fmt.Fprintf(b.w, "\r[%s%s] %-26s", strings.Repeat("#", full), strings.Repeat(".", cells-full), text)
}

func (b *bar) clear() {
	if !b.at.IsZero() {
		fmt.Fprintf(b.w, "\r%s\r", strings.Repeat(" ", b.width-1))
	}
}
