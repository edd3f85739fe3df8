package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A Project says how a module's programs are built, and which of its features
// build tags switch.
type Project struct {
	Base     string    `json:"base"` // package of a program that does nothing
	Programs []Program `json:"programs"`
	Main     string    `json:"main"` // the program that is measured if nothing else is said; "" is the first
	Profiles []Profile `json:"profiles"`
	Features []Feature `json:"features"`
}

// A Program uses what the project offers up to some layer.
type Program struct {
	Name    string `json:"name"`
	Package string `json:"package"` // import path or ./folder
	Is      string `json:"is"`      // what it is, in a line
	Fixed   bool   `json:"fixed"`   // it is the same in every profile
}

// A Profile is a set of features with a name.
type Profile struct {
	Name string `json:"name"`
	Tags string `json:"tags"` // for go build -tags, comma-separated
}

// A Feature is what tags add or remove.
type Feature struct {
	Name   string   `json:"name"`
	Add    string   `json:"add"`    // tag that adds it to a profile that has it not
	Remove string   `json:"remove"` // tag that removes it from one that has it
	In     []string `json:"in"`     // the profiles that have it
	Needs  string   `json:"needs"`  // the feature without which it can't be, or ""
}

// Check returns what is wrong with p, in one line.
func (p *Project) Check() error {
	if len(p.Programs) == 0 || len(p.Profiles) == 0 {
		return fmt.Errorf("the project has no programs or profiles: name them")
	}
	for _, f := range p.Features {
		if f.Needs != "" && p.feature(f.Needs) == nil {
			return fmt.Errorf("feature %s needs %s, which is no feature: correct its needs", f.Name, f.Needs)
		}
		for _, in := range f.In {
			if p.Profile(in) == nil {
				return fmt.Errorf("feature %s is in %s, which is no profile: correct its in", f.Name, in)
			}
		}
		if len(f.In) < len(p.Profiles) && f.Add == "" || len(f.In) > 0 && f.Remove == "" {
			return fmt.Errorf("feature %s lacks a tag: set add for profiles without it, remove for those with it", f.Name)
		}
	}
	return nil
}

// Profile returns the profile called name, or nil.
func (p *Project) Profile(name string) *Profile {
	for i := range p.Profiles {
		if p.Profiles[i].Name == name {
			return &p.Profiles[i]
		}
	}
	return nil
}

// Program returns the program called name, with or without a leading +, or
// nil.
func (p *Project) Program(name string) *Program {
	for i := range p.Programs {
		if strings.TrimPrefix(p.Programs[i].Name, "+") == strings.TrimPrefix(name, "+") {
			return &p.Programs[i]
		}
	}
	return nil
}

// Default returns the program that is measured if nothing else is said.
func (p *Project) Default() *Program {
	if m := p.Program(p.Main); m != nil && p.Main != "" {
		return m
	}
	return &p.Programs[0]
}

func (p *Project) feature(name string) *Feature {
	for i := range p.Features {
		if p.Features[i].Name == name {
			return &p.Features[i]
		}
	}
	return nil
}

// A Toggle is a profile with a feature more or less.
type Toggle struct {
	Profile string
	Feature string
	On      bool     // the profile has the feature: this build removes it
	Tags    string   // of this build
	With    []string // the features that go or come along
}

// Toggles returns profile with each feature toggled.
func (p *Project) Toggles(profile *Profile) []Toggle {
	var out []Toggle
	for i := range p.Features {
		f := &p.Features[i]
		t := Toggle{Profile: profile.Name, Feature: f.Name, On: slices.Contains(f.In, profile.Name), Tags: profile.Tags}
		all := []*Feature{f}
		for k := 0; k < len(all); k++ {
			x := all[k]
			if t.On {
				t.Tags += "," + x.Remove
				for j := range p.Features {
					if d := &p.Features[j]; d.Needs == x.Name && slices.Contains(d.In, profile.Name) && !slices.Contains(all, d) {
						all = append(all, d)
					}
				}
				continue
			}
			t.Tags += "," + x.Add
			if d := p.feature(x.Needs); d != nil && !slices.Contains(d.In, profile.Name) && !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
		for _, x := range all[1:] {
			t.With = append(t.With, x.Name)
		}
		t.Tags = strings.Trim(t.Tags, ",")
		out = append(out, t)
	}
	return out
}

// Bare returns the tags of profile with every feature removed that it has, and
// how many those are.
func (p *Project) Bare(profile *Profile) (tags string, n int) {
	tags = profile.Tags
	for _, f := range p.Features {
		if slices.Contains(f.In, profile.Name) {
			tags += "," + f.Remove
			n++
		}
	}
	return strings.Trim(tags, ","), n
}

// ReadProject reads a project's description: the value "project" of a JSON file.
func ReadProject(file string) (*Project, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var x struct {
		Project *Project `json:"project"`
	}
	if err := json.Unmarshal(data, &x); err != nil {
		return nil, fmt.Errorf("%s: %v", file, err)
	}
	if x.Project == nil {
		return nil, fmt.Errorf("%s has no project: add {\"project\": {\"programs\": [...], \"profiles\": [...], \"features\": [...]}}", file)
	}
	if err := x.Project.Check(); err != nil {
		return nil, fmt.Errorf("%s: %v", file, err)
	}
	return x.Project, nil
}
