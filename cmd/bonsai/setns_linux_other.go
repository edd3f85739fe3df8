//go:build linux && !amd64

package main

// sysSetns is what most architectures call setns.
const sysSetns = 268
