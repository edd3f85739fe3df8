//go:build !linux

package main

import (
	"errors"
	"os"
)

func framePair() (ends [2]*os.File, err error) { return ends, errors.ErrUnsupported }
