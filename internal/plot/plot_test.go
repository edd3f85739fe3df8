package plot

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/bonsainet/bonsai/netif/pcap"
)

// frame is a TCP segment between two hosts, 1 and 2.
func frame(t *testing.T, from, to byte, tcp layers.TCP, n int) []byte {
	t.Helper()
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: []byte{198, 18, 0, from}, DstIP: []byte{198, 18, 0, to}}
	eth := layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, from}, DstMAC: []byte{2, 0, 0, 0, 0, to}, EthernetType: layers.EthernetTypeIPv4}
	tcp.SrcPort, tcp.DstPort = layers.TCPPort(from), layers.TCPPort(to)
	tcp.SetNetworkLayerForChecksum(&ip)
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, &eth, &ip, &tcp, gopacket.Payload(make([]byte, n)))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

func TestReadsDataRetransmissionsAndAcks(t *testing.T) {
	var file bytes.Buffer
	w := pcap.NewWriter(&file, 0)
	const ms = 1e6
	scale := layers.TCPOption{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{7}}
	sack := layers.TCPOption{OptionType: layers.TCPOptionKindSACK, OptionLength: 10, OptionData: []byte{0, 0, 3, 0xe8 + 1, 0, 0, 7, 0xd1}} // 1001 to 2001
	w.Packet(0, frame(t, 1, 2, layers.TCP{Seq: 0, SYN: true}, 0))
	w.Packet(5*ms, frame(t, 2, 1, layers.TCP{Seq: 100, SYN: true, ACK: true, Ack: 1, Options: []layers.TCPOption{scale}}, 0))
	w.Packet(10*ms, frame(t, 1, 2, layers.TCP{Seq: 1, ACK: true, Ack: 101}, 1000))
	w.Packet(11*ms, frame(t, 1, 2, layers.TCP{Seq: 1001, ACK: true, Ack: 101}, 1000))
	w.Packet(20*ms, frame(t, 2, 1, layers.TCP{Seq: 101, ACK: true, Ack: 1, Window: 10, Options: []layers.TCPOption{sack}}, 0))
	w.Packet(30*ms, frame(t, 1, 2, layers.TCP{Seq: 1, ACK: true, Ack: 101}, 1000))
	w.Packet(40*ms, frame(t, 2, 1, layers.TCP{Seq: 101, ACK: true, Ack: 2001, Window: 10}, 0))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	flows, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if len(flows) != 1 {
		t.Fatalf("%d flows", len(flows))
	}
	f := flows[0]
	if len(f.Segments) != 4 || f.Segments[2].Again || !f.Segments[3].Again || f.Segments[3].Lo != 1 || f.Segments[3].Hi != 1001 {
		t.Errorf("segments %+v", f.Segments)
	}
	if len(f.Acks) != 3 || f.Acks[1].Wnd != 1280 || len(f.Acks[1].Blocks) != 1 || f.Acks[1].Blocks[0] != [2]uint32{1001, 2001} || f.Acks[1].Dup {
		t.Errorf("acks %+v", f.Acks)
	}
	f.Samples = []Sample{{0.01, 14600, 0, 0.005}, {0.04, 2920, 2920, 0.01}}
	svg := f.SVG(Options{Title: "a < b"})
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{`class="r" d="M`, `class="s" d="M`, "a &lt; b", "ssthresh"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in the picture", want)
		}
	}
}

// TestBadCapturesAreErrors: a file that is cut or is none ends with an error.
func TestBadCapturesAreErrors(t *testing.T) {
	for _, in := range []string{"", "not a capture, but long enough for a header", "\xd4\xc3\xb2\xa1"} {
		if _, err := Read(strings.NewReader(in)); err == nil {
			t.Errorf("%q is taken", in)
		}
	}
}
