package lab

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// A Lines says what a program is to know about its lines: for traces of panics, and for who asks
// runtime.Caller.
type Lines string

const (
	LinesKeep Lines = "keep" // that of each instruction
	LinesFunc Lines = "func" // that of the function, or of the variable that is initialised
	LinesNone Lines = "none" // none, and no file
)

// noLine is what the compiler is told of each declaration with LinesNone: one file for all is in the
// tables once.
const noLine = "//line s.go:1\n"

// oneLine returns Go source src with the body of each function, and each initialiser of a
// variable, on one line; without a change to the rest, and to anyone's meaning. With LinesFunc what
// follows stays on the line where it was. A declaration with a directive in it is left alone.
func oneLine(src []byte, lines Lines) ([]byte, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	file := fset.File(f.Pos())
	var out bytes.Buffer
	done := 0
	squeeze := func(from, to token.Pos) {
		p, e := file.Offset(from), file.Offset(to)
		rest := bytes.TrimLeft(src[e:], " \t")
		if hasDirective(f, from, to) || bytes.HasPrefix(rest, []byte(";")) {
			return
		}
		out.Write(src[done:p])
		if lines == LinesNone {
			if p > 0 && src[p-1] != '\n' {
				out.WriteByte('\n')
			}
			out.WriteString(noLine)
		}
		writeTokens(&out, src[p:e])
		if lines == LinesFunc {
			out.Write(bytes.Repeat([]byte("\n"), bytes.Count(src[p:e], []byte("\n"))))
		}
		done = e
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				squeeze(d.Type.Func, d.End())
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok && d.Tok == token.VAR && v.Values != nil {
					squeeze(v.Pos(), v.End())
				}
			}
		}
	}
	out.Write(src[done:])
	return out.Bytes(), nil
}

// hasDirective reports whether a comment in that part of f speaks to the go command or the compiler.
func hasDirective(f *ast.File, from, to token.Pos) bool {
	return slices.ContainsFunc(f.Comments, func(g *ast.CommentGroup) bool {
		return g.End() > from && g.Pos() < to && slices.ContainsFunc(g.List, func(c *ast.Comment) bool {
			if c.Pos() < from || c.Pos() >= to {
				return false
			}
			for _, word := range []string{"//go:", "//line ", "/*line ", "//export "} {
				if strings.HasPrefix(c.Text, word) {
					return true
				}
			}
			return false
		})
	})
}

// writeTokens writes src with spaces where it has newlines and comments, and with the semicolons
// that Go reads at the ends of lines.
func writeTokens(out *bytes.Buffer, src []byte) {
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile("", -1, len(src)), src, nil, 0)
	for end := ""; ; {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			return // the last newline was the end of src
		}
		out.WriteString(end)
		end = ""
		switch {
		case tok == token.SEMICOLON && lit == "\n":
			end = "; "
			continue
		case tok == token.STRING && strings.Contains(lit, "\n"):
			text, _ := strconv.Unquote(lit)
			lit = strconv.Quote(text)
		case !tok.IsLiteral():
			lit = tok.String()
		}
		out.WriteString(lit)
		out.WriteByte(' ')
	}
}
