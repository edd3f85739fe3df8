package matrix

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Table holds the goodput of every cell in Mbit/s, by variant: the mean of its seeds.
type Table map[string]map[Cell]float64

const header = "reorder,rate_mbit,queue_bdp,rtt_ms,loss,bursts,bound_mbit"

// Write writes the table as CSV, a line for each cell.
func (t Table) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprint(b, header)
	for _, v := range Variants {
		fmt.Fprint(b, ",", v.Name)
	}
	fmt.Fprintln(b)
	for _, c := range Cells() {
		fmt.Fprintf(b, "%t,%d,%g,%d,%g,%t,%.3f", c.Reorder, c.Rate, c.Queue, c.RTT, c.Loss, c.Burst, c.Bound())
		for _, v := range Variants {
			fmt.Fprintf(b, ",%.3f", t[v.Name][c])
		}
		fmt.Fprintln(b)
	}
	return b.Flush()
}

// Read reads what Write has written.
func Read(r io.Reader) (Table, error) {
	t := Table{}
	for _, v := range Variants {
		t[v.Name] = map[Cell]float64{}
	}
	s := bufio.NewScanner(r)
	s.Scan()
	cells := Cells()
	for i := 0; s.Scan(); i++ {
		f := strings.Split(s.Text(), ",")
		if i >= len(cells) || len(f) != 7+len(Variants) {
			return nil, fmt.Errorf("line %d is not of this matrix", i+2)
		}
		for k, v := range Variants {
			x, err := strconv.ParseFloat(f[7+k], 64)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+2, err)
			}
			t[v.Name][cells[i]] = x
		}
	}
	return t, s.Err()
}

// All measures every cell of the variant that this build is.
func All() (map[Cell]float64, error) {
	m := map[Cell]float64{}
	for _, c := range Cells() {
		x, err := c.Mean()
		if err != nil {
			return nil, fmt.Errorf("%v: %w", c, err)
		}
		m[c] = x
	}
	return m, nil
}

// Mean measures a cell with each seed.
func (c Cell) Mean() (float64, error) {
	sum := 0.0
	for _, seed := range Seeds {
		r, err := c.Measure(seed, nil, nil)
		if err != nil {
			return 0, err
		}
		sum += r.Goodput
	}
	return sum / float64(len(Seeds)), nil
}
