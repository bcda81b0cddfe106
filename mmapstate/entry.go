package mmapstate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// Entry is an entry of a [StateView], in JSON. Flat types are what encoding/json would make of them: structs are objects
// with their fields in order, byte arrays are arrays of numbers, an engine.Time is a number of nanoseconds. Numbers of any size keep all
// their digits; a float that is none is "NaN", "Infinity" or "-Infinity". A string that is not UTF-8 is an object with
// "base64", a value of an unknown codec one with "codec" and "base64".
type Entry struct {
	Group meta.KeyGroup
	Key   json.RawMessage
	Start *int64 // of the window that the value belongs to, in nanoseconds since 1970; else nil

	// Value is null in an index. A nested map is an object: names of fields that are no strings are their JSON.
	Value json.RawMessage

	// Time is in nanoseconds since 1970: that of an index entry; with a [TTL], when the entry was written last, or its
	// life began anew; of a list, when it was read last, if that renews it. It is nil without a TTL, and if there was no
	// time yet.
	Time *int64

	// Times are the times of a list's elements or a map's fields, as Value has them, under a TTL.
	Times json.RawMessage

	timeFirst bool     // of an index
	sort      []byte   // the key's bytes
	at        int64    // Time of an index
	n         [2]int64 // Start, and an element's place in the window
}

// Compare orders entries of one state, also of two checkpoints, in the order of [StateView.All]. It is zero for entries
// of the same place.
func (e Entry) Compare(o Entry) int {
	return cmp.Or(cmp.Compare(e.Group, o.Group), cmp.Compare(e.at, o.at), bytes.Compare(e.sort, o.sort), slices.Compare(e.n[:], o.n[:]))
}

// Append appends the entry as one JSON object: "key", "start", "value", "time" and "times", as far as there are; of an
// index "time", "key" and "start". Times are in RFC 3339 with nanoseconds.
func (e Entry) Append(b []byte) []byte {
	b = append(b, '{')
	if e.timeFirst {
		b = appendTime(append(b, `"time":`...), *e.Time)
		b = append(append(b, `,"key":`...), e.Key...)
		if e.Start != nil {
			b = appendTime(append(b, `,"start":`...), *e.Start)
		}
		return append(b, '}')
	}
	b = append(append(b, `"key":`...), e.Key...)
	if e.Start != nil {
		b = appendTime(append(b, `,"start":`...), *e.Start)
	}
	b = append(append(b, `,"value":`...), e.Value...)
	if e.Time != nil {
		b = appendTime(append(b, `,"time":`...), *e.Time)
	}
	if e.Times != nil {
		b = append(append(b, `,"times":`...), e.Times...)
	}
	return append(b, '}')
}

// MarshalJSON gives what Append does.
func (e Entry) MarshalJSON() ([]byte, error) { return e.Append(nil), nil }

func appendTime(b []byte, at int64) []byte {
	b = append(b, '"')
	b = time.Unix(0, at).UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}
