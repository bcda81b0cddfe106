package flights

import (
	"errors"
	"fmt"
	"time"
)

// Flight is a row of the input, as far as the job looks at it.
type Flight struct {
	Date   Stamp  `json:"date"`
	Delay  int32  `json:"delay"` // minutes
	Origin string `json:"origin"`
}

// Time is the flight's event time.
func (f Flight) Time() time.Time { return time.Time(f.Date) }

// Event time covers these years.
const firstYear, lastYear = 1678, 2261

// check refuses a row that is JSON but says too little.
func (f Flight) check() error {
	switch {
	case time.Time(f.Date).IsZero():
		return errors.New("flight has no date")
	case f.Time().Year() < firstYear || f.Time().Year() > lastYear:
		return fmt.Errorf("flight's date is outside the years %d to %d", firstYear, lastYear)
	case f.Origin == "":
		return errors.New("flight has no origin")
	}
	return nil
}

// Stamp reads "2001/01/01 06:55". It does not embed time.Time, whose UnmarshalJSON would win.
type Stamp time.Time

const stampLayout = "2006/01/02 15:04"

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Stamp) UnmarshalText(b []byte) error {
	t, err := time.Parse(stampLayout, string(b))
	*s = Stamp(t)
	return err
}
