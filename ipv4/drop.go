package ipv4

// Drop says why a packet was dropped. The zero Drop means that it was not.
//
// Every layer has its reasons here, so that the stack counts them all in one
// array of NumDrops and a parse failure costs no allocation.
type Drop uint8

// The reasons, in the order in which a frame meets them.
const (
	DropNone Drop = iota // accepted

	// Interface and Ethernet.
	DropInterfaceDown // the interface is not up
	DropMemory        // the stack's memory limit
	DropFrameShort    // shorter than its link header
	DropNotForUs      // a foreign unicast MAC address
	DropEtherType     // neither IPv4 nor ARP
	DropARPBad        // hardware, protocol, lengths, operation or sender (RFC 826)
	DropARPConflict   // somebody else uses our address (RFC 5227)

	// The IPv4 header and its options.
	DropIPShort       // fewer than 20 bytes
	DropIPVersion     // not 4
	DropIPHeaderLen   // IHL below 5, or past the total length
	DropIPTotalLen    // more than what arrived
	DropIPChecksum    // wrong
	DropIPSource      // martian: no host has it, or it is our own
	DropIPDest        // not an address of ours
	DropIPOptions     // an option's length or pointer is illegal
	DropIPSourceRoute // routed on by way of us, and we are no router
	DropProtocol      // no such protocol here

	// Fragments.
	DropFragment          // this build does not reassemble
	DropFragmentShort     // empty, or not last and no multiple of 8
	DropFragmentTiny      // splits the TCP header (RFC 1858, RFC 3128)
	DropFragmentDuplicate // holds nothing that is not here
	DropReassemblyTimeout // incomplete for too long
	DropReassemblyOverlap // fragments that disagree, or an end that moves
	DropReassemblyMemory  // too many datagrams, bytes or holes
	DropReassemblyLong    // would be longer than 65,535 bytes

	// ICMP.
	DropICMPShort     // fewer than 8 bytes
	DropICMPChecksum  // wrong
	DropICMPType      // unknown, deprecated, or not for a host
	DropICMPCode      // unknown code of a known type
	DropICMPBroadcast // a request to a broadcast or multicast address
	DropICMPQuote     // the quoted datagram can't be read
	DropICMPNoSocket  // the quoted datagram is not one of ours
	DropICMPSequence  // the quoted segment is not in flight (RFC 5927)
	DropICMPRedirect  // not from the current gateway, or not to a neighbour
	DropICMPRate      // an ICMP error not sent, because of the rate limit

	// UDP.
	DropUDPShort      // fewer than 8 bytes
	DropUDPLen        // the length field is below 8, or past the datagram
	DropUDPChecksum   // wrong
	DropUDPPort       // nobody has the port
	DropUDPBufferFull // the socket's receive buffer is full

	// TCP.
	DropTCPShort      // fewer than 20 bytes
	DropTCPDataOffset // below 5, or past the segment
	DropTCPChecksum   // wrong
	DropTCPNoConn     // no connection and no listener
	DropTCPSYNSource  // SYN from, or to, a broadcast or multicast address
	DropTCPSequence   // outside of the window
	DropTCPACK        // acknowledges what was never sent, or long ago
	DropTCPNoACK      // neither ACK nor SYN nor RST
	DropTCPReset      // RST that is not exactly at RCV.NXT (RFC 5961)
	DropTCPSYN        // SYN on a synchronised connection (RFC 5961)
	DropTCPPAWS       // an old timestamp, or none (RFC 7323)
	DropBacklog       // the listener's backlog is full

	// Raw sockets.
	DropRawBufferFull // the socket's receive buffer is full

	// Output.
	DropNoRoute   // nowhere to send it
	DropNeighbour // the queue behind an unresolved neighbour is full, or it failed
	DropMTU       // larger than the MTU, and not to be fragmented
	DropDevice    // the device refused it

	NumDrops = iota // the number of reasons, DropNone included
)

// dropNames holds the names in order, each behind a slash: a table of strings
// would cost 16 bytes and a relocation each.
const dropNames = "/none" +
	"/interface down/memory/short frame/not for us/ethertype/bad ARP/address conflict" +
	"/short IP/IP version/IP header length/IP total length/IP checksum/IP source/IP destination" +
	"/IP options/IP source route/IP protocol" +
	"/fragment/short fragment/tiny fragment/duplicate fragment" +
	"/reassembly timeout/fragment overlap/reassembly memory/datagram too long" +
	"/short ICMP/ICMP checksum/ICMP type/ICMP code/ICMP to broadcast/ICMP quote/ICMP for no socket" +
	"/ICMP sequence/ICMP redirect/ICMP rate limit" +
	"/short UDP/UDP length/UDP checksum/UDP port/UDP buffer full" +
	"/short TCP/TCP data offset/TCP checksum/no TCP connection/SYN source" +
	"/TCP sequence/TCP acknowledgment/TCP without ACK/TCP reset/SYN in connection/PAWS" +
	"/backlog full" +
	"/raw buffer full" +
	"/no route/neighbour/MTU/device/"

// String returns the reason's short name, as statistics show it.
func (d Drop) String() string {
	n, start := -1, 0
	for i := 0; i < len(dropNames); i++ {
		if dropNames[i] != '/' {
			continue
		}
		if n == int(d) {
			return dropNames[start:i]
		}
		n++
		start = i + 1
	}
	return "unknown"
}
