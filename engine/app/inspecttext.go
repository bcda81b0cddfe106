package app

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// print shows the inspection as tables. It returns the first error of writing.
func (r inspection) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "checkpoint %d of job %s\n\n", r.Checkpoint, r.Job)
	table(&b, nil, r.facts())
	section(&b, "operators", []string{"UID", "KIND", "PARALLELISM", "WATERMARK", "HELD BY", "SHARDS", "PAGES", "BYTES"}, r.operatorRows())
	section(&b, "states", []string{"UID", "STATE", "KIND", "KEYS", "EARLIEST", "KEY TYPE", "TYPE"}, r.stateRows())
	section(&b, "sources", []string{"UID", "SPLIT", "POSITION", "LATEST EVENT", "READ"}, r.splitRows())
	section(&b, "output waiting for its commit", []string{"UID", "CHECKPOINT", "SUBTASK", "HANDLE"}, r.pendingRows())
	section(&b, "data files, oldest first", []string{"FILE", "CHECKPOINT", "SIZE"}, r.fileRows())
	_, err := io.WriteString(w, b.String())
	return err
}

func (r inspection) facts() [][]string {
	return [][]string{
		{"path", r.Path},
		{"taken", r.Created.Format(time.RFC3339) + fmt.Sprintf(" by attempt %d", r.Attempt)},
		{"format", fmt.Sprint(r.Format)},
		{"key groups", fmt.Sprint(r.KeyGroups)},
		{"arguments", orDash(quoteAll(r.Args))},
		{"written", bytesText(r.DeltaBytes) + " by this checkpoint"},
		{"stored", r.stored()},
		{"state", bytesText(r.LiveBytes) + " in pages"},
	}
}

func (r inspection) stored() string {
	if r.EmbeddedBytes > 0 {
		return bytesText(r.StoredBytes) + " in the metadata itself"
	}
	return fmt.Sprintf("%s in %d data files", bytesText(r.StoredBytes), len(r.Files))
}

func (r inspection) operatorRows() (rows [][]string) {
	for _, o := range r.Operators {
		rows = append(rows, []string{o.UID, o.Kind, fmt.Sprint(o.Parallelism), orDash(o.Watermark), o.HeldBy.String(), fmt.Sprint(o.Shards),
			grouped(o.Pages), bytesText(o.Bytes)})
	}
	return rows
}

// String reads like "flights 0, reading": a source, its split, and what that does.
func (h *heldInfo) String() string {
	if h == nil {
		return "-"
	}
	return fmt.Sprintf("%s %s, %s", h.Source, h.Split, h.State)
}

func (r inspection) stateRows() (rows [][]string) {
	for _, o := range r.Operators {
		for _, s := range o.States {
			rows = append(rows, []string{o.UID, s.Name, s.Kind, grouped(int64(s.Entries)), orDash(s.Earliest), s.Key, orDash(s.Type)})
		}
	}
	return rows
}

func (r inspection) splitRows() (rows [][]string) {
	for _, s := range r.Splits {
		read := "so far"
		if s.Done {
			read = "to its end"
		}
		rows = append(rows, []string{s.Source, s.Split, orDash(s.Position), orDash(s.Latest), read})
	}
	return rows
}

func (r inspection) pendingRows() (rows [][]string) {
	for _, t := range r.Pending {
		rows = append(rows, []string{t.Sink, fmt.Sprint(t.Checkpoint), fmt.Sprint(t.Subtask), t.Handle})
	}
	return rows
}

func (r inspection) fileRows() (rows [][]string) {
	for _, f := range r.Files {
		rows = append(rows, []string{f.Name, fmt.Sprint(f.Checkpoint), bytesText(f.Size)})
	}
	return rows
}

func section(b *strings.Builder, title string, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	table(b, head, rows)
}

func table(b *strings.Builder, head []string, rows [][]string) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	if head != nil {
		fmt.Fprintf(w, "  %s\n", strings.Join(head, "\t"))
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = clip(cell, head != nil)
		}
		fmt.Fprintf(w, "  %s\n", strings.Join(cells, "\t"))
	}
	w.Flush()
}

// clip shortens a cell of a table that has columns beside it, and keeps control characters off the terminal.
func clip(cell string, narrow bool) string {
	const longest = 60
	cell = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, cell)
	if runes := []rune(cell); narrow && len(runes) > longest {
		return string(runes[:longest-3]) + "..."
	}
	return cell
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
