package meta_test

import (
	"fmt"
	"testing"

	"github.com/pagetide/pagetide/meta"
)

func TestParseJobID(t *testing.T) {
	for _, id := range []meta.JobID{0, 1, 0xfedcba9876543210} {
		if got, err := meta.ParseJobID(id.String()); got != id || err != nil {
			t.Errorf("ParseJobID(%q) = %v, %v", id, got, err)
		}
	}
	for _, s := range []string{"", "1", "000000000000000G", "00000000000000AB", "0x00000000000000", "00000000000000000", "+000000000000001"} {
		if _, err := meta.ParseJobID(s); err == nil {
			t.Errorf("ParseJobID(%q) worked", s)
		}
	}
}

func ExampleMakeShardID() {
	s := meta.MakeShardID(3, 127)
	fmt.Println(s, s.Operator(), s.Group())
	// Output: 3/127 3 127
}

func ExampleLineMask_Lines() {
	fmt.Println(meta.LineMask(0b1011).Lines(), meta.AllLines.Lines())
	// Output: 3 64
}

func ExampleDecode() {
	m := &meta.Metadata{ID: 7, KeyGroups: 128, Notes: map[string]string{"offset": "1024"}}
	b := m.Encode()
	back, err := meta.Decode("chk-7/_metadata", b)
	fmt.Println(back.ID, back.Notes["offset"], err)

	b[30] ^= 1
	_, err = meta.Decode("chk-7/_metadata", b)
	fmt.Println(err != nil)
	// Output:
	// 7 1024 <nil>
	// true
}
