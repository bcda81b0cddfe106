package file

import (
	"bytes"
	"fmt"

	"github.com/pagetide/pagetide/engine"
)

// place is where a row starts.
type place struct {
	offset int64 // decoded bytes before it
	line   int64 // 1 + line ends before it
}

var beginning = place{line: 1}

// position is empty at the beginning, as the engine expects.
func (p place) position() engine.Position {
	if p == beginning {
		return ""
	}
	return engine.Position(fmt.Sprintf("offset=%d,line=%d", p.offset, p.line))
}

// parsePosition undoes position and accepts nothing else.
func parsePosition(s engine.Position) (place, error) {
	if s == "" {
		return beginning, nil
	}
	var p place
	_, err := fmt.Sscanf(string(s), "offset=%d,line=%d", &p.offset, &p.line)
	if err != nil || p.offset < 0 || p.line < 1 || p.line > p.offset+1 || p.position() != s {
		return place{}, fmt.Errorf(`position %q: want "offset=N,line=N"`, s)
	}
	return p, nil
}

// after is the place behind a stretch of bytes.
func (p place) after(b []byte) place {
	return place{offset: p.offset + int64(len(b)), line: p.line + int64(bytes.Count(b, newline))}
}

var newline = []byte{'\n'}
