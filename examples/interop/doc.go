// Package interop tests bonsai against gVisor's network stack.
package interop
