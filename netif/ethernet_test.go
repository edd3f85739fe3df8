package netif

import (
	"bytes"
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
)

func TestMACText(t *testing.T) {
	for _, c := range []struct {
		in, out string
		ok      bool
	}{
		{"02:00:5e:10:00:ff", "02:00:5e:10:00:ff", true},
		{"2:0:5E:10:0:Ff", "02:00:5e:10:00:ff", true},
		{"", "", false},
		{"02:00:5e:10:00", "", false},
		{"02:00:5e:10:00:", "", false},
		{"02:00:5e:10:00:01:", "", false},
		{"02:00:5e:10:00:01:02", "", false},
		{"02:00:5e:10:00:001", "", false},
		{"02::5e:10:00:01", "", false},
		{"02:00:5e:10:00:g1", "", false},
		{"02:00:5e:10:00:;1", "", false},
		{"02:00:5e:10:00:@1", "", false},
		{"02-00-5e-10-00-01", "", false},
	} {
		m, ok := ParseMAC(c.in)
		if ok != c.ok || ok && m.String() != c.out {
			t.Errorf("ParseMAC(%q) = %v, %v", c.in, m, ok)
		}
	}
}

func TestMACKinds(t *testing.T) {
	for _, c := range []struct {
		mac              string
		multi, broadcast bool
	}{
		{"02:00:00:00:00:01", false, false},
		{"01:00:5e:00:00:01", true, false},
		{"ff:ff:ff:ff:ff:ff", true, true},
	} {
		m, _ := ParseMAC(c.mac)
		if m.IsMulticast() != c.multi || m.IsBroadcast() != c.broadcast {
			t.Errorf("%v: multicast %v, broadcast %v", m, m.IsMulticast(), m.IsBroadcast())
		}
	}
}

func TestEthernetHeader(t *testing.T) {
	b := pkt.NewBuf(100)
	copy(b.Append(3), "abc")
	dst, src := MAC{1, 2, 3, 4, 5, 6}, MAC{7, 8, 9, 10, 11, 12}
	PutEthernet(b, &dst, &src, EtherTypeARP)
	want := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 6, 'a', 'b', 'c'}
	if !bytes.Equal(b.Bytes(), want) {
		t.Fatalf("%x, want %x", b.Bytes(), want)
	}
	e := Ethernet(b.Bytes())
	if e.Dst() != dst || e.Src() != src || e.Type() != EtherTypeARP {
		t.Errorf("read back %v %v %#x", e.Dst(), e.Src(), e.Type())
	}
}
