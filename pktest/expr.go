package pktest

import (
	"fmt"
	"strings"
)

// Code in %{ }% is lines of "assert EXPRESSION", "assert EXPRESSION, MESSAGE" and "print
// EXPRESSION": Python's operators on integers, and nothing else of Python. Names
// are those of TCP_INFO (tcpi_state), of constants (TCP_ESTABLISHED), True and
// False; functions are abs, min and max.

// statement is a line of code.
type statement struct {
	pos   Pos
	print bool
	text  string
	cond  expr
}

// expr is an expression. env gives the values of names.
type expr func(env func(name string) (int64, bool)) (int64, error)

func (p *parser) code() (list []statement) {
	end := p.at + strings.Index(p.rest(), "}%")
	if end < p.at {
		p.fail("no }%%")
	}
	whole := p.src
	p.src = whole[:end]
	for {
		for p.space(); p.accept(";"); p.space() {
		}
		if p.eof() {
			break
		}
		st := statement{pos: p.here()}
		switch w := p.word(); w {
		case "assert":
		case "print":
			st.print = true
		default:
			p.failAt(st.pos, "expected assert or print, got %q: this is not Python", w)
		}
		p.space()
		start := p.at
		st.cond = p.or()
		st.text = p.src[start:p.at]
		if p.inLine() == ',' { // what to say
			p.at += strings.IndexAny(p.rest()+"\n", "\n")
		} else if c := p.inLine(); c != 0 && c != '\n' && c != ';' && c != '#' {
			p.fail("expected an operator, got %s", p.found())
		}
		list = append(list, st)
	}
	p.src = whole
	p.expect("}%")
	return list
}

// inLine skips spaces and returns the next byte, which may be a new line.
func (p *parser) inLine() byte {
	p.digits(" \t\r")
	return p.peek()
}

