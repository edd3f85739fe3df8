// Package table is the list of features: a row for each that exists. From it
// cmd/featgen makes the consts of package feature, the tags that switch them,
// the README's table and the list of builds that tests and cmd/footprint walk.
// To add a feature, add a row and run "go generate ./internal/feature/table".
//
// It is data and a little arithmetic on tags, without imports, initialisers or
// state, so a program that does not refer to it links none of it.
package table

//go:generate go run ../../../cmd/featgen

// A Row is a feature.
type Row struct {
	Name   string // as in the tags with_NAME and no_NAME, and in file names: NAME.go
	Const  string // in package feature
	Level  Level  // the smallest profile that has it by default
	Adds   string // what it adds, for the README
	Origin string // who asks for it: see Origins
	RFC    string // where it is specified, if it is
	Needs  string // the feature without which it can't be, or ""
}

// Level says which profiles have a feature.
type Level byte

const (
	M Level = 'M' // every profile
	C Level = 'C' // client and full
	F Level = 'F' // full
)

// Origins explains the letters of Row.Origin.
const Origins = "K: Kleen's reduced Linux stack (2014) names it as removed or kept; " +
	"P: Pitre, Shrinking the kernel with an axe (2018); " +
	"E: what embedders of Go stacks ask for; R: a requirement of the RFC"

// Base is what every build has.
const Base = "Ethernet, ARP with a bounded neighbour table, IPv4 host, ICMP echo reply and errors, " +
	"UDP, TCP active open with NewReno, ioctl configuration, blocking sockets"

// Rows holds every feature, in the order of the README. It must not be changed.
var Rows = [...]Row{
	{"wscale", "WScale", M, "window scaling", "R", "RFC 7323", ""},
	{"reassembly", "Reassembly", C, "IPv4 fragments in: bounded, overlap dropped", "R", "RFC 815", ""},
	{"fragmentation", "Fragmentation", C, "UDP and raw datagrams larger than the MTU out", "R", "RFC 791", ""},
	{"redirect", "Redirect", C, "ICMP redirects from the current gateway", "R", "RFC 1122", ""},
	{"timestamps", "Timestamps", C, "TCP timestamps: RTTM and PAWS", "R", "RFC 7323", ""},
	{"sack", "SACK", C, "selective acknowledgments, D-SACK, the RFC 6675 scoreboard and PRR", "R", "RFC 2018", ""},
	{"rack", "RACK", C, "loss detection by time, and tail loss probes", "E", "RFC 8985", "sack"},
	{"cubic", "CUBIC", C, "CUBIC congestion control", "K", "RFC 9438", ""},
	{"keepalive", "Keepalive", C, "SO_KEEPALIVE", "R", "RFC 9293", ""},
	{"pmtud", "PMTUD", C, "path MTU from ICMP, with a cache by destination", "R", "RFC 1191", ""},
	{"autotune", "Autotune", C, "receive and send buffers grow with the path", "E", "", ""},
	{"rawsock", "RawSock", C, "raw IPv4 sockets, for ping and traceroute", "K", "", ""},
	{"pktsock", "PktSock", C, "packet sockets: frames in and out, by protocol", "K", "", ""},
	{"ethtool", "Ethtool", C, "SIOCETHTOOL: driver info, link, statistics, features", "K", "", ""},
	{"pcap", "Pcap", C, "per-interface capture hook", "E", "", ""},
	{"fastsum", "FastSum", C, "unrolled checksum; a plain loop where off", "P", "RFC 1071", ""},
	{"leader", "Leader", C, "a call that waits serves the device itself: nobody has to wake it", "E", "", ""},
	{"fastpath", "FastPath", F, "header prediction and trains: segments of a flow that go as expected take a short way", "E", "", "fastsum"},
	{"hystart", "HyStart", F, "slow start that ends when the round trip grows: HyStart++", "E", "RFC 9406", "rack"},
	{"frto", "FRTO", F, "a timeout that was for nothing is found out and undone", "E", "RFC 5682", ""},
	{"pacing", "Pacing", F, "segments spread over the round trip instead of sent in bursts", "E", "", ""},
	{"ecn", "ECN", F, "congestion is marked and answered instead of lost, in TCP and in reassembly", "R", "RFC 3168", ""},
	{"plpmtud", "PLPMTUD", F, "path MTU by probing, where routers drop what is too large and say nothing", "R", "RFC 4821", ""},
	{"urgent", "Urgent", F, "the out-of-band byte as the RFC has it; else it is delivered in line", "R", "RFC 9293", ""},
	{"listen", "Listen", F, "passive open: Listen, Accept, backlog, TCP_DEFER_ACCEPT", "K", "RFC 9293", ""},
	{"acd", "ACD", F, "address conflict detection", "R", "RFC 5227", ""},
	{"multicast", "Multicast", F, "multicast groups: IGMPv3, 2 and 1, and UDP and raw sockets that are members for all sources", "K", "RFC 3376", ""},
	{"bigtables", "BigTables", F, "tables of 1,024 neighbours and 8,192 routes; else 64 of each, 8 in minimal", "K", "", ""},
	{"syncookies", "SynCookies", F, "SYN cookies where the backlog is full of half open connections", "R", "RFC 4987", "listen"},
	{"tcpinfo", "TCPInfo", F, "the counters of TCP_INFO: bytes and segments sent, received, acknowledged and sent again", "K", "", ""},
	{"tcpopts", "TCPOpts", F, "TCP_NOTSENT_LOWAT, TCP_SYNCNT, TCP_LINGER2, TCP_WINDOW_CLAMP, and a route's window", "K", "", ""},
	{"gro", "GRO", F, "super-segments, and checksums that need no look, are taken as they come from a device that has them: a TAP with vnet_hdr, an emulated link", "K", "", ""},
	{"tso", "TSO", F, "super-segments of up to 64 KiB, and checksums left to a device that can: a TAP with vnet_hdr, an emulated link", "K", "", "gro"},
}
