package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// alive returns a dialogue with keepalive on: after 10 s, every 5 s, 3 times.
func alive(t *testing.T) *dialogue {
	t.Helper()
	if !feature.On("keepalive") {
		t.Skip("needs feature keepalive")
	}
	d := established(t)
	d.c.SetKeepalive(d.now, Keepalive{On: true, Idle: 10, Interval: 5, Count: 3})
	return d
}

func TestC106KeepaliveIsOffByDefault(t *testing.T) {
	d := established(t)
	d.quiet(100*24*3600*sec, "idle")
	if d.c.Deadline() != pkt.Never {
		d.failf("a timer")
	}
}

func TestC106DefaultsAreTwoHours(t *testing.T) {
	if !feature.On("keepalive") {
		t.Skip("needs feature keepalive")
	}
	d := established(t)
	d.c.SetKeepalive(d.now, Keepalive{On: true})
	d.wantAfter(7200*sec, "the first probe", ACK, seq(0))
}

func TestC106OneLostProbeDoesNotKill(t *testing.T) {
	d := alive(t)
	d.wantAfter(10*sec, "first probe: an old sequence number", ACK, seq(0))
	d.wantAfter(5*sec, "second", ACK, seq(0))
	d.recv(ACK, ack(1))
	d.wantAfter(10*sec, "it was heard: all over again", ACK, seq(0))
	d.wantAfter(5*sec, "second", ACK, seq(0))
	d.wantAfter(5*sec, "third", ACK, seq(0))
	d.wantState(Established)
	d.wantAfter(5*sec, "given up", RST|ACK, seq(1))
	d.wantErr(errno.ETIMEDOUT)
}

func TestC106OnlyWhenIdle(t *testing.T) {
	d := alive(t)
	for range 10 {
		d.quiet(9*sec, "the peer speaks")
		d.recv(ACK, octets(10))
		d.ignore()
		d.wantRead(10)
	}
	d.write(10)
	d.want("data", PSH|ACK, octets(10))
	d.advance(20 * sec)
	for _, x := range d.ignore() {
		if len(x.Payload) == 0 {
			d.failf("a probe with data outstanding")
		}
	}
	d.recv(ACK)
}

func TestC106KeepaliveDoesNotEndWhatCloseHasLeft(t *testing.T) {
	d := alive(t)
	d.recv(ACK, win(0))
	d.write(1000)
	d.close()
	for range 10 { // the peer takes its time
		d.advance(4 * sec)
		d.ignore()
		d.recv(ACK, ack(1), win(0))
		d.ignore()
	}
	d.wantState(FinWait1)
	d.recv(ACK, ack(1), win(5000))
	d.want("all of it arrives", FIN|PSH|ACK, seq(1), octets(1000))
	d.recv(ACK)
	d.wantState(FinWait2)
	d.quiet(60*sec-1, "and FIN-WAIT-2 has its own time")
	d.wantState(FinWait2)
	d.quiet(1, "is over")
	d.wantState(Closed)
}

func TestC106TurnedOff(t *testing.T) {
	d := alive(t)
	d.quiet(5*sec, "idle")
	d.c.SetKeepalive(d.now, Keepalive{})
	d.quiet(10000*sec, "off")
}
