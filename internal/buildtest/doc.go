// Package buildtest holds the tests of what a build contains: that tags switch
// what the table of features says and reject what can't be, that each package
// imports only what its layer may, and that what is switched off is not in the
// binary.
package buildtest
