// Package feature says what this build contains.
//
// Placeholder: cmd/featgen replaces this file.
package feature

const (
	Minimal = 0
	Client  = 1
	Full    = 2
	Profile = Client
)

const (
	WScale        = true
	Timestamps    = true
	Reassembly    = true
	Fragmentation = true
	Redirect      = true
	RawSock       = true
	Ethtool       = true
	Pcap          = true
	FastSum       = true
	Urgent        = false
	Listen        = false
	ACD           = false
	BigTables     = false
)
