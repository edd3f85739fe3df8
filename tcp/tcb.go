package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
)

// TCB is the memory of a Conn, its transmission control block (RFC 9293 section 3.3.1), as
// the garbage collector sees it: pointers and bytes.
//
// A program has a descriptor of each type that it allocates, copies or clears as a whole,
// with the name and type of every field, and so on for the types of the fields, their
// methods included: 5 KB for a Conn, which nobody reads. So whoever allocates a connection
// allocates a TCB, and calls methods as (*Conn)(unsafe.Pointer(tcb)): "Conversion of a *T1 to
// Pointer to *T2. Provided that T2 is no larger than T1 and that the two share an equivalent
// memory layout" (package unsafe). TestShapes compares the two.
type TCB struct {
	_ [0]func() // not comparable

	_ [1 + feature.LenCUBIC + feature.LenTCPInfo +
		(feature.LenHyStart | feature.LenFRTO) + feature.LenPacing]unsafe.Pointer // env to pace
	_ [unsafe.Offsetof(Conn{}.snd) - unsafe.Offsetof(Conn{}.localAddr)]byte
	_ [2]unsafe.Pointer // snd.q
	_ [unsafe.Offsetof(Conn{}.rcv) - unsafe.Offsetof(Conn{}.snd) - 2*pointer]byte
	_ [3]unsafe.Pointer // rcv.ooo, rcv.q
	_ [unsafe.Offsetof(Conn{}.sack) - unsafe.Offsetof(Conn{}.rcv) - 3*pointer]byte
	_ [feature.LenSACK]unsafe.Pointer // sack.board
	_ [unsafe.Sizeof(Conn{}) - unsafe.Offsetof(Conn{}.sack) - feature.LenSACK*pointer]byte
}

const pointer = unsafe.Sizeof(unsafe.Pointer(nil))
