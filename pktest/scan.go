package pktest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// scanner walks over the text of a script. Methods stop at the first mistake by a
// panic with *ScriptError, which ParseScript turns into its error.
type scanner struct {
	file string
	src  string
	at   int
}

// pos returns where the byte at i is.
func (s *scanner) pos(i int) Pos {
	line := strings.Count(s.src[:i], "\n")
	start := strings.LastIndexByte(s.src[:i], '\n') + 1
	return Pos{line + 1, i - start + 1}
}

func (s *scanner) here() Pos { return s.pos(s.at) }

func (s *scanner) fail(format string, args ...any) { s.failAt(s.here(), format, args...) }

func (s *scanner) failAt(p Pos, format string, args ...any) {
	panic(&ScriptError{s.file, p, fmt.Sprintf(format, args...)})
}

func (s *scanner) rest() string { return s.src[s.at:] }

func (s *scanner) eof() bool { return s.at >= len(s.src) }

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.eof() {
		return 0
	}
	return s.src[s.at]
}

// space skips white space and comments: // and # to the end of the line, and
// between /* and */.
func (s *scanner) space() {
	for !s.eof() {
		switch r := s.rest(); {
		case strings.IndexByte(" \t\r\n", r[0]) >= 0:
			s.at++
		case r[0] == '#' || strings.HasPrefix(r, "//"):
			n := strings.IndexByte(r, '\n')
			if n < 0 {
				n = len(r)
			}
			s.at += n
		case strings.HasPrefix(r, "/*"):
			n := strings.Index(r, "*/")
			if n < 0 {
				s.fail("comment does not end")
			}
			s.at += n + 2
		default:
			return
		}
	}
}

// accept skips space, and tok if it is there.
func (s *scanner) accept(tok string) bool {
	s.space()
	if strings.HasPrefix(s.rest(), tok) {
		s.at += len(tok)
		return true
	}
	return false
}

func (s *scanner) expect(tok string) {
	if !s.accept(tok) {
		s.fail("expected %q, got %s", tok, s.found())
	}
}

// found returns what is here, for a report.
func (s *scanner) found() string {
	r := s.rest()
	if r == "" {
		return "the end of the file"
	}
	if n := strings.IndexAny(r, " \t\r\n"); n > 0 {
		r = r[:n]
	}
	return strconv.Quote(r[:min(len(r), 30)])
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// word returns the identifier that is next, or "".
func (s *scanner) word() string {
	s.space()
	r := s.rest()
	n := 0
	for n < len(r) && (isLetter(r[n]) || n > 0 && isDigit(r[n])) {
		n++
	}
	s.at += n
	return r[:n]
}

// acceptWord skips w if it is the next word.
func (s *scanner) acceptWord(w string) bool {
	at := s.at
	if s.word() == w {
		return true
	}
	s.at = at
	return false
}

// until returns the text up to end and skips both.
func (s *scanner) until(end string) string {
	n := strings.Index(s.rest(), end)
	if n < 0 {
		s.fail("no %s", end)
	}
	t := s.rest()[:n]
	s.at += n + len(end)
	return t
}

// digits returns the run of bytes that are in set.
func (s *scanner) digits(set string) string {
	r := s.rest()
	n := 0
	for n < len(r) && strings.IndexByte(set, r[n]) >= 0 {
		n++
	}
	s.at += n
	return r[:n]
}

const hexDigits = "0123456789abcdefABCDEF"

// number reads a decimal, hexadecimal or octal number.
func (s *scanner) number() int64 {
	s.space()
	p := s.here()
	neg := false
	if s.peek() == '-' {
		neg = true
		s.at++
	}
	start := s.at
	if r := s.rest(); len(r) > 1 && r[0] == '0' && r[1]|0x20 == 'x' {
		s.at += 2
		s.digits(hexDigits)
	} else {
		s.digits("0123456789")
	}
	t := s.src[start:s.at]
	if t == "" {
		s.failAt(p, "expected a number, got %s", s.found())
	}
	n, err := strconv.ParseInt(t, 0, 64)
	if err != nil {
		s.failAt(p, "%s is not a number", t)
	}
	if neg {
		n = -n
	}
	return n
}

// unsigned reads a number from 0 to limit, which has to be called what.
func (s *scanner) unsigned(what string, limit int64) int64 {
	s.space()
	p := s.here()
	n := s.number()
	if n < 0 || n > limit {
		s.failAt(p, "%s %d is not in 0 to %d", what, n, limit)
	}
	return n
}

// hex reads bytes.
func (s *scanner) hex() []byte {
	s.space()
	p := s.here()
	if strings.HasPrefix(s.rest(), "0x") {
		s.at += 2
	}
	t := s.digits(hexDigits)
	if len(t)%2 != 0 {
		s.failAt(p, "an odd number of hexadecimal digits")
	}
	b := make([]byte, len(t)/2)
	for i := range b {
		v, _ := strconv.ParseUint(t[2*i:2*i+2], 16, 8)
		b[i] = byte(v)
	}
	return b
}

// seconds reads a time: "1", "0.1", ".1".
func (s *scanner) seconds() time.Duration {
	p := s.here()
	start := s.at
	s.digits("0123456789")
	// "0...1" is a range from 0.
	if r := s.rest(); len(r) > 1 && r[0] == '.' && isDigit(r[1]) {
		s.at++
		s.digits("0123456789")
	}
	t := s.src[start:s.at]
	if t == "" {
		s.failAt(p, "expected a time in seconds, got %s", s.found())
	}
	whole, frac, _ := strings.Cut(t, ".")
	sec, err := strconv.ParseInt("0"+whole, 10, 32)
	frac = (frac + "000000000")[:9]
	ns, err2 := strconv.ParseInt(frac, 10, 64)
	if err != nil || err2 != nil {
		s.failAt(p, "%s is not a time", t)
	}
	return time.Duration(sec)*time.Second + time.Duration(ns)
}

// quoted reads a string in double quotes.
func (s *scanner) quoted() string {
	p := s.here()
	q, err := strconv.QuotedPrefix(s.rest())
	if err != nil || q[0] != '"' {
		s.failAt(p, "string does not end")
	}
	s.at += len(q)
	t, _ := strconv.Unquote(q)
	return t
}
