package lab

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
)

// An Edge is a call: from one function to another, on a line counted from the first of the
// caller. Both have the linker's names.
type Edge struct {
	Caller string `json:"caller"`
	Callee string `json:"callee"`
	Line   int    `json:"line"`
}

// Pprof returns edges as a CPU profile that go build -pgo reads, in which all of them are
// hot. The format is github.com/google/pprof's profile.proto.
func Pprof(edges []Edge) []byte {
	const (
		sampleType = 1 // fields of Profile
		sample     = 2
		location   = 4
		function   = 5
		stringTab  = 6
		weight     = 100
	)
	var p message
	var tab []string
	index := map[string]int64{}
	str := func(s string) int64 {
		i, ok := index[s]
		if !ok {
			i = int64(len(tab))
			index[s] = i
			tab = append(tab, s)
		}
		return i
	}
	str("") // must be the first
	p.message(sampleType, new(message).int(1, str("samples")).int(2, str("count")))
	functions, locations := map[string]int64{}, map[Edge]int64{}
	at := func(name string, line int) int64 {
		const first = 1 << 20 // line of each function; in what is inlined, calls may be on lines before it
		f, ok := functions[name]
		if !ok {
			f = int64(len(functions) + 1)
			functions[name] = f
			p.message(function, new(message).int(1, f).int(2, str(name)).int(5, first))
		}
		key := Edge{Caller: name, Line: line}
		l, ok := locations[key]
		if !ok {
			l = int64(len(locations) + 1)
			locations[key] = l
			p.message(location, new(message).int(1, l).message(4, new(message).int(1, f).int(2, int64(first+line))))
		}
		return l
	}
	add := func(e Edge, w int64) {
		p.message(sample, new(message).int(1, at(e.Callee, 0)).int(1, at(e.Caller, e.Line)).int(2, w))
	}
	for _, e := range edges {
		add(e, weight)
	}
	// To the compiler the calls are hot that make up 99 % of the weight: what is beyond that is
	// of functions that do not exist.
	for i := range len(edges)/50 + 1 {
		add(Edge{"footprint.none", "footprint.none", i}, weight-1)
	}
	for _, s := range tab {
		p.bytes(stringTab, []byte(s))
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(p)
	z.Close()
	return out.Bytes()
}

// A message is one of protocol buffers'.
type message []byte

func (m *message) int(field int, v int64) *message {
	*m = binary.AppendUvarint(*m, uint64(field)<<3)
	*m = binary.AppendUvarint(*m, uint64(v))
	return m
}

func (m *message) bytes(field int, b []byte) *message {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
	return m
}

func (m *message) message(field int, x *message) *message { return m.bytes(field, *x) }
