package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: payments by the bytes of the card. A slice is no key; a string is.
func keyNotComparable() {
	engine.KeyBy(payments, func(p Payment) []byte { return []byte(p.Card) }) // error: []byte does not satisfy comparable
}
