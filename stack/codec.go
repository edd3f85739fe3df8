package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// The C layouts of the ioctl arguments on 64-bit little-endian Linux, for a
// program that has the bytes: a system call emulator, a test against the
// kernel. Nothing of it is linked into one that does not.

// Sizes in bytes of the C structs.
const (
	SizeofIfreq   = ifreqLen
	SizeofIfconf  = 16
	SizeofRtentry = 120
	SizeofArpreq  = 68
)

func (sa *Sockaddr) decode(b []byte) {
	sa.Family = pkt.LittleEndian.Uint16(b)
	copy(sa.Data[:], b[2:16])
}

func (sa *Sockaddr) encode(b []byte) {
	pkt.LittleEndian.PutUint16(b, sa.Family)
	copy(b[2:16], sa.Data[:])
}

// decodeName reads a name of up to maxName bytes that a zero byte may end.
func decodeName(b []byte) string {
	for k, c := range b {
		if c == 0 || k == maxName {
			return string(b[:k])
		}
	}
	return string(b)
}

func encodeName(b []byte, s string) {
	clear(b[:maxName+1])
	copy(b[:maxName], s)
}

// Decode reads the C struct ifreq in b as request req takes it: the union is
// whatever req makes of it, other fields are zero. It returns EFAULT when b is
// short. What ifr_data points to is up to the caller.
func (r *Ifreq) Decode(req uint32, b []byte) errno.Errno {
	if len(b) < SizeofIfreq {
		return errno.EFAULT
	}
	*r = Ifreq{Name: decodeName(b)}
	u := b[16:SizeofIfreq]
	switch req {
	case SIOCSIFFLAGS:
		r.Flags = pkt.LittleEndian.Uint16(u)
	case SIOCGIFNAME, SIOCSIFMTU, SIOCSIFMETRIC, SIOCSIFTXQLEN:
		r.Value = int32(pkt.LittleEndian.Uint32(u))
	case SIOCSIFNAME:
		r.Newname = decodeName(u)
	case SIOCSIFMAP:
		r.Map = Ifmap{MemStart: pkt.LittleEndian.Uint64(u), MemEnd: pkt.LittleEndian.Uint64(u[8:]), BaseAddr: pkt.LittleEndian.Uint16(u[16:]), IRQ: u[18], DMA: u[19], Port: u[20]}
	default:
		r.Addr.decode(u)
	}
	return 0
}

// Encode writes r into the C struct ifreq in b, as the kernel does after request
// req succeeded: what req does not answer stays. It returns EFAULT when b is
// short.
func (r *Ifreq) Encode(req uint32, b []byte) errno.Errno {
	if len(b) < SizeofIfreq {
		return errno.EFAULT
	}
	u := b[16:SizeofIfreq]
	switch req {
	case SIOCGIFNAME:
		encodeName(b, r.Name)
	case SIOCGIFFLAGS:
		pkt.LittleEndian.PutUint16(u, r.Flags)
	case SIOCGIFMTU, SIOCGIFMETRIC, SIOCGIFINDEX, SIOCGIFTXQLEN:
		pkt.LittleEndian.PutUint32(u, uint32(r.Value))
	case SIOCGIFMAP:
		m := &r.Map
		pkt.LittleEndian.PutUint64(u, m.MemStart)
		pkt.LittleEndian.PutUint64(u[8:], m.MemEnd)
		pkt.LittleEndian.PutUint16(u[16:], m.BaseAddr)
		u[18], u[19], u[20] = m.IRQ, m.DMA, m.Port
	case SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK:
		r.Addr.encode(u)
	case SIOCGIFHWADDR:
		pkt.LittleEndian.PutUint16(u, r.Addr.Family)
		copy(u[2:8], r.Addr.Data[:])
	case SIOCSIFNAME:
		u[maxName] = 0
	default:
		return 0
	}
	b[maxName] = 0
	return 0
}

