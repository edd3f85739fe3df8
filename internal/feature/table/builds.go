package table

// Profiles holds the names of the profiles, which are also their tags, from
// the smallest to the largest. Their indexes are the values of feature.Profile.
var Profiles = [...]string{"minimal", "client", "full"}

// Has reports whether profile p, an index of Profiles, has the feature by
// default.
func (r *Row) Has(p int) bool {
	switch r.Level {
	case M:
		return true
	case C:
		return p >= 1
	}
	return p >= 2
}

// Find returns the row called name, or nil.
func Find(name string) *Row {
	for i := range Rows {
		if Rows[i].Name == name {
			return &Rows[i]
		}
	}
	return nil
}

// A Build is one combination of tags to look at: a profile as it is, or with
// one feature added or removed, together with those that it needs or that need
// it.
type Build struct {
	Name    string // such as minimal, minimal+sack or client-sack
	Tags    string // for go build -tags: comma-separated
	Profile int    // an index of Profiles
	Toggled *Row   // nil for a plain profile
	On      []bool // by index in Rows: is the feature in this build
}

// Builds returns the profiles, followed by each profile with each feature
// toggled.
func Builds() []Build {
	var bs []Build
	for p := range Profiles {
		bs = append(bs, plain(p))
	}
	for p := range Profiles {
		for i := range Rows {
			bs = append(bs, toggled(p, i))
		}
	}
	return bs
}

func plain(p int) Build {
	b := Build{Name: Profiles[p], Tags: Profiles[p], Profile: p, On: make([]bool, len(Rows))}
	for i := range Rows {
		b.On[i] = Rows[i].Has(p)
	}
	return b
}

func toggled(p, i int) Build {
	b := plain(p)
	b.Toggled = &Rows[i]
	if b.On[i] {
		b.Name += "-" + Rows[i].Name
		b.remove(i)
	} else {
		b.Name += "+" + Rows[i].Name
		b.add(i)
	}
	return b
}

// remove takes out feature i and what needs it.
func (b *Build) remove(i int) {
	b.On[i] = false
	b.Tags += ",no_" + Rows[i].Name
	for k := range Rows {
		if b.On[k] && Rows[k].Needs == Rows[i].Name {
			b.remove(k)
		}
	}
}

// add puts in feature i and what it needs.
func (b *Build) add(i int) {
	b.On[i] = true
	b.Tags += ",with_" + Rows[i].Name
	for k := range Rows {
		if !b.On[k] && Rows[k].Name == Rows[i].Needs {
			b.add(k)
		}
	}
}

// Check returns what is wrong with tags, a comma- or space-separated list as
// for go build -tags, in one line that says what to do, or "". The compiler
// rejects combinations that can't be, but it ignores a tag that nobody knows:
// this finds with_sakc.
func Check(tags string) string {
	profile := -1
	want := make([]int, len(Rows)) // 1 with, -1 without
	for _, t := range split(tags) {
		if p := profileIndex(t); p >= 0 {
			if profile >= 0 && profile != p {
				return "two profiles, " + Profiles[profile] + " and " + t + ": choose one"
			}
			profile = p
			continue
		}
		name, w := t, 0
		switch {
		case hasPrefix(t, "with_"):
			name, w = t[len("with_"):], 1
		case hasPrefix(t, "no_"):
			name, w = t[len("no_"):], -1
		}
		i := rowIndex(name)
		if w == 0 || i < 0 {
			return unknown(t)
		}
		if want[i] == -w {
			return "both with_" + name + " and no_" + name + ": choose one"
		}
		want[i] = w
	}
	if profile < 0 {
		profile = 1
	}
	on := func(i int) bool { return want[i] >= 0 && (want[i] > 0 || Rows[i].Has(profile)) }
	for i := range Rows {
		if k := rowIndex(Rows[i].Needs); k >= 0 && on(i) && !on(k) {
			if want[k] < 0 {
				return "take away the tag no_" + Rows[k].Name + ", or switch off " + Rows[i].Name + " too: it needs " + Rows[k].Name
			}
			return "add the tag with_" + Rows[k].Name + ": " + Rows[i].Name + " needs it"
		}
	}
	return ""
}

func unknown(tag string) string {
	best, least := "", 3
	consider := func(t string) {
		if d := distance(tag, t); d < least {
			best, least = t, d
		}
	}
	for _, p := range Profiles {
		consider(p)
	}
	for i := range Rows {
		consider("with_" + Rows[i].Name)
		consider("no_" + Rows[i].Name)
	}
	if best != "" {
		return "unknown tag " + tag + ": did you mean " + best + "?"
	}
	return "unknown tag " + tag + ": the tags are minimal, client, full, and with_X and no_X for each feature X"
}

// distance is the number of letters to insert, delete or replace that make a
// of b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diag
			if a[i] != b[j] {
				d++
			}
			diag = row[j+1]
			row[j+1] = min(d, diag+1, row[j]+1)
		}
	}
	return row[len(b)]
}

func profileIndex(tag string) int {
	for p := range Profiles {
		if Profiles[p] == tag {
			return p
		}
	}
	return -1
}

func rowIndex(name string) int {
	for i := range Rows {
		if Rows[i].Name == name {
			return i
		}
	}
	return -1
}

func hasPrefix(s, prefix string) bool { return len(s) > len(prefix) && s[:len(prefix)] == prefix }

func split(s string) []string {
	var out []string
	start := 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == ',' || s[i] == ' ' {
			if i > start {
				out = append(out, s[start:i])
			}
			start = i + 1
		}
	}
	return out
}
