package lab

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
)

func TestZZSingle(t *testing.T) {
	b, _ := NewBuilder("../../..")
	g, err := b.Graph(context.Background(), Target{Package: os.Getenv("ZPKG"), Tags: os.Getenv("ZTAGS")})
	if err != nil {
		t.Fatal(err)
	}
	f := g.reach(nil)
	callers := map[int32]map[int32]bool{}
	for i := range g.nodes {
		if !f.seen[i] {
			continue
		}
		for _, e := range g.nodes[i].edges {
			if e.to >= 0 && g.nodes[e.to].kind == Text && strings.Contains(g.nodes[e.to].name, "bonsainet") {
				if callers[e.to] == nil {
					callers[e.to] = map[int32]bool{}
				}
				callers[e.to][int32(i)] = true
			}
		}
	}
	var ids []int32
	for k, v := range callers {
		if len(v) == 1 {
			ids = append(ids, k)
		}
	}
	sort.Slice(ids, func(a, b int) bool { return g.nodes[ids[a]].size < g.nodes[ids[b]].size })
	fmt.Println(len(ids), "of", len(callers))
	for _, i := range ids {
		for c := range callers[i] {
			fmt.Println(g.nodes[i].size, g.nodes[i].name, "<-", g.nodes[c].name)
		}
	}
}
