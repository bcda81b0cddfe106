package flights

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/pagetide/pagetide/engine/connect/file"
)

// airport is what the committed rows of all days say about one.
type airport struct {
	Origin  string
	Flights int64
	Max     int32
	total   float64 // minutes of delay
	late    float64 // flights
}

func (a airport) mean() float64 { return a.total / float64(a.Flights) }

// shown is how many airports the summary lists.
const shown = 10

// summary writes the airports with the highest mean delay over all committed rows of the run's output folder.
func summary(args *flag.FlagSet, w io.Writer) error {
	dir := args.Lookup("output").Value.String()
	airports, days, err := readAirports(dir)
	if err != nil {
		return err
	}
	slices.SortFunc(airports, func(a, b airport) int {
		return cmp.Or(cmp.Compare(b.mean(), a.mean()), cmp.Compare(a.Origin, b.Origin))
	})
	fmt.Fprintf(w, "%d rows of %d airports are in %s; latest on average:\n\n", days, len(airports), dir)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "airport\tflights\tmean delay\tmax delay\tlate\t")
	for _, a := range airports[:min(shown, len(airports))] {
		fmt.Fprintf(t, "%s\t%d\t%.2f min\t%d min\t%.0f %%\t\n", a.Origin, a.Flights, a.mean(), a.Max, 100*a.late/float64(a.Flights))
	}
	return t.Flush()
}

// readAirports folds all committed rows, weighing days by their flights.
func readAirports(dir string) (airports []airport, days int, err error) {
	parts, err := file.Committed(dir)
	if err != nil {
		return nil, 0, err
	}
	byOrigin := map[string]*airport{}
	for _, part := range parts {
		n, err := readPart(part, byOrigin)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", part, err)
		}
		days += n
	}
	for _, a := range byOrigin {
		airports = append(airports, *a)
	}
	return airports, days, nil
}

func readPart(name string, byOrigin map[string]*airport) (rows int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(f))
	for ; ; rows++ {
		var d Delays
		if err := lines.Decode(&d); err == io.EOF {
			return rows, nil
		} else if err != nil {
			return rows, err
		}
		a := byOrigin[d.Origin]
		if a == nil {
			a = &airport{Origin: d.Origin, Max: math.MinInt32}
			byOrigin[d.Origin] = a
		}
		a.Flights += d.Flights
		a.total += math.Round(d.MeanDelay * float64(d.Flights)) // a whole number before it was divided
		a.late += math.Round(d.LateShare * float64(d.Flights))
		a.Max = max(a.Max, d.MaxDelay)
	}
}
