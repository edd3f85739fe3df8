package stack

import "github.com/bonsainet/bonsai/internal/errno"

// SetOption sets an option of the listener, before or after Listen. There is one,
// TCP_DEFER_ACCEPT: connections that are established from now on are for Accept when data, or
// the peer's FIN, has arrived. The peer's bare ACK is forgotten, until so many seconds have
// passed as v says, or more: as many as some number of timeouts of the SYN-ACK take, that is 1, 3,
// 7, 15 and so on, and no more than 4 hours. Then the SYN-ACK is sent again, and the ACK to that counts. 0,
// or less, turns it off. Connections that a SYN cookie brings back don't wait.
//
// Of a Conn, Linux takes and keeps it too, for a listen(2) to come. Here it is ENOPROTOOPT, in every
// profile: a Conn never becomes a Listener, which takes it before Listen, and the byte that it
// is kept in would take each connection in full to the next size class of the heap, 32 bytes up.
//
// It returns ENOPROTOOPT for other options: those of the connections are in Listener.Options.
func (l *Listener) SetOption(level, name, v int) Errno {
	if level != SOL_TCP || name != TCP_DEFER_ACCEPT {
		return errno.ENOPROTOOPT
	}
	l.defers = 0
	for l.defers < 255 && deferSeconds(l.defers) < v {
		l.defers++
	}
	return 0
}

// Option returns an option of the listener: for TCP_DEFER_ACCEPT the seconds that it comes to.
func (l *Listener) Option(level, name int) (v int, e Errno) {
	if level != SOL_TCP || name != TCP_DEFER_ACCEPT {
		return 0, errno.ENOPROTOOPT
	}
	return deferSeconds(l.defers), 0
}

// deferSeconds returns how long n timeouts of a SYN-ACK take: the first one is 1 s, the next ones
// twice as long as the last, and none longer than 2 minutes (RFC 6298 sections 2.1, 2.5, 5.5).
func deferSeconds(n uint8) (sum int) {
	for t := 1; n > 0; n-- {
		sum += t
		t = min(2*t, 120)
	}
	return sum
}
