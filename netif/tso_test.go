package netif

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// super returns a super-segment of n bytes in segments of size, with sequence number seq.
func super(t testing.TB, n, size int, seq uint32, options []layers.TCPOption) (b *Buf, data []byte) {
	data = make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	eth := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, TOS: 2, Protocol: layers.IPProtocolTCP, Flags: layers.IPv4DontFragment, SrcIP: []byte{198, 18, 0, 1}, DstIP: []byte{198, 18, 0, 2}}
	tcp := &layers.TCP{SrcPort: 1, DstPort: 2, Seq: seq, Ack: 7, Window: 99, ACK: true, PSH: true, FIN: true, ECE: true, Options: options}
	tcp.SetNetworkLayerForChecksum(ip)
	w := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(w, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, tcp, gopacket.Payload(data)); err != nil {
		t.Fatal(err)
	}
	b = NewBuf(SuperSize)
	b.CopyFrom(w.Bytes())
	SetSegmentSize(b, size)
	SetSummed(b, SumPartial)
	return b, data
}

func TestCutterMakesSegmentsWithChecksums(t *testing.T) {
	if !feature.TSO {
		t.Skip("needs feature tso")
	}
	ts := []layers.TCPOption{{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: make([]byte, 8)}}
	for _, c := range []struct{ n, size int }{{2, 1}, {1448 * 3, 1448}, {5000, 1447}, {65_000, 1460}, {65_000, 536}, {1000, 2000}} {
		b, data := super(t, c.n, c.size, 1<<32-1500, ts)
		var cut Cutter
		if !cut.Begin(b) {
			t.Fatal(c, "is no super-segment")
		}
		f := NewBuf(9014)
		var got []byte
		n := 0
		for cut.Next(f) {
			p := gopacket.NewPacket(f.Bytes(), layers.LayerTypeEthernet, gopacket.Default)
			ip, tcp := p.NetworkLayer().(*layers.IPv4), p.TransportLayer().(*layers.TCP)
			last := len(got)+len(tcp.Payload) == c.n
			if tcp.Seq != 1<<32-1500+uint32(len(got)) || tcp.FIN != last || tcp.PSH != last || !tcp.ACK || !tcp.ECE || ip.TOS != 2 || tcp.Ack != 7 || len(tcp.Options) != 3 {
				t.Fatalf("segment %d of %v: %v", n, c, tcp)
			}
			if !last && len(tcp.Payload) != c.size {
				t.Fatalf("segment %d of %v has %d bytes", n, c, len(tcp.Payload))
			}
			verify(t, f.Bytes())
			got = append(got, tcp.Payload...)
			n++
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%v: the data differs", c)
		}
	}
}

// verify checks the lengths and checksums of a frame.
func verify(t testing.TB, f []byte) {
	t.Helper()
	var h ipv4.Header
	p, d := ipv4.Parse(f[EthernetHeaderLen:], &h)
	if d != ipv4.DropNone || len(f) > 60 && len(p) != len(f)-EthernetHeaderLen-h.HeaderLen() {
		t.Fatalf("%s: % x", d, f[:34])
	}
	if pkt.Checksum(pkt.Sum(ipv4.PseudoSum(h.Src, h.Dst, h.Proto, len(p)), p)) != 0 {
		t.Fatalf("bad checksum: % x", f[:54])
	}
}

func TestCompleteComputesTheChecksum(t *testing.T) {
	if !feature.TSO {
		t.Skip("needs feature tso")
	}
	for _, n := range []int{0, 1, 1460} {
		b, _ := super(t, n, 0, 5, nil)
		p := b.Bytes()[14:]
		pkt.BigEndian.PutUint16(p[36:], ^pkt.Checksum(ipv4.PseudoSum(ipv4.AddrAt(p[12:16]), ipv4.AddrAt(p[16:20]), ipv4.ProtoTCP, 20+n)))
		Complete(b)
		verify(t, b.Bytes())
		if Summed(b) != SumFull {
			t.Error("still partial")
		}
		Complete(b)
		verify(t, b.Bytes())
	}
}

// FuzzCutter gives the cutter anything.
func FuzzCutter(f *testing.F) {
	if !feature.TSO {
		f.Skip("needs feature tso")
	}
	for _, n := range []int{0, 1, 3000} {
		b, _ := super(f, n, 0, 5, nil)
		f.Add(b.Bytes(), 1000)
	}
	f.Fuzz(func(t *testing.T, p []byte, size int) {
		b := NewBuf(max(len(p), 60))
		b.CopyFrom(p)
		SetSegmentSize(b, size&0xffff)
		var c Cutter
		if c.Begin(b) {
			to := NewBuf(SuperSize)
			n := 0
			for c.Next(to) {
				n++
			}
			if n == 0 || n > len(p) {
				t.Fatal(n, "segments")
			}
		}
		SetSummed(b, SumPartial)
		Complete(b)
	})
}
