package ipv4

// Fragmenter cuts a datagram into fragments (RFC 791 section 3.2): after Start,
// each call of Next makes Header that of the next fragment. It points into itself,
// so it lives on the heap: keep one for reuse.
type Fragmenter struct {
	Header Header

	n, mtu   int
	at       int // where in the payload the next fragment begins
	base     int // what the datagram's own offset was, 0 unless it is a fragment
	more, df bool
	opts     [MaxHeaderLen - MinHeaderLen]byte
}

// Start begins with the datagram of header h and a payload of n bytes, for a
// link whose MTU is mtu, at least MinMTU. It is up to the caller that DF is not
// set and that the ID is unique. h.Options must stay as they are until the first
// Next has been used.
func (f *Fragmenter) Start(h *Header, n, mtu int) {
	f.Header = *h
	f.n, f.mtu = n, mtu
	f.at, f.base, f.more = 0, int(h.FragOff), h.MF
}

// Next returns which part of the payload the next fragment carries, and makes
// f.Header its header. It returns false when there is none.
func (f *Fragmenter) Next() (from, to int, ok bool) {
	from = f.at
	if from >= f.n {
		return 0, 0, false
	}
	h := &f.Header
	if from > 0 && len(h.Options) > 0 {
		f.copyOptions()
	}
	room := f.mtu - h.HeaderLen()
	to, h.MF = f.n, f.more
	if to-from > room {
		// "the fragments [...] on an 8 octet boundary": RFC 791 section 3.2.
		to = from + max(room&^7, 8)
		h.MF = true
	}
	h.FragOff = uint16(f.base + from)
	h.TotalLen = uint16(h.HeaderLen() + to - from)
	f.at = to
	return from, to, true
}

// copyOptions leaves those options in the header that later fragments repeat:
// "The copied flag indicates that this option is copied into all fragments on
// fragmentation." RFC 791 section 3.1.
func (f *Fragmenter) copyOptions() {
	opts, n := f.Header.Options, 0
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
	f.Header.Options = f.opts[:n]
}
