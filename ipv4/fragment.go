package ipv4

// Fragmenter cuts a datagram into fragments (RFC 791 section 3.2): after Start,
// each call of Next goes to the next one, and Put writes its header.
type Fragmenter struct {
	h     Header // of the fragment, without options
	n     int    // length of the payload
	mtu   int
	at    int // where in the payload the next fragment begins
	base  int // the datagram's own offset, 0 unless it is a fragment
	more  bool
	nopts uint8
	opts  [MaxHeaderLen - MinHeaderLen]byte
}

// Start begins with the datagram of header h and a payload of n bytes, for a
// link whose MTU is mtu, at least MinMTU. It is up to the caller that DF is not
// set, that the ID is unique, and that the datagram is no longer than MaxLen.
func (f *Fragmenter) Start(h *Header, n, mtu int) {
	f.h, f.n, f.mtu = *h, n, mtu
	f.at, f.base, f.more = 0, int(h.FragOff), h.MF
	f.nopts = uint8(copy(f.opts[:], h.Options))
	f.h.Options = nil
}

// Next returns which part of the payload the next fragment carries, or false
// when there is none.
func (f *Fragmenter) Next() (from, to int, ok bool) {
	from = f.at
	if from >= f.n {
		return 0, 0, false
	}
	if from > 0 {
		f.copyOptions()
	}
	room := f.mtu - f.HeaderLen()
	to, f.h.MF = f.n, f.more
	if to-from > room {
		// "the data of the long datagram is divided into two portions on a 8 octet
		// (64 bit) boundary": RFC 791 section 2.3.
		to = from + max(room&^7, 8)
		f.h.MF = true
	}
	f.h.FragOff = uint16(f.base + from)
	f.h.TotalLen = uint16(f.HeaderLen() + to - from)
	f.at = to
	return from, to, true
}

// HeaderLen returns the length of the fragment's header, in bytes.
func (f *Fragmenter) HeaderLen() int { return MinHeaderLen + int(f.nopts) }

// Put writes the fragment's header into the first HeaderLen bytes of p.
func (f *Fragmenter) Put(p []byte) {
	h := f.h
	h.Options = f.opts[:f.nopts]
	h.Put(p)
}

// copyOptions leaves those options that all fragments repeat: "the copied flag
// indicates that this option is copied into all fragments on fragmentation". RFC
// 791 section 3.1.
func (f *Fragmenter) copyOptions() {
	opts, n := f.opts[:f.nopts], 0
	for len(opts) > 1 && opts[0] != OptEnd {
		l := 1
		if opts[0] != OptNop {
			l = min(max(int(opts[1]), 2), len(opts))
		}
		if opts[0]&optCopied != 0 {
			n += copy(f.opts[n:], opts[:l])
		}
		opts = opts[l:]
	}
	for n&3 != 0 {
		f.opts[n] = OptEnd
		n++
	}
	f.nopts = uint8(n)
}
