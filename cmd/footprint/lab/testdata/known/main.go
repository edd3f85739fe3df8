// Command known has symbols of known sizes: 5000 bytes of bss, a table of 3000
// bytes, and a use of package strings.
package main

import (
	"os"
	"strings"
)

var zeros [5000]byte

var table = [3000]byte{1, 2, 3}

func main() {
	n := strings.LastIndex(os.Args[0], "/x")
	zeros[n&1023]++
	println(table[n&2047], zeros[0], strings.ToUpper(os.Args[0]))
}
