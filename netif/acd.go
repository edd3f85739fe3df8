package netif

// ACD is the state of address conflict detection (RFC 5227) for an address.
type ACD struct{}
