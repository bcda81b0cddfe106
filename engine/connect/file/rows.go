package file

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// rows cuts a feed into rows and knows where each starts.
//
// start <= scanned <= end: buf[start:end] is read and not handed out, buf[start:scanned] holds no end of a row.
type rows struct {
	from feed
	cut  cutter
	max  int // bytes in a row

	buf                 []byte
	start, scanned, end int
	eof                 bool
	tooLong             bool // the row in hand is; what was read of it is thrown away

	at   place // of buf[start]
	row  place // of the row handed out last
	done place // just after it
}

// cutter finds where a row ends. It is given the row's bytes piece by piece.
type cutter interface {
	// end returns the index just after the row's last byte in p, or -1 if the row goes on. After an end it starts over.
	end(p []byte) int
	// reset starts over with a new row.
	reset()
}

var (
	errTooLong = errors.New("row is too long")
	bom        = []byte("\xef\xbb\xbf")
)

const firstBuffer = 64 << 10

func newRows(from feed, cut cutter, at place, maxRow int) *rows {
	return &rows{from: from, cut: cut, max: maxRow, buf: make([]byte, firstBuffer), at: at, row: at, done: at}
}

// next returns the next row with its line end. It is valid until the following call. The error is errTooLong for a row
// that was passed over, io.EOF at the end, errPause as of the feed.
func (r *rows) next(ctx context.Context, wait bool) ([]byte, error) {
	for {
		if n := r.cut.end(r.buf[r.scanned:r.end]); n >= 0 {
			return r.take(r.scanned + n)
		}
		r.scanned = r.end
		if r.end-r.start > r.max {
			r.tooLong = true
			r.drop(r.end)
		}
		if r.eof {
			return r.last()
		}
		if err := r.fill(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// last hands out a row that lacks its line end.
func (r *rows) last() ([]byte, error) {
	if r.start == r.end && !r.tooLong {
		return nil, io.EOF
	}
	r.cut.reset()
	return r.take(r.end)
}

func (r *rows) take(end int) ([]byte, error) {
	row := r.buf[r.start:end]
	r.drop(end)
	r.row, r.done = r.done, r.at
	if r.tooLong || len(row) > r.max {
		r.tooLong = false
		return nil, errTooLong
	}
	if r.row.offset == 0 {
		row = bytes.TrimPrefix(row, bom)
	}
	return row, nil
}

func (r *rows) drop(end int) {
	r.at = r.at.after(r.buf[r.start:end])
	r.start, r.scanned = end, end
}

func (r *rows) fill(ctx context.Context, wait bool) error {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.scanned -= r.start
		r.start = 0
	}
	if r.end == len(r.buf) {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.from.read(ctx, r.buf[r.end:], wait)
	r.end += n
	if err == io.EOF {
		r.eof = true
		return nil
	}
	return err
}