// op skips an operator if it is next in this line and is not the beginning of a
// longer one.
func (p *parser) op(s string, not string) bool {
	p.inLine()
	r := p.rest()
	if !strings.HasPrefix(r, s) || len(r) > len(s) && not != "" && strings.IndexByte(not, r[len(s)]) >= 0 {
		return false
	}
	if isLetter(s[0]) && len(r) > len(s) && (isLetter(r[len(s)]) || isDigit(r[len(s)])) {
		return false
	}
	p.at += len(s)
	return true
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

type environment = func(string) (int64, bool)

// both makes an expression of two.
func both(a, b expr, f func(x, y int64) (int64, error)) expr {
	return func(env environment) (int64, error) {
		x, err := a(env)
		if err != nil {
			return 0, err
		}
		y, err := b(env)
		if err != nil {
			return 0, err
		}
		return f(x, y)
	}
}

func (p *parser) or() expr {
	a := p.and()
	for p.op("or", "") {
		x, y := a, p.and()
		a = func(env environment) (int64, error) {
			if v, err := x(env); err != nil || v != 0 {
				return v, err
			}
			return y(env)
		}
	}
	return a
}

func (p *parser) and() expr {
	a := p.not()
	for p.op("and", "") {
		x, y := a, p.not()
		a = func(env environment) (int64, error) {
			if v, err := x(env); err != nil || v == 0 {
				return v, err
			}
			return y(env)
		}
	}
	return a
}

func (p *parser) not() expr {
	if p.op("not", "") {
		a := p.not()
		return func(env environment) (int64, error) {
			v, err := a(env)
			return truth(v == 0), err
		}
	}
	return p.compare()
}

var comparisons = []struct {
	op, not string
	f       func(a, b int64) bool
}{
	{"==", "", func(a, b int64) bool { return a == b }},
	{"!=", "", func(a, b int64) bool { return a != b }},
	{"<=", "", func(a, b int64) bool { return a <= b }},
	{">=", "", func(a, b int64) bool { return a >= b }},
	{"<", "<", func(a, b int64) bool { return a < b }},
	{">", ">", func(a, b int64) bool { return a > b }},
}

// compare reads comparisons, which may be chained: 1 <= x < 3.
func (p *parser) compare() expr {
	first := p.level(0)
	left, all := first, expr(nil)
next:
	for {
		for _, c := range comparisons {
			if !p.op(c.op, c.not) {
				continue
			}
			right := p.level(0)
			this := both(left, right, func(x, y int64) (int64, error) { return truth(c.f(x, y)), nil })
			if all == nil {
				all = this
			} else {
				all = both(all, this, func(x, y int64) (int64, error) { return x & y, nil })
			}
			left = right
			continue next
		}
		if all == nil {
			return first
		}
		return all
	}
}

// levels are the operators on integers by precedence, weakest first.
var levels = [][]struct {
	op, not string
	f       func(a, b int64) (int64, error)
}{
	{{"|", "", func(a, b int64) (int64, error) { return a | b, nil }}},
	{{"^", "", func(a, b int64) (int64, error) { return a ^ b, nil }}},
	{{"&", "", func(a, b int64) (int64, error) { return a & b, nil }}},
	{
		{"<<", "", func(a, b int64) (int64, error) { return a << (b & 63), nil }},
		{">>", "", func(a, b int64) (int64, error) { return a >> (b & 63), nil }},
	},
	{
		{"+", "", func(a, b int64) (int64, error) { return a + b, nil }},
		{"-", "", func(a, b int64) (int64, error) { return a - b, nil }},
	},
	{
		{"*", "", func(a, b int64) (int64, error) { return a * b, nil }},
		{"//", "", divide},
		{"/", "/", divide},
		{"%", "", func(a, b int64) (int64, error) {
			q, err := divide(a, b)
			return a - q*b, err
		}},
	},
}

// divide rounds down, as Python's // does.
func divide(a, b int64) (int64, error) {
	if b == 0 {
		return 0, fmt.Errorf("division by zero")
	}
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q, nil
}

func (p *parser) level(n int) expr {
	if n == len(levels) {
		return p.unary()
	}
	a := p.level(n + 1)
next:
	for {
		for _, o := range levels[n] {
			if p.op(o.op, o.not) {
				a = both(a, p.level(n+1), o.f)
				continue next
			}
		}
		return a
	}
}

func (p *parser) unary() expr {
	for _, o := range []struct {
		op string
		f  func(int64) int64
	}{{"-", func(v int64) int64 { return -v }}, {"~", func(v int64) int64 { return ^v }}, {"+", func(v int64) int64 { return v }}} {
		if p.op(o.op, "") {
			a := p.unary()
			return func(env environment) (int64, error) {
				v, err := a(env)
				return o.f(v), err
			}
		}
	}
	p.inLine()
	if p.peek() == '(' {
		p.at++
		a := p.or()
		p.expect(")")
		return a
	}
	if isDigit(p.peek()) {
		n := p.number()
		return func(environment) (int64, error) { return n, nil }
	}
	return p.name()
}

func (p *parser) name() expr {
	at := p.here()
	name := p.word()
	switch name {
	case "":
		p.fail("expected a number or a name, got %s", p.found())
	case "True":
		return func(environment) (int64, error) { return 1, nil }
	case "False":
		return func(environment) (int64, error) { return 0, nil }
	}
	if c, ok := constants[name]; ok {
		return func(environment) (int64, error) { return c, nil }
	}
	if p.inLine() == '(' {
		return p.function(at, name)
	}
	return func(env environment) (int64, error) {
		v, ok := env(name)
		if !ok {
			return 0, fmt.Errorf("no value for %s", name)
		}
		return v, nil
	}
}

func (p *parser) function(at Pos, name string) expr {
	p.expect("(")
	args := []expr{p.or()}
	for p.accept(",") {
		args = append(args, p.or())
	}
	p.expect(")")
	var f func(x, y int64) (int64, error)
	switch {
	case name == "abs" && len(args) == 1:
		args = append(args, args[0])
		f = func(x, _ int64) (int64, error) { return max(x, -x), nil }
	case name == "min":
		f = func(x, y int64) (int64, error) { return min(x, y), nil }
	case name == "max":
		f = func(x, y int64) (int64, error) { return max(x, y), nil }
	default:
		p.failAt(at, "unknown function %s", name)
	}
	a := args[0]
	for _, b := range args[1:] {
		a = both(a, b, f)
	}
	return a
}