// Decode reads the C struct ifconf in b; buf is what its ifc_buf points to, nil if
// that is NULL. It returns EFAULT when b is short.
func (c *Ifconf) Decode(b, buf []byte) errno.Errno {
	if len(b) < SizeofIfconf {
		return errno.EFAULT
	}
	c.Len = int32(pkt.LittleEndian.Uint32(b))
	c.Req = nil
	if buf != nil {
		c.Req = make([]Ifreq, min(max(int(c.Len), 0), len(buf))/ifreqLen)
	}
	return 0
}

// Encode writes ifc_len into b and the entries into buf, which are those that
// Decode had. It returns EFAULT when they do not fit.
func (c *Ifconf) Encode(b, buf []byte) errno.Errno {
	if len(b) < SizeofIfconf || c.Req != nil && len(buf) < int(c.Len) {
		return errno.EFAULT
	}
	pkt.LittleEndian.PutUint32(b, uint32(c.Len))
	for k := 0; c.Req != nil && k < int(c.Len)/ifreqLen; k++ {
		e := buf[k*ifreqLen:][:ifreqLen]
		clear(e)
		encodeName(e, c.Req[k].Name)
		c.Req[k].Addr.encode(e[16:])
	}
	return 0
}

// Decode reads the C struct rtentry in b; dev is what its rt_dev points to, nil if
// that is NULL. It returns EFAULT when b is short.
func (r *Rtentry) Decode(b, dev []byte) errno.Errno {
	if len(b) < SizeofRtentry {
		return errno.EFAULT
	}
	*r = Rtentry{
		Flags:  pkt.LittleEndian.Uint16(b[56:]),
		Metric: int16(pkt.LittleEndian.Uint16(b[80:])),
		Dev:    decodeName(dev),
		MTU:    pkt.LittleEndian.Uint64(b[96:]),
		Window: pkt.LittleEndian.Uint64(b[104:]),
		IRTT:   pkt.LittleEndian.Uint16(b[112:]),
	}
	if dev != nil && r.Dev == "" {
		r.Dev = ":" // an empty name is not "none": no interface has it
	}
	r.Dst.decode(b[8:])
	r.Gateway.decode(b[24:])
	r.Genmask.decode(b[40:])
	return 0
}

// Encode writes r into the C struct rtentry in b, except rt_dev. It returns EFAULT
// when b is short.
func (r *Rtentry) Encode(b []byte) errno.Errno {
	if len(b) < SizeofRtentry {
		return errno.EFAULT
	}
	r.Dst.encode(b[8:])
	r.Gateway.encode(b[24:])
	r.Genmask.encode(b[40:])
	pkt.LittleEndian.PutUint16(b[56:], r.Flags)
	pkt.LittleEndian.PutUint16(b[80:], uint16(r.Metric))
	pkt.LittleEndian.PutUint64(b[96:], r.MTU)
	pkt.LittleEndian.PutUint64(b[104:], r.Window)
	pkt.LittleEndian.PutUint16(b[112:], r.IRTT)
	return 0
}

// Decode reads the C struct arpreq in b. It returns EFAULT when b is short.
func (r *Arpreq) Decode(b []byte) errno.Errno {
	if len(b) < SizeofArpreq {
		return errno.EFAULT
	}
	*r = Arpreq{Flags: int32(pkt.LittleEndian.Uint32(b[32:])), Dev: decodeName(b[52:SizeofArpreq])}
	r.PA.decode(b)
	r.HA.decode(b[16:])
	r.Netmask.decode(b[36:])
	return 0
}

// Encode writes r into the C struct arpreq in b. It returns EFAULT when b is short.
func (r *Arpreq) Encode(b []byte) errno.Errno {
	if len(b) < SizeofArpreq {
		return errno.EFAULT
	}
	r.PA.encode(b)
	r.HA.encode(b[16:])
	pkt.LittleEndian.PutUint32(b[32:], uint32(r.Flags))
	r.Netmask.encode(b[36:])
	encodeName(b[52:SizeofArpreq], r.Dev)
	return 0
}
