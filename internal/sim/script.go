package sim

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// Bulk sends Send bytes, ends its side of the stream, expects Recv bytes and the
// end of the other side, and closes: each as fast as it can unless it says
// otherwise.
type Bulk struct {
	Send, Recv int64

	WriteSize, ReadSize   int  // bytes per call; 0: 16 KiB
	WriteEvery, ReadEvery Time // time between calls; 0: none
	ReadAfter             Time // how long it does not read at first
	Begin                 Time // does nothing before
	Keep                  bool // ends its side only when it has read the end of the other
	Option                func(c *stack.Conn)
	WantErr               errno.Errno // the connection is to fail with this

	begin, wrote, read Time // when it began, last wrote and last read
	init, closed, eof  bool
}

// Setup is called before the connection is opened.
func (b *Bulk) Setup(c *stack.Conn) {
	if b.Option != nil {
		b.Option(c)
	}
}

func (b *Bulk) Run(e *End, ev tcp.Events) Time {
	now := e.Host.net.Now()
	if now < b.Begin && ev&tcp.Failed == 0 {
		return b.Begin
	}
	if !b.init {
		b.init = true
		b.begin = now
		b.wrote, b.read = now-b.WriteEvery, now-b.ReadEvery
		if b.WriteSize == 0 {
			b.WriteSize = 16 << 10
		}
		if b.ReadSize == 0 {
			b.ReadSize = 16 << 10
		}
	}
	wake := min(b.writes(e, now), b.reads(e, now))
	if e.Err == 0 && ev&tcp.Failed != 0 && !b.eof {
		e.Err = e.Conn.Err()
	}
	switch {
	case e.Err != 0:
		if e.Err != b.WantErr {
			e.Fail("failed with %v, want %v", e.Err, b.WantErr)
		}
		e.Close()
	case b.eof && b.closed:
		if e.Received != b.Recv {
			e.Fail("received %d bytes, want %d", e.Received, b.Recv)
		}
		if b.WantErr != 0 {
			e.Fail("ended well, want %v", b.WantErr)
		}
		e.Close()
	}
	return wake
}

func (b *Bulk) writes(e *End, now Time) Time {
	if b.closed || e.Opened == 0 {
		return Never
	}
	if left := b.Send - e.Sent; left > 0 {
		n := left
		if b.WriteEvery > 0 {
			if at := b.wrote + b.WriteEvery; now < at {
				return at
			}
			n = min(n, int64(b.WriteSize))
		}
		k := e.Write(n, b.WriteSize)
		if e.Sent < b.Send {
			if b.WriteEvery > 0 && k > 0 {
				b.wrote = now
				return now + b.WriteEvery
			}
			return Never // Writable will come
		}
	}
	if !b.Keep || b.eof {
		b.closed = true
		e.Conn.CloseWrite()
		e.moved()
	}
	return Never
}

func (b *Bulk) reads(e *End, now Time) Time {
	if b.eof || e.Opened == 0 {
		return Never
	}
	if at := b.begin + b.ReadAfter; now < at {
		return at
	}
	n := int64(1) << 62
	if b.ReadEvery > 0 {
		if at := b.read + b.ReadEvery; now < at {
			return at
		}
		n = int64(b.ReadSize)
	}
	k, eof := e.Read(n, b.ReadSize)
	if eof && e.Err == 0 {
		b.eof = true
		return b.writes(e, now)
	}
	if b.ReadEvery > 0 && k > 0 {
		b.read = now
		return now + b.ReadEvery
	}
	return Never
}

// Requests asks with Ask bytes, waits for Answer bytes, thinks, and asks again,
// Rounds times; then it closes. Its peer is Answers.
type Requests struct {
	Rounds      int
	Ask, Answer int64
	Think       Time
	Option      func(c *stack.Conn)

	Times []Time // how long each round took
	asked Time
	next  Time
	out   int64 // bytes still to write of this request
	busy  bool
}

// Setup is called before the connection is opened.
func (r *Requests) Setup(c *stack.Conn) {
	if r.Option != nil {
		r.Option(c)
	}
}

func (r *Requests) Run(e *End, ev tcp.Events) Time {
	now := e.Host.net.Now()
	if ev&tcp.Failed != 0 {
		if e.Err = e.Conn.Err(); e.Err != 0 {
			e.Fail("failed")
		}
	}
	if e.Opened == 0 || e.Err != 0 {
		return Never
	}
	for {
		if !r.busy {
			if len(r.Times) == r.Rounds {
				e.Close()
				return Never
			}
			if now < r.next {
				return r.next
			}
			r.busy, r.asked, r.out = true, now, r.Ask
		}
		if r.out > 0 {
			r.out -= e.Write(r.out, 16<<10)
		}
		want := int64(len(r.Times)+1) * r.Answer
		if _, eof := e.Read(want-e.Received, 16<<10); eof {
			e.Fail("the answer ended early")
			return Never
		}
		if e.Received < want {
			return Never
		}
		r.Times = append(r.Times, now-r.asked)
		r.busy, r.next = false, now+r.Think
	}
}

// Answers answers each Ask bytes with Answer bytes until the peer ends its side. It
// reads no more before it has written that: with Ask and Answer 1 it is an echo.
type Answers struct {
	Ask, Answer int64

	eof bool
}

func (a *Answers) Run(e *End, ev tcp.Events) Time {
	for {
		due := e.Received/a.Ask*a.Answer - e.Sent
		if due -= e.Write(due, 16<<10); due > 0 && e.Err == 0 {
			return Never
		}
		if a.eof || e.Err != 0 {
			e.Close()
			return Never
		}
		var k int64
		if k, a.eof = e.Read(16<<10, 16<<10); k == 0 && !a.eof {
			return Never
		}
	}
}

// Idle opens the connection, does nothing for a time, and closes; 0: it never
// does, but counts as through at once. It also closes when the peer does.
type Idle struct {
	For Time

	until Time
}

func (i *Idle) Run(e *End, ev tcp.Events) Time {
	if e.Opened == 0 {
		if ev&tcp.Failed != 0 {
			e.Err = e.Conn.Err()
			e.Finish()
		}
		return Never
	}
	if i.For == 0 {
		e.Finish()
		return Never
	}
	now := e.Host.net.Now()
	if i.until == 0 {
		i.until = now + i.For
	}
	_, eof := e.Read(1<<62, 4096)
	if now >= i.until || eof {
		e.Close()
		return Never
	}
	return i.until
}

// Resets reads After bytes (0: none) and then resets the connection.
type Resets struct{ After int64 }

func (r *Resets) Run(e *End, ev tcp.Events) Time {
	if e.Opened == 0 {
		return Never
	}
	e.Read(r.After-e.Received, 4096)
	if e.Received >= r.After {
		e.Abort()
	}
	return Never
}
