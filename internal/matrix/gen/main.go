// Command gen measures the goodput matrix in each variant and writes
// internal/matrix/testdata/goodput.csv, docs/goodput.svg, docs/goodput-reorder.svg,
// docs/slow-start.svg and docs/recovery.svg. Run it
// in the root of the module: go run ./internal/matrix/gen
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"

	"github.com/bonsainet/bonsai/internal/matrix"
)

// entry is one cell's goodput, for the way from a variant's process to this one.
type entry struct {
	Cell    matrix.Cell
	Goodput float64
}

func main() {
	one := flag.Bool("one", false, "measure this build only, and print JSON")
	draw := flag.Bool("draw", false, "only draw the table that there is")
	only := flag.String("only", "", "measure this `variant`, and leave the others as they are")
	trace := flag.Bool("plots", false, "only draw two transfers of this build")
	flag.Parse()
	if *trace {
		plots()
		return
	}
	if *one {
		m, err := matrix.All()
		check(err)
		var list []entry
		for c, g := range m {
			list = append(list, entry{c, g})
		}
		check(json.NewEncoder(os.Stdout).Encode(list))
		return
	}
	const csv = "internal/matrix/testdata/goodput.csv"
	t := matrix.Table{}
	if *draw || *only != "" {
		f, err := os.Open(csv)
		check(err)
		t, err = matrix.Read(f)
		check(err)
		check(f.Close())
	}
	if !*draw {
		for _, v := range matrix.Variants {
			if *only != "" && v.Name != *only {
				continue
			}
			fmt.Fprintln(os.Stderr, "measuring", v.Name)
			c := exec.Command("go", "run", "-tags", v.Tags, "./internal/matrix/gen", "-one")
			c.Stderr = os.Stderr
			out, err := c.Output()
			check(err)
			var list []entry
			check(json.Unmarshal(out, &list))
			t[v.Name] = map[matrix.Cell]float64{}
			for _, e := range list {
				t[v.Name][e.Cell] = e.Goodput
			}
		}
		f, err := os.Create(csv)
		check(err)
		check(t.Write(f))
		check(f.Close())
	}
	check(os.WriteFile("docs/goodput.svg", []byte(t.Picture(false)), 0o666))
	check(os.WriteFile("docs/goodput-reorder.svg", []byte(t.Picture(true)), 0o666))
	c := exec.Command("go", "run", "-tags", "client,with_listen", "./internal/matrix/gen", "-plots")
	c.Stderr = os.Stderr
	check(c.Run())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
