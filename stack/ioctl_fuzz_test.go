package stack

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// FuzzIoctl makes calls from the fuzzer's bytes, each a request, a length for
// what the argument points to and the argument, and checks that what the tables
// say belongs together.
func FuzzIoctl(f *testing.F) {
	var seq []byte
	for _, l := range [][]*call{busyboxIfconfig(), busyboxIfconfigShow(), busyboxRoute(SIOCADDRT), busyboxARP(), busyboxRoute(SIOCDELRT)} {
		for _, c := range l {
			seq = append(seq, byte(c.req), byte(len(c.arg)), byte(len(c.aux)))
			seq = append(append(seq, c.arg...), c.aux...)
		}
		f.Add(bytes.Clone(seq))
	}
	f.Add([]byte{0x12, 16, 40, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		s := newTestStack(&idleDevice{mtu: 1500, hw: testHW}, &idleDevice{mtu: 9000, hw: testHW})
		for len(in) >= 3 {
			c := &call{req: 0x8900 | uint32(in[0])}
			n, m := int(in[1]), int(in[2])
			in = in[3:]
			c.arg = bytes.Clone(in[:min(n, len(in))])
			in = in[len(c.arg):]
			if m > 0 {
				c.aux = bytes.Clone(in[:min(m, len(in))])
				in = in[len(c.aux):]
			}
			ioctlC(s, c)
			s.Poll(s.now)
			checkConfig(t, s)
		}
	})
}

// checkConfig fails if interfaces, routes and neighbours contradict each other.
func checkConfig(t *testing.T, s *Stack) {
	names := map[string]bool{}
	for k, i := range s.ifaces {
		if names[i.Name] || i.Name == "" || len(i.Name) > maxName || int(i.Index) != k+1 {
			t.Fatalf("interface %d is called %q", i.Index, i.Name)
		}
		names[i.Name] = true
		addrs := listAddrs(i)
		if len(addrs) > maxAddrs || i.MTU < netif.MinMTU {
			t.Fatalf("%d addresses, MTU %d", len(addrs), i.MTU)
		}
		if i.HW.IsMulticast() || i.Dev != nil && i.HW == (netif.MAC{}) {
			t.Fatalf("hardware address %v", i.HW)
		}
		for k, a := range addrs {
			if a.Local.IsAny() || a.Local.IsMulticast() || a.Local == ipv4.Broadcast || !contiguous(a.Mask) {
				t.Fatalf("address %+v", a)
			}
			if a.Secondary && k == 0 {
				t.Fatalf("secondary without a primary: %+v", addrs)
			}
		}
	}
	for k := range s.routes.Len() {
		r := s.routes.At(k)
		i := s.interfaceByIndex(r.Ifindex)
		if r.Flags&route.RTF_REJECT == 0 && (i == nil || !i.IsUp()) {
			t.Fatalf("route %+v leads through an interface that is down", r)
		}
		if !r.Src.IsAny() && s.ownAddr(r.Src) == nil {
			t.Fatalf("route %+v sends from an address that is not ours", r)
		}
		if r.Dst != r.Dst.Masked() {
			t.Fatalf("route %+v", r)
		}
	}
}

func FuzzIfreqCodec(f *testing.F) {
	for _, c := range append(busyboxIfconfig(), busyboxIfconfigShow()[1:]...) {
		f.Add(c.req, c.arg)
	}
	f.Fuzz(func(t *testing.T, req uint32, b []byte) {
		var r Ifreq
		if e := r.Decode(req, b); (e == 0) != (len(b) >= SizeofIfreq) {
			t.Fatalf("%d bytes: %v", len(b), e)
		} else if e != 0 {
			return
		}
		// What goes out is what came in, as far as the request has it.
		c := bytes.Clone(b)
		r.Encode(req, c)
		var r2 Ifreq
		if r2.Decode(req, c); !reflect.DeepEqual(r2, r) && req != SIOCGIFFLAGS && req != SIOCGIFMTU && req != SIOCGIFMETRIC &&
			req != SIOCGIFINDEX && req != SIOCGIFTXQLEN && req != SIOCGIFMAP {
			t.Fatalf("%+v became %+v", r, r2)
		}
	})
}

func FuzzRtentryCodec(f *testing.F) {
	for _, c := range busyboxRoute(SIOCADDRT) {
		f.Add(c.arg, c.aux)
	}
	f.Fuzz(func(t *testing.T, b, dev []byte) {
		var r, r2 Rtentry
		if e := r.Decode(b, dev); (e == 0) != (len(b) >= SizeofRtentry) {
			t.Fatalf("%d bytes: %v", len(b), e)
		} else if e != 0 {
			return
		}
		c := make([]byte, SizeofRtentry)
		r.Encode(c)
		if r2.Decode(c, dev); !reflect.DeepEqual(r2, r) {
			t.Fatalf("%+v became %+v", r, r2)
		}
	})
}

func FuzzArpreqCodec(f *testing.F) {
	for _, c := range busyboxARP()[1:] {
		f.Add(c.arg)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, r2 Arpreq
		if e := r.Decode(b); (e == 0) != (len(b) >= SizeofArpreq) {
			t.Fatalf("%d bytes: %v", len(b), e)
		} else if e != 0 {
			return
		}
		c := make([]byte, SizeofArpreq)
		r.Encode(c)
		if r2.Decode(c); !reflect.DeepEqual(r2, r) {
			t.Fatalf("%+v became %+v", r, r2)
		}
	})
}

func TestCodecsRefuseShortMemory(t *testing.T) {
	var ifr Ifreq
	var conf Ifconf
	var rt Rtentry
	var arp Arpreq
	for _, c := range []struct {
		size   int
		decode func(b []byte) bool
		encode func(b []byte) bool
	}{
		{40, func(b []byte) bool { return ifr.Decode(SIOCGIFADDR, b) == 0 }, func(b []byte) bool { return ifr.Encode(SIOCGIFADDR, b) == 0 }},
		{16, func(b []byte) bool { return conf.Decode(b, nil) == 0 }, func(b []byte) bool { return conf.Encode(b, nil) == 0 }},
		{120, func(b []byte) bool { return rt.Decode(b, nil) == 0 }, func(b []byte) bool { return rt.Encode(b) == 0 }},
		{68, func(b []byte) bool { return arp.Decode(b) == 0 }, func(b []byte) bool { return arp.Encode(b) == 0 }},
	} {
		short, enough := make([]byte, c.size-1), make([]byte, c.size)
		if c.decode(short) || c.encode(short) || !c.decode(enough) || !c.encode(enough) {
			t.Errorf("the struct of %d bytes", c.size)
		}
	}
	// The list does not fit the memory that it goes to.
	conf = Ifconf{Len: 80, Req: make([]Ifreq, 2)}
	if conf.Encode(make([]byte, 16), make([]byte, 79)) == 0 {
		t.Error("wrote past the buffer")
	}
}
