//go:build linux && (arm64 || riscv64 || loong64)

package main

// sysSetns is the number on the architectures with the common table: arm64, riscv64, loong64.
const sysSetns = 268
